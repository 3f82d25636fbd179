"""How alike two networks are up to their symmetries: units matched by assignment."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.axes import checked_whole
from gdsim.minima.images import check_few, lowest_image
from gdsim.minima.linear_layers import joined
from gdsim.minima.normal_form import Normalized
from gdsim.minima.symmetries import Group, Kind, Layers
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.words import checked_word

if TYPE_CHECKING:
    import xarray

METHODS = ("weights", "barrier")

SWEEPS, LEAST_GAIN = 100, 1e-12  # over all layers; of a sweep, beside the squared lengths


def distance(problem: Problem, a: "ArrayLike", b: "ArrayLike") -> "np.ndarray | float":
    """[run]: how far the networks b[run, parameter] are from a[run, parameter], one of which may be one network, up to
    their symmetries: the length of the difference, in normal form, to the symmetric image of b that is found nearest.

    Normal form is that of `gd.minima.canonical` without its signs and order, which assignment decides
    (`gd.minima.align`): it is 0 of networks that are equal up to a symmetry, whatever decides their order.
    Products of linear layers without a penalty are compared as they are. NaN of parameters that are not finite.
    Of two vectors a number. Raises ValueError for problems without units and for parameters that do not fit.

    >>> import gdsim as gd
    >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss")
    >>> distance(xor, [3.0, 0, 0, 5, 1, 0, 1, 2, 0], [0.0, -5, 3, 0, 0, 1, -2, 1, 0])
    0.0
    """
    kind, pair = Kind.of(problem, "distance"), Pair.of(problem, a, b)
    known = np.flatnonzero((np.isfinite(pair.a) & np.isfinite(pair.b)).all(1))
    found = np.full(len(pair.b), np.nan)
    first, second = (Normalized.of(*joined(kind, Layers.of(problem, values[known]))) for values in (pair.a, pair.b))
    for place, run in enumerate(known):
        one = first.layers.take([place])
        found[run] = np.sqrt(_apart(one, matched(first, one, second.layers.take([place]))))
    return float(found[0]) if pair.is_single else found


def align(problem: Problem, a: "ArrayLike", b: "ArrayLike", *, method: str = "weights", points: int = 25) -> "np.ndarray | xarray.DataArray":
    """The symmetric images of the networks b[run, parameter] that are most like a[run, parameter], or like one
    a, or of one b those most like each a: the same functions, with units where those of a are that they resemble.

    `method`: "weights", units assigned by their weights, layer by layer until nothing is gained (Git Re-Basin,
    Ainsworth et al. 2023), with their signs where activations are odd; scales, phases and what all classes
    have in common are those of a. "barrier", of networks with one hidden layer of up to 6 units, tries every
    permutation and sign and takes the image of the lowest barrier on the line from a, of `points` points. Units
    that resemble none may be matched otherwise by each.

    `b` may be a DataArray, or a where b is one vector; returns what it is. Raises ValueError for problems without units and for parameters
    that do not fit.

    >>> import gdsim as gd
    >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss")
    >>> align(xor, [3.0, 0, 0, 5, 1, 0, 1, 2, 0], [0.0, -5, 3, 0, 0, 1, -2, 1, 0]).tolist()
    [3.0, 0.0, 0.0, 5.0, 1.0, 0.0, 1.0, 2.0, 0.0]
    """
    checked_word(method, "method", METHODS)
    kind, pair, points = Kind.of(problem, "align"), Pair.of(problem, a, b), checked_whole(points, "points", 3)
    if method == "barrier":
        check_few(kind)
    if not (np.isfinite(pair.a).all() and np.isfinite(pair.b).all()):
        raise ValueError("align needs finite parameters, and some of a or b are not: leave out runs that diverged")
    first = Normalized.of(kind, Layers.of(problem, pair.a))
    second = Normalized.of(kind, Layers.of(problem, pair.b))
    runs = [[run] for run in range(len(pair.b))]
    if not runs:
        made = pair.b
    elif method == "weights":
        images = Layers.stacked([matched(first, first.layers.take(run), second.layers.take(run)) for run in runs])
        made = first.undone(images).vectors(kind)
    else:
        made = np.concatenate([lowest_image(problem, pair.a[run[0]], first.take(run), second.layers.take(run), points) for run in runs])
    return pair.given.products((made + 0.0).astype(pair.b.dtype if pair.b.dtype.kind == "f" else np.float64))


class Pair(NamedTuple):
    """Checked parameters of two networks, or of many pairs of them."""

    a: np.ndarray  # [run, parameter]
    b: np.ndarray  # [run, parameter]
    given: Given  # b as it was given, or a where it is of more networks
    is_single: bool

    @classmethod
    def of(cls, problem: Any, a: Any, b: Any) -> "Pair":
        """Those of a and b. Raises ValueError where they don't fit the problem or each other."""
        ends = [Given.of(values) for values in (a, b)]
        for one in ends:
            evaluation_setting(problem, one.rows, None)
        (first, second), count = [e.rows[:, : problem.parameter_count] for e in ends], [len(e.rows) for e in ends]
        if count[0] != count[1] and 1 not in count:
            raise ValueError(f"a and b must be as many parameter vectors, or one of them one; {count[0]} and {count[1]} were given")
        shape = np.broadcast_shapes(first.shape, second.shape)
        whole = ends[1] if len(second) == shape[0] else ends[0]
        return cls(np.broadcast_to(first, shape), np.broadcast_to(second, shape), whole, not (ends[0].dims or ends[1].dims))


