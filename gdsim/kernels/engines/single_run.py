"""A network of one run at a time, its units and samples across the lanes.

A pack of runs needs the room of all its runs, and as many runs as lanes. Here one run has all the lanes, and
what a step touches stays in the cache nearest to the processor. Sums are the same, term by term, as those of
a lane in a pack.

Activations lie as [sample][unit], so that samples are read as they lie in their table, but for the outputs,
whose samples lie across the lanes where the losses are made. Weights of hidden layers lie as [input][unit],
those of the last as [unit][input]: most products then find their matrices as they need them; `row_major`
copies the others: the inputs of the last layer, and the weights of a hidden layer that hands deltas down.
Rows are padded to whole lanes: what the padding holds is never used, and its weights stay zero.

What a step has once for its run, as the loss, is a lane of one number (`engines.single_run_parts`).
"""

import numpy as np

from gdsim.kernels.attendants import meet
from gdsim.kernels.engines.blocks import shared_loss
from gdsim.kernels.engines.network import learn_from_batch
from gdsim.kernels.engines.passes import edge_at, edge_count, row_length
from gdsim.kernels.parts import (
    DRAW_WIDTH,
    IN_PLACE,
    TILE_WIDTH,
    TWO_PASSES,
    draw,
    draw_key,
    epoch_steps,
    job_model,
    job_pack,
    job_training_sampler,
)
from gdsim.kernels.state import Pack, StepStats
from gdsim.kernels.steps import accumulate, begin_step, end_step, store_weight, updated
from gdsim.kernels.workspace import GradientTask, Matrix, SingleRunNetwork, matrix_at
from gdsim.lanes.bits import to_bits
from gdsim.lanes.masks import any, greatest
from gdsim.lanes.operations import load, splat, store, where, widen
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.permutation import OrderKey
from gdsim.lanes.types import Address, Count, Lane, Lanes, Mask, Memory, Offset
from gdsim.problems.parts import Sample, Sampler, Stream, correct, outputs


