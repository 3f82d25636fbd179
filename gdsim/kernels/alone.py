"""A network of one run at a time, its units and samples across the lanes.

A pack of runs needs the room of all its runs, and as many runs as lanes. Here one run has all the lanes, and what a step
touches stays in the cache nearest to the processor. Sums are the same, term by term, as those of a lane in a pack.

Activations lie as [sample][unit], so that samples are read as they lie in their table. Weights of hidden layers lie as
[input][unit], those of the last as [unit][input]: forward and in the gradients a sum of products is then a tile of rows of
single numbers, each spread over the lanes, times rows of lanes. The last layer's samples lie across the lanes, where the
losses are made; its inputs are turned for it, and so are the weights of a hidden layer that hands deltas down. Rows are
padded to whole lanes: what the padding holds is never used, and its weights stay zero.

Names that are parts: those of `layers`, `steps` and `sampling`, `BIASES`, `ZERO`, `IN_PLACE`, `activation`, `slope`,
`finish_tile`, `sample_loss`, `correct`, `outputs`; at a lane of one number `begin_step`, `end_step`, `stops_here`, `store_scores`, `note_loss`.
"""

from typing import Any

import numpy as np

from gdsim.kernels.layers import WIDEST, Operand, columns_of, height_of, layer_at, layer_count, products, rows_below, shifted, turn, vectors_of
from gdsim.kernels.network import BLOCK
from gdsim.kernels.parts import (
    DRAWN,
    IN_PLACE,
    WATCHES_MEAN,
    draw,
    draw_key,
    finish_tile,
    job_feed,
    job_model,
    job_out,
    job_pack,
    job_training_feed,
    job_weights,
    product,
)
from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.steps import Motion, begin_step, end_step, moved, put, stops_here, updated
from gdsim.kernels.supervised import ADD, UPDATE, WRITE, Job, Sample, note_loss, shared_loss, store_scores
from gdsim.lanes.compiler import shared
from gdsim.lanes.masks import greatest
from gdsim.lanes.operations import across, as_type_of, load, splat, store, to_bits, where
from gdsim.lanes.parts import WIDTH, ZERO, restore_float_mode, set_float_mode
from gdsim.lanes.tiles import add_rows, load_row, repeat, store_row
from gdsim.problems.parts import BIASES, KEEPS_SLOPES, activation, batch_size, correct, outputs, slope


def forward(network: Any, weights: Any, source: Any, count: Any) -> None:
    """From the samples at `source` to the last layer's sums."""
    last = layer_count(network) - 1
    for index in range(last):
        layer, above = layer_at(network, index), layer_at(network, index + 1)
        shape = count, vectors_of(layer.units)
        sums = rows_below(network.deltas, above.source, above.lines)  # whose room is free until the loss is known
        products(shape, layer.inputs, source, columns_of(weights, layer.weights, layer.pitch), rows_below(weights, layer.biases, 0), sums)
        activate(network, above, index, count)
        source = rows_below(network.activations, above.source, above.lines)
    layer = layer_at(network, last)
    turn(network, source, (count, layer.inputs), network.pitch)
    for unit in range(layer.units):
        bias = splat(weights[layer.biases + unit], WIDTH)
        for sample in range(0, count, WIDTH):
            store(network.activations, network.outputs + unit * network.pitch + sample, bias)
    goal = rows_below(network.activations, network.outputs, network.pitch)
    left = rows_below(weights, layer.weights, layer.pitch)
    products((layer.units, vectors_of(count)), layer.inputs, left, columns_of(network.turned, 0, network.pitch), goal, goal)


def activate(network: Any, above: Any, index: Any, count: Any) -> None:
    """Turns hidden layer number `index`'s sums into its activations; keeps their slopes where they need the sums."""
    for sample in range(count):
        for unit in range(0, above.inputs, WIDTH):
            place = above.source + sample * above.lines + unit
            z = load(network.deltas, place, WIDTH)
            a = activation(z, index)
            store(network.activations, place, a)
            if KEEPS_SLOPES:
                store(network.slopes, place, slope(z, a, index))


