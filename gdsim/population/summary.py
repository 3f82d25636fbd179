"""A population without its runs: per cell and checkpoint how many there are, how their values lie, exact
sums, extremes.

All is counted in integers, so that summaries merge in any order to the same bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.summary import (
    BIN_SHIFT,
    BINS,
    EXPONENTS,
    EXTREMES,
    HIGH,
    HIGH_HIGH,
    HIGH_LOW,
    HIGH_PART,
    HIGH_START,
    LOW,
    LOW_LOW,
    LOW_PART,
    LOW_START,
    MAGNITUDE,
    PART_BITS,
    SUMS,
    WORD_BITS,
    ZERO_BIN,
    add_values,
)
from gdsim.lanes.compiler import bind
from gdsim.population.columns import columns_of, curves_of, validated_of
from gdsim.population.setting import Setting
from gdsim.stops import STATUSES, Status
from gdsim.variables import CURVE, NUMBER, derivative_name, known_variable

# What is known of a run at its end, beside its curves; whether it ended above its start, as 1 or 0.
WORSE = "worse_than_start"
ENDS = ("final_loss", "best_loss", "steps_taken", WORSE)
AT_END = -1  # the checkpoint of these
# Sums are whole multiples of the smallest double, sums of squares of its square.
UNIT_BITS = 1074
# Tables of a chunk hold so many histograms, and a sweep's checkpoints are few enough that one cell's fit.
MOST_HISTOGRAMS, MOST_CHECKPOINTS = 128, 2048


class Key(NamedTuple):
    """What an entry is of: a variable ("status:diverged" for how many have ended so), a cell by its place or
    hash, a checkpoint's step.
    """

    variable: str
    cell: Any
    step: int


class Entry(NamedTuple):
    """The values of so many runs, counted.

    `total` and `squares` are in whole units of 2^-1074 and 2^-2148.
    """

    runs: int
    total: int = 0
    squares: int = 0
    low: float = float("nan")
    low_start: int = -1
    high: float = float("nan")
    high_start: int = -1
    bins: Mapping[int, int] = {}

    def merged(self, other: "Entry") -> "Entry":
        """The entry of the runs of both, which have none in common."""
        low, low_start = min((self.low, self.low_start), (other.low, other.low_start))
        high, below = max((self.high, -self.high_start), (other.high, -other.high_start))
        bins = dict(self.bins)
        for place, count in other.bins.items():
            bins[place] = bins.get(place, 0) + count
        return Entry(self.runs + other.runs, self.total + other.total, self.squares + other.squares, low, low_start, high, -below, bins)

    @property
    def finite(self) -> int:
        """How many of the values are finite: those that the sums hold."""
        infinite = (bin_of(float("inf")), bin_of(float("-inf")))
        return self.runs - sum(self.bins.get(b, 0) for b in infinite)

    @property
    def mean(self) -> float:
        """The mean of the finite values, rounded once."""
        return rounded(Fraction(self.total, self.finite << UNIT_BITS)) if self.finite else float("nan")

    @property
    def variance(self) -> float:
        """The mean square of the finite values less the square of their mean, rounded once."""
        n = self.finite
        return rounded(Fraction(n * self.squares - self.total**2, n * n << 2 * UNIT_BITS)) if n else float("nan")


Entries = dict[Key, Entry]


def rounded(value: Fraction) -> float:
    """The double nearest to an exact value; infinite beyond the largest."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def merge(entries: Entries, others: Mapping[Key, Entry]) -> None:
    """Adds the runs of other entries, which have none in common with these."""
    for key, entry in others.items():
        entries[key] = entry if key not in entries else entries[key].merged(entry)


def bin_of(value: float) -> int:
    """The bin of a value; a double's place in the order of doubles, without the last 49 bits."""
    bits = int(np.float64(value + 0.0).view(np.int64))
    return (bits ^ (bits >> 63 & MAGNITUDE)) >> BIN_SHIFT


def bin_edges(bins: Sequence[int]) -> np.ndarray:
    """The lowest value of each bin."""
    keys = np.asarray(bins, np.int64) << BIN_SHIFT
    return _doubles(keys)


def _doubles(keys: np.ndarray) -> np.ndarray:
    """The numbers of ordered integers."""
    keys = np.asarray(keys, np.int64)
    return (keys ^ ((keys >> 63) & MAGNITUDE)).view(np.float64)


