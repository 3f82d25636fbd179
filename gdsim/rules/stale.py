"""Rules of a server that gets gradients taken at weights of before."""

from typing import Any, NamedTuple

from gdsim.lanes.counts import joined_count
from gdsim.lanes.operations import fma_lanes as fma, maximum, where
from gdsim.lanes.tiles import select_row
from gdsim.lanes.types import Hyperparameters, Lane, Lanes, Mask
from gdsim.rules.parts import inner_prepare, inner_reported, inner_update, inner_with_gradient
from gdsim.rules.wrappers import Wrapper, WrapperStep


def number_of_update(t: Lane, carry: Lanes) -> Lane:
    """The server counts updates, not the worker that computes."""
    return joined_count(carry[-2], carry[-1], t) + 1


class Stale(Wrapper, tag="stale", frozen=True):
    """A step of the rule from the `server`'s weights, by the gradient at the stored ones.

    The stored weights are those of before the step that are read; after it they are the server's new ones. A
    run keeps the `age` of the gradient, and how many updates there have been, as two numbers. An `aware` rule divides its
    rate by max(1, age) (Zhang et al. 2016).
    """

    aware: bool = False

    own_slots = ("server",)
    own_carry = ("age", "updates_high", "updates_low")
    own_reports_other_point = True

    def parts(self) -> dict[str, Any]:
        """The rule's functions, and the number of the update that they make."""
        return {**super().parts(), "update_number": number_of_update}

    @property
    def stands_elsewhere(self) -> bool:
        """Workers read what the server has stored."""
        return False

    def _by_convention(self, name: str) -> Any:
        return Stale.prepare_aware if name == "prepare" and self.aware else super()._by_convention(name)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
        inner, inner_carry = inner_prepare(h, rate, carry[:-3])
        return WrapperStep(inner, rate), (*inner_carry, *carry[-3:])

    @staticmethod
    def prepare_aware(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
        inner, inner_carry = inner_prepare(h, rate / maximum(carry[-3], 1.0), carry[:-3])
        return WrapperStep(inner, rate), (*inner_carry, *carry[-3:])

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
        server, inner_slots = inner_update(slots[-1], g, slots[:-1], s.inner)
        return server, (*inner_slots, server)

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_reported(slots[-1], slots[:-1], s.inner)


class Filled(NamedTuple):
    """What a server that waits for several gradients needs in a step."""

    inner: Any
    share: Lane  # of a gradient in the sum
    is_full: Mask  # whether the server makes a step


def gather(h: Hyperparameters, rate: Lane, carry: Lanes, share: Lane) -> tuple[Filled, Lanes]:
    """What a step needs that gathers a gradient, and the carry after it: of the rule only where it makes a step."""
    before = carry[:-4]
    inner, new_carry = inner_prepare(h, rate, before)
    gathered = carry[-4] + 1.0
    is_full = gathered >= h.distribution_buffer
    kept = select_row(is_full, new_carry, before)
    return Filled(inner, share, is_full), (*kept, where(is_full, gathered * 0.0, gathered), *carry[-3:])


class Gathered(Stale, tag="gathered", frozen=True):
    """A step of the rule from the server's weights by the mean of `distribution_buffer` gradients, taken when the
    last of them has come (FedBuff, Nguyen et al. 2022).

    The gradients' `sum` is a slot, and how many are in it, `gathered`, a number of the run. An `aware` rule
    divides each by max(1, age).
    """

    own_slots = ("sum", "server")
    own_carry = ("gathered", "age", "updates_high", "updates_low")

    def _by_convention(self, name: str) -> Any:
        return Gathered.prepare_aware if name == "prepare" and self.aware else getattr(Gathered, name)

    @staticmethod
    def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
        return gather(h, rate, carry, 1.0 / h.distribution_buffer)

    @staticmethod
    def prepare_aware(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
        return gather(h, rate, carry, 1.0 / h.distribution_buffer / maximum(carry[-3], 1.0))

    @staticmethod
    def with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
        return Filled(inner_with_gradient(s.inner, norm, loss), s.share, s.is_full)

    @staticmethod
    def update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
        total = fma(s.share, g, slots[-2])
        moved, new_slots = inner_update(slots[-1], total, slots[:-2], s.inner)
        server = where(s.is_full, moved, slots[-1])
        return server, (*select_row(s.is_full, new_slots, slots[:-2]), where(s.is_full, total * 0.0, total), server)

    @staticmethod
    def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
        return inner_reported(slots[-1], slots[:-2], s.inner)
