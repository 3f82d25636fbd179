"""Who updates a server when: the events of asynchronous training, by the lane functions by which kernels order
them.
"""

import functools
from typing import Any

import numpy as np

from gdsim.axes import Grid, checked_seed, checked_whole
from gdsim.distribution import Asynchronous, Queue
from gdsim.kernels.teams.asynchronous import FIRST
from gdsim.kernels.teams.queue import EACH, LEFT, Clock, begin_if_near, begin_next, first_done, place_of, stop_worker
from gdsim.kernels.teams.workers import keep_where
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.draws import seed_words
from gdsim.lanes.operations import as_type_of, load, splat, store, where
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode
from gdsim.lanes.types import Count, Function, Lane, Lanes, Memory
from gdsim.sweep.results.reading import Dataset, dataset
from gdsim.words import given

LANES = 8
MOST_UPDATES = 1_000_000
BEGIN, END, WORKER, STALENESS = range(4)  # numbers of an update


def worker_updates(distribution: Asynchronous, *, updates: int = 100, start: int = 0, seed: int = 0) -> Dataset:
    """The first gradients that the server of `gd.Asynchronous` takes from a `gd.Queue` of workers: a Dataset over
    `update`, for `gd.plots.time_line`.

    They follow from the times of computing and of messages: those of the runs of a sweep with this `seed` from this
    `start`, whatever is trained. Staleness counts the server's own steps between a worker's reading and its gradient.
    Raises TypeError for another distribution, ValueError for one that has axes or whose staleness is no queue.

    Variables: `worker`, `begin` and `end` (simulated seconds), `staleness`, each [update].

    >>> import gdsim as gd
    >>> found = worker_updates(gd.Asynchronous(workers=2, staleness=gd.Queue(gd.ConstantTime(1.0))), updates=4)
    >>> found.worker.values.tolist(), found.end.values.tolist(), found.staleness.values.tolist()
    ([0, 1, 0, 1], [1.0, 1.0, 2.0, 2.0], [0, 1, 1, 1])
    """
    count, start, seed = checked_whole(updates, "updates", 1, MOST_UPDATES), checked_whole(start, "start", 0, 2**32), checked_seed(seed)
    if not isinstance(distribution, Asynchronous):
        raise TypeError(f"worker_updates takes a gd.Asynchronous, such as gd.Asynchronous(workers=4); {given(distribution)} was given")
    queue = distribution.staleness
    if isinstance(queue, Grid):
        raise ValueError(f"worker_updates follows one team of workers; staleness={given(queue)} was given: take one of these")
    if not isinstance(queue, Queue):
        raise ValueError(f"worker_updates follows a gd.Queue of workers; {type(queue).__name__} gives ages without times")
    for owner, name in ((distribution, "workers"), (distribution, "buffer"), (distribution, "bound"), (queue, "messages")):
        if not isinstance(getattr(owner, name), (int, float, type(None))):
            raise ValueError(f"worker_updates follows one team of workers; {name}={given(getattr(owner, name))} was given: take one of these")
    found = update_numbers(distribution, np.array([start]), count, seed, "float64")[:, :, 0]
    mean = queue.compute.mean_and_shape[0]
    return dataset({
        "worker": ("update", found[WORKER].astype(int), "worker whose gradient the server takes", ""),
        "begin": ("update", mean * found[BEGIN], "when the worker read the server's weights", "s"),
        "end": ("update", mean * found[END], "when the server took the gradient", "s"),
        "staleness": ("update", found[STALENESS].astype(int), "steps of the server between the two", "steps"),
    }, {}, workers=distribution.team, start=start, seed=seed)  # fmt: skip


def update_numbers(one: Asynchronous, starts: np.ndarray, updates: int, seed: int, dtype: str) -> np.ndarray:
    """[number, update, start] of the updates of runs of a queue: when the gradient's worker read and when the
    server took it, in mean times of a step, the worker, and the staleness; those of a run in numbers of type
    `dtype`, by which its events are ordered.
    """
    queue: Any = one.staleness
    padded = np.zeros(-(-len(starts) // LANES) * LANES, np.uint32)
    padded[: len(starts)] = starts
    slowness = np.array([1.0 / v for v in queue.speeds or (1.0,) * one.team], dtype)
    mean, shape = queue.compute.mean_and_shape
    server = int(one.buffer), int(one.bound or 0)  # pyright: ignore[reportArgumentType]
    numbers, begins = np.zeros((FIRST + EACH * one.team) * LANES, dtype), np.zeros(one.team * LANES)
    out = np.empty((4, updates, len(padded)))
    _kernel(type(queue.compute).of_mean_one, dtype)(
        padded, seed_words(seed), (shape, one.message_seconds / mean), server, slowness, numbers, begins, out.ravel()
    )
    return out[:, :, : len(starts)]


@functools.cache
def _kernel(of_mean_one: Function, dtype: str) -> Any:
    from numba import types

    numbers, times, words = types.Array(getattr(types, dtype), 1, "C"), types.float64[::1], types.UniTuple(types.uint32, 2)
    pair, counts = types.UniTuple(types.float64, 2), types.UniTuple(types.int64, 2)
    signature = types.void(types.uint32[::1], words, pair, counts, numbers, numbers, times, times)
    return bind(_follow, {"time_of_mean_one": of_mean_one, "WIDTH": LANES, **float_mode_parts()}, signature)


def _follow(
    starts: Memory, seed: Lanes, law: tuple[float, float], server: tuple[Count, Count], slowness: Memory, numbers: Memory, begins: Memory, out: Memory
) -> None:
    """out[number, update, start], the times in mean times of a step.

    `law`: the shape of its times, and how long messages take; `server`: how many gradients it waits for, and how
    many steps ahead of the slowest a worker waits, 0 for never; `numbers` and `begins`[worker] are a pack's.
    """
    mode = set_float_mode()
    across = len(starts)
    updates = len(out) // (4 * across)
    for first in range(0, across, WIDTH):
        start, now = load(starts, first, WIDTH), splat(0.0, WIDTH)
        clock = Clock(start, seed, now + law[0], slowness, as_type_of(now + law[1], splat(slowness[0], WIDTH)))
        numbers[:] = 0
        begins[:] = 0
        for lane in range(WIDTH):
            numbers[place_of(0, LEFT) + lane] = -1
        for update in range(updates):
            soonest, event = first_done(numbers, clock, start * 0 + update // server[0])
            now = now + as_type_of(soonest, now)
            store(out, (BEGIN * updates + update) * across + first, began(begins, event.worker, now))
            store(out, (END * updates + update) * across + first, now)
            store(out, (WORKER * updates + update) * across + first, as_type_of(event.worker, now))
            store(out, (STALENESS * updates + update) * across + first, as_type_of(event.age, now))
            version = start * 0 + (update + 1) // server[0]
            if server[1] > 0:
                too_far = stop_worker(numbers, clock, event) + server[1]
                for worker in range(len(slowness)):
                    keep_where(begins, worker * WIDTH, begin_if_near(numbers, clock, worker, too_far, version), now)
            else:
                begin_next(numbers, clock, event, version)
                for worker in range(len(slowness)):
                    keep_where(begins, worker * WIDTH, event.worker == worker, now)
    restore_float_mode(mode)


def began(begins: Memory, worker: Lane, now: Lane) -> Lane:
    """When each lane's worker began its step."""
    found = now
    for k in range(len(begins) // WIDTH):
        found = where(worker == k, load(begins, k * WIDTH, WIDTH), found)
    return found
