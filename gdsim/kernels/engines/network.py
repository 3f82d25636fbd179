"""A step and an evaluation of a network on samples: forward, losses, backward."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.engines.passes import BLOCK, TILE, backward, edge_at, edge_count, forward, place_in, row_length
from gdsim.kernels.parts import (
    HAS_PENALTY,
    MONITORS_MEAN,
    NEEDS_WHOLE_GRADIENT,
    PERTURBS,
    RUNS,
    TWO_PASSES,
    job_model,
    job_out,
    job_sampler,
    job_weights,
    penalized,
)
from gdsim.kernels.penalty import penalized_gradient, penalized_loss
from gdsim.kernels.sampling import fill_shared, stream_of
from gdsim.kernels.state import Pack, Scores, StepInputs, Sum, added, total_of
from gdsim.kernels.steps import (
    ENDED_AFTER,
    ENDED_BEFORE,
    GOES_ON,
    begin_step,
    end_step,
    hyperparameters_of,
    new_stats,
    stops_here,
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
from gdsim.lanes.types import Address, Lane, Lanes, Mask, Memory
from gdsim.problems.parts import WEIGHTED, Sample, Sampler, Stream, batch_size, correct, fill, outputs, sample_loss

# What is done with a finished gradient.
UPDATE, WRITE, ADD = 0, 1, 2


def update_tile(network: AnyNetwork, task: GradientTask, goal: Matrix, shape: tuple[int, int], numbers: int, is_weight: bool) -> None:
    """Uses a tile of gradients: updates the weights at the places of `goal`, or biases, or keeps the sums
    until all blocks of the batch are in.
    """
    if task.action != UPDATE:
        keep_tile(network, task, goal, shape, numbers, is_weight)
        return
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
            g = load(network.tile, (row * TILE + column) * WIDTH, WIDTH)
            store(network.gradients, there, g if task.action == WRITE else load(network.gradients, there, WIDTH) + g)


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


def sample_at(network: AnyNetwork, sampler: Sampler, number: int) -> Sample:
    """The place of one sample of the block.

    Its targets lie behind its features, its weight, if it has one, behind them.
    """
    edge = edge_at(network, edge_count(network) - 1)
    pitch = network.pitch
    return Sample(
        network.activations, edge.result.offset + number * WIDTH, (sampler.features * pitch + number) * WIDTH,
        network.deltas, edge.result.offset + number * WIDTH, pitch * WIDTH, edge.units, ((sampler.columns - 1) * pitch + number) * WIDTH,
    )  # fmt: skip


def shared_loss(sample: Sample, counts: Mask, share: Lane) -> Lane:
    """A sample's loss in the lanes where it counts.

    The deltas of its outputs are left in the buffer, times `share`.
    """
    zero = splat(ZERO, WIDTH)
    loss, weight = sample_loss(sample), zero
    if WEIGHTED:
        weight = load(sample.values, sample.weight, WIDTH)
        loss = loss * weight
    for unit in range(sample.units):
        place = sample.delta + unit * sample.stride
        delta = load(sample.deltas, place, WIDTH) * share
        if WEIGHTED:
            delta = delta * weight
        store(sample.deltas, place, where(counts, delta, zero))
    return where(counts, loss, zero)


@default_part
def block_loss(network: AnyNetwork, sampler: Sampler, inputs: Matrix, valid: tuple[int, Lane], share: Lane) -> Lane:
    """The sum of the losses of a block's samples.

    The deltas of the outputs are left in the buffer, times `share`.

    `valid` is (samples in the block, how many of them count in each lane).
    """
    count, limit = valid
    total = splat(ZERO, WIDTH)
    for b in range(count):
        total = total + shared_loss(sample_at(network, sampler, b), limit > b, share)
    return total


@default_part
def drawn_samples(network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, block: tuple[int, int]) -> Matrix:
    """The inputs of a block (first, count) of a step's batch, which every run of a pack draws for itself.

    It needs no `key`.
    """
    fill(network, sampler, stream_of(pack, 0), load(pack.step, 0, WIDTH), block)
    return matrix_at(network.activations, edge_at(network, 0).source)


@default_part
def learn_from_batch(network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, step: StepInputs, tests_loss: bool) -> bool:
    """Whether the loss of the step's batch ends a run, where it is looked at.

    If not, its gradients have been used, or left where it has several blocks.

    The loss is known before the last block's gradients are made: where it ends a run, no weight has moved.
    """
    size = batch_size(sampler, load(pack.step, 0, RUNS))
    total = Sum(splat(ZERO, RUNS), splat(ZERO, RUNS))
    samples = as_type_of(size, total.total)
    share = widen(1.0 / samples, WIDTH)
    single = sampler.batch <= BLOCK and not TWO_PASSES
    for first in range(0, sampler.batch, BLOCK):
        count = min(BLOCK, sampler.batch - first)
        inputs = drawn_samples(network, pack, sampler, key, (first, count))
        forward(network, pack.weights, inputs, count)
        left = widen(where(size > first, size - first, size * 0), WIDTH)
        total = added(total, block_loss(network, sampler, inputs, (count, left), share))
        if NEEDS_WHOLE_GRADIENT and first + count == sampler.batch:
            store(pack.monitor.loss, 0, total_of(total) / samples)
        if tests_loss and first + count == sampler.batch:
            if stops_here(pack.monitor, total_of(total) / samples):
                return True
            if MONITORS_MEAN:
                note_loss(network, pack, total_of(total), samples)
        backward(network, pack.weights, GradientTask(count, UPDATE if single else (WRITE if first == 0 else ADD), pack, step), inputs)
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
    store(monitor.loss_sum, 0, load(monitor.loss_sum, 0, WIDTH) + total)
    store(monitor.samples_seen, 0, load(monitor.samples_seen, 0, WIDTH) + samples)


def one_step(model: NetworkSpace, pack: Pack, sampler: Sampler) -> int:
    """A step of every lane: GOES_ON, or a run has ended before or after the step's update."""
    network: Any = model.step  # of a pack
    step, carry = begin_step(pack)
    store_stats(pack.monitor, 0, new_stats())
    if learn_from_batch(network, pack, sampler, (), step, True):
        return ENDED_BEFORE
    if PERTURBS:
        perturb(network, pack, step)
        learn_from_batch(network, pack, sampler, (), step, False)
    if NEEDS_WHOLE_GRADIENT and HAS_PENALTY:
        penalize_loss(network, pack, step)
    if PERTURBS:
        restore_weights(network, pack, step)
    if sampler.batch > BLOCK or TWO_PASSES:
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
    fill_shared(network, sampler, Stream(every, 0), every, (first, count))
    return matrix_at(network.activations, edge_at(network, 0).source)


