"""What one run's products with its units or samples across the lanes are made of: the table of its edges,
and tiles of every shape.

A tile is rows of single numbers, each spread over the lanes, times rows of lanes: C = S + L R where the
columns of C and R are neighbours in memory. `product` and `outer` bring any matrices into that form: C' = S'
+ R' L' serves where C's rows are the neighbours, and a matrix R whose columns are not is copied so that they
are.
"""

from gdsim.kernels.attendants import meet
from gdsim.kernels.parts import GATHER_WIDTH, LOW_HEIGHT, TILE_HEIGHT, TILE_WIDTH, any_tile, finish_tile
from gdsim.kernels.workspace import Cells, Edge, GradientTask, Matrix, Place, SingleRunNetwork, matrix_at, part_from, transposed
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.tiles import add_rows, gather_columns, load_row, repeat, store_row
from gdsim.lanes.types import Memory

# Rows of a tile by the bytes of a register: their sums, two rows of lanes and a spread number fit the
# processor's registers.
TILE_HEIGHTS = {64: 8, 32: 6, 16: 6}
WARP_HEIGHT = 16  # where each thread of a warp has its own registers
TALLEST, WIDEST = max(*TILE_HEIGHTS.values(), WARP_HEIGHT), 2  # of a tile, in numbers and in lanes
EDGE_COLUMNS = 14
WHOLE_LAYER = 2**30  # units of a band: a layer's deltas are made in one go


def edge_at(network: SingleRunNetwork, index: int) -> Edge:
    """An edge by its number."""
    t, i = network.edges, index * EDGE_COLUMNS
    weights, biases = Place(t[i + 2], t[i + 3], t[i + 4]), Place(t[i + 5], 1, 0)
    source, result = Place(t[i + 6], 1, t[i + 7]), Place(t[i + 8], t[i + 9], t[i + 10])
    return Edge(t[i], t[i + 1], weights, biases, source, result, t[i + 11], t[i + 12], t[i + 13])


def edge_count(network: SingleRunNetwork) -> int:
    """How many edges there are."""
    return len(network.edges) // EDGE_COLUMNS


def cells_of(place: Place, units: tuple[int, int], count: int) -> Cells:
    """The results of all units of a hidden layer at its place: a row for each sample."""
    return Cells(place.offset, place.column_step, count, vectors_of(units[1]))


def vectors_of(numbers: int) -> int:
    """How many whole lanes hold so many numbers."""
    return (numbers + WIDTH - 1) // WIDTH


def tile_shapes(height: int, low: int = 2, widest: int = WIDEST) -> tuple[tuple[int, int], ...]:
    """The shapes, (rows, lanes side by side), that tiles of at most so many rows and lanes have: the rows of the
    low ones are `low`, or 1.
    """
    return tuple((rows, columns) for columns in range(widest, 0, -1) for rows in dict.fromkeys((height, 4, low, 1)))


def height_of(rows: int) -> int:
    """The height of the next tile where so many rows are left.

    8 and 9 of them are two tiles of 4 rather than of 6 and 2.
    """
    if rows >= TILE_HEIGHT and not (TILE_HEIGHT == 6 and (rows == 8 or rows == 9)):
        return TILE_HEIGHT
    return 4 if rows >= 4 else LOW_HEIGHT if rows >= LOW_HEIGHT else 1


@noinline
def row_major(room: tuple[Memory, Memory], source: Matrix, sizes: tuple[int, int]) -> Matrix:
    """A matrix (rows, columns) whose rows are neighbours in memory, copied in row-major order: its columns
    are neighbours then.

    `room` is (memory for it, 0, 1, 2, ...). From one row to the next are whole lanes, not a power of two of
    them where they are many.
    """
    (copy, lane_index), (rows, columns) = room, sizes
    vectors = vectors_of(columns)
    pitch = (vectors + (1 if vectors % 4 == 0 else 0)) * WIDTH
    for column in range(0, columns, WIDTH):
        places = load(lane_index, 0, WIDTH) + column
        for row in range(0, rows, GATHER_WIDTH):
            gather_columns(source.array, source.column_step, places, source.offset + row, GATHER_WIDTH, copy, (row * pitch + column, pitch))
    return Matrix(copy, 0, pitch, 1)


def broadcast_column(goal: Matrix, column: Matrix, shape: tuple[int, int]) -> None:
    """Fills the rows of a matrix (rows, numbers in a row) with the numbers of a column."""
    rows, numbers = shape
    for row in range(rows):
        value = splat(column.array[column.offset + row * column.row_step], WIDTH)
        for place in range(0, numbers, WIDTH):
            store(goal.array, goal.offset + row * goal.row_step + place, value)


