"""The rule of workers whose gradients are sent: the server's rule makes the steps."""

from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Rule


class KeptGradient(Rule, tag="kept_gradient", frozen=True):
    """Leaves weights as they are, and keeps each one's gradient, penalty included, for a message."""

    lr: Axis = BY_CONVENTION

    slots = ("gradient",)
    defaults = {"lecture": {"lr": 0.0}}
    ranges = {"lr": RATE}

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Lane, Lanes]:
        return rate, carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: Lane) -> tuple[Lane, Lanes]:
        return w, (g,)
