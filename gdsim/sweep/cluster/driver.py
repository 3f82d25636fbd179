"""The driver of a sweep, or of a question, on a Dask cluster: sends chunks to its workers, and counts what comes
back.

What travels to a worker for a sweep is the folder's path, the experiment's hash and a task, chunks of about a
second altogether: what Dask does for a task, about 10 ms of the driver and the scheduler, it does not do for
every short chunk.
"""

import collections
import contextlib
import itertools
import math
import pathlib
import queue
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol

from gdsim.canonical import digest
from gdsim.problems import Own
from gdsim.store.folder import Store
from gdsim.sweep.cluster.pools import offers, resources_of
from gdsim.sweep.cluster.worker import ChunkError, HowTrained, MismatchError, Receipt, mismatch, train_chunks, versions
from gdsim.sweep.execution.executor import Failure, FailureKind, Outcome, SomePiece, UnfinishedError, failure_of
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.device_batches import USUAL_MULTIPROCESSORS, together
from gdsim.sweep.planning.memory import check_worker
from gdsim.sweep.planning.plan import Chunk, Plan
from gdsim.words import count_of

# Tasks on the way for each thread of the cluster: one in training, one at hand, and some for workers that are
# quick.
TASKS_PER_THREAD, FEWEST_TASKS = 2, 4
# How long short chunks of a task take together, how many they are at most, and into how many tasks of a
# thread the last are cut.
TASK_SECONDS, CHUNKS_PER_TASK, LAST_TASKS = 1.0, 128, 4
LOOK_SECONDS = 2.0
# How long a cluster may have no workers before someone to whom no progress is shown is told so.
ALONE_SECONDS = 3.0
ANSWER_SECONDS = 30.0
# How long a sweep that is to be trained on GPUs waits for a worker that offers one where there are others: they are started side
# by side, and a GPU's container may be the larger; and one that was lost may be followed by another.
OFFER_SECONDS = 60.0


def workers_of(client: Any) -> dict[str, str]:
    """By the address of each of a cluster's workers, why it cannot give the bits of this process; nothing
    where it can.

    A worker that dies as it is asked is left out: each checks again with every chunk.
    """
    wrong = {}
    for address, found in client.run(versions, on_error="return").items():
        if isinstance(found, OSError):
            continue
        if isinstance(found, BaseException):
            wrong[address] = "it has no gdsim" if isinstance(found, ModuleNotFoundError) else f"{type(found).__name__}: {found}"
        else:
            wrong[address] = mismatch(found, versions())
    return wrong


def modules_beside(problems: Iterable[Any]) -> list[str]:
    """The folders of the user's own modules, where workers look for them too."""
    files = {getattr(sys.modules.get(p.function.__module__), "__file__", None) for p in problems if isinstance(p, Own)}
    return sorted(str(pathlib.Path(f).resolve().parent) for f in files if f)


class Job(Protocol):
    """What workers are to do with chunks or pieces: a task is a call of `function`."""

    @property
    def function(self) -> Callable[..., Sequence[Receipt]]:
        """What makes and writes them; raises ChunkError, whatever goes wrong."""
        ...

    def arguments(self, chunks: Sequence[Any]) -> tuple[Any, ...]:
        """What it is called with."""
        ...

    def task_name(self, chunks: Sequence[Any]) -> str:
        """What a dashboard calls a task."""
        ...

    @property
    def resources(self) -> Mapping[str, float]:
        """What a task takes of what workers offer, by Dask's names: it goes to those alone that offer that."""
        ...

    def together(self, chunks: Sequence[Any]) -> int:
        """How many of the next chunks a worker is to make at once."""
        ...

    def check_worker(self, limit: int, threads: int) -> None:
        """Refuses a worker process of so many threads and so much memory. Raises ValueError."""
        ...


