"""Initial points: where the runs of a population begin. Start i is the same point in every cell."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.data.arrays import Array, plain
from gdsim.declarations import Declaration, meant
from gdsim.lanes.philox import INITIAL_POINT
from gdsim.words import given, nearest

POSITIVE = Range(0.0, float("inf"), low_allowed=False)
ANY = Range(float("-inf"), float("inf"), low_allowed=False)


Ends = float | Sequence[float] | np.ndarray  # one number, or one per parameter


class Start(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A way of choosing initial points."""

    meanings = {
        "low": "Where the box begins: a finite number, or a list of one per parameter; below `high`.",
        "high": "Where the box ends: a finite number, or a list of one per parameter.",
    }


class Normal(Start, frozen=True, tag="normal"):
    """Every parameter normal, with mean 0 and standard deviation `std`.

    >>> Normal(std=0.5).std
    0.5
    """

    meanings = {"std": "The standard deviation, a finite number above 0."}

    std: float = 1.0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "std", checked_one(self.std, "Normal.std", POSITIVE))


def _check_box(start: Any, low: Any, high: Any) -> None:
    """Puts checked ends in place: numbers, or a number for each parameter."""
    kind = type(start).__name__
    ends = []
    for name, value in (("low", low), ("high", high)):
        several = isinstance(value, (list, tuple, np.ndarray))
        found = tuple(checked_one(float(v), f"{kind}.{name}", ANY) for v in value) if several else checked_one(value, f"{kind}.{name}", ANY)
        msgspec.structs.force_setattr(start, name, found)
        ends.append(np.asarray(found))
    if ends[0].ndim == ends[1].ndim == 1 and len(ends[0]) != len(ends[1]):
        raise ValueError(f"{kind}.low and {kind}.high must be as long as each other; {len(ends[0])} and {len(ends[1])} numbers were given")
    if not (ends[0] < ends[1]).all():
        raise ValueError(f"{kind} needs low < high; {given(low)} and {given(high)} were given")


class Uniform(Start, frozen=True, tag="uniform"):
    """Every parameter uniform between `low` and `high`, which are numbers or lists of one per parameter.

    >>> Uniform(-2, 2).high
    2.0
    """

    low: Ends = -1.0
    high: Ends = 1.0

    def __post_init__(self) -> None:
        _check_box(self, self.low, self.high)


class LatinHypercube(Start, frozen=True, tag="latin_hypercube"):
    """`n` points, of which each parameter meets every one of n equal slices of its range once (SciPy's
    qmc.LatinHypercube).

    Start i is the i-th of them. Without `low` and `high` in the problem's box.

    >>> LatinHypercube(100).n
    100
    """

    meanings = {"n": "How many points there are, a whole number from 1: at least the sweep's starts.", **Start.meanings}

    n: int
    low: Ends | None = None
    high: Ends | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "n", checked_whole(self.n, "LatinHypercube.n"))
        if self.low is not None or self.high is not None:
            _check_box(self, self.low, self.high)


class Sobol(Start, frozen=True, tag="sobol"):
    """Points of a scrambled Sobol sequence (SciPy's qmc.Sobol): even at every number of starts, most at
    powers of 2.

    Without `low` and `high` in the problem's box.

    >>> Sobol(-1, 1).low
    -1.0
    """

    low: Ends | None = None
    high: Ends | None = None

    def __post_init__(self) -> None:
        if self.low is not None or self.high is not None:
            _check_box(self, self.low, self.high)


class Points(Array):
    """Initial points given as an array [start, parameter], of which it keeps a copy."""

    def __init__(self, values: Any) -> None:
        array = plain(values, "init")
        try:
            super().__init__(array)
        except (TypeError, ValueError):
            raise TypeError(f"init as an array must hold numbers, [start, parameter]; {given(values)} was given") from None
        if self.values.ndim != 2:
            raise ValueError(f"init as an array must be [start, parameter]; shape {self.values.shape} was given")
        bad = np.argwhere(~np.isfinite(self.values))
        if len(bad):
            start, parameter = bad[0]
            raise ValueError(f"init as an array must be finite; init[{start}, {parameter}] is {self.values[start, parameter]}")

    def __repr__(self) -> str:
        return f"array [{self.values.shape[0]} starts, {self.values.shape[1]} parameters]"


NAMES = ("glorot", "he", "orthogonal", "zeros", "box")
STARTS = (Normal, Uniform, LatinHypercube, Sobol)
Init = Any  # one of NAMES, a number, a `Start` or `Points`, once `checked_init` has seen it
WAYS = "a number, gd.Normal(std), gd.Uniform(low, high), gd.LatinHypercube(n), gd.Sobol() or an array [start, parameter]"


