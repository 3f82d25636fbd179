"""Rules that use the signs of gradients g; eta is the scheduled rate, sign(0) = 0."""

from typing import NamedTuple

from gdsim.lanes import fma
from gdsim.lanes.operations import maximum, minimum, sign, where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.adam import one_minus_betas
from gdsim.rules.base import BY_CONVENTION, EPSILON, RATE, SHARE, Axis, Range, Rule


class RpropStep(NamedTuple):
    """What Rprop needs in a step."""

    rate: Lane
    shrink: Lane
    grow: Lane
    smallest: Lane
    largest: Lane


class Rprop(Rule, tag="rprop", frozen=True):
    """A step size for each weight, which grows while its gradient keeps its sign, else shrinks (iRprop-).

    size = eta at first; times grow where g g_old > 0, times shrink where g g_old < 0, kept within [smallest,
    largest], where g_old is the gradient before; w - sign(g) size, but for weights whose sign has turned:
    they stay where they are for a step, and g_old = 0 in the next. For whole batches: noise turns signs. From
    Riedmiller and Braun 1993, Igel and Huesken 2003, as PyTorch has it (optax 0.2 applies each step one
    late).

    >>> Rprop().grow
    1.2
    """

    lr: Axis = BY_CONVENTION
    shrink: Axis = BY_CONVENTION
    grow: Axis = BY_CONVENTION
    smallest: Axis = BY_CONVENTION
    largest: Axis = BY_CONVENTION

    slots = ("previous", "size")
    defaults = {key: {"lr": 0.01, "shrink": 0.5, "grow": 1.2, "smallest": 1e-06, "largest": 50.0} for key in ("lecture", "torch")}
    ranges = {"lr": RATE, "shrink": Range(0.0, 1.0, low_allowed=False), "grow": Range(1.0, float("inf")), "smallest": EPSILON, "largest": EPSILON}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[RpropStep, Lanes]:
        return RpropStep(rate, h.shrink, h.grow, h.smallest, h.largest), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: RpropStep) -> tuple[Lane, Lanes]:
        previous, size = slots
        product = g * previous
        turned = product < 0.0
        size = where(size == 0.0, s.rate, size)
        factor = where(product > 0.0, s.grow, where(turned, s.shrink, s.grow * 0.0 + 1.0))
        size = minimum(maximum(size * factor, s.smallest), s.largest)
        g = where(turned, g * 0.0, g)
        return fma(-sign(g), size, w), (g, size)


class LionStep(NamedTuple):
    """What Lion needs in a step; `shrink` is eta weight_decay."""

    rate: Lane
    beta1: Lane
    one_minus_beta1: Lane
    beta2: Lane
    one_minus_beta2: Lane
    shrink: Lane


class Lion(Rule, tag="lion", frozen=True):
    """Steps of one size along the signs of gradient and momentum mixed (Chen et al. 2023), as optax has it.

    w - eta (sign(b1 m + (1 - b1) g) + weight_decay w), then m = b2 m + (1 - b2) g.

    >>> Lion().beta2
    0.99
    """

    lr: Axis = BY_CONVENTION
    beta1: Axis = BY_CONVENTION
    beta2: Axis = BY_CONVENTION
    weight_decay: Axis = BY_CONVENTION

    slots = ("mean",)
    defaults = {
        "lecture": {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
        "optax": {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3},
    }
    ranges = {"lr": RATE, "beta1": SHARE, "beta2": SHARE, "weight_decay": EPSILON}
    constants = staticmethod(one_minus_betas)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[LionStep, Lanes]:
        return LionStep(rate, h.beta1, h.one_minus_beta1, h.beta2, h.one_minus_beta2, rate * h.weight_decay), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: LionStep) -> tuple[Lane, Lanes]:
        (mean,) = slots
        direction = sign(fma(s.beta1, mean, s.one_minus_beta1 * g))
        mean = fma(s.beta2, mean, s.one_minus_beta2 * g)
        return fma(-s.rate, direction, fma(-s.shrink, w, w)), (mean,)
