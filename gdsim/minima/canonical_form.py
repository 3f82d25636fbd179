"""The canonical form of networks' parameters: one of all those that are the same up to the network's symmetries."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.minima.linear_layers import joined, split
from gdsim.minima.normal_form import Normalized
from gdsim.minima.symmetries import Group, Kind, Layers
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import at_points
from gdsim.sweep.results.reading import Result

if TYPE_CHECKING:
    import xarray

TIE = 1e-6  # numbers that differ by less, relatively, are taken for equal where one of them decides
DIGITS = 9  # of the numbers by which units are sorted


def canonical(problem: "Problem | Result", parameters: "ArrayLike | None" = None, *, variable: str = "parameters") -> "np.ndarray | xarray.DataArray":
    """The canonical form of parameters[run, parameter] of networks: the same function, and the same vector for
    all parameters that are equal up to the network's symmetries.

    Hidden units are balanced, flipped and sorted, layer by layer from the inputs: of ReLU, leaky ReLU and
    linear units, whose scale is free where no penalty is, so that incoming weights with the bias are as long
    as outgoing ones; of tanh, sine, logistic and linear units, whose sign is free, so that the largest
    incoming weight is positive, the phases of sines in [-pi/2, pi/2]; sorted by incoming weights, descending.
    A chain of linear layers without a penalty is made of the singular vectors of its product, with no biases
    but the last. Before a softmax the weights and biases have a mean of 0 over classes, with a penalty the
    biases alone. Units joined by residual connections change together. Of a `gd.TeacherStudent` the students
    are sorted.

    `problem` and `parameters` are as in `gd.evaluate`; returns what was given, an array or a DataArray, NaN of
    runs that diverged. Where two units are nearly equal a small change may exchange them: whether two networks
    are the same is decided by `gd.minima.distance`. Raises ValueError for problems without units.

    Sources: Sussmann (1992); Chen, Lu and Hecht-Nielsen (1993).

    >>> import gdsim as gd
    >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss")
    >>> canonical(xor, [-3.0, 0, 0, 5, 1, 0, 1, 2, 0]).tolist()
    [3.0, 0.0, 0.0, 5.0, -1.0, 0.0, -1.0, 2.0, 0.0]
    """
    return at_points(problem, parameters, variable, "canonical", _canonical, {})


def _canonical(problem: Problem, parameters: Any, *, place: Workplace) -> Any:
    """`canonical` of parameters, not of a result."""
    kind, given = Kind.of(problem, "canonical"), Given.of(parameters)
    evaluation_setting(problem, given.rows, None)  # which checks them
    values = given.rows[:, : problem.parameter_count]
    finite, made = np.isfinite(values).all(1), np.full(values.shape, np.nan)
    made[finite] = canonical_layers(kind, Layers.of(problem, values[finite])).vectors(kind) + 0.0  # no zero has a sign
    return given.products(made.astype(values.dtype if values.dtype.kind == "f" else np.float64))


def canonical_layers(kind: Kind, layers: Layers) -> Layers:
    """The canonical form of layers, which are used up."""
    normal = Normalized.of(*joined(kind, layers))
    layers = normal.layers
    sizes = [np.ones((len(W), W.shape[2])) for W in layers.W]  # of what each column comes from, where its scale is free
    for group in normal.groups:
        _flip(group, layers, sizes)
    for group in normal.groups:
        layers.permute(group, _order(group, layers))
    return split(kind, normal.original(layers))


def _flip(group: Group, layers: Layers, sizes: list[np.ndarray]) -> None:
    """Makes the largest incoming weight of each unit positive, of a unit without the largest outgoing one.

    Each weight counts in the scale of the unit that it comes from, so that no scale decides a sign.
    """
    first = group.rows[0]
    weights = layers.incoming(group)
    weights[:, :, :-1] *= sizes[first][:, None, :]
    if group.flips:
        values = np.concatenate([weights, np.where((weights == 0).all(2, keepdims=True), layers.outgoing(group), 0.0)], 2)
        size = abs(values)
        place = (size >= (1.0 - TIE) * size.max(2, keepdims=True)).argmax(2)
        largest = np.take_along_axis(values, place[:, :, None], 2)[:, :, 0]
        layers.multiply(group, np.where(largest < 0, -1.0, 1.0))
    if group.scales:
        length = np.sqrt((weights * weights).sum(2))
        for n, column in group.readers:
            if n not in group.rows:
                sizes[n][:, column : column + layers.units(group)] = np.where(length > 0, length, 1.0)


def _order(group: Group, layers: Layers) -> np.ndarray:
    """[run, place]: the unit at each place, by incoming weights, then by the size of the outgoing ones."""
    values, outgoing = layers.incoming(group), layers.outgoing(group)
    values = np.concatenate([values, (outgoing * outgoing).sum(2, keepdims=True)], 2)
    scale = abs(values).max((1, 2), keepdims=True)
    keys = np.round(values / np.where(scale > 0, scale, 1.0), DIGITS) + 0.0
    return np.lexsort(-np.moveaxis(keys, 2, 0)[::-1], axis=1)
