"""Which samples each worker has: the tables of partitions, drawn on the host from the seed and each run's start."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gdsim.distribution import Assigned, Classes, Dirichlet, Distribution, Iid, Overlap, Partition, Sorted
from gdsim.kernels.sample_table import Shards
from gdsim.lanes.draws import normal_numbers, uniform_numbers
from gdsim.lanes.elementary import exp, log
from gdsim.lanes.mapping import mapped
from gdsim.lanes.operations import sqrt, where
from gdsim.lanes.philox import PARTITION, purpose_of
from gdsim.lanes.types import Lanes
from gdsim.population.setting import PARTITION as OWN, Setting
from gdsim.problems import Problem
from gdsim.words import count_of

MOST_TRIES = 100
MOST_SHARES = 2**17  # of classes and workers that are drawn at a time: their draws take 16 MB
NORMAL, UNIFORM, POWER, DRAWS = 0, 1, 2, 3  # what numbers of a Dirichlet draw are for, and how many such there are


class Samples(NamedTuple):
    """What is shared out, among how many workers, and by which seed."""

    samples: int
    labels: np.ndarray | None  # [sample] whole numbers
    workers: int
    batch: int | None
    seed: int


Row: TypeAlias = tuple[Mapping[str, float], int]  # the partition's numbers, and the start
Members: TypeAlias = list[np.ndarray]  # [worker] the samples of each


def labels_of(problem: Any) -> np.ndarray | None:
    """[sample] the classes of a problem's training set; None of one without classes."""
    data = problem.data
    return None if data is None or not problem.is_classifier or data.y.ndim > 1 else data.y.astype(np.int64)


def fewest_samples(problem: Problem, distribution: Distribution, partition: Partition, batch: int | None) -> int:
    """How many samples a worker may be left with."""
    assert problem.data is not None
    samples, labels = len(problem.data.X), labels_of(problem)
    return min(partition.fewest(samples, labels, workers, batch) for workers in distribution.owners)


def samples_of(setting: Setting) -> Samples:
    """What a setting's partition shares out."""
    assert setting.distribution is not None
    return Samples(len(setting.problem.data.X), labels_of(setting.problem), setting.distribution.owners[0], setting.batch, setting.seed)


