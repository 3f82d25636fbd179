"""A run's numbers, copied from where they lie to where they are wanted."""

from typing import NamedTuple

from gdsim.kernels.job import Job
from gdsim.kernels.state import RunState
from gdsim.lanes.compiler import noinline
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Memory


class Place(NamedTuple):
    """Where a run's numbers lie: in a lane of a pack or of snapshots, each at its place of the layout, or in
    a row of a table, one behind the other.
    """

    lane: int
    lane_step: int  # from the numbers of one place to those of the next; 0 in a row
    row: int
    row_step: int  # from one number to the next; 0 in a lane


def in_lane(lane: int) -> Place:
    """A lane."""
    return Place(lane, WIDTH, 0, 0)


def in_row(row: int) -> Place:
    """A row."""
    return Place(0, 0, row, 1)


@noinline
def copy_numbers(places: Memory, source: Memory, at: Place, goal: Memory, to: Place) -> None:
    """Copies a run's numbers, of which number k is the one at `places[k]` of the layout: zeros where the
    source has none, and nothing where the goal keeps none.
    """
    count, is_known = len(places), len(source) > 0
    here, there = at.lane + at.row * count, to.lane + to.row * count
    if len(goal) > 0:
        for k in range(count):
            place = places[k]
            if is_known:
                goal[there + place * to.lane_step + k * to.row_step] = source[here + place * at.lane_step + k * at.row_step]
            else:
                goal[there + place * to.lane_step + k * to.row_step] = 0


def copy_run(job: Job, source: RunState, at: Place, goal: RunState, to: Place) -> None:
    """Copies a run's state, where the goal keeps any."""
    spec = job.spec
    for part in range(3):  # so that copying stands once, in whose place devices have the copying itself
        if part == 0:
            places, here, there = spec.places, source.weights, goal.weights
        elif part == 1:
            places, here, there = spec.slot_places, source.slots, goal.slots
        else:
            places, here, there = spec.carry_places, source.carry, goal.carry
        copy_numbers(places, here, at, there, to)
