"""A multilayer perceptron of every lane: forward, backward, and each weight's gradient handed on as soon as it is final.

Activations lie as [unit][sample][lane], so that the loop over a batch is contiguous; rows of weights as
[unit][inputs, then the bias][lane]. Rows have an odd number of lanes, so that they never fall a power of two apart; units,
inputs and samples are padded to whole tiles, and nothing that the padding holds is ever used. Tiles of 4 x 4 lanes
accumulate in registers. A sum over samples runs through a block of `BLOCK` in order, and the sums of blocks are added in
order: tiles decide which sums are made together, never the order of any one.

Names that are parts: `WIDTH`, `BIASES` (1, or 0 for none), `ZERO`, `activation`, `slope`, `finish_tile`.
"""

from typing import Any, NamedTuple

from gdsim.kernels.parts import finish_tile
from gdsim.lanes.operations import load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.tiles import load_row, outer_fma, repeat, rows_of, store_row, store_tile
from gdsim.problems.parts import BIASES, KEEPS_SLOPES, activation, slope

BLOCK = 64
TILE = 4


class Layer(NamedTuple):
    """One row of the table of layers: sizes, and offsets in lanes."""

    inputs: Any
    units: Any
    weights: Any  # offset of the first unit's row
    pitch: Any  # of the rows
    source: Any  # offset of the inputs' activations
    result: Any  # offset of the units' activations
    above: Any  # offset of the units' deltas
    below: Any  # offset of the inputs' deltas


class Network(NamedTuple):
    """One thread's working memory and the table of layers."""

    layers: Any  # [layer * 8 + column of `Layer`]
    activations: Any
    slopes: Any  # beside the activations, where they are kept
    deltas: Any
    gradients: Any  # beside the weights
    kept: Any  # the weights of a rule that takes its gradient elsewhere
    tile: Any  # one tile of gradients on its way to the update
    pitch: Any  # samples, in lanes, from one unit to the next


class Operand(NamedTuple):
    """Lanes, or the numbers of one run, of an array from `offset`: `step` from one term of a sum to the next, `stride` from one row of a tile to the next."""

    array: Any
    offset: Any
    step: Any
    stride: Any


@default_part
def layer_at(network: Any, index: Any) -> Any:
    """A row of the table of layers."""
    t, i = network.layers, index * 8
    return Layer(t[i], t[i + 1], t[i + 2], t[i + 3], t[i + 4], t[i + 5], t[i + 6], t[i + 7])


@default_part
def layer_count(network: Any) -> Any:
    """How many layers there are."""
    return len(network.layers) // 8


@default_part
def place_in(layer: Any, unit: Any, column: Any) -> Any:
    """(the place of one of a unit's weights, or of its bias behind them, which lies at its row's end; whether it is a weight)."""
    is_weight = column < layer.inputs
    return layer.weights + unit * layer.pitch + (column if is_weight else layer.pitch - 1), is_weight


def contract(tile: Any, left: Any, right: Any, terms: Any) -> Any:
    """Adds the sum over terms of left[term] x right[term] to a tile, term by term."""
    a, b = left.offset * WIDTH, right.offset * WIDTH
    for _ in range(terms):
        rows = load_row(left.array, a, left.stride * WIDTH, TILE, WIDTH)
        columns = load_row(right.array, b, right.stride * WIDTH, TILE, WIDTH)
        tile = outer_fma(tile, rows, columns)
        a += left.step * WIDTH
        b += right.step * WIDTH
    return tile


def contract_column(column: Any, left: Any, right: Any, terms: Any) -> Any:
    """The same for a tile of one column."""
    a, b = left.offset * WIDTH, right.offset * WIDTH
    for _ in range(terms):
        column = outer_fma(column, load_row(left.array, a, left.stride * WIDTH, TILE, WIDTH), load_row(right.array, b, 0, 1, WIDTH))
        a += left.step * WIDTH
        b += right.step * WIDTH
    return column


def in_tiles(count: Any) -> Any:
    """How many of a block's samples go through whole tiles: all, the last few padded, but for one that is left alone."""
    return count - (1 if count % TILE == 1 else 0)


