"""A multilayer perceptron of every lane: forward, backward, and each weight's gradient handed on as soon as it is final.

Of layer l, with `units` rows of weights W[unit, input] and of biases b[unit], a block of `count` samples has sums
Z[unit, sample], activations A and deltas D = d loss / d Z; A_0[feature, sample] are the samples, Z_L the outputs:

    forward:   Z_l = b_l 1' + W_l A_(l-1)    A_l = phi_l(Z_l)
    backward:  D_(l-1) = (W_l' D_l) * phi'_(l-1)(Z_(l-1))    dW_l = D_l A_(l-1)'    db_l = D_l 1

Activations lie as [unit][sample][lane], so that the loop over a batch is contiguous, and take the place of their sums;
slopes and deltas lie beside them, at the same offsets. Rows of weights lie as [unit][inputs, then the bias][lane]. Rows
have an odd number of lanes, so that they never fall a power of two apart; units, inputs and samples are padded to whole
tiles, and nothing that the padding holds is ever used. Tiles of 4 x 4 lanes accumulate in registers. A sum over samples
runs through a block of `BLOCK` in order, and the sums of blocks are added in order: tiles decide which sums are made
together, never the order of any one.

Names that are parts: `WIDTH`, `BIASES` (1, or 0 for none), `activation`, `slope`, `finish_tile`.
"""

from typing import Any, NamedTuple

from gdsim.kernels.parts import finish_tile
from gdsim.lanes.operations import load, store
from gdsim.lanes.parts import WIDTH, default_part
from gdsim.lanes.tiles import load_row, load_tile, outer_fma, store_row, store_tile
from gdsim.problems.parts import BIASES, KEEPS_SLOPES, activation, slope

BLOCK = 64
TILE = 4
LAYER_COLUMNS = 6


class Place(NamedTuple):
    """Where a matrix lies in any array: element [row, column] at `offset + row * row_step + column * column_step`, in numbers."""

    offset: Any
    row_step: Any
    column_step: Any


class Layer(NamedTuple):
    """One layer: its sizes, and where its matrices lie."""

    inputs: Any
    units: Any
    weights: Any  # W[unit, input], and what is kept beside the weights
    biases: Any  # b[unit, sample], the same for all samples
    source: Any  # A[input, sample] of the layer below, and its slopes and deltas
    result: Any  # Z[unit, sample], and then A, phi'(Z) and D


class Network(NamedTuple):
    """One thread's working memory and the table of layers."""

    layers: Any  # [layer * LAYER_COLUMNS + column], in lanes
    activations: Any
    slopes: Any  # beside the activations, where they are kept
    deltas: Any  # beside the activations
    gradients: Any  # beside the weights
    kept: Any  # the weights of a rule that takes its gradient elsewhere
    tile: Any  # one tile of gradients on its way to the update
    zeros: Any  # one lane of them
    ones: Any  # likewise
    pitch: Any  # samples, in lanes, from one unit to the next


class Matrix(NamedTuple):
    """A matrix of an array: element [row, column] at `offset + row * row_step + column * column_step`, in numbers."""

    array: Any
    offset: Any
    row_step: Any
    column_step: Any


def matrix_at(array: Any, place: Any) -> Any:
    """The matrix that lies at a place of an array."""
    return Matrix(array, place.offset, place.row_step, place.column_step)


def transposed(matrix: Any) -> Any:
    """The matrix with rows and columns exchanged."""
    return Matrix(matrix.array, matrix.offset, matrix.column_step, matrix.row_step)


def part_from(matrix: Any, row: Any, column: Any) -> Any:
    """The part of a matrix that begins at [row, column]."""
    offset = matrix.offset + row * matrix.row_step + column * matrix.column_step
    return Matrix(matrix.array, offset, matrix.row_step, matrix.column_step)


@default_part
def layer_at(network: Any, index: Any) -> Any:
    """A layer by its number."""
    t, i = network.layers, index * LAYER_COLUMNS
    weights, pitch, line = t[i + 2] * WIDTH, t[i + 3] * WIDTH, network.pitch * WIDTH
    rows, biases = Place(weights, pitch, WIDTH), Place(weights + pitch - WIDTH, pitch, 0)
    return Layer(t[i], t[i + 1], rows, biases, Place(t[i + 4] * WIDTH, line, WIDTH), Place(t[i + 5] * WIDTH, line, WIDTH))


@default_part
def layer_count(network: Any) -> Any:
    """How many layers there are."""
    return len(network.layers) // LAYER_COLUMNS


@default_part
def place_in(layer: Any, unit: Any, column: Any) -> Any:
    """(the place, in lanes, of one of a unit's weights, or of its bias behind them; whether it is a weight)."""
    is_weight = column < layer.inputs
    weight, bias = layer.weights.offset + column * WIDTH, layer.biases.offset
    return ((weight if is_weight else bias) + unit * layer.weights.row_step) // WIDTH, is_weight


