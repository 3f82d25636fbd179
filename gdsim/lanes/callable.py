"""Lane functions that ordinary Python can call too: those that rules, schedules and problems are written
with.

In a kernel they act on lanes. Called on Python floats (float64) or NumPy scalars they run the compiled
function at lane width 1 and return the same bits, so that a rule can be read, stepped through and tested
without a kernel.
"""

import functools
from typing import Any

import numpy as np

from gdsim.lanes import elementary
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.operations import fma_lanes, load, store
from gdsim.lanes.parts import call, function, restore_float_mode, set_float_mode
from gdsim.lanes.types import Function, Lane, Memory


def _fma(a: Lane, b: Lane, c: Lane) -> Lane:
    """a * b + c, rounded once.

    >>> from gdsim import lanes
    >>> lanes.fma(2.0, 3.0, 1.0)
    7.0
    """
    return fma_lanes(a, b, c)


def _apply(arguments: Memory, result: Memory) -> None:
    mode = set_float_mode()
    store(result, 0, call(arguments))
    restore_float_mode(mode)


def _call_1(arguments: Memory) -> Lane:
    return function(load(arguments, 0, 1))


def _call_2(arguments: Memory) -> Lane:
    return function(load(arguments, 0, 1), load(arguments, 1, 1))


def _call_3(arguments: Memory) -> Lane:
    return function(load(arguments, 0, 1), load(arguments, 1, 1), load(arguments, 2, 1))


CALLS = {1: _call_1, 2: _call_2, 3: _call_3}


@functools.cache
def _scalar_kernel(body: Function, count: int, dtype: str) -> Any:
    from numba import types

    array = types.Array(getattr(types, dtype), 1, "C")
    parts = {"call": CALLS[count], "function": body, **float_mode_parts()}
    return bind(_apply, parts, types.void(array, array))


def lane_function(body: Function) -> Any:
    """Makes a body over lanes callable from Python; kernels find it as `lane_body`."""

    def on_numbers(*arguments: Any) -> Any:
        if len(arguments) != body.__code__.co_argcount:
            raise TypeError(f"{body.__name__.strip('_')} takes {body.__code__.co_argcount} numbers, {len(arguments)} were given")
        dtype = np.result_type(*arguments)
        if dtype not in (np.float32, np.float64):
            dtype = np.dtype(np.float64)
        result = np.empty(1, dtype)
        _scalar_kernel(body, len(arguments), dtype.name)(np.array(arguments, dtype), result)
        return result[0] if dtype == np.float32 or any(isinstance(a, np.generic) for a in arguments) else float(result[0])

    on_numbers.__name__ = on_numbers.__qualname__ = body.__name__.strip("_")
    on_numbers.__doc__, on_numbers.__module__ = body.__doc__, __name__
    vars(on_numbers)["lane_body"] = body
    return on_numbers


fma = lane_function(_fma)
exp = lane_function(elementary.exp)
log = lane_function(elementary.log)
tanh = lane_function(elementary.tanh)
sigmoid = lane_function(elementary.sigmoid)
softplus = lane_function(elementary.softplus)
sin = lane_function(elementary.sin)
cos = lane_function(elementary.cos)
atan2 = lane_function(elementary.atan2)
acos = lane_function(elementary.acos)
erf = lane_function(elementary.erf)
pow = lane_function(elementary.pow)
