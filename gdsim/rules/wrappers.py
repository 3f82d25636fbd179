"""What any rule can be wrapped in: clipped gradients, weight decay, averages of iterates, gradients uphill.

A wrapper is a rule around a rule. Its functions call the inner rule's by the names `inner_prepare`,
`inner_update`, ..., which stand for parts; wrappers can be nested, and what stands outside sees the gradient
first.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from gdsim.axes import checked_number
from gdsim.declarations import check_own, meant
from gdsim.lanes import fma
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.operations import floor, maximum, minimum, where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import EPSILON, Axis, Range, Rule
from gdsim.rules.parts import inner_prepare, inner_reported, inner_standing, inner_update, inner_with_gradient
from gdsim.words import given

POSITIVE = Range(0.0, float("inf"), low_allowed=False)


class WrapperStep(NamedTuple):
    """What a wrapper needs in a step: what the inner rule needs, and a number of its own."""

    inner: Any
    own: Lane


class WeightDecayStep(NamedTuple):
    """What weight decay needs in a step: lambda, and `shrink` = eta lambda."""

    inner: Any
    decay: Lane
    shrink: Lane


class AveragedStep(NamedTuple):
    """What an average needs in a step: the new iterate's `weight` in it, 1 / n where it is the n-th.

    Before the first it is 1, where none is taken 0.
    """

    inner: Any
    weight: Lane


class Wrapper(Rule, frozen=True):
    """A rule around a rule.

    `ranges` names the wrapper's own hyperparameters; `own_slots`, `own_carry` and so on say what it adds to
    the rule's.
    """

    rule: Rule

    own_slots: ClassVar[tuple[str, ...]] = ()
    own_carry: ClassVar[tuple[str, ...]] = ()
    own_needs_whole_gradient: ClassVar[bool] = False
    own_perturbs: ClassVar[bool] = False
    own_reports_other_point: ClassVar[bool] = False
    unshown = ("convention",)  # which is the rule's
    meanings = {
        "rule": "The rule that is wrapped; another wrapper too.",
        "value": "The largest magnitude of a component.",
        "norm": "The largest length of the gradient.",
        "weight_decay": "The share of a weight that is drawn away, times the rate if decoupled.",
        "decoupled": "Whether weights shrink apart from the gradient, as AdamW's do; False adds weight_decay * w to it.",
        "start": "How many updates pass before the first iterate is averaged.",
        "every": "Every how many updates an iterate is taken.",
        "rho": "How far uphill the gradient is taken.",
    }

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TypeError(f"{type(self).__name__} is put around a rule such as gd.SGD(lr=0.1); {meant(self.rule, ())}")
        self.check_names()
        check_own(type(self), Rule)
        taken = [n for n in self.ranges if n in self.rule.hyperparameters()]
        if taken:
            raise ValueError(f"{type(self).__name__} cannot be put around {type(self.rule).__name__}, which has a hyperparameter {taken[0]!r} itself")
        for name, allowed in self.ranges.items():
            msgspec.structs.force_setattr(self, name, checked_number(getattr(self, name), f"{type(self).__name__}.{name}", allowed))

    def check_anew(self) -> None:
        """Refuses a convention: a wrapper has none, and the rule in it has its own."""
        if self.convention != "lecture":
            inner = type(self.rule).__name__
            raise ValueError(f"{type(self).__name__} has no convention of its own; {given(self.convention)} was given: give it to {inner}")

    @property
    def slots(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The state per weight, the inner rule's first."""
        return (*self.rule.slots, *self.own_slots)

    @property
    def carry(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The state per run, the inner rule's first."""
        return (*self.rule.carry, *self.own_carry)

    @property
    def innermost(self) -> Rule:
        """The rule that is wrapped."""
        return self.rule.innermost

    @property
    def needs_whole_gradient(self) -> bool:
        """Whether a step needs `with_gradient` before the first weight moves."""
        return self.own_needs_whole_gradient or self.rule.needs_whole_gradient

    @property
    def perturbs(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the gradient is taken away from the weights."""
        return self.own_perturbs or self.rule.perturbs

    def hyperparameters(self) -> dict[str, Any]:
        """The inner rule's hyperparameters, then the wrapper's."""
        return {**self.rule.hyperparameters(), **{n: getattr(self, n) for n in self.ranges}}

    def constants(self, values: Mapping[str, float]) -> dict[str, float]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The inner rule's constants."""
        return self.rule.constants(values)

    def structure(self) -> list[Any]:
        """What decides the rule's code, apart from numbers of a run."""
        return [
            type(self).__name__,
            *(getattr(self, f) for f in self.__struct_fields__ if f not in ("rule", "convention", *self.ranges)),
            self.rule.structure(),
        ]

    def parts(self) -> dict[str, Any]:
        """The wrapper's functions, with the inner rule's in their places."""
        inner = self.rule.parts()
        names = tuple((f"inner_{name}", part) for name, part in inner.items())
        return {name: ScopedPart(self._by_convention(name), names) for name in inner}

    @property
    def reports_other_point(self) -> bool:
        """Whether the stored parameters differ from the reported ones."""
        return self.own_reports_other_point or self.rule.reports_other_point

    @property
    def stands_elsewhere(self) -> bool:
        """Whether the stored parameters differ from where the model stands."""
        return self.rule.stands_elsewhere

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_reported(w, slots, s.inner)

    @staticmethod
    def standing(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_standing(w, slots, s.inner)

    @staticmethod
    def with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
        return WrapperStep(inner_with_gradient(s.inner, norm, loss), s.own)


class ClipValue(Wrapper, tag="clip_value", frozen=True):
    """Each component of the gradient clipped to [-value, value], as `torch.nn.utils.clip_grad_value_`.

    The rule gets min(max(g, -value), value) in the place of g.

    >>> from gdsim.rules import SGD
    >>> ClipValue(SGD(lr=0.1), 1.0).value
    1.0
    """

    value: Axis

    ranges = {"value": POSITIVE}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[WrapperStep, Lanes]:
        inner, carry = inner_prepare(h, rate, carry)
        return WrapperStep(inner, h.value), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: WrapperStep) -> tuple[Lane, Lanes]:
        return inner_update(w, minimum(maximum(g, -s.own), s.own), slots, s.inner)


class ClipNorm(Wrapper, tag="clip_norm", frozen=True):
    """Gradients longer than `norm` shortened to it, as `torch.nn.utils.clip_grad_norm_` does before a step.

    The rule gets min(1, norm / (|g| + 10^-6)) g in the place of g, |.| the Euclidean length of the gradient
    which the problem gives, penalty included; with SAM, inside it or around it, of the gradient uphill.

    >>> from gdsim.rules import SGD
    >>> ClipNorm(SGD(lr=0.1), 1.0).needs_whole_gradient
    True
    """

    norm: Axis

    ranges = {"norm": POSITIVE}
    own_needs_whole_gradient = True

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[WrapperStep, Lanes]:
        inner, carry = inner_prepare(h, rate, carry)
        return WrapperStep(inner, h.norm), carry

    @staticmethod
    def with_gradient(s: WrapperStep, norm: Lane, loss: Lane) -> WrapperStep:
        factor = s.own / (norm + 1e-6)  # PyTorch's
        return WrapperStep(inner_with_gradient(s.inner, norm, loss), where(factor < 1.0, factor, factor * 0.0 + 1.0))

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: WrapperStep) -> tuple[Lane, Lanes]:
        return inner_update(w, g * s.own, slots, s.inner)


class WeightDecay(Wrapper, tag="weight_decay", frozen=True):
    """Weights drawn towards 0 in every step, by themselves (decoupled) or through the gradient (coupled).

    With lambda = weight_decay the rule steps from (1 - eta lambda) w in the place of w (Loshchilov and Hutter
    2019), or gets g + lambda w in the place of g. Biases too, as in PyTorch's `weight_decay`; a penalty of
    the problem, `l2`, leaves them out.

    >>> from gdsim.rules import SGD
    >>> WeightDecay(SGD(lr=0.1), 0.01).decoupled
    True
    """

    weight_decay: Axis
    decoupled: bool = True

    ranges = {"weight_decay": EPSILON}

    def _by_convention(self, name: str) -> Any:
        return WeightDecay.update_coupled if name == "update" and not self.decoupled else super()._by_convention(name)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[WeightDecayStep, Lanes]:
        inner, carry = inner_prepare(h, rate, carry)
        return WeightDecayStep(inner, h.weight_decay, rate * h.weight_decay), carry

    @staticmethod
    def with_gradient(s: WeightDecayStep, norm: Lane, loss: Lane) -> WeightDecayStep:
        return WeightDecayStep(inner_with_gradient(s.inner, norm, loss), s.decay, s.shrink)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: WeightDecayStep) -> tuple[Lane, Lanes]:
        return inner_update(fma(-s.shrink, w, w), g, slots, s.inner)

    @staticmethod
    def update_coupled(w: Lane, g: Lane, slots: Lanes, s: WeightDecayStep) -> tuple[Lane, Lanes]:
        return inner_update(w, fma(s.decay, w, g), slots, s.inner)


