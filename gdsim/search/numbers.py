"""Continuous hyperparameters of cells, each on a scale on which steps of one size mean about as much everywhere."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from gdsim.axes import Range
from gdsim.population import Tangent
from gdsim.population.setting import PENALTY, SCHEDULE
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.sweep.experiment.cells import Cell, inside, with_value

FACTOR = Range(0.0, math.inf)
FARTHEST = 30.0  # of places, where float32 still tells a share from 1


def with_number(cell: Cell, number: str, value: float) -> Cell:
    """A cell with another value of a number."""
    if number.startswith(PENALTY):
        return cell._replace(problem=msgspec.structs.replace(cell.problem, **{number.removeprefix(PENALTY): value}))
    if number.startswith(SCHEDULE):
        return cell._replace(schedule=with_value(cell.schedule, number.removeprefix(SCHEDULE), value))
    return cell._replace(rule=with_value(cell.rule, number, value))


def _range_of(owner: Rule | Schedule, name: str) -> Range:
    """What a number of a rule or a schedule may be, or of what is in it."""
    field = inside(owner)
    return _range_of(getattr(owner, field), name) if field is not None and name not in owner.ranges else owner.ranges[name]


class Scale(NamedTuple):
    """The scale of a number: the logarithm of a positive one; of a share a that of 1 - a."""

    allowed: Range

    @classmethod
    def of(cls, cell: Cell, tangent: Tangent) -> "Scale":
        """That of a cell's number. Raises ValueError for one that is neither positive nor a share."""
        number = tangent.number
        is_of_schedule = number.startswith(SCHEDULE)
        if number.startswith(PENALTY):
            return cls(FACTOR)
        allowed = _range_of(cell.schedule if is_of_schedule else cell.rule, number.removeprefix(SCHEDULE) if is_of_schedule else number)
        if allowed.low < 0 or (math.isfinite(allowed.high) and (allowed.low, allowed.high) != (0.0, 1.0)):
            raise ValueError(f"{tangent.name!r} is in {allowed}, and the descent takes positive numbers and shares, whose scale is a logarithm; leave it out")
        return cls(allowed)

    def first_place(self, cell: Cell, tangent: Tangent) -> float:
        """Where a cell's number lies. Raises ValueError for one without a logarithm."""
        value = cell.numbers()[tangent.number]
        distance = 1.0 - value if self.is_of_shares else value
        if not distance > 0:
            raise ValueError(f"{tangent.name} is {value:g} in a cell, which has no logarithm: begin with a small positive number, such as {tangent.name}=1e-6")
        return math.log(distance)

    @property
    def is_of_shares(self) -> bool:
        """Whether the number is one between 0 and 1."""
        return math.isfinite(self.allowed.high)

    def nearest(self, place: float) -> float:
        """A place, or the nearest to it whose value is allowed."""
        lowest = math.log(self.allowed.low) if self.allowed.low > 0 else -FARTHEST
        return min(max(place, lowest), 0.0 if self.is_of_shares else FARTHEST)

    def value(self, place: float) -> float:
        """The value there."""
        found = -math.expm1(place) if self.is_of_shares else math.exp(place)
        return found if found in self.allowed else float(np.nextafter(self.allowed.low, math.inf))

    def slope(self, value: float) -> float:
        """The derivative of the value by its place."""
        return value - 1.0 if self.is_of_shares else value


class Numbers:
    """The numbers of cells that are tuned, as places[cell, number] on their scales; NaN of those that a cell has
    not.
    """

    def __init__(self, cells: Sequence[Cell], tangents: Sequence[Sequence[Tangent]]) -> None:
        self.cells, self.tangents = cells, tangents
        self.scales = [[Scale.of(cell, t) if t.is_live else None for t in own] for cell, own in zip(cells, tangents, strict=True)]

    def _map(self, function: Callable[[int, int, Scale], float]) -> np.ndarray:
        """[cell, number] what a function of both and the scale gives."""
        return np.array([[math.nan if scale is None else function(c, k, scale) for k, scale in enumerate(own)] for c, own in enumerate(self.scales)])

    def first_places(self) -> np.ndarray:
        """Where the cells begin. Raises ValueError for a number without a logarithm."""
        return self._map(lambda c, k, scale: scale.first_place(self.cells[c], self.tangents[c][k]))

    def values(self, places: np.ndarray) -> np.ndarray:
        """[cell, number] the values there."""
        return self._map(lambda c, k, scale: scale.value(float(places[c, k])))

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """The places whose values are allowed that are nearest to these."""
        return self._map(lambda c, k, scale: scale.nearest(float(places[c, k])))

    def slopes(self, places: np.ndarray) -> np.ndarray:
        """[cell, number] the derivatives of the values by the places."""
        return self._map(lambda c, k, scale: scale.slope(scale.value(float(places[c, k]))))

    def cells_at(self, places: np.ndarray) -> tuple[Cell, ...]:
        """The cells with their values there."""
        return tuple(map(self._cell, self.cells, self.tangents, self.values(places)))

    @staticmethod
    def _cell(cell: Cell, tangents: Sequence[Tangent], values: np.ndarray) -> Cell:
        for tangent, value in zip(tangents, values.tolist(), strict=True):
            cell = with_number(cell, tangent.number, value) if tangent.is_live else cell
        return cell
