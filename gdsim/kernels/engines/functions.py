"""A step and an evaluation of a function of few parameters: parameters, slots and gradients stay in
registers.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.engines.passes import BLOCK
from gdsim.kernels.parts import (
    CARRY_COUNT,
    COLUMN_COUNT,
    HYPERPARAMETER_COUNT,
    HYPERPARAMETERS,
    MONITORS_GRADIENT,
    MONITORS_STEP,
    MONITORS_TARGET,
    NEEDS_WHOLE_GRADIENT,
    PACK_WIDTH,
    PARAMETER_COUNT,
    PERTURBS,
    SLOT_TOTAL,
    batch_gradient,
    job_model,
    job_pack,
    job_training_sampler,
    update_row,
)
from gdsim.kernels.sampling import fill_shared, stream_of
from gdsim.kernels.state import Monitor, Pack, Scores, Sum, added, total_of
from gdsim.kernels.steps import (
    ENDED_AFTER,
    ENDED_BEFORE,
    GOES_ON,
    count_small_steps,
    flag_loss,
    flag_update,
    new_stats,
    step_at,
    store_stats,
    with_whole_gradient,
)
from gdsim.kernels.workspace import FunctionSpace
from gdsim.lanes.compiler import noinline
from gdsim.lanes.generated import function_from
from gdsim.lanes.masks import any, unlikely
from gdsim.lanes.operations import absolute, as_type_of, load, splat, sqrt, store, where
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.tiles import add_rows, largest_of, load_row, repeat, scale_row, squares_of, store_row
from gdsim.lanes.types import Count, Hyperparameters, Lane, Lanes, Memory, Offset
from gdsim.problems.parts import WEIGHTED, Sampler, Stream, batch_size, fill, value_and_gradient


def gradient_of_function(model: FunctionSpace, sampler: Sampler, x: Lanes, stream: Stream, step: Lane) -> tuple[Lane, Lanes]:
    """(value, gradient) of a function that has no samples."""
    return value_and_gradient(x)


def gradient_of_samples(model: FunctionSpace, sampler: Sampler, x: Lanes, stream: Stream, step: Lane) -> tuple[Lane, Lanes]:
    """(mean loss, its gradient) over a step's batch: sums within a block in order, then the blocks' sums in
    order.
    """
    size = batch_size(sampler, stream, step)
    zero = splat(ZERO, WIDTH)
    total, gradient = Sum(zero, zero), repeat(zero, PARAMETER_COUNT)
    for first in range(0, sampler.batch, BLOCK):
        count = min(BLOCK, sampler.batch - first)
        fill(model, sampler, stream, step, (first, count))
        limit = where(size > first, size - first, size * 0)
        loss, part = sum_of_block(model, x, (count, limit))
        total, gradient = added(total, loss), add_rows(gradient, part)
    samples = as_type_of(size, zero)
    return total_of(total) / samples, scale_row(gradient, 1.0 / samples)


def sum_of_block(model: FunctionSpace, x: Lanes, valid: tuple[int, Lane]) -> tuple[Lane, Lanes]:
    """(sum of the losses, sum of the gradients) over the samples of a block.

    Beyond its end in a lane they do not count.
    """
    count, limit = valid
    total, gradient = splat(ZERO, WIDTH), repeat(splat(ZERO, WIDTH), PARAMETER_COUNT)
    for sample in range(count):
        columns = load_row(model.activations, sample * WIDTH, model.pitch * WIDTH, COLUMN_COUNT, WIDTH)
        loss, part = value_and_gradient(x, columns)
        weight = columns[-1] if WEIGHTED else splat(ZERO, WIDTH) + 1.0
        counts = where(limit > sample, weight, 0.0)
        total = total + where(limit > sample, loss * weight, 0.0)
        gradient = add_rows(gradient, scale_row(part, counts))
    return total, gradient


class LoopConstants(NamedTuple):
    """What stays as it is while a register of lanes makes steps: the runs' numbers, and what ends them."""

    at: Offset  # the first of the lanes in the pack
    h: Hyperparameters
    stream: Stream
    first_step: Lane  # updates applied before
    loss_bound: Lane
    weight_bound: Lane
    target: Lane
    gradient_tolerance: Lane


class LoopState(NamedTuple):
    """What steps change."""

    x: Lanes
    slots: Lanes
    carry: Lanes
    best: Lane
    small_steps: Lane


def load_state(pack: Pack, at: Offset) -> tuple[LoopConstants, LoopState]:
    """(what stays as it is, the state) of the lanes from `at`."""
    monitor = pack.monitor
    constants = LoopConstants(
        at, HYPERPARAMETERS(*load_row(pack.hyperparameters, at, PACK_WIDTH, HYPERPARAMETER_COUNT, WIDTH)),
        stream_of(pack, at), load(pack.step, at, WIDTH), load(monitor.loss_bound, at, WIDTH), load(monitor.weight_bound, at, WIDTH),
        load(monitor.target, at, WIDTH), load(monitor.gradient_tolerance, at, WIDTH),
    )  # fmt: skip
    x = load_row(pack.weights, at, PACK_WIDTH, PARAMETER_COUNT, WIDTH)
    slots, carry = load_row(pack.slots, at, PACK_WIDTH, SLOT_TOTAL, WIDTH), load_row(pack.carry, at, PACK_WIDTH, CARRY_COUNT, WIDTH)
    return constants, LoopState(x, slots, carry, load(monitor.best, at, WIDTH), load(monitor.small_steps, at, WIDTH))


