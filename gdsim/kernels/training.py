"""The training kernel: lanes train, and a lane whose run has ended is given the next at once.

Between events all lanes advance together. What a run needs at an event (its loss on the whole data, at a
checkpoint or a stop's look, and at its end) is asked of a snapshot of its parameters; snapshots are evaluated
a whole pack at a time. A lane goes on while a look of its run waits, at most to the run's next event: if the
look then ends the run, it ended where the snapshot was taken. Nothing that is found out about a run depends
on the others.

One compiled kernel serves all problems and rules, whose own kernels it calls. Functions take the job as a view
of its table (`lanes.memory.view`).
"""

import math

import numpy as np

from gdsim.kernels.attendants import anywhere, attended, first_lane, meet, run_advance
from gdsim.kernels.copies import copy_numbers, copy_run, in_lane, in_row
from gdsim.kernels.job import Job
from gdsim.kernels.monitoring import restore_monitor, save_monitor
from gdsim.kernels.parts import job_of
from gdsim.kernels.snapshots import FOREVER, FREE, NONE_LEFT, evaluate_snapshots, free_lane, queue_starts, take_snapshot
from gdsim.kernels.state import AT_CHECKPOINT, AT_END, AT_LOOK, BUDGET, DIVERGED, UNFINISHED, Pack
from gdsim.kernels.steps import GRADIENT_SMALL, STEPS_SMALL, TARGET_REACHED
from gdsim.kernels.stop_tests import (
    CYCLING,
    EPOCH_PLATEAU,
    SMALL_STEP,
    TESTED_AT_LOOKS,
    is_own_look,
    is_patience_over,
    next_look,
)
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any, count_of, first_of, smallest
from gdsim.lanes.operations import load, where
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode
from gdsim.lanes.tangents import value_of
from gdsim.lanes.types import Address, Count, Mask, Step

MORE, DONE = 0, 1
INFINITY = float("inf")
CYCLE_STEPS = 4  # the longest cycle that Cycling detects


def clear_lane(job: Job, lane: int) -> None:
    """Zeroes the weights and slots of a lane for which no run is left: it goes on computing for nothing."""
    pack = job.pack
    job.lanes.run[lane] = NONE_LEFT
    for at in range(lane, len(pack.weights), WIDTH):
        pack.weights[at] = 0
    for at in range(lane, len(pack.slots), WIDTH):
        pack.slots[at] = 0


def load_run(job: Job, lane: int, run: int) -> None:
    """Loads a run's parameters, state and hyperparameters into a lane, from where it begins."""
    pack, lanes, runs, spec = job.pack, job.lanes, job.runs, job.spec
    copy_run(job, runs.begin, in_row(run), job.state, in_lane(lane))
    copy_numbers(spec.hyperparameter_places, runs.hyperparameters, in_row(runs.cell[run]), pack.hyperparameters, in_lane(lane))
    pack.start[lane] = runs.start[run]
    pack.shard[lane] = runs.shard[run]
    pack.step[lane] = runs.first_step[run]
    monitor = pack.monitor
    monitor.active[lane] = 1
    monitor.flags[lane] = 0
    monitor.best[lane] = INFINITY
    monitor.loss_bound[lane] = runs.loss_bound[run]
    monitor.target[lane] = next_target(job, run) if spec.target_stop > 0 else -INFINITY
    lanes.run[lane] = run
    lanes.pending[lane] = 0
    lanes.checkpoint[lane] = 0
    restore_monitor(job, lane, run)
    set_due(job, lane)


def next_target(job: Job, run: int) -> float:
    """The highest target that a run has not met; the lowest if it has met all."""
    runs, spec = job.runs, job.spec
    targets = spec.targets
    for k in range(len(targets) - 1):
        if runs.reached[run * len(targets) + k] < 0:
            return targets[k]
    return targets[len(targets) - 1]


def set_due(job: Job, lane: int) -> None:
    """Sets the step of a lane's next event: a checkpoint, a look, or the next while Cycling has a reference."""
    pack, lanes, runs, spec = job.pack, job.lanes, job.runs, job.spec
    step = np.int64(pack.step[lane])
    checkpoint = lanes.checkpoint[lane]
    while checkpoint < len(spec.checkpoints) and spec.checkpoints[checkpoint] <= step:
        checkpoint += 1
    lanes.checkpoint[lane] = checkpoint
    due = next_look(runs, spec, lanes.run[lane], step)
    if checkpoint < len(spec.checkpoints):
        due = min(due, spec.checkpoints[checkpoint])
    if lanes.reference_step[lane] >= 0:
        due = min(due, step + 1)
    pack.monitor.due[lane] = due


def fill_lanes(job: Job) -> bool:
    """Loads the next run that has not ended at its initial point into every free lane, as long as any is left;
    whether more must be evaluated there first.
    """
    lanes, runs, mine = job.lanes, job.runs, first_lane()
    for lane in attended():
        while lanes.run[lane] == FREE and lanes.next_run[mine] < lanes.behind_run[mine]:
            run = lanes.next_run[mine]
            lanes.next_run[mine] = run + 1
            if runs.reason[run] == UNFINISHED:
                load_run(job, lane, run)
        if lanes.run[lane] == FREE:
            if lanes.behind_run[mine] < len(runs.reason):
                return True
            clear_lane(job, lane)
    lanes.free[mine] = 0
    return False


