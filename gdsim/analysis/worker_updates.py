"""Who updates a server when: the events of asynchronous training, by the compute times of its workers alone."""

from typing import NamedTuple

import numpy as np

from gdsim.axes import checked_seed, checked_whole
from gdsim.distribution import Asynchronous, Queue
from gdsim.distribution.time_draws import summed_times
from gdsim.sweep.results.reading import Dataset, dataset
from gdsim.words import given

MOST_UPDATES = 1_000_000


class Update(NamedTuple):
    """A gradient that the server takes: of which worker, when it was begun, when it came, how old it was."""

    worker: int
    begin: float
    end: float
    staleness: int


def worker_updates(distribution: Asynchronous, *, updates: int = 100, start: int = 0, seed: int = 0) -> Dataset:
    """The first gradients that the server of `gd.Asynchronous` takes from a `gd.Queue` of workers: a Dataset over
    `update`, for `gd.plots.time_line`.

    They follow from the compute times, which are those of the runs of a sweep with this `seed` from this `start`,
    whatever is trained. Staleness counts the server's own steps between a worker's reading and its gradient. Raises TypeError for
    another distribution, ValueError for one that has axes or whose staleness is no queue.

    Variables: `worker`, `begin` and `end` (simulated seconds), `staleness`, each [update].

    >>> import gdsim as gd
    >>> found = worker_updates(gd.Asynchronous(workers=2, staleness=gd.Queue(gd.ConstantTime(1.0))), updates=4)
    >>> found.worker.values.tolist(), found.end.values.tolist(), found.staleness.values.tolist()
    ([0, 1, 0, 1], [1.0, 1.0, 2.0, 2.0], [0, 1, 1, 1])
    """
    count, start, seed = checked_whole(updates, "updates", 1, MOST_UPDATES), checked_whole(start, "start", 0, 2**32), checked_seed(seed)
    if not isinstance(distribution, Asynchronous):
        raise TypeError(f"worker_updates takes a gd.Asynchronous, such as gd.Asynchronous(workers=4); {given(distribution)} was given")
    if not isinstance(distribution.staleness, Queue):
        raise ValueError(f"worker_updates follows a gd.Queue of workers; {type(distribution.staleness).__name__} gives ages without times")
    for name in ("workers", "buffer", "bound"):
        if not isinstance(getattr(distribution, name), (int, float, type(None))):
            raise ValueError(f"worker_updates follows one team of workers; {name}={given(getattr(distribution, name))} was given: take one of these")
    found = _events(distribution, count, _times(distribution, count, start, seed))
    worker, begin, end, staleness = (np.array(column) for column in zip(*found, strict=True))
    return dataset({
        "worker": ("update", worker, "worker whose gradient the server takes", ""), "begin": ("update", begin, "when the worker read the server's weights", "s"),
        "end": ("update", end, "when the server took the gradient", "s"), "staleness": ("update", staleness, "steps of the server between the two", "steps"),
    }, {}, workers=distribution.team, start=start, seed=seed)  # fmt: skip


def _times(distribution: Asynchronous, count: int, start: int, seed: int) -> np.ndarray:
    """[worker, local step] seconds."""
    queue: Queue = distribution.staleness
    speeds, steps = queue.speeds or (1.0,) * distribution.team, np.arange(count + 1)
    rows = [summed_times(queue.compute, seed, np.full(len(steps), start), steps, np.ones_like(steps), k) / v for k, v in enumerate(speeds)]
    return np.array(rows)


def _events(distribution: Asynchronous, count: int, times: np.ndarray) -> list[Update]:
    """Gradients in the order of (time, worker)."""
    workers, version, gathered = len(times), 0, 0
    made, read, begin, end = np.zeros(workers, int), np.zeros(workers, int), np.zeros(workers), times[:, 0].copy()
    found = []
    while len(found) < count:
        k = int(np.argmin(end))
        now = float(end[k])
        found.append(Update(k, float(begin[k]), now, version - int(read[k])))
        gathered += 1
        if gathered == distribution.buffer:
            version, gathered = version + 1, 0
        made[k] += 1
        end[k] = np.inf  # waits
        near = made < made.min() + (np.inf if distribution.bound is None else distribution.bound)
        for j in np.flatnonzero(np.isinf(end) & near):
            begin[j], read[j], end[j] = now, version, now + times[j, made[j]]
    return found
