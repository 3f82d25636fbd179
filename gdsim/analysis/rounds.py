"""Rounds of workers: what they do between two exchanges, who meets in each, and when each worker goes on."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gdsim.axes import checked_whole
from gdsim.distribution.base import checked_pairs
from gdsim.distribution.topologies import Topology, messages_sent, mixing_matrices


class Rounds(NamedTuple):
    """What workers do between two exchanges, and what they tell each other in one.

    Each makes `period` steps, but one a round in the first `after` steps, from which periods count. Of `spare` more workers than needed
    the slowest are not waited for. A message has `message` bytes and goes by the cluster's collective, or to all where
    messages do not add up; in a graph, a `topology` as of `mixing_matrices`, to each neighbour, and workers wait
    for their neighbours alone. With `groups`, pairs (workers of a group, period), the smallest first, neighbours
    meet among themselves at shorter periods, and the largest period that divides the step acts alone. `in_turn`,
    workers exchange with a centre one after the other. A cluster raises TypeError or ValueError for what are no rounds.

    >>> import gdsim as gd
    >>> int(gd.analysis.Rounds(workers=4, period=8).done_by(20))
    2
    """

    workers: int
    period: int = 1
    after: int = 0
    spare: int = 0
    message: float = 0.0
    topology: Topology | None = None
    adds_up: bool = True
    groups: tuple[tuple[int, int], ...] = ()
    in_turn: bool = False

    def check(self) -> None:
        """Refuses what are no rounds. Raises TypeError or ValueError."""
        for name, low in (("workers", 1), ("period", 1), ("after", 0), ("spare", 0)):
            checked_whole(getattr(self, name), f"Rounds.{name}", low)
        nested = *checked_pairs(self.groups, "Rounds.groups", "workers of a group", "period"), (self.workers, self.period)
        if any(wider % size or longer % period for (size, period), (wider, longer) in itertools.pairwise(nested)):
            raise ValueError(
                f"Rounds.groups={self.groups} of {self.workers} workers at period={self.period} do not nest: give pairs (workers of a group, period) of which "
                "each divides the next"
            )
        if (self.topology is not None) + bool(self.groups) + self.in_turn > 1:
            raise ValueError("Rounds.topology, groups and in_turn each say who meets: give one of them")
        if not self.meet_all and self.spare:
            raise ValueError(f"Rounds.spare={self.spare} workers are not waited for where all meet: leave it out with topology, groups and in_turn")
        if self.topology is not None:
            mixing_matrices(self.topology, self.workers)

    @property
    def meet_all(self) -> bool:
        """Whether all workers wait for each other in every exchange."""
        return self.topology is None and not self.groups and not self.in_turn

    @property
    def matrices(self) -> np.ndarray:
        """The mixing matrices of the graph, [matrix, worker, worker]."""
        assert self.topology is not None
        return mixing_matrices(self.topology, self.workers)

    @property
    def launched(self) -> int:
        """How many workers compute."""
        return self.workers + self.spare

    @property
    def shortest(self) -> int:
        """Steps between two exchanges, of all or in groups."""
        return self.groups[0][1] if self.groups else self.period

    def done_by(self, steps: np.ndarray) -> np.ndarray:
        """How many rounds are done after so many steps."""
        early = np.minimum(steps, self.after)
        return early + (steps - early) // self.shortest

    def steps_in(self, rounds: np.ndarray) -> np.ndarray:
        """How many steps so many rounds have."""
        return np.where(rounds <= self.after, rounds, self.after + (rounds - self.after) * self.shortest)

    def meeting(self, exchange: int) -> int:
        """How many workers meet in an exchange, counted from 1: all, or those of a group."""
        since = int(self.steps_in(np.array(exchange))) - self.after
        if since <= 0 or since % self.period == 0:
            return self.workers
        return next(size for size, every in reversed(self.groups) if since % every == 0)


def meet_in_groups(rounds: Rounds, computed: np.ndarray, exchange_seconds: Callable[[int], float], *, overlaps: bool) -> np.ndarray:
    """[start, round, worker] when each worker begins a round, the first at 0, and goes on after the last, from the
    seconds computed[start, round, worker].

    Who meets waits for the slowest of those: max over them of (its beginning + computed) + what the exchange of so
    many takes; where messages go beside, max of (its beginning + the longer of the two).
    """
    starts, count, workers = computed.shape
    found = np.zeros((starts, count + 1, workers))
    for done in range(count):
        size = rounds.meeting(done + 1)
        told = exchange_seconds(size)
        each = found[:, done] + (np.maximum(computed[:, done], told) if overlaps else computed[:, done])
        met = each.reshape(starts, -1, size).max(2) + (0.0 if overlaps else told)
        found[:, done + 1] = np.repeat(met, size, axis=1)
    return found


def meet_in_graph(matrices: np.ndarray, computed: np.ndarray, one_message: float, *, overlaps: bool) -> np.ndarray:
    """[start, round, worker] as `meet_in_groups`, of workers that mix by matrices[matrix, worker, worker], of which
    exchanges take one after the other; a message takes so many seconds.

    Worker i goes on at the max over itself and those whose weights it reads of (beginning + computed), and then its
    own messages to those that read it; where messages go beside, at the later of that max and the max of the
    beginnings + its messages.
    """
    starts, count, workers = computed.shape
    found = np.zeros((starts, count + 1, workers))
    awaited, told = [_awaited_in(matrix > 0) for matrix in matrices], one_message * messages_sent(matrices)
    for done in range(count):
        turn, begin = done % len(matrices), found[:, done]
        heard = _latest(begin + computed[:, done], awaited[turn])
        found[:, done + 1] = np.maximum(heard, _latest(begin, awaited[turn]) + told[turn]) if overlaps else heard + told[turn]
    return found


def _awaited_in(reads: np.ndarray) -> np.ndarray:
    """[place, worker] whom each worker waits for, by reads[worker, other]; itself in the places left."""
    each = np.arange(len(reads))
    others = reads & (each[:, None] != each)
    order = np.argsort(~others, axis=1, kind="stable")[:, : others.sum(1).max()]
    return np.where(np.take_along_axis(others, order, 1), order, each[:, None]).T


def _latest(times: np.ndarray, awaited: np.ndarray) -> np.ndarray:
    """[start, worker] the latest of times[start, worker] of each worker and those whom it waits for."""
    return functools.reduce(np.maximum, (times[:, who] for who in awaited), times)


def meet_in_turn(computed: np.ndarray, served: float) -> np.ndarray:
    """[start, round, worker] as `meet_in_groups`, of workers that a centre serves one after the other, by their
    numbers, each for so many seconds.

    Worker k goes on at max(its beginning + computed, when the centre has served worker k - 1) + served, from where
    its next round begins.
    """
    starts, count, workers = computed.shape
    found, free = np.zeros((starts, count + 1, workers)), np.zeros(starts)
    for done in range(count):
        for worker in range(workers):
            free = np.maximum(found[:, done, worker] + computed[:, done, worker], free) + served
            found[:, done + 1, worker] = free
    return found
