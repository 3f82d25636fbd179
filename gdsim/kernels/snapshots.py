"""Snapshots of runs: points that wait for evaluation, a whole pack at a time, and what is done with their scores.

Every function takes the address of the job's table.

Names that are parts: the readers of the job, and `WIDTH`.
"""

from typing import Any

from gdsim.kernels.decisions import BUDGET, DIVERGED, UNFINISHED, decided, validation_looks
from gdsim.kernels.parts import (
    job_agenda,
    job_evaluate,
    job_evaluations,
    job_fresh,
    job_held_scores,
    job_pack,
    job_reported,
    job_runs,
    job_scores,
    job_seats,
    job_snapshots,
)
from gdsim.kernels.state import (
    AT_CHECKPOINT,
    AT_END,
    AT_LOOK,
    AT_START,
    BEGAN,
    BEST_LOSS,
    BOUND,
    CELL,
    EVALUATED,
    FACTS,
    FINAL_LOSS,
    HELD,
    HELD_BEST,
    HELD_BEST_ACCURACY,
    HELD_LAST,
    HELD_LAST_ACCURACY,
    HELD_STEP,
    KNOWN_LOSS,
    MARKS,
    PLACE,
    REASON,
    RUN,
    SEAT,
    STEP,
    STEPS,
    TAGS,
    WHAT,
    WHY,
    slot_place,
)  # fmt: skip
from gdsim.lanes.compiler import shared
from gdsim.lanes.memory import call_kernel
from gdsim.lanes.parts import WIDTH

# A run has diverged when its loss exceeds its first by this factor times (1 + |first|).
LOSS_FACTOR = 1e6
INFINITY = float("inf")
FOREVER = 0xFFFFFFFF


def copy_state(table: Any, snaps: Any, seat: Any, place: Any) -> None:
    """Copies the state of a lane's run into a snapshot."""
    pack, agenda = job_pack(table), job_agenda(table)
    places = agenda.places
    for p in range(len(places)):
        at = places[p]
        snaps.stored[at * WIDTH + place] = pack.weights[at * WIDTH + seat]
        for s in range(agenda.slots):
            there = slot_place(agenda, p, s) * WIDTH
            snaps.slots[there + place] = pack.slots[there + seat]
    for c in range(agenda.carry):
        snaps.carry[c * WIDTH + place] = pack.carry[c * WIDTH + seat]


def tag(snaps: Any, run: Any, seat: Any, step: Any, what: Any, checkpoint: Any, why: Any) -> Any:
    """Labels the next snapshot; its place."""
    place = snaps.count[0]
    row = place * TAGS
    snaps.tags[row + RUN], snaps.tags[row + SEAT], snaps.tags[row + STEP] = run, seat, step
    snaps.tags[row + WHAT], snaps.tags[row + PLACE], snaps.tags[row + WHY] = what, checkpoint, why
    snaps.count[0] = place + 1
    return place


def take_snapshot(table: Any, seat: Any, what: Any, why: Any) -> None:
    """Adds the reported parameters of a lane's run to those that wait for evaluation; a full pack of them is evaluated."""
    pack, seats, snapshots, reported, runs, agenda = (
        job_pack(table),
        job_seats(table),
        job_snapshots(table),
        job_reported(table),
        job_runs(table),
        job_agenda(table),
    )
    snaps, places = snapshots, agenda.places
    place = tag(snaps, seats.run[seat], -1 if what & AT_END else seat, pack.step[seat], what, seats.checkpoint[seat], why)
    source = pack.weights if agenda.reports_stored > 0 else reported
    for p in range(len(places)):
        snaps.weights[places[p] * WIDTH + place] = source[places[p] * WIDTH + seat]
    if len(snaps.stored) > 0:
        copy_state(table, snaps, seat, place)
    if what & AT_LOOK:
        seats.pending[seat] = 1
    best = seats.run[seat] * MARKS + BEST_LOSS
    if agenda.lane_stops[0] > 0 and pack.watch.best[seat] < runs.marks[best]:
        runs.marks[best] = pack.watch.best[seat]  # a lane that looks in every step has seen more


