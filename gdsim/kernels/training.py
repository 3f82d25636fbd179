"""The training kernel: lanes train, and a lane whose run has ended is given the next at once.

Between events all lanes advance together. What a run needs at an event (its loss on the whole data, at a checkpoint or a
stop's look, and at its end) is asked of a snapshot of its parameters; snapshots are evaluated a whole pack at a time. A
lane goes on while a look of its run waits, at most to the run's next event: if the look then ends the run, it ended where
the snapshot was taken. Nothing that is found out about a run depends on the others.

Every function takes the address of the job's table. Names that are parts: the readers of the job, and
`WIDTH`: one compiled kernel serves all problems and rules, whose own kernels it calls.
"""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.decisions import (
    BEST,
    BUDGET,
    CYCLING,
    DIVERGED,
    EPOCH_PLATEAU,
    EVERY,
    KIND,
    MEMORY,
    SMALL_STEP,
    STOP_COLUMNS,
    UNFINISHED,
    WAITED,
    is_look_of,
    is_own_look,
    is_patience_over,
    next_look,
)
from gdsim.kernels.parts import job_advance, job_agenda, job_anchor, job_pack, job_report, job_reported, job_runs, job_seats, job_snapshots
from gdsim.kernels.snapshots import FOREVER, begin_runs, leave, settle_snapshots, take_snapshot
from gdsim.kernels.state import (
    AT_CHECKPOINT,
    AT_END,
    AT_LOOK,
    BEGAN,
    BOUND,
    CELL,
    EVALUATED,
    FACTS,
    LANE_STEPS,
    MARKS,
    NEXT,
    PACK_STEPS,
    REASON,
    START_NUMBER,
    slot_place,
)  # fmt: skip
from gdsim.kernels.steps import GRADIENT_SMALL, STILL, TARGET_REACHED
from gdsim.kernels.watched import keep_watched, recall_watched
from gdsim.lanes.compiler import shared
from gdsim.lanes.masks import any, count_of, first_of, smallest
from gdsim.lanes.memory import call_kernel
from gdsim.lanes.operations import load, where
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode

MORE, DONE = 0, 1
INFINITY = float("inf")
CYCLE_STEPS = 4  # the longest cycle that Cycling knows


class Job(NamedTuple):
    """All that a kernel works on. `advance`, `report` and `evaluate` are the addresses of the kernels for the job's rule and problem."""

    pack: Any
    seats: Any
    snapshots: Any
    fresh: Any  # snapshots of runs that have not begun
    scores: Any
    held_scores: Any  # on the validation set
    reported: Any  # [place]: the reported parameters of the pack's runs, where they are not the stored ones
    anchor: Any  # [place]: where Cycling began to watch
    runs: Any
    agenda: Any
    training_feed: Any
    advance: Any
    report: Any
    evaluate: Any
    evaluations: Any  # int64 [4]: the tables of evaluations of snapshots and fresh runs, on the training and on the validation set; 0: none
    tables: Any  # what `evaluations` points into
    feeds: Any  # the sets that these point into
    model: Any  # the problem's working memory, last: all before lies alike for all problems


def rest(table: Any, seat: Any) -> None:
    """Leaves zeros in a lane for which there is no further run: whatever it computes is nobody's."""
    pack, agenda = job_pack(table), job_agenda(table)
    for p in range(len(agenda.places)):
        pack.weights[agenda.places[p] * WIDTH + seat] = 0
        for s in range(agenda.slots):
            pack.slots[slot_place(agenda, p, s) * WIDTH + seat] = 0


def next_run(table: Any) -> Any:
    """The next run that its start has not ended, or -1."""
    runs = job_runs(table)
    while True:
        if runs.progress[NEXT] == runs.progress[EVALUATED]:
            if runs.progress[EVALUATED] * FACTS == len(runs.facts):
                return -1
            begin_runs(table)
            settle_snapshots(table, True)
        run = runs.progress[NEXT]
        runs.progress[NEXT] = run + 1
        if runs.facts[run * FACTS + REASON] == UNFINISHED:
            return run


