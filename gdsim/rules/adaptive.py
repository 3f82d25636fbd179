"""Rules that scale each weight's step by the sizes of its past gradients g.

Sums and running means start at 0; eta is the scheduled rate.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gdsim.lanes import fma, sqrt
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import BY_CONVENTION, EPSILON, RATE, SHARE, Axis, RootedRule, Rule


class AdaGradStep(NamedTuple):
    """What AdaGrad needs in a step."""

    rate: Lane
    eps: Lane


class RunningMeanStep(NamedTuple):
    """What RMSprop and Adadelta need in a step."""

    rate: Lane
    decay: Lane
    one_minus_decay: Lane
    eps: Lane


class AdaGrad(RootedRule, tag="adagrad", frozen=True):
    """Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011).

    s = s + g^2, w - eta g / sqrt(s + eps); with eps outside, w - eta g / (sqrt(s) + eps).

    >>> AdaGrad().eps
    1e-16
    """

    lr: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("squares",)
    defaults = {"lecture": {"lr": 0.01, "eps": 1e-16}, "torch": {"lr": 0.01, "eps": 1e-10}}
    ranges = {"lr": RATE, "eps": EPSILON}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AdaGradStep, Lanes]:
        return AdaGradStep(rate, h.eps), carry

    @staticmethod
    def update_inside(w: Lane, g: Lane, slots: Lanes, s: AdaGradStep) -> tuple[Lane, Lanes]:
        (squares,) = slots
        squares = fma(g, g, squares)
        return w - s.rate * g / sqrt(squares + s.eps), (squares,)

    @staticmethod
    def update_outside(w: Lane, g: Lane, slots: Lanes, s: AdaGradStep) -> tuple[Lane, Lanes]:
        (squares,) = slots
        squares = fma(g, g, squares)
        return w - s.rate * g / (sqrt(squares) + s.eps), (squares,)


def one_minus_decay(values: Mapping[str, float]) -> dict[str, float]:
    """1 - decay, the weight of the new value in a running mean."""
    return {"one_minus_decay": 1.0 - values["decay"]}


class RMSprop(RootedRule, tag="rmsprop", frozen=True):
    """Steps divided by the root of a running mean of squared gradients (Tieleman and Hinton 2012).

    v = decay v + (1 - decay) g^2, w - eta g / sqrt(v + eps); with eps outside, w - eta g / (sqrt(v) + eps).

    >>> RMSprop(convention="torch").decay
    0.99
    """

    lr: Axis = BY_CONVENTION
    decay: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("square",)
    defaults = {"lecture": {"lr": 0.01, "decay": 0.9, "eps": 1e-16}, "torch": {"lr": 0.01, "decay": 0.99, "eps": 1e-8}}
    ranges = {"lr": RATE, "decay": SHARE, "eps": EPSILON}
    constants = staticmethod(one_minus_decay)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[RunningMeanStep, Lanes]:
        return RunningMeanStep(rate, h.decay, h.one_minus_decay, h.eps), carry

    @staticmethod
    def update_inside(w: Lane, g: Lane, slots: Lanes, s: RunningMeanStep) -> tuple[Lane, Lanes]:
        (square,) = slots
        square = fma(s.decay, square, s.one_minus_decay * (g * g))
        return w - s.rate * g / sqrt(square + s.eps), (square,)

    @staticmethod
    def update_outside(w: Lane, g: Lane, slots: Lanes, s: RunningMeanStep) -> tuple[Lane, Lanes]:
        (square,) = slots
        square = fma(s.decay, square, s.one_minus_decay * (g * g))
        return w - s.rate * g / (sqrt(square) + s.eps), (square,)


class Adadelta(Rule, tag="adadelta", frozen=True):
    """Steps of the size of past steps, by running means of squares (Zeiler 2012), as PyTorch has it.

    v = decay v + (1 - decay) g^2, d = g sqrt(u + eps) / sqrt(v + eps), u = decay u + (1 - decay) d^2, w - eta
    d.

    >>> Adadelta().lr
    1.0
    """

    lr: Axis = BY_CONVENTION
    decay: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("square", "square_step")
    defaults = {key: {"lr": 1.0, "decay": 0.9, "eps": 1e-06} for key in ("lecture", "torch", "optax")}
    ranges = {"lr": RATE, "decay": SHARE, "eps": EPSILON}
    constants = staticmethod(one_minus_decay)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[RunningMeanStep, Lanes]:
        return RunningMeanStep(rate, h.decay, h.one_minus_decay, h.eps), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: RunningMeanStep) -> tuple[Lane, Lanes]:
        square, square_step = slots
        square = fma(s.decay, square, s.one_minus_decay * (g * g))
        step = sqrt(square_step + s.eps) / sqrt(square + s.eps) * g
        square_step = fma(s.decay, square_step, s.one_minus_decay * (step * step))
        return fma(-s.rate, step, w), (square, square_step)