def matched(normal: Normalized, one: Layers, other: Layers) -> Layers:
    """The other network with its units where, and with the signs with which, those of `one` are; both are of
    one run, in normal form.

    Git Re-Basin's weight matching (Ainsworth et al. 2023), with signs where activations are odd: each group's
    units are assigned so that the inner product of both parameter vectors is largest, group after group until
    nothing is gained. From two beginnings, the better of which counts: as the units are, and assigned from the
    inputs on by what goes into them, which finds an exact image.
    """
    found = []
    for begins_from_inputs in (True, False):
        made = other.copy()
        for group in normal.groups if begins_from_inputs else ():
            _assign(group, made, _incoming_products(group, one, made))
        before = _product(one, made)
        size = sum(float((W * W).sum()) for W in one.W)
        for _ in range(SWEEPS):
            trial = made.copy()
            for group in normal.groups:
                _assign(group, trial, _products(group, one, trial))
            gain = _product(one, trial) - before
            if not gain > LEAST_GAIN * size:
                break
            made, before = trial, before + gain
        found.append((before, made))
    return max(found, key=lambda pair: pair[0])[1]


def _assign(group: Group, layers: Layers, products: np.ndarray) -> None:
    """Puts the units of a group where they fit best, by products[place, unit]."""
    from scipy.optimize import linear_sum_assignment

    places, order = linear_sum_assignment(abs(products) if group.flips else products, maximize=True)
    layers.permute(group, order[None])
    if group.flips:
        layers.multiply(group, np.where(products[places, order] < 0, -1.0, 1.0)[None])


def _incoming_products(group: Group, one: Layers, other: Layers) -> np.ndarray:
    """[unit, unit]: products of what goes into the units of two networks, and of what comes out where it is
    read by the outputs alone, whose units stay.
    """
    a, b = one.incoming(group)[0], other.incoming(group)[0]
    if all(n == len(one.W) - 1 for n, _ in group.readers):
        a, b = (np.concatenate([x, layers.outgoing(group)[0]], 1) for x, layers in ((a, one), (b, other)))
    return a @ b.T


def _products(group: Group, one: Layers, other: Layers) -> np.ndarray:
    """[unit, unit]: products of all that goes into the units of two networks and comes out of them."""
    ends = [
        np.concatenate([*(np.concatenate([layers.W[n][0], layers.b[n][0][:, None]], 1) for n in group.rows), layers.outgoing(group)[0]], 1)
        for layers in (one, other)
    ]
    return ends[0] @ ends[1].T


def _product(one: Layers, other: Layers) -> float:
    """The inner product of two parameter vectors."""
    pairs = [*zip(one.W, other.W, strict=True), *zip(one.b, other.b, strict=True)]
    return float(sum((x * y).sum() for x, y in pairs))


def _apart(one: Layers, other: Layers) -> float:
    """The squared length of the difference of two parameter vectors."""
    pairs = [*zip(one.W, other.W, strict=True), *zip(one.b, other.b, strict=True)]
    return float(sum(((x - y) ** 2).sum() for x, y in pairs))
