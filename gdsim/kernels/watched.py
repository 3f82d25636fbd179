"""What a lane has seen of its run between looks: kept where the run ends, given back where it goes on.

Every function takes the address of the job's table. Names that are parts: the readers of the job, and `WIDTH`.
"""

from typing import Any

import numpy as np

from gdsim.kernels.decisions import MEMORY, STOP_COLUMNS
from gdsim.kernels.parts import job_agenda, job_anchor, job_pack, job_runs, job_seats
from gdsim.kernels.state import BEGAN, FACTS, SEEN, SINCE_ANCHOR, STILL_STEPS, TOTAL, WATCHED
from gdsim.lanes.parts import WIDTH


def recall_watched(table: Any, seat: Any, run: Any) -> None:
    """Gives a lane what its run had seen when it began here: nothing, or what it had where it stood."""
    watch, seats, runs = job_pack(table).watch, job_seats(table), job_runs(table)
    at = run * WATCHED
    kept = len(runs.watched) > 0
    watch.total[seat] = runs.watched[at + TOTAL] if kept else 0
    watch.seen[seat] = runs.watched[at + SEEN] if kept else 0
    watch.still[seat] = np.uint32(runs.watched[at + STILL_STEPS]) if kept else 0
    seats.anchored[seat] = -1
    if kept and len(runs.anchors) > 0 and runs.watched[at + SINCE_ANCHOR] >= 0:
        seats.anchored[seat] = runs.facts[run * FACTS + BEGAN] - np.int64(runs.watched[at + SINCE_ANCHOR])
        copy_anchor(table, seat, run, True)
    if kept:  # from here on the row is that of the run's end
        runs.watched[at + TOTAL] = runs.watched[at + SEEN] = runs.watched[at + STILL_STEPS] = 0
        runs.watched[at + SINCE_ANCHOR] = -1


def keep_watched(table: Any, seat: Any, run: Any) -> None:
    """Keeps what a lane and its stops have seen of a run whose steps are used up, for the one that goes on."""
    pack, seats, runs, agenda = job_pack(table), job_seats(table), job_runs(table), job_agenda(table)
    watch, at = pack.watch, run * WATCHED
    if len(runs.end_memory) > 0:
        stride = len(agenda.stops) // STOP_COLUMNS * MEMORY
        for k in range(run * stride, (run + 1) * stride):
            runs.end_memory[k] = runs.memory[k]
    if len(runs.watched) > 0:
        runs.watched[at + TOTAL], runs.watched[at + SEEN], runs.watched[at + STILL_STEPS] = watch.total[seat], watch.seen[seat], watch.still[seat]
        runs.watched[at + SINCE_ANCHOR] = np.int64(pack.step[seat]) - seats.anchored[seat] if seats.anchored[seat] >= 0 else -1
        if len(runs.anchors) > 0 and seats.anchored[seat] >= 0:
            copy_anchor(table, seat, run, False)


def copy_anchor(table: Any, seat: Any, run: Any, to_lane: Any) -> None:
    """Copies Cycling's anchor of a run from its row to its lane, or back."""
    runs, anchor, places = job_runs(table), job_anchor(table), job_agenda(table).places
    for p in range(len(places)):
        row, lane = run * len(places) + p, places[p] * WIDTH + seat
        if to_lane:
            anchor[lane] = runs.anchors[row]
        else:
            runs.anchors[row] = anchor[lane]