def product_tile(goal: Any, left: Any, right: Any, start: Any, terms: Any) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], term by term, of TILE rows i and TILE columns j."""
    tile = load_tile(start.array, start.offset, start.row_step, start.column_step, TILE, TILE, WIDTH)
    a, b = left.offset, right.offset
    for _ in range(terms):
        rows = load_row(left.array, a, left.row_step, TILE, WIDTH)
        columns = load_row(right.array, b, right.column_step, TILE, WIDTH)
        tile = outer_fma(tile, rows, columns)
        a += left.column_step
        b += right.row_step
    store_tile(goal.array, goal.offset, goal.row_step, goal.column_step, TILE, tile)


def product_column(goal: Any, left: Any, right: Any, start: Any, terms: Any) -> None:
    """The same for one column."""
    column = load_row(start.array, start.offset, start.row_step, TILE, WIDTH)
    a, b = left.offset, right.offset
    for _ in range(terms):
        column = outer_fma(column, load_row(left.array, a, left.row_step, TILE, WIDTH), load_row(right.array, b, 0, 1, WIDTH))
        a += left.column_step
        b += right.row_step
    store_row(goal.array, goal.offset, goal.row_step, column)


def in_tiles(columns: Any) -> Any:
    """How many of a product's columns are made in tiles of TILE: a remainder of 2 or 3 is padded, one of 1 is cheaper by itself."""
    return columns - (1 if columns % TILE == 1 else 0)


def product(goal: Any, left: Any, right: Any, start: Any, shape: Any) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], in the order of k; `shape` is how many (i, k, j)."""
    rows, terms, columns = shape
    for row in range(0, rows, TILE):
        above = part_from(left, row, 0)
        for column in range(0, in_tiles(columns), TILE):
            product_tile(part_from(goal, row, column), above, part_from(right, 0, column), part_from(start, row, column), terms)
        for column in range(in_tiles(columns), columns):
            product_column(part_from(goal, row, column), above, part_from(right, 0, column), part_from(start, row, column), terms)


def outer(network: Any, job: Any, goal: Any, left: Any, right: Any, shape: Any, is_weight: Any) -> None:
    """The gradients sum_k left[i, k] right[k, j] of the weights, or biases, at [i, j] of `goal`, handed to `finish_tile` tile by tile."""
    rows, terms, columns = shape
    tile, zeros = Matrix(network.tile, 0, TILE * WIDTH, WIDTH), Matrix(network.zeros, 0, 0, 0)
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            if is_weight:
                product_tile(tile, part_from(left, row, 0), part_from(right, 0, column), zeros, terms)
            else:
                product_column(tile, part_from(left, row, 0), part_from(right, 0, column), zeros, terms)
            finish_tile(network, job, part_from(goal, row, column), (min(TILE, rows - row), min(TILE, columns - column)), is_weight)


def activate(network: Any, layer: Any, index: Any, count: Any) -> None:
    """A = phi(Z) of hidden layer number `index`, in the place of Z; phi'(Z) beside it where slopes need the sums."""
    for unit in range(layer.units):
        for sample in range(count):
            place = layer.result.offset + unit * layer.result.row_step + sample * WIDTH
            z = load(network.activations, place, WIDTH)
            a = activation(z, index)
            store(network.activations, place, a)
            if KEEPS_SLOPES:
                store(network.slopes, place, slope(z, a, index))


def apply_slope(network: Any, layer: Any, index: Any, units: Any, count: Any) -> None:
    """D *= phi'(Z) of units (from, to) of hidden layer number `index`, once what comes from the layers above is in."""
    first, behind = units
    for unit in range(first, behind):
        for sample in range(count):
            place = layer.result.offset + unit * layer.result.row_step + sample * WIDTH
            if KEEPS_SLOPES:
                rise = load(network.slopes, place, WIDTH)
            else:
                a = load(network.activations, place, WIDTH)
                rise = slope(a, a, index)
            store(network.deltas, place, load(network.deltas, place, WIDTH) * rise)


def forward(network: Any, weights: Any, count: Any) -> None:
    """From the samples in the first rows of the activations to the last layer's sums: Z = b 1' + W A, A = phi(Z)."""
    last = layer_count(network) - 1
    for index in range(last + 1):
        layer = layer_at(network, index)
        sums, inputs = matrix_at(network.activations, layer.result), matrix_at(network.activations, layer.source)
        W, b = matrix_at(weights, layer.weights), matrix_at(weights, layer.biases)
        product(sums, W, inputs, b, (layer.units, layer.inputs, count))
        if index < last:
            activate(network, layer, index, count)


def input_deltas(network: Any, weights: Any, index: Any, count: Any) -> None:
    """D = (W' D_above) * phi'(Z) of the layer below number `index`, four units at a time, which are still in the nearest cache."""
    layer, below = layer_at(network, index), layer_at(network, index - 1)
    goal, deltas = matrix_at(network.deltas, layer.source), matrix_at(network.deltas, layer.result)
    W, zeros = matrix_at(weights, layer.weights), Matrix(network.zeros, 0, 0, 0)
    for unit in range(0, layer.inputs, TILE):
        product(part_from(goal, unit, 0), part_from(transposed(W), unit, 0), deltas, zeros, (TILE, layer.units, count))
        apply_slope(network, below, index - 1, (unit, min(unit + TILE, layer.inputs)), count)


def weight_gradients(network: Any, job: Any, layer: Any) -> None:
    """dW = D A' and db = D 1 of a layer, handed to `finish_tile` tile by tile."""
    deltas, inputs = matrix_at(network.deltas, layer.result), matrix_at(network.activations, layer.source)
    outer(network, job, matrix_at(network.gradients, layer.weights), deltas, transposed(inputs), (layer.units, job.count, layer.inputs), True)
    if BIASES:
        outer(network, job, matrix_at(network.gradients, layer.biases), deltas, Matrix(network.ones, 0, 0, 0), (layer.units, job.count, 1), False)


def backward(network: Any, weights: Any, job: Any) -> None:
    """From the outputs' deltas to every gradient, from the last layer to the first; deltas are handed down before weights move."""
    for index in range(layer_count(network) - 1, -1, -1):
        layer = layer_at(network, index)
        if index > 0:
            input_deltas(network, weights, index, job.count)
        weight_gradients(network, job, layer)
