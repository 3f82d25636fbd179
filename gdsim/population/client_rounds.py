"""Rounds of clients, played again on the host: who was in each, how many steps each made and on how many samples.

They follow from the seed, a run's start and how many samples each client has, not from weights.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.teams.federated import list_rounds
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.draws import seed_words
from gdsim.population.partitions import shards_for
from gdsim.population.setting import Setting

MOST_NUMBERS = 4_000_000  # that are in memory at once
ROW_BITS = 40  # by which rows are told apart where all rounds are searched at once; steps have fewer


class ClientRounds(NamedTuple):
    """The rounds of some starts of one cell, up to one that is not over."""

    setting: Setting
    starts: np.ndarray  # [row]
    samples: np.ndarray  # [row, client] that a client has
    batches: np.ndarray  # [row, client] that these make
    steps: np.ndarray  # [row, client] that a client makes in a round
    clients: np.ndarray  # [row, round, place] who is in a round, in ascending order
    ends: np.ndarray  # [row, round] the step after which it is over

    @property
    def steps_ahead(self) -> np.ndarray:
        """[row, client] how many of a client's own steps, whole passes, each round before another counts, whether it
        was in it or not.
        """
        return -(-self.steps // self.batches) * self.batches

    def of_places(self, values: np.ndarray) -> np.ndarray:
        """[row, round, place] of values[row, client]."""
        return values[np.arange(len(values))[:, None, None], self.clients]

    def done_by(self, row: np.ndarray, step: np.ndarray) -> np.ndarray:
        """[query] how many rounds of a row are over after a step."""
        flat = (self.ends + (np.arange(len(self.ends)) << ROW_BITS)[:, None]).ravel()
        return np.searchsorted(flat, step + (row << ROW_BITS), side="right") - row * self.ends.shape[1]

    def begins(self, row: np.ndarray, done: np.ndarray) -> np.ndarray:
        """[query] the step after which so many rounds of a row are over."""
        return np.where(done > 0, self.ends[row, done - 1], 0)

    def seen(self, steps: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """How many samples clients that have so many have seen in the first steps of a round: each pass over them
        ends with what is left.
        """
        batch = self.setting.batch
        if batch is None or self.setting.shuffle == "replacement":
            return steps * (samples if batch is None else batch)
        passes, rest = np.divmod(steps, batches_of(samples, batch))
        return passes * samples + np.minimum(rest * batch, samples)

    def samples_by(self, row: np.ndarray, step: np.ndarray) -> np.ndarray:
        """[query] how many samples all clients of a row have seen after a step."""
        steps, samples, done = self.of_places(self.steps), self.of_places(self.samples), self.done_by(row, step)
        over = np.cumsum(self.seen(steps, samples).sum(2), axis=1)
        made = np.minimum((step - self.begins(row, done))[:, None], steps[row, done])
        return np.where(done > 0, over[row, done - 1], 0) + self.seen(made, samples[row, done]).sum(1)


def batches_of(samples: np.ndarray, batch: int | None) -> np.ndarray:
    """How many batches clients' samples make, the last perhaps short."""
    return np.ones_like(samples) if batch is None else -(-samples // batch)


def over_rounds(setting: Setting, starts: np.ndarray, steps: np.ndarray, measured: Callable[[ClientRounds, np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """[..., query] what is measured of the runs of one cell at some steps, [query] as `starts`: by a function of
    (rounds, row[query], step[query]) that is given a few starts at once.

    The distribution and the partition of `setting` are without axes.
    """
    distinct, row = np.unique(starts, return_inverse=True)
    most, parts = int(steps.max(initial=0)), []
    at_once = max(1, MOST_NUMBERS // max(len(setting.problem.data.X), (most + 1) * setting.workers))
    order = np.argsort(row, kind="stable")
    for first in range(0, len(distinct), at_once):
        mine = order[slice(*np.searchsorted(row[order], [first, first + at_once]))]
        until = np.zeros(min(at_once, len(distinct) - first), np.int64)
        np.maximum.at(until, row[mine] - first, steps[mine])
        parts.append(measured(_played(setting, distinct[first : first + at_once], until), row[mine] - first, steps[mine]))
    found = np.concatenate(parts, axis=-1)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return found[..., back]


def _played(setting: Setting, starts: np.ndarray, until: np.ndarray) -> ClientRounds:
    """The rounds of each start up to the one that is not over after until[row] steps."""
    distribution: Any = setting.distribution
    shards, first = shards_for(setting, starts, np.zeros(len(starts), np.int64), [{}])
    clients, sampled = distribution.owners[0], setting.workers
    samples = shards.table[:, 1].astype(np.int64)[first[:, None] + np.arange(clients)]
    batches = batches_of(samples, setting.batch)
    steps = distribution.steps_of_clients(batches)
    shortest = np.partition(steps, sampled - 1, axis=1)[:, sampled - 1]  # of any round, which has as many clients
    rounds = 1 + int((until // shortest).max())
    chosen, ends = np.zeros((len(starts), rounds, sampled), np.int64), np.full((len(starts), rounds), (1 << ROW_BITS) - 1)
    _kernel()(starts.astype(np.uint32), until, steps.ravel(), (clients, sampled, rounds), seed_words(setting.seed), chosen.ravel(), ends.ravel())
    return ClientRounds(setting, starts, samples, batches, steps, chosen, ends)


@functools.cache
def _kernel() -> Any:
    from numba import types

    words, whole = types.uint32[::1], types.int64[::1]
    signature = types.void(words, whole, whole, types.UniTuple(types.int64, 3), types.UniTuple(types.uint32, 2), whole, whole)
    return bind(list_rounds, float_mode_parts(), signature)