@noinline
def evaluate_network(model: NetworkSpace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every run at the given weights; those of the gradient only where asked for."""
    network, zero = model.whole, splat(ZERO, RUNS)
    loss, answers = Sum(zero, zero), zero
    every = splat(np.uint32(sampler.sample_count), RUNS)
    count = as_type_of(every, zero)
    share = widen(1.0 / count, WIDTH)
    for first in range(0, sampler.sample_count, BLOCK):
        size = min(BLOCK, sampler.sample_count - first)
        inputs = samples_at(network, sampler, first, size)
        forward(network, weights, inputs, size)
        loss = added(loss, block_loss(network, sampler, inputs, (size, widen(every, WIDTH)), share))
        answers = answers + correct_answers(network, sampler, size)
        if with_gradient:
            backward(network, weights, GradientTask(size, WRITE if first == 0 else ADD, None, None), inputs)
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


def predict(table: Address) -> int:
    """Fills a prediction's `out` with the network's outputs; of classes their probabilities."""
    mode = set_float_mode()
    network, weights, sampler, out = job_model(table).whole, job_weights(table), job_sampler(table), job_out(table)
    for first in range(0, sampler.sample_count, BLOCK):
        size = min(BLOCK, sampler.sample_count - first)
        forward(network, weights, samples_at(network, sampler, first, size), size)
        store_outputs(network, sampler, out, first, size)
    restore_float_mode(mode)
    return 0
