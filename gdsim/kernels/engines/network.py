"""A step and an evaluation of a network on samples, from passes of `blocks`."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.attendants import meet
from gdsim.kernels.engines.blocks import ADD, FORWARD, KEEPS_GRADIENTS, LOSSES, TESTS_LOSS, WRITE, Passing, batch_inputs, run_batch, run_passes, sample_at
from gdsim.kernels.engines.passes import BLOCK, TILE, all_gradients, edge_at, edge_count, place_in, row_length
from gdsim.kernels.parts import (
    HAS_PENALTY,
    MONITORS_MEAN,
    NEEDS_WHOLE_GRADIENT,
    PERTURBS,
    RUNS,
    TILE_WIDTH,
    TWO_PASSES,
    job_model,
    job_out,
    job_sampler,
    job_weights,
    penalized,
)
from gdsim.kernels.penalty import penalized_gradient, penalized_loss
from gdsim.kernels.sampling import fill_shared
from gdsim.kernels.state import Pack, Scores, StepInputs, Sum, added, total_of
from gdsim.kernels.steps import (
    ENDED_AFTER,
    ENDED_BEFORE,
    GOES_ON,
    begin_step,
    end_step,
    hyperparameters_of,
    new_stats,
    store_stats,
    stored_stats,
    update_weight,
    with_whole_gradient,
)
from gdsim.kernels.workspace import AnyNetwork, GradientTask, Matrix, Network, NetworkSpace, matrix_at
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import absolute, as_type_of, fma_lanes, load, maximum, splat, sqrt, store, where, widen
from gdsim.lanes.parts import WIDTH, ZERO, default_part, restore_float_mode, set_float_mode
from gdsim.lanes.permutation import OrderKey
from gdsim.lanes.types import Address, Lane, Lanes, Memory
from gdsim.problems.parts import Sampler, Stream, correct, outputs


def update_tile(network: AnyNetwork, task: GradientTask, goal: Matrix, shape: tuple[int, int], numbers: int, is_weight: bool) -> None:
    """Uses a tile of gradients: updates the weights at the places of `goal`, or biases."""
    rows, columns = shape
    stats = stored_stats(task.pack.monitor)
    for row in range(rows):
        for column in range(columns):
            there = goal.offset + row * goal.row_step + column * WIDTH
            g = load(network.tile, (row * TILE + column) * WIDTH, WIDTH)
            stats = update_weight(task.pack, task.step, stats, there // WIDTH, g, is_weight)
    store_stats(task.pack.monitor, 0, stats)


def keep_tile(network: AnyNetwork, task: GradientTask, goal: Matrix, shape: tuple[int, int], numbers: int, is_weight: bool) -> None:
    """Writes or adds a tile of gradients beside the weights."""
    rows, columns = shape
    for row in range(rows):
        for column in range(columns):
            there = goal.offset + row * goal.row_step + column * WIDTH
            g = load(network.tile, (row * TILE_WIDTH + column) * WIDTH, WIDTH)
            store(network.gradients, there, g if task.writes else load(network.gradients, there, WIDTH) + g)


def update_all(network: Network, pack: Pack, step: StepInputs) -> None:
    """Updates every weight from the gradients that the blocks of a batch have left."""
    if NEEDS_WHOLE_GRADIENT:
        zero = splat(ZERO, WIDTH)
        penalty = (zero, zero) if PERTURBS else (step.l1, step.l2)  # which `restore_weights` has added
        norm = sqrt(sizes_with_penalty(network, pack.weights, penalty, True).gradient_squares)
        step = with_whole_gradient(step, norm, load(pack.monitor.loss, 0, WIDTH))
    stats = stored_stats(pack.monitor)
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        for unit in range(edge.units):
            for column in range(row_length(edge)):
                place, is_weight = place_in(edge, unit, column)
                g = load(network.gradients, place * WIDTH, WIDTH)
                stats = update_weight(pack, step, stats, place, g, is_weight and not PERTURBS)
    store_stats(pack.monitor, 0, stats)


def perturb(network: Network, pack: Pack, step: StepInputs) -> None:
    """Moves every weight uphill along the gradient that was left, to w + rho g / |g|; where it was is saved."""
    norm = sqrt(sizes_with_penalty(network, pack.weights, (step.l1, step.l2), True).gradient_squares)
    rho = hyperparameters_of(pack).rho
    way = where(norm > 0.0, rho / norm, 0.0)
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        for unit in range(edge.units):
            for column in range(row_length(edge)):
                place, is_weight = place_in(edge, unit, column)
                w, g = load(pack.weights, place * WIDTH, WIDTH), load(network.gradients, place * WIDTH, WIDTH)
                store(network.saved_weights, place * WIDTH, w)
                store(pack.weights, place * WIDTH, fma_lanes(way, penalized(g, w, step) if is_weight else g, w))


def restore_weights(network: Network, pack: Pack, step: StepInputs) -> None:
    """Puts every weight back where it was before `perturb`.

    The gradient that was left has the penalty's share uphill.
    """
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        for unit in range(edge.units):
            for column in range(row_length(edge)):
                place, is_weight = place_in(edge, unit, column)
                if is_weight:
                    g, w = load(network.gradients, place * WIDTH, WIDTH), load(pack.weights, place * WIDTH, WIDTH)
                    store(network.gradients, place * WIDTH, penalized(g, w, step))
                store(pack.weights, place * WIDTH, load(network.saved_weights, place * WIDTH, WIDTH))


def penalize_loss(network: Network, pack: Pack, step: StepInputs) -> None:
    """Adds the penalty at the weights, l1 |w|_1 + l2 |w|^2 / 2, to the loss of the step's batch."""
    sizes = sizes_with_penalty(network, pack.weights, (step.l1, step.l2), False)
    loss = load(pack.monitor.loss, 0, WIDTH)
    store(pack.monitor.loss, 0, penalized_loss(loss, sizes.magnitudes, sizes.squares, step.l1, step.l2))


