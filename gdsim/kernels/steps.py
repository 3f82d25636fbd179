"""One step of every lane, whatever the problem: its numbers, the update of one weight, and what is looked at
on the way.
"""

from gdsim.kernels.attendants import meet
from gdsim.kernels.parts import (
    CARRY_COUNT,
    HYPERPARAMETER_COUNT,
    HYPERPARAMETERS,
    MONITORS_STEP,
    SLOT_COUNT,
    job_model,
    job_pack,
    job_reported,
    job_training_sampler,
    one_step,
    penalized,
    schedule_numbers,
    scheduled_hyperparameters,
)
from gdsim.kernels.state import Monitor, Pack, StepInputs, StepStats
from gdsim.lanes.bits import largest_magnitude, to_bits
from gdsim.lanes.masks import any
from gdsim.lanes.operations import fma_lanes, load, splat, sqrt, store, where, widen
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.tiles import load_row, store_row
from gdsim.lanes.types import Address, Count, Hyperparameters, Lane, Lanes, Mask, Offset
from gdsim.rules.parts import prepare, reported, update, with_gradient
from gdsim.schedules.parts import rate

# Why a lane needs attention: what `Monitor.flags` says.
LOSS_BEYOND_BOUND, TARGET_REACHED, WEIGHTS_BEYOND_BOUND, GRADIENT_SMALL, STEPS_SMALL = 1, 2, 4, 8, 16

# What has happened in a step of a pack: all runs go on, or one has ended before or after the step's update.
GOES_ON, ENDED_BEFORE, ENDED_AFTER = 0, 1, 2


def hyperparameters_of(pack: Pack) -> Hyperparameters:
    """The hyperparameters of the runs in the lanes, by their names."""
    return HYPERPARAMETERS(*load_row(pack.hyperparameters, 0, WIDTH, HYPERPARAMETER_COUNT, WIDTH))


@default_part
def update_number(t: Lane, carry: Lanes) -> Lane:
    """The number of the update that a rule makes, of the step's and the rule's carry."""
    return t


def step_at(h: Hyperparameters, t: Lane, carry: Lanes) -> tuple[StepInputs, Lanes]:
    """(the numbers of update t = 1, 2, ..., the rule's new carry) from a run's hyperparameters."""
    t = update_number(t, carry)
    step, carry = prepare(scheduled_hyperparameters(h, t), rate(h.lr, t, schedule_numbers(h)), carry)
    return StepInputs(step, h.penalty_l1, h.penalty_l2), carry


@default_part
def begin_step(pack: Pack) -> tuple[StepInputs, Lanes]:
    """(the numbers of the next step, the rule's new carry)."""
    return step_at(hyperparameters_of(pack), load(pack.step, 0, WIDTH) + 1, load_row(pack.carry, 0, WIDTH, CARRY_COUNT, WIDTH))


def with_whole_gradient(step: StepInputs, norm: Lane, loss: Lane) -> StepInputs:
    """The numbers of a step once its whole gradient is known: its length, and the loss of the batch where it
    was taken.
    """
    return StepInputs(with_gradient(step.rule, norm, loss), step.l1, step.l2)


def new_stats() -> StepStats:
    """Before the first update of a step."""
    zero = splat(ZERO, WIDTH)
    return StepStats(to_bits(zero), zero, zero)


def stored_stats(monitor: Monitor) -> StepStats:
    """The statistics of a step that is made in several places, so far."""
    return StepStats(load(monitor.largest_weight, 0, WIDTH), load(monitor.step_squares, 0, WIDTH), load(monitor.weight_squares, 0, WIDTH))


def store_stats(monitor: Monitor, at: Offset, stats: StepStats) -> None:
    """Keeps the statistics of a step for its next place, and for whoever asks after it."""
    store(monitor.largest_weight, at, stats.largest_weight)
    if MONITORS_STEP:
        store(monitor.step_squares, at, stats.step_squares)
        store(monitor.weight_squares, at, stats.weight_squares)


def accumulate(stats: StepStats, step: StepInputs, old: tuple[Lane, Lanes], new: tuple[Lane, Lanes]) -> StepStats:
    """The statistics of a step with one more of its updates; `old` and `new` are (weight, slots)."""
    w, slots = new
    largest = largest_magnitude(stats.largest_weight, w)
    if not MONITORS_STEP:
        return StepStats(largest, stats.step_squares, stats.weight_squares)
    after = reported(w, slots, step.rule)
    way = after - reported(old[0], old[1], step.rule)
    return StepStats(largest, fma_lanes(way, way, stats.step_squares), fma_lanes(after, after, stats.weight_squares))


def updated(pack: Pack, step: StepInputs, place: Offset, g: Lane, is_weight: bool) -> tuple[tuple[Lane, Lanes], tuple[Lane, Lanes]]:
    """What is at a place, and what its gradient makes of it: (weight, slots) each."""
    w = load(pack.weights, place * WIDTH, WIDTH)
    if is_weight:
        g = penalized(g, w, step)
    slots = load_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, SLOT_COUNT, WIDTH)
    return (w, slots), update(w, g, slots, step.rule)


