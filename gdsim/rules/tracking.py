"""A rule of workers that follow the mean of all their gradients, each talking to its neighbours alone."""

from typing import Any

from gdsim.lanes.operations import where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes
from gdsim.rules.parts import inner_prepare, inner_reported, inner_standing, inner_update
from gdsim.rules.wrappers import Wrapper, WrapperStep


class Tracked(Wrapper, tag="tracked", frozen=True):
    """Gradient tracking (Di Lorenzo and Scutari 2016; Nedic, Olshevsky and Shi 2017): steps by y in the place of
    the worker's own gradient g.

    y_t = mix(y_(t-1)) + g_t - g_(t-1), from y_0 = g_0, so that the mean of the y is the mean gradient. Kept are
    the `correction` c = y - g, which an exchange moves, and y as it was `tracked` in the last step; a worker
    without neighbours has c = 0, and its steps are the rule's own, bit for bit.
    """

    own_slots = ("correction", "tracked")

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[WrapperStep, Lanes]:
        inner, carry = inner_prepare(h, rate, carry)
        return WrapperStep(inner, rate), carry

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: WrapperStep) -> tuple[Lane, Lanes]:
        correction = slots[-2]
        tracked = where(correction == 0.0, g, g + correction)
        w, inner_slots = inner_update(w, tracked, slots[:-2], s.inner)
        return w, (*inner_slots, correction, tracked)

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_reported(w, slots[:-2], s.inner)

    @staticmethod
    def standing(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_standing(w, slots[:-2], s.inner)
