"""Directions of the starting point, along which results are differentiated."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one
from gdsim.declarations import Declaration
from gdsim.lanes.draws import normal_numbers
from gdsim.lanes.philox import DIRECTION
from gdsim.starts import dot_rows
from gdsim.words import given

ANY = Range(float("-inf"), float("inf"), low_allowed=False)


class Direction(Declaration, frozen=True, forbid_unknown_fields=True):
    """A direction of the starting point, among the `tangents` of a sweep: a unit vector for each start, the same
    in all cells.

    >>> Direction([3.0, 4.0]).vectors(0, np.arange(2), 2)
    array([[0.6, 0.8],
           [0.6, 0.8]])
    """

    meanings = {
        "direction": '"random", a vector for each start, drawn by the sweep\'s seed evenly over the sphere; or the numbers of one for all '
        "starts, one per parameter, which are scaled to length 1.",
    }

    direction: Literal["random"] | Sequence[float] = "random"

    def __post_init__(self) -> None:
        if self.direction == "random" and isinstance(self.direction, str):
            return
        if isinstance(self.direction, str) or not isinstance(self.direction, (list, tuple, np.ndarray)) or np.ndim(self.direction) != 1:
            raise ValueError(f"Direction takes 'random' or a list of numbers, one per parameter; {given(self.direction)} was given")
        numbers = tuple(checked_one(float(v), "Direction", ANY) for v in self.direction)
        if not any(numbers):
            raise ValueError("Direction: a vector of zeros has no direction; give one with a number that is not 0")
        msgspec.structs.force_setattr(self, "direction", numbers)

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """Those that were given, None of random ones."""
        return None if isinstance(self.direction, str) else tuple(self.direction)

    def vectors(self, seed: int, starts: np.ndarray, count: int) -> np.ndarray:
        """[start, parameter] unit vectors of `count` parameters, in float64."""
        if self.numbers is None:
            drawn = normal_numbers(seed, starts, (DIRECTION, 0), count)
        else:
            drawn = np.broadcast_to(np.array(self.numbers) / np.abs(self.numbers).max(), (len(starts), count))
        return drawn / np.sqrt(dot_rows(drawn, drawn))[:, None]


def is_direction(value: Any) -> bool:
    """Whether a table of a file declares a direction, as {direction = "random"} does."""
    return isinstance(value, dict) and set(value) == {"direction"}
