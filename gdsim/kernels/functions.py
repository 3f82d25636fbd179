"""A step and an evaluation of a function of few parameters: parameters, slots and gradients stay in registers."""

import functools
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.network import BLOCK
from gdsim.kernels.parts import (
    CARRY_COUNT,
    COLUMN_COUNT,
    MONITORS_GRADIENT,
    MONITORS_STEP,
    MONITORS_TARGET,
    NEEDS_NORM,
    NUMBER_COUNT,
    NUMBERS,
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
from gdsim.kernels.sampling import fill_shared
from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.steps import flag_loss, flag_update, new_stats, smaller_steps, step_at, store_stats, with_whole_gradient
from gdsim.lanes.compiler import shared
from gdsim.lanes.generated import function_from
from gdsim.lanes.masks import any, seldom
from gdsim.lanes.operations import absolute, as_type_of, load, splat, sqrt, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.tiles import add_rows, largest_of, load_row, repeat, scale_row, squares_of, store_row
from gdsim.problems.parts import WEIGHTED, batch_size, fill, value_and_gradient


def gradient_of_function(model: Any, sampler: Any, x: Any, start: Any, step: Any) -> Any:
    """(value, gradient) of a function that has no samples."""
    return value_and_gradient(x)


def gradient_of_samples(model: Any, sampler: Any, x: Any, start: Any, step: Any) -> Any:
    """(mean loss, its gradient) over a step's batch: sums within a block in order, then the blocks' sums in order."""
    size = batch_size(sampler, step)
    nothing = splat(ZERO, WIDTH)
    total, gradient = Sum(nothing, nothing), repeat(nothing, PARAMETER_COUNT)
    for first in range(0, sampler.batch, BLOCK):
        count = min(BLOCK, sampler.batch - first)
        fill(model, sampler, start, step, (first, count))
        limit = where(size > first, size - first, size * 0)
        loss, part = sum_of_block(model, x, (count, limit))
        total, gradient = added(total, loss), add_rows(gradient, part)
    samples = as_type_of(size, nothing)
    return total_of(total) / samples, scale_row(gradient, 1.0 / samples)


def sum_of_block(model: Any, x: Any, valid: Any) -> Any:
    """(sum of the losses, sum of the gradients) over the samples of a block; beyond its end in a lane they do not count."""
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


# What has happened in a step.
GOES_ON, ENDED_BEFORE, ENDED_AFTER = 0, 1, 2


class Known(NamedTuple):
    """What does not change while a register of lanes advances: where it lies in the pack, the runs' numbers, and what ends them."""

    at: Any
    h: Any
    start: Any
    first: Any
    bound: Any
    heaviest: Any
    target: Any
    flat: Any


class Running(NamedTuple):
    """What steps change."""

    x: Any
    slots: Any
    carry: Any
    best: Any
    small_steps: Any


def taken_up(pack: Any, at: Any) -> Any:
    """(what is known of the lanes from `at`, where they are)."""
    monitor = pack.monitor
    known = Known(
        at, NUMBERS(*load_row(pack.numbers, at, PACK_WIDTH, NUMBER_COUNT, WIDTH)),
        load(pack.start, at, WIDTH), load(pack.step, at, WIDTH), load(monitor.loss_bound, at, WIDTH), load(monitor.weight_bound, at, WIDTH),
        load(monitor.target, at, WIDTH), load(monitor.gradient_tolerance, at, WIDTH),
    )  # fmt: skip
    x = load_row(pack.weights, at, PACK_WIDTH, PARAMETER_COUNT, WIDTH)
    slots, carry = load_row(pack.slots, at, PACK_WIDTH, SLOT_TOTAL, WIDTH), load_row(pack.carry, at, PACK_WIDTH, CARRY_COUNT, WIDTH)
    return known, Running(x, slots, carry, load(monitor.best, at, WIDTH), load(monitor.small_steps, at, WIDTH))


def advanced(job: Any, known: Any, run: Any, done: Any) -> Any:
    """(the lanes after one more step, what has happened: GOES_ON, or a run has ended before or after the step's update)."""
    model, sampler, monitor = job
    loss, gradient = batch_gradient(model, sampler, run.x, known.start, known.first + done)
    ends, best = ~(loss <= known.bound), run.best
    if MONITORS_TARGET:
        best = where(loss < best, loss, best)
        ends = ends | (loss <= known.target)
    if MONITORS_GRADIENT:
        ends = ends | (largest_of(gradient) <= known.flat * (1.0 + absolute(loss)))
    if seldom(any(ends)):
        found = ends & (load(monitor.active, known.at, WIDTH) != 0)
        flag_loss(monitor, known.at, loss, found)
        if any(found):
            return Running(run.x, run.slots, run.carry, best, run.small_steps), ENDED_BEFORE
    step, carry = step_at(known.h, known.first + (done + 1), run.carry)
    if PERTURBS:
        size = sqrt(squares_of(gradient))
        uphill = scale_row(gradient, where(size > 0.0, known.h.rho / size, 0.0))
        loss, gradient = batch_gradient(model, sampler, add_rows(run.x, uphill), known.start, known.first + done)
    if NEEDS_NORM:
        step = with_whole_gradient(step, sqrt(squares_of(gradient)), loss)
    x, slots, stats = update_row(run.x, gradient, run.slots, step, new_stats())
    ended, small_steps = stats.largest_weight > known.heaviest, run.small_steps
    if MONITORS_STEP:
        small, small_steps = smaller_steps(monitor, known.at, stats, small_steps)
        ended = ended | small
        store_stats(monitor, known.at, stats)
    after = Running(x, slots, carry, best, small_steps)
    if seldom(any(ended)):
        found = ended & (load(monitor.active, known.at, WIDTH) != 0)
        flag_update(monitor, known.at, stats.largest_weight, found)
        if any(found):
            return after, ENDED_AFTER
    return after, GOES_ON


def put_down(pack: Any, known: Any, run: Any, done: Any) -> None:
    """Stores lanes that have made `done` steps."""
    monitor, at = pack.monitor, known.at
    store(monitor.small_steps, at, run.small_steps)
    store(monitor.best, at, run.best)
    store(pack.step, at, known.first + done)
    store_row(pack.carry, at, PACK_WIDTH, run.carry)
    store_row(pack.weights, at, PACK_WIDTH, run.x)
    store_row(pack.slots, at, PACK_WIDTH, run.slots)


@functools.cache
def advance_of(registers: int) -> Any:
    """The kernel `advance(table, steps)`: up to `steps` steps of every lane; fewer if a run ends. How many updates were made.

    The lanes of a pack are worked on a register at a time, in turns: each has its values in registers of the processor,
    and while one waits for its sums the next has something to do.
    """
    each = range(registers)
    lines = ["def advance(table, steps):", "    pack, done = job_pack(table), 0", "    job = job_model(table), job_training_sampler(table), pack.monitor"]
    lines += [f"    known{i}, run{i} = taken_up(pack, {i} * WIDTH)" for i in each]
    lines += [f"    end{i} = GOES_ON" for i in each]
    lines += ["    while done < steps:"]
    lines += [f"        run{i}, end{i} = advanced(job, known{i}, run{i}, done)" for i in each]
    lines += ["        done += 1", f"        if {' | '.join(f'end{i}' for i in each)} != GOES_ON:", "            break"]
    lines += [f"    put_down(pack, known{i}, run{i}, done - (1 if end{i} == ENDED_BEFORE else 0))" for i in each]
    lines += ["    return done"]
    names = {
        "GOES_ON": GOES_ON,
        "ENDED_BEFORE": ENDED_BEFORE,
        "job_pack": job_pack,
        "job_model": job_model,
        "job_training_sampler": job_training_sampler,
        "taken_up": taken_up,
        "advanced": advanced,
        "put_down": put_down,
        "WIDTH": WIDTH,
    }
    return function_from("\n".join(lines), "advance", names)


def evaluate_function(model: Any, weights: Any, sampler: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of every lane at the given weights."""
    loss, gradient = value_and_gradient(load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH))
    store_scores(scores, loss, gradient)


def store_scores(scores: Any, loss: Any, gradient: Any) -> None:
    """Writes what evaluation has found."""
    store(scores.loss, 0, loss)
    store(scores.gradient_norm, 0, sqrt(squares_of(gradient)))
    store(scores.gradient_largest, 0, largest_of(gradient))


@shared
def evaluate_samples(model: Any, weights: Any, sampler: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of every lane at the given weights: means over all samples."""
    x = load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH)
    nothing = splat(ZERO, WIDTH)
    number = splat(np.uint32(sampler.count), WIDTH)
    total, gradient = Sum(nothing, nothing), repeat(nothing, PARAMETER_COUNT)
    for first in range(0, sampler.count, BLOCK):
        count = min(BLOCK, sampler.count - first)
        fill_shared(model, sampler, number, number, (first, count))
        loss, part = sum_of_block(model, x, (count, number))
        total, gradient = added(total, loss), add_rows(gradient, part)
    samples = as_type_of(number, nothing)
    store_scores(scores, total_of(total) / samples, scale_row(gradient, 1.0 / samples))