def checkpoint_use(job: Job, lane: int) -> int:
    """AT_CHECKPOINT where a lane is at a checkpoint that is not yet recorded, or else 0."""
    checkpoint, checkpoints = job.lanes.checkpoint[lane], job.spec.checkpoints
    is_there = checkpoint < len(checkpoints) and checkpoints[checkpoint] == np.int64(job.pack.step[lane])
    return AT_CHECKPOINT if is_there else 0


def handle_lane(job: Job, lane: int) -> None:
    """Handles what a lane was flagged for in the last step, or else the event that is due: takes a snapshot where the
    run ends, is looked at or is at a checkpoint.

    It waits for an evaluation where a look may have ended its run before, and where a snapshot has no room.
    """
    pack = job.pack
    monitor = pack.monitor
    if job.lanes.pending[lane] == 1 or job.snapshots.count[first_lane()] == len(attended()):
        return
    flags, step = monitor.flags[lane], np.int64(pack.step[lane])
    monitor.flags[lane] = 0
    is_due = flags == 0
    if is_due:
        reason, use = handle_due_event(job, lane, step)
    else:
        reason, use = handle_flags(job, lane, flags, step), 0
    has_ended = reason != UNFINISHED
    if has_ended:
        use = AT_END
    if reason != DIVERGED and (is_due or has_ended):
        use |= checkpoint_use(job, lane)
    if use != 0:
        take_snapshot(job, lane, use, reason)
    if has_ended:
        free_lane(job, lane)
    elif is_due:
        set_due(job, lane)


def handle_flags(job: Job, lane: int, flags: int, step: Step) -> int:
    """Why what a lane was flagged for ends its run, or UNFINISHED where it has met a target that is not the lowest."""
    spec = job.spec
    if flags == TARGET_REACHED:
        return meet_target(job, lane, step)
    if flags == GRADIENT_SMALL:
        return spec.gradient_stop
    return spec.step_stop if flags == STEPS_SMALL else DIVERGED


def meet_target(job: Job, lane: int, step: Step) -> int:
    """Records the targets that a lane's loss has met; the lowest ends the run, or else the next one is set."""
    pack, lanes, runs, spec = job.pack, job.lanes, job.runs, job.spec
    targets, run = spec.targets, lanes.run[lane]
    loss = pack.monitor.target[lane]
    for k in range(len(targets)):
        if targets[k] == loss:
            runs.reached[run * len(targets) + k] = step
    if loss <= targets[len(targets) - 1]:
        return spec.target_stop
    pack.monitor.target[lane] = next_target(job, run)
    return UNFINISHED


def handle_due_event(job: Job, lane: int, step: Step) -> tuple[int, int]:
    """Handles the event that is due at this step: a stop's test, a checkpoint, or the end of the budget.

    Gives (why the run ends there, or UNFINISHED; AT_LOOK where a stop asks for its loss, or else 0).
    """
    runs, spec, run = job.runs, job.spec, job.lanes.run[lane]
    found, use = UNFINISHED, 0
    for stop in range(len(spec.stop_kind)):
        is_own = is_own_look(runs, spec, run, step, stop)
        is_look = is_own or step == spec.last
        if TESTED_AT_LOOKS >> spec.stop_kind[stop] & 1:
            use |= AT_LOOK if is_look else 0
        elif found == UNFINISHED and ends_without_loss(job, lane, step, stop, is_own, is_look):
            found = stop + 1
    if step == spec.last:
        save_monitor(job, lane, run)
        found = found if found != UNFINISHED else BUDGET
    return found, use


def ends_without_loss(job: Job, lane: int, step: Step, stop: int, is_own: bool, is_look: bool) -> bool:
    """Whether a stop ends a run by what its lane knows, unevaluated, where it looks (`is_look`), of its own (`is_own`)
    or at the end of the budget.

    Such stops are SmallStep at the ends of cycles, Cycling, and Plateau on the mean losses of epochs; no other ends one here.
    """
    monitor, lanes, spec = job.pack.monitor, job.lanes, job.spec
    kind, tolerance = spec.stop_kind[stop], spec.stop_limit[stop]
    if kind == SMALL_STEP:
        size = math.sqrt(np.float64(value_of(monitor.weight_squares[lane])))
        return spec.step_stop == 0 and is_look and math.sqrt(np.float64(value_of(monitor.step_squares[lane]))) <= tolerance * (1.0 + size)
    if kind == EPOCH_PLATEAU:
        return monitor.samples_seen[lane] > 0 and is_look and epoch_ends_run(job, lane, step, stop, is_own)
    if kind == CYCLING:
        if lanes.reference_step[lane] >= 0 and has_returned(job, lane, step, tolerance):
            return True
        if lanes.reference_step[lane] < 0 and is_own:
            set_reference(job, lane, step)
    return False


