"""A run's parameters and state, copied from where they lie to where they are wanted.

Every function takes the address of the job's table.
"""

from typing import NamedTuple

from gdsim.kernels.parts import job_pack, job_reported, job_spec
from gdsim.kernels.state import JobSpec, RunState, slot_place
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Address, Memory, Offset


class Place(NamedTuple):
    """Where a run lies: in a lane, of a pack or of snapshots, or in a row of tables."""

    is_lane: bool
    number: int


def in_lane(lane: int) -> Place:
    """A lane."""
    return Place(True, lane)


def in_row(row: int) -> Place:
    """A row."""
    return Place(False, row)


def parameter_at(spec: JobSpec, place: Place, p: int) -> Offset:
    """Where a run's parameter lies in memory[place, lane] or memory[run, parameter]."""
    return spec.places[p] * WIDTH + place.number if place.is_lane else place.number * len(spec.places) + p


def slot_at(spec: JobSpec, place: Place, p: int, slot: int) -> Offset:
    """Where one of the slots of a parameter lies, likewise."""
    return slot_place(spec, p, slot) * WIDTH + place.number if place.is_lane else (place.number * len(spec.places) + p) * spec.slots + slot


def copy_point(table: Address, source: Memory, at: Place, goal: Memory, to: Place) -> None:
    """Copies a run's parameters; nothing where the goal keeps none."""
    spec = job_spec(table)
    if len(goal) > 0:
        for p in range(len(spec.places)):
            goal[parameter_at(spec, to, p)] = source[parameter_at(spec, at, p)]


def copy_run(table: Address, source: RunState, at: Place, goal: RunState, to: Place) -> None:
    """Copies a run's state; nothing where the goal keeps none. Slots and carry that the source lacks are 0."""
    spec = job_spec(table)
    if len(goal.weights) == 0:
        return
    copy_point(table, source.weights, at, goal.weights, to)
    for p in range(len(spec.places)):
        for s in range(spec.slots):
            goal.slots[slot_at(spec, to, p, s)] = source.slots[slot_at(spec, at, p, s)] if len(source.slots) > 0 else 0
    for c in range(spec.carry):
        here = c * WIDTH + at.number if at.is_lane else at.number * spec.carry + c
        there = c * WIDTH + to.number if to.is_lane else to.number * spec.carry + c
        goal.carry[there] = source.carry[here] if len(source.carry) > 0 else 0


def state_of(table: Address) -> RunState:
    """The state of the runs in the lanes."""
    pack = job_pack(table)
    return RunState(pack.weights, pack.slots, pack.carry)


def reported_points(table: Address) -> Memory:
    """The reported parameters of the runs in the lanes."""
    return job_pack(table).weights if job_spec(table).reports_stored > 0 else job_reported(table)