class Table:
    """The counts of one variable for the cells of a chunk, at `places` checkpoints.

    Pages of memory that no number needs are never touched.
    """

    def __init__(self, cells: int, places: int) -> None:
        shape = (cells, places)
        self.histogram = np.zeros((*shape, BINS), np.int64)
        self.sums = np.zeros((*shape, EXPONENTS, SUMS), np.int64)
        self.extremes = np.zeros((*shape, EXTREMES), np.int64)
        self.extremes[..., LOW], self.extremes[..., HIGH] = MAGNITUDE, -MAGNITUDE - 1

    def add(self, values: np.ndarray, cell: np.ndarray, start: np.ndarray) -> None:
        """Counts values[run, place]."""
        from numba import types

        ints = lambda d: types.Array(types.int64, d, "C")  # noqa: E731
        signature = types.void(ints(2), ints(1), ints(1), ints(3), ints(4), ints(3))
        kernel = bind(add_values, {}, signature)
        bits = (np.ascontiguousarray(values, np.float64) + 0.0).view(np.int64)  # -0 as 0
        kernel(bits, cell, start, self.histogram, self.sums, self.extremes)

    def entries(self) -> Iterator[tuple[int, int, Entry]]:
        """(cell, place, entry) for all that hold a value."""
        for cell, place in zip(*np.nonzero(self.extremes[..., LOW] <= self.extremes[..., HIGH]), strict=True):
            known = self.extremes[cell, place]
            first, last = int(known[LOW]) >> BIN_SHIFT, int(known[HIGH]) >> BIN_SHIFT
            counts = self.histogram[cell, place, first + ZERO_BIN : last + ZERO_BIN + 1]
            bins = {first + int(b): int(counts[b]) for b in np.flatnonzero(counts)}
            exponents = sorted({max(1, (b if b >= 0 else ~b) >> 3) for b in bins} - {EXPONENTS})
            total, squares = _exact_sums(exponents, self.sums[cell, place])
            low, high = float(_doubles(known[LOW])), float(_doubles(known[HIGH]))
            entry = Entry(sum(bins.values()), total, squares, low, int(known[LOW_START]), high, int(known[HIGH_START]), bins)
            yield int(cell), int(place), entry


def _exact_sums(exponents: Sequence[int], sums: np.ndarray) -> tuple[int, int]:
    """(sum, sum of squares) in whole units."""
    total = squares = 0
    for e in exponents:
        s = [int(v) for v in sums[e]]
        word = lambda k: s[k] + (s[k + 1] << WORD_BITS)  # noqa: B023, E731
        total += ((s[HIGH_PART] << PART_BITS) + s[LOW_PART]) << (e - 1)
        squares += ((word(HIGH_HIGH) << 2 * PART_BITS) + (word(HIGH_LOW) << PART_BITS + 1) + word(LOW_LOW)) << 2 * (e - 1)
    return total, squares


class Summary:
    """The runs of a chunk, counted as their batches come; losses that rank diverged runs as infinite.

    One thread adds at a time.
    """

    def __init__(self, setting: Setting, cells: int) -> None:
        self.setting, self.checkpoints = setting, setting.checkpoints
        self.curves = {name: Table(cells, len(self.checkpoints)) for name in counted_curves(setting)}
        self.ends = {name: Table(cells, 1) for name in (*ENDS, *validated_of(setting), *_derivatives(setting, NUMBER))}
        self.ended = np.zeros((cells, len(self.checkpoints) + 1, len(STATUSES)), np.int64)

    def add(self, columns: Mapping[str, np.ndarray], cell: np.ndarray, start: np.ndarray) -> None:
        """Counts runs: their columns, the places of their cells, their starts."""
        cell, start = np.ascontiguousarray(cell, np.int64), np.ascontiguousarray(start, np.int64)
        for name, table in self.curves.items():
            table.add(columns[name], cell, start)
        ends = _ends(columns, self.setting)
        for name, table in self.ends.items():
            table.add(ends[name][:, None], cell, start)
        seen = np.searchsorted(self.checkpoints, columns["steps_taken"])
        np.add.at(self.ended, (cell, seen, columns["status"]), 1)

    def entries(self) -> Entries:
        """What was counted, by variable, place of the cell, and step."""
        found: Entries = {}
        for name, table in (*self.curves.items(), *self.ends.items()):
            for cell, place, entry in table.entries():
                found[Key(name, cell, AT_END if name in self.ends else self.checkpoints[place])] = entry
        for cell, place, status in zip(*np.nonzero(np.cumsum(self.ended, 1)[:, :-1]), strict=True):
            count = int(np.cumsum(self.ended[cell, :, status])[place])
            found[Key(f"status:{STATUSES[status]}", int(cell), self.checkpoints[place])] = Entry(count)
        return found


def counted_curves(setting: Setting) -> tuple[str, ...]:
    """The curves that are counted: those that are recorded, and their derivatives."""
    return (*curves_of(setting), *_derivatives(setting, CURVE))


def _derivatives(setting: Setting, dims: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of these dims that a setting has because of its tangents, beside its curves."""
    if not setting.tangents:
        return ()
    plain = {*columns_of(setting._replace(tangents=())), *curves_of(setting)}
    found = ((name, known_variable(name)) for name in columns_of(setting) if name not in plain)
    return tuple(name for name, known in found if known is not None and known.dims == dims)


def _ends(columns: Mapping[str, np.ndarray], setting: Setting) -> dict[str, np.ndarray]:
    """The columns as they are counted at the ends of runs.

    What ranks runs is the worst where they diverged, and has no derivative there; and there is no step where
    none was found.
    """
    diverged = columns["status"] == STATUSES.index(Status.DIVERGED)
    found = {**columns, WORSE: (~diverged & (columns["final_loss"] > columns["loss"][:, 0])).astype(float)}
    for name in ("final_loss", "final_validation_loss", "best_validation_loss", "final_validation_accuracy", "best_validation_accuracy"):
        if name in columns:
            found[name] = np.where(diverged, 0.0 if "accuracy" in name else np.inf, columns[name])
        for derivative in (derivative_name(name, t.name) for t in setting.tangents):
            if derivative in columns:
                found[derivative] = np.where(diverged, np.nan, columns[derivative])
    if "best_validation_step" in columns:
        steps = columns["best_validation_step"]
        found["best_validation_step"] = np.where(steps < 0, np.nan, steps)
    return found
