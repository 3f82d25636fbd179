"""A schedule that has some steps behind it, for trainings that go on in epochs of another length."""

from typing import Any

from gdsim.axes import Axis, Range
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.operations import as_type_of
from gdsim.schedules import Constant, Schedule
from gdsim.schedules.parts import inner_rate


class Later(Schedule, tag="later", frozen=True):
    """The schedule as it is `skipped` updates before the one that is counted: update t has the rate of update
    t - skipped.
    """

    schedule: Schedule
    skipped: Axis

    ranges = {"skipped": Range(0.0, 2.0**24)}
    whole = ("skipped",)
    meanings = {"schedule": "The schedule that is followed.", "skipped": "Updates that are counted and were not made."}

    def hyperparameters(self) -> dict[str, Any]:
        """Those of the schedule, and how many updates are skipped."""
        return {**self.schedule.hyperparameters(), "skipped": self.skipped}

    def structure(self) -> list[Any]:
        """What decides the schedule's code."""
        return [type(self).__name__, *self.schedule.structure()]

    def parts(self) -> dict[str, Any]:
        """The schedule's functions, of earlier updates."""
        return {name: ScopedPart(Later.rate, (("inner_rate", function),)) for name, function in self.schedule.parts().items()}

    @property
    def drives_momentum(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the schedule drives a momentum."""
        return self.schedule.drives_momentum

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        """The schedule's rate, or its momentum, `skipped` updates earlier."""
        return inner_rate(base, t - as_type_of(p.skipped, t), p)


def later(schedule: Schedule, skipped: int) -> Schedule:
    """The schedule with so many updates counted that were not made; itself where that is none, or where the
    rate is always the same.
    """
    return schedule if skipped == 0 or isinstance(schedule, Constant) else Later(schedule, skipped)
