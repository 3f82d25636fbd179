"""Gradient descent and its two forms of momentum.

eta is the scheduled rate, g the gradient, h the velocity, which begins at 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gdsim.lanes import fma
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import BY_CONVENTION, RATE, SHARE, Axis, Rule


class SGDStep(NamedTuple):
    """What SGD needs in a step."""

    rate: Lane


class MomentumStep(NamedTuple):
    """What the momentum rules need in a step."""

    rate: Lane
    momentum: Lane


class NesterovStep(NamedTuple):
    """What Nesterov needs in a step: this step's momentum and the next's."""

    rate: Lane
    momentum: Lane
    next_momentum: Lane


class SGD(Rule, tag="sgd", frozen=True):
    """Stochastic gradient descent, w - eta g; with `batch=None` gradient descent (Robbins and Monro 1951).

    >>> SGD(lr=0.1).lr
    0.1
    """

    lr: Axis = BY_CONVENTION

    defaults = {"lecture": {"lr": 0.01}, "torch": {"lr": 0.001}}
    ranges = {"lr": RATE}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[SGDStep, Lanes]:
        return SGDStep(rate), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: SGDStep) -> tuple[Lane, Lanes]:
        return fma(-s.rate, g, w), slots


class Momentum(Rule, tag="momentum", frozen=True):
    """Heavy ball (Polyak 1964): h = a h + eta g, w - h with a = momentum.

    In PyTorch's form the rate is outside: h = a h + g, w - eta h.

    >>> Momentum(momentum=[0.8, 0.9]).momentum
    (0.8, 0.9)
    """

    lr: Axis = BY_CONVENTION
    momentum: Axis = BY_CONVENTION

    slots = ("velocity",)
    defaults = {"lecture": {"lr": 0.01, "momentum": 0.9}, "torch": {"lr": 0.001, "momentum": 0.9}}
    ranges = {"lr": RATE, "momentum": SHARE}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[MomentumStep, Lanes]:
        return MomentumStep(rate, h.momentum), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: MomentumStep) -> tuple[Lane, Lanes]:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, s.rate * g)
        return w - velocity, (velocity,)

    @staticmethod
    def update_torch(w: Lane, g: Lane, slots: Lanes, s: MomentumStep) -> tuple[Lane, Lanes]:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, g)
        return fma(-s.rate, velocity, w), (velocity,)


class Nesterov(Rule, tag="nesterov", frozen=True):
    """Accelerated gradient (Nesterov 1983): h = a h + eta g(w - a h), w - h with a = momentum.

    What is stored is the look-ahead point y = w - a h, where gradients are taken: y - eta g - a h, with the
    new h; w = y + a h is reported. In PyTorch's form, h = a h + g, y - eta (g + a h), y is the parameter.

    >>> Nesterov(lr=0.1, momentum=0.9).reports_other_point
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
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[NesterovStep, Lanes]:
        return NesterovStep(rate, h.momentum, h.next_momentum), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: NesterovStep) -> tuple[Lane, Lanes]:
        (velocity,) = slots
        ahead = s.momentum * velocity
        velocity = fma(s.rate, g, ahead)
        return fma(-s.next_momentum, velocity, w + (ahead - velocity)), (velocity,)

    @staticmethod
    def update_torch(w: Lane, g: Lane, slots: Lanes, s: NesterovStep) -> tuple[Lane, Lanes]:
        (velocity,) = slots
        velocity = fma(s.momentum, velocity, g)
        return fma(-s.rate, fma(s.momentum, velocity, g), w), (velocity,)

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: NesterovStep) -> Lane:
        (velocity,) = slots
        return fma(s.momentum, velocity, w)

    @staticmethod
    def reported_torch(w: Lane, slots: Lanes, s: NesterovStep) -> Lane:
        return w

    @staticmethod
    def standing(w: Lane, slots: Lanes, s: NesterovStep) -> Lane:
        (velocity,) = slots
        return fma(s.momentum, velocity, w)

    @staticmethod
    def standing_torch(w: Lane, slots: Lanes, s: NesterovStep) -> Lane:
        return w

    @property
    def reports_other_point(self) -> bool:
        """Whether the stored parameters differ from the reported ones: not in PyTorch's form."""
        return self.convention == "lecture"

    @property
    def stands_elsewhere(self) -> bool:
        """Whether the stored parameters differ from where the model stands: not in PyTorch's form."""
        return self.convention == "lecture"
