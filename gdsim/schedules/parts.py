"""The parts that a schedule gives a kernel, as `Schedule` describes them, and those of single schedules."""

from gdsim.lanes.parts import part
from gdsim.lanes.types import Hyperparameters, Lane

SGDR_MULT: int = part("SGDR_MULT")  # by how much each cycle is longer than the last
LOW_MOMENTUM: float = part("LOW_MOMENTUM")  # of OneCycle, at its highest rate
HIGH_MOMENTUM: float = part("HIGH_MOMENTUM")  # of OneCycle, where it begins and ends


@part
def rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
    """The rate of update t = 1, 2, ... with base rate `base` and parameters `p`."""
    ...


@part
def inner_rate(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
    """`rate` of the schedule inside another."""
    ...


@part
def scheduled_momentum(base: Lane, t: Lane, p: Hyperparameters) -> Lane:
    """The momentum of update t, where the schedule drives it."""
    ...