class Training(NamedTuple):
    """The job of training chunks of a sweep into a folder."""

    plan: Plan
    store: Store
    how: HowTrained
    digest: str  # of the sweep
    beside: tuple[str, ...]  # the folders of the user's own modules

    @classmethod
    def of(cls, sweep: Experiment, plan: Plan, store: Store, how: HowTrained) -> "Training":
        """That of a sweep, whose hash takes milliseconds where it has many values."""
        return cls(plan, store, how, digest(sweep), tuple(modules_beside(sweep.problem)))

    @property
    def function(self) -> Callable[..., Sequence[Receipt]]:
        """What a worker does."""
        return train_chunks

    def arguments(self, chunks: Sequence[Chunk]) -> tuple[Any, ...]:
        """The folder's path, the experiment's hash, and how chunks are trained."""
        return self.store.place.address, self.digest, chunks, self.how, versions(), self.beside

    def task_name(self, chunks: Sequence[Chunk]) -> str:
        """Of the structure."""
        from gdsim.sweep.cluster.metrics import task_name  # and with it distributed

        return task_name(self.plan, chunks)

    @property
    def resources(self) -> Mapping[str, float]:
        """A share of a GPU, if the sweep is to be trained on GPUs."""
        return resources_of(self.how.device)

    def together(self, chunks: Sequence[Chunk]) -> int:
        """Those of one structure that a usual GPU trains together, if the sweep is to be trained on GPUs."""
        if not self.resources:
            return 1
        alike = itertools.takewhile(lambda chunk: chunk.group == chunks[0].group, chunks)
        return len(next(together(self.plan, alike, USUAL_MULTIPROCESSORS)))

    def check_worker(self, limit: int, threads: int) -> None:
        """By the memory that the plan takes."""
        check_worker(self.plan, limit, threads)