def checked_init(value: Any) -> Init:
    """An init in its normal form, or an error."""
    if isinstance(value, (Start, Points)) or (isinstance(value, str) and value in NAMES):
        return value
    if isinstance(value, str):
        raise ValueError(f"init {given(value)} is not known; {nearest(value, NAMES)}, {WAYS}")
    if isinstance(value, dict):
        return _from_table(value)
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) > 0:
        return Points(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return checked_one(value, "init", ANY)
    raise TypeError(f"init must be one of {', '.join(map(repr, NAMES))}, {WAYS}; {meant(value, ())}")


def _from_table(table: dict[str, Any]) -> Start:
    kinds = {str(c.__struct_config__.tag): c for c in STARTS}
    kind = table.get("type")
    if kind not in kinds:
        raise ValueError(f"init: type {kind!r} is not known; {nearest(str(kind), list(kinds))}")
    fields = {k: v for k, v in table.items() if k != "type"}
    unknown = [k for k in fields if k not in kinds[kind].__struct_fields__]
    if unknown:
        raise ValueError(f"init: unknown key {unknown[0]!r}; {nearest(unknown[0], list(kinds[kind].__struct_fields__))}")
    return kinds[kind](**fields)


def check_fit(init: Init, problem: Any, starts: int) -> None:
    """Refuses an init that does not fit a problem or the number of starts."""
    count = problem.parameter_count
    if isinstance(init, str) and init in ("glorot", "he", "orthogonal") and not problem.layers:
        raise ValueError(f"init={given(init)} scales the layers of networks, and {type(problem).__name__} has none; give 'box', 'zeros', {WAYS}")
    if isinstance(init, Points) and (init.values.shape[1] != count or len(init.values) < starts):
        raise ValueError(f"init must be [{starts}, {count}]: a row per start, a column per parameter; shape {init.values.shape} was given")
    if isinstance(init, LatinHypercube) and init.n < starts:
        raise ValueError(f"LatinHypercube.n must be at least the {starts} starts; {init.n} was given")
    for name in ("low", "high"):
        end = getattr(init, name, None)
        if isinstance(end, tuple) and len(end) != count:
            raise ValueError(f"{type(init).__name__}.{name} must have a number for each of the {count} parameters; {len(end)} were given")


def farthest(init: Init) -> float:
    """A magnitude that no number of an init exceeds: its own numbers', of a normal one nine deviations; 0
    of those that have none.
    """
    if isinstance(init, Points):
        return float(np.abs(init.values).max(initial=0.0))
    if isinstance(init, float):
        return abs(init)
    ends = [np.abs(getattr(init, n)).max() for n in ("low", "high") if getattr(init, n, None) is not None]
    return float(max([9 * getattr(init, "std", 0.0), *ends]))


def initial_points(init: Init, problem: Any, seed: int, starts: np.ndarray) -> np.ndarray:
    """[start, parameter] float64, laid out as the problem's parameter vector: of networks W (units x inputs,
    row by row), then b.

    "glorot" is uniform within sqrt(6 / (inputs + units)) (Glorot and Bengio 2010), "he" normal with standard
    deviation sqrt(2 / inputs) (He et al. 2015), "orthogonal" has orthonormal rows or columns (Saxe et al.
    2014); biases are 0.
    """
    from gdsim.lanes.draws import normal_numbers, uniform_numbers

    count = problem.parameter_count
    if isinstance(init, Points):
        return init.values[starts]
    if init == "zeros" or isinstance(init, float):
        return np.full((len(starts), count), 0.0 if init == "zeros" else init)
    if isinstance(init, (LatinHypercube, Sobol)):
        return _placed(init, problem, _quasi_random(init, count, seed, starts))
    normal = init in ("he", "orthogonal") or isinstance(init, Normal)
    draws = (normal_numbers if normal else uniform_numbers)(seed, starts.astype(np.uint32), (INITIAL_POINT, 0), count)
    if isinstance(init, Normal):
        return draws * init.std
    if init == "box" or isinstance(init, Uniform):
        return _placed(init, problem, draws)
    return _by_layer(init, problem, draws)


def _placed(init: Any, problem: Any, shares: np.ndarray) -> np.ndarray:
    """Shares of the unit cube as points of a box: the start's own, or the problem's."""
    own = None if init == "box" else (init.low, init.high)
    low, high = (np.asarray(v, np.float64) for v in (problem.box if own is None or own[0] is None else own))
    return low + (high - low) * shares


def _quasi_random(init: LatinHypercube | Sobol, count: int, seed: int, starts: np.ndarray) -> np.ndarray:
    """[start, parameter] points of the unit cube."""
    from scipy.stats import qmc

    generator = np.random.Generator(np.random.PCG64(seed))
    if isinstance(init, LatinHypercube):
        return qmc.LatinHypercube(count, rng=generator).random(init.n)[starts]
    return qmc.Sobol(count, rng=generator).random_base2(int(starts.max()).bit_length())[starts]


def _by_layer(init: str, problem: Any, draws: np.ndarray) -> np.ndarray:
    """Draws scaled layer by layer; biases are 0."""
    columns: list[np.ndarray] = []
    first = 0
    for inputs, units in problem.layers:
        part, biases = draws[:, first : first + inputs * units], np.zeros((len(draws), units * problem.intercept))
        if init == "orthogonal":
            part = _orthonormal(part, units, inputs)
        else:
            part = part * np.sqrt(2.0 / inputs) if init == "he" else (2.0 * part - 1.0) * np.sqrt(6.0 / (inputs + units))
        columns += [part, biases]
        first += inputs * units + biases.shape[1]
    return np.concatenate(columns, 1)


def _orthonormal(draws: np.ndarray, units: int, inputs: int) -> np.ndarray:
    """Normal matrices [start, units x inputs] made orthonormal along their shorter side, by Gram and
    Schmidt in a fixed order of sums.
    """
    matrices = draws.reshape(-1, units, inputs)
    vectors = list(np.moveaxis(matrices if units <= inputs else np.moveaxis(matrices, 2, 1), 1, 0).copy())
    for i in range(len(vectors)):
        for other in vectors[:i] * 2:  # twice is enough
            vectors[i] = vectors[i] - dot_rows(vectors[i], other)[:, None] * other
        vectors[i] = vectors[i] / np.sqrt(dot_rows(vectors[i], vectors[i]))[:, None]
    made = np.stack(vectors, 1)
    return (made if units <= inputs else np.moveaxis(made, 2, 1)).reshape(len(draws), -1)


def dot_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The products of rows, summed in order: the same on every processor."""
    return sum((a * b).T, np.zeros(len(a)))
