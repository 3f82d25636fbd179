"""Adam and its relatives: running means of the gradient and of its square, corrected for their start at 0.

The raw means are the state; what is corrected is a copy. The share of a running mean that its start at 0 leaves,
1 - beta^t, is carried as a running mean of 1.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.lanes import fma, pow, sqrt
from gdsim.lanes.operations import maximum, spread, where
from gdsim.rules.base import BY_CONVENTION, EPSILON, RATE, SHARE, Axis, RootedRule, Rule

RANGES = {"lr": RATE, "beta1": SHARE, "beta2": SHARE, "eps": EPSILON}
LECTURE = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16}
LIBRARY = {**LECTURE, "eps": 1e-8}


class AdamStep(NamedTuple):
    """What a step needs: `rate` and `scale` correct the running means for their start at 0."""

    rate: Any
    scale: Any
    rest1: Any
    rest2: Any
    eps: Any


class RootStep(NamedTuple):
    """What a step needs that corrects the running means under its root: the squared share of the first, the share of the second."""

    rate: Any
    squared1: Any
    share2: Any
    rest1: Any
    rest2: Any
    eps: Any


def rests(values: Mapping[str, float]) -> dict[str, float]:
    """The shares of the new values in the two running means."""
    return {"rest1": 1.0 - values["beta1"], "rest2": 1.0 - values["beta2"]}


def shares(h: Any, carry: Any) -> Any:
    """The running means of 1, one step on."""
    return fma(h.rest1, 1.0 - carry[0], carry[0]), fma(h.rest2, 1.0 - carry[1], carry[1])


def adam_step(h: Any, rate: Any, carry: Any) -> Any:
    """The step of Adam and its relatives: bias corrections from the running means of 1."""
    share1, share2 = shares(h, carry)
    both = 1.0 / (share1 * share2)  # a division takes as long as six products
    return AdamStep(rate * (share2 * both), share1 * both, h.rest1, h.rest2, h.eps), (share1, share2)


def root_step(h: Any, rate: Any, carry: Any) -> Any:
    """The same for `inverse_root`, without a division."""
    share1, share2 = shares(h, carry)
    return RootStep(rate, share1 * share1, share2, h.rest1, h.rest2, h.eps), (share1, share2)


def means(g: Any, mean: Any, square: Any, s: Any) -> Any:
    """The running means of the gradient and of its square, with one more gradient."""
    return fma(s.rest1, g - mean, mean), fma(s.rest2, fma(g, g, -square), square)


def inverse_root(square: Any, s: Any) -> Any:
    """1 / (share1 sqrt(square / share2 + eps)), by one division and one root."""
    return sqrt(s.share2 / (s.squared1 * fma(s.eps, s.share2, square)))


def adam_inside(w: Any, g: Any, slots: Any, s: Any) -> Any:
    """Adam's update with eps inside the root, from a `RootStep`."""
    mean, square = means(g, slots[0], slots[1], s)
    return fma(-(s.rate * mean), inverse_root(square, s), w), (mean, square)


def adam_outside(w: Any, g: Any, slots: Any, s: Any) -> Any:
    """Adam's update with eps outside the root, from an `AdamStep`."""
    mean, square = means(g, slots[0], slots[1], s)
    return w - s.rate * mean / (sqrt(s.scale * square) + s.eps), (mean, square)


class Adam(RootedRule, tag="adam", frozen=True):
    """Running means of the gradient and of its square, both corrected for their start at 0 (Kingma and Ba 2015).

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w - eta m' / sqrt(v' + eps) with m' = m / (1 - b1^t), v' = v / (1 - b2^t);
    with eps outside, w - eta m' / (sqrt(v') + eps).

    >>> Adam(lr=0.002).beta2
    0.999
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "square")
    carry = ("share1", "share2")
    defaults = {"lecture": LECTURE, "torch": LIBRARY, "optax": LIBRARY}
    ranges = RANGES
    constants = staticmethod(rests)
    prepare_inside = staticmethod(root_step)
    prepare_outside = staticmethod(adam_step)
    update_inside = staticmethod(adam_inside)
    update_outside = staticmethod(adam_outside)


class Decayed(NamedTuple):
    """What AdamW needs in a step: Adam's step, and the rate times the decay."""

    adam: Any
    shrink: Any


