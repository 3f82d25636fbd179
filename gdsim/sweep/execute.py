"""Runs a plan on threads of this process: batches are the work, chunks are what is finished and stored."""

import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.population import Batch, Setting, train_batch
from gdsim.population.setting import kernels_for, structure_of
from gdsim.stops import STATUSES
from gdsim.sweep.plan import Chunk, Plan
from gdsim.sweep.result import dataset, joined, remembered


class State(NamedTuple):
    """How far a sweep is."""

    runs: int
    runs_done: int
    run_steps_done: int
    seconds: float
    diverged: int
    message: str


class Work(NamedTuple):
    """Runs of one chunk that one thread trains together; `first` is the place of the first among the chunk's."""

    chunk: Chunk
    setting: Setting
    batch: Batch
    width: int
    first: int


class Gathering:
    """The columns of a chunk, into which threads put those of their batches."""

    def __init__(self, chunk: Chunk, works: Sequence[Work]) -> None:
        self.chunk = chunk
        self.numbers = np.concatenate([w.batch.number for w in works])
        self.columns: dict[str, np.ndarray] = {}
        self.missing = len(works)
        self.changing = threading.Lock()

    def put(self, first: int, columns: dict[str, np.ndarray]) -> bool:
        """Takes a batch's columns, the rows from `first`; whether that was the last."""
        count = len(columns["status"])
        if count == len(self.numbers):
            self.columns = columns
            return True
        with self.changing:
            if not self.columns:
                self.columns = {n: np.empty((len(self.numbers), *v.shape[1:]), v.dtype) for n, v in columns.items()}
        for name, values in columns.items():
            self.columns[name][first : first + count] = values
        with self.changing:
            self.missing -= 1
            return self.missing == 0


# A lane that is refilled so often is hardly ever idle at the end, and what a batch costs beside its runs is spread over them.
RUNS_PER_LANE = 512
# Batches of a thread, where its lanes are still refilled often: no thread waits long for another's last.
BATCHES_PER_THREAD, OFTEN = 4, 32
# Bytes of the parameters of the runs that one thread holds.
BATCH_BYTES = 2**24


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


def checked_lanes(lanes: Any) -> int | None:
    """A lane width, or None for the number type's own."""
    if lanes is None:
        return None
    if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes not in (1, 2, 4, 8, 16, 32, 64):
        raise ValueError(f"lanes must be a power of two from 1 to 64; {lanes!r} was given")
    return lanes


def checked_runs(runs: Any, plan: Plan) -> np.ndarray | None:
    """The chosen run numbers, or None for all."""
    if runs is None:
        return None
    numbers = np.unique(np.asarray(runs, np.int64))
    wrong = numbers[(numbers < 0) | (numbers >= plan.runs)]
    if len(wrong) or not len(numbers):
        raise ValueError(f"runs must be numbers from 0 to {plan.runs - 1}; {wrong[0] if len(wrong) else 'none'} was given")
    return numbers


def run_sweep(sweep: Any, *, out: Any, runs: Any, threads: Any, lanes: Any, chunk_seconds: float, progress: Any) -> Any:
    """`Sweep.run`: trains what is not in the folder yet and returns the Dataset of everything."""
    plan = sweep.plan(chunk_seconds=chunk_seconds, lanes=checked_lanes(lanes))
    chosen = checked_runs(runs, plan)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads must be a whole number from 1; {threads!r} was given")
    if out is not None and chosen is not None:
        raise ValueError("runs chooses some runs to look at, and out stores whole chunks of all: give one of them")
    store = None if out is None else _store(out)
    if store is not None:
        store.create(sweep)
    executor = Executor(plan, threads or os.cpu_count() or 1, lanes, progress)
    numbers, parts = store.rows(plan, repair=True) if store is not None else (np.zeros(0, np.int64), [])
    finished, known = [numbers], numbers
    todo = plan.chunks if chosen is None else [c for c in plan.chunks if np.isin(plan.numbers_of(c), chosen).any()]
    if len(known):
        todo = [c for c in todo if not np.isin(plan.numbers_of(c), known).all()]
        executor.skip(plan.runs - sum(c.size for c in todo))
    for chunk, done, columns in executor.results(todo, chosen):
        if store is not None:
            store.write(plan, chunk, done, columns)
            store.log(wrote=chunk.name, runs=len(done), seconds=round(executor.seconds(), 3))
        fresh = ~np.isin(done, known) if len(known) else slice(None)
        finished.append(done[fresh])
        parts.append({name: values[fresh] for name, values in columns.items()})
    return remembered(sweep, dataset(plan, np.concatenate(finished), joined(parts)))


