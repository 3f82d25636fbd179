"""Sums of products on the host, in one order on every processor."""

import functools
from typing import Any

import numpy as np

from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.elementary import two_sum
from gdsim.lanes.operations import fma_lanes, load, splat, store
from gdsim.lanes.parts import restore_float_mode, set_float_mode

WIDTH = 8
BLOCK = 64


def _multiply(left: Any, right: Any, out: Any, sizes: Any) -> None:
    """out[i, j] from left[i, sample] and right[sample, j], flat; `sizes` is (samples, columns of `right`, a whole number of packs)."""
    mode = set_float_mode()
    (count, columns), nothing = sizes, splat(0.0, WIDTH)
    for row in range(len(left) // count):
        for column in range(0, columns, WIDTH):
            total, error = nothing, nothing
            for first in range(0, count, BLOCK):
                part = nothing
                for sample in range(first, min(first + BLOCK, count)):
                    part = fma_lanes(left[row * count + sample], load(right, sample * columns + column, WIDTH), part)
                total, rest = two_sum(total, part)
                error = error + rest
            store(out, row * columns + column, total + error)
    restore_float_mode(mode)


@functools.cache
def _kernel() -> Any:
    from numba import types

    array = types.Array(types.float64, 1, "C")
    return bind(_multiply, float_mode_parts(), types.void(array, array, array, types.UniTuple(types.int64, 2)))


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[i, j] of left[sample, i] and right[sample, j]: the sums over samples of their products, float64, in blocks with compensation."""
    count, columns = right.shape
    pitch = -(-columns // WIDTH) * WIDTH
    padded = np.zeros((count, pitch))
    padded[:, :columns] = right
    out = np.empty((left.shape[1], pitch))
    _kernel()(np.ascontiguousarray(left.T).ravel(), padded.ravel(), out.ravel(), (count, pitch))
    return out[:, :columns]
