"""The steps of a client of a federated round around its optimizer: as many as it has to make, and drawn or
corrected as its kind says. Users don't write these; `population.teams` puts them around the sweep's optimizer.
"""

from typing import NamedTuple

from gdsim.lanes.operations import where
from gdsim.lanes.tiles import select_row
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


def step_of_client(h: Hyperparameters, rate: Lane, carry: Lanes, pull: Lane) -> tuple[ClientStep, Lanes]:
    """(what a client's step needs, its carry after it): that of before where the client has no step left."""
    inner, inner_carry = inner_prepare(h, rate, carry[:-2])
    goes_on = carry[-2] > 0.0
    return ClientStep(inner, goes_on, pull), select_row(goes_on, (*inner_carry, carry[-2] - 1.0, carry[-1] + rate), carry)


class ClientSteps(Wrapper, tag="client_steps", frozen=True):
    """As many steps as the carry `left` says; `rates` adds up their rates. After these nothing changes, however many
    others make.

    >>> from gdsim.rules import SGD
    >>> ClientSteps(SGD(lr=0.1)).carry
    ('left', 'rates')
    """

    own_carry = ("left", "rates")

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[ClientStep, Lanes]:
        return step_of_client(h, rate, carry, rate * 0.0)

    @staticmethod
    def with_gradient(s: ClientStep, norm: Lane, loss: Lane) -> ClientStep:
        return ClientStep(inner_with_gradient(s.inner, norm, loss), s.goes_on, s.pull)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, new_slots = inner_update(w, g, slots, s.inner)
        return where(s.goes_on, new, w), select_row(s.goes_on, new_slots, slots)


class ProximalSteps(ClientSteps, tag="proximal_steps", frozen=True):
    """Likewise by g + mu (w - theta), theta the slot `anchor` and mu the distribution's `proximal`.

    >>> from gdsim.rules import SGD
    >>> ProximalSteps(SGD(lr=0.1)).slots
    ('anchor',)
    """

    own_slots = ("anchor",)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[ClientStep, Lanes]:
        return step_of_client(h, rate, carry, h.distribution_proximal)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, new_slots = inner_update(w, g + s.pull * (w - slots[-1]), slots[:-1], s.inner)
        return where(s.goes_on, new, w), (*select_row(s.goes_on, new_slots, slots[:-1]), slots[-1])


class CorrectedSteps(ClientSteps, tag="corrected_steps", frozen=True):
    """Likewise by g + the slot `correction`.

    >>> from gdsim.rules import SGD
    >>> CorrectedSteps(SGD(lr=0.1)).slots
    ('correction',)
    """

    own_slots = ("correction",)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: ClientStep) -> tuple[Lane, Lanes]:
        new, new_slots = inner_update(w, g + slots[-1], slots[:-1], s.inner)
        return where(s.goes_on, new, w), (*select_row(s.goes_on, new_slots, slots[:-1]), slots[-1])
