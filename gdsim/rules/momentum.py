"""Gradient descent and its two forms of momentum."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.lanes import fma
from gdsim.rules.base import BY_CONVENTION, RATE, SHARE, Axis, Rule


class Rate(NamedTuple):
    """What SGD needs in a step."""

    rate: Any


class MomentumStep(NamedTuple):
    """What the momentum rules need in a step."""

    rate: Any
    momentum: Any


class NesterovStep(NamedTuple):
    """What Nesterov needs in a step: this step's momentum and the next's."""

    rate: Any
    momentum: Any
    next_momentum: Any


class SGD(Rule, tag="sgd", frozen=True):
    """Stochastic gradient descent, w - eta g: gradient descent with `batch=None` (Robbins and Monro 1951).

    >>> SGD(lr=0.1).lr
    0.1
    """

    lr: Axis = BY_CONVENTION

    defaults = {"lecture": {"lr": 0.01}, "torch": {"lr": 0.001}}
    ranges = {"lr": RATE}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return Rate(rate), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return fma(-s.rate, g, w), slots


class Momentum(Rule, tag="momentum", frozen=True):
    """Heavy ball (Polyak 1964): h = a h + eta g, w - h. In PyTorch's form the rate is outside: b = a b + g, w - eta b.

    >>> Momentum(momentum=[0.8, 0.9]).momentum
    (0.8, 0.9)
    """

    lr: Axis = BY_CONVENTION
    momentum: Axis = BY_CONVENTION

    slots = ("velocity",)
    defaults = {"lecture": {"lr": 0.01, "momentum": 0.9}, "torch": {"lr": 0.001, "momentum": 0.9}}
    ranges = {"lr": RATE, "momentum": SHARE}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return MomentumStep(rate, h.momentum), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, s.rate * g)
        return w - velocity, (velocity,)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, g)
        return fma(-s.rate, velocity, w), (velocity,)


class Nesterov(Rule, tag="nesterov", frozen=True):
    """Accelerated gradient (Nesterov 1983): h = a h + eta g(w - a h), w - h.

    What is stored is the look-ahead point y = w - a h, where gradients are taken; w = y + a h is what is reported. In
    PyTorch's form, b = a b + g, y - eta (g + a b), the look-ahead point is the parameter.

    >>> Nesterov(lr=0.1, momentum=0.9).looks_ahead
    True
    """

    lr: Axis = BY_CONVENTION
    momentum: Axis = BY_CONVENTION

    slots = ("velocity",)
    defaults = Momentum.defaults
    ranges = Momentum.ranges

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        return {"next_momentum": values["momentum"]}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return NesterovStep(rate, h.momentum, h.next_momentum), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (velocity,) = slots
        ahead = s.momentum * velocity
        velocity = fma(s.rate, g, ahead)
        return fma(-s.next_momentum, velocity, w + (ahead - velocity)), (velocity,)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, g)
        return fma(-s.rate, fma(s.momentum, velocity, g), w), (velocity,)

    @staticmethod
    def report(w: Any, slots: Any, s: Any) -> Any:
        (velocity,) = slots
        return fma(s.momentum, velocity, w)

    @staticmethod
    def report_torch(w: Any, slots: Any, s: Any) -> Any:
        return w

    @property
    def looks_ahead(self) -> bool:
        """Whether the stored parameters differ from the reported ones: not in PyTorch's form."""
        return self.convention == "lecture"
