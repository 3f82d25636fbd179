"""The seconds that distributed training would take on a cluster, computed after training: they depend on draws
alone, not on weights, so that one trained population serves any cluster.
"""

import functools
import math
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gdsim.analysis.stragglers import expected_compute, speeds_of
from gdsim.axes import Range, checked_one, checked_truth, checked_whole
from gdsim.declarations import Declaration
from gdsim.distribution.compute_times import ComputeTime, checked_compute_time, checked_speeds
from gdsim.distribution.time_draws import summed_times
from gdsim.statistics import ArrayLike
from gdsim.words import checked_word

COLLECTIVES = {
    "ring": "reduced and gathered along a ring, in as many pieces as there are workers",
    "halving_doubling": "reduced by halves and gathered by doubling",
    "tree": "reduced to one worker along a tree, and broadcast",
    "all_gather": "every message to every worker, where they do not add up",
    "server": "to parameter servers and back",
}
MOST_SUMS = 4_000_000  # times that are in memory at once


class Rounds(NamedTuple):
    """What workers do between two exchanges, and what they tell each other in one. Raises nothing.

    Each makes `period` steps, but one a round in the first `after` steps, from which periods count. Of `spare` more workers than needed
    the slowest are not waited for. A message has `message` bytes; with `neighbours` it goes to so many, else
    by the cluster's collective, or to all where messages do not add up.

    >>> int(Rounds(workers=4, period=8).done_by(20))
    2
    """

    workers: int
    period: int = 1
    after: int = 0
    spare: int = 0
    message: float = 0.0
    neighbours: float | None = None
    adds_up: bool = True

    def done_by(self, steps: np.ndarray) -> np.ndarray:
        """How many rounds are done after so many steps."""
        early = np.minimum(steps, self.after)
        return early + (steps - early) // self.period

    def steps_in(self, rounds: np.ndarray) -> np.ndarray:
        """How many steps so many rounds have."""
        return np.where(rounds <= self.after, rounds, self.after + (rounds - self.after) * self.period)


