"""A lane function applied to many points on the host: [point, input] to [point, output]."""

import functools
from typing import Any

import numpy as np

from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.parts import INPUT_COUNT, function, restore_float_mode, set_float_mode
from gdsim.lanes.tiles import load_row, store_row
from gdsim.lanes.types import Function, Memory

WIDTH = 8


def _map(inputs: Memory, outputs: Memory, count: int) -> None:
    """inputs[input, point] and outputs[output, point], flat; `count` points, a whole number of packs."""
    mode = set_float_mode()
    for first in range(0, count, WIDTH):
        store_row(outputs, first, count, function(load_row(inputs, first, count, INPUT_COUNT, WIDTH)))
    restore_float_mode(mode)


@functools.cache
def _kernel(function: Function, inputs: int, dtype: str) -> Any:
    from numba import types

    array = types.Array(getattr(types, dtype), 1, "C")
    return bind(_map, {"function": function, "INPUT_COUNT": inputs, **float_mode_parts()}, types.void(array, array, types.int64))


def mapped(function: Function, points: np.ndarray, outputs: int) -> np.ndarray:
    """[point, output] of a function from a tuple of lanes to a tuple of `outputs` lanes, at points[point,
    input].
    """
    count, inputs = points.shape
    whole = -(-count // WIDTH) * WIDTH
    padded = np.zeros((inputs, whole), points.dtype)
    padded[:, :count] = points.T
    found = np.empty((outputs, whole), points.dtype)
    _kernel(function, inputs, points.dtype.name)(padded.ravel(), found.ravel(), whole)
    return np.ascontiguousarray(found[:, :count].T)
