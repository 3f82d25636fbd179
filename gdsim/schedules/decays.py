"""Schedules that fall, step or stay, and the warm-up before any other.

eta is the optimizer's rate, t = 1, 2, ... counts updates.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gdsim.axes import Axis, Range, checked_one, checked_whole
from gdsim.declarations import meant
from gdsim.lanes import pow
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import as_type_of, minimum, where
from gdsim.lanes.types import Hyperparameters, Lane
from gdsim.rules.base import RATE
from gdsim.schedules.base import FACTOR, STEPS, Schedule, before, first_value, half_cosine
from gdsim.schedules.parts import inner_rate
from gdsim.words import given


class Constant(Schedule, tag="constant", frozen=True):
    """The base rate in every step: eta_t = eta.

    >>> Constant.rate(0.1, 100, None)
    0.1
    """

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return base


class InverseTime(Schedule, tag="inverse_time", frozen=True):
    """eta_t = eta / t: meets both conditions of Robbins and Monro.

    >>> InverseTime.rate(1.0, 4, None)
    0.25
    """

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return True, True

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return base / as_type_of(t, base)


class Power(Schedule, tag="power", frozen=True):
    """eta_t = eta / t^exponent, which meets both conditions of Robbins and Monro for 1/2 < exponent <= 1.

    The lecture's 0.1 / t^0.3 meets only the first.

    >>> Power(0.3).robbins_monro
    (True, False)
    """

    exponent: Axis

    ranges = {"exponent": Range(0.0, float("inf"))}

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        exponent = first_value(self.exponent)
        return exponent <= 1.0, exponent > 0.5

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return base / pow(as_type_of(t, base), p.exponent)


class Step(Schedule, tag="step", frozen=True):
    """The rate times `factor` after every `length` steps, as PyTorch's StepLR.

    eta_t = eta factor^floor((t - 1) / length).

    >>> Step(length=100, factor=0.1).robbins_monro
    (False, True)
    """

    length: Axis
    factor: Axis = 0.1

    ranges = {"length": STEPS, "factor": FACTOR}
    whole = ("length",)

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.factor) >= 1.0, first_value(self.factor) < 1.0

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return base * pow(p.factor, as_type_of((t - 1) // as_type_of(p.length, t), base))


class MultiStep(Schedule, tag="multi_step", frozen=True):
    """The rate times `factor` at each of the `milestones`, as PyTorch's MultiStepLR.

    eta_t = eta factor^n with n the number of milestones below t.

    >>> MultiStep([30, 80]).milestones
    (30, 80)
    """

    milestones: Sequence[int]
    factor: Axis = 0.1

    ranges = {"factor": FACTOR}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.milestones, (list, tuple)) or not self.milestones:
            raise ValueError(f"MultiStep.milestones must be a list of steps; {given(self.milestones)} was given")
        milestones = tuple(sorted(checked_whole(m, "MultiStep.milestones", 0) for m in self.milestones))
        msgspec.structs.force_setattr(self, "milestones", milestones)

    def structure(self) -> list[Any]:
        return [type(self).__name__, self.milestones]

    def parts(self) -> dict[str, Any]:
        count = " + ".join(f"where(t > {m}, one, 0.0)" for m in self.milestones)
        text = f"def rate(base, t, p):\n    one = base * 0.0 + 1.0\n    return base * pow(p.factor, {count})"
        return {**super().parts(), "rate": function_from(text, "rate", {"where": where, "pow": pow})}


class Exponential(Schedule, tag="exponential", frozen=True):
    """The rate times `factor` every `length` steps, smoothly; with length 1 PyTorch's ExponentialLR.

    eta_t = eta factor^((t - 1) / length).

    >>> Exponential(0.99).length
    1.0
    """

    factor: Axis
    length: Axis = 1.0

    ranges = {"factor": FACTOR, "length": STEPS}

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.factor) >= 1.0, first_value(self.factor) < 1.0

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return base * pow(p.factor, before(t, base) / p.length)


class Polynomial(Schedule, tag="polynomial", frozen=True):
    """Falls to `end` in `steps` steps along a power of what is left of them.

    As optax's polynomial_schedule and PyTorch's PolynomialLR:     eta_t = end + (eta - end) (1 - min(t - 1,
    steps) / steps)^power.

    >>> Polynomial(steps=100).power
    1.0
    """

    steps: Axis
    power: Axis = 1.0
    end: Axis = 0.0

    ranges = {"steps": STEPS, "power": FACTOR, "end": RATE}
    whole = ("steps",)

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.end) > 0.0, first_value(self.end) == 0.0

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        left = 1.0 - minimum(before(t, base), p.steps) / p.steps
        return (base - p.end) * pow(left, p.power) + p.end


class CosineDecay(Schedule, tag="cosine_decay", frozen=True):
    """Falls along half a cosine from the base rate to `minimum` in `steps` steps, and stays there.

    eta_t = minimum + (eta - minimum) (1 + cos(pi min(t - 1, steps) / steps)) / 2.

    >>> CosineDecay(steps=100).robbins_monro
    (False, True)
    """

    steps: Axis
    minimum: Axis = 0.0

    ranges = {"steps": STEPS, "minimum": RATE}
    whole = ("steps",)

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return first_value(self.minimum) > 0.0, first_value(self.minimum) == 0.0

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        return half_cosine(base, p.minimum, minimum(before(t, base), p.steps) / p.steps)


class Piecewise(Schedule, tag="piecewise", frozen=True):
    """A table of (step, factor): from each step on, the base rate times the factor.

    eta_t = eta factor with the factor of the last row whose step is below t.

    >>> Piecewise([(0, 1.0), (100, 0.1)]).table
    ((0, 1.0), (100, 0.1))
    """

    table: Sequence[tuple[int, float]]

    def __post_init__(self) -> None:
        rows = self.table
        if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(r, (list, tuple)) and len(r) == 2 for r in rows):
            raise ValueError(f"Piecewise.table must be a list of pairs (step, factor); {given(rows)} was given")
        table = tuple((checked_whole(s, "Piecewise.table: step", 0), checked_one(f, "Piecewise.table: factor", RATE)) for s, f in rows)
        steps = [s for s, _ in table]
        if steps[0] != 0 or sorted(set(steps)) != steps:
            raise ValueError(f"Piecewise.table must begin at step 0 and go on with later steps; {given(rows)} was given")
        msgspec.structs.force_setattr(self, "table", table)

    def structure(self) -> list[Any]:
        return [type(self).__name__, self.table]

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return self.table[-1][1] > 0.0, self.table[-1][1] == 0.0

    def parts(self) -> dict[str, Any]:
        lines = [f"    factor = where(t > {step}, one * {factor!r}, factor)" for step, factor in self.table[1:]]
        text = "\n".join(
            ["def rate(base, t, p):", "    one = base * 0.0 + 1.0", f"    factor = one * {self.table[0][1]!r}", *lines, "    return base * factor"]
        )
        return {**super().parts(), "rate": function_from(text, "rate", {"where": where})}


class Warmup(Schedule, tag="warmup", frozen=True):
    """Rises evenly to the base rate in `warmup` steps, then follows another schedule (Goyal et al. 2017).

    eta_t = eta t / warmup for t <= warmup, then the other schedule's rate of update t - warmup.

    >>> Warmup(Constant(), warmup=10).robbins_monro
    (True, False)
    """

    schedule: Schedule
    warmup: Axis

    ranges = {"warmup": STEPS}
    whole = ("warmup",)

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule) or isinstance(self.schedule, Warmup):
            raise TypeError(f"Warmup is put before a schedule such as gd.Cosine(cycle=100); {meant(self.schedule, ())}")
        super().__post_init__()

    def hyperparameters(self) -> dict[str, Any]:
        return {**self.schedule.hyperparameters(), "warmup": self.warmup}

    def structure(self) -> list[Any]:
        return [type(self).__name__, *self.schedule.structure()]

    def parts(self) -> dict[str, Any]:
        inner = self.schedule.parts()
        return {**inner, "rate": ScopedPart(Warmup.rate, (("inner_rate", inner["rate"]),))}

    @property
    def drives_momentum(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.schedule.drives_momentum

    @property
    def robbins_monro(self) -> tuple[bool, bool]:
        return self.schedule.robbins_monro

    @staticmethod
    def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
        length = as_type_of(p.warmup, t)
        rises = t <= length
        after = where(rises, t * 0 + 1, t - length)
        return where(rises, base * as_type_of(t, base) / p.warmup, inner_rate(base, after, p))
