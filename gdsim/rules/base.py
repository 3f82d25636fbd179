"""What an update rule is: a frozen declaration with a few plain functions over lanes."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from gdsim.axes import Axis, Range, checked_number
from gdsim.declarations import Declaration, check_own
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.words import given


class ByConvention:
    """Stands for a field that was not given, until the convention says what it is."""

    def __repr__(self) -> str:
        return "by convention"


BY_CONVENTION: Any = ByConvention()

Convention = Literal["lecture", "torch", "optax"]

# What functions and settings of rules were called before.
RENAMED = {
    "needs_norm": "with_gradient(s, norm, loss), which needs no setting beside it", "normed": "with_gradient(s, norm, loss)",
    "report": "reported(w, slots, s)", "own_needs_norm": "own_needs_whole_gradient",
}  # fmt: skip

RATE = Range(0.0, float("inf"))
SHARE = Range(0.0, 1.0)
EPSILON = Range(0.0, float("inf"))


class Rule(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """How a step is made of a gradient.

    A rule is one class: its hyperparameters as fields, and the functions that kernels are bound with.
    `prepare` is called once per step and pack, `update` once per weight. Both see lanes in a kernel and
    numbers in ordinary Python. With the hyperparameters h, the schedule's rate eta_t and the batch's gradient
    g at the weights, a step is

        s, carry_t = prepare(h, eta_t, carry_(t-1))
        s = with_gradient(s, |g|, loss)                      where the rule has such a function
        w_t, slots_t = update(w_(t-1), g, slots_(t-1), s)

    and reported(w_t, slots_t, s) is what results hold; s is of the next step.

    `slots` names the state per weight, `carry` the state per run; both start at 0. `defaults` gives the
    fields' values by convention, `ranges` what they may be. `constants` derives numbers from them, in
    float64, that kernels see rounded once. A function of one convention has its name behind it, as
    `update_torch`, and is taken there in the place of `update`.
    """

    convention: Convention = "lecture"

    slots: ClassVar[Any] = ()
    carry: ClassVar[Any] = ()
    defaults: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    ranges: ClassVar[Mapping[str, Range]] = {}
    perturbs: ClassVar[Any] = False  # whether the gradient is taken away from the weights, where the loss is higher
    always_shown = ("lr",)
    meanings = {
        "lr": "Learning rate, eta: the factor of the gradient, before the schedule.",
        "momentum": "Share a of the last step that the next one keeps.",
        "decay": "Share of the old value in the running mean of squared gradients.",
        "beta1": "Share of the old value in the running mean of gradients.",
        "beta2": "Share of the old value in the running mean of squared gradients.",
        "eps": "Keeps the divisor from 0; `eps_mode` says where it is added, if the rule has one.",
        "weight_decay": "Each step takes rate * weight_decay of every weight away.",
        "momentum_decay": "How fast the momentum warms up, in PyTorch's form.",
        "shrink": "Factor of a weight's step size where its gradient turned.",
        "grow": "Factor of a weight's step size where its gradient kept its sign.",
        "smallest": "The smallest step size of a weight.",
        "largest": "The largest step size of a weight.",
        "convention": 'Whose formula and defaults: "lecture", "torch" or "optax", where the rule has them.',
        "eps_mode": 'Where eps is added: "inside" the root, or "outside"; the libraries have it outside.',
        "rule": "The rule that is wrapped.",
    }

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """The range, and the defaults of the other conventions where they differ."""
        usual = cls.shown_defaults().get(name)
        others = {convention: given[name] for convention, given in cls.defaults.items() if name in given and given[name] != usual}
        said = [f'{value:g} by convention="{convention}"' for convention, value in others.items()]
        return [*said, *super().documented_values(name), *(["a number or an axis"] if name in cls.ranges else [])]

    @classmethod
    def shown_defaults(cls) -> dict[str, Any]:
        """The default convention's values."""
        return dict(cls.defaults.get("lecture") or {})

    def defaults_here(self) -> dict[str, Any]:
        """The values of the rule's own convention."""
        return {**super().defaults_here(), **self.defaults.get(self.convention, {})}

    def check_names(self) -> None:
        """Refuses names of earlier versions, which nothing reads, where those of today are not there. Raises
        TypeError.
        """
        for old, new in RENAMED.items():
            today = new.partition("(")[0]
            if getattr(self, old, None) and getattr(type(self), today, False) in (False, getattr(Rule, today, False)):
                raise TypeError(f"{type(self).__name__}.{old} is a name that nothing reads: write {new}")

    def check_class(self) -> None:
        """Refuses a class that does not say what its numbers may be. Raises TypeError."""
        name = type(self).__name__
        if not self.defaults:
            raise TypeError(f"{name} has no defaults: write its numbers by convention, as in defaults = {{'lecture': {{'lr': 0.01}}}}")
        for kept, names in (("slots", self.slots), ("carry", self.carry)):
            if not isinstance(names, tuple) or not all(isinstance(n, str) for n in names):
                raise TypeError(f"{name}.{kept} must be a tuple of names, as in {kept} = ('mean',); {given(names)} was given")
        for convention, values in self.defaults.items():
            if not isinstance(values, Mapping):
                raise TypeError(
                    f"{name}.defaults has {given(values)} for {convention!r}: write defaults = {{'lecture': {{'lr': 0.01}}}}, numbers by convention"
                )
            if "lr" not in values:
                raise TypeError(f"{name}.defaults[{convention!r}] lacks 'lr', the learning rate that schedules change: write lr: Axis = BY_CONVENTION")
        for field in dict.fromkeys(n for values in self.defaults.values() for n in values):
            if field not in self.__struct_fields__:
                raise TypeError(f"{name}.defaults has {field!r}, which is no field: write {field}: Axis = BY_CONVENTION")
            if field not in self.ranges:
                raise TypeError(f"{name}.ranges lacks {field!r}, which has a default: write ranges = {{{field!r}: RATE}}, or another Range")

    def __post_init__(self) -> None:
        self.check_names()
        self.check_class()
        check_own(type(self), Rule)
        if not isinstance(self.convention, str) or self.convention not in self.defaults:
            allowed = ", ".join(repr(c) for c in self.defaults)
            raise ValueError(f"{type(self).__name__}: convention={given(self.convention)} is not defined for this rule; allowed: {allowed}")
        for name, default in self.defaults[self.convention].items():
            value, said = getattr(self, name), f"{type(self).__name__}.{name}"
            value, said = (default, f"the default of {said}") if value is BY_CONVENTION else (value, said)
            msgspec.structs.force_setattr(self, name, checked_number(value, said, self.ranges[name]))
        for name in self.__struct_fields__:
            if getattr(self, name) is BY_CONVENTION:
                raise TypeError(f"{type(self).__name__}.defaults[{self.convention!r}] lacks {name!r}, which is a number by convention: write it there")

    @property
    def innermost(self) -> "Rule":
        """The rule itself, without what it is wrapped in."""
        return self

    def hyperparameters(self) -> dict[str, Any]:
        """The fields that are numbers of each run, in the order declared, with their values or axes."""
        return {name: getattr(self, name) for name in next(iter(self.defaults.values()))}

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        """Numbers that follow from the hyperparameters, computed in float64."""
        return {}

    def structure(self) -> list[Any]:
        """What decides the rule's code, apart from numbers of a run."""
        return [type(self).__name__, self.convention]

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with, by the rule's convention."""
        return {name: self._by_convention(name) for name in ("prepare", "update", "reported", "standing", "with_gradient")}

    def _by_convention(self, name: str) -> Any:
        return getattr(type(self), f"{name}_{self.convention}", getattr(type(self), name))

    @property
    def needs_whole_gradient(self) -> bool:
        """Whether a step needs `with_gradient` before the first weight moves."""
        return self.parts()["with_gradient"] is not Rule.with_gradient

    @property
    def reports_other_point(self) -> bool:
        """Whether the stored parameters differ from the reported ones."""
        return self.parts()["reported"] is not Rule.reported

    @property
    def stands_elsewhere(self) -> bool:
        """Whether the stored parameters differ from where the model stands."""
        return self.parts()["standing"] is not Rule.standing

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
        """(what `update` needs in this step, the new carry) from hyperparameters and scheduled rate."""
        raise NotImplementedError

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
        """(the new weight, its new slots) from a weight, its gradient and its slots."""
        raise NotImplementedError

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
        """The reported parameter, from the stored one."""
        return w

    @staticmethod
    def standing(w: Lane, slots: Lanes, s: Any) -> Lane:
        """Where the model stands, from the stored parameter: what workers average."""
        return w

    @staticmethod
    def with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
        """What `update` needs, once the whole gradient is known: from its Euclidean length and the loss of
        the step's batch.

        Both are those of the point where the gradient is taken, penalty included.
        """
        return s