def store_weight(pack: Pack, place: Offset, new: tuple[Lane, Lanes]) -> None:
    """Stores (weight, slots) at a place."""
    store(pack.weights, place * WIDTH, new[0])
    store_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, new[1], SLOT_COUNT)


def update_weight(pack: Pack, step: StepInputs, stats: StepStats, place: Offset, g: Lane, is_weight: bool) -> StepStats:
    """Updates one weight from its gradient; gives the statistics of the step with it."""
    old, new = updated(pack, step, place, g, is_weight)
    store_weight(pack, place, new)
    return accumulate(stats, step, old, new)


def flag_loss(monitor: Monitor, at: Offset, loss: Lane, ends: Mask) -> None:
    """Flags the lanes from `at` that the loss of a step ends before its update: beyond its bound, at its
    target, or else at a small gradient.
    """
    flags = load(monitor.flags, at, WIDTH)
    none = flags * 0
    beyond, reached = ~(loss <= load(monitor.loss_bound, at, WIDTH)), loss <= load(monitor.target, at, WIDTH)
    why = where(beyond, none + LOSS_BEYOND_BOUND, where(reached, none + TARGET_REACHED, none + GRADIENT_SMALL))
    meet()
    store(monitor.flags, at, where(ends, why, flags))


def flag_update(monitor: Monitor, at: Offset, largest: Lane, ends: Mask) -> None:
    """Flags the lanes from `at` that a step's update ends: a weight beyond its bound, or else hardly any
    movement.
    """
    flags = load(monitor.flags, at, WIDTH)
    beyond = largest > load(monitor.weight_bound, at, WIDTH)
    meet()
    store(monitor.flags, at, where(ends, where(beyond, flags * 0 + WEIGHTS_BEYOND_BOUND, flags * 0 + STEPS_SMALL), flags))


@default_part
def stops_here(monitor: Monitor, loss: Lane) -> bool:
    """Whether the loss of a step's batch ends a run before its update; the flags say which and why."""
    best = load(monitor.best, 0, WIDTH)
    meet()
    store(monitor.best, 0, where(loss < best, loss, best))
    active = load(monitor.active, 0, WIDTH) != 0
    ends = active & (~(loss <= load(monitor.loss_bound, 0, WIDTH)) | (loss <= load(monitor.target, 0, WIDTH)))
    if any(ends):
        flag_loss(monitor, 0, loss, ends)
        return True
    return False


@default_part
def end_step(pack: Pack, carry: Lanes, stats: StepStats) -> bool:
    """Puts a finished step away; whether it ends a run: its weights are beyond their bound, or hardly moved."""
    monitor, number = pack.monitor, load(pack.step, 0, WIDTH) + 1
    meet()
    store_row(pack.carry, 0, WIDTH, carry, CARRY_COUNT)
    store(pack.step, 0, number)
    active = load(monitor.active, 0, WIDTH) != 0
    ends = active & (stats.largest_weight > load(monitor.weight_bound, 0, WIDTH))
    if MONITORS_STEP:
        small, small_steps = count_small_steps(monitor, 0, stats, load(monitor.small_steps, 0, WIDTH))
        store(monitor.small_steps, 0, small_steps)
        ends = ends | (active & small)
    if any(ends):
        flag_update(monitor, 0, stats.largest_weight, ends)
        return True
    return False


def count_small_steps(monitor: Monitor, at: Offset, stats: StepStats, small_steps: Lane) -> tuple[Mask, Lane]:
    """(whether the weights have hardly moved for long enough, for how many steps): |step| <= tolerance (1 +
    |w|), `times` in a row.
    """
    tolerance = load(monitor.step_tolerance, at, WIDTH)
    reach = tolerance * (1.0 + sqrt(stats.weight_squares))
    small = (stats.step_squares <= reach * reach) & (tolerance >= 0.0)
    small_steps = where(small, small_steps + 1, small_steps * 0)
    return small & (small_steps >= load(monitor.small_steps_needed, at, WIDTH)), small_steps


def advance(table: Address, steps: Count) -> Count:
    """The kernel: up to `steps` steps of every lane; fewer if a run ends. How many updates were made."""
    pack, sampler, model = job_pack(table), job_training_sampler(table), job_model(table)
    for done in range(steps):
        end = one_step(table, model, pack, sampler)
        if end != GOES_ON:
            return done + (1 if end == ENDED_AFTER else 0)
    return steps


def report_all(table: Address, steps: Count) -> Count:
    """The kernel: the reported parameters of every lane, from the stored ones."""
    pack, out = job_pack(table), job_reported(table)
    meet()
    step = widen(begin_step(pack)[0], WIDTH)
    for place in range(len(out) // WIDTH):
        slots = load_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, SLOT_COUNT, WIDTH)
        store(out, place * WIDTH, reported(load(pack.weights, place * WIDTH, WIDTH), slots, step.rule))
    return steps
