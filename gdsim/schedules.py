"""Learning-rate schedules: the rate of each step, computed per run from parameters that are numbers of the run.

`rate(base, t, p)` gives the rate of update t = 1, 2, ... from the optimizer's `lr` and the schedule's own parameters.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from gdsim.axes import Axis, Range, checked_number
from gdsim.lanes import cos, pow
from gdsim.lanes.operations import as_type_of
from gdsim.rules.base import RATE

PI = 3.141592653589793


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """How the learning rate changes from step to step. Its fields are numbers of each run."""

    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        for name, allowed in self.ranges.items():
            checked = checked_number(getattr(self, name), f"{type(self).__name__}.{name}", allowed)
            msgspec.structs.force_setattr(self, name, checked)

    @classmethod
    def hyperparameters(cls) -> tuple[str, ...]:
        """The fields, in the order of the declaration."""
        return tuple(cls.ranges)

    @property
    def is_cyclic(self) -> bool:
        """Whether the rate returns to where it was, cycle after cycle."""
        return "cycle" in self.ranges

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        """(length of the first cycle, by how much each is longer than the last) of a run with these numbers; (0, 1) without cycles."""
        return (int(values["cycle"]), 1) if self.is_cyclic else (0, 1)

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        """The rate of update t = 1, 2, ... with base rate `base` and parameters `p`."""
        raise NotImplementedError


class Constant(Schedule, tag="constant", frozen=True):
    """The base rate in every step."""

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        return base


class InverseTime(Schedule, tag="inverse_time", frozen=True):
    """eta / t: meets both conditions of Robbins and Monro (1951).

    >>> InverseTime.rate(1.0, 4, None)
    0.25
    """

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        return base / as_type_of(t, base)


class Power(Schedule, tag="power", frozen=True):
    """eta / t^exponent. Meets both conditions of Robbins and Monro (1951) for 1/2 < exponent <= 1; the lecture's
    0.1 / t^0.3 meets only the first.

    >>> Power(0.5).exponent
    0.5
    """

    exponent: Axis

    ranges = {"exponent": Range(0.0, float("inf"))}

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        return base / pow(as_type_of(t, base), p.exponent)


class Cosine(Schedule, tag="cosine", frozen=True):
    """Falls along half a cosine from the base rate towards `minimum` over `cycle` steps, then restarts (Loshchilov and Hutter 2017).

    >>> Cosine(cycle=200).minimum
    0.0
    """

    cycle: Axis
    minimum: Axis = 0.0

    ranges = {"cycle": Range(1.0, 2.0**24, high_allowed=True), "minimum": RATE}

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.cycle if isinstance(self.cycle, tuple) else (self.cycle,)
        if any(isinstance(v, float) and v != int(v) for v in values):
            raise ValueError(f"Cosine.cycle counts steps and must be a whole number; {self.cycle!r} was given")

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        position = (t - 1) % as_type_of(p.cycle, t)
        phase = as_type_of(position, base) / p.cycle
        return p.minimum + (base - p.minimum) * (0.5 + 0.5 * cos(PI * phase))


SCHEDULES = (Constant, InverseTime, Power, Cosine)