@default_part
def learn_from_batch(table: Address, network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, step: StepInputs, tests_loss: bool) -> bool:
    """Whether the loss of the step's batch ends a run, where it is looked at.

    If not, its gradients have been used, or left where the whole gradient is made first.

    The loss is known before the first weight moves: where it ends a run, none has moved.
    """
    if run_batch(table, network, pack, sampler, key, (TESTS_LOSS if tests_loss else 0) | (KEEPS_GRADIENTS if TWO_PASSES else 0)):
        return True
    if MONITORS_MEAN and tests_loss:
        meet()
        note_loss(network, pack, load(network.loss, 0, RUNS), load(network.samples, 0, RUNS))
    if not TWO_PASSES:
        all_gradients(network, GradientTask(sampler.batch, False, pack, step), batch_inputs(network, sampler))
    return False


@default_part
def note_loss(network: AnyNetwork, pack: Pack, total: Lane, samples: Lane) -> None:
    """Adds a batch, the sum of its losses and the penalty at the weights before its step, to those of its
    epoch.
    """
    monitor, h = pack.monitor, hyperparameters_of(pack)
    if HAS_PENALTY:
        l1, l2 = h.penalty_l1, h.penalty_l2
        sizes = sizes_with_penalty(network, pack.weights, (l1, l2), False)
        total = penalized_loss(total, sizes.magnitudes, sizes.squares, samples * l1, samples * l2)
    total, samples = load(monitor.loss_sum, 0, WIDTH) + total, load(monitor.samples_seen, 0, WIDTH) + samples
    meet()
    store(monitor.loss_sum, 0, total)
    store(monitor.samples_seen, 0, samples)


def one_step(table: Address, model: NetworkSpace, pack: Pack, sampler: Sampler) -> int:
    """A step of every lane: GOES_ON, or a run has ended before or after the step's update."""
    network: Any = model.step  # of a pack
    step, carry = begin_step(pack)
    store_stats(pack.monitor, 0, new_stats())
    if learn_from_batch(table, network, pack, sampler, (), step, True):
        return ENDED_BEFORE
    if PERTURBS:
        perturb(network, pack, step)
        learn_from_batch(table, network, pack, sampler, (), step, False)
    if NEEDS_WHOLE_GRADIENT and HAS_PENALTY:
        penalize_loss(network, pack, step)
    if PERTURBS:
        restore_weights(network, pack, step)
    if TWO_PASSES:
        update_all(network, pack, step)
    return ENDED_AFTER if end_step(pack, carry, stored_stats(pack.monitor)) else GOES_ON


@default_part
def correct_answers(network: AnyNetwork, sampler: Sampler, count: int) -> Lane:
    """How many of a block's samples each lane gets right."""
    total = splat(ZERO, WIDTH)
    for b in range(count):
        total = total + correct(sample_at(network, sampler, b))
    return total


class Sizes(NamedTuple):
    """Of the weights the sums of their squares and magnitudes, of the gradient its squares' sum and its
    largest component.
    """

    squares: Lane
    magnitudes: Lane
    gradient_squares: Lane
    largest: Lane


