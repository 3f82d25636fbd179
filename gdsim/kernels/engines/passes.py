"""A multilayer perceptron: forward, back to the deltas, and each weight's gradient handed on as soon as it is
final.

Of layer l, with biases b[unit], a block of `count` samples has sums Z[unit, sample], activations A and deltas
D = d loss / d Z; A_0[feature, sample] are the samples, Z_L the outputs. An edge (k, l) leads from the samples
or a layer k to a later layer l, with weights W_kl[unit, input]:

    forward:   Z_l = b_l 1' + sum_k W_kl A_k            A_l = phi_l(Z_l)
    backward:  D_k = (sum_l W_kl' D_l) * phi'_k(Z_k)    dW_kl = D_l A_k'    db_l = D_l 1

Both run through a table of edges in the order of their targets, which says what each begins and completes:
sums go on where the edges before have left them, and the slope comes when all deltas are in. A layer of a chain
may add the activations of the layer before, A_l = phi_l(Z_l) + A_{l-1}, and D_{l-1} then begins with what D_l is
before its slope. In a plain multilayer perceptron one edge leads into each layer, one out of it, and none adds
(`JOINS` is False). `layout` makes the table of a problem's `wiring`; `written_out` refuses what is no chain.

`forward`, `all_deltas` and `all_gradients` serve the runs of a pack, one in each lane, and one run in all lanes: these differ in
where their matrices lie (`edge_at`, `cells_of`) and in how products of matrices are made (`product`,
`outer`, `bias_gradients`). Here are those of a pack; those of one run are in `single_run_products`.
Activations take the place of their sums; slopes and deltas lie beside them, at the same offsets. A sum over
samples runs through a block of `BLOCK` in order, and the sums of blocks are added in order: tiles decide
which sums are made together, never the order of any one.

In a pack, activations lie as [unit][sample][lane], so that the loop over a batch is contiguous, and rows of
weights as [unit][inputs, then the bias][lane]. Rows have an odd number of lanes, so that they never fall a
power of two apart; units, inputs and samples are padded to whole tiles, and nothing that the padding holds is
ever used. Tiles of 4 x 4 lanes accumulate in registers.
"""

from gdsim.kernels.attendants import meet
from gdsim.kernels.parts import BAND, JOINS, finish_tile, product_column, product_tile
from gdsim.kernels.workspace import (
    ADDS,
    BEGINS_DELTAS,
    BEGINS_SUMS,
    ENDS_DELTAS,
    ENDS_SUMS,
    AnyNetwork,
    Cells,
    Edge,
    GradientTask,
    Matrix,
    Place,
    matrix_at,
    part_from,
    transposed,
)
from gdsim.lanes.operations import load, store
from gdsim.lanes.parts import WIDTH, default_part
from gdsim.lanes.types import Memory
from gdsim.problems.parts import BIASES, KEEPS_SLOPES, activation, slope

BLOCK = 64
TILE = 4
EDGE_COLUMNS = 9


@default_part
def edge_at(network: AnyNetwork, index: int) -> Edge:
    """An edge by its number."""
    t, i = network.edges, index * EDGE_COLUMNS
    weights, pitch, line = t[i + 2] * WIDTH, t[i + 3] * WIDTH, network.pitch * WIDTH
    rows, biases = Place(weights, pitch, WIDTH), Place(weights + pitch - WIDTH, pitch, 0)
    source, result = Place(t[i + 4] * WIDTH, line, WIDTH), Place(t[i + 5] * WIDTH, line, WIDTH)
    return Edge(t[i], t[i + 1], rows, biases, source, result, t[i + 6], t[i + 7], t[i + 8])


@default_part
def edge_count(network: AnyNetwork) -> int:
    """How many edges there are."""
    return len(network.edges) // EDGE_COLUMNS


def row_length(edge: Edge) -> int:
    """How many parameters a unit has on an edge: its weights, and its bias on the first into its layer."""
    return edge.inputs + (BIASES and (not JOINS or edge.links & BEGINS_SUMS != 0))


def place_in(edge: Edge, unit: int, column: int) -> tuple[int, bool]:
    """(the place, in lanes, of one of a unit's weights, or of its bias behind them; whether it is a weight)."""
    is_weight, W, b = column < edge.inputs, edge.weights, edge.biases
    there = W.offset + unit * W.row_step + column * W.column_step if is_weight else b.offset + unit * b.row_step
    return there // WIDTH, is_weight


