"""Rules whose rate follows from the loss and the gradient of the step's batch."""

from typing import NamedTuple

from gdsim.lanes import fma
from gdsim.lanes.operations import maximum, minimum, where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Range, Rule


class PolyakNumbers(NamedTuple):
    """What a step needs: the scheduled rate, once the gradient is known the rate itself; and the loss to reach."""

    rate: Lane
    minimum: Lane


class PolyakStep(Rule, tag="polyak_step", frozen=True):
    """Gradient descent by the rate that would reach the minimum of a line (Polyak 1969, Loizou et al. 2021).

    w - min(eta, (f - minimum) / |g|^2) g with the loss f and the gradient g of the step's batch, penalty
    included: SPS_max with c = 1, which eta caps. Nothing moves where g = 0, nor where f is below `minimum`.

    >>> PolyakStep(minimum=0.1).lr
    1.0
    """

    lr: Axis = BY_CONVENTION
    minimum: Axis = BY_CONVENTION

    defaults = {"lecture": {"lr": 1.0, "minimum": 0.0}}
    ranges = {"lr": RATE, "minimum": Range(float("-inf"), float("inf"), low_allowed=False)}
    meanings = {
        **Rule.meanings,
        "lr": "The highest rate, eta, before the schedule.",
        "minimum": "The lowest loss that there is, or an estimate of it from below.",
    }

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[PolyakNumbers, Lanes]:
        return PolyakNumbers(rate, h.minimum), carry

    @staticmethod
    def with_gradient(s: PolyakNumbers, norm: Lane, loss: Lane) -> PolyakNumbers:
        zero, moves = norm * 0.0, norm > 0.0
        length = where(moves, norm, zero + 1.0)
        rate = minimum(s.rate, maximum(loss - s.minimum, zero) / length / length)  # the square of a small length would be 0
        return PolyakNumbers(where(moves, rate, zero), s.minimum)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: PolyakNumbers) -> tuple[Lane, Lanes]:
        return fma(-s.rate, g, w), slots
