"""What a schedule is, and what several have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from gdsim.axes import Range, checked_number
from gdsim.declarations import Declaration, check_own
from gdsim.lanes import cos
from gdsim.lanes.operations import as_type_of
from gdsim.lanes.types import Hyperparameters, Lane
from gdsim.words import given

PI = 3.141592653589793
STEPS = Range(1.0, 2.0**24, high_allowed=True)
FACTOR = Range(0.0, float("inf"), low_allowed=False)


class Schedule(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """How the learning rate changes from step to step.

    eta_t = rate(eta, t, p) is the rate of update t = 1, 2, ... from the optimizer's rate eta. The fields in
    `ranges` are numbers p of each run; those in `whole` count steps.
    """

    ranges: ClassVar[Mapping[str, Range]] = {}
    whole: ClassVar[tuple[str, ...]] = ()
    drives_momentum: ClassVar[Any] = False
    meanings = {
        "cycle": "Steps of a cycle, of SGDR the first.",
        "mult": "How many times longer each cycle is than the last.",
        "half_cycle": "Steps of the rise, and of the fall.",
        "minimum": "The lowest rate.",
        "factor": "What the rate, or a wave's height, is multiplied by.",
        "length": "Steps from one factor to the next.",
        "steps": "Steps until the end of the schedule; beyond, the rate stays at its last.",
        "rise": "Share of the steps on which the rate rises.",
        "momenta": "(low, high): the momentum goes from high to low and back; None leaves it alone.",
        "cycles": "How many cycles there are in `steps`.",
        "exponent": "The power of t by which the rate is divided.",
        "power": "The power of the fall: 1 for a straight line.",
        "end": "The rate at the end.",
        "milestones": "The steps at which the factor is taken.",
        "table": "Pairs (step, factor), the first at step 0.",
        "schedule": "The schedule that follows.",
        "warmup": "Steps of the rise.",
    }

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """The range, and whether it counts steps."""
        kind = ["a whole number or an axis"] if name in cls.whole else ["a number or an axis"] if name in cls.ranges else []
        return [*super().documented_values(name), *kind]

    def __post_init__(self) -> None:
        kind = type(self).__name__
        check_own(type(self), Schedule)
        for name, allowed in self.ranges.items():
            checked = checked_number(getattr(self, name), f"{kind}.{name}", allowed)
            values = checked if isinstance(checked, tuple) else (checked,)
            if name in self.whole and any(isinstance(v, float) and v != int(v) for v in values):
                raise ValueError(f"{kind}.{name} counts steps and must be a whole number; {given(getattr(self, name))} was given")
            msgspec.structs.force_setattr(self, name, checked)

    def hyperparameters(self) -> dict[str, Any]:
        """The fields that are numbers of each run, with their values or axes."""
        return {name: getattr(self, name) for name in self.ranges}

    def structure(self) -> list[Any]:
        """What decides the schedule's code."""
        return [type(self).__name__]

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        return {"rate": type(self).rate, "scheduled_momentum": type(self).momentum}

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        """(length of the first cycle, how many times longer each next one is) of a run; (0, 1) without."""
        return 0, 1

    @property
    def is_cyclic(self) -> bool:
        """Whether the rate comes back to where it was, cycle after cycle."""
        return type(self).cycle_of is not Schedule.cycle_of

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        """Whether the sum of all rates is infinite, that of their squares finite (Robbins and Monro 1951).

        Both together let stochastic gradient descent converge. Of an axis, for its first value.
        """
        return True, False

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        """The rate of update t = 1, 2, ... with base rate `base` and parameters `p`."""
        raise NotImplementedError

    @staticmethod
    def momentum(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        """The momentum of update t, where the schedule drives it."""
        return base


def before(t: Lane, like: Lane) -> Lane:
    """t - 1, how many updates come before update t, as a number of the type of `like`."""
    return as_type_of(t - 1, like)


def half_cosine(first: Lane, last: Lane, share: Lane) -> Lane:
    """From `first` to `last` along half a cosine: last + (first - last) (1 + cos(pi share)) / 2."""
    return last + (first - last) * (0.5 + 0.5 * cos(PI * share))


def first_value(axis: Any) -> float:
    """The first value of an axis."""
    from gdsim.axes import values

    return values(axis)[0]