class Cluster(Generic[SomePiece]):
    """An executor on a `distributed.Client`, whose workers see the folder under the same path."""

    def __init__(self, client: Any, job: Job, progress: Progress) -> None:
        self.client, self.job, self.progress = client, job, progress
        self.ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.going: dict[str, tuple[Any, Sequence[SomePiece]]] = {}
        self.outcomes: collections.deque[Outcome[SomePiece]] = collections.deque()  # of tasks that are done
        self.chunk_seconds, self.finished = math.inf, 0  # of a thread, as chunks came back; how many since the last look
        self.failed_on: dict[str, set[str]] = {}
        self.uncounted: list[Any] = []  # futures of finished tasks
        self.sent, self.mark = 0, secrets.token_hex(4)
        self.counted = time.perf_counter()
        self.threads, self.looked = 0, -LOOK_SECONDS
        self.known, self.pool = set[str](), set[str]()  # the addresses of workers, and of those to which tasks can go
        self.lacking: float | None = None  # since when there are workers, and none to which tasks can go; None while there is one
        self.told = set[str]()  # what was told of workers
        self.alone: float | None = time.perf_counter()  # since when there were no workers; None once there were some, or it was said
        self._check_workers()

    def _check_workers(self) -> None:
        """Refuses workers that would give other bits, and a scheduler that could not read what is sent,
        before anything is.
        """
        try:
            self.client.run_on_scheduler(mismatch, {}, {})
        except ModuleNotFoundError as error:
            raise MismatchError(f"the scheduler lacks a package that it needs to hand out chunks ({error}): start it where gdsim is installed") from None
        wrong = [f"{address}: {text}" for address, text in workers_of(self.client).items() if text]
        if wrong:
            raise MismatchError(f"{count_of(len(wrong), 'worker')} cannot give the same bits as this process: {wrong[0]}")
        self._meet_workers()

    def _meet_workers(self) -> None:
        """Finds out which workers have what tasks take, and refuses those that may not have the memory, also
        those that join a cluster later.
        """
        workers = self.client.sync(self.client.scheduler.identity, callback_timeout=ANSWER_SECONDS)["workers"]
        self.known, self.pool = set(workers), {address for address, worker in workers.items() if offers(worker, self.job.resources)}
        for address in self.pool:
            self.job.check_worker(workers[address].get("memory_limit") or 0, workers[address].get("nthreads", 1))

    def room(self, waiting: Sequence[SomePiece]) -> int:
        """How many of the chunks that wait would keep a worker busy as one task; 0 while the scheduler is being
        reached again.
        """
        if self.client.status != "running":
            if self.client.status in ("closing", "closed"):
                raise UnfinishedError("the scheduler cannot be reached any more; what is finished is kept")
            return 0
        self._look()
        if len(self.going) >= max(FEWEST_TASKS, TASKS_PER_THREAD * self.threads):
            return 0
        fitting = min(CHUNKS_PER_TASK, int(TASK_SECONDS / self.chunk_seconds))
        share = len(waiting) // (LAST_TASKS * max(1, self.threads))  # so that the last tasks are short, and no worker waits long for another's
        at_once = min(self.job.together(waiting), len(waiting) // max(1, len(self.pool)))
        return max(1, at_once, min(fitting, share))

    def _look(self) -> None:
        """Finds out, now and then, how many threads the workers have, and how long each of them took for a
        chunk of late.
        """
        now = time.perf_counter()
        if now - self.looked <= LOOK_SECONDS or self.client.status != "running":
            return
        if self.finished and self.threads:
            seconds = self.threads * (now - self.looked) / self.finished
            self.chunk_seconds = seconds if math.isinf(self.chunk_seconds) else (self.chunk_seconds + seconds) / 2
        self.looked, self.finished = now, 0
        try:
            workers = self.client.sync(self.client.scheduler.ncores, callback_timeout=5.0)
            if self.job.resources or not self.known.issuperset(workers):  # what workers offer may be withdrawn, as by another sweep
                self._meet_workers()
            self.threads = sum(threads for address, threads in workers.items() if address in self.pool)
            self.progress.remaining.threads = self.threads
        except (OSError, TimeoutError):
            return  # the client reports a lost scheduler by itself
        self._check_offers(now, len(workers))
        self._say_alone(now)

    def _check_offers(self, now: float, workers: int) -> None:
        """Ends the waiting for what none of so many workers offers, or offers any more. Raises UnfinishedError."""
        self.lacking = None if self.threads or not workers else self.lacking or now
        if self.lacking is not None and now - self.lacking >= OFFER_SECONDS:
            raise UnfinishedError(
                f"the cluster has {count_of(workers, 'worker')}, and for {OFFER_SECONDS:g} s none that offers a {' and a '.join(self.job.resources)}: "
                "start workers that do (cluster/README.md), or give device='auto', with which processors train too"
            )

    def _say_alone(self, now: float) -> None:
        """Says that there are no workers: in the progress, or by a warning where none is shown."""
        of_them = "".join(f" that offer the resource {name}" for name in self.job.resources)
        alone = "" if self.threads else f"the cluster has no workers{of_them}; waiting for some"
        self.progress.say(alone)
        if not alone:
            self.alone = None
        elif self.progress.listener is None and self.alone is not None and now - self.alone > ALONE_SECONDS:
            self.alone = None
            warnings.warn(f"{alone} (Ctrl-C ends it)", RuntimeWarning, stacklevel=2)

    def submit(self, chunks: Sequence[SomePiece], tried: bool) -> None:
        """Sends chunks out as one task; if one was tried before, to a worker on which none of them has
        failed, where there is one that any may have.
        """
        # After what it trains a chunk, of this driver: another's may go into another folder.
        key = f"{self.job.task_name(chunks)}-{chunks[0].name}-{self.mark}-{self.sent}"
        # Where the workers that are named leave, all others may have the task, also those without what it takes.
        workers = self._others(chunks) if tried and not self.job.resources else None
        others = {} if workers is None else {"workers": workers, "allow_other_workers": True}
        options = {"key": key, "priority": -self.sent, "pure": False, "resources": dict(self.job.resources) or None, **others}
        future = self.client.submit(self.job.function, *self.job.arguments(chunks), **options)
        self.sent += 1
        self.going[key] = (future, chunks)
        future.add_done_callback(lambda done: self.ready.put(done.key))

    def _others(self, chunks: Sequence[SomePiece]) -> list[str] | None:
        """The workers on which none of these chunks has failed; None, for any, where there are no others."""
        failed = set[str]().union(*(self.failed_on.get(c.name, ()) for c in chunks))
        return [w for w in self.client.sync(self.client.scheduler.ncores) if w in self.pool and w not in failed] or None

    def next(self, timeout: float) -> Outcome[SomePiece] | None:
        """The next outcome, or None if there is none in this time."""
        if not self.outcomes:
            try:
                future, chunks = self.going.pop(self.ready.get(timeout=timeout))
            except queue.Empty:
                self._look()
                return None
            self.outcomes.extend(self._outcomes_of(chunks, future))
        return self.outcomes.popleft()

    def _outcomes_of(self, chunks: Sequence[SomePiece], future: Any) -> list[Outcome[SomePiece]]:
        """What has become of a task's chunks."""
        if future.status == "finished":
            self._finish(chunks)
            self.finished += len(chunks)
            self.uncounted.append(future)
            if time.perf_counter() - self.counted >= LOOK_SECONDS:
                self._count()
            return [Outcome(c) for c in chunks]
        error = future.exception(timeout=ANSWER_SECONDS) if future.status == "error" else None
        future.release()
        return self._unfinished(chunks, error)

    def _unfinished(self, chunks: Sequence[SomePiece], error: BaseException | None) -> list[Outcome[SomePiece]]:
        """What has become of the chunks of a task that was lost with its workers or the scheduler, or in
        which one raised.
        """
        from distributed.scheduler import KilledWorker  # as above

        if error is None or isinstance(error, KilledWorker):
            lost = Failure(FailureKind.LOST, str(error or "the scheduler is gone"))
            return [Outcome(c, failure=lost) for c in chunks]
        if not isinstance(error, ChunkError):  # a worker that could not even read the task
            return [Outcome(c, failure=failure_of(FailureKind.RAISED, error)) for c in chunks]
        receipts, failure = error.args
        finished = len(receipts)
        self._finish(chunks[:finished])
        self._read(receipts)
        self.failed_on.setdefault(chunks[finished].name, set()).add(failure.where)
        self._take_leave(failure)
        behind = Failure(FailureKind.LOST, "the chunk before it failed")
        return [
            *(Outcome(c) for c in chunks[:finished]),
            Outcome(chunks[finished], failure=failure),
            *(Outcome(c, failure=behind) for c in chunks[finished + 1 :]),
        ]

    def _take_leave(self, failure: Failure) -> None:
        """Tells of a GPU that a worker has no more. Raises UnfinishedError where no worker offers another."""
        if failure.kind not in (FailureKind.LOST, FailureKind.DEVICE):
            return
        self._tell(f"{failure.where}: {failure.reason}")
        if failure.kind == FailureKind.LOST and self.job.resources:
            self._meet_workers()
            if not self.pool:
                raise UnfinishedError(failure.reason)

    def _tell(self, sentence: str) -> None:
        """Tells what a worker has said, once."""
        if sentence not in self.told:
            self.told.add(sentence)
            self.progress.tell(sentence)

    def _finish(self, chunks: Sequence[SomePiece]) -> None:
        """Counts the runs of finished chunks."""
        for chunk in chunks:
            self.progress.remaining.finish(chunk.group, chunk.size)
        self.progress.add(Tally(runs=sum(c.size for c in chunks)))

    def _read(self, receipts: Sequence[Receipt]) -> None:
        """Takes what workers say of finished chunks, whose runs were counted."""
        for receipt in receipts:
            self.progress.remaining.time(receipt.group, receipt.tally.runs, receipt.seconds)
            self.progress.add(receipt.tally._replace(runs=0))
            for sentence in receipt.said:
                self._tell(sentence)

    def _count(self) -> None:
        """Asks for the receipts of finished tasks, of many at once. They are for the progress alone."""
        with contextlib.suppress(OSError, TimeoutError):
            asked = lambda: self.client.gather(self.uncounted, errors="skip", asynchronous=True)  # noqa: E731
            for found in self.client.sync(asked, callback_timeout=ANSWER_SECONDS):
                self._read(found)
        self._forget()

    def _forget(self) -> None:
        for future in self.uncounted:
            future.release()
        self.uncounted.clear()
        self.counted = time.perf_counter()

    def close(self) -> None:
        """Gives up what has not begun; workers finish what they are at, and it is kept."""
        if self.uncounted and not self.going and self.client.status == "running":
            self._count()
        for future, _ in self.going.values():
            future.release()
        self.going.clear()
        self._forget()
