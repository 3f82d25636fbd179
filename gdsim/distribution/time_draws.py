"""Compute times on the host, by the lane functions that kernels use."""

import functools
from typing import Any

import numpy as np

from gdsim.distribution.compute_times import ComputeTime, time_of_step
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.draws import WIDTH, seed_words
from gdsim.lanes.masks import greatest
from gdsim.lanes.operations import load, splat, store, where
from gdsim.lanes.parts import restore_float_mode, set_float_mode
from gdsim.lanes.types import Function, Lanes, Memory


def _sum_times(starts: Memory, begins: Memory, lengths: Memory, workers: Memory, seed: Lanes, shape: float, out: Memory) -> None:
    """out[row]: the time of workers[row]'s local steps from begins[row] on, as many as lengths[row], under a law
    of mean 1.
    """
    mode = set_float_mode()
    for first in range(0, len(starts), WIDTH):
        start, begin, length = load(starts, first, WIDTH), load(begins, first, WIDTH), load(lengths, first, WIDTH)
        worker = load(workers, first, WIDTH)
        none = splat(0.0, WIDTH)
        total = none
        for step in range(greatest(length)):
            total = total + where(length > step, time_of_step(start, worker, begin + step, seed, none + shape), none)
        store(out, first, total)
    restore_float_mode(mode)


@functools.cache
def _kernel(of_mean_one: Function) -> Any:
    from numba import types

    rows = types.uint32[::1]
    signature = types.void(rows, rows, rows, rows, types.UniTuple(types.uint32, 2), types.float64, types.float64[::1])
    return bind(_sum_times, {"time_of_mean_one": of_mean_one, **float_mode_parts()}, signature)


def summed_times(law: ComputeTime, seed: int, starts: np.ndarray, begins: np.ndarray, lengths: np.ndarray, worker: "int | np.ndarray") -> np.ndarray:
    """[row] seconds that a worker of speed 1, or that of each row, computes in `lengths` local steps from `begins` (from
    0) on, of each of some starts.
    """
    mean, shape = law.mean_and_shape
    rows = len(starts)
    padded = np.zeros((4, -(-rows // WIDTH) * WIDTH), np.uint32)
    padded[:, :rows] = starts, begins, lengths, np.broadcast_to(worker, rows)
    out = np.empty(padded.shape[1])
    _kernel(type(law).of_mean_one)(*padded, seed_words(seed), shape, out)
    return mean * out[:rows]
