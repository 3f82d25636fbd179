"""Threads of this process that train chunks: a chunk's runs are cut into batches, so that every thread has some of them, or,
for a device, those of several chunks are one batch.
"""

import concurrent.futures
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gdsim.devices import DeviceError
from gdsim.lanes.children import Children
from gdsim.population import Batch, Setting
from gdsim.population.summary import Entries, Summary, merge
from gdsim.population.training import InterruptedTrainingError, joined
from gdsim.sweep.execution.executor import FailureKind, Outcome, failure_of
from gdsim.sweep.execution.places import ChunkRows, Columns, Place, Trainer, Wanted, Work, prepare, train_from_start, works_of
from gdsim.sweep.execution.progress import Progress, Tally, tally_of
from gdsim.sweep.planning.machine import usable_cores, usable_memory
from gdsim.sweep.planning.plan import Chunk, Plan

CHILD_BYTES = 2**29  # of memory, for a process that compiles


def children_for(wanted: Iterable[Sequence[Wanted]], threads: int, check: Callable[[], None] = lambda: None) -> Children:
    """Processes that compile the kernels of structures, as many as threads will train, where there are so many cores
    and memory suffices.

    While one is waited for, `check` may raise.
    """
    return Children(min(threads, usable_cores(), usable_memory() // CHILD_BYTES), wanted, lambda kernel: kernel.leave_in_cache(), check)


def wanted_by(works: Iterable[Work], place: Place) -> Iterator[Sequence[Wanted]]:
    """The kernels of each work, but for those that cannot even be described, which is said where they are
    needed.
    """
    for work in works:
        with contextlib.suppress(Exception):
            yield place.wanted(work)


class Gathering:
    """The results of a chunk, into which threads put those of their batches."""

    def __init__(self, chunk: Chunk, setting: Setting, parts: Sequence[ChunkRows]) -> None:
        self.chunk, self.setting = chunk, setting
        self.count = sum(len(part.rows) for part in parts)
        self.missing = len(parts)
        self.tally = Tally()
        self.failed = False
        self.changing = threading.Lock()

    def put(self, part: ChunkRows, batch: Batch, columns: Columns) -> bool:
        """Takes the columns of runs of the chunk; whether these were the last."""
        self._take(part, batch, columns)
        with self.changing:
            self.missing -= 1
            return self.missing == 0

    def _take(self, part: ChunkRows, batch: Batch, columns: Columns) -> None:
        raise NotImplementedError

    def result(self) -> Any:
        """What is kept of the chunk."""
        raise NotImplementedError

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


class Rows(Gathering):
    """A row for every run."""

    columns: Columns | None = None

    def _take(self, part: ChunkRows, batch: Batch, columns: Columns) -> None:
        rows = len(columns["status"])
        if rows == self.count:
            self.columns = columns
            return
        with self.changing:
            if self.columns is None:
                self.columns = {n: np.empty((self.count, *v.shape[1:]), v.dtype) for n, v in columns.items()}
        for name, values in columns.items():
            self.columns[name][part.first : part.first + rows] = values

    def result(self) -> Columns:
        """The columns."""
        assert self.columns is not None
        return self.columns


class Counts(Gathering):
    """Counts and sums over the runs: each thread adds to tables that no other is adding to."""

    def __init__(self, chunk: Chunk, setting: Setting, parts: Sequence[ChunkRows]) -> None:
        super().__init__(chunk, setting, parts)
        self.free: list[Summary] = []

    def _take(self, part: ChunkRows, batch: Batch, columns: Columns) -> None:
        with self.changing:
            summary = self.free.pop() if self.free else None
        summary = summary or Summary(self.setting, len(self.chunk.cells))
        summary.add(columns, batch.cell, batch.start)
        with self.changing:
            self.free.append(summary)

    def result(self) -> Entries:
        """The entries of all threads' tables as one."""
        entries: Entries = {}
        for summary in self.free:
            merge(entries, summary.entries())
        return entries


def gatherings_of(plan: Plan, works: Sequence[Work]) -> dict[str, Gathering]:
    """What takes the results of each chunk that batches are of, by its name."""
    parts: dict[str, list[ChunkRows]] = {}
    for part in (part for work in works for part in work.parts):
        parts.setdefault(part.chunk.name, []).append(part)
    kind = Counts if plan.keep == "summary" else Rows
    return {name: kind(some[0].chunk, works[0].setting, some) for name, some in parts.items()}


def trained_parts(parts: Sequence[ChunkRows], batches: Sequence[Batch], columns: Columns) -> Iterator[tuple[ChunkRows, Batch, Columns]]:
    """What each chunk has of the columns of batches that were trained together."""
    first = 0
    for part, batch in zip(parts, batches, strict=True):
        last = first + len(batch.number)
        yield part, batch, {name: values[first:last] for name, values in columns.items()}
        first = last


class Threads:
    """An executor. The kernels of `todo` are compiled side by side, those of the first chunk first, and the
    others while it trains.
    """

    def __init__(
        self,
        plan: Plan,
        place: Place,
        progress: Progress,
        todo: Sequence[Chunk],
        *,
        chosen: np.ndarray | None = None,
        trainer: Trainer = train_from_start,
        keep: Callable[[Chunk, Any], object] | None = None,
    ) -> None:
        self.plan, self.place, self.progress = plan, place, progress
        self.chosen, self.trainer, self.keep = chosen, trainer, keep
        self.stopping = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(place.threads, thread_name_prefix="gdsim")
        self.ready: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.going: set[concurrent.futures.Future[None]] = set()
        self.open: set[Gathering] = set()  # chunks that are neither finished nor given up
        self.children = children_for(wanted_by(works_of(plan, todo, place, chosen), place), place.threads, progress.raise_if_interrupted)

    def room(self, waiting: Sequence[Chunk]) -> int:
        """The next that are trained together, if they would keep a thread busy."""
        self.going = {f for f in self.going if not f.done()}
        if len(self.going) >= 4 * self.place.threads:
            return 0
        alike = itertools.takewhile(lambda chunk: chunk.group == waiting[0].group, waiting)
        return len(next(self.place.together(self.plan, alike, self.chosen)))

    def submit(self, chunks: Sequence[Chunk], tried: bool) -> None:
        """Compiles what chunks of one structure need, and gives their batches to the threads."""
        works = self.place.works_of(self.plan, chunks, self.chosen)
        gatherings = gatherings_of(self.plan, works)
        self.open.update(gatherings.values())
        try:
            began = time.perf_counter()
            prepare(self.place, works[0], self.progress.say, self.children)
            self.progress.message = ""
            self.progress.remaining.compile(works[0].group, time.perf_counter() - began)
        except Exception as error:
            for gathering in gatherings.values():
                self._fail_by(gathering, error)
            return
        self.going |= {self.pool.submit(self._train, work, gatherings) for work in works}

    def next(self, timeout: float) -> Outcome | None:
        """The next outcome, or None if there is none in this time."""
        try:
            return self.ready.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stops the threads, each at the end of its slice of a batch; what they had counted of chunks that
        are not finished is lost.
        """
        self.stopping.set()
        self.children.close()
        self.pool.shutdown(wait=True, cancel_futures=True)
        for gathering in list(self.open):
            self._give_up(gathering)

    def _train(self, work: Work, gatherings: Mapping[str, Gathering]) -> None:
        """Trains one thread's runs, and finishes the chunks of which these were the last that they lacked. Where chunks fail
        together, each is trained by itself, and fails by itself.
        """
        parts = [part for part in work.parts if not gatherings[part.chunk.name].failed]
        if not parts or self.stopping.is_set():
            return
        try:
            batches = [part.batch(self.plan) for part in parts]
            columns = self._timed(work._replace(parts=parts), joined(batches))
        except InterruptedTrainingError:
            return
        except Exception as error:
            if len(parts) == 1 or isinstance(error, DeviceError):
                for part in parts:
                    self._fail_by(gatherings[part.chunk.name], error)
                return
            for part in parts:
                self._train(work._replace(parts=[part]), gatherings)
            return
        for part, batch, own in trained_parts(parts, batches, columns):
            self._put(gatherings[part.chunk.name], part, batch, own)

    def _put(self, gathering: Gathering, part: ChunkRows, batch: Batch, columns: Columns) -> None:
        """Counts runs of a chunk, and finishes it if these were the last that it lacked."""
        try:
            if gathering.count_in(tally := tally_of(columns)):  # here, and not where outcomes are taken, which may be busy compiling
                self.progress.add(tally)
            if gathering.put(part, batch, columns):
                self._finish(gathering)
        except Exception as error:
            self._fail_by(gathering, error)

    def _timed(self, work: Work, batch: Batch) -> Columns:
        """The columns of a batch's runs, whose time tells how long others will take."""
        remaining, now, thread = self.progress.remaining, None, threading.get_ident()
        remaining.begin(thread, work.group, work.runs, time.perf_counter())
        try:
            columns = self.trainer(self.place.training(work, self.stopping, self.progress.say), work, batch)
            now = time.perf_counter()
        finally:
            remaining.leave(thread, now)
        return columns

    def _finish(self, gathering: Gathering) -> None:
        chunk, result = gathering.chunk, gathering.result()
        if self.keep is not None:
            try:
                self.keep(chunk, result)
            except OSError as error:
                self._fail(gathering, FailureKind.REFUSED, error)
                return
        self.open.discard(gathering)
        self.ready.put(Outcome(chunk, result if self.keep is None else None))

    def _fail_by(self, gathering: Gathering, error: Exception) -> None:
        """Gives a chunk up by what its compilation or training has raised; a device that fails would fail every other chunk."""
        self._fail(gathering, FailureKind.REFUSED if isinstance(error, DeviceError) else FailureKind.RAISED, error)

    def _fail(self, gathering: Gathering, kind: FailureKind, error: BaseException) -> None:
        if self._give_up(gathering):
            self.ready.put(Outcome(gathering.chunk, failure=failure_of(kind, error)))

    def _give_up(self, gathering: Gathering) -> bool:
        """Counts as missing again what was counted of a chunk; whether that was not done before."""
        self.open.discard(gathering)
        is_first = gathering.fail()
        if is_first:
            self.progress.remaining.finish(gathering.chunk.group, -gathering.tally.runs)
            self.progress.add(Tally(*(-n for n in gathering.tally)))
        return is_first