def in_tiles(columns: int) -> int:
    """How many of a product's columns are made in tiles of TILE: a remainder of 2 or 3 is padded, one of 1 is
    cheaper by itself.
    """
    return columns - (1 if columns % TILE == 1 else 0)


@default_part
def product(network: AnyNetwork, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], in the order of k.

    `shape` is how many (i, k, j).
    """
    rows, terms, columns = shape
    for row in range(0, rows, TILE):
        above = part_from(left, row, 0)
        for column in range(0, in_tiles(columns), TILE):
            product_tile(False, terms, above, part_from(right, 0, column), part_from(start, row, column), part_from(goal, row, column))
        for column in range(in_tiles(columns), columns):
            product_column(False, terms, above, part_from(right, 0, column), part_from(start, row, column), part_from(goal, row, column))


def tile_of_gradients(network: AnyNetwork, left: Matrix, right: Matrix, terms: int, is_weight: bool) -> None:
    """Leaves the tile sum_k left[i, k] right[k, j] in `network.tile`, of biases its first column."""
    tile, zeros = Matrix(network.tile, 0, TILE * WIDTH, WIDTH), Matrix(network.zeros, 0, 0, 0)
    if is_weight:
        product_tile(False, terms, left, right, zeros, tile)
    else:
        product_column(False, terms, left, right, zeros, tile)


@default_part
def outer(network: AnyNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """The gradients sum_k left[i, k] right[k, j] of the weights, or biases, at [i, j] of `goal`, handed to
    `finish_tile` tile by tile.
    """
    rows, terms, columns = shape
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            tile_of_gradients(network, part_from(left, row, 0), part_from(right, 0, column), terms, is_weight)
            size = min(TILE, rows - row), min(TILE, columns - column)
            finish_tile(network, task, part_from(goal, row, column), size, size[1] * WIDTH, is_weight)


@default_part
def cells_of(place: Place, units: tuple[int, int], count: int) -> Cells:
    """The results of units (from, to) of a layer at its place: a row for each unit, a lane for each sample."""
    first, behind = units
    return Cells(place.offset + first * place.row_step, place.row_step, behind - first, count)


def activate(network: AnyNetwork, cells: Cells, index: int) -> None:
    """A = phi(Z) of hidden layer number `index`, in the place of Z, once all edges into it are in.

    Where slopes need the sums, phi'(Z) is left beside it.
    """
    for row in range(cells.rows):
        for column in range(cells.columns):
            place = cells.offset + row * cells.step + column * WIDTH
            z = load(network.activations, place, WIDTH)
            a = activation(z, index)
            store(network.activations, place, a)
            if KEEPS_SLOPES:
                store(network.slopes, place, slope(z, a, index))


def apply_slope(network: AnyNetwork, cells: Cells, index: int) -> None:
    """D *= phi'(Z) of hidden layer number `index`, once what comes from the layers above is in."""
    for row in range(cells.rows):
        for column in range(cells.columns):
            place = cells.offset + row * cells.step + column * WIDTH
            if KEEPS_SLOPES:
                rise = load(network.slopes, place, WIDTH)
            else:
                a = load(network.activations, place, WIDTH)
                rise = slope(a, a, index)
            store(network.deltas, place, load(network.deltas, place, WIDTH) * rise)


def complete(network: AnyNetwork, edge: Edge, count: int) -> None:
    """From the sums of an edge's layer, once they are all in, to its activations."""
    activate(network, cells_of(edge.result, (0, edge.units), count), edge.layer)
    if JOINS and edge.links & ADDS:
        add_activations(network, edge, count)


def add_activations(network: AnyNetwork, edge: Edge, count: int) -> None:
    """A += A_before, of an edge between layers that are equally wide."""
    goal, source = cells_of(edge.result, (0, edge.units), count), cells_of(edge.source, (0, edge.units), count)
    for row in range(goal.rows):
        for column in range(goal.columns):
            there, here = goal.offset + row * goal.step + column * WIDTH, source.offset + row * source.step + column * WIDTH
            store(network.activations, there, load(network.activations, there, WIDTH) + load(network.activations, here, WIDTH))


def hand_down(network: AnyNetwork, edge: Edge, units: tuple[int, int], count: int) -> None:
    """D_before = d loss / dA, of units of the layer of an edge that adds, before D has its slope."""
    goal, source = cells_of(edge.source, units, count), cells_of(edge.result, units, count)
    for row in range(goal.rows):
        for column in range(goal.columns):
            delta = load(network.deltas, source.offset + row * source.step + column * WIDTH, WIDTH)
            store(network.deltas, goal.offset + row * goal.step + column * WIDTH, delta)