class AdamW(Adam, tag="adamw", frozen=True):
    """Adam with decoupled weight decay: each step takes rate * weight_decay of every weight away (Loshchilov and Hutter 2019).

    (1 - eta weight_decay) w takes the place of w in Adam's step.

    >>> AdamW().weight_decay
    0.01
    """

    weight_decay: Axis = BY_CONVENTION

    defaults = {
        "lecture": {**LECTURE, "weight_decay": 0.01}, "torch": {**LIBRARY, "weight_decay": 0.01}, "optax": {**LIBRARY, "weight_decay": 1e-4},
    }  # fmt: skip
    ranges = {**RANGES, "weight_decay": EPSILON}

    @staticmethod
    def prepare_inside(h: Any, rate: Any, carry: Any) -> Any:
        s, carry = root_step(h, rate, carry)
        return Decayed(s, rate * h.weight_decay), carry

    @staticmethod
    def prepare_outside(h: Any, rate: Any, carry: Any) -> Any:
        s, carry = adam_step(h, rate, carry)
        return Decayed(s, rate * h.weight_decay), carry

    @staticmethod
    def update_inside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return adam_inside(fma(-s.shrink, w, w), g, slots, s.adam)

    @staticmethod
    def update_outside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        return adam_outside(fma(-s.shrink, w, w), g, slots, s.adam)


