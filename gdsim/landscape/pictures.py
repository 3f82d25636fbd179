"""Scores on grids of points, each of a line or plane of parameters: the work, which is cut into ranges of
points, and the Dataset that is made of it.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.data.arrays import plain
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.planes import Asked, plane_scores, variables_of
from gdsim.problems import Problem
from gdsim.sweep.planning.machine import usable_cores
from gdsim.words import given

FINITE = Range(-math.inf, math.inf, low_allowed=False)
POSITIVE = Range(0.0, math.inf, low_allowed=False)
MOST_VALUES = 2**28  # of one score on all grids together: 1 GiB in float32
SHARE = 256  # points that a thread works on at least


class Grids(NamedTuple):
    """Grids of points of one problem, the same coordinates for all runs: w_0 + t_1 d_1 + t_2 d_2."""

    problem: Problem
    origins: np.ndarray  # w_0[run, parameter]
    directions: np.ndarray  # d[run, axis, parameter]; of one run, where they are the same for all
    coordinates: np.ndarray  # t[point, axis]
    gradient_norm: bool
    dtype: str

    @property
    def items(self) -> int:
        """How many points there are on all grids."""
        return len(self.origins) * len(self.coordinates)

    def scores(self, first: int, last: int) -> dict[str, np.ndarray]:
        """{name: [item]} of the items from `first` to before `last`, the points of one run after those of
        another.
        """
        setting, asked = evaluation_setting(self.problem, self.origins[:1], self.dtype), Asked.of(self.problem, self.gradient_norm)
        found = {name: np.empty(last - first, self.dtype) for name in variables_of(self.problem, asked)}
        points = len(self.coordinates)
        for run in range(first // points, -(-last // points)):
            begin, end = max(first, run * points), min(last, (run + 1) * points)
            directions = self.directions[min(run, len(self.directions) - 1)]
            terms = np.zeros((3, self.origins.shape[1]))
            terms[0], terms[1 : 1 + len(directions)] = self.origins[run], directions
            for name, values in plane_scores(setting, terms, self.coordinates[begin - run * points : end - run * points], asked).items():
                found[name][begin - first : end - first] = values
        return found


def check_room(count: int) -> None:
    """Raises ValueError for more points than memory should hold."""
    if count > MOST_VALUES:
        raise ValueError(f"{count:,} points are more than the {MOST_VALUES:,} that are kept in memory; take fewer points or runs")


def scores_of(grids: Grids, threads: int | None) -> dict[str, np.ndarray]:
    """{name: [run, point]}: all of them, on threads of this machine. Raises ValueError for too many."""
    count = grids.items
    check_room(count)
    workers = max(1, min(usable_cores() if threads is None else checked_whole(threads, "threads"), count // SHARE))
    if workers == 1:
        parts = [grids.scores(0, count)]
    else:
        ends = [count * k // workers for k in range(workers + 1)]
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(grids.scores, ends[:-1], ends[1:]))
    return {name: np.concatenate([p[name] for p in parts]).reshape(len(grids.origins), -1) for name in parts[0]}


def spaced(first: float, last: float, points: int) -> np.ndarray:
    """So many numbers from the first to the last, which fall on 0 and 1 exactly where they meet them."""
    steps = np.arange(points)
    return (first * steps[::-1] + last * steps) / (points - 1)


def checked_ends(ends: Any, points: Any) -> np.ndarray:
    """The values between two ends. Raises TypeError or ValueError."""
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise TypeError(f"alpha must be two numbers, (first, last); {given(ends)} was given")
    first, last = (checked_one(v, "alpha", FINITE) for v in ends)
    if not first < last:
        raise ValueError(f"alpha must be (first, last) with first < last; {given(ends)} was given")
    check_room(checked_whole(points, "points", 2))
    return spaced(first, last, points)


def checked_problem(problem: Any, what: str) -> Problem:
    """One problem with one penalty for all points. Raises TypeError or ValueError."""
    if not isinstance(problem, Problem):
        raise TypeError(f"{what} needs a problem or a result; {type(problem).__name__} was given")
    for name in ("l1", "l2"):
        if not isinstance(getattr(problem, name), float):
            raise ValueError(f"{what} needs one {name} for all parameters; {getattr(problem, name)!r} was given")
    return problem


class Pair(NamedTuple):
    """Two points of each run, and how they were given."""

    given: Given
    a: np.ndarray  # [run, parameter], float64
    b: np.ndarray
    dtype: str

    @classmethod
    def of(cls, problem: Problem, a: Any, b: Any, dtype: str | None) -> "Pair":
        """Checked points. Raises ValueError."""
        both = [points_of(problem, p, name, dtype) for p, name in ((a, "a"), (b, "b"))]
        (first, kind), (second, other) = both
        if len(first.rows) != len(second.rows) and first.dims and second.dims:
            raise ValueError(f"a and b must be as many points; {len(first.rows)} and {len(second.rows)} were given")
        whole = max(first, second, key=lambda g: (bool(g.dims), g.coordinates is not None))
        count, size = len(whole.rows), problem.parameter_count
        begin, end = (np.broadcast_to(g.rows[:, :size], (count, size)).astype(np.float64) for g in (first, second))
        same = np.flatnonzero((begin == end).all(1))
        if len(same):
            raise ValueError(f"a line needs two different points; a and b are equal{f' in run {same[0]}' if whole.dims else ''}")
        return cls(whole, begin, end, "float64" if "float64" in (kind, other) else kind)


def points_of(problem: Problem, parameters: Any, name: str, dtype: str | None) -> tuple[Given, str]:
    """(points as they were given, the number type to compute in), checked. Raises ValueError."""
    if parameters is None or not plain(getattr(parameters, "values", parameters), name).size:
        raise ValueError(f"{name} must be a vector of parameters, or [run, parameter]; {given(parameters)} was given")
    found = Given.of(parameters)
    kind = evaluation_setting(problem, found.rows, dtype).dtype
    if not np.isfinite(found.rows[:, : problem.parameter_count]).all():
        raise ValueError(f"{name} must be finite numbers; some are not")
    return found, kind