def forward_layer(network: Any, weights: Any, layer: Any, count: Any) -> None:
    """The sums of every unit of a layer for every sample, biases first."""
    pitch = network.pitch
    for unit in range(0, layer.units, TILE):
        first = layer.weights + unit * layer.pitch
        bias = load_row(weights, (first + layer.pitch - 1) * WIDTH, layer.pitch * WIDTH, TILE, WIDTH)
        left = Operand(weights, first, 1, layer.pitch)
        for sample in range(0, in_tiles(count), TILE):
            right = Operand(network.activations, layer.source + sample, pitch, 1)
            tile = contract(rows_of(bias, bias), left, right, layer.inputs)
            place = layer.result + unit * pitch + sample
            store_tile(network.activations, place * WIDTH, pitch * WIDTH, WIDTH, TILE, tile)
        for sample in range(in_tiles(count), count):
            column = contract_column(bias, left, Operand(network.activations, layer.source + sample, pitch, 1), layer.inputs)
            store_row(network.activations, (layer.result + unit * pitch + sample) * WIDTH, pitch * WIDTH, column)


def activate(network: Any, layer: Any, index: Any, count: Any) -> None:
    """Turns hidden layer number `index`'s sums into its activations, in place; keeps their slopes where they need the sums."""
    for unit in range(layer.units):
        first = layer.result + unit * network.pitch
        for sample in range(count):
            place = (first + sample) * WIDTH
            z = load(network.activations, place, WIDTH)
            a = activation(z, index)
            store(network.activations, place, a)
            if KEEPS_SLOPES:
                store(network.slopes, place, slope(z, a, index))


def forward(network: Any, weights: Any, count: Any) -> None:
    """From the samples in the first rows of the activations to the last layer's sums."""
    last = layer_count(network) - 1
    for index in range(last + 1):
        layer = layer_at(network, index)
        forward_layer(network, weights, layer, count)
        if index < last:
            activate(network, layer, index, count)


def input_deltas(network: Any, weights: Any, layer: Any, index: Any, count: Any) -> None:
    """The deltas of the layer below, hidden layer number `index`, with the weights as they are before their update."""
    pitch = network.pitch
    zeros = repeat(splat(ZERO, WIDTH), TILE)
    for unit in range(0, layer.inputs, TILE):
        left = Operand(weights, layer.weights + unit, layer.pitch, 1)
        for sample in range(0, in_tiles(count), TILE):
            right = Operand(network.deltas, layer.above + sample, pitch, 1)
            tile = contract(rows_of(zeros, zeros), left, right, layer.units)
            place = layer.below + unit * pitch + sample
            store_tile(network.deltas, place * WIDTH, pitch * WIDTH, WIDTH, TILE, tile)
        for sample in range(in_tiles(count), count):
            column = contract_column(zeros, left, Operand(network.deltas, layer.above + sample, pitch, 1), layer.units)
            store_row(network.deltas, (layer.below + unit * pitch + sample) * WIDTH, pitch * WIDTH, column)
        for row in range(unit, min(unit + TILE, layer.inputs)):
            for sample in range(count):
                source = (layer.source + row * pitch + sample) * WIDTH
                if KEEPS_SLOPES:
                    rise = load(network.slopes, source, WIDTH)
                else:
                    value = load(network.activations, source, WIDTH)
                    rise = slope(value, value, index)
                place = (layer.below + row * pitch + sample) * WIDTH
                store(network.deltas, place, load(network.deltas, place, WIDTH) * rise)


def weight_gradients(network: Any, job: Any, layer: Any) -> None:
    """The gradients of all weights and biases of a layer, handed to `finish_tile` tile by tile."""
    pitch = network.pitch
    zeros = repeat(splat(ZERO, WIDTH), TILE)
    for unit in range(0, layer.units, TILE):
        rows = min(TILE, layer.units - unit)
        first = layer.weights + unit * layer.pitch
        left = Operand(network.deltas, layer.above + unit * pitch, 1, pitch)
        for column in range(0, layer.inputs, TILE):
            right = Operand(network.activations, layer.source + column * pitch, 1, pitch)
            tile = contract(rows_of(zeros, zeros), left, right, job.count)
            store_tile(network.tile, 0, TILE * WIDTH, WIDTH, TILE, tile)
            finish_tile(network, job, (first + column, layer.pitch), (rows, min(TILE, layer.inputs - column)))
    for unit in range(layer.units * BIASES):
        total = splat(ZERO, WIDTH)
        for sample in range(job.count):
            total = total + load(network.deltas, (layer.above + unit * pitch + sample) * WIDTH, WIDTH)
        store(network.tile, 0, total)
        finish_tile(network, job, (layer.weights + (unit + 1) * layer.pitch - 1, 0), (1, 0))


def backward(network: Any, weights: Any, job: Any) -> None:
    """From the output's deltas to every gradient, layer by layer from the last; each layer's inputs first, then its weights."""
    for index in range(layer_count(network) - 1, -1, -1):
        layer = layer_at(network, index)
        if index > 0:
            input_deltas(network, weights, layer, index - 1, job.count)
        weight_gradients(network, job, layer)