class AMSGrad(RootedRule, tag="amsgrad", frozen=True):
    """Adam that divides by the largest mean square so far (Reddi, Kale and Kumar 2018), who correct neither mean.

    PyTorch corrects both, the second after the maximum; optax before it.

    m and v as Adam's, u = max(u, v), w - eta m / sqrt(u + eps).

    >>> AMSGrad().slots
    ('mean', 'square', 'largest')
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "square", "largest")
    carry = ("share1", "share2")
    defaults = Adam.defaults
    ranges = RANGES
    constants = staticmethod(rests)
    prepare_torch = prepare_optax = staticmethod(adam_step)

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return AdamStep(rate, rate * 0.0 + 1.0, h.rest1, h.rest2, h.eps), carry

    @staticmethod
    def update_inside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], square)
        return w - s.rate * mean / sqrt(fma(s.scale, largest, s.eps)), (mean, square, largest)

    @staticmethod
    def update_outside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], square)
        return w - s.rate * mean / (sqrt(s.scale * largest) + s.eps), (mean, square, largest)

    @staticmethod
    def update_optax_inside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], s.scale * square)
        return w - s.rate * mean / sqrt(largest + s.eps), (mean, square, largest)

    @staticmethod
    def update_optax_outside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], s.scale * square)
        return w - s.rate * mean / (sqrt(largest) + s.eps), (mean, square, largest)


class NAdamStep(NamedTuple):
    """What NAdam needs in a step: rates of the running mean and of the gradient itself."""

    rate: Any
    gradient_rate: Any
    scale: Any
    rest1: Any
    rest2: Any
    eps: Any


class NAdam(RootedRule, tag="nadam", frozen=True):
    """Adam with Nesterov's look ahead (Dozat 2016), as optax has it. PyTorch warms the momentum up by `momentum_decay`.

    Adam with b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t) in the place of m'.

    >>> NAdam(convention="torch").momentum_decay
    0.004
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION
    momentum_decay: Axis = BY_CONVENTION

    slots = ("mean", "square")
    carry = ("share1", "share2", "product", "count")
    defaults = {
        "lecture": {**LECTURE, "lr": 0.002, "momentum_decay": 0.0}, "torch": {**LIBRARY, "lr": 0.002, "momentum_decay": 0.004},
        "optax": {**LIBRARY, "lr": 0.002, "momentum_decay": 0.0},
    }  # fmt: skip
    ranges = {**RANGES, "momentum_decay": EPSILON}
    constants = staticmethod(rests)

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        share1, share2 = shares(h, carry)
        next_share = fma(h.rest1, 1.0 - share1, share1)
        step = NAdamStep(rate * h.beta1 / next_share, rate * h.rest1 / share1, 1.0 / share2, h.rest1, h.rest2, h.eps)
        return step, (share1, share2, carry[2], carry[3])

    @staticmethod
    def prepare_torch(h: Any, rate: Any, carry: Any) -> Any:
        share1, share2, product, count = carry  # `product` is what is carried of 1 less the product of the momenta
        count, share2 = count + 1.0, fma(h.rest2, 1.0 - share2, share2)
        base = spread(0.96, rate)
        mu = h.beta1 * (1.0 - 0.5 * pow(base, count * h.momentum_decay))
        mu_next = h.beta1 * (1.0 - 0.5 * pow(base, (count + 1.0) * h.momentum_decay))
        product = 1.0 - mu * (1.0 - product)
        product_next = 1.0 - mu_next * (1.0 - product)
        step = NAdamStep(rate * mu_next / product_next, rate * (1.0 - mu) / product, 1.0 / share2, h.rest1, h.rest2, h.eps)
        return step, (share1, share2, product, count)

    @staticmethod
    def update_inside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        return w - fma(s.rate, mean, s.gradient_rate * g) / sqrt(fma(s.scale, square, s.eps)), (mean, square)

    @staticmethod
    def update_outside(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        return w - fma(s.rate, mean, s.gradient_rate * g) / (sqrt(s.scale * square) + s.eps), (mean, square)


class RAdamStep(NamedTuple):
    """What RAdam needs in a step; `rectifier` is 0 while the second mean is not to be trusted, and then `rate` alone counts."""

    rate: Any
    scale: Any
    rectifier: Any
    rest1: Any
    rest2: Any
    eps: Any


class RAdam(Rule, tag="radam", frozen=True):
    """Adam that does not divide until the variance of its second mean is tractable, and is rectified after (Liu et al. 2020).

    The lecture's form has eps inside the root, optax's outside; PyTorch adds it to the root of the uncorrected mean.

    With l = 2 / (1 - b2) - 1 and l_t = l - 2 t b2^t / (1 - b2^t): where l_t > 4 Adam's step times
    r = sqrt((l_t - 4) (l_t - 2) l / ((l - 4) (l - 2) l_t)), else w - eta m'.

    >>> RAdam().carry
    ('share1', 'share2', 'length')
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "square")
    carry = ("share1", "share2", "length")
    defaults = Adam.defaults
    ranges = RANGES

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        limit = 2.0 / (1.0 - values["beta2"]) - 1.0
        return {**rests(values), "limit": limit, "ratio": limit / ((limit - 4.0) * (limit - 2.0)) if limit > 4.0 else 0.0}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        _, share2, length = carry
        # The approximated length times 1 - beta2^t, by a recursion without cancellation: limit - 2 t beta2^t / (1 - beta2^t) has it.
        length = fma(h.beta2, length, fma(2.0 * h.beta2, share2, h.rest2))
        share1, share2 = shares(h, carry)
        rho = length / share2
        rectifier = where(rho > 5.0, sqrt(maximum((rho - 4.0) * (rho - 2.0) * h.ratio / rho, rho * 0.0)), rho * 0.0)
        step = RAdamStep(rate / share1, 1.0 / share2, rectifier, h.rest1, h.rest2, h.eps)
        return step, (share1, share2, length)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / sqrt(fma(s.scale, square, s.eps)), step), (mean, square)

    @staticmethod
    def update_optax(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / (sqrt(s.scale * square) + s.eps), step), (mean, square)

    @staticmethod
    def update_torch(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, square = means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / (sqrt(s.scale) * (sqrt(square) + s.eps)), step), (mean, square)


class AdaBelief(Rule, tag="adabelief", frozen=True):
    """Adam with the gradient's deviation from its running mean in place of its square (Zhuang et al. 2020).

    As its authors publish it: eps is added to the running mean of squares in every step and stays in it, and is added
    again outside the root.

    m = b1 m + (1 - b1) g, s = b2 s + (1 - b2) (g - m)^2 + eps, w - eta m' / (sqrt(s') + eps).

    >>> AdaBelief().slots
    ('mean', 'deviation')
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "deviation")
    carry = ("share1", "share2")
    defaults = {"lecture": LECTURE, "optax": LECTURE}
    ranges = RANGES
    constants = staticmethod(rests)
    prepare = staticmethod(adam_step)

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        mean, deviation = slots
        mean = fma(s.rest1, g - mean, mean)
        surprise = g - mean
        deviation = fma(s.rest2, fma(surprise, surprise, -deviation), deviation) + s.eps
        return w - s.rate * mean / (sqrt(s.scale * deviation) + s.eps), (mean, deviation)
