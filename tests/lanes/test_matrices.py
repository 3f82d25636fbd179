"""Products of matrices of packs and of one run in all lanes, wherever the matrices lie: those of NumPy, of
whole numbers, which float32 holds exactly.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import types

from gdsim.kernels.engines import lane_parts, single_run_lanes, single_run_products
from gdsim.kernels.engines.layout import counting
from gdsim.kernels.engines.passes import TILE, product
from gdsim.kernels.parts import BROADCASTS, COLUMNS as TILE_COLUMNS, ROWS as TILE_ROWS
from gdsim.kernels.product_tiles import block_tile, plain_tile, tile_of, tiles_of
from gdsim.kernels.workspace import Matrix
from gdsim.lanes.compiler import bind
from gdsim.lanes.machine import vector_bytes
from gdsim.lanes.memory import readers_of, table_of
from gdsim.lanes.numbers import zeros
from gdsim.lanes.operations import splat
from gdsim.lanes.parts import WIDTH, part
from gdsim.lanes.tiles import broadcast_row, load_row, load_tile, outer_fma, repeat, store_tile

ROWS, TERMS, COLUMNS, PITCH = 5, 7, 19, 48
ONE = np.float32(1)
job_room, job_goal, job_left, job_right, job_start, job_shape = (part(f"job_{n}") for n in ("room", "goal", "left", "right", "start", "shape"))


class Room(NamedTuple):
    """What `product` needs of a thread's working memory."""

    row_major: Any
    lane_index: Any


class Job(NamedTuple):
    """One product."""

    room: Room
    goal: Matrix
    left: Matrix
    right: Matrix
    start: Matrix
    shape: tuple[int, int, int]


def multiply(table):
    product(job_room(table), job_goal(table), job_left(table), job_right(table), job_start(table), job_shape(table))
    return 0


def first_factors(exchanged, terms, left, right, start, goal):
    """A tile that adds the first factors of its terms, and not the products."""
    steps = (WIDTH, WIDTH, WIDTH) if BROADCASTS else (start.column_step, right.column_step, goal.column_step)
    tile = load_tile(start.array, start.offset, start.row_step, steps[0], TILE_ROWS, TILE_COLUMNS, WIDTH)
    one = splat(ONE, WIDTH)
    for k in range(terms):
        a, b = left.offset + k * left.column_step, right.offset + k * right.row_step
        rows = broadcast_row(left.array, a, left.row_step, TILE_ROWS, WIDTH) if BROADCASTS else load_row(left.array, a, left.row_step, TILE_ROWS, WIDTH)
        columns = load_row(right.array, b, steps[1], TILE_COLUMNS, WIDTH)
        tile = outer_fma(tile, repeat(one, TILE_ROWS) if exchanged else rows, columns if exchanged else repeat(one, TILE_COLUMNS))
    store_tile(goal.array, goal.offset, goal.row_step, steps[2], TILE_COLUMNS, tile)


def engine(name, tile):
    """(parts, numbers side by side that one place of a matrix holds)."""
    if name == "a pack":
        return {**lane_parts(4), "product_tile": tile_of((TILE, TILE), 4, False, tile), "product_column": tile_of((TILE, 1), 4, False, tile)}, 4
    products = single_run_products
    lanes, height, low, widest = single_run_lanes(np.dtype("float32")), products.TILE_HEIGHTS[vector_bytes()], 2, products.WIDEST
    if name == "one run, read in blocks":
        height, low, widest, tile = products.WARP_HEIGHT, 1, 1, block_tile
    tiles = tiles_of(products.tile_shapes(height, low, widest), lanes, tile)
    return {**lane_parts(lanes), "product": products.product, "any_tile": tiles, "TILE_HEIGHT": height, "LOW_HEIGHT": low, "TILE_WIDTH": widest}, 1


def laid_out(values, is_transposed, inner):
    """A matrix of values[row, column, inner], its columns or, transposed, its rows side by side."""
    memory = zeros(PITCH * PITCH * inner, "float32")
    view = memory.reshape(PITCH, PITCH, inner)
    rows, columns = values.shape[:2]
    if is_transposed:
        view[:columns, :rows] = values.swapaxes(0, 1)
        return Matrix(memory, 0, inner, PITCH * inner)
    view[:rows, :columns] = values
    return Matrix(memory, 0, PITCH * inner, inner)


def read(matrix, inner):
    """values[row, column, inner] of a goal."""
    view = matrix.array.reshape(PITCH, PITCH, inner)
    return (view if matrix.row_step > matrix.column_step else view.swapaxes(0, 1))[:ROWS, :COLUMNS]


@pytest.mark.parametrize(
    ("name", "tile"),
    [
        ("a pack", plain_tile), ("one run", plain_tile), ("one run, read in blocks", plain_tile),
        pytest.param("a pack", first_factors, marks=pytest.mark.full), pytest.param("one run", first_factors, marks=pytest.mark.full),
    ],
)  # fmt: skip
def test_a_product_is_that_of_numpy_wherever_its_matrices_lie_and_says_which_factor_is_the_first(name, tile):
    parts, inner = engine(name, tile)
    rng = np.random.default_rng(8)
    left, right, old = (rng.integers(-9, 10, (*shape, inner)).astype("float32") for shape in ((ROWS, TERMS), (TERMS, COLUMNS), (ROWS, COLUMNS)))
    room = Room(zeros(PITCH * PITCH * inner, "float32"), counting(64))
    whole = np.einsum("ikl,kjl->ijl", left, right if tile is plain_tile else np.ones_like(right))
    kernel = None
    for goal_transposed, left_transposed, right_transposed in itertools.product([False, True], repeat=3):
        for start in ("zeros", "column", "row", "goal"):
            goal = laid_out(old, goal_transposed, inner)
            column, row = laid_out(old[:, :1], False, inner), laid_out(old[:1], False, inner)
            begun, expected = {
                "zeros": (Matrix(zeros(64, "float32"), 0, 0, 0), whole),
                "column": (column._replace(column_step=0), whole + old[:, :1]),
                "row": (row._replace(row_step=0), whole + old[:1]),
                "goal": (goal, whole + old),
            }[start]
            if start == "column" and name != "a pack":  # numbers of a vector of biases are neighbours, as kernels keep them
                begun = laid_out(old[:, :1], True, inner)._replace(column_step=0)
            job = Job(room, goal, laid_out(left, left_transposed, inner), laid_out(right, right_transposed, inner), begun, (ROWS, TERMS, COLUMNS))
            kernel = kernel or bind(multiply, {**parts, **readers_of(job)}, types.int64(types.int64))
            kernel(table_of(job).ctypes.data)
            assert (read(goal, inner) == expected).all(), (goal_transposed, left_transposed, right_transposed, start)
