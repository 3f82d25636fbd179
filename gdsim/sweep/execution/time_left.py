"""How long a sweep still takes, from what its runs and its kernels have taken so far."""

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gdsim.sweep.planning.plan import Chunk, Plan


class Going(NamedTuple):
    """Runs that a thread is training."""

    group: int
    runs: int
    began: float


class Remaining:
    """What is missing, by structure: runs, whose seconds are those of finished ones, and kernels.

    A structure of which no run has finished is weighed by its operations; so runs that end early count as
    what they took. All seconds are of one thread; `now` is any clock's.
    """

    def __init__(self, runs: Mapping[int, int], operations: Sequence[float], threads: int = 1) -> None:
        self.runs, self.operations, self.threads = dict(runs), operations, threads
        self.timed: dict[int, tuple[int, float]] = {}  # how many runs took how many seconds
        self.going: dict[int, Going] = {}
        self.compiled: dict[int, float] = {}
        self.changing = threading.Lock()

    def begin(self, key: int, group: int, runs: int, now: float) -> None:
        """A thread, named by `key`, begins to train runs."""
        with self.changing:
            self.going[key] = Going(group, runs, now)

    def leave(self, key: int, now: float | None) -> None:
        """It has left them: finished, in what time they took, or given up, where `now` is None."""
        with self.changing:
            going = self.going.pop(key)
        if now is not None:
            self.finish(going.group, going.runs)
            self.time(going.group, going.runs, now - going.began)

    def finish(self, group: int, runs: int) -> None:
        """So many runs of a structure are no longer missing; a negative number are again."""
        with self.changing:
            self.runs[group] = self.runs.get(group, 0) - runs

    def time(self, group: int, runs: int, seconds: float) -> None:
        """So many runs of a structure took so many seconds."""
        with self.changing:
            had, took = self.timed.get(group, (0, 0.0))
            self.timed[group] = had + runs, took + seconds

    def compile(self, group: int, seconds: float) -> None:
        """The kernels of a structure are there after so many seconds."""
        with self.changing:
            self.compiled.setdefault(group, seconds)

    def seconds(self, now: float) -> float | None:
        """The time left; None while no run has finished."""
        with self.changing:
            timed, missing, going, compiled = dict(self.timed), dict(self.runs), list(self.going.values()), dict(self.compiled)
        took = sum(seconds for _, seconds in timed.values())
        operations = sum(runs * self.operations[group] for group, (runs, _) in timed.items())
        if not operations or not any(count > 0 for count in missing.values()):
            return None if not operations else 0.0
        cost = {g: s / n if n else self.operations[g] * took / operations for g, (n, s) in ((g, timed.get(g, (0, 0.0))) for g in missing)}
        training = sum(max(0, count) * cost[group] for group, count in missing.items())
        rest = [max(0.0, g.runs * cost[g.group] - (now - g.began)) for g in going]
        training += sum(rest) - sum(g.runs * cost[g.group] for g in going)
        kernels = [g for g, count in missing.items() if count > 0 and g not in compiled]
        compiling = len(kernels) * sum(compiled.values()) / max(1, len(compiled))
        # Kernels are made one after the other, beside runs that are trained; what one thread has begun, no
        # other can take.
        return max([compiling, *rest, (max(0.0, training) + compiling) / max(1, self.threads)])


def remaining_of(plan: Plan, todo: Sequence[Chunk], threads: int, chosen: np.ndarray | None = None) -> Remaining:
    """What chunks of a plan take; of their runs those that are chosen, if only some are."""
    runs: dict[int, int] = {}
    for chunk in todo:
        count = chunk.size if chosen is None else int(np.isin(plan.numbers_of(chunk), chosen).sum())
        runs[chunk.group] = runs.get(chunk.group, 0) + count
    counts = [g.counted_operations if number in runs else 0.0 for number, g in enumerate(plan.groups)]
    return Remaining(runs, counts, threads)
