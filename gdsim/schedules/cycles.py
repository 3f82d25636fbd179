"""Schedules that go through cycles, or one."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gdsim.axes import Axis, Range, checked_one, checked_whole
from gdsim.lanes import pow
from gdsim.lanes.compiler import Closed
from gdsim.lanes.masks import any as any_lane
from gdsim.lanes.operations import absolute, as_type_of, floor, maximum, minimum, where
from gdsim.rules.base import RATE
from gdsim.schedules.base import FACTOR, STEPS, Schedule, before, first_value, half_cosine
from gdsim.schedules.parts import HIGH_MOMENTUM, LOW_MOMENTUM, SGDR_MULT
from gdsim.words import given


class Cosine(Schedule, tag="cosine", frozen=True):
    """Falls along half a cosine from the base rate towards `minimum` over `cycle` steps, then restarts (Loshchilov and Hutter 2017).

    >>> Cosine(cycle=200).minimum
    0.0
    """

    cycle: Axis
    minimum: Axis = 0.0

    ranges = {"cycle": STEPS, "minimum": RATE}
    whole = ("cycle",)

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        return int(values["cycle"]), 1

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        position = (t - 1) % as_type_of(p.cycle, t)
        return half_cosine(base, p.minimum, as_type_of(position, base) / p.cycle)


class SGDR(Schedule, tag="sgdr", frozen=True):
    """Cosine with restarts whose cycles grow by the factor `mult` (Loshchilov and Hutter 2017), as PyTorch's CosineAnnealingWarmRestarts.

    >>> SGDR(cycle=10).mult
    2
    """

    cycle: Axis
    mult: int = 2
    minimum: Axis = 0.0

    ranges = {"cycle": STEPS, "minimum": RATE}
    whole = ("cycle",)

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "mult", checked_whole(self.mult, "SGDR.mult", 2))

    def structure(self) -> list[Any]:
        return [type(self).__name__, self.mult]

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "rate": Closed(SGDR.rate, (("SGDR_MULT", self.mult),))}

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        return int(values["cycle"]), self.mult

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        position, length = t - 1, as_type_of(p.cycle, t)
        while any_lane(position >= length):  # whole numbers: a logarithm misses the exact restarts
            beyond = position >= length
            position, length = where(beyond, position - length, position), where(beyond, length * SGDR_MULT, length)
        return half_cosine(base, p.minimum, as_type_of(position, base) / as_type_of(length, base))


def wave(t: Any, p: Any, like: Any) -> Any:
    """(number of the triangle from 1, height in it) of the cyclical rates."""
    position = before(t, like) / p.half_cycle
    number = floor(1.0 + 0.5 * position)
    return number, maximum(1.0 - absolute(position - 2.0 * number + 1.0), position * 0.0)


class Triangular(Schedule, tag="triangular", frozen=True):
    """Rises evenly from `minimum` to the base rate in `half_cycle` steps, and falls again (Smith 2017), as PyTorch's CyclicLR.

    >>> Triangular(half_cycle=50).cycle_of({"half_cycle": 50.0})
    (100, 1)
    """

    half_cycle: Axis
    minimum: Axis = 0.0

    ranges = {"half_cycle": STEPS, "minimum": RATE}
    whole = ("half_cycle",)

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        return 2 * int(values["half_cycle"]), 1

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        _, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height


class Triangular2(Triangular, tag="triangular2", frozen=True):
    """`Triangular` whose height is halved after each cycle (Smith 2017).

    >>> Triangular2(half_cycle=50).robbins_monro
    (False, True)
    """

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.minimum) > 0.0, first_value(self.minimum) == 0.0

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        number, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height * pow(base * 0.0 + 0.5, number - 1.0)


class ExpRange(Triangular, tag="exp_range", frozen=True):
    """`Triangular` whose height is multiplied by `factor` in each step (Smith 2017).

    >>> ExpRange(half_cycle=50, factor=0.999).minimum
    0.0
    """

    factor: Axis = 0.9994

    ranges = {**Triangular.ranges, "factor": FACTOR}

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        falls = first_value(self.factor) < 1.0
        return not falls or first_value(self.minimum) > 0.0, falls and first_value(self.minimum) == 0.0

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        _, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height * pow(p.factor, before(t, base))


class OneCycle(Schedule, tag="one_cycle", frozen=True):
    """Up to the base rate and down to almost nothing in `steps` steps (Smith and Topin 2019), as PyTorch's OneCycleLR.

    From base / 25 along half a cosine to the base rate at the share `rise` of the steps, then to base / 250000. With
    `momenta` = (low, high) the momentum of Momentum and Nesterov goes from high to low and back meanwhile.

    >>> OneCycle(steps=1000, momenta=(0.85, 0.95)).drives_momentum
    True
    """

    steps: Axis
    rise: Axis = 0.3
    momenta: Sequence[float] | None = None

    ranges = {"steps": STEPS, "rise": Range(0.0, 1.0, low_allowed=False)}
    whole = ("steps",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momenta is not None:
            if not isinstance(self.momenta, (list, tuple)) or len(self.momenta) != 2:
                raise ValueError(f"OneCycle.momenta must be a pair (low, high); {given(self.momenta)} was given")
            pair = tuple(checked_one(m, "OneCycle.momenta", Range(0.0, 1.0)) for m in self.momenta)
            msgspec.structs.force_setattr(self, "momenta", pair)

    @property
    def drives_momentum(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.momenta is not None

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return True, False  # it stays at its last rate

    def structure(self) -> list[Any]:
        return [type(self).__name__, self.momenta]

    def parts(self) -> dict[str, Any]:
        low, high = self.momenta or (0.0, 0.0)
        return {**super().parts(), "scheduled_momentum": Closed(OneCycle.momentum, (("LOW_MOMENTUM", low), ("HIGH_MOMENTUM", high)))}

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        return one_cycle(t, p, base * (1.0 / 25.0), base, base * (1.0 / 250000.0))

    @staticmethod
    def momentum(base: Any, t: Any, p: Any) -> Any:
        return one_cycle(t, p, base * 0.0 + HIGH_MOMENTUM, base * 0.0 + LOW_MOMENTUM, base * 0.0 + HIGH_MOMENTUM)


def one_cycle(t: Any, p: Any, first: Any, peak: Any, last: Any) -> Any:
    """Half a cosine from `first` to `peak`, and one from there to `last`; at the peak from the beginning where the rise takes no step."""
    position, top = minimum(before(t, peak), p.steps - 1.0), p.rise * p.steps - 1.0
    one, at_once = peak * 0.0 + 1.0, top == 0.0
    up, down = where(at_once, one, position) / where(at_once, one, top), (position - top) / (p.steps - 1.0 - top)
    return where(position <= top, half_cosine(first, peak, up), half_cosine(peak, last, down))


class Snapshot(Schedule, tag="snapshot", frozen=True):
    """`cycles` cosine cycles in `steps` steps, at whose ends a snapshot ensemble takes its members (Huang et al. 2017).

    >>> Snapshot(steps=1000, cycles=3).cycle_of({"steps": 1000.0, "cycles": 3.0})
    (334, 1)
    """

    steps: Axis
    cycles: Axis

    ranges = {"steps": STEPS, "cycles": STEPS}
    whole = ("steps", "cycles")

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        return math.ceil(values["steps"] / values["cycles"]), 1

    @staticmethod
    def rate(base: Any, t: Any, p: Any) -> Any:
        length = -floor(-p.steps / p.cycles)
        position = (t - 1) % as_type_of(length, t)
        return half_cosine(base, base * 0.0, as_type_of(position, base) / length)
