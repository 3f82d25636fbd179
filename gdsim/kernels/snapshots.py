"""Snapshots of runs: points that wait for evaluation, a whole pack at a time, and what is done with their
scores.

Every function takes a job, field by field (`lanes.memory.view`).
"""

import numpy as np

from gdsim.kernels.attendants import anywhere, attended, claim, first_lane, meet, run_evaluate, waiting
from gdsim.kernels.copies import copy_numbers, copy_run, in_lane, in_row
from gdsim.kernels.job import Job
from gdsim.kernels.recorders import record_curves
from gdsim.kernels.state import AT_CHECKPOINT, AT_END, AT_LOOK, AT_START, AT_VALIDATION, BUDGET, DIVERGED, UNFINISHED, Snapshots
from gdsim.kernels.stop_tests import Look, decided
from gdsim.lanes.compiler import noinline
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.tangents import value_of
from gdsim.lanes.types import Step

# A run has diverged when its loss exceeds its first by this factor times (1 + |first|).
LOSS_FACTOR = 1e6
INFINITY = float("inf")
FOREVER = 0xFFFFFFFF
FREE, NONE_LEFT = -1, -2  # what `LaneTable.run` says of a lane without a run

# The turns of an evaluation: the training set; the validation set where it is known to be asked for; what stops say
# of this, and the validation set where nothing but the end of a run, found out just now, asks for it.
TRAINING, VALIDATION, VALIDATION_AT_ENDS, TURNS = range(4)


def label(snaps: Snapshots, run: int, lane: int, step: Step, use: int, checkpoint: int, reason: int) -> int:
    """Adds a snapshot's labels to those that wait, and gives its place among them."""
    place = first_lane() + snaps.count[first_lane()]
    snaps.run[place], snaps.lane[place], snaps.step[place] = run, lane, step
    snaps.use[place], snaps.checkpoint[place], snaps.reason[place] = use, checkpoint, reason
    snaps.count[first_lane()] += 1
    return place


def take_snapshot(job: Job, lane: int, use: int, reason: int) -> None:
    """Queues the reported parameters of a lane's run for evaluation.

    `use` says what for, `reason` why the run has ended, if it has. There must be room for one more.
    """
    pack, lanes, snaps, runs = job.pack, job.lanes, job.snapshots, job.runs
    place = label(snaps, lanes.run[lane], -1 if use & AT_END else lane, np.int64(pack.step[lane]), use, lanes.checkpoint[lane], reason)
    copy_numbers(job.spec.places, job.reported, in_lane(lane), snaps.weights, in_lane(place))
    copy_run(job, job.state, in_lane(lane), snaps.state, in_lane(place))
    for first in range(0, len(job.noted), WIDTH):
        snaps.noted[first + place] = job.noted[first + lane]
    if use & AT_LOOK:
        lanes.pending[lane] = 1
    run = lanes.run[lane]
    if job.spec.target_stop > 0 and pack.monitor.best[lane] < runs.best_loss[run]:
        runs.best_loss[run] = pack.monitor.best[lane]  # a lane that looks in every step has seen more


def queue_starts(job: Job) -> None:
    """Queues the initial points of the next runs, as many as the attended lanes, for evaluation, unless some are
    left that were evaluated before.
    """
    start_snapshots, lanes, runs, spec, mine = job.start_snapshots, job.lanes, job.runs, job.spec, first_lane()
    if lanes.next_run[mine] < lanes.behind_run[mine]:
        return
    first = min(claim(runs.taken, 0, len(attended())), len(runs.reason))
    count = min(len(attended()), len(runs.reason) - first)
    lanes.next_run[mine], lanes.behind_run[mine] = first, first + count
    for i in range(count):
        run = first + i
        began = runs.first_step[run]
        use = AT_START | (AT_CHECKPOINT if spec.checkpoints[0] == began else 0)
        place = label(start_snapshots, run, -1, began, use, 0, UNFINISHED)
        copy_numbers(job.spec.places, runs.shown, in_row(run), start_snapshots.weights, in_lane(place))
        copy_run(job, runs.begin, in_row(run), start_snapshots.state, in_lane(place))
        for noted in range(place, len(start_snapshots.noted), WIDTH):
            start_snapshots.noted[noted] = 0


@noinline
def evaluate_snapshots(job: Job, of_starts: bool) -> None:
    """Evaluates the snapshots that wait, of starts or of runs in lanes, and applies the scores of each."""
    scores, runs, spec, evaluations = job.scores, job.runs, job.spec, job.evaluations
    snaps = job.start_snapshots if of_starts else job.snapshots
    used, is_any_over = 0, False
    for i in waiting(snaps):
        numbers = runs.cell[snaps.run[i]] * spec.hyperparameters
        scores.l1[i], scores.l2[i] = runs.hyperparameters[numbers + spec.l1], runs.hyperparameters[numbers + spec.l2]
        used |= snaps.use[i]
    if not anywhere(used != 0):
        return
    gradient = spec.gradient_at_looks > 0 or (spec.gradient_at_checkpoints > 0 and anywhere(used & AT_CHECKPOINT != 0))
    training = evaluations.starts if of_starts else evaluations.snapshots
    validation = evaluations.validation_starts if of_starts else evaluations.validation_snapshots
    is_validated = spec.validation_at_looks > 0 or anywhere(used & (AT_CHECKPOINT | AT_END) != 0)
    for turn in range(TURNS):  # so that the call stands once, in whose place devices have the evaluation itself
        if turn == TRAINING:
            is_asked = True
        elif turn == VALIDATION:
            is_asked = validation != 0 and is_validated
        else:
            for i in waiting(snaps):
                is_any_over |= is_over(job, snaps, i)
            is_asked = validation != 0 and not is_validated and anywhere(is_any_over)
        if is_asked:
            meet()
            run_evaluate(job, training if turn == TRAINING else validation, 1 if gradient and turn == TRAINING else 0)
            meet()
    for i in waiting(snaps):
        apply_scores(job, snaps, i)
    snaps.count[first_lane()] = 0