@noinline
def in_tiles(exchanged: bool, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """goal = start + left right, whose columns are neighbours, tile by tile."""
    rows, terms, columns = shape
    vectors = vectors_of(columns)
    for vector in range(0, vectors, TILE_WIDTH):
        column = vector * WIDTH
        right_here, start_here, goal_here = part_from(right, 0, column), part_from(start, 0, column), part_from(goal, 0, column)
        row = 0
        while row < rows:
            tile = height_of(rows - row), min(TILE_WIDTH, vectors - vector)
            any_tile(tile, exchanged, terms, part_from(left, row, 0), right_here, part_from(start_here, row, 0), part_from(goal_here, row, 0))
            row += tile[0]


def product(network: SingleRunNetwork, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], in the order of k.

    `shape` is how many (i, k, j).
    """
    rows, terms, columns = shape
    exchanged = goal.column_step != 1
    if exchanged:
        goal, start, left, right = transposed(goal), transposed(start), transposed(right), transposed(left)
        rows, columns = columns, rows
    if right.column_step != 1:
        right = row_major((network.row_major, network.lane_index), right, (terms, columns))
    if start.row_step != 0 and start.column_step == 0:
        broadcast_column(goal, start, (rows, columns))
        start = goal
    in_tiles(exchanged, goal, left, right, start, (rows, terms, columns))


@noinline
def gradients_in_tiles(
    network: SingleRunNetwork, task: GradientTask, exchanged: bool, goal: Matrix, factors: tuple[Matrix, Matrix], shape: tuple[int, int, int], is_weight: bool
) -> None:
    """The gradients left right at `goal`, whose columns are neighbours, handed to `finish_tile` tile by tile."""
    (left, right), (rows, terms, columns) = factors, shape
    zeros, sums = Matrix(network.zeros, 0, 0, 0), Matrix(network.tile, 0, TILE_WIDTH * WIDTH, 1)
    vectors = vectors_of(columns)
    for vector in range(0, vectors, TILE_WIDTH):
        column = vector * WIDTH
        right_here = part_from(right, 0, column)
        row = 0
        while row < rows:
            tile = height_of(rows - row), min(TILE_WIDTH, vectors - vector)
            any_tile(tile, exchanged, terms, part_from(left, row, 0), right_here, zeros, sums)
            finish_tile(network, task, part_from(goal, row, column), tile, columns - column, is_weight)
            row += tile[0]


def outer(network: SingleRunNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """The gradients sum_k left[i, k] right[k, j] of the weights, or biases, at [i, j] of `goal`, handed to
    `finish_tile` tile by tile.
    """
    rows, terms, columns = shape
    exchanged = goal.column_step != 1
    if exchanged:
        goal, left, right = transposed(goal), transposed(right), transposed(left)
        rows, columns = columns, rows
    if right.column_step != 1:
        right = row_major((network.row_major, network.lane_index), right, (terms, columns))
    gradients_in_tiles(network, task, exchanged, goal, (left, right), (rows, terms, columns), is_weight)


def bias_gradients(network: SingleRunNetwork, task: GradientTask, edge: Edge) -> None:
    """The gradients of the biases of an edge's layer, handed to `finish_tile`: each the sum of its deltas, in
    order.

    Of the last layer the deltas of a unit are neighbours, and not those of a sample: few units are not worth
    a copy.
    """
    deltas, goal = matrix_at(network.deltas, edge.result), transposed(matrix_at(network.gradients, edge.biases))
    if deltas.row_step == 1:
        factors = Matrix(network.ones, 0, 0, 0), transposed(deltas)
        gradients_in_tiles(network, task, True, goal, factors, (1, task.sample_count, edge.units), False)
        return
    for unit in range(0, edge.units, 4):
        first = part_from(deltas, unit, 0)
        totals = repeat(splat(ZERO, 1), 4)
        for sample in range(task.sample_count):
            totals = add_rows(totals, load_row(first.array, first.offset + sample, first.row_step, 4, 1))
        store_row(network.losses, unit % WIDTH, 1, totals)
        if (unit + 4) % WIDTH == 0 or unit + 4 >= edge.units:
            begin = unit // WIDTH * WIDTH
            meet()
            store(network.tile, 0, load(network.losses, 0, WIDTH))
            finish_tile(network, task, part_from(goal, 0, begin), (1, 1), edge.units - begin, False)
            meet()
