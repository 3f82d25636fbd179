"""What hidden units do on the training set: which are dead, always on, saturated, useless or duplicates."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim import population
from gdsim.axes import Range, checked_one
from gdsim.data import Data
from gdsim.minima.symmetries import HOMOGENEOUS, ODD, Kind, Layers
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.workplace import Workplace
from gdsim.problems import MLP, Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import at_points
from gdsim.sweep.results.reading import Result

if TYPE_CHECKING:
    import xarray

RECTIFIERS = ("relu", "leaky_relu")
SATURATED = {"tanh": math.atanh(0.99), "sigmoid": 2.0 * math.atanh(0.99)}  # the least |z|: both are odd about their middle
ROOM = 2**27  # bytes of the sums of runs that are looked at together
ALIKE = 1e-6  # one less the cosine of the angle between the incoming weights of duplicates


def units(problem: "Problem | Result", parameters: "ArrayLike | None" = None, *, tolerance: float = 1e-6, variable: str = "parameters") -> "xarray.Dataset":
    """Of the hidden units of networks with parameters[run, parameter], the shares that do nothing, or nothing
    of their own, on the training set.

    `dead`: ReLU units that are off at every sample, whose gradient is 0. `always_on`: ReLU and leaky ReLU
    units that are on at every sample, so linear. `saturated`: tanh units beyond 0.99 at every sample, logistic
    ones beyond 0.995 or below 0.005. `useless`: outgoing weights whose length is at most `tolerance` times
    that of the layer's longest. `duplicate`: units whose incoming weights, the bias included, are those of a
    unit of their layer before them, but for their sign where the activation is odd and their length where it
    is ReLU or alike, to 1e-6 in the cosine; those of zeros alone are like zeros alone. A network with a useless
    or a duplicate unit is one of fewer units, and lies on a line or plane of them (Fukumizu and Amari 2000).

    `problem` and `parameters` are as in `gd.evaluate`. Returns a Dataset of shares over `run`, out of all hidden
    units, NaN of runs that diverged. Raises ValueError for problems without hidden layers.

    >>> import gdsim as gd
    >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="relu", loss="log_loss")
    >>> made = units(xor, [1.0, 1.0, -1.0, -1.0, 0.5, -1.0, 1.0, 0.0, 0.0])
    >>> float(made.dead), float(made.always_on), float(made.useless)
    (0.5, 0.5, 0.5)
    """
    tolerance = checked_one(tolerance, "tolerance", Range(0.0, 1.0))
    return at_points(problem, parameters, variable, "units", _units, {"tolerance": tolerance})


def _units(problem: Problem, parameters: Any, *, tolerance: float, place: Workplace) -> "xarray.Dataset":
    """`units` of parameters, not of a result."""
    kind, given = Kind.of(problem, "units"), Given.of(parameters)
    evaluation_setting(problem, given.rows, None)
    if not kind.units or kind.fixed_outputs:
        raise ValueError(f"units is of networks with hidden layers; {type(problem).__name__} has none")
    values = given.rows[:, : problem.parameter_count]
    layers = Layers.of(problem, values)
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("dead", "always_on", "saturated", "useless", "duplicate")}
    for n, (name, z) in enumerate(zip(kind.activations, hidden_sums(problem, values), strict=True)):
        found["dead"].append(_is_off(name, z))
        found["always_on"].append((z.min(1) > 0.0) & (name in RECTIFIERS))
        found["saturated"].append(abs(z).min(1) > SATURATED.get(name, np.inf))
        group = next(g for g in kind.groups if n in g.rows)
        length = np.sqrt((layers.outgoing(group) ** 2).sum(2))
        found["useless"].append(length <= tolerance * length.max(1, keepdims=True))
        found["duplicate"].append(_duplicates(np.concatenate([layers.W[n], layers.b[n][:, :, None]], 2), name))
    lost = np.where(np.isfinite(values).all(1), 0.0, np.nan)
    return given.dataset({name: np.concatenate(parts, 1).mean(1) + lost for name, parts in found.items()})


def _duplicates(incoming: np.ndarray, name: str) -> np.ndarray:
    """[run, unit]: whether a unit is alike to one before it."""
    length = np.sqrt((incoming**2).sum(2))
    products = incoming @ incoming.transpose(0, 2, 1)
    products = abs(products) if name in ODD else products
    both = length[:, :, None] * length[:, None, :]
    if name in HOMOGENEOUS:
        apart = 2.0 * (both - products)
    else:
        apart = length[:, :, None] ** 2 + length[:, None, :] ** 2 - 2.0 * products
    is_zero = length == 0.0  # whose direction is none
    alike = (apart <= 2.0 * ALIKE * both) & (is_zero[:, :, None] == is_zero[:, None, :])
    return np.tril(alike, -1).any(2)


def dead_units(problem: Any, values: np.ndarray) -> list[np.ndarray]:
    """[run, unit] of each hidden layer: whether it is a ReLU that no sample of the training set turns on."""
    if "relu" not in problem.layer_activations:
        return [np.zeros((len(values), units), bool) for _, units in problem.layers[:-1]]
    together = max(1, ROOM // (8 * len(problem.data.X) * max(problem.hidden)))
    parts = [
        [_is_off(name, z) for name, z in zip(problem.layer_activations, hidden_sums(problem, values[first : first + together]), strict=True)]
        for first in range(0, max(1, len(values)), together)
    ]
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def _is_off(name: str, z: np.ndarray) -> np.ndarray:
    """[run, unit]: whether a ReLU is off at every sample, by its sums z[run, sample, unit]."""
    return (z.max(1) <= 0.0) & (name == "relu")


def hidden_sums(problem: Problem, values: np.ndarray) -> Iterator[np.ndarray]:
    """z[run, sample, unit] of each hidden layer before its activation, at the training samples: the outputs of
    the network that ends there.
    """
    network: Any = problem
    wiring = network.wiring
    for n, width in enumerate(network.hidden):
        kept = network.hidden[:n]
        skip = None if not any(layer <= n for layer in wiring.adds) and network.skip == "residual" else network.skip if kept else None
        data = Data(network.data.X, np.zeros((len(network.data.X), width)))
        part = MLP(data, hidden=kept, activation=network.layer_activations[:n] or "identity", loss="squared_error", skip=skip)
        outputs = population.predict(part, values[:, : part.parameter_count], data.X)
        yield outputs.reshape(len(values), len(data.X), width)