def input_deltas(network: Any, weights: Any, index: Any, count: Any) -> None:
    """The deltas of the layer below layer number `index`, with the weights as they are before their update."""
    layer = layer_at(network, index)
    zeros, goal = Operand(network.zeros, 0, 0, 0), rows_below(network.deltas, layer.source, layer.lines)
    if index == layer_count(network) - 1:
        left, right = columns_of(network.deltas, network.outputs, network.pitch), columns_of(weights, layer.weights, layer.pitch)
    else:
        above = layer_at(network, index + 1)
        turn(network, rows_below(weights, layer.weights, layer.pitch), (layer.inputs, layer.units), layer.lines)
        left, right = rows_below(network.deltas, above.source, above.lines), columns_of(network.turned, 0, layer.lines)
    products((count, vectors_of(layer.inputs)), layer.units, left, right, zeros, goal)
    for sample in range(count):
        for unit in range(0, layer.inputs, WIDTH):
            place = layer.source + sample * layer.lines + unit
            if KEEPS_SLOPES:
                rise = load(network.slopes, place, WIDTH)
            else:
                value = load(network.activations, place, WIDTH)
                rise = slope(value, value, index - 1)
            store(network.deltas, place, load(network.deltas, place, WIDTH) * rise)


@shared
def gradient_tiles(network: Any, job: Any, shape: Any, left: Any, right: Any, place: Any) -> None:
    """Sums over the samples of left x right, (rows, numbers in a row) of them, handed on tile by tile.

    `place` is (the first, the pitch of rows, whether they are weights).
    """
    rows, numbers = shape
    first, pitch, is_weight = place
    zeros, goal = Operand(network.zeros, 0, 0, 0), rows_below(network.tile, 0, WIDEST * WIDTH)
    columns = vectors_of(numbers)
    for column in range(0, columns, WIDEST):
        right_here = shifted(right, column * WIDTH)
        row = 0
        while row < rows:
            tile = height_of(rows - row), min(WIDEST, columns - column)
            product(tile, job.count, shifted(left, row * left.stride), right_here, zeros, goal)
            finish_tile(network, job, (first + row * pitch + column * WIDTH, pitch, is_weight), tile, numbers - column * WIDTH)
            row += tile[0]


