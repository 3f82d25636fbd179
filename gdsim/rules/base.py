"""What an update rule is: a frozen declaration with a few plain functions over lanes."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from gdsim.axes import Axis, Range, checked_number


class Unset(msgspec.Struct, frozen=True):
    """Stands for a field that was not given, until the convention says what it is."""


UNSET: Any = Unset()

Convention = Literal["lecture", "torch"]


RATE = Range(0.0, float("inf"))
SHARE = Range(0.0, 1.0)
EPSILON = Range(0.0, float("inf"))


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """How a step is made of a gradient.

    A rule is one class: its hyperparameters as fields, and the functions that kernels are bound with. `prepare` is called
    once per step and pack, `update` once per weight. Both see lanes in a kernel and numbers in ordinary Python.

    `slots` names the state per weight, `carry` the state per run; both start at 0. `defaults` gives the fields' values by
    convention, `ranges` what they may be. `constants` derives numbers from them, in float64, that kernels see rounded once.
    """

    convention: Convention = "lecture"

    slots: ClassVar[tuple[str, ...]] = ()
    carry: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.convention, str) or self.convention not in self.defaults:
            allowed = ", ".join(repr(c) for c in self.defaults)
            raise ValueError(f"{type(self).__name__}: convention={self.convention!r} is not defined for this rule; allowed: {allowed}")
        for name, default in self.defaults[self.convention].items():
            value = getattr(self, name)
            value = default if value is UNSET else value
            msgspec.structs.force_setattr(self, name, checked_number(value, f"{type(self).__name__}.{name}", self.ranges[name]))

    @classmethod
    def hyperparameters(cls) -> tuple[str, ...]:
        """The fields that are numbers of each run, in the order of the declaration."""
        return tuple(next(iter(cls.defaults.values())))

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        """Numbers that follow from the hyperparameters, computed in float64."""
        return {}

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with, by the rule's convention."""
        suffix = "" if self.convention == "lecture" else f"_{self.convention}"
        return {name: getattr(type(self), name + suffix, getattr(type(self), name)) for name in ("prepare", "update", "report")}

    @property
    def looks_ahead(self) -> bool:
        """Whether the stored parameters differ from the reported ones."""
        return self.parts()["report"] is not Rule.report

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        """(what `update` needs in this step, the new carry) from the hyperparameters and the scheduled rate."""
        raise NotImplementedError

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        """(the new weight, its new slots) from a weight, its gradient and its slots."""
        raise NotImplementedError

    @staticmethod
    def report(w: Any, slots: Any, s: Any) -> Any:
        """The reported parameter, from the stored one."""
        return w


__all__ = ["EPSILON", "RATE", "SHARE", "UNSET", "Axis", "Range", "Rule"]
