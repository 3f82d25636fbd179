"""Sums of products on the host, in one order on every processor."""

import functools
from typing import Any

import numpy as np

from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.operations import splat
from gdsim.lanes.parts import restore_float_mode, set_float_mode
from gdsim.lanes.tiles import add_rows, broadcast_row, load_row, outer_fma, repeat, store_row
from gdsim.lanes.types import Memory

WIDTH = 8
ROWS = 8  # of a tile, which is one pack wide
BLOCK = 64


def _multiply(left: Memory, right: Memory, out: Memory, sizes: tuple[int, int, int]) -> None:
    """Adds to out[i, j] from left[sample, i] and right[sample, j], flat.

    `sizes` is (samples, i, j), the last two of whole tiles.
    """
    mode = set_float_mode()
    count, rows, columns = sizes
    for first in range(0, count, BLOCK):
        for row in range(0, rows, ROWS):
            for column in range(0, columns, WIDTH):
                part = repeat(splat(0.0, WIDTH), ROWS)
                for sample in range(first, min(first + BLOCK, count)):
                    part = outer_fma(
                        part, broadcast_row(left, sample * rows + row, 1, ROWS, WIDTH), load_row(right, sample * columns + column, WIDTH, 1, WIDTH)
                    )
                place = row * columns + column
                store_row(out, place, columns, add_rows(load_row(out, place, columns, ROWS, WIDTH), part))
    restore_float_mode(mode)


@functools.cache
def _kernel() -> Any:
    from numba import types

    array = types.Array(types.float64, 1, "C")
    return bind(_multiply, float_mode_parts(), types.void(array, array, array, types.UniTuple(types.int64, 3)))


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[i, j] of left[sample, i] and right[sample, j]: the sums over samples of their products, float64, block
    by block.
    """
    a, b = _whole(left, ROWS), _whole(right, WIDTH)
    out = np.zeros((a.shape[1], b.shape[1]))
    _kernel()(a.ravel(), b.ravel(), out.ravel(), (len(a), *out.shape))
    return out[: left.shape[1], : right.shape[1]]


def _whole(matrix: np.ndarray, step: int) -> np.ndarray:
    """The matrix with as many columns of zeros as make a multiple of `step`."""
    padded = np.zeros((len(matrix), -(-matrix.shape[1] // step) * step))
    padded[:, : matrix.shape[1]] = matrix
    return padded