class RootedRule(Rule, frozen=True, kw_only=True):
    """A rule that divides by a root of squared gradients, sqrt(v + eps) or sqrt(v) + eps.

    `eps_mode` says where eps is; if not given, it is inside the root in the lecture's form and outside in the
    libraries'. Inside, 1e-16 acts as 1e-8 does outside. `update_inside` and `update_outside` are taken
    accordingly, and likewise `update_optax_inside` in one convention.
    """

    eps_mode: Literal["inside", "outside"] | None = None

    @classmethod
    def shown_defaults(cls) -> dict[str, Any]:
        """The default convention's values, eps inside the root."""
        return {**super().shown_defaults(), "eps_mode": "inside"}

    def defaults_here(self) -> dict[str, Any]:
        """The values of the rule's own convention, and where it has eps."""
        return {**super().defaults_here(), "eps_mode": self._usual_mode}

    @property
    def _usual_mode(self) -> str:
        return "inside" if self.convention == "lecture" else "outside"

    def __post_init__(self) -> None:
        super().__post_init__()
        mode = self._usual_mode if self.eps_mode is None else self.eps_mode
        if mode not in ("inside", "outside"):
            raise ValueError(f"{type(self).__name__}.eps_mode must be 'inside' or 'outside'; {given(self.eps_mode)} was given")
        msgspec.structs.force_setattr(self, "eps_mode", mode)

    def structure(self) -> list[Any]:
        """What decides the rule's code, apart from numbers of a run."""
        return [*super().structure(), self.eps_mode]

    def _by_convention(self, name: str) -> Any:
        kinds = (f"{name}_{self.convention}_{self.eps_mode}", f"{name}_{self.eps_mode}")
        return next((getattr(type(self), kind) for kind in kinds if hasattr(type(self), kind)), super()._by_convention(name))


__all__ = ["BY_CONVENTION", "EPSILON", "RATE", "SHARE", "Axis", "Range", "RootedRule", "Rule"]