def is_over(job: Job, snaps: Snapshots, place: int) -> bool:
    """Lets the stops look at a snapshot's scores: whether its run has ended, by one of them or before, or
    diverged there. `Snapshots.reason` then says why.
    """
    scores, runs, spec = job.scores, job.runs, job.spec
    run, step, use, reason = snaps.run[place], snaps.step[place], snaps.use[place], snaps.reason[place]
    loss = value_of(scores.loss[place])
    finite = abs(loss) < INFINITY
    if use & AT_START and runs.loss_bound[run] != runs.loss_bound[run]:  # a run that goes on has its own
        bound = loss + LOSS_FACTOR * (1.0 + abs(loss))
        runs.loss_bound[run] = bound if abs(bound) < INFINITY else INFINITY
    can_end = reason == UNFINISHED or reason == BUDGET
    if can_end and use & (AT_START | AT_END) and not (finite and loss <= runs.loss_bound[run]):
        reason = DIVERGED
    if reason != DIVERGED:
        look = Look(run, step, loss, value_of(scores.gradient_largest[place]), value_of(job.validation_scores.loss[place]))
        found, is_validated = decided(runs, spec, look, can_end)
        reason = found if found != UNFINISHED else reason
        if is_validated:
            snaps.use[place] |= AT_VALIDATION
    snaps.reason[place] = reason
    return reason != UNFINISHED


def apply_scores(job: Job, snaps: Snapshots, place: int) -> None:
    """Records a snapshot's scores, and the end of its run if it has ended."""
    runs = job.runs
    run, use, loss = snaps.run[place], snaps.use[place], job.scores.loss[place]
    if use & AT_CHECKPOINT:
        record(job, snaps, place)
    if loss < runs.best_loss[run]:
        runs.best_loss[run] = loss
    if abs(value_of(loss)) < INFINITY:
        runs.last_finite_loss[run] = loss
    if use & (AT_CHECKPOINT | AT_VALIDATION) and len(runs.best_validation_loss) > 0:
        record_validation(job, snaps, place)
    if snaps.reason[place] != UNFINISHED:
        end_run(job, snaps, place, snaps.reason[place])
    elif use & AT_LOOK:
        job.lanes.pending[snaps.lane[place]] = 0


def record(job: Job, snaps: Snapshots, place: int) -> None:
    """Records the scores of a checkpoint in the curves of its run, and its point in the trajectory."""
    runs, spec = job.runs, job.spec
    at = snaps.run[place] * len(spec.checkpoints) + snaps.checkpoint[place]
    record_curves(job, snaps, place, at)
    copy_numbers(job.spec.places, snaps.weights, in_lane(place), runs.trajectory, in_row(at))


def record_validation(job: Job, snaps: Snapshots, place: int) -> None:
    """Records a finite validation loss with its accuracy as the last of its run.

    The lowest is recorded with its step too, and with its parameters if these are kept.
    """
    scores, runs = job.validation_scores, job.runs
    run, loss, accuracy = snaps.run[place], scores.loss[place], scores.accuracy[place]
    if not abs(value_of(loss)) < INFINITY:
        return
    runs.final_validation_loss[run], runs.final_validation_accuracy[run] = loss, accuracy
    if loss < runs.best_validation_loss[run]:
        runs.best_validation_loss[run], runs.best_validation_accuracy[run] = loss, accuracy
        runs.best_validation_step[run] = snaps.step[place]
        copy_numbers(job.spec.places, snaps.weights, in_lane(place), runs.best_points, in_row(run))


def finish_validation(job: Job, snaps: Snapshots, place: int, reason: int) -> None:
    """Records the validation loss where a run ended; of a diverged run the last finite one stays.

    Without any finite one the best parameters are those of the end.
    """
    scores, runs = job.validation_scores, job.runs
    run = snaps.run[place]
    if abs(value_of(scores.loss[place])) < INFINITY or reason != DIVERGED:
        runs.final_validation_loss[run], runs.final_validation_accuracy[run] = scores.loss[place], scores.accuracy[place]
    if runs.best_validation_loss[run] == INFINITY:
        copy_numbers(job.spec.places, snaps.weights, in_lane(place), runs.best_points, in_row(run))


def end_run(job: Job, snaps: Snapshots, place: int, reason: int) -> None:
    """Records the end of a run as its snapshot has it, and frees its lane if it still has one."""
    scores, runs = job.scores, job.runs
    run, lane = snaps.run[place], snaps.lane[place]
    loss = scores.loss[place]
    runs.steps_taken[run] = snaps.step[place]
    runs.reason[run] = reason
    runs.final_loss[run] = loss if abs(value_of(loss)) < INFINITY else runs.last_finite_loss[run]
    copy_numbers(job.spec.places, snaps.weights, in_lane(place), runs.ends, in_row(run))
    if len(runs.best_validation_loss) > 0:
        finish_validation(job, snaps, place, reason)
    copy_run(job, snaps.state, in_lane(place), runs.end, in_row(run))
    if lane >= 0:
        free_lane(job, lane)


def free_lane(job: Job, lane: int) -> None:
    """Marks a lane as free: its steps count for no run until the next is loaded."""
    pack, lanes = job.pack, job.lanes
    monitor = pack.monitor
    lanes.run[lane] = FREE
    lanes.free[first_lane()] += 1
    lanes.pending[lane] = 0
    monitor.active[lane] = 0
    monitor.flags[lane] = 0
    monitor.due[lane] = FOREVER
