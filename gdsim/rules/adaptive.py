"""Rules that scale each weight's step by the sizes of its past gradients.

In the lecture's form eps stands inside the square root, so that its default of 1e-16 acts as 1e-8 does outside, where
PyTorch has it. Running means start at 0; their share of the whole, 1 - beta^t, is carried as a running mean of 1.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.lanes import fma, sqrt
from gdsim.rules.base import EPSILON, RATE, SHARE, UNSET, Axis, Rule


class AdaGradStep(NamedTuple):
    """What AdaGrad needs in a step."""

    rate: Any
    eps: Any


class RMSpropStep(NamedTuple):
    """What RMSprop needs in a step."""

    rate: Any
    decay: Any
    rest: Any
    eps: Any


class AdamStep(NamedTuple):
    """What Adam and AdaBelief need in a step: `rate` and `scale` correct the running means for their start at 0."""

    rate: Any
    scale: Any
    beta1: Any
    rest1: Any
    beta2: Any
    rest2: Any
    eps: Any


def adam_step(h: Any, rate: Any, carry: Any) -> Any:
    """The step of Adam and AdaBelief: bias corrections from the running means of 1."""
    share1, share2 = carry
    share1, share2 = fma(h.beta1, share1, h.rest1), fma(h.beta2, share2, h.rest2)
    return AdamStep(rate / share1, 1.0 / share2, h.beta1, h.rest1, h.beta2, h.rest2, h.eps), (share1, share2)


class AdaGrad(Rule, tag="adagrad", frozen=True):
    """Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011).

    >>> AdaGrad().eps
    1e-16
    """

    lr: Axis = UNSET
    eps: Axis = UNSET

    slots = ("squares",)
    defaults = {"lecture": {"lr": 0.01, "eps": 1e-16}, "torch": {"lr": 0.01, "eps": 1e-10}}
    ranges = {"lr": RATE, "eps": EPSILON}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return AdaGradStep(rate, h.eps), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (squares,) = slots
        squares = fma(g, g, squares)
        return w - s.rate * g / sqrt(squares + s.eps), (squares,)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (squares,) = slots
        squares = fma(g, g, squares)
        return w - s.rate * g / (sqrt(squares) + s.eps), (squares,)


class RMSprop(Rule, tag="rmsprop", frozen=True):
    """Steps divided by the root of a running mean of squared gradients (Tieleman and Hinton 2012).

    >>> RMSprop(convention="torch").decay
    0.99
    """

    lr: Axis = UNSET
    decay: Axis = UNSET
    eps: Axis = UNSET

    slots = ("square",)
    defaults = {"lecture": {"lr": 0.01, "decay": 0.9, "eps": 1e-16}, "torch": {"lr": 0.01, "decay": 0.99, "eps": 1e-8}}
    ranges = {"lr": RATE, "decay": SHARE, "eps": EPSILON}

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        return {"rest": 1.0 - values["decay"]}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return RMSpropStep(rate, h.decay, h.rest, h.eps), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (square,) = slots
        square = fma(s.decay, square, s.rest * (g * g))
        return w - s.rate * g / sqrt(square + s.eps), (square,)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (square,) = slots
        square = fma(s.decay, square, s.rest * (g * g))
        return w - s.rate * g / (sqrt(square) + s.eps), (square,)


class Adam(Rule, tag="adam", frozen=True):
    """Running means of the gradient and of its square, both corrected for their start at 0 (Kingma and Ba 2015).

    The raw means are the state; what is corrected is a copy.

    >>> Adam(lr=0.002).beta2
    0.999
    """

    lr: Axis = UNSET
    beta1: Axis = UNSET
    beta2: Axis = UNSET
    eps: Axis = UNSET

    slots = ("mean", "square")
    carry = ("share1", "share2")
    defaults = {
        "lecture": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16},
        "torch": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    }
    ranges = {"lr": RATE, "beta1": SHARE, "beta2": SHARE, "eps": EPSILON}

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        return {"rest1": 1.0 - values["beta1"], "rest2": 1.0 - values["beta2"]}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return adam_step(h, rate, carry)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = slots
        mean = fma(s.beta1, mean, s.rest1 * g)
        square = fma(s.beta2, square, s.rest2 * (g * g))
        return w - s.rate * mean / sqrt(fma(s.scale, square, s.eps)), (mean, square)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = slots
        mean = fma(s.beta1, mean, s.rest1 * g)
        square = fma(s.beta2, square, s.rest2 * (g * g))
        return w - s.rate * mean / (sqrt(s.scale * square) + s.eps), (mean, square)


class AdaBelief(Rule, tag="adabelief", frozen=True):
    """Adam with the gradient's deviation from its running mean in place of its square (Zhuang et al. 2020).

    As its authors publish it: eps is added to the running mean of squares in every step and stays in it, and is added
    again outside the root.

    >>> AdaBelief().slots
    ('mean', 'deviation')
    """

    lr: Axis = UNSET
    beta1: Axis = UNSET
    beta2: Axis = UNSET
    eps: Axis = UNSET

    slots = ("mean", "deviation")
    carry = ("share1", "share2")
    defaults = {"lecture": Adam.defaults["lecture"]}
    ranges = Adam.ranges

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        return Adam.constants(values)

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return adam_step(h, rate, carry)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, deviation = slots
        mean = fma(s.beta1, mean, s.rest1 * g)
        surprise = g - mean
        deviation = fma(s.beta2, deviation, fma(s.rest2 * surprise, surprise, s.eps))
        return w - s.rate * mean / (sqrt(s.scale * deviation) + s.eps), (mean, deviation)