def sit(table: Any, seat: Any, run: Any) -> None:
    """Puts a run into a lane."""
    pack, seats, runs, agenda = job_pack(table), job_seats(table), job_runs(table), job_agenda(table)
    parameters, cell = len(agenda.places), runs.facts[run * FACTS + CELL]
    for p in range(parameters):
        at = agenda.places[p]
        pack.weights[at * WIDTH + seat] = runs.points[run * parameters + p]
        for s in range(agenda.slots):
            pack.slots[slot_place(agenda, p, s) * WIDTH + seat] = runs.slots[(run * parameters + p) * agenda.slots + s] if len(runs.slots) > 0 else 0
    for c in range(agenda.carry):
        pack.carry[c * WIDTH + seat] = runs.carry[run * agenda.carry + c] if len(runs.carry) > 0 else 0
    for k in range(agenda.numbers):
        pack.numbers[k * WIDTH + seat] = runs.numbers[cell * agenda.numbers + k]
    began = runs.facts[run * FACTS + BEGAN]
    pack.start[seat] = runs.facts[run * FACTS + START_NUMBER]
    pack.step[seat] = began
    watch = pack.watch
    watch.active[seat] = 1
    watch.flags[seat] = 0
    watch.best[seat] = INFINITY
    watch.loss_bound[seat] = runs.marks[run * MARKS + BOUND]
    watch.target[seat] = next_target(table, run) if agenda.lane_stops[0] > 0 else -INFINITY
    seats.run[seat] = run
    seats.pending[seat] = 0
    seats.checkpoint[seat] = 0
    recall_watched(table, seat, run)
    set_due(table, seat)


def next_target(table: Any, run: Any) -> Any:
    """The highest target that a run has not met."""
    runs, agenda = job_runs(table), job_agenda(table)
    targets = agenda.targets
    for k in range(len(targets) - 1):
        if runs.reached[run * len(targets) + k] < 0:
            return targets[k]
    return targets[len(targets) - 1]


def set_due(table: Any, seat: Any) -> None:
    """Finds the step of a lane's next event."""
    pack, seats, runs, agenda = job_pack(table), job_seats(table), job_runs(table), job_agenda(table)
    step = np.int64(pack.step[seat])
    checkpoint = seats.checkpoint[seat]
    while checkpoint < len(agenda.checkpoints) and agenda.checkpoints[checkpoint] <= step:
        checkpoint += 1
    seats.checkpoint[seat] = checkpoint
    due = next_look(runs, agenda, seats.run[seat], step)
    if checkpoint < len(agenda.checkpoints):
        due = min(due, agenda.checkpoints[checkpoint])
    if seats.anchored[seat] >= 0:
        due = min(due, step + 1)
    pack.watch.due[seat] = due


@shared
def fill_seats(table: Any) -> Any:
    """Gives every free lane a run, as long as there are any."""
    seats = job_seats(table)
    for seat in range(WIDTH):
        if seats.run[seat] == -1:
            run = next_run(table)
            if run >= 0:
                sit(table, seat, run)
            else:
                rest(table, seat)
                seats.run[seat] = -2  # and stays so
    seats.free[0] = 0


@shared
def depart(table: Any, seat: Any, why: Any) -> None:
    """Ends a lane's run where it is: its snapshot is the last word, and the lane is free."""
    snapshots, agenda = job_snapshots(table), job_agenda(table)
    is_checkpoint = why == BUDGET and len(agenda.checkpoints) > 0
    take_snapshot(table, seat, AT_END | (AT_CHECKPOINT if is_checkpoint else 0), why)
    leave(table, seat)
    if snapshots.count[0] == WIDTH:
        settle_snapshots(table, False)


def attend(table: Any, seat: Any) -> None:
    """Does what a lane's flags or its due step ask for."""
    pack, seats, agenda = job_pack(table), job_seats(table), job_agenda(table)
    watch = pack.watch
    run = seats.run[seat]
    if seats.pending[seat] == 1:  # a look that may have ended the run before
        settle_snapshots(table, False)
        if seats.run[seat] != run:
            return
    flags, step = watch.flags[seat], np.int64(pack.step[seat])
    watch.flags[seat] = 0
    if flags == TARGET_REACHED:
        meet_target(table, seat, step)
    elif flags == GRADIENT_SMALL:
        depart(table, seat, agenda.lane_stops[1])
    elif flags == STILL:
        depart(table, seat, agenda.lane_stops[2])
    elif flags != 0:
        depart(table, seat, DIVERGED)
    else:
        keep_appointment(table, seat, step)