class Averaged(Wrapper, tag="averaged", frozen=True):
    """Reports the mean of every `every`-th iterate from `start` updates on (Polyak and Juditsky 1992).

    a_n = a_(n-1) + (w_t - a_(n-1)) / n with t = start + n every; the rule goes on from its own iterates w_t.
    With `every` as long as the rate's cycle, of the last of each cycle (SWA, Izmailov et al. 2018). Until the
    first is taken it reports the last iterate.

    >>> from gdsim.rules import SGD
    >>> Averaged(SGD(lr=0.1), start=100).every
    1.0
    """

    start: Axis = 0.0
    every: Axis = 1.0

    ranges = {"start": EPSILON, "every": Range(1.0, float("inf"))}
    own_slots = ("average",)
    own_carry = ("count", "taken")
    own_reports_other_point = True

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AveragedStep, Lanes]:
        inner, inner_carry = inner_prepare(h, rate, carry[:-2])
        count, taken = carry[-2] + 1.0, carry[-1]
        beyond = count - h.start
        due = (beyond > 0.0) & (floor(beyond / h.every) * h.every == beyond)
        taken = where(due, taken + 1.0, taken)
        one = taken * 0.0 + 1.0
        return AveragedStep(inner, where(due, one / taken, where(taken == 0.0, one, one * 0.0))), (*inner_carry, count, taken)

    @staticmethod
    def with_gradient(s: AveragedStep, norm: Lane, loss: Lane) -> AveragedStep:
        return AveragedStep(inner_with_gradient(s.inner, norm, loss), s.weight)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: AveragedStep) -> tuple[Lane, Lanes]:
        w, inner_slots = inner_update(w, g, slots[:-1], s.inner)
        reported, average = inner_reported(w, inner_slots, s.inner), slots[-1]
        average = where(s.weight == 1.0, reported, fma(s.weight, reported - average, average))
        return w, (*inner_slots, average)

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: AveragedStep) -> Lane:
        return slots[-1]

    @staticmethod
    def standing(w: Lane, slots: Lanes, s: AveragedStep) -> Lane:
        return inner_standing(w, slots[:-1], s.inner)


class SAM(Wrapper, tag="sam", frozen=True):
    """Takes the gradient where the loss is about the highest within rho of the weights (Foret et al. 2021).

    The rule steps from w with the gradient at w + rho g / |g| in the place of g. Both are those of the same
    batch, and g is the gradient which the problem gives, penalty included; where it is 0, so is the step
    uphill. A step takes two gradients.

    >>> from gdsim.rules import SGD
    >>> SAM(SGD(lr=0.1)).rho
    0.05
    """

    rho: Axis = 0.05

    ranges = {"rho": POSITIVE}
    own_perturbs = True

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[WrapperStep, Lanes]:
        inner, carry = inner_prepare(h, rate, carry)
        return WrapperStep(inner, h.rho), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: WrapperStep) -> tuple[Lane, Lanes]:
        return inner_update(w, g, slots, s.inner)


WRAPPERS = (ClipValue, ClipNorm, WeightDecay, Averaged, SAM)