def update_tile(network: Any, job: Any, place: Any, shape: Any, numbers: Any) -> None:
    """Uses a tile of gradients, of which `numbers` of a row count: updates their weights, or keeps them until all blocks of the batch are in."""
    if job.action != UPDATE:
        keep_tile(network, job, place, shape, numbers)
        return
    first, pitch, is_weight = place
    rows, columns = shape
    motion = motion_so_far(network)
    for column in range(columns):
        counts = load(network.numbers, 0, WIDTH) + column * WIDTH < numbers
        there = first + column * WIDTH
        for row in range(rows):
            g = load(network.tile, (row * WIDEST + column) * WIDTH, WIDTH)
            motion = update_lanes(job, motion, there // WIDTH, g, is_weight, counts)
            there += pitch
    store(network.largest, 0, motion.largest)


def motion_so_far(network: Any) -> Any:
    """The motion of a step that is made in several places."""
    nothing = splat(ZERO, WIDTH)
    return Motion(load(network.largest, 0, WIDTH), nothing, nothing)


def keep_tile(network: Any, job: Any, place: Any, shape: Any, numbers: Any) -> None:
    """Writes or adds a tile of gradients beside the weights."""
    first, pitch, _ = place
    rows, columns = shape
    for row in range(rows):
        for column in range(columns):
            there = first + row * pitch + column * WIDTH
            g = load(network.tile, (row * WIDEST + column) * WIDTH, WIDTH)
            store(network.gradients, there, g if job.action == WRITE else load(network.gradients, there, WIDTH) + g)


def update_lanes(job: Any, motion: Any, place: Any, g: Any, is_weight: Any, counts: Any) -> Any:
    """Updates neighbouring weights from their gradients, the motion with them; the padding, which does not count, stays zero."""
    old, new = updated(job.pack, job.step, place, g, is_weight)
    new = where(counts, new[0], splat(ZERO, WIDTH)), new[1]
    put(job.pack, place, new)
    return moved(motion, job.step, old, new)


def weight_gradients(network: Any, job: Any, index: Any, source: Any) -> None:
    """The gradients of all weights and biases of a layer."""
    layer = layer_at(network, index)
    place = layer.weights, layer.pitch, True
    if index == layer_count(network) - 1:
        left = rows_below(network.deltas, network.outputs, network.pitch)
        gradient_tiles(network, job, (layer.units, layer.inputs), left, columns_of(source.array, source.offset, source.stride), place)
        if BIASES:
            output_biases(network, job, layer)
    else:
        above = layer_at(network, index + 1)
        right = columns_of(network.deltas, above.source, above.lines)
        gradient_tiles(network, job, (layer.inputs, layer.units), columns_of(source.array, source.offset, source.stride), right, place)
        if BIASES:
            gradient_tiles(network, job, (1, layer.units), Operand(network.ones, 0, 0, 0), right, (layer.biases, 0, False))


def output_biases(network: Any, job: Any, layer: Any) -> None:
    """The gradients of the last layer's biases: their deltas lie one behind the other, and are added in order."""
    for unit in range(0, layer.units, 4):
        totals = repeat(splat(ZERO, 1), 4)
        for sample in range(job.count):
            totals = add_rows(totals, load_row(network.deltas, network.outputs + unit * network.pitch + sample, network.pitch, 4, 1))
        store_row(network.losses, unit % WIDTH, 1, totals)
        if (unit + 4) % WIDTH == 0 or unit + 4 >= layer.units:
            first = unit // WIDTH * WIDTH
            store(network.tile, 0, load(network.losses, 0, WIDTH))
            finish_tile(network, job, (layer.biases + first, 0, False), (1, 1), layer.units - first)


def backward(network: Any, weights: Any, job: Any, source: Any) -> None:
    """From the output's deltas to every gradient, layer by layer from the last; each layer's inputs first, then its weights."""
    for index in range(layer_count(network) - 1, -1, -1):
        if index > 0:
            layer = layer_at(network, index)
            input_deltas(network, weights, index, job.count)
            weight_gradients(network, job, index, rows_below(network.activations, layer.source, layer.lines))
        else:
            weight_gradients(network, job, index, source)


def update_all(network: Any, job: Any) -> None:
    """Updates every weight from the gradients that the blocks of a batch have left."""
    last = layer_count(network) - 1
    motion = motion_so_far(network)
    for index in range(last + 1):
        layer = layer_at(network, index)
        rows, numbers = (layer.units, layer.inputs) if index == last else (layer.inputs, layer.units)
        for row in range(rows + BIASES):
            first, count = (layer.biases, layer.units) if row == rows else (layer.weights + row * layer.pitch, numbers)
            for column in range(0, count, WIDTH):
                counts = load(network.numbers, 0, WIDTH) + column < count
                motion = update_lanes(job, motion, (first + column) // WIDTH, load(network.gradients, first + column, WIDTH), row < rows, counts)
    store(network.largest, 0, motion.largest)


def sample_at(network: Any, feed: Any, number: Any) -> Any:
    """The places of as many samples as there are lanes, from one of the block."""
    layer = layer_at(network, layer_count(network) - 1)
    place, pitch = network.outputs + number, network.pitch
    weight = network.targets + (feed.columns - feed.features - 1) * pitch + number
    return Sample(network.activations, place, network.targets + number, network.deltas, place, pitch, layer.units, weight)


def take_targets(network: Any, feed: Any, source: Any, count: Any) -> None:
    """Puts the targets, which lie behind each sample's features, across the lanes."""
    for column in range(feed.features, feed.columns):
        goal = network.targets + (column - feed.features) * network.pitch
        for sample in range(count):
            network.activations[goal + sample] = source.array[source.offset + sample * source.stride + column]


def block_loss(network: Any, feed: Any, source: Any, valid: Any, share: Any) -> Any:
    """The sum of the losses of a block's samples, in order; the deltas of the outputs are left in the buffer, times `share`.

    `valid` is (samples in the block, how many of them count).
    """
    count, limit = valid
    take_targets(network, feed, source, count)
    total = splat(ZERO, 1)
    for first in range(0, count, WIDTH):
        sample = sample_at(network, feed, first)
        store(network.losses, 0, shared_loss(sample, load(network.numbers, 0, WIDTH) + first < limit, share))
        for number in range(min(WIDTH, count - first)):
            total = total + load(network.losses, number, 1)
    return total


def key_of(feed: Any, pack: Any) -> Any:
    """The key of the order of the run's epoch."""
    return across(draw_key(feed, load(pack.start, 0, 1), load(pack.step, 0, 1)), DRAWN)


def taken(network: Any, feed: Any, pack: Any, key: Any, block: Any) -> Any:
    """Where a block's samples lie: in their table, or, where a run draws its own, one behind the other among the activations."""
    first, count = block
    if IN_PLACE:
        return rows_below(feed.matrix, first * feed.pitch, feed.pitch)
    start, step = splat(pack.start[0], DRAWN), pack.step[0]
    for number in range(0, count, DRAWN):
        store(network.rows, number, draw(feed, key, start, step, load(network.numbers, 0, DRAWN) + (first + number)))
    layer = layer_at(network, 0)
    for sample in range(count):
        row, place = np.int64(network.rows[sample]) * feed.pitch, layer.source + sample * layer.lines
        for column in range(0, feed.columns, WIDTH):
            store(network.activations, place + column, load(feed.matrix, row + column, WIDTH))
    return rows_below(network.activations, layer.source, layer.lines)


def learn_from_batch(network: Any, pack: Any, feed: Any, key: Any, step: Any) -> Any:
    """Whether the loss of the step's batch ends the run; if not, its gradients have been used, or left where it has several blocks.

    The loss is known before the last block's gradients are made: where it ends the run, no weight has moved.
    """
    number = load(pack.step, 0, 1)
    size = batch_size(feed, number)
    total = Sum(splat(ZERO, 1), splat(ZERO, 1))
    samples = as_type_of(size, total.total)
    share = across(1.0 / samples, WIDTH)
    for first in range(0, feed.batch, BLOCK):
        count = min(BLOCK, feed.batch - first)
        source = taken(network, feed, pack, key, (first, count))
        forward(network, pack.weights, source, count)
        left = across(where(size > first, size - first, size * 0), WIDTH)
        total = added(total, block_loss(network, feed, source, (count, left), share))
        if first + count == feed.batch:
            if stops_here(pack.watch, total_of(total) / samples):
                return True
            if WATCHES_MEAN:
                note_loss(network, pack, total_of(total), samples)
        backward(network, pack.weights, Job(count, UPDATE if feed.batch <= BLOCK else (WRITE if first == 0 else ADD), pack, step), source)
    return False


def advance(table: Any, steps: Any) -> Any:
    """The kernel: up to `steps` steps of the run; fewer if it ends. How many updates were made."""
    pack, feed, network = job_pack(table), job_training_feed(table), job_model(table)
    nothing = splat(ZERO, 1)
    key = key_of(feed, pack)
    for done in range(steps):
        if done > 0 and pack.step[0] % feed.steps_per_epoch == 0:
            key = key_of(feed, pack)
        step, carry = begin_step(pack)
        store(network.largest, 0, to_bits(splat(ZERO, WIDTH)))
        wide = across(step, WIDTH)
        if learn_from_batch(network, pack, feed, key, wide):
            return done
        if feed.batch > BLOCK:
            update_all(network, Job(0, UPDATE, pack, wide))
        if end_step(pack, carry, Motion(splat(greatest(load(network.largest, 0, WIDTH)), 1), nothing, nothing)):
            return done + 1
    return steps


def correct_answers(network: Any, feed: Any, count: Any) -> Any:
    """How many of a block's samples the run gets right: whole numbers, whose order does not matter."""
    total = splat(ZERO, 1)
    for first in range(0, count, WIDTH):
        store(network.losses, 0, correct(sample_at(network, feed, first)))
        for number in range(min(WIDTH, count - first)):
            total = total + load(network.losses, number, 1)
    return total


@shared
def evaluate_alone(model: Any, weights: Any, feed: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of the run at the given weights; those of the gradient only where asked for."""
    network, nothing = model, splat(ZERO, 1)
    loss, answers = Sum(nothing, nothing), nothing
    every = splat(np.uint32(feed.count), 1)
    count = as_type_of(every, nothing)
    share = across(1.0 / count, WIDTH)
    for first in range(0, feed.count, BLOCK):
        size = min(BLOCK, feed.count - first)
        source = rows_below(feed.matrix, first * feed.pitch, feed.pitch)
        forward(network, weights, source, size)
        loss = added(loss, block_loss(network, feed, source, (size, across(every, WIDTH)), share))
        answers = answers + correct_answers(network, feed, size)
        if with_gradient:
            backward(network, weights, Job(size, WRITE if first == 0 else ADD, None, None), source)
    store_scores(network, weights, scores, (total_of(loss) / count, answers / count), with_gradient)


def predict(table: Any) -> Any:
    """Fills a prediction's `out` with the network's outputs; of classes their probabilities."""
    mode = set_float_mode()
    network, weights, feed, out = job_model(table), job_weights(table), job_feed(table), job_out(table)
    for first in range(0, feed.count, BLOCK):
        size = min(BLOCK, feed.count - first)
        forward(network, weights, rows_below(feed.matrix, first * feed.pitch, feed.pitch), size)
        for number in range(0, size, WIDTH):
            outputs(sample_at(network, feed, number))
        layer = layer_at(network, layer_count(network) - 1)
        for sample in range(size):
            for unit in range(layer.units):
                out[(first + sample) * layer.units + unit] = network.deltas[network.outputs + unit * network.pitch + sample]
    restore_float_mode(mode)
    return 0
