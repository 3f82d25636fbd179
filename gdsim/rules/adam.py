"""Adam and its relatives: running means of the gradient and of its square, corrected for their start at 0.

Of weight w with gradient g_t at update t = 1, 2, ..., at the scheduled rate eta, with b1 = beta1 and b2 =
beta2:

    m_t = b1 m_(t-1) + (1 - b1) g_t        m_t' = m_t / (1 - b1^t)        m_0 = 0
    v_t = b2 v_(t-1) + (1 - b2) g_t^2      v_t' = v_t / (1 - b2^t)        v_0 = 0

m and v are the state, `mean` and `square`; m' and v' are copies. The divisors 1 - b^t, the bias corrections,
are carried as running means of 1, c_t = c_(t-1) + (1 - b) (1 - c_(t-1)) with c_0 = 0: a power of b would lose
their first digits.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.lanes import fma, pow, sqrt
from gdsim.lanes.operations import broadcast, maximum, where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import BY_CONVENTION, EPSILON, RATE, SHARE, Axis, RootedRule, Rule

RANGES = {"lr": RATE, "beta1": SHARE, "beta2": SHARE, "eps": EPSILON}
LECTURE = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16}
LIBRARY = {**LECTURE, "eps": 1e-8}
CORRECTIONS = ("bias_correction1", "bias_correction2")


class AdamStep(NamedTuple):
    """What a step needs: `rate` is eta / (1 - b1^t), `scale` 1 / (1 - b2^t)."""

    rate: Lane
    scale: Lane
    one_minus_beta1: Lane
    one_minus_beta2: Lane
    eps: Lane


class RootStep(NamedTuple):
    """What a step needs that has its bias corrections under the root: eta, (1 - b1^t)^2 and 1 - b2^t."""

    rate: Lane
    squared_correction1: Lane
    correction2: Lane
    one_minus_beta1: Lane
    one_minus_beta2: Lane
    eps: Lane


def one_minus_betas(values: Mapping[str, float]) -> dict[str, float]:
    """1 - b1 and 1 - b2, the weights of the new values in the running means."""
    return {"one_minus_beta1": 1.0 - values["beta1"], "one_minus_beta2": 1.0 - values["beta2"]}


def bias_corrections(h: Hyperparameters, carry: Lanes) -> tuple[Lane, Lane]:
    """(1 - b1^t, 1 - b2^t) of this step, from those of the last."""
    return fma(h.one_minus_beta1, 1.0 - carry[0], carry[0]), fma(h.one_minus_beta2, 1.0 - carry[1], carry[1])


def adam_step(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AdamStep, Lanes]:
    """`prepare` of rules that divide by sqrt(v') + eps."""
    correction1, correction2 = bias_corrections(h, carry)
    both = 1.0 / (correction1 * correction2)  # a division takes as long as six products
    step = AdamStep(rate * (correction2 * both), correction1 * both, h.one_minus_beta1, h.one_minus_beta2, h.eps)
    return step, (correction1, correction2)


def root_step(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[RootStep, Lanes]:
    """`prepare` of rules that use `inverse_root`; it has no division."""
    correction1, correction2 = bias_corrections(h, carry)
    step = RootStep(rate, correction1 * correction1, correction2, h.one_minus_beta1, h.one_minus_beta2, h.eps)
    return step, (correction1, correction2)


def running_means(g: Lane, mean: Lane, square: Lane, s: "AdamStep | RootStep | NAdamStep | RAdamStep") -> tuple[Lane, Lane]:
    """(m_t, v_t) from g_t, m_(t-1) and v_(t-1)."""
    return fma(s.one_minus_beta1, g - mean, mean), fma(s.one_minus_beta2, fma(g, g, -square), square)


def inverse_root(square: Lane, s: RootStep) -> Lane:
    """1 / ((1 - b1^t) sqrt(v' + eps)), by one division and one root."""
    return sqrt(s.correction2 / (s.squared_correction1 * fma(s.eps, s.correction2, square)))


def adam_inside(w: Lane, g: Lane, slots: Lanes, s: RootStep) -> tuple[Lane, Lanes]:
    """Adam's update with eps inside the root: w - eta m' / sqrt(v' + eps)."""
    mean, square = running_means(g, slots[0], slots[1], s)
    return fma(-(s.rate * mean), inverse_root(square, s), w), (mean, square)


def adam_outside(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
    """Adam's update with eps outside the root: w - eta m' / (sqrt(v') + eps)."""
    mean, square = running_means(g, slots[0], slots[1], s)
    return w - s.rate * mean / (sqrt(s.scale * square) + s.eps), (mean, square)


class MeansRule(RootedRule, frozen=True):
    """What rules share that divide a running mean of gradients by the root of one of their squares."""

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "square")
    carry = CORRECTIONS
    ranges = RANGES
    constants = staticmethod(one_minus_betas)


class Adam(MeansRule, tag="adam", frozen=True):
    """Running means of the gradient and its square, both corrected for their start at 0 (Kingma and Ba 2015).

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, m' = m / (1 - b1^t), v' = v / (1 - b2^t), w - eta m' /
    sqrt(v' + eps); with eps outside, as the paper and the libraries have it, w - eta m' / (sqrt(v') + eps).

    >>> Adam(lr=0.002).beta2
    0.999
    """

    defaults = {"lecture": LECTURE, "torch": LIBRARY, "optax": LIBRARY}
    prepare_inside = staticmethod(root_step)
    prepare_outside = staticmethod(adam_step)
    update_inside = staticmethod(adam_inside)
    update_outside = staticmethod(adam_outside)


class AdamWStep(NamedTuple):
    """What AdamW needs in a step: an `AdamStep` or a `RootStep`, and eta weight_decay."""

    adam: Any
    shrink: Lane


class AdamW(Adam, tag="adamw", frozen=True):
    """Adam with decoupled weight decay: a step takes eta weight_decay w away (Loshchilov and Hutter 2019).

    m' and v' as Adam's, (1 - eta weight_decay) w - eta m' / sqrt(v' + eps).

    >>> AdamW().weight_decay
    0.01
    """

    weight_decay: Axis = BY_CONVENTION

    defaults = {
        "lecture": {**LECTURE, "weight_decay": 0.01}, "torch": {**LIBRARY, "weight_decay": 0.01}, "optax": {**LIBRARY, "weight_decay": 1e-4},
    }  # fmt: skip
    ranges = {**RANGES, "weight_decay": EPSILON}

    @staticmethod
    def prepare_inside(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AdamWStep, Lanes]:
        s, carry = root_step(h, rate, carry)
        return AdamWStep(s, rate * h.weight_decay), carry

    @staticmethod
    def prepare_outside(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AdamWStep, Lanes]:
        s, carry = adam_step(h, rate, carry)
        return AdamWStep(s, rate * h.weight_decay), carry

    @staticmethod
    def update_inside(w: Lane, g: Lane, slots: Lanes, s: AdamWStep) -> tuple[Lane, Lanes]:
        return adam_inside(fma(-s.shrink, w, w), g, slots, s.adam)

    @staticmethod
    def update_outside(w: Lane, g: Lane, slots: Lanes, s: AdamWStep) -> tuple[Lane, Lanes]:
        return adam_outside(fma(-s.shrink, w, w), g, slots, s.adam)


class AMSGrad(MeansRule, tag="amsgrad", frozen=True):
    """Adam that divides by the largest mean square so far, uncorrected (Reddi, Kale and Kumar 2018).

    m and v as Adam's, u = max(u, v), w - eta m / sqrt(u + eps). PyTorch corrects both means, the second after
    the maximum, w - eta m' / (sqrt(u / (1 - b2^t)) + eps); optax before it, u = max(u, v'), w - eta m' /
    (sqrt(u) + eps).

    >>> AMSGrad().slots
    ('mean', 'square', 'largest')
    """

    slots = ("mean", "square", "largest")
    defaults = Adam.defaults
    prepare_torch = prepare_optax = staticmethod(adam_step)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[AdamStep, Lanes]:
        return AdamStep(rate, rate * 0.0 + 1.0, h.one_minus_beta1, h.one_minus_beta2, h.eps), carry

    @staticmethod
    def update_inside(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], square)
        return w - s.rate * mean / sqrt(fma(s.scale, largest, s.eps)), (mean, square, largest)

    @staticmethod
    def update_outside(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], square)
        return w - s.rate * mean / (sqrt(s.scale * largest) + s.eps), (mean, square, largest)

    @staticmethod
    def update_optax_inside(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], s.scale * square)
        return w - s.rate * mean / sqrt(largest + s.eps), (mean, square, largest)

    @staticmethod
    def update_optax_outside(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        largest = maximum(slots[2], s.scale * square)
        return w - s.rate * mean / (sqrt(largest) + s.eps), (mean, square, largest)


class NAdamStep(NamedTuple):
    """What NAdam needs in a step: the factors of m and of g, and 1 / (1 - b2^t)."""

    rate: Lane
    gradient_rate: Lane
    scale: Lane
    one_minus_beta1: Lane
    one_minus_beta2: Lane
    eps: Lane


class NAdam(MeansRule, tag="nadam", frozen=True):
    """Adam with Nesterov's look ahead (Dozat 2016), as optax has it.

    Adam with b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t) in the place of m'. PyTorch warms the momentum
    up by `momentum_decay`: a_(t+1) m / (1 - p_(t+1)) + (1 - a_t) g / (1 - p_t) with a_t = b1 (1 - 0.96^(t
    momentum_decay) / 2), p_t = a_1 ... a_t.

    >>> NAdam(convention="torch").momentum_decay
    0.004
    """

    momentum_decay: Axis = BY_CONVENTION

    carry = (*CORRECTIONS, "product", "count")
    defaults = {
        "lecture": {**LECTURE, "lr": 0.002, "momentum_decay": 0.0}, "torch": {**LIBRARY, "lr": 0.002, "momentum_decay": 0.004},
        "optax": {**LIBRARY, "lr": 0.002, "momentum_decay": 0.0},
    }  # fmt: skip
    ranges = {**RANGES, "momentum_decay": EPSILON}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[NAdamStep, Lanes]:
        correction1, correction2 = bias_corrections(h, carry)
        next_correction1 = fma(h.one_minus_beta1, 1.0 - correction1, correction1)
        step = NAdamStep(
            rate * h.beta1 / next_correction1, rate * h.one_minus_beta1 / correction1, 1.0 / correction2, h.one_minus_beta1, h.one_minus_beta2, h.eps
        )
        return step, (correction1, correction2, carry[2], carry[3])

    @staticmethod
    def prepare_torch(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[NAdamStep, Lanes]:
        correction1, correction2, product, count = carry  # `product` is 1 - p_t
        count, correction2 = count + 1.0, fma(h.one_minus_beta2, 1.0 - correction2, correction2)
        base = broadcast(0.96, rate)
        mu = h.beta1 * (1.0 - 0.5 * pow(base, count * h.momentum_decay))
        mu_next = h.beta1 * (1.0 - 0.5 * pow(base, (count + 1.0) * h.momentum_decay))
        product = 1.0 - mu * (1.0 - product)
        product_next = 1.0 - mu_next * (1.0 - product)
        step = NAdamStep(rate * mu_next / product_next, rate * (1.0 - mu) / product, 1.0 / correction2, h.one_minus_beta1, h.one_minus_beta2, h.eps)
        return step, (correction1, correction2, product, count)

    @staticmethod
    def update_inside(w: Lane, g: Lane, slots: Lanes, s: NAdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        return w - fma(s.rate, mean, s.gradient_rate * g) / sqrt(fma(s.scale, square, s.eps)), (mean, square)

    @staticmethod
    def update_outside(w: Lane, g: Lane, slots: Lanes, s: NAdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        return w - fma(s.rate, mean, s.gradient_rate * g) / (sqrt(s.scale * square) + s.eps), (mean, square)


class RAdamStep(NamedTuple):
    """What RAdam needs in a step: eta / (1 - b1^t), 1 / (1 - b2^t), and r, 0 while nothing is divided."""

    rate: Lane
    scale: Lane
    rectifier: Lane
    one_minus_beta1: Lane
    one_minus_beta2: Lane
    eps: Lane


class RAdam(Rule, tag="radam", frozen=True):
    """Adam that divides once the variance of its second mean is tractable, rectified (Liu et al. 2020).

    With l = 2 / (1 - b2) - 1 and l_t = l - 2 t b2^t / (1 - b2^t): where l_t > 5, w - eta r m' / sqrt(v' +
    eps) with r = sqrt((l_t - 4) (l_t - 2) l / ((l - 4) (l - 2) l_t)), else w - eta m'. The paper divides from
    l_t > 4 on, PyTorch and optax from 5. optax has eps outside the root; PyTorch adds it to the root of v,
    the mean before its correction.

    >>> RAdam().carry
    ('bias_correction1', 'bias_correction2', 'length')
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "square")
    carry = (*CORRECTIONS, "length")
    defaults = Adam.defaults
    ranges = RANGES

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        limit = 2.0 / (1.0 - values["beta2"]) - 1.0
        return {**one_minus_betas(values), "limit": limit, "ratio": limit / ((limit - 4.0) * (limit - 2.0)) if limit > 4.0 else 0.0}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[RAdamStep, Lanes]:
        _, correction2, length = carry
        # l_t (1 - b2^t), by a recursion without the cancellation of l - 2 t b2^t / (1 - b2^t).
        length = fma(h.beta2, length, fma(2.0 * h.beta2, correction2, h.one_minus_beta2))
        correction1, correction2 = bias_corrections(h, carry)
        rho = length / correction2
        rectifier = where(rho > 5.0, sqrt(maximum((rho - 4.0) * (rho - 2.0) * h.ratio / rho, rho * 0.0)), rho * 0.0)
        step = RAdamStep(rate / correction1, 1.0 / correction2, rectifier, h.one_minus_beta1, h.one_minus_beta2, h.eps)
        return step, (correction1, correction2, length)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: RAdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / sqrt(fma(s.scale, square, s.eps)), step), (mean, square)

    @staticmethod
    def update_optax(w: Lane, g: Lane, slots: Lanes, s: RAdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / (sqrt(s.scale * square) + s.eps), step), (mean, square)

    @staticmethod
    def update_torch(w: Lane, g: Lane, slots: Lanes, s: RAdamStep) -> tuple[Lane, Lanes]:
        mean, square = running_means(g, slots[0], slots[1], s)
        step = s.rate * mean
        return w - where(s.rectifier > 0.0, s.rectifier * step / (sqrt(s.scale) * (sqrt(square) + s.eps)), step), (mean, square)


class AdaBelief(Rule, tag="adabelief", frozen=True):
    """Adam with the gradient's deviation from its running mean in place of its square (Zhuang et al. 2020).

    m = b1 m + (1 - b1) g, s = b2 s + (1 - b2) (g - m)^2 + eps, w - eta m' / (sqrt(s') + eps). As its authors
    publish it, eps is added to s in every step and stays in it, and is added again outside the root.

    >>> AdaBelief().slots
    ('mean', 'deviation')
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    eps: Axis = BY_CONVENTION

    slots = ("mean", "deviation")
    carry = CORRECTIONS
    defaults = {"lecture": LECTURE, "optax": LECTURE}
    ranges = RANGES
    constants = staticmethod(one_minus_betas)
    prepare = staticmethod(adam_step)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: AdamStep) -> tuple[Lane, Lanes]:
        mean, deviation = slots
        mean = fma(s.one_minus_beta1, g - mean, mean)
        surprise = g - mean
        deviation = fma(s.one_minus_beta2, fma(surprise, surprise, -deviation), deviation) + s.eps
        return w - s.rate * mean / (sqrt(s.scale * deviation) + s.eps), (mean, deviation)