def begin_runs(table: Any) -> None:
    """Evaluates the next runs, a pack of them, at their starts."""
    fresh, runs, agenda = job_fresh(table), job_runs(table), job_agenda(table)
    first = runs.progress[EVALUATED]
    parameters = len(agenda.places)
    count = min(WIDTH, len(runs.facts) // FACTS - first)
    for i in range(count):
        run = first + i
        began = runs.facts[run * FACTS + BEGAN]
        what = AT_START | (AT_CHECKPOINT if agenda.checkpoints[0] == began else 0)
        place = tag(fresh, run, -1, began, what, 0, UNFINISHED)
        for p in range(parameters):
            fresh.weights[agenda.places[p] * WIDTH + place] = runs.shown[run * parameters + p]
            if len(fresh.stored) > 0:
                fresh.stored[agenda.places[p] * WIDTH + place] = runs.points[run * parameters + p]
    runs.progress[EVALUATED] = first + count


def needs(snaps: Any, bits: Any) -> Any:
    """Whether any snapshot is to be used in one of these ways."""
    found = 0
    for i in range(snaps.count[0]):
        found |= snaps.tags[i * TAGS + WHAT] & bits
    return found != 0


@shared
def settle_snapshots(table: Any, fresh: Any) -> None:
    """Evaluates the snapshots that wait, of runs in lanes or of fresh ones, and does with each what is to be done."""
    snapshots, scores, runs, agenda = job_snapshots(table), job_scores(table), job_runs(table), job_agenda(table)
    evaluate, evaluations = job_evaluate(table), job_evaluations(table)
    snaps = job_fresh(table) if fresh else snapshots
    count = snaps.count[0]
    if count == 0:
        return
    for i in range(count):
        cell = runs.facts[snaps.tags[i * TAGS + RUN] * FACTS + CELL]
        scores.l1[i] = runs.numbers[cell * agenda.numbers + agenda.l1]
        scores.l2[i] = runs.numbers[cell * agenda.numbers + agenda.l2]
    gradient = (agenda.wants[0] > 0 and needs(snaps, AT_CHECKPOINT)) or agenda.wants[1] > 0
    which = 1 if fresh else 0
    call_kernel(evaluate, evaluations[which], 1 if gradient else 0)
    snaps.count[1] = evaluations[2 + which]
    if agenda.wants[2] > 0 or needs(snaps, AT_CHECKPOINT | AT_END):
        evaluate_held(table, snaps)
    for i in range(count):
        settle(table, snaps, i)
    snaps.count[0] = 0


def evaluate_held(table: Any, snaps: Any) -> None:
    """Evaluates snapshots on the validation set, if there is one and it was not done before."""
    if snaps.count[1] != 0:
        call_kernel(job_evaluate(table), snaps.count[1], 0)
        snaps.count[1] = 0


def settle(table: Any, snaps: Any, place: Any) -> None:
    """Records what a snapshot's scores say, and ends its run if it must end there."""
    seats, scores, held_scores, runs, agenda = job_seats(table), job_scores(table), job_held_scores(table), job_runs(table), job_agenda(table)
    row = place * TAGS
    run, step, what = snaps.tags[row + RUN], snaps.tags[row + STEP], snaps.tags[row + WHAT]
    loss, marks = scores.loss[place], run * MARKS
    finite = abs(loss) < INFINITY
    if what & AT_START and runs.marks[marks + BOUND] != runs.marks[marks + BOUND]:  # a run that goes on has its bound from its first start
        bound = loss + LOSS_FACTOR * (1.0 + abs(loss))
        runs.marks[marks + BOUND] = bound if abs(bound) < INFINITY else INFINITY
    is_held_seen = what & AT_CHECKPOINT != 0
    if is_held_seen:
        record(table, snaps, place)
    if loss < runs.marks[marks + BEST_LOSS]:
        runs.marks[marks + BEST_LOSS] = loss
    why = snaps.tags[row + WHY]
    if why == UNFINISHED or why == BUDGET:
        if what & (AT_START | AT_END) and not (finite and loss <= runs.marks[marks + BOUND]):
            why = DIVERGED
        else:
            found = decided(runs, agenda, (run, step, loss, scores.gradient_largest[place], held_scores.loss[place]))
            is_held_seen = is_held_seen or validation_looks(runs, agenda, run, step)
            why = found if found != UNFINISHED else why
    if finite:
        runs.marks[marks + KNOWN_LOSS] = loss
    if is_held_seen and len(runs.held) > 0:
        keep_held(table, snaps, place)
    if why != UNFINISHED:
        end_run(table, snaps, place, why)
    elif what & AT_LOOK:
        seats.pending[snaps.tags[row + SEAT]] = 0


def record(table: Any, snaps: Any, place: Any) -> None:
    """Writes a checkpoint."""
    scores, held_scores, runs, agenda = job_scores(table), job_held_scores(table), job_runs(table), job_agenda(table)
    row, count = place * TAGS, len(agenda.checkpoints)
    at, curves = snaps.tags[row + RUN] * count + snaps.tags[row + PLACE], runs.curves
    curves.loss[at] = scores.loss[place]
    if len(curves.gradient_norm) > 0:
        curves.gradient_norm[at] = scores.gradient_norm[place]
    if len(curves.accuracy) > 0:
        curves.accuracy[at] = scores.accuracy[place]
    if len(curves.validation_loss) > 0:
        curves.validation_loss[at] = held_scores.loss[place]
    if len(curves.validation_accuracy) > 0:
        curves.validation_accuracy[at] = held_scores.accuracy[place]
    if len(runs.trajectory) > 0:
        parameters = len(agenda.places)
        for p in range(parameters):
            runs.trajectory[at * parameters + p] = snaps.weights[agenda.places[p] * WIDTH + place]


def keep_held(table: Any, snaps: Any, place: Any) -> None:
    """Keeps a finite validation loss with its accuracy; the lowest with its step too, and with its parameters if the run keeps its best ones."""
    scores, runs = job_held_scores(table), job_runs(table)
    run, loss, accuracy = snaps.tags[place * TAGS + RUN], scores.loss[place], scores.accuracy[place]
    if not abs(loss) < INFINITY:
        return
    at = run * HELD
    runs.held[at + HELD_LAST], runs.held[at + HELD_LAST_ACCURACY] = loss, accuracy
    if loss < runs.held[at + HELD_BEST]:
        runs.held[at + HELD_BEST], runs.held[at + HELD_BEST_ACCURACY] = loss, accuracy
        runs.facts[run * FACTS + HELD_STEP] = snaps.tags[place * TAGS + STEP]
        copy_point(table, snaps, place, runs.best_points)


def end_held(table: Any, snaps: Any, place: Any, why: Any) -> None:
    """Keeps the validation loss where a run ended; of a diverged run the last finite one. Parameters without a finite one are those of the end."""
    scores, runs = job_held_scores(table), job_runs(table)
    at = snaps.tags[place * TAGS + RUN] * HELD
    if abs(scores.loss[place]) < INFINITY or why != DIVERGED:
        runs.held[at + HELD_LAST], runs.held[at + HELD_LAST_ACCURACY] = scores.loss[place], scores.accuracy[place]
    if runs.held[at + HELD_BEST] == INFINITY:
        copy_point(table, snaps, place, runs.best_points)


def copy_point(table: Any, snaps: Any, place: Any, points: Any) -> None:
    """Copies a snapshot's reported parameters to a table's row of its run, if there is such a table."""
    agenda = job_agenda(table)
    if len(points) > 0:
        first = snaps.tags[place * TAGS + RUN] * len(agenda.places)
        for p in range(len(agenda.places)):
            points[first + p] = snaps.weights[agenda.places[p] * WIDTH + place]


def end_run(table: Any, snaps: Any, place: Any, why: Any) -> None:
    """Puts a run away as its snapshot has it, and frees its lane if it still has one."""
    scores, runs, agenda = job_scores(table), job_runs(table), job_agenda(table)
    row, parameters = place * TAGS, len(agenda.places)
    run, seat = snaps.tags[row + RUN], snaps.tags[row + SEAT]
    loss = scores.loss[place]
    runs.facts[run * FACTS + STEPS] = snaps.tags[row + STEP]
    runs.facts[run * FACTS + REASON] = why
    runs.marks[run * MARKS + FINAL_LOSS] = loss if abs(loss) < INFINITY else runs.marks[run * MARKS + KNOWN_LOSS]
    copy_point(table, snaps, place, runs.ends)
    if len(runs.held) > 0:
        evaluate_held(table, snaps)  # if a look that needs the training set alone has ended the run
        end_held(table, snaps, place, why)
    if len(runs.end_weights) > 0:
        for p in range(parameters):
            at = agenda.places[p]
            runs.end_weights[run * parameters + p] = snaps.stored[at * WIDTH + place]
            for s in range(agenda.slots):
                runs.end_slots[(run * parameters + p) * agenda.slots + s] = snaps.slots[slot_place(agenda, p, s) * WIDTH + place]
        for c in range(agenda.carry):
            runs.end_carry[run * agenda.carry + c] = snaps.carry[c * WIDTH + place]
    if seat >= 0:
        leave(table, seat)


def leave(table: Any, seat: Any) -> None:
    """Frees a lane."""
    pack, seats = job_pack(table), job_seats(table)
    watch = pack.watch
    seats.run[seat] = -1
    seats.free[0] += 1
    seats.pending[seat] = 0
    watch.active[seat] = 0
    watch.flags[seat] = 0
    watch.due[seat] = FOREVER
