"""When the updates of asynchronous runs are made: by the lane functions by which kernels order them."""

import functools
from typing import Any

import numpy as np

from gdsim.distribution import Asynchronous
from gdsim.kernels.teams.asynchronous import FIRST, VERSION
from gdsim.kernels.teams.queue import EACH, LEFT, Clock, begin_if_near, begin_next, first_done, place_of, stop_worker
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.draws import seed_words
from gdsim.lanes.operations import as_type_of, load, splat, store
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode
from gdsim.lanes.types import Count, Function, Lanes, Memory

LANES = 8


def _time_updates(starts: Memory, seed: Lanes, law: tuple[float, float], slowness: Memory, updates: Count, numbers: Memory, out: Memory) -> None:
    """out[update, start]: when updates are made, in steps of mean 1; `law` is its shape and the bound, 0 for none."""
    mode = set_float_mode()
    for first in range(0, len(starts), WIDTH):
        start, total = load(starts, first, WIDTH), splat(0.0, WIDTH)
        clock = Clock(start, seed, splat(0.0, WIDTH) + law[0], slowness)
        numbers[:] = 0
        for lane in range(WIDTH):
            numbers[place_of(0, LEFT) + lane] = -1
        for update in range(updates):
            soonest, event = first_done(numbers, clock)
            total = total + as_type_of(soonest, total)
            store(out, update * len(starts) + first, total)
            store(numbers, VERSION * WIDTH, load(numbers, VERSION * WIDTH, WIDTH) + 1.0)
            if law[1] > 0.0:
                too_far = stop_worker(numbers, len(slowness), event) + as_type_of(splat(law[1], WIDTH), soonest)
                for worker in range(len(slowness)):
                    begin_if_near(numbers, clock, worker, too_far)
            else:
                begin_next(numbers, clock, event)
    restore_float_mode(mode)


@functools.cache
def _kernel(of_mean_one: Function, dtype: str) -> Any:
    from numba import types

    real = types.Array(getattr(types, dtype), 1, "C")
    law = types.UniTuple(types.float64, 2)
    signature = types.void(types.uint32[::1], types.UniTuple(types.uint32, 2), law, real, types.int64, real, types.float64[::1])
    return bind(_time_updates, {"time_of_mean_one": of_mean_one, "WIDTH": LANES, **float_mode_parts()}, signature)


def update_times(one: Asynchronous, starts: np.ndarray, updates: int, seed: int, dtype: str) -> np.ndarray:
    """[start, update] when the updates of runs of a queue are made, in mean times of a step; those of a run in
    numbers of type `dtype`, by which its events are ordered.
    """
    queue: Any = one.staleness
    padded = np.zeros(-(-len(starts) // LANES) * LANES, np.uint32)
    padded[: len(starts)] = starts
    slowness = np.array([1.0 / v for v in queue.speeds or (1.0,) * one.team], dtype)
    out = np.empty((updates, len(padded)))
    law = queue.compute.mean_and_shape[1], float(one.bound or 0.0)  # pyright: ignore[reportArgumentType]
    numbers = np.zeros((FIRST + EACH * one.team) * LANES, dtype)
    _kernel(type(queue.compute).of_mean_one, dtype)(padded, seed_words(seed), law, slowness, updates, numbers, out.ravel())
    return np.ascontiguousarray(out[:, : len(starts)].T)
