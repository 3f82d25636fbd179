"""What the functions of landscapes are given, checked before anything is computed."""

import math
from typing import Any, NamedTuple

import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.landscape.grids import check_room
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.problems.checked import check_penalties
from gdsim.questions.points import points_of
from gdsim.words import given

FINITE = Range(-math.inf, math.inf, low_allowed=False)
NOT_NEGATIVE = Range(0.0, math.inf)
POSITIVE = Range(0.0, math.inf, low_allowed=False)


def spaced(first: float, last: float, points: int) -> np.ndarray:
    """So many numbers from the first to the last, which are 0 and 1 exactly where they meet them.

    >>> spaced(-0.5, 1.5, 5).tolist()
    [-0.5, 0.0, 0.5, 1.0, 1.5]
    """
    steps = np.arange(points)
    return (first * steps[::-1] + last * steps) / (points - 1)


def checked_range(ends: Any, points: Any, name: str) -> np.ndarray:
    """So many values between two ends. Raises TypeError or ValueError."""
    if not isinstance(ends, (tuple, list, np.ndarray)) or len(ends) != 2:
        raise TypeError(f"{name} must be two numbers, (first, last); {given(ends)} was given")
    first, last = (checked_one(float(v), name, FINITE) for v in ends)
    if not first < last:
        raise ValueError(f"{name} must be (first, last) with first < last; {given(ends)} was given")
    check_room(checked_whole(points, "points", 2))
    return spaced(first, last, points)


class Centres(NamedTuple):
    """Points of runs, each with its problem."""

    problems: tuple[Any, ...]
    place: np.ndarray  # [run] of its problem
    given: Given
    rows: np.ndarray  # [run, parameter] float64, NaN behind the parameters of smaller problems

    @classmethod
    def of(cls, problem: Any, parameters: Any, variable: str, what: str, name: str, dtype: str | None) -> "Centres":
        """Checked points of a problem, or of a result. Raises TypeError or ValueError."""
        problems, found, place = points_of(problem, parameters, variable, what, takes_modules=True)
        for number, one in enumerate(problems):
            check_penalties(one, f"{what} needs")
            runs = np.flatnonzero(place == number)
            rows = found.rows[runs]
            if not rows.size:
                raise ValueError(f"{name} must be a vector of parameters, or [run, parameter]; shape {found.rows.shape} was given")
            evaluation_setting(one, rows, dtype)
            lost = runs[~np.isfinite(rows[:, : one.parameter_count]).all(1)]
            if len(lost):
                raise ValueError(f"{name} must be finite numbers; {f'those of run {lost[0]} are not' if found.dims else 'some are not'}")
        return cls(problems, place, found, found.rows.astype(np.float64))

    @property
    def is_double(self) -> bool:
        """Whether the points were given in double precision."""
        return self.given.rows.dtype == np.float64
