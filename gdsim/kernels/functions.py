"""A step and an evaluation of a function of few parameters: parameters, slots and gradients stay in registers.

Names that are parts: those of `steps`; `batch_gradient`, which gives (loss, gradients) of a step's batch at a row of
parameters; `value_and_gradient` of a function, or of a function of parameters and one sample's columns; and
`update_row`, which updates a row of `PARAMETER_COUNT` parameters.
"""

from typing import Any

import numpy as np

from gdsim.kernels.network import BLOCK
from gdsim.kernels.sampling import fill_shared
from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.steps import flag_loss, flag_motion, new_motion, smaller_steps, step_at, store_motion, with_norm
from gdsim.lanes.compiler import shared
from gdsim.lanes.operations import absolute, any, as_type_of, load, splat, sqrt, store, where
from gdsim.lanes.parts import (
    CARRY_COUNT,
    CLIMBS,
    COLUMN_COUNT,
    NEEDS_NORM,
    NUMBER_COUNT,
    NUMBERS,
    PARAMETER_COUNT,
    SLOT_TOTAL,
    WATCHES_GRADIENT,
    WATCHES_STEP,
    WATCHES_TARGET,
    WEIGHTED,
    WIDTH,
    ZERO,
    batch_gradient,
    batch_size,
    fill,
    job_model,
    job_pack,
    job_training_feed,
    update_row,
    value_and_gradient,
)
from gdsim.lanes.tiles import add_rows, largest_of, load_row, repeat, scale_row, squares_of, store_row


def gradient_of_function(model: Any, feed: Any, x: Any, start: Any, step: Any) -> Any:
    """(value, gradient) of a function that has no samples."""
    return value_and_gradient(x)


def gradient_of_samples(model: Any, feed: Any, x: Any, start: Any, step: Any) -> Any:
    """(mean loss, its gradient) over a step's batch: sums within a block in order, then the blocks' sums in order."""
    size = batch_size(feed, step)
    nothing = splat(ZERO, WIDTH)
    total, gradient = Sum(nothing, nothing), repeat(nothing, PARAMETER_COUNT)
    for first in range(0, feed.batch, BLOCK):
        count = min(BLOCK, feed.batch - first)
        fill(model, feed, start, step, (first, count))
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


def advance(table: Any, steps: Any) -> Any:
    """The kernel: up to `steps` steps of every lane; fewer if a run ends. How many updates were made.

    What a step's updates have done is looked at together with the next step's loss, before its update.
    """
    pack, feed, model = job_pack(table), job_training_feed(table), job_model(table)
    watch = pack.watch
    x = load_row(pack.weights, 0, WIDTH, PARAMETER_COUNT, WIDTH)
    slots = load_row(pack.slots, 0, WIDTH, SLOT_TOTAL, WIDTH)
    h = NUMBERS(*load_row(pack.numbers, 0, WIDTH, NUMBER_COUNT, WIDTH))
    carry = load_row(pack.carry, 0, WIDTH, CARRY_COUNT, WIDTH)
    active, start, first = load(watch.active, 0, WIDTH) != 0, load(pack.start, 0, WIDTH), load(pack.step, 0, WIDTH)
    bound, heaviest = load(watch.loss_bound, 0, WIDTH), load(watch.weight_bound, 0, WIDTH)
    target, flat, best = load(watch.target, 0, WIDTH), load(watch.gradient, 0, WIDTH), load(watch.best, 0, WIDTH)
    still, motion = load(watch.still, 0, WIDTH), new_motion()
    ended = active & ~active
    done = 0  # a lane without a run may look as if it ended; only then is it asked whether it has one
    while done < steps:
        loss, gradient = batch_gradient(model, feed, x, start, first + done)
        ends = ~(loss <= bound)
        if WATCHES_TARGET:
            best = where(loss < best, loss, best)
            ends = ends | (loss <= target)
        if WATCHES_GRADIENT:
            ends = ends | (largest_of(gradient) <= flat * (1.0 + absolute(loss)))
        if any(ends | ended) and any(active & (ends | ended)):
            flag_loss(watch, active, loss, ends & ~ended)
            break
        done += 1
        step, carry = step_at(h, first + done, carry)
        if NEEDS_NORM:
            step = with_norm(step, sqrt(squares_of(gradient)))
        if CLIMBS:
            size = sqrt(squares_of(gradient))
            uphill = scale_row(gradient, where(size > 0.0, h.rho / size, 0.0))
            _, gradient = batch_gradient(model, feed, add_rows(x, uphill), start, first + (done - 1))
        x, slots, motion = update_row(x, gradient, slots, step, new_motion())
        ended = motion.largest > heaviest
        if WATCHES_STEP:
            small, still = smaller_steps(watch, motion, still)
            ended = ended | small
    flag_motion(watch, motion, active & ended)
    if WATCHES_STEP:
        store_motion(watch, motion)
        store(watch.still, 0, still)
    store(watch.best, 0, best)
    store(pack.step, 0, first + done)
    store_row(pack.carry, 0, WIDTH, carry)
    store_row(pack.weights, 0, WIDTH, x)
    store_row(pack.slots, 0, WIDTH, slots)
    return done


def evaluate_function(model: Any, weights: Any, feed: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of every lane at the given weights."""
    loss, gradient = value_and_gradient(load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH))
    store_scores(scores, loss, gradient)


def store_scores(scores: Any, loss: Any, gradient: Any) -> None:
    """Writes what evaluation has found."""
    store(scores.loss, 0, loss)
    store(scores.gradient_norm, 0, sqrt(squares_of(gradient)))
    store(scores.gradient_largest, 0, largest_of(gradient))


@shared
def evaluate_samples(model: Any, weights: Any, feed: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of every lane at the given weights: means over all samples."""
    x = load_row(weights, 0, WIDTH, PARAMETER_COUNT, WIDTH)
    nothing = splat(ZERO, WIDTH)
    number = splat(np.uint32(feed.count), WIDTH)
    total, gradient = Sum(nothing, nothing), repeat(nothing, PARAMETER_COUNT)
    for first in range(0, feed.count, BLOCK):
        count = min(BLOCK, feed.count - first)
        fill_shared(model, feed, number, number, (first, count))
        loss, part = sum_of_block(model, x, (count, number))
        total, gradient = added(total, loss), add_rows(gradient, part)
    samples = as_type_of(number, nothing)
    store_scores(scores, total_of(total) / samples, scale_row(gradient, 1.0 / samples))
