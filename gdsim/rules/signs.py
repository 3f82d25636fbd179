"""Rules that use the signs of gradients."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.lanes import fma
from gdsim.lanes.operations import maximum, minimum, sign, where
from gdsim.rules.base import BY_CONVENTION, EPSILON, RATE, SHARE, Axis, Range, Rule


class RpropStep(NamedTuple):
    """What Rprop needs in a step."""

    rate: Any
    shrink: Any
    grow: Any
    smallest: Any
    largest: Any


class Rprop(Rule, tag="rprop", frozen=True):
    """Each weight has a step size of its own, which grows while its gradient keeps its sign and shrinks when it turns (iRprop-).

    Riedmiller and Braun 1993; Igel and Huesken 2003, as PyTorch has it (optax 0.2 applies each step one late): where a sign turns, the weight rests
    for a step. `lr` is the size of the first steps. For whole batches: noise turns signs.

    size = grow size where g keeps its sign, shrink size where it turned, within [smallest, largest]; w - sign(g) size.

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
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return RpropStep(rate, h.shrink, h.grow, h.smallest, h.largest), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        previous, size = slots
        product = g * previous
        turned = product < 0.0
        size = where(size == 0.0, s.rate, size)
        factor = where(product > 0.0, s.grow, where(turned, s.shrink, s.grow * 0.0 + 1.0))
        size = minimum(maximum(size * factor, s.smallest), s.largest)
        g = where(turned, g * 0.0, g)
        return fma(-sign(g), size, w), (g, size)


class LionStep(NamedTuple):
    """What Lion needs in a step; `shrink` is the rate times the decay."""

    rate: Any
    beta1: Any
    rest1: Any
    beta2: Any
    rest2: Any
    shrink: Any


class Lion(Rule, tag="lion", frozen=True):
    """Steps of one size along the signs of a mixture of gradient and momentum (Chen et al. 2023), as optax has it.

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

    @staticmethod
    def constants(values: Mapping[str, float]) -> dict[str, float]:
        return {"rest1": 1.0 - values["beta1"], "rest2": 1.0 - values["beta2"]}

    @staticmethod
    def prepare(h: Any, rate: Any, carry: Any) -> Any:
        return LionStep(rate, h.beta1, h.rest1, h.beta2, h.rest2, rate * h.weight_decay), carry

    @staticmethod
    def update(w: Any, g: Any, slots: Any, s: Any) -> Any:
        (mean,) = slots
        direction = sign(fma(s.beta1, mean, s.rest1 * g))
        mean = fma(s.beta2, mean, s.rest2 * g)
        return fma(-s.rate, direction, fma(-s.shrink, w, w)), (mean,)