def epoch_ends_run(job: Job, lane: int, step: Step, stop: int, is_own: bool) -> bool:
    """Records the mean loss of an epoch's batches; True if the patience of Plateau is over."""
    monitor, runs, spec, run = job.pack.monitor, job.runs, job.spec, job.lanes.run[lane]
    every, began = spec.stop_every[stop], runs.first_step[run]
    epochs = len(runs.epoch_losses) // len(runs.reason)
    mean = monitor.loss_sum[lane] / monitor.samples_seen[lane]
    runs.epoch_losses[run * epochs + (step - 1) // every - began // every] = mean
    at = run * len(spec.stop_kind) + stop
    best, waited = runs.stop_best[at], runs.stop_waited[at]
    is_over = is_patience_over(runs, spec, run, stop, value_of(mean))
    if is_own:
        monitor.loss_sum[lane] = 0
        monitor.samples_seen[lane] = 0
    else:  # the last step's, inside an epoch: a run that goes on has looked at whole epochs alone
        runs.stop_best[at], runs.stop_waited[at] = best, waited
    return is_over


def set_reference(job: Job, lane: int, step: Step) -> None:
    """Makes the reported parameters of a lane's run the reference point to which it may return."""
    copy_numbers(job.spec.places, job.reported, in_lane(lane), job.reference, in_lane(lane))
    job.lanes.reference_step[lane] = step


def has_returned(job: Job, lane: int, step: Step, tolerance: float) -> bool:
    """True if a run is back within tolerance (1 + |w|) of its reference point, at least 2 steps later.

    The reference is dropped on any return, and after CYCLE_STEPS.
    """
    source, reference, places = job.reported, job.reference, job.spec.places
    squares, size = tolerance * 0, tolerance * 0
    for p in range(len(places)):
        w = value_of(source[places[p] * WIDTH + lane])
        way = w - value_of(reference[places[p] * WIDTH + lane])
        squares += way * way
        size += w * w
    near = math.sqrt(np.float64(squares)) <= tolerance * (1.0 + math.sqrt(np.float64(size)))
    since = step - job.lanes.reference_step[lane]
    if near or since >= CYCLE_STEPS:
        job.lanes.reference_step[lane] = -1
    return near and since > 1


def handle_events(job: Job) -> None:
    """Handles the events of the lanes that need attention, but for those that wait for an evaluation."""
    needing = lanes_needing_attention(job.pack)
    meet()
    lane = first_of(needing, first_lane())
    while lane < WIDTH:
        handle_lane(job, lane)
        lane = first_of(needing, lane + 1)


def lanes_needing_attention(pack: Pack) -> Mask:
    """Lanes that were flagged in the last step, or have an event that is due."""
    monitor = pack.monitor
    flagged = load(monitor.flags, 0, WIDTH) != 0
    return (load(monitor.active, 0, WIDTH) != 0) & (flagged | (load(pack.step, 0, WIDTH) == load(monitor.due, 0, WIDTH)))


def steps_to_next_event(job: Job, most: Count) -> Count:
    """How many steps all lanes can advance before an event is due in one of them, at most `most`."""
    pack = job.pack
    left = load(pack.monitor.due, 0, WIDTH) - load(pack.step, 0, WIDTH)
    return min(most, np.int64(smallest(where(load(pack.monitor.active, 0, WIDTH) != 0, left, FOREVER))))


@noinline
def settle_lanes(job: Job) -> Count:
    """Fills lanes, handles events and evaluates until every lane can go on; gives how many have a run.

    Snapshots of runs are evaluated where there is room for no more, where a lane can do nothing before, and where
    no run is left.
    """
    pack, lanes, snapshots, starts, mine = job.pack, job.lanes, job.snapshots, job.start_snapshots, first_lane()
    while True:
        meet()
        if anywhere(lanes.free[mine] > 0 and fill_lanes(job)):
            queue_starts(job)
        meet()
        handle_events(job)
        meet()
        busy, count = count_of(load(pack.monitor.active, 0, WIDTH) != 0), snapshots.count[mine]
        of_starts, is_room_left = anywhere(starts.count[mine] > 0), anywhere(count < len(attended()))
        if of_starts or (anywhere(count > 0) and (busy == 0 or not is_room_left or any(lanes_needing_attention(pack)))):
            evaluate_snapshots(job, of_starts)
        elif not anywhere(lanes.free[mine] > 0):
            return busy


def train(table: Address, budget: Count) -> int:
    """The kernel: about `budget` steps of every lane. MORE if runs are left after them, else DONE."""
    job = job_of(table)
    lanes, mine = job.lanes, first_lane()
    mode = set_float_mode()
    state, left = MORE, budget
    while left > 0:
        busy = settle_lanes(job)
        if busy == 0:
            state = DONE
            break
        done = run_advance(table, job, steps_to_next_event(job, left))
        left -= max(done, 1)
        lanes.pack_steps[mine] += done
        lanes.lane_steps[mine] += done * busy
    restore_float_mode(mode)
    return state