def shards_for(setting: Setting, starts: np.ndarray, cells: np.ndarray, values: Sequence[Mapping[str, float]]) -> tuple[Shards, np.ndarray]:
    """(the shards of runs' workers, [run] that of each run's first) of runs with these starts, in cells whose
    numbers are `values[cell]`. Where a step takes all samples of all workers, a run has one.

    Raises ValueError where the law of a partition leaves a worker without samples again and again.
    """
    samples, partition = samples_of(setting), setting.partition
    if partition is None:
        every = np.arange(samples.samples, dtype=np.uint32)
        table = [(0, samples.samples, worker) for worker in range(samples.workers)]
        return Shards(every, np.array(table, np.uint32)), np.zeros(len(starts), np.int64)
    numbers = partition.hyperparameters()
    own = [tuple(v.get(OWN + n, number) for n, number in numbers.items()) for v in values]
    keys = [(own[cell], int(start) if partition.is_drawn else 0) for cell, start in zip(cells, starts, strict=True)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    rows = members_of(partition, samples, [(dict(zip(numbers, key, strict=True)), start) for key, start in places])
    if setting.makes_one_batch and setting.batch is None:
        rows = [[np.concatenate(row)] for row in rows]
    return shards_of(rows), np.array([places[key] * len(rows[0]) for key in keys], np.int64)


def shards_of(rows: Sequence[Members]) -> Shards:
    """The shards of several runs, one behind the other."""
    parts = [members for row in rows for members in row]
    counts = np.array([len(members) for members in parts])
    workers = np.concatenate([np.arange(len(row)) for row in rows])
    return Shards(np.concatenate(parts).astype(np.uint32), np.stack([np.cumsum(counts) - counts, counts, workers], 1).astype(np.uint32))


def members_of(partition: Partition, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    """[row][worker] the samples that each worker has."""
    return LAWS[type(partition)](partition, samples, rows)


def _uniform(samples: Samples, start: int, count: int, use: int = 0, step: int = 0) -> np.ndarray:
    """[element] numbers of a start, uniform in (0, 1); each `use` and `step` has others."""
    return uniform_numbers(samples.seed, np.array([start], np.uint32), (int(purpose_of(PARTITION, use)), step), count)[0]


def _order(samples: Samples, start: int, use: int = 0) -> np.ndarray:
    """The samples in a random order."""
    return np.argsort(_uniform(samples, start, samples.samples, use), kind="stable")


def _iid(partition: Iid, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    whole = samples.samples // samples.workers * samples.workers
    return [np.split(_order(samples, start)[:whole], samples.workers) for _, start in rows]


def _sorted(partition: Sorted, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    assert samples.labels is not None
    return [_cut(np.argsort(samples.labels, kind="stable"), samples.workers)] * len(rows)


def _overlap(partition: Overlap, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    return [[_order(samples, start, worker)[: partition.size(h["share"], samples.samples)].copy() for worker in range(samples.workers)] for h, start in rows]


def _assigned(partition: Assigned, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    numbers = np.array(partition.worker)
    return [[np.flatnonzero(numbers == worker) for worker in range(samples.workers)]] * len(rows)


def _classes(partition: Classes, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    assert samples.labels is not None
    names, found = np.unique(samples.labels), []
    for h, start in rows:
        dealt = np.argsort(_uniform(samples, start, len(names), 1), kind="stable")
        held = dealt[np.arange(samples.workers * int(h["classes"])).reshape(samples.workers, -1) % len(names)]
        order, parts = _order(samples, start), [[] for _ in range(samples.workers)]
        for name in range(len(names)):
            holders = np.flatnonzero((held == name).any(1))
            for worker, part in zip(holders, _cut(order[samples.labels[order] == names[name]], len(holders)), strict=True):
                parts[worker].append(part)
        found.append([np.concatenate(own) for own in parts])
    return found


def _cut(members: np.ndarray, parts: int) -> Members:
    """Parts of equal size, but for one, in order."""
    return np.split(members, [k * len(members) // parts for k in range(1, parts)]) if parts else []


def _dirichlet(partition: Dirichlet, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    """A few rows at a time."""
    assert samples.labels is not None
    at_once = max(1, MOST_SHARES // (samples.workers * len(np.unique(samples.labels))))
    return [one for first in range(0, len(rows), at_once) for one in _dirichlet_rows(partition, samples, rows[first : first + at_once])]


def _dirichlet_rows(partition: Dirichlet, samples: Samples, rows: Sequence[Row]) -> list[Members]:
    """Each row anew until every worker has enough."""
    assert samples.labels is not None
    sizes, least = np.unique(samples.labels, return_counts=True)[1], partition.least_for(samples.batch)
    alphas, starts = np.array([h["alpha"] for h, _ in rows]), np.array([start for _, start in rows], np.uint32)
    cuts, left = np.zeros((len(rows), len(sizes), samples.workers), np.int64), np.arange(len(rows))
    for attempt in range(MOST_TRIES):
        shares = dirichlet_shares(samples.seed, starts[left], alphas[left], (len(sizes), samples.workers), attempt)
        cuts[left] = np.floor(np.cumsum(shares, 2) * sizes[:, None])
        cuts[left, :, -1] = sizes
        left = left[np.diff(cuts[left], axis=2, prepend=0).sum(1).min(1) < least]
        if not len(left):
            return [_by_cuts(samples, start, cuts[row]) for row, (_, start) in enumerate(rows)]
    raise ValueError(
        f"Dirichlet: with alpha={alphas[left[0]]:g} some of {samples.workers} workers had fewer than {count_of(least, 'sample')} in each of {MOST_TRIES} "
        f"draws of start {starts[left[0]]}: give a larger alpha, fewer workers or a smaller batch, or least=1, with which small workers draw with replacement"
    )


def _by_cuts(samples: Samples, start: int, cuts: np.ndarray) -> Members:
    """The samples of each class in a random order, cut at cuts[class, worker]."""
    assert samples.labels is not None
    order, counts = _order(samples, start), np.diff(cuts, axis=1, prepend=0)
    by_class = order[np.argsort(samples.labels[order], kind="stable")]
    workers = np.repeat(np.tile(np.arange(samples.workers), len(counts)), counts.ravel())
    return np.split(by_class[np.argsort(workers, kind="stable")], np.cumsum(counts.sum(0))[:-1])


def dirichlet_shares(seed: int, starts: np.ndarray, alphas: np.ndarray, shape: tuple[int, int], attempt: int = 0) -> np.ndarray:
    """[row, class, worker] of starts[row] and alphas[row]: draws from the Dirichlet law whose parameters are all
    alpha, each class's on their own.

    They are normalised gamma variates, of alpha + 1 (Marsaglia and Tsang 2000) and times a power of a uniform
    number, which makes those of alpha; in logarithms, so that small alphas keep their law.
    """
    logs, alpha = np.full((len(starts), shape[0] * shape[1]), np.nan), np.repeat(alphas[:, None], shape[0] * shape[1], 1)
    draws = lambda law, use: law(seed, starts, (int(purpose_of(PARTITION, use)), 1 + attempt), logs.shape[1])  # noqa: E731
    power, turn = draws(uniform_numbers, POWER), 0
    while np.isnan(logs).any():
        columns = draws(normal_numbers, DRAWS * turn + NORMAL), draws(uniform_numbers, DRAWS * turn + UNIFORM), power, alpha
        found = mapped(_log_gamma, np.stack([c.ravel() for c in columns], 1), 1).reshape(logs.shape)
        logs, turn = np.where(np.isnan(logs), found, logs), turn + 1
    table = logs.reshape(len(starts), *shape)
    sizes = mapped(_exponential, (table - table.max(2, keepdims=True)).reshape(-1, 1), 1).reshape(table.shape)
    return sizes / np.cumsum(sizes, 2)[:, :, -1:]


def _log_gamma(point: Lanes) -> Lanes:
    """The logarithm of a gamma variate with parameter alpha, from a normal and two uniform numbers; NaN where they
    are refused.
    """
    x, u, power, alpha = point
    d = alpha + 1.0 - 1.0 / 3.0
    root = 1.0 + x / sqrt(9.0 * d)
    v = root * root * root
    accepts = (root > 0.0) & (log(u) < 0.5 * x * x + d - d * v + d * log(v))
    return (where(accepts, log(d * v) + log(power) / alpha, x * float("nan")),)


def _exponential(point: Lanes) -> Lanes:
    return (exp(point[0]),)


LAWS: Mapping[type[Partition], Callable[[Any, Samples, Sequence[Row]], list[Members]]] = {
    Iid: _iid, Sorted: _sorted, Overlap: _overlap, Classes: _classes, Dirichlet: _dirichlet, Assigned: _assigned,
}  # fmt: skip
