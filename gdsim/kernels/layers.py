"""What one run's products with its units or samples across the lanes are made of: the table of its layers, and tiles of every shape.

Names that are parts: `WIDTH` (lanes of the one run), `HEIGHT` (rows of most tiles), `ROWS` and `COLUMNS` of a tile, `GATHERED`, `product`.
"""

import functools
from typing import Any, NamedTuple

from gdsim.kernels.parts import COLUMNS, GATHERED, HEIGHT, ROWS, product
from gdsim.lanes.compiler import Closed, shared
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import load
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.tiles import gather_columns, load_row, load_tile, outer_fma, spread_row, store_tile

# Rows of a tile by the bytes of a register: their sums, two rows of lanes and a spread number fit the processor's registers.
HEIGHTS = {64: 8, 32: 6, 16: 6}
TALLEST, WIDEST = max(HEIGHTS.values()), 2  # of a tile, in numbers and in lanes
LAYER_COLUMNS = 9


class Operand(NamedTuple):
    """Numbers of one run of an array from `offset`: `step` from one term of a sum to the next, `stride` from one row of a tile to the next."""

    array: Any
    offset: Any
    step: Any
    stride: Any


class Layer(NamedTuple):
    """One row of the table of layers: sizes, and offsets and pitches in numbers."""

    inputs: Any
    units: Any
    weights: Any
    pitch: Any  # of the rows of weights
    unit_step: Any  # from a unit's weight to the next unit's
    input_step: Any  # from the weight of an input to that of the next
    biases: Any
    source: Any  # the inputs' activations, beside which lie their slopes and deltas
    lines: Any  # from one sample to the next


class Alone(NamedTuple):
    """One thread's working memory and the table of layers."""

    layers: Any  # [layer * LAYER_COLUMNS + column of `Layer`]
    activations: Any
    slopes: Any  # beside the activations, where they are kept
    deltas: Any  # likewise
    turned: Any  # inputs of the last layer as [input][sample], or weights of a hidden one as [unit][input]
    gradients: Any  # beside the weights
    tile: Any  # gradients on their way to the update
    zeros: Any  # where a tile's sums begin
    ones: Any  # what a bias is multiplied by
    losses: Any  # of as many samples as there are lanes
    largest: Any  # bits of the largest magnitude of a weight, lane by lane
    numbers: Any  # uint32: 0, 1, 2, ...
    rows: Any  # uint32: the samples of a block, by their places in the table
    outputs: Any  # offset among the activations of the last layer's sums, [unit][sample]; their deltas lie alike
    targets: Any  # offset among the activations, [target][sample]
    pitch: Any  # of these two


def layer_at(network: Any, index: Any) -> Any:
    """A row of the table of layers."""
    t, i = network.layers, index * LAYER_COLUMNS
    return Layer(t[i], t[i + 1], t[i + 2], t[i + 3], t[i + 4], t[i + 5], t[i + 6], t[i + 7], t[i + 8])


def layer_count(network: Any) -> Any:
    """How many layers there are."""
    return len(network.layers) // LAYER_COLUMNS


def place_in(layer: Any, unit: Any, column: Any) -> Any:
    """(the place of one of a unit's weights, or of its bias behind them; whether it is a weight)."""
    is_weight = column < layer.inputs
    return layer.weights + unit * layer.unit_step + column * layer.input_step if is_weight else layer.biases + unit, is_weight


def vectors_of(numbers: Any) -> Any:
    """How many whole lanes hold so many numbers."""
    return (numbers + WIDTH - 1) // WIDTH


def rows_below(array: Any, offset: Any, pitch: Any) -> Any:
    """Rows whose numbers are the terms of sums."""
    return Operand(array, offset, 1, pitch)


def columns_of(array: Any, offset: Any, pitch: Any) -> Any:
    """Rows that are the terms of sums, whose numbers are their rows."""
    return Operand(array, offset, pitch, 1)


def shifted(operand: Any, by: Any) -> Any:
    """An operand that begins further on."""
    return Operand(operand.array, operand.offset + by, operand.step, operand.stride)


def product_tile(terms: Any, left: Any, right: Any, start: Any, goal: Any) -> None:
    """A tile of ROWS x COLUMNS: what lies at `start` and the sum over terms of left[term] x right[term], term by term."""
    tile = load_tile(start.array, start.offset, start.stride, WIDTH, ROWS, COLUMNS, WIDTH)
    a, b = left.offset, right.offset
    for _ in range(terms):
        rows = spread_row(left.array, a, left.stride, ROWS, WIDTH)
        columns = load_row(right.array, b, WIDTH, COLUMNS, WIDTH)
        tile = outer_fma(tile, rows, columns)
        a += left.step
        b += right.step
    store_tile(goal.array, goal.offset, goal.stride, WIDTH, COLUMNS, tile)


@functools.cache
def product_of(height: int, lanes: int) -> Closed:
    """`product(shape, ...)`: the tile of (rows, lanes side by side), one of the shapes that tiles of at most so many rows have."""
    shapes = [(rows, columns) for columns in range(WIDEST, 0, -1) for rows in (height, 4, 2, 1)]
    arguments = "terms, left, right, start, goal"
    cases = [f"rows == {r} and columns == {c}:\n        tile_{r}x{c}({arguments})" for r, c in shapes]
    text = f"def product(shape, {arguments}):\n    rows, columns = shape\n    if " + "\n    elif ".join(cases)
    tiles = tuple((f"tile_{r}x{c}", Closed(product_tile, (("WIDTH", lanes), ("ROWS", r), ("COLUMNS", c)))) for r, c in shapes)
    return Closed(shared(function_from(text, "product", {})), tiles)


def height_of(rows: Any) -> Any:
    """The height of the next tile where so many rows are left; 8 and 9 of them are two tiles of 4 rather than of 6 and 2."""
    if rows >= HEIGHT and not (HEIGHT == 6 and (rows == 8 or rows == 9)):
        return HEIGHT
    return 4 if rows >= 4 else 2 if rows >= 2 else 1


@shared
def products(shape: Any, terms: Any, left: Any, right: Any, start: Any, goal: Any) -> None:
    """All tiles of (rows, lanes side by side)."""
    rows, columns = shape
    for column in range(0, columns, WIDEST):
        right_here, start_here, goal_here = shifted(right, column * WIDTH), shifted(start, column * WIDTH), shifted(goal, column * WIDTH)
        row = 0
        while row < rows:
            tile = height_of(rows - row), min(WIDEST, columns - column)
            product(tile, terms, shifted(left, row * left.stride), right_here, shifted(start_here, row * start.stride), shifted(goal_here, row * goal.stride))
            row += tile[0]


@shared
def turn(network: Any, source: Any, sizes: Any, pitch: Any) -> None:
    """Leaves source[row][column] in `turned` as [column][row], its rows `pitch` apart."""
    rows, columns = sizes
    line = source.stride
    for row in range(0, rows, WIDTH):
        places = load(network.numbers, 0, WIDTH) + row
        for column in range(0, columns, GATHERED):
            gather_columns(source.array, line, places, source.offset + column, GATHERED, network.turned, (column * pitch + row, pitch))
