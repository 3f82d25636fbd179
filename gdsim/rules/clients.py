"""The steps of a client of a federated round around its optimizer: as many as it has to make, and drawn or
corrected as its kind says. Users don't write these; `population.teams` puts them around the sweep's optimizer.
"""

from typing import NamedTuple

from gdsim.lanes.operations import where
from gdsim.lanes.types import Hyperparameters, Lane, Lanes, Mask
from gdsim.rules.parts import inner_prepare, inner_update, inner_with_gradient
from gdsim.rules.wrappers import Wrapper


class ClientStep(NamedTuple):
    """What a client's step needs: what the inner rule needs, whether the client goes on, and how strongly it is
    drawn to where it began.
    """

    inner: object
    goes_on: Mask
    pull: Lane


class ClientSteps(Wrapper, tag="client_steps", frozen=True):
    """As many steps as the carry `left` says; `rates` adds up their rates.

    >>> from gdsim.rules import SGD
    >>> ClientSteps(SGD(lr=0.1)).carry
    ('left', 'rates')
    """

    own_carry = ("left", "rates")

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[ClientStep, Lanes]:
        inner, inner_carry = inner_prepare(h, rate, carry[:-2])
        left, goes_on = carry[-2], carry[-2] > 0.0
        return ClientStep(inner, goes_on, left * 0.0), (*inner_carry, left - 1.0, where(goes_on, carry[-1] + rate, carry[-1]))

    @staticmethod
    def with_gradient(s: ClientStep, norm: Lane, loss: Lane) -> ClientStep:
        return ClientStep(inner_with_gradient(s.inner, norm, loss), s.goes_on, s.pull)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, slots = inner_update(w, g, slots, s.inner)
        return where(s.goes_on, new, w), slots


class ProximalSteps(ClientSteps, tag="proximal_steps", frozen=True):
    """Likewise by g + mu (w - theta), theta the slot `anchor` and mu the distribution's `proximal`.

    >>> from gdsim.rules import SGD
    >>> ProximalSteps(SGD(lr=0.1)).slots
    ('anchor',)
    """

    own_slots = ("anchor",)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[ClientStep, Lanes]:
        inner, inner_carry = inner_prepare(h, rate, carry[:-2])
        left, goes_on = carry[-2], carry[-2] > 0.0
        return ClientStep(inner, goes_on, h.distribution_proximal), (*inner_carry, left - 1.0, where(goes_on, carry[-1] + rate, carry[-1]))

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, inner_slots = inner_update(w, g + s.pull * (w - slots[-1]), slots[:-1], s.inner)
        return where(s.goes_on, new, w), (*inner_slots, slots[-1])


class CorrectedSteps(ClientSteps, tag="corrected_steps", frozen=True):
    """Likewise by g + the slot `correction`.

    >>> from gdsim.rules import SGD
    >>> CorrectedSteps(SGD(lr=0.1)).slots
    ('correction',)
    """

    own_slots = ("correction",)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, inner_slots = inner_update(w, g + slots[-1], slots[:-1], s.inner)
        return where(s.goes_on, new, w), (*inner_slots, slots[-1])