def _store(folder: Any) -> Any:
    from gdsim.sweep.store import Store  # and with it pyarrow, which runs without a folder do not need

    return Store(folder)


class Executor:
    """Threads that train batches. Kernels are compiled one after the other, ahead of the batches that need them."""

    def __init__(self, plan: Plan, threads: int, lanes: int | None, progress: Callable[[State], None] | None, earlier: Any = None) -> None:
        self.earlier = earlier  # of run numbers, the columns of their earlier ends
        self.plan, self.threads, self.lanes, self.progress = plan, threads, lanes, progress
        self.began = time.perf_counter()
        self.done = self.steps = self.diverged = self.total = 0
        self.local = threading.local()
        self.stopping = threading.Event()
        self.counting = threading.Lock()
        self.message = ""

    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self.began

    def skip(self, runs: int) -> None:
        """Counts runs that an earlier attempt has finished."""
        self.done += runs

    def tell(self, message: str = "") -> None:
        """Reports the state to who waits."""
        if self.progress is not None:
            self.progress(State(self.total, self.done, self.steps, self.seconds(), self.diverged, message))

    def results(self, chunks: Sequence[Chunk], chosen: np.ndarray | None) -> Iterator[tuple[Chunk, np.ndarray, dict[str, np.ndarray]]]:
        """(chunk, the numbers of its runs, their columns) as chunks finish."""
        self.total = self.plan.runs if chosen is None else len(chosen)
        self.tell()
        pool = concurrent.futures.ThreadPoolExecutor(self.threads, thread_name_prefix="gdsim")
        try:
            pending: set[concurrent.futures.Future[Any]] = set()
            work = self._submitted(pool, chunks, chosen)
            exhausted = False
            while pending or not exhausted:
                while not exhausted and len(pending) < 4 * self.threads:
                    future = next(work, None)
                    exhausted = future is None
                    if future is not None:
                        pending.add(future)
                if not pending:
                    break
                ready, pending = concurrent.futures.wait(pending, timeout=0.2, return_when=concurrent.futures.FIRST_COMPLETED)
                for whole in filter(None, (future.result() for future in ready)):
                    yield whole.chunk, whole.numbers, self.plan.aligned(whole.chunk, whole.columns)
        finally:
            self.stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _submitted(self, pool: Any, chunks: Sequence[Chunk], chosen: np.ndarray | None) -> Iterator[Any]:
        for chunk in chunks:
            works = batches_of(self.plan, chunk, self.lanes, chosen, self.threads)
            if works:
                self._compile(works[0])
                gathering = Gathering(chunk, works)
                for work in works:
                    yield pool.submit(self._train, work, gathering)

    def _compile(self, work: Work) -> None:
        """Makes the kernels of a chunk before its first batch, and says so."""
        kernels = kernels_for(structure_of(work.setting), work.width)
        kernels.listener = self._announce
        kernels.prepare()
        self.message = ""

    def _announce(self, message: str) -> None:
        """Says what is being compiled until it is."""
        self.message = message
        self.tell(message)

    def _train(self, work: Work, gathering: Gathering) -> Gathering | None:
        """Trains one thread's runs; the chunk's columns, if these were the last that it lacked."""
        if not hasattr(self.local, "workspaces"):
            self.local.workspaces = {}
        earlier = None if self.earlier is None else self.earlier(work.batch.number, work.setting)
        trained = train_batch(work.setting, work.batch, work.width, self.local.workspaces, self.stopping, earlier)
        with self.counting:  # here, and not where results are taken, which may be busy compiling the next structure
            self.done += len(trained.batch.number)
            self.steps += int(trained.columns["steps_taken"].sum())
            self.diverged += int((trained.columns["status"] == STATUSES.index("diverged")).sum())
            self.tell(self.message)
        return gathering if gathering.put(work.first, trained.columns) else None