def inputs_of(network: AnyNetwork, edge: Edge, samples: Matrix) -> Matrix:
    """A[input, sample] of an edge: the samples, or the activations of the layer before."""
    return samples if edge.below < 0 else matrix_at(network.activations, edge.source)


def forward_over(network: AnyNetwork, weights: Memory, samples: Matrix, count: int, index: int) -> None:
    """What an edge adds to its layer's sums; with the last edge into the layer, its activations."""
    edge = edge_at(network, index)
    sums, W, b = matrix_at(network.activations, edge.result), matrix_at(weights, edge.weights), matrix_at(weights, edge.biases)
    start = sums if JOINS and not edge.links & BEGINS_SUMS else b
    product(network, sums, W, inputs_of(network, edge, samples), start, (edge.units, edge.inputs, count))
    if edge.links & ENDS_SUMS:
        complete(network, edge, count)
    meet()


@default_part
def forward(network: AnyNetwork, weights: Memory, samples: Matrix, count: int) -> None:
    """From samples[feature, sample] to the last layer's sums: Z = b 1' + the sum of W A over the edges into a
    layer, A = phi(Z).
    """
    for index in range(edge_count(network)):
        forward_over(network, weights, samples, count, index)


def input_deltas(network: AnyNetwork, weights: Memory, edge: Edge, count: int) -> None:
    """D_before += W' D, and D_before *= phi'(Z_before) with the last edge out of the layer before.

    BAND units are made at a time, so that they are still in the nearest cache.
    """
    goal, deltas = matrix_at(network.deltas, edge.source), matrix_at(network.deltas, edge.result)
    W, zeros = transposed(matrix_at(weights, edge.weights)), Matrix(network.zeros, 0, 0, 0)
    for unit in range(0, edge.inputs, BAND):
        behind = min(unit + BAND, edge.inputs)
        band = part_from(goal, unit, 0)
        start = band if JOINS and not edge.links & BEGINS_DELTAS else zeros
        product(network, band, part_from(W, unit, 0), deltas, start, (behind - unit, edge.units, count))
        if not JOINS or edge.links & ENDS_DELTAS:
            if JOINS and edge.below > 0:
                before = edge_at(network, edge.below)  # in a chain: the edge into the layer before
                if before.links & ADDS:
                    hand_down(network, before, (unit, behind), count)
            apply_slope(network, cells_of(edge.source, (unit, behind), count), edge.below)


@default_part
def bias_gradients(network: AnyNetwork, task: GradientTask, edge: Edge) -> None:
    """The gradients of the biases of an edge's layer, db = D 1, handed to `finish_tile`."""
    goal, deltas = matrix_at(network.gradients, edge.biases), matrix_at(network.deltas, edge.result)
    outer(network, task, goal, deltas, Matrix(network.ones, 0, 0, 0), (edge.units, task.sample_count, 1), False)


def deltas_over(network: AnyNetwork, weights: Memory, count: int, index: int) -> None:
    """What an edge hands down to the deltas of the layer before it, if there is one."""
    edge = edge_at(network, index)
    if edge.below >= 0:
        input_deltas(network, weights, edge, count)
        meet()


@default_part
def all_deltas(network: AnyNetwork, weights: Memory, count: int) -> None:
    """From the outputs' deltas to those of every layer, from the last edge to the first."""
    for index in range(edge_count(network) - 1, -1, -1):
        deltas_over(network, weights, count, index)


def gradients_over(network: AnyNetwork, task: GradientTask, samples: Matrix, index: int) -> None:
    """The gradients of an edge's weights, and with the first edge into its layer of its biases."""
    edge = edge_at(network, index)
    goal, deltas = matrix_at(network.gradients, edge.weights), matrix_at(network.deltas, edge.result)
    outer(network, task, goal, deltas, transposed(inputs_of(network, edge, samples)), (edge.units, task.sample_count, edge.inputs), True)
    if BIASES and (not JOINS or edge.links & BEGINS_SUMS):
        bias_gradients(network, task, edge)


@default_part
def all_gradients(network: AnyNetwork, task: GradientTask, samples: Matrix) -> None:
    """From the deltas to every gradient, dW = D A' and db = D 1, from the last edge to the first: they are handed
    to `finish_tile`.
    """
    for index in range(edge_count(network) - 1, -1, -1):
        gradients_over(network, task, samples, index)
