"""Threads of this process that train chunks: a chunk's runs are cut into batches, so that every thread has some of them."""

import concurrent.futures
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.population import Batch, Setting, train_batch
from gdsim.population.setting import kernels_for, structure_of
from gdsim.population.training import InterruptedTrainingError
from gdsim.sweep.outcomes import Outcome, Progress, Tally, failure_of, tally_of
from gdsim.sweep.plan import Chunk, Plan

# A lane that is refilled so often is hardly ever idle at the end, and what a batch costs beside its runs is spread over them.
RUNS_PER_LANE = 512
# Batches of a thread, where its lanes are still refilled often: no thread waits long for another's last.
BATCHES_PER_THREAD, OFTEN = 4, 32
# Bytes of the parameters of the runs that one thread holds.
BATCH_BYTES = 2**24


class Work(NamedTuple):
    """Runs of one chunk that one thread trains together; `first` is the place of the first among the chunk's."""

    chunk: Chunk
    setting: Setting
    batch: Batch
    width: int
    first: int


def batches_of(plan: Plan, chunk: Chunk, lanes: int | None, chosen: np.ndarray | None, threads: int) -> list[Work]:
    """A chunk's runs in batches: many for each lane, yet some for every thread."""
    batch = plan.batch_of(chunk)
    if chosen is not None:
        batch = batch.part(np.isin(batch.number, chosen))
    count = len(batch.number)
    setting = plan.groups[chunk.group].setting.for_runs(count)
    width = lanes or setting.lanes_for(-(-count // threads), threads)
    fit = BATCH_BYTES // (setting.problem.parameter_count * np.dtype(setting.dtype).itemsize)
    most = max(1, min(RUNS_PER_LANE * width, fit))
    fewest = min(BATCHES_PER_THREAD, count // (threads * width * OFTEN))
    rounds = max(1, fewest, -(-count // (threads * most)))  # as many batches for every thread
    size = -(-count // (threads * rounds * width)) * width
    return [Work(chunk, setting, batch.part(slice(k, k + size)), width, k) for k in range(0, count, size)]


_compiling = threading.Lock()


def prepare(work: Work, announce: Callable[[str], None] | None = None) -> None:
    """Makes the kernels of a batch, if they are not there yet; `announce` is told what is being compiled."""
    with _compiling:
        kernels = kernels_for(structure_of(work.setting), work.width)
        if announce is not None:
            kernels.listener = announce
        kernels.prepare()


class Gathering:
    """The columns of a chunk, into which threads put those of their batches."""

    def __init__(self, chunk: Chunk, works: Sequence[Work]) -> None:
        self.chunk = chunk
        self.count = sum(len(w.batch.number) for w in works)
        self.columns: dict[str, np.ndarray] = {}
        self.missing = len(works)
        self.tally = Tally()
        self.failed = False
        self.changing = threading.Lock()

    def put(self, first: int, columns: dict[str, np.ndarray]) -> bool:
        """Takes a batch's columns, the rows from `first`; whether that was the last."""
        rows = len(columns["status"])
        if rows == self.count:
            self.columns = columns
            return True
        with self.changing:
            if not self.columns:
                self.columns = {n: np.empty((self.count, *v.shape[1:]), v.dtype) for n, v in columns.items()}
        for name, values in columns.items():
            self.columns[name][first : first + rows] = values
        with self.changing:
            self.missing -= 1
            return self.missing == 0

    def count_in(self, tally: Tally) -> bool:
        """Counts a batch, unless the chunk has failed; whether it did."""
        with self.changing:
            if not self.failed:
                self.tally += tally
            return not self.failed

    def fail(self) -> bool:
        """Gives the chunk up; whether this was the first to do so."""
        with self.changing:
            self.failed, first = True, not self.failed
            return first


class Threads:
    """An executor. Kernels are compiled one after the other, ahead of the batches that need them."""

    def __init__(
        self,
        plan: Plan,
        threads: int,
        lanes: int | None,
        progress: Progress,
        *,
        chosen: np.ndarray | None = None,
        earlier: Callable[[np.ndarray, Setting], Any] | None = None,
        store: Any = None,
    ) -> None:
        self.plan, self.threads, self.lanes, self.progress = plan, threads, lanes, progress
        self.chosen, self.earlier, self.store = chosen, earlier, store  # `earlier`: of run numbers, the columns of their earlier ends
        self.local = threading.local()
        self.stopping = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="gdsim")
        self.ready: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.going: set[concurrent.futures.Future[None]] = set()

    def has_room(self) -> bool:
        """Whether another chunk would keep a thread busy."""
        self.going = {f for f in self.going if not f.done()}
        return len(self.going) < 4 * self.threads

    def submit(self, chunk: Chunk, tries: int) -> None:
        """Compiles what a chunk needs, and gives its batches to the threads."""
        works = batches_of(self.plan, chunk, self.lanes, self.chosen, self.threads)
        gathering = Gathering(chunk, works)
        try:
            prepare(works[0], self.progress.say)
            self.progress.message = ""
        except Exception as error:
            self._fail(gathering, "raised", error)
            return
        self.going |= {self.pool.submit(self._train, work, gathering) for work in works}

    def next(self, timeout: float) -> Outcome | None:
        """The next outcome, or None if there is none in this time."""
        try:
            return self.ready.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stops the threads, each at the end of its slice of a batch."""
        self.stopping.set()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _train(self, work: Work, gathering: Gathering) -> None:
        """Trains one thread's runs, and finishes the chunk if these were the last that it lacked."""
        if gathering.failed or self.stopping.is_set():
            return
        try:
            if not hasattr(self.local, "workspaces"):
                self.local.workspaces = {}
            earlier = None if self.earlier is None else self.earlier(work.batch.number, work.setting)
            columns = train_batch(work.setting, work.batch, work.width, self.local.workspaces, self.stopping, earlier).columns
            if gathering.count_in(tally := tally_of(columns)):  # here, and not where outcomes are taken, which may be busy compiling
                self.progress.add(tally)
            if gathering.put(work.first, columns):
                self._finish(gathering)
        except InterruptedTrainingError:
            return
        except Exception as error:
            self._fail(gathering, "raised", error)

    def _finish(self, gathering: Gathering) -> None:
        chunk, columns = gathering.chunk, gathering.columns
        if self.store is None:
            self.ready.put(Outcome(chunk, columns))
            return
        try:
            self.store.write(self.plan, chunk, columns)
            self.ready.put(Outcome(chunk))
        except OSError as error:
            self._fail(gathering, "refused", error)

    def _fail(self, gathering: Gathering, kind: str, error: BaseException) -> None:
        if gathering.fail():
            self.progress.add(Tally(*(-n for n in gathering.tally)))
            self.ready.put(Outcome(gathering.chunk, failure=failure_of(kind, error)))
