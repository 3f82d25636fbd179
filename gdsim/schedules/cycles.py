"""Schedules that go through cycles, or one.

eta is the optimizer's rate, t = 1, 2, ... counts updates, k = t - 1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gdsim.axes import Axis, Range, checked_one, checked_whole
from gdsim.lanes import pow
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.masks import any as any_lane
from gdsim.lanes.operations import absolute, as_type_of, floor, maximum, minimum, where
from gdsim.lanes.types import Hyperparameters, Lane
from gdsim.rules.base import RATE
from gdsim.schedules.base import FACTOR, STEPS, Schedule, before, first_value, half_cosine
from gdsim.schedules.parts import HIGH_MOMENTUM, LOW_MOMENTUM, SGDR_MULT
from gdsim.words import given


class Cosine(Schedule, tag="cosine", frozen=True):
    """Falls along half a cosine to `minimum` over `cycle` steps, then restarts (Loshchilov and Hutter 2017).

    eta_t = minimum + (eta - minimum) (1 + cos(pi (k mod cycle) / cycle)) / 2.

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
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        position = (t - 1) % as_type_of(p.cycle, t)
        return half_cosine(base, p.minimum, as_type_of(position, base) / p.cycle)


class SGDR(Schedule, tag="sgdr", frozen=True):
    """Cosine with restarts whose cycles grow by the factor `mult` (Loshchilov and Hutter 2017).

    As PyTorch's CosineAnnealingWarmRestarts:     eta_t = minimum + (eta - minimum) (1 + cos(pi j / l)) / 2 at
    step j = 0, 1, ... of a cycle of l steps: cycle of the first, then each `mult` times as long as the last.

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
        return {**super().parts(), "rate": ScopedPart(SGDR.rate, (("SGDR_MULT", self.mult),))}

    def cycle_of(self, values: Mapping[str, float]) -> tuple[int, int]:
        return int(values["cycle"]), self.mult

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        position, length = t - 1, as_type_of(p.cycle, t)
        while any_lane(position >= length):  # whole numbers: a logarithm misses the exact restarts
            beyond = position >= length
            position, length = where(beyond, position - length, position), where(beyond, length * SGDR_MULT, length)
        return half_cosine(base, p.minimum, as_type_of(position, base) / as_type_of(length, base))


def wave(t: Lane, p: Hyperparameters, like: Lane) -> tuple[Lane, Lane]:
    """(n, height) of the cyclical rates, the number of the triangle and the height in it.

    n = floor(1 + k / (2 half_cycle)), height = max(0, 1 - |k / half_cycle - 2 n + 1|).
    """
    position = before(t, like) / p.half_cycle
    number = floor(1.0 + 0.5 * position)
    return number, maximum(1.0 - absolute(position - 2.0 * number + 1.0), position * 0.0)


class Triangular(Schedule, tag="triangular", frozen=True):
    """Rises evenly from `minimum` to the base rate in `half_cycle` steps, and falls again (Smith 2017).

    As PyTorch's CyclicLR:     eta_t = minimum + (eta - minimum) height with height = 1 - |k / half_cycle - 2
    n + 1| in triangle number n = floor(1 + k / (2 half_cycle)).

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
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        _, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height


class Triangular2(Triangular, tag="triangular2", frozen=True):
    """`Triangular` whose height is halved after each cycle (Smith 2017).

    eta_t = minimum + (eta - minimum) height / 2^(n - 1) with height and n of `Triangular`.

    >>> Triangular2(half_cycle=50).robbins_monro
    (False, True)
    """

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.minimum) > 0.0, first_value(self.minimum) == 0.0

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        number, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height * pow(base * 0.0 + 0.5, number - 1.0)


class ExpRange(Triangular, tag="exp_range", frozen=True):
    """`Triangular` whose height is multiplied by `factor` in each step (Smith 2017).

    eta_t = minimum + (eta - minimum) height factor^k with the height of `Triangular`.

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
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        _, height = wave(t, p, base)
        return p.minimum + (base - p.minimum) * height * pow(p.factor, before(t, base))


class OneCycle(Schedule, tag="one_cycle", frozen=True):
    """Up to the base rate and down to almost nothing in `steps` steps (Smith and Topin 2019).

    As PyTorch's OneCycleLR: from eta / 25 along half a cosine to eta at k = rise steps - 1, then along
    another to eta / 250000 at k = steps - 1, where it stays. With `momenta` = (low, high) the momentum of
    Momentum and Nesterov goes from high to low and back meanwhile.

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
        return {**super().parts(), "scheduled_momentum": ScopedPart(OneCycle.momentum, (("LOW_MOMENTUM", low), ("HIGH_MOMENTUM", high)))}

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return one_cycle(t, p, base * (1.0 / 25.0), base, base * (1.0 / 250000.0))

    @staticmethod
    def momentum(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return one_cycle(t, p, base * 0.0 + HIGH_MOMENTUM, base * 0.0 + LOW_MOMENTUM, base * 0.0 + HIGH_MOMENTUM)


def one_cycle(t: Lane, p: Hyperparameters, first: Lane, peak: Lane, last: Lane) -> Lane:
    """Half a cosine from `first` to `peak`, then one to `last`; a rise of no step begins at the peak."""
    position, top = minimum(before(t, peak), p.steps - 1.0), p.rise * p.steps - 1.0
    one, at_once = peak * 0.0 + 1.0, top == 0.0
    up, down = where(at_once, one, position) / where(at_once, one, top), (position - top) / (p.steps - 1.0 - top)
    return where(position <= top, half_cosine(first, peak, up), half_cosine(peak, last, down))


class Snapshot(Schedule, tag="snapshot", frozen=True):
    """`cycles` cosine cycles in `steps` steps, each of which gives an ensemble a member (Huang et al. 2017).

    eta_t = eta (1 + cos(pi (k mod l) / l)) / 2 with l = ceil(steps / cycles).

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
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        length = -floor(-p.steps / p.cycles)
        position = (t - 1) % as_type_of(length, t)
        return half_cosine(base, base * 0.0, as_type_of(position, base) / length)
