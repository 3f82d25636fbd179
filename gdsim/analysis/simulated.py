"""The seconds that distributed training would take on a cluster, computed after training: they depend on draws
alone, not on weights, so that one trained population serves any cluster.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from gdsim.analysis.rounds import Rounds, meet_in_graph, meet_in_groups, meet_in_turn
from gdsim.analysis.stragglers import expected_compute, speeds_of
from gdsim.axes import Range, checked_one, checked_truth, checked_whole
from gdsim.declarations import Declaration
from gdsim.distribution.compute_times import checked_compute_time, checked_speeds
from gdsim.distribution.time_draws import summed_times
from gdsim.distribution.topologies import messages_sent
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


class SimulatedCluster(Declaration, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Workers that compute and talk: how long a round takes them.

    Compute times are independent, of the law `compute`; a worker of speed v takes 1/v of its time. A message
    of n bytes takes latency + n / bandwidth between two workers. A round is as long as its slowest worker
    computes and then the collective takes (Thakur, Rabenseifner and Gropp 2005), or as the longer of the two
    where they `overlap`. In a graph worker i goes on at the max over itself and its neighbours j of (j's beginning
    + what j computed), and after a message to each neighbour; where the graph changes by the exchange, they are
    those of this exchange. The workers of a group wait for the slowest of these, and each group has a collective
    of its own. Workers that exchange in turn are served by a centre one at a time, by their numbers: worker k goes on
    when it has computed, worker k - 1 has been served, and its message and the answer have taken 2 (latency + n /
    (bandwidth shards)). These, clients and asynchronous workers compute from what the server answers: they cannot
    `overlap`. A network is as fast for all who talk at once.

    >>> import gdsim as gd
    >>> cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=5e-6, bandwidth=1.25e9)
    >>> round(cluster.exchange_seconds(gd.analysis.Rounds(8, message=4e6)), 5)
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
        """The seconds that the messages of one exchange take, of the workers that are waited for, or of one such and a
        spare one, which hears it; in a graph those of the worker with the most. 0 for one worker alone.
        """
        rounds.check()
        count, piece = max(rounds.workers, 2), rounds.message / self.bandwidth
        if rounds.launched == 1:
            return 0.0
        if rounds.topology is not None:
            return float(messages_sent(rounds.matrices).max()) * (self.latency + piece)
        hops = math.ceil(math.log2(count))
        takes = {
            "ring": 2 * (count - 1) * (self.latency + piece / count),
            "halving_doubling": 2 * hops * self.latency + 2 * (count - 1) / count * piece,
            "tree": 2 * hops * (self.latency + piece),
            "all_gather": (count - 1) * (self.latency + piece),
            "server": self.server_seconds(rounds.workers, rounds.message),
        }
        return takes[self.collective if rounds.adds_up or self.collective == "server" else "all_gather"]

    def server_seconds(self, count: int, message: float) -> float:
        """The seconds that messages of so many workers to the servers and their answers, as long, take."""
        return 2 * self.latency + 2 * count * (message / self.bandwidth) / self.shards

    def answered_seconds(self, message: float) -> float:
        """The seconds that a message of one worker to the servers and their answer, as long, take."""
        return 2.0 * (self.latency + message / (self.bandwidth * self.shards))

    def check_answered(self, who: str) -> None:
        """Refuses messages beside the computing of workers that begin at what answers them. Raises ValueError."""
        if self.overlap:
            raise ValueError(f"{who} compute from what answers their messages, which cannot go beside: leave overlap=True of the cluster out")

    def expected_round_seconds(self, rounds: Rounds) -> float:
        """The expected seconds of one round of `period` steps and an exchange of all. Raises ValueError for workers that
        meet in a graph, in groups or in turn.
        """
        if not rounds.meet_all:
            raise ValueError(
                "the expected seconds of workers that meet in a graph, in groups or in turn have no formula: take the mean of seconds_at over starts"
            )
        exchange, law = self.exchange_seconds(rounds), self.compute
        at_least = exchange if self.overlap else 0.0
        computed = expected_compute(law, rounds.launched, awaited=rounds.workers, steps=rounds.period, speeds=self.speeds, at_least=at_least)
        return computed if self.overlap else computed + exchange

    def seconds_at(self, rounds: Rounds, starts: "ArrayLike", steps: "ArrayLike", seed: int = 0) -> np.ndarray:
        """The seconds after which the workers of a run have made some steps, [query] as `starts` and `steps`.

        After the last exchange before, all workers that are waited for have made the rest of the steps. A
        pure function of (seed, start, step): steps may be asked for in any order. Raises ValueError for what are no
        rounds, for negative steps, and for workers in turn that `overlap`.
        """
        rounds.check()
        if rounds.in_turn:
            self.check_answered("workers that exchange in turn")
        starts, steps = np.broadcast_arrays(np.asarray(starts, np.int64), np.asarray(steps, np.int64))
        if steps.min(initial=0) < 0:
            raise ValueError(f"steps must be whole numbers from 0; {steps.min()} was given")
        found = np.empty(starts.shape)
        flat, last = found.reshape(-1), rounds.done_by(steps)
        distinct, row = np.unique(starts, return_inverse=True)
        held_at_once = 1 if rounds.meet_all and not rounds.spare else rounds.launched
        at_once = max(1, MOST_SUMS // max(1, int(last.max(initial=0))) // held_at_once)
        for first in range(0, len(distinct), at_once):
            some = distinct[first : first + at_once]
            mine = np.flatnonzero((row.reshape(-1) >= first) & (row.reshape(-1) < first + at_once))
            if len(mine):
                done, asked = last.reshape(-1)[mine], steps.reshape(-1)[mine]
                goes_on = self._begins(rounds, some, int(done.max()), seed)[row.reshape(-1)[mine] - first, done].T
                begins = rounds.steps_in(done)
                rest = self._computed(rounds, starts.reshape(-1)[mine], begins, asked - begins, seed)
                flat[mine] = _awaited(rounds, (goes_on[worker % len(goes_on)] + each for worker, each in enumerate(rest)))
        return found

    def _begins(self, rounds: Rounds, starts: np.ndarray, count: int, seed: int) -> np.ndarray:
        """[start, round, worker] when rounds begin, and the one after the last; of one for all where all meet."""
        edges = rounds.steps_in(np.arange(count + 1))
        begins, lengths = (np.tile(column, len(starts)) for column in (edges[:-1], np.diff(edges)))
        each = self._computed(rounds, np.repeat(starts, count), begins, lengths, seed)
        if rounds.meet_all:
            taken, exchange = _awaited(rounds, each).reshape(len(starts), count, 1), self.exchange_seconds(rounds)
            taken = np.maximum(taken, exchange) if self.overlap else taken + exchange
            return np.concatenate([np.zeros((len(starts), 1, 1)), np.cumsum(taken, 1)], 1)
        computed = np.stack([*each], 1).reshape(len(starts), count, rounds.workers)
        if rounds.topology is not None:
            return meet_in_graph(rounds.matrices, computed, self.latency + rounds.message / self.bandwidth, overlaps=self.overlap)
        if rounds.in_turn:
            return meet_in_turn(computed, self.answered_seconds(rounds.message) if rounds.workers > 1 else 0.0)
        return meet_in_groups(rounds, computed, lambda size: self.exchange_seconds(rounds._replace(workers=size, groups=())), overlaps=self.overlap)

    def _computed(self, rounds: Rounds, starts: np.ndarray, begins: np.ndarray, lengths: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """Of each worker, [row] the seconds in which it computes the steps of a row."""
        speeds = speeds_of(self.speeds, rounds.launched, "SimulatedCluster.speeds")
        return (summed_times(self.compute, seed, starts, begins, lengths, worker) / speed for worker, speed in enumerate(speeds))


def _awaited(rounds: Rounds, each: Iterable[np.ndarray]) -> np.ndarray:
    """When all workers that are waited for are done, from when each of them is."""
    if not rounds.spare:
        return functools.reduce(np.maximum, each)
    return np.partition(np.stack([*each]), rounds.workers - 1, axis=0)[rounds.workers - 1]
