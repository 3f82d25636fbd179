"""Which lanes the thread of a kernel serves where work is done lane by lane, what those who attend to a pack
decide together, and how a training kernel calls the job's own kernels: a driver of other devices binds other
parts here.

On a processor the one thread of a kernel attends to all lanes of its pack, and other kernels are called by
their addresses. What is decided together, votes of all lanes (`lanes.masks`), barriers and calls stand in
`training.train`, `settle_lanes` and `evaluate_snapshots`, never in what is done for one lane.

Where one run has the lanes of several threads, the first of these attends to it and the others to none; and each
of them reads what others have stored, in lanes that are not its own or in those of one number, which all store
alike. Between the two stands `meet`, and between what all read and what is stored there next.
"""

from typing import Any

from gdsim.kernels.job import Job
from gdsim.kernels.state import Snapshots
from gdsim.kernels.team_memory import Team
from gdsim.lanes.masks import extract, first_of
from gdsim.lanes.memory import call_kernel
from gdsim.lanes.parts import WIDTH, default_part
from gdsim.lanes.types import Address, Count, Lane, Mask, Memory


@default_part
def first_lane() -> int:
    """The first lane that is attended to; at this place stand the counts of who attends to it."""
    return 0


@default_part
def attended() -> range:
    """The lanes that are attended to."""
    return range(WIDTH)


@default_part
def anywhere(condition: bool) -> bool:
    """Whether a condition holds for any who attends to lanes of the pack."""
    return condition


@default_part
def meet() -> None:
    """Waits until all who share a run have come here, and see what the others have stored: nothing where the lanes
    of a run are one thread's.
    """


@default_part
def own_number(value: Lane, lane: int) -> Any:
    """The number in a lane that is attended to."""
    return extract(value, lane)


@default_part
def one_of(values: Lane, left: Mask) -> Any:
    """The number in one of the lanes that are left, of which there are some; each who attends to lanes may have
    another.
    """
    return extract(values, first_of(left, 0))


@default_part
def claim(counts: Memory, place: int, count: int) -> int:
    """Adds to a count that all packs share, and gives what it was."""
    before = counts[place]
    counts[place] = before + count
    return before


def waiting(snaps: Snapshots) -> range:
    """The places of the snapshots that wait, of those that are attended to."""
    return range(first_lane(), first_lane() + snaps.count[first_lane()])


@default_part
def run_advance(table: Address, job: Job, steps: Count) -> Count:
    """Makes up to `steps` steps of every lane, fewer if a run ends, and the reported parameters where they are
    not the stored ones; gives how many updates were made.
    """
    done = call_kernel(job.advance, table, steps)
    if job.report != 0:
        call_kernel(job.report, table, 0)
    return done


@default_part
def run_worker(team: Team, worker: int, steps: Count) -> Count:
    """Makes up to `steps` steps of a worker of every lane's team, fewer if one ends a run; gives how many updates
    were made.
    """
    return call_kernel(team.advance, team.first_table + worker * team.table_bytes, steps)


@default_part
def run_evaluate(job: Job, evaluation: Address, with_gradient: int) -> None:
    """Fills the scores of an evaluation, by the address of its table."""
    call_kernel(job.evaluate, evaluation, with_gradient)