def meet_target(table: Any, seat: Any, step: Any) -> None:
    """Notes the targets that a lane's loss has met; the lowest ends the run, else the lane watches for the next."""
    pack, seats, runs, agenda = job_pack(table), job_seats(table), job_runs(table), job_agenda(table)
    targets, run = agenda.targets, seats.run[seat]
    loss = pack.watch.target[seat]
    for k in range(len(targets)):
        if targets[k] == loss:
            runs.reached[run * len(targets) + k] = step
    if loss <= targets[len(targets) - 1]:
        depart(table, seat, agenda.lane_stops[0])
    else:
        pack.watch.target[seat] = next_target(table, run)


def keep_appointment(table: Any, seat: Any, step: Any) -> None:
    """A lane has come to its run's next event."""
    seats, snapshots, runs, agenda = job_seats(table), job_snapshots(table), job_runs(table), job_agenda(table)
    run = seats.run[seat]
    found = stop_without_loss(table, seat, run, step)
    if step == agenda.last:
        keep_watched(table, seat, run)
    if found != UNFINISHED:
        depart(table, seat, found)
    elif step == agenda.last:
        depart(table, seat, BUDGET)
    else:
        what = 0
        if seats.checkpoint[seat] < len(agenda.checkpoints) and agenda.checkpoints[seats.checkpoint[seat]] == step:
            what = AT_CHECKPOINT
        for stop in range(len(agenda.stops) // STOP_COLUMNS):
            kind = agenda.stops[stop * STOP_COLUMNS + KIND]
            if kind != SMALL_STEP and kind != CYCLING and kind != EPOCH_PLATEAU and is_look_of(runs, agenda, run, step, stop):
                what |= AT_LOOK
        if what != 0:
            take_snapshot(table, seat, what, UNFINISHED)
        set_due(table, seat)
        if snapshots.count[0] == WIDTH:
            settle_snapshots(table, False)


def stop_without_loss(table: Any, seat: Any, run: Any, step: Any) -> Any:
    """1 + the number of the stop that ends a run without its loss on the whole data, or UNFINISHED: SmallStep at cycle ends, Cycling, a plateau of epochs."""
    pack, seats, runs, agenda = job_pack(table), job_seats(table), job_runs(table), job_agenda(table)
    for stop in range(len(agenda.stops) // STOP_COLUMNS):
        kind, tolerance = agenda.stops[stop * STOP_COLUMNS + KIND], agenda.tolerances[stop * 2]
        if kind == SMALL_STEP and agenda.lane_stops[2] == 0 and is_look_of(runs, agenda, run, step, stop):
            size = pack.watch.size[seat] ** 0.5
            if pack.watch.moved[seat] ** 0.5 <= tolerance * (1.0 + size):
                return stop + 1
        if kind == EPOCH_PLATEAU and pack.watch.seen[seat] > 0 and is_look_of(runs, agenda, run, step, stop) and mean_stops(table, seat, run, step, stop):
            return stop + 1
        if kind == CYCLING:
            if seats.anchored[seat] >= 0 and cycles(table, seat, step, tolerance):
                return stop + 1
            if seats.anchored[seat] < 0 and is_own_look(runs, agenda, run, step, stop):
                drop_anchor(table, seat, step)
    return UNFINISHED


def mean_stops(table: Any, seat: Any, run: Any, step: Any, stop: Any) -> Any:
    """Records the mean loss of an epoch's batches; whether it was the last of so many without a lower one."""
    watch, runs, agenda = job_pack(table).watch, job_runs(table), job_agenda(table)
    every, began = agenda.stops[stop * STOP_COLUMNS + EVERY], runs.facts[run * FACTS + BEGAN]
    epochs = len(runs.epoch_losses) // (len(runs.facts) // FACTS)
    mean = watch.total[seat] / watch.seen[seat]
    runs.epoch_losses[run * epochs + (step - 1) // every - began // every] = mean
    at = (run * (len(agenda.stops) // STOP_COLUMNS) + stop) * MEMORY
    best, waited = runs.memory[at + BEST], runs.memory[at + WAITED]
    is_over = is_patience_over(runs, agenda, run, stop, mean)
    if is_own_look(runs, agenda, run, step, stop):
        watch.total[seat] = 0
        watch.seen[seat] = 0
    else:  # the last step's, inside an epoch: a run that goes on has looked at whole epochs alone
        runs.memory[at + BEST], runs.memory[at + WAITED] = best, waited
    return is_over


def drop_anchor(table: Any, seat: Any, step: Any) -> None:
    """Keeps the point of a lane's run, to see whether it comes back to it."""
    pack, seats, reported, agenda = job_pack(table), job_seats(table), job_reported(table), job_agenda(table)
    source, anchor, places = pack.weights if agenda.reports_stored > 0 else reported, job_anchor(table), agenda.places
    for p in range(len(places)):
        anchor[places[p] * WIDTH + seat] = source[places[p] * WIDTH + seat]
    seats.anchored[seat] = step


def cycles(table: Any, seat: Any, step: Any, tolerance: Any) -> Any:
    """Whether a run has come back to its anchor, after it has left it; after one step in place or four elsewhere it is let go."""
    pack, seats, reported, agenda = job_pack(table), job_seats(table), job_reported(table), job_agenda(table)
    source, anchor, places = pack.weights if agenda.reports_stored > 0 else reported, job_anchor(table), agenda.places
    squares, size = tolerance * 0, tolerance * 0
    for p in range(len(places)):
        w = source[places[p] * WIDTH + seat]
        way = w - anchor[places[p] * WIDTH + seat]
        squares += way * way
        size += w * w
    near = squares**0.5 <= tolerance * (1.0 + size**0.5)
    since = step - seats.anchored[seat]
    if near or since >= CYCLE_STEPS:
        seats.anchored[seat] = -1
    return near and since > 1


@shared
def attend_all(table: Any) -> Any:
    """Attends to the lanes that ask for it; how many had a run."""
    pack = job_pack(table)
    busy = count_of(load(pack.watch.active, 0, WIDTH) != 0)
    seat = first_of(asking(pack), 0)
    while seat < WIDTH:
        attend(table, seat)
        seat += 1
        if seat < WIDTH and not asks(pack.watch, pack.step, seat):  # where one asks, its neighbour often does too
            seat = first_of(asking(pack), seat)
    return busy


def asks(watch: Any, step: Any, seat: Any) -> Any:
    """Whether a lane's run was flagged, or has come to its next event."""
    return watch.active[seat] != 0 and (watch.flags[seat] != 0 or step[seat] == watch.due[seat])


def asking(pack: Any) -> Any:
    """The same of all lanes."""
    watch = pack.watch
    flagged = load(watch.flags, 0, WIDTH) != 0
    return (load(watch.active, 0, WIDTH) != 0) & (flagged | (load(pack.step, 0, WIDTH) == load(watch.due, 0, WIDTH)))


def distance(table: Any, most: Any) -> Any:
    """How many steps all lanes can advance before one is due."""
    pack = job_pack(table)
    left = load(pack.watch.due, 0, WIDTH) - load(pack.step, 0, WIDTH)
    return min(most, np.int64(smallest(where(load(pack.watch.active, 0, WIDTH) != 0, left, FOREVER))))


def train(table: Any, budget: Any) -> Any:
    """The kernel: about `budget` steps of every lane; whether more are to be made, MORE or DONE."""
    pack, seats, runs, agenda, advance, report = job_pack(table), job_seats(table), job_runs(table), job_agenda(table), job_advance(table), job_report(table)
    mode = set_float_mode()
    state, left = MORE, budget
    while left > 0:
        if seats.free[0] > 0:
            fill_seats(table)
        if not any(load(pack.watch.active, 0, WIDTH) != 0):
            settle_snapshots(table, False)
            state = DONE
            break
        done = call_kernel(advance, table, distance(table, left))
        left -= max(done, 1)
        if agenda.reports_stored == 0:
            call_kernel(report, table, 0)
        runs.progress[PACK_STEPS] += done
        runs.progress[LANE_STEPS] += done * attend_all(table)
    restore_float_mode(mode)
    return state
