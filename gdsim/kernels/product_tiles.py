"""Tiles of products of matrices, C = S + L R, of which every product of a network is made: the sums of a tile
stay in registers while its terms come in order.

The parts `product_tile`, `product_column` and `any_tile` are made of one tile, in whose place another, for
another kind of numbers, can be bound.
"""

import functools
from typing import Any

from gdsim.kernels.parts import BROADCASTS, COLUMNS, ROWS
from gdsim.kernels.workspace import Matrix
from gdsim.lanes.compiler import ScopedPart, noinline
from gdsim.lanes.generated import function_from
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.tiles import broadcast_row, load_row, load_tile, outer_fma, store_tile


def plain_tile(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], of ROWS rows i and COLUMNS columns j.

    Elements are lanes; or rows i are numbers that are broadcast, and columns j as many lanes side by side.
    Whether the factors were `exchanged` makes no difference to plain numbers.
    """
    steps = (WIDTH, WIDTH, WIDTH) if BROADCASTS else (start.column_step, right.column_step, goal.column_step)
    tile = load_tile(start.array, start.offset, start.row_step, steps[0], ROWS, COLUMNS, WIDTH)
    a, b = left.offset, right.offset
    for _ in range(terms):
        rows = broadcast_row(left.array, a, left.row_step, ROWS, WIDTH) if BROADCASTS else load_row(left.array, a, left.row_step, ROWS, WIDTH)
        tile = outer_fma(tile, rows, load_row(right.array, b, steps[1], COLUMNS, WIDTH))
        a += left.column_step
        b += right.row_step
    store_tile(goal.array, goal.offset, goal.row_step, steps[2], COLUMNS, tile)


@functools.cache
def tile_of(shape: tuple[int, int], lanes: int, broadcasts: bool, tile: Any = plain_tile) -> ScopedPart:
    """A tile of one shape, (rows, columns in lanes), with so many lanes."""
    return ScopedPart(tile, (("WIDTH", lanes), ("ROWS", shape[0]), ("COLUMNS", shape[1]), ("BROADCASTS", broadcasts)))


@functools.cache
def tiles_of(shapes: tuple[tuple[int, int], ...], lanes: int, tile: Any = plain_tile) -> ScopedPart:
    """`parts.any_tile`: the tile of a shape that is one of these, whose rows are numbers that are broadcast."""
    arguments = "exchanged, terms, left, right, start, goal"
    cases = [f"rows == {r} and columns == {c}:\n        tile_{r}x{c}({arguments})" for r, c in shapes]
    text = f"def any_tile(shape, {arguments}):\n    rows, columns = shape\n    if " + "\n    elif ".join(cases)
    tiles = tuple((f"tile_{r}x{c}", tile_of((r, c), lanes, True, tile)) for r, c in shapes)
    return ScopedPart(noinline(function_from(text, "any_tile", {})), tiles)
