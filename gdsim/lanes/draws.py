"""Random numbers on the host, by the same lane functions that kernels use."""

import functools
import types
from typing import Any

import numpy as np

from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.operations import load, splat, store
from gdsim.lanes.parts import pair, restore_float_mode, set_float_mode
from gdsim.lanes.philox import broadcast_key, normal_pair, philox, random_words, uniform_pair, unit_interval
from gdsim.lanes.types import Function, Lanes, Memory

WIDTH = 8
# A process's first so many uniform numbers are drawn by NumPy, in 0.05 s in all: the kernel takes 0.5 s to compile.
MOST_WITHOUT_KERNEL = 2**20


def _fill(starts: Memory, seed: Lanes, purpose: Lanes, out: Memory) -> None:
    """out[element, start] for pairs of elements; out has one row more where their number is odd."""
    mode = set_float_mode()
    count, elements = len(starts), len(out) // len(starts)
    for first in range(0, count, WIDTH):
        start = load(starts, first, WIDTH)
        like = splat(0.0, WIDTH)
        for element in range(0, elements, 2):
            a, b = pair(random_words(start, purpose[0], purpose[1], element // 2, seed), like)
            store(out, element * count + first, a)
            store(out, (element + 1) * count + first, b)
    restore_float_mode(mode)


def seed_words(seed: int) -> tuple[Any, Any]:
    """The two halves of a 64-bit seed."""
    return np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)


@functools.cache
def _kernel(draw_pair: Function) -> Any:
    from numba import types

    word_pair = types.UniTuple(types.uint32, 2)
    signature = types.void(types.uint32[::1], word_pair, word_pair, types.float64[::1])
    return bind(_fill, {"pair": draw_pair, **float_mode_parts()}, signature)


def _numbers(draw_pair: Function, seed: int, starts: np.ndarray, purpose: tuple[int, int], count: int) -> np.ndarray:
    kernel = _kernel(draw_pair)
    padded = np.zeros(-(-len(starts) // WIDTH) * WIDTH, np.uint32)
    padded[: len(starts)] = starts
    out = np.empty((count + count % 2, len(padded)))
    kernel(padded, seed_words(seed), (np.uint32(purpose[0]), np.uint32(purpose[1])), out.ravel())
    return np.ascontiguousarray(out[:count, : len(starts)].T)


def uniform_numbers(seed: int, starts: np.ndarray, purpose: tuple[int, int], count: int) -> np.ndarray:
    """[start, element] float64 in (0, 1), a pure function of (seed, start, purpose, element)."""
    _drawn[0] += len(starts) * count  # by threads that may lose each other's, as nothing depends on it but time
    if _drawn[0] > MOST_WITHOUT_KERNEL:
        return _numbers(uniform_pair, seed, starts, purpose, count)
    words, uniforms = _on_arrays()
    drawn = words(starts.astype(np.uint32)[:, None], *map(np.uint32, purpose), np.arange(-(-count // 2), dtype=np.uint32), seed_words(seed))
    pairs = uniforms(np.broadcast_arrays(*drawn), np.zeros(1))
    return np.ascontiguousarray(np.stack(pairs, 2).reshape(len(starts), count + count % 2)[:, :count])


_drawn = np.zeros(1, np.int64)


@functools.cache
def _on_arrays() -> tuple[Function, Function]:
    """`random_words` and `uniform_pair` on arrays of NumPy, whose numbers wrap and are rounded as those of
    lanes.
    """

    def with_parts(function: Function, **parts: Function) -> Function:
        return types.FunctionType(function.__code__, {**function.__globals__, **parts})

    key = with_parts(broadcast_key, broadcast=lambda number, like: np.full_like(like, number))
    bits = with_parts(philox, multiply_high=lambda a, b: (a.astype(np.uint64) * np.uint64(b) >> np.uint64(32)).astype(np.uint32), broadcast_key=key)
    interval = with_parts(unit_interval, as_type_of=lambda words, like: words.astype(like.dtype))
    return with_parts(random_words, philox=bits), with_parts(uniform_pair, unit_interval=interval)


def normal_numbers(seed: int, starts: np.ndarray, purpose: tuple[int, int], count: int) -> np.ndarray:
    """[start, element] standard normal float64, a pure function of (seed, start, purpose, element)."""
    return _numbers(normal_pair, seed, starts, purpose, count)