def one_step(job: tuple[FunctionSpace, Sampler, Monitor], constants: LoopConstants, state: LoopState, done: Count) -> tuple[LoopState, int]:
    """(the state after one more step, what has happened: GOES_ON, or a run has ended before or after the
    step's update).
    """
    model, sampler, monitor = job
    loss, gradient = batch_gradient(model, sampler, state.x, constants.stream, constants.first_step + done)
    ends, best = ~(loss <= constants.loss_bound), state.best
    if MONITORS_TARGET:
        best = where(loss < best, loss, best)
        ends = ends | (loss <= constants.target)
    if MONITORS_GRADIENT:
        ends = ends | (largest_of(gradient) <= constants.gradient_tolerance * (1.0 + absolute(loss)))
    if unlikely(any(ends)):
        found = ends & (load(monitor.active, constants.at, WIDTH) != 0)
        flag_loss(monitor, constants.at, loss, found)
        if any(found):
            return LoopState(state.x, state.slots, state.carry, best, state.small_steps), ENDED_BEFORE
    step, carry = step_at(constants.h, constants.first_step + (done + 1), state.carry)
    if PERTURBS:
        size = sqrt(squares_of(gradient))
        uphill = scale_row(gradient, where(size > 0.0, constants.h.rho / size, 0.0))
        loss, gradient = batch_gradient(model, sampler, add_rows(state.x, uphill), constants.stream, constants.first_step + done)
    if NEEDS_WHOLE_GRADIENT:
        step = with_whole_gradient(step, sqrt(squares_of(gradient)), loss)
    x, slots, stats = update_row(state.x, gradient, state.slots, step, new_stats())
    ended, small_steps = stats.largest_weight > constants.weight_bound, state.small_steps
    if MONITORS_STEP:
        small, small_steps = count_small_steps(monitor, constants.at, stats, small_steps)
        ended = ended | small
        store_stats(monitor, constants.at, stats)
    after = LoopState(x, slots, carry, best, small_steps)
    if unlikely(any(ended)):
        found = ended & (load(monitor.active, constants.at, WIDTH) != 0)
        flag_update(monitor, constants.at, stats.largest_weight, found)
        if any(found):
            return after, ENDED_AFTER
    return after, GOES_ON


def store_state(pack: Pack, constants: LoopConstants, state: LoopState, done: Count) -> None:
    """Stores lanes that have made `done` steps."""
    monitor, at = pack.monitor, constants.at
    store(monitor.small_steps, at, state.small_steps)
    store(monitor.best, at, state.best)
    store(pack.step, at, constants.first_step + done)
    store_row(pack.carry, at, PACK_WIDTH, state.carry)
    store_row(pack.weights, at, PACK_WIDTH, state.x)
    store_row(pack.slots, at, PACK_WIDTH, state.slots)


@functools.cache
def advance_of(registers: int) -> Any:
    """The kernel `advance(table, steps)`: up to `steps` steps of every lane; fewer if a run ends.

    It gives how many updates were made.

    The lanes of a pack are worked on a register at a time, in turns: each has its values in registers of the
    processor, and while one waits for its sums the next has something to do.
    """
    each = range(registers)
    lines = ["def advance(table, steps):", "    pack, done = job_pack(table), 0", "    job = job_model(table), job_training_sampler(table), pack.monitor"]
    lines += [f"    constants{i}, state{i} = load_state(pack, {i} * WIDTH)" for i in each]
    lines += [f"    end{i} = GOES_ON" for i in each]
    lines += ["    while done < steps:"]
    lines += [f"        state{i}, end{i} = one_step(job, constants{i}, state{i}, done)" for i in each]
    lines += ["        done += 1", f"        if {' | '.join(f'end{i}' for i in each)} != GOES_ON:", "            break"]
    lines += [f"    store_state(pack, constants{i}, state{i}, done - (1 if end{i} == ENDED_BEFORE else 0))" for i in each]
    lines += ["    return done"]
    names = {
        "GOES_ON": GOES_ON,
        "ENDED_BEFORE": ENDED_BEFORE,
        "job_pack": job_pack,
        "job_model": job_model,
        "job_training_sampler": job_training_sampler,
        "load_state": load_state,
        "one_step": one_step,
        "store_state": store_state,
        "WIDTH": WIDTH,
    }
    return function_from("\n".join(lines), "advance", names)


def evaluate_function(model: FunctionSpace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every lane at the given weights."""
    loss, gradient = value_and_gradient(load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH))
    store_scores(scores, loss, gradient)


@default_part
def store_scores(scores: Scores, loss: Lane, gradient: Lanes) -> None:
    """Writes what evaluation has found."""
    store(scores.loss, 0, loss)
    store(scores.gradient_norm, 0, sqrt(squares_of(gradient)))
    store(scores.gradient_largest, 0, largest_of(gradient))


@noinline
def evaluate_samples(model: FunctionSpace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every lane at the given weights: means over all samples."""
    x = load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH)
    zero = splat(ZERO, WIDTH)
    number = splat(np.uint32(sampler.sample_count), WIDTH)
    total, gradient = Sum(zero, zero), repeat(zero, PARAMETER_COUNT)
    for first in range(0, sampler.sample_count, BLOCK):
        count = min(BLOCK, sampler.sample_count - first)
        fill_shared(model, sampler, Stream(number, 0, number), number, (first, count))
        loss, part = sum_of_block(model, x, (count, number))
        total, gradient = added(total, loss), add_rows(gradient, part)
    samples = as_type_of(number, zero)
    store_scores(scores, total_of(total) / samples, scale_row(gradient, 1.0 / samples))