def sizes_with_penalty(network: AnyNetwork, weights: Memory, penalty: tuple[Lane, Lane], with_gradient: bool) -> Sizes:
    """The sizes of weights and gradient, with the penalty's share in the gradient; biases are not penalised.

    Row by row of each edge, the rows' sums added with compensation.
    """
    zero = splat(ZERO, WIDTH)
    squares, magnitudes, norm, largest = Sum(zero, zero), Sum(zero, zero), Sum(zero, zero), zero
    l1, l2 = penalty
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        for unit in range(edge.units):
            row_squares, row_magnitudes, row_norm = zero, zero, zero
            for column in range(row_length(edge)):
                place, is_weight = place_in(edge, unit, column)
                w = load(weights, place * WIDTH, WIDTH) if is_weight else zero
                row_squares, row_magnitudes = fma_lanes(w, w, row_squares), row_magnitudes + absolute(w)
                if with_gradient:
                    g = penalized_gradient(load(network.gradients, place * WIDTH, WIDTH), w, l1, l2)
                    row_norm = fma_lanes(g, g, row_norm)
                    largest = maximum(largest, absolute(g))
            squares, magnitudes, norm = added(squares, row_squares), added(magnitudes, row_magnitudes), added(norm, row_norm)
    return Sizes(total_of(squares), total_of(magnitudes), total_of(norm), largest)


@default_part
def store_scores(network: AnyNetwork, weights: Memory, scores: Scores, means: tuple[Lane, Lane], with_gradient: bool) -> None:
    """Fills scores from the means of (loss, right answers) over the samples, with the penalties, and from the
    gradient that was left.
    """
    loss, accuracy = means
    l1, l2 = load(scores.l1, 0, WIDTH), load(scores.l2, 0, WIDTH)
    sizes = sizes_with_penalty(network, weights, (l1, l2), with_gradient)
    store(scores.loss, 0, penalized_loss(loss, sizes.magnitudes, sizes.squares, l1, l2))
    store(scores.accuracy, 0, accuracy)
    store(scores.gradient_norm, 0, sqrt(sizes.gradient_squares))
    store(scores.gradient_largest, 0, sizes.largest)


@default_part
def samples_at(network: AnyNetwork, sampler: Sampler, first: int, count: int) -> Matrix:
    """The inputs of a block of a table's samples, in the order of the table."""
    every = splat(np.uint32(sampler.sample_count), WIDTH)
    fill_shared(network, sampler, Stream(every, 0, every), every, (first, count))
    return matrix_at(network.activations, edge_at(network, 0).source)


@noinline
def evaluate_network(model: NetworkSpace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every run at the given weights; those of the gradient only where asked for."""
    network, zero = model.whole, splat(ZERO, RUNS)
    loss, answers = Sum(zero, zero), zero
    every = splat(np.uint32(sampler.sample_count), RUNS)
    count = as_type_of(every, zero)
    store(network.samples, 0, widen(count, WIDTH))
    store(network.counts, 0, widen(every, WIDTH))
    for first in range(0, sampler.sample_count, BLOCK):
        size = min(BLOCK, sampler.sample_count - first)
        inputs = samples_at(network, sampler, first, size)
        run_passes(Passing(network, weights, sampler, inputs, size), (WRITE if first == 0 else ADD) if with_gradient else LOSSES)
        loss = added(loss, load(network.loss, 0, RUNS))
        answers = answers + correct_answers(network, sampler, size)
    store_scores(network, weights, scores, (total_of(loss) / count, answers / count), with_gradient)


@default_part
def store_outputs(network: AnyNetwork, sampler: Sampler, out: Memory, first: int, count: int) -> None:
    """Writes the outputs of a block's samples to out[sample, unit, lane]."""
    for b in range(count):
        sample = sample_at(network, sampler, b)
        outputs(sample)
        for unit in range(sample.units):
            value = load(network.deltas, sample.delta + unit * sample.stride, WIDTH)
            store(out, ((first + b) * sample.units + unit) * WIDTH, value)


def predict(table: Address, samples: int) -> int:
    """Fills a prediction's `out` with the network's outputs at so many samples; of classes their probabilities."""
    mode = set_float_mode()
    network, weights, sampler, out = job_model(table).whole, job_weights(table), job_sampler(table), job_out(table)
    for first in range(0, samples, BLOCK):
        size = min(BLOCK, samples - first)
        run_passes(Passing(network, weights, sampler, samples_at(network, sampler, first, size), size), FORWARD)
        store_outputs(network, sampler, out, first, size)
    restore_float_mode(mode)
    return 0
