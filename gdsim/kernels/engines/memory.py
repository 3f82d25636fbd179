"""A step and an evaluation of a function of many parameters: weights, slots and gradients lie in memory."""

from gdsim.kernels.parts import MONITORS_GRADIENT, NEEDS_WHOLE_GRADIENT, PERTURBS, penalized
from gdsim.kernels.penalty import penalized_gradient, penalty_and
from gdsim.kernels.sampling import stream_of
from gdsim.kernels.state import Pack, Scores, StepInputs, Sum, added, total_of
from gdsim.kernels.steps import (
    ENDED_AFTER,
    ENDED_BEFORE,
    GOES_ON,
    begin_step,
    end_step,
    flag_loss,
    hyperparameters_of,
    new_stats,
    stops_here,
    update_weight,
    with_whole_gradient,
)
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any
from gdsim.lanes.operations import absolute, fma_lanes, load, maximum, splat, sqrt, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Address, Lane, Memory
from gdsim.problems.parts import MemorySpace, Sampler, fill_gradient, fill_whole_gradient

TERMS = 16  # of a sum, before it is added to the others with compensation


def add_penalty(model: MemorySpace, weights: Memory, step: StepInputs) -> None:
    """Adds the penalty's share to the gradient."""
    for place in range(model.penalized):
        g, w = load(model.gradients, place * WIDTH, WIDTH), load(weights, place * WIDTH, WIDTH)
        store(model.gradients, place * WIDTH, penalized(g, w, step))


def loss_with_penalty(model: MemorySpace, weights: Memory, penalty: tuple[Lane, Lane], loss: Lane) -> Lane:
    """The loss with the penalty's share, sum of l1 |w| + l2 w^2 / 2, at the weights; `penalty` is (l1, l2)."""
    l1, l2 = penalty
    total = Sum(splat(ZERO, WIDTH), splat(ZERO, WIDTH))
    for first in range(0, model.penalized, TERMS):
        part = splat(ZERO, WIDTH)
        for place in range(first, min(first + TERMS, model.penalized)):
            part = penalty_and(part, load(weights, place * WIDTH, WIDTH), l1, l2)
        total = added(total, part)
    if model.penalized > 0:
        loss = loss + total_of(total)
    return loss


def sizes_of(gradients: Memory) -> tuple[Lane, Lane]:
    """(the gradient's squared length, its largest component): sums of `TERMS` places in order, then their
    sums with compensation.
    """
    zero = splat(ZERO, WIDTH)
    total, largest = Sum(zero, zero), zero
    count = len(gradients) // WIDTH
    for first in range(0, count, TERMS):
        part = zero
        for place in range(first, min(first + TERMS, count)):
            g = load(gradients, place * WIDTH, WIDTH)
            part, largest = fma_lanes(g, g, part), maximum(largest, absolute(g))
        total = added(total, part)
    return total_of(total), largest


def is_flat(pack: Pack, gradients: Memory, loss: Lane) -> bool:
    """Whether a lane's gradient is small enough to end its run; the flags say so."""
    monitor = pack.monitor
    active = load(monitor.active, 0, WIDTH) != 0
    _, largest = sizes_of(gradients)
    flat = active & (largest <= load(monitor.gradient_tolerance, 0, WIDTH) * (1.0 + absolute(loss)))
    if any(flat):
        flag_loss(monitor, 0, loss, flat)
        return True
    return False


def perturb(model: MemorySpace, pack: Pack) -> None:
    """Moves every weight uphill along the gradient, to w + rho g / |g|; where it was is saved."""
    squares, _ = sizes_of(model.gradients)
    norm = sqrt(squares)
    way = where(norm > 0.0, hyperparameters_of(pack).rho / norm, 0.0)
    for place in range(len(model.gradients) // WIDTH):
        w = load(pack.weights, place * WIDTH, WIDTH)
        store(model.saved_weights, place * WIDTH, w)
        store(pack.weights, place * WIDTH, fma_lanes(way, load(model.gradients, place * WIDTH, WIDTH), w))


def restore_weights(model: MemorySpace, pack: Pack) -> None:
    """Puts every weight back where it was before `perturb`."""
    for place in range(len(model.gradients) // WIDTH):
        store(pack.weights, place * WIDTH, load(model.saved_weights, place * WIDTH, WIDTH))


def one_step(table: Address, model: MemorySpace, pack: Pack, sampler: Sampler) -> int:
    """A step of every lane: GOES_ON, or a run has ended before or after the step's update."""
    stream, number = stream_of(pack, 0), load(pack.step, 0, WIDTH)
    step, carry = begin_step(pack)
    loss = fill_gradient(model, pack.weights, sampler, stream, number)
    if stops_here(pack.monitor, loss):
        return ENDED_BEFORE
    add_penalty(model, pack.weights, step)
    if MONITORS_GRADIENT and is_flat(pack, model.gradients, loss):
        return ENDED_BEFORE
    if PERTURBS:
        perturb(model, pack)
        loss = fill_gradient(model, pack.weights, sampler, stream, number)
        add_penalty(model, pack.weights, step)
    if NEEDS_WHOLE_GRADIENT:
        squares, _ = sizes_of(model.gradients)
        step = with_whole_gradient(step, sqrt(squares), loss_with_penalty(model, pack.weights, (step.l1, step.l2), loss))
    if PERTURBS:
        restore_weights(model, pack)
    stats = new_stats()
    for place in range(len(model.gradients) // WIDTH):
        stats = update_weight(pack, step, stats, place, load(model.gradients, place * WIDTH, WIDTH), False)
    return ENDED_AFTER if end_step(pack, carry, stats) else GOES_ON


@noinline
def evaluate_in_memory(model: MemorySpace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every lane at the given weights, with the penalty's share."""
    loss = fill_whole_gradient(model, weights, sampler)
    l1, l2 = load(scores.l1, 0, WIDTH), load(scores.l2, 0, WIDTH)
    store(scores.loss, 0, loss_with_penalty(model, weights, (l1, l2), loss))
    for place in range(model.penalized):
        g, w = load(model.gradients, place * WIDTH, WIDTH), load(weights, place * WIDTH, WIDTH)
        store(model.gradients, place * WIDTH, penalized_gradient(g, w, l1, l2))
    squares, largest = sizes_of(model.gradients)
    store(scores.gradient_norm, 0, sqrt(squares))
    store(scores.gradient_largest, 0, largest)
