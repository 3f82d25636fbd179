"""The parts that a rule gives a kernel, as `Rule` describes them, and those that a wrapper finds inside itself."""

from typing import Any

from gdsim.lanes.parts import part
from gdsim.lanes.types import Hyperparameters, Lane, Lanes


@part
def prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
    """(what `update` needs in this step, the new carry) from the hyperparameters and the scheduled rate."""
    ...


@part
def update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
    """(the new weight, its new slots) from a weight, its gradient, its slots and what `prepare` has made."""
    ...


@part
def reported(w: Lane, slots: Lanes, s: Any) -> Lane:
    """The reported parameter, from the stored one."""
    ...


@part
def standing(w: Lane, slots: Lanes, s: Any) -> Lane:
    """Where the model stands, from the stored parameter: what workers average."""
    ...


@part
def with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
    """What `update` needs, once the length of the gradient and the loss of the batch are known."""
    ...


@part
def inner_prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
    """`prepare` of the rule in a wrapper."""
    ...


@part
def inner_update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
    """`update` of the rule in a wrapper."""
    ...


@part
def inner_reported(w: Lane, slots: Lanes, s: Any) -> Lane:
    """`reported` of the rule in a wrapper."""
    ...


@part
def inner_standing(w: Lane, slots: Lanes, s: Any) -> Lane:
    """`standing` of the rule in a wrapper."""
    ...


@part
def inner_with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
    """`with_gradient` of the rule in a wrapper."""
    ...