def update_tile(network: SingleRunNetwork, task: GradientTask, goal: Matrix, shape: tuple[int, int], numbers: int, is_weight: bool) -> None:
    """Uses a tile of gradients, of which `numbers` of a row count: updates their weights."""
    rows, columns = shape
    stats = stats_so_far(network)
    for column in range(columns):
        counts = load(network.lane_index, 0, WIDTH) + column * WIDTH < numbers
        there = goal.offset + column * WIDTH
        for row in range(rows):
            g = load(network.tile, (row * TILE_WIDTH + column) * WIDTH, WIDTH)
            stats = update_lanes(task, stats, there // WIDTH, g, is_weight, counts)
            there += goal.row_step
    store(network.largest_weight, 0, stats.largest_weight)


def stats_so_far(network: SingleRunNetwork) -> StepStats:
    """The statistics of a step that is made in several places, so far."""
    zero = splat(ZERO, WIDTH)
    return StepStats(load(network.largest_weight, 0, WIDTH), zero, zero)


def update_lanes(task: GradientTask, stats: StepStats, place: Offset, g: Lane, is_weight: bool, counts: Mask) -> StepStats:
    """Updates neighbouring weights from their gradients, and the statistics of the step.

    The padding, which does not count, stays zero.
    """
    old, new = updated(task.pack, task.step, place, g, is_weight)
    new = where(counts, new[0], splat(ZERO, WIDTH)), new[1]
    store_weight(task.pack, place, new)
    return accumulate(stats, task.step, old, new)


def update_all(network: SingleRunNetwork, task: GradientTask) -> None:
    """Updates every weight from the gradients that the blocks of a batch have left."""
    stats = stats_so_far(network)
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        W = edge.weights
        rows, numbers, pitch = (edge.units, edge.inputs, W.row_step) if W.column_step == 1 else (edge.inputs, edge.units, W.column_step)
        for row in range(rows + row_length(edge) - edge.inputs):
            first, count = (edge.biases.offset, edge.units) if row == rows else (W.offset + row * pitch, numbers)
            for column in range(0, count, WIDTH):
                counts = load(network.lane_index, 0, WIDTH) + column < count
                stats = update_lanes(task, stats, (first + column) // WIDTH, load(network.gradients, first + column, WIDTH), row < rows, counts)
    store(network.largest_weight, 0, stats.largest_weight)


def sample_at(network: SingleRunNetwork, sampler: Sampler, number: int) -> Sample:
    """The places of as many samples as there are lanes, from one of the block."""
    edge = edge_at(network, edge_count(network) - 1)
    place, pitch = edge.result.offset + number, network.pitch
    weight = network.targets + (sampler.columns - sampler.features - 1) * pitch + number
    return Sample(network.activations, place, network.targets + number, network.deltas, place, pitch, edge.units, weight)


def take_targets(network: SingleRunNetwork, sampler: Sampler, source: Matrix, count: int) -> None:
    """Puts the targets, which lie behind each sample's features, across the lanes."""
    for column in range(sampler.features, sampler.columns):
        goal = network.targets + (column - sampler.features) * network.pitch
        for sample in range(count):
            network.activations[goal + sample] = source.array[source.offset + sample * source.column_step + column]


def block_loss(network: SingleRunNetwork, sampler: Sampler, source: Matrix, valid: tuple[int, Lane], share: Lane) -> Lane:
    """The sum of the losses of a block's samples, in order.

    The deltas of the outputs are left in the buffer, times `share`.

    `valid` is (samples in the block, how many of them count).
    """
    count, limit = valid
    take_targets(network, sampler, source, count)
    meet()
    total = splat(ZERO, 1)
    for first in range(0, count, WIDTH):
        sample = sample_at(network, sampler, first)
        store(network.losses, 0, shared_loss(sample, load(network.lane_index, 0, WIDTH) + first < limit, share))
        meet()
        for number in range(min(WIDTH, count - first)):
            total = total + load(network.losses, number, 1)
        meet()
    return total


def stream_of_run(pack: Pack) -> Stream:
    """Whose samples the run draws."""
    return Stream(load(pack.start, 0, 1), pack.replica, load(pack.shard, 0, 1))


def key_of(sampler: Sampler, pack: Pack) -> OrderKey | Lanes:
    """The key of the order of the run's epoch."""
    return widen(draw_key(sampler, stream_of_run(pack), load(pack.step, 0, 1)), DRAW_WIDTH)


def batch_inputs(network: SingleRunNetwork, sampler: Sampler) -> Matrix:
    """The inputs of a step's samples of one block, where they lie."""
    return samples_at(network, sampler, 0, sampler.batch) if IN_PLACE else matrix_at(network.activations, edge_at(network, 0).source)


def near_weights(network: SingleRunNetwork, pack: Pack) -> Memory:
    """The weights that a step's passes read, copied to near memory. There too are the zeros then that they begin with."""
    for place in range(0, len(network.weights), WIDTH):
        store(network.weights, place, load(pack.weights, place, WIDTH))
    for place in range(0, len(network.zeros), WIDTH):
        store(network.zeros, place, splat(ZERO, WIDTH))
    meet()
    return network.weights


def drawn_samples(network: SingleRunNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, block: tuple[int, int]) -> Matrix:
    """Where a block's samples lie: in their table, or, where a run draws its own, one behind the other among
    the activations.
    """
    first, count = block
    if IN_PLACE:
        return samples_at(network, sampler, first, count)
    stream, step = Stream(splat(pack.start[0], DRAW_WIDTH), pack.replica, splat(pack.shard[0], DRAW_WIDTH)), pack.step[0]
    for number in range(0, count, DRAW_WIDTH):
        store(network.rows, number, draw(sampler, key, stream, step, load(network.lane_index, 0, DRAW_WIDTH) + (first + number)))
    edge = edge_at(network, 0)
    meet()
    for sample in range(count):
        row, place = np.int64(network.rows[sample]) * sampler.pitch, edge.source.offset + sample * edge.source.column_step
        for column in range(0, sampler.columns, WIDTH):
            store(network.activations, place + column, load(sampler.matrix, row + column, WIDTH))
    meet()
    return matrix_at(network.activations, edge.source)


def advance(table: Address, steps: Count) -> Count:
    """The kernel: up to `steps` steps of the run; fewer if it ends. How many updates were made."""
    pack, sampler, network = job_pack(table), job_training_sampler(table), job_model(table).step
    zero = splat(ZERO, 1)
    key = key_of(sampler, pack)
    for done in range(steps):
        meet()
        if done > 0 and any(load(pack.step, 0, 1) % epoch_steps(sampler, stream_of_run(pack)) == 0):
            key = key_of(sampler, pack)
        step, carry = begin_step(pack)
        store(network.largest_weight, 0, to_bits(splat(ZERO, WIDTH)))
        wide = widen(step, WIDTH)
        if learn_from_batch(table, network, pack, sampler, key, wide, True):
            return done
        if TWO_PASSES:
            update_all(network, GradientTask(0, False, pack, wide))
        if end_step(pack, carry, StepStats(splat(greatest(load(network.largest_weight, 0, WIDTH)), 1), zero, zero)):
            return done + 1
    return steps


def correct_answers(network: SingleRunNetwork, sampler: Sampler, count: int) -> Lane:
    """How many of a block's samples the run gets right: whole numbers, whose order does not matter."""
    total = splat(ZERO, 1)
    for first in range(0, count, WIDTH):
        store(network.losses, 0, correct(sample_at(network, sampler, first)))
        meet()
        for number in range(min(WIDTH, count - first)):
            total = total + load(network.losses, number, 1)
        meet()
    return total


def samples_at(network: SingleRunNetwork, sampler: Sampler, first: int, count: int) -> Matrix:
    """The inputs of a block of a table's samples, where they lie."""
    return Matrix(sampler.matrix, first * sampler.pitch, 1, sampler.pitch)


def store_outputs(network: SingleRunNetwork, sampler: Sampler, out: Memory, first: int, count: int) -> None:
    """Writes the outputs of a block's samples to out[sample, unit]."""
    for number in range(0, count, WIDTH):
        outputs(sample_at(network, sampler, number))
    meet()
    edge = edge_at(network, edge_count(network) - 1)
    for sample in range(count):
        for unit in range(edge.units):
            out[(first + sample) * edge.units + unit] = network.deltas[edge.result.offset + unit * edge.result.row_step + sample]
