"""Tiles of products of matrices, C = S + L R, of which every product of a network is made: the sums of a tile
stay in registers while its terms come in order.

The parts `product_tile`, `product_column` and `any_tile` are made of one tile, in whose place another, for
another kind of numbers, can be bound.
"""

import functools
from typing import Any

from gdsim.kernels.parts import BROADCASTS, COLUMNS, ROWS, TANGENTS, THREE_ROWS, TWO_ROWS
from gdsim.kernels.workspace import Matrix, plane_of
from gdsim.lanes.compiler import ScopedPart, noinline
from gdsim.lanes.generated import function_from
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.tiles import broadcast_block, broadcast_row, load_row, load_tile, outer_fma, part_of_row, store_tile


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


def block_tile(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """`plain_tile` of rows that are broadcast, which are read four numbers at a time: of a row four terms, or of a term
    four rows, whichever are neighbours. The terms come in the same order.
    """
    tile = load_tile(start.array, start.offset, start.row_step, WIDTH, ROWS, COLUMNS, WIDTH)
    a, b, done = left.offset, right.offset, 0
    if left.column_step == 1:
        while done + 4 <= terms:
            block = broadcast_block(left.array, a, left.row_step, ROWS, 4, WIDTH)
            tile = outer_fma(tile, part_of_row(block, 0, ROWS), load_row(right.array, b, WIDTH, COLUMNS, WIDTH))
            tile = outer_fma(tile, part_of_row(block, ROWS, ROWS), load_row(right.array, b + right.row_step, WIDTH, COLUMNS, WIDTH))
            tile = outer_fma(tile, part_of_row(block, TWO_ROWS, ROWS), load_row(right.array, b + 2 * right.row_step, WIDTH, COLUMNS, WIDTH))
            tile = outer_fma(tile, part_of_row(block, THREE_ROWS, ROWS), load_row(right.array, b + 3 * right.row_step, WIDTH, COLUMNS, WIDTH))
            a += 4
            b += 4 * right.row_step
            done += 4
    elif ROWS % 4 == 0 and left.row_step == 1:
        while done < terms:
            tile = outer_fma(tile, broadcast_block(left.array, a, 0, 1, ROWS, WIDTH), load_row(right.array, b, WIDTH, COLUMNS, WIDTH))
            a += left.column_step
            b += right.row_step
            done += 1
    while done < terms:
        tile = outer_fma(tile, broadcast_row(left.array, a, left.row_step, ROWS, WIDTH), load_row(right.array, b, WIDTH, COLUMNS, WIDTH))
        a += left.column_step
        b += right.row_step
        done += 1
    store_tile(goal.array, goal.offset, goal.row_step, WIDTH, COLUMNS, tile)


def still_tile(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """`plain_tile` of numbers with tangents, but for those of `right`, which are 0: the sums of values, then
    those of each tangent, C' = S' + L' R.

    A tile of values beside one of tangents would not stay in registers.
    """
    still = plane_of(right, 0)
    for plane in range(1 + TANGENTS):
        plain_tile(exchanged, terms, plane_of(left, plane), still, plane_of(start, plane), plane_of(goal, plane))


def moving_tile(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """`plain_tile` of numbers with tangents: the sums of values, C = S + L R, then those of each tangent,
    C' = S' + L R' + L' R, of which each term has the part of R' first.

    Factors are never `exchanged` where elements are lanes.
    """
    plain_tile(exchanged, terms, plane_of(left, 0), plane_of(right, 0), plane_of(start, 0), plane_of(goal, 0))
    for plane in range(1, 1 + TANGENTS):
        tangent_tile(
            terms, (plane_of(left, 0), plane_of(left, plane)), (plane_of(right, 0), plane_of(right, plane)), plane_of(start, plane), plane_of(goal, plane)
        )


def tangent_tile(terms: int, left: tuple[Matrix, Matrix], right: tuple[Matrix, Matrix], start: Matrix, goal: Matrix) -> None:
    """One tangent of `moving_tile`, of (values, tangents) on the left and on the right."""
    tile = load_tile(start.array, start.offset, start.row_step, start.column_step, ROWS, COLUMNS, WIDTH)
    a, b = left[0].offset, right[0].offset
    for _ in range(terms):
        rows, columns = load_row(left[0].array, a, left[0].row_step, ROWS, WIDTH), load_row(right[1].array, b, right[0].column_step, COLUMNS, WIDTH)
        tile = outer_fma(tile, rows, columns)
        rows, columns = load_row(left[1].array, a, left[0].row_step, ROWS, WIDTH), load_row(right[0].array, b, right[0].column_step, COLUMNS, WIDTH)
        tile = outer_fma(tile, rows, columns)
        a += left[0].column_step
        b += right[0].row_step
    store_tile(goal.array, goal.offset, goal.row_step, goal.column_step, COLUMNS, tile)


@functools.cache
def tile_of(shape: tuple[int, int], lanes: int, broadcasts: bool, tile: Any = plain_tile, tangents: int = 0) -> ScopedPart:
    """A tile of one shape, (rows, columns in lanes), with so many lanes, of numbers with so many tangents."""
    rows, columns = shape
    own = (("WIDTH", lanes), ("ROWS", rows), ("COLUMNS", columns), ("BROADCASTS", broadcasts), ("TWO_ROWS", 2 * rows), ("THREE_ROWS", 3 * rows))
    return ScopedPart(tile, (*own, ("TANGENTS", tangents)) if tangents else own)


@functools.cache
def tiles_of(shapes: tuple[tuple[int, int], ...], lanes: int, tile: Any = plain_tile) -> ScopedPart:
    """`parts.any_tile`: the tile of a shape that is one of these, whose rows are numbers that are broadcast."""
    arguments = "exchanged, terms, left, right, start, goal"
    cases = [f"rows == {r} and columns == {c}:\n        tile_{r}x{c}({arguments})" for r, c in shapes]
    text = f"def any_tile(shape, {arguments}):\n    rows, columns = shape\n    if " + "\n    elif ".join(cases)
    tiles = tuple((f"tile_{r}x{c}", tile_of((r, c), lanes, True, tile)) for r, c in shapes)
    return ScopedPart(noinline(function_from(text, "any_tile", {})), tiles)
