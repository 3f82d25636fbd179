"""What any rule can be wrapped in: clipped gradients, weight decay, averages of iterates, and a look from higher ground.

A wrapper is a rule around a rule. Its functions call the inner rule's by the names `inner_prepare`, `inner_update`, ...,
which stand for parts; wrappers can be nested, and what stands outside sees the gradient first.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from gdsim.axes import checked_number
from gdsim.declarations import meant
from gdsim.lanes import fma
from gdsim.lanes.compiler import Closed
from gdsim.lanes.operations import floor, maximum, minimum, where
from gdsim.rules.base import EPSILON, Axis, Range, Rule
from gdsim.rules.parts import inner_normed, inner_prepare, inner_report, inner_update
from gdsim.words import given

POSITIVE = Range(0.0, float("inf"), low_allowed=False)


class Wrapper(Rule, frozen=True):
    """A rule around a rule. `own` gives the wrapper's hyperparameters with their ranges."""

    rule: Rule

    own: ClassVar[Mapping[str, Range]] = {}
    own_slots: ClassVar[tuple[str, ...]] = ()
    own_carry: ClassVar[tuple[str, ...]] = ()
    own_needs_norm: ClassVar[bool] = False
    own_climbs: ClassVar[bool] = False
    own_looks_ahead: ClassVar[bool] = False
    unshown = ("convention",)  # which is the rule's
    meanings = {
        "rule": "The rule that is wrapped; another wrapper too.",
        "value": "The largest magnitude of a component.",
        "norm": "The largest length of the gradient.",
        "weight_decay": "The share of a weight that is drawn away, times the rate if decoupled.",
        "decoupled": "Whether weights shrink apart from the gradient, as AdamW's do; False adds weight_decay * w to the gradient.",
        "start": "How many updates pass before the first iterate is averaged.",
        "every": "Every how many updates an iterate is taken.",
        "rho": "How far uphill the gradient is taken.",
    }

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """The range of the wrapper's own numbers."""
        return [f"in {cls.own[name]}", "a number or an axis"] if name in cls.own else []

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TypeError(f"{type(self).__name__} is put around a rule such as gd.SGD(lr=0.1); {meant(self.rule, ())}")
        taken = [n for n in self.own if n in self.rule.hyperparameters()]
        if taken:
            raise ValueError(f"{type(self).__name__} cannot be put around {type(self.rule).__name__}, which has a hyperparameter {taken[0]!r} itself")
        for name, allowed in self.own.items():
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
    def needs_norm(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether steps need the length of the whole gradient."""
        return self.own_needs_norm or self.rule.needs_norm

    @property
    def climbs(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the gradient is taken away from the weights."""
        return self.own_climbs or self.rule.climbs

    def hyperparameters(self) -> dict[str, Any]:
        """The inner rule's hyperparameters, then the wrapper's."""
        return {**self.rule.hyperparameters(), **{n: getattr(self, n) for n in self.own}}

    def constants(self, values: Mapping[str, float]) -> dict[str, float]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The inner rule's constants."""
        return self.rule.constants(values)

    def structure(self) -> list[Any]:
        """What decides the rule's code, apart from numbers of a run."""
        return [type(self).__name__, *(getattr(self, f) for f in self.__struct_fields__ if f not in ("rule", "convention", *self.own)), self.rule.structure()]

    def parts(self) -> dict[str, Any]:
        """The wrapper's functions, with the inner rule's in their places."""
        inner = self.rule.parts()
        names = tuple((f"inner_{name}", part) for name, part in inner.items())
        return {name: Closed(self._by_convention(name), names) for name in inner}

    @property
    def looks_ahead(self) -> bool:
        """Whether the stored parameters differ from the reported ones."""
        return self.own_looks_ahead or self.rule.looks_ahead

    @staticmethod
    def report(w: Any, slots: Any, s: Any) -> Any:
        return inner_report(w, slots, s.inner)

    @staticmethod
    def normed(s: Any, norm: Any) -> Any:
        return Wrapped(inner_normed(s.inner, norm), s.own)


class Wrapped(NamedTuple):
    """What a wrapper needs in a step: what the inner rule needs, and a number of its own."""

    inner: Any
    own: Any


class Decaying(NamedTuple):
    """What weight decay needs in a step; `shrink` is the rate times the decay."""

    inner: Any
    decay: Any
    shrink: Any


class Averaging(NamedTuple):
    """What an average needs in a step: the share of the new iterate in it."""

    inner: Any
    share: Any


class ClipValue(Wrapper, tag="clip_value", frozen=True):
    """Each component of the gradient clipped to [-value, value], as `torch.nn.utils.clip_grad_value_` does before a step.

    >>> from gdsim.rules import SGD
    >>> ClipValue(SGD(lr=0.1), 1.0).value
    1.0
    """

    value: Axis

    own = {"value": POSITIVE}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        inner, carry = inner_prepare(h, rate, carry)
        return Wrapped(inner, h.value), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return inner_update(w, minimum(maximum(g, -s.own), s.own), slots, s.inner)


class ClipNorm(Wrapper, tag="clip_norm", frozen=True):
    """Gradients longer than `norm` shortened to it, as `torch.nn.utils.clip_grad_norm_` does before a step.

    The length is Euclidean, and that of the gradient which the problem gives, penalty included.

    >>> from gdsim.rules import SGD
    >>> ClipNorm(SGD(lr=0.1), 1.0).needs_norm
    True
    """

    norm: Axis

    own = {"norm": POSITIVE}
    own_needs_norm = True

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        inner, carry = inner_prepare(h, rate, carry)
        return Wrapped(inner, h.norm), carry

    @staticmethod
    def normed(s: Any, norm: Any) -> Any:
        factor = s.own / (norm + 1e-6)  # PyTorch's
        return Wrapped(inner_normed(s.inner, norm), where(factor < 1.0, factor, factor * 0.0 + 1.0))

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return inner_update(w, g * s.own, slots, s.inner)


class WeightDecay(Wrapper, tag="weight_decay", frozen=True):
    """Weights drawn towards 0 in every step: decoupled, by rate * decay of themselves; coupled, by decay * w added to the gradient.

    Biases too, as in PyTorch's `weight_decay`; a penalty of the problem, `l2`, leaves them out.

    >>> from gdsim.rules import SGD
    >>> WeightDecay(SGD(lr=0.1), 0.01).decoupled
    True
    """

    weight_decay: Axis
    decoupled: bool = True

    own = {"weight_decay": EPSILON}

    def _by_convention(self, name: str) -> Any:
        return WeightDecay.update_coupled if name == "update" and not self.decoupled else super()._by_convention(name)

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        inner, carry = inner_prepare(h, rate, carry)
        return Decaying(inner, h.weight_decay, rate * h.weight_decay), carry

    @staticmethod
    def normed(s: Any, norm: Any) -> Any:
        return Decaying(inner_normed(s.inner, norm), s.decay, s.shrink)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return inner_update(fma(-s.shrink, w, w), g, slots, s.inner)

    @staticmethod
    def update_coupled(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return inner_update(w, fma(s.decay, w, g), slots, s.inner)


class Averaged(Wrapper, tag="averaged", frozen=True):
    """Reports the mean of the iterates, from `start` updates on, of every `every`-th (Polyak and Juditsky 1992).

    With `every` as long as the rate's cycle, of the last of each cycle (SWA, Izmailov et al. 2018). Until the first is taken
    it reports the last iterate. The rule goes on from its own iterates.

    >>> from gdsim.rules import SGD
    >>> Averaged(SGD(lr=0.1), start=100).every
    1.0
    """

    start: Axis = 0.0
    every: Axis = 1.0

    own = {"start": EPSILON, "every": Range(1.0, float("inf"))}
    own_slots = ("average",)
    own_carry = ("count", "taken")
    own_looks_ahead = True

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        inner, inner_carry = inner_prepare(h, rate, carry[:-2])
        count, taken = carry[-2] + 1.0, carry[-1]
        beyond = count - h.start
        due = (beyond > 0.0) & (floor(beyond / h.every) * h.every == beyond)
        taken = where(due, taken + 1.0, taken)
        one = taken * 0.0 + 1.0
        return Averaging(inner, where(due, one / taken, where(taken == 0.0, one, one * 0.0))), (*inner_carry, count, taken)

    @staticmethod
    def normed(s: Any, norm: Any) -> Any:
        return Averaging(inner_normed(s.inner, norm), s.share)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        w, inner_slots = inner_update(w, g, slots[:-1], s.inner)
        reported, average = inner_report(w, inner_slots, s.inner), slots[-1]
        average = where(s.share == 1.0, reported, fma(s.share, reported - average, average))
        return w, (*inner_slots, average)

    @staticmethod
    def report(w: Any, slots: Any, s: Any) -> Any:
        return slots[-1]


class SAM(Wrapper, tag="sam", frozen=True):
    """Takes the gradient at w + rho g / |g|, where the loss is about the highest within rho (Foret et al. 2021): two gradients a step.

    The batch is the same for both. The length of the step uphill is that of the gradient which the problem gives.

    >>> from gdsim.rules import SGD
    >>> SAM(SGD(lr=0.1)).rho
    0.05
    """

    rho: Axis = 0.05

    own = {"rho": POSITIVE}
    own_climbs = True

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        inner, carry = inner_prepare(h, rate, carry)
        return Wrapped(inner, h.rho), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return inner_update(w, g, slots, s.inner)


WRAPPERS = (ClipValue, ClipNorm, WeightDecay, Averaged, SAM)