class SimulatedCluster(Declaration, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Workers that compute and talk: how long a round takes them.

    Compute times are independent, of the law `compute`; a worker of speed v takes 1/v of its time. A message
    of n bytes takes latency + n / bandwidth between two workers. A round is as long as its slowest worker
    computes and then the collective takes (Thakur, Rabenseifner and Gropp 2005), or as the longer of the two
    where they `overlap`.

    >>> import gdsim as gd
    >>> cluster = SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=5e-6, bandwidth=1.25e9)
    >>> round(cluster.exchange_seconds(Rounds(8, message=4e6)), 5)
    0.00567
    """

    compute: Any
    latency: float = 0.0
    bandwidth: float = math.inf
    collective: str = "ring"
    shards: int = 1
    overlap: bool = False
    speeds: Any = None

    meanings = {
        "compute": "The law of the seconds of one step of a worker, as gd.ExponentialTime(0.01).",
        "latency": "Seconds that any message takes.",
        "bandwidth": "Bytes a second between two workers.",
        "collective": "How messages are averaged: 'ring', 'halving_doubling', 'tree', 'all_gather' or 'server'.",
        "shards": "How many parameter servers share the model, each with the bandwidth.",
        "overlap": "Whether workers compute while messages are under way.",
        "speeds": "The speed of each worker, or None for 1 each.",
    }

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        put("compute", checked_compute_time(self.compute, "SimulatedCluster.compute"))
        self.compute.mean_and_shape  # noqa: B018 - refuses axes
        put("latency", checked_one(self.latency, "SimulatedCluster.latency", Range(0.0, math.inf)))
        put(
            "bandwidth",
            checked_one(self.bandwidth, "SimulatedCluster.bandwidth", Range(0.0, math.inf, low_allowed=False)) if self.bandwidth != math.inf else math.inf,
        )
        checked_word(self.collective, "SimulatedCluster.collective", COLLECTIVES)
        put("shards", checked_whole(self.shards, "SimulatedCluster.shards"))
        put("overlap", checked_truth(self.overlap, "SimulatedCluster.overlap"))
        put("speeds", checked_speeds(self.speeds, "SimulatedCluster.speeds"))

    def exchange_seconds(self, rounds: Rounds) -> float:
        """The seconds that the messages of one exchange take; 0 for one worker."""
        count, piece = rounds.workers, rounds.message / self.bandwidth
        if count == 1:
            return 0.0
        if rounds.neighbours is not None:
            return rounds.neighbours * (self.latency + piece)
        hops = math.ceil(math.log2(count))
        takes = {
            "ring": 2 * (count - 1) * (self.latency + piece / count),
            "halving_doubling": 2 * hops * self.latency + 2 * (count - 1) / count * piece,
            "tree": 2 * hops * (self.latency + piece),
            "all_gather": (count - 1) * (self.latency + piece),
            "server": 2 * self.latency + 2 * count * piece / self.shards,
        }
        return takes[self.collective if rounds.adds_up or self.collective == "server" else "all_gather"]

    def expected_round_seconds(self, rounds: Rounds) -> float:
        """The expected seconds of one round of `period` steps and an exchange."""
        count, exchange = rounds.workers + rounds.spare, self.exchange_seconds(rounds)
        law: ComputeTime = self.compute
        at_least = exchange if self.overlap else 0.0
        computed = expected_compute(law, count, awaited=rounds.workers, steps=rounds.period, speeds=self.speeds, at_least=at_least)
        return computed if self.overlap else computed + exchange

    def seconds_at(self, rounds: Rounds, starts: "ArrayLike", steps: "ArrayLike", seed: int = 0) -> np.ndarray:
        """The seconds after which the workers of a run have made some steps, [query] as `starts` and `steps`.

        After the last exchange before, all workers that are waited for have made the rest of the steps. A
        pure function of (seed, start, step): steps may be asked for in any order.
        """
        starts, steps = np.broadcast_arrays(np.asarray(starts, np.int64), np.asarray(steps, np.int64))
        found = np.empty(starts.shape)
        flat, last = found.reshape(-1), rounds.done_by(steps)
        distinct, row = np.unique(starts, return_inverse=True)
        at_once = max(1, MOST_SUMS // max(1, int(last.max(initial=0))) // (rounds.workers + rounds.spare if rounds.spare else 1))
        for first in range(0, len(distinct), at_once):
            some = distinct[first : first + at_once]
            mine = np.flatnonzero((row.reshape(-1) >= first) & (row.reshape(-1) < first + at_once))
            if len(mine):
                done, asked = last.reshape(-1)[mine], steps.reshape(-1)[mine]
                ends = self._ends(rounds, some, int(done.max()), seed)
                begins = rounds.steps_in(done)
                rest = self._computed(rounds, starts.reshape(-1)[mine], begins, asked - begins, seed)
                flat[mine] = ends[row.reshape(-1)[mine] - first, done] + rest
        return found

    def _ends(self, rounds: Rounds, starts: np.ndarray, count: int, seed: int) -> np.ndarray:
        """[start, round] the seconds after which rounds are done, 0 for none."""
        edges = rounds.steps_in(np.arange(count + 1))
        begins, lengths = (np.tile(column, len(starts)) for column in (edges[:-1], np.diff(edges)))
        taken = self._computed(rounds, np.repeat(starts, count), begins, lengths, seed).reshape(len(starts), count)
        exchange = self.exchange_seconds(rounds)
        taken = np.maximum(taken, exchange) if self.overlap else taken + exchange
        return np.concatenate([np.zeros((len(starts), 1)), np.cumsum(taken, 1)], 1)

    def _computed(self, rounds: Rounds, starts: np.ndarray, begins: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
        """[row] the seconds until all workers that are waited for have computed steps of a row."""
        count = rounds.workers + rounds.spare
        speeds = speeds_of(self.speeds, count, "SimulatedCluster.speeds")
        each = (summed_times(self.compute, seed, starts, begins, lengths, worker) / speed for worker, speed in enumerate(speeds))
        if not rounds.spare:
            return functools.reduce(np.maximum, each)
        return np.partition(np.stack([*each]), rounds.workers - 1, axis=0)[rounds.workers - 1]
