"""One loop that drives every executor: chunks go out as there is room, outcomes come back as they are there."""

import collections
import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gdsim.stops import STATUSES
from gdsim.sweep.plan import Chunk

WAIT_SECONDS = 0.2


class UnfinishedError(RuntimeError):
    """A sweep that could not be finished: what is finished is kept, and the same call goes on from there."""


class Tally(NamedTuple):
    """What a finished chunk, or a part of it, is counted as."""

    runs: int = 0
    run_steps: int = 0
    diverged: int = 0

    def __add__(self, other: Any) -> "Tally":
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


def tally_of(columns: dict[str, np.ndarray]) -> Tally:
    """How many runs, run-steps and diverged runs these columns hold."""
    status = columns["status"]
    return Tally(len(status), int(columns["steps_taken"].sum()), int((status == STATUSES.index("diverged")).sum()))


class Failure(NamedTuple):
    """Why a chunk is not finished."""

    kind: str  # "raised" by its training, "unwritten" by a worker, "lost" with its worker, scheduler or task; "refused" by a worker or the folder
    reason: str
    text: str = ""  # the traceback
    where: str = ""  # the worker's address
    error: BaseException | None = None  # of this process


def failure_of(kind: str, error: BaseException) -> Failure:
    """An exception as a failure."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Failure(kind, reason, "".join(traceback.format_exception(error)), error=error)


class Outcome(NamedTuple):
    """What has become of a chunk: its columns or its summary, unless a store took them; or why there are none."""

    chunk: Chunk
    result: Any = None
    failure: Failure | None = None


class State(NamedTuple):
    """How far a sweep is."""

    runs: int
    runs_done: int
    run_steps_done: int
    seconds: float
    diverged: int
    message: str
    failed: int = 0


class Progress:
    """Counts what is done, from any thread, and reports it."""

    def __init__(self, runs: int, listener: Callable[[State], None] | None) -> None:
        self.runs, self.listener = runs, listener
        self.began = time.perf_counter()
        self.tally, self.failed, self.message = Tally(), 0, ""
        self.interrupted = False
        self.counting = threading.Lock()

    def add(self, tally: Tally) -> None:
        """Counts what is done; what was counted and is lost, with negative numbers."""
        with self.counting:
            self.tally += tally
            self._tell()

    def hear(self) -> None:
        """Raises KeyboardInterrupt if someone asks for it."""
        if self.interrupted:
            raise KeyboardInterrupt

    def say(self, message: str) -> None:
        """Says what is being done until the next message."""
        self.hear()
        self.message = message
        self._tell()

    def fail(self) -> None:
        """Counts a chunk that is given up."""
        self.failed += 1
        self._tell()

    def _tell(self) -> None:
        if self.listener is not None:
            done = self.tally
            self.listener(State(self.runs, done.runs, done.run_steps, time.perf_counter() - self.began, done.diverged, self.message, self.failed))


@contextlib.contextmanager
def hearing(progress: Progress) -> Iterator[None]:
    """Notes Ctrl-C (and, where a program ends by it, SIGTERM), to be heard where it is safe: LLVM's callbacks lose exceptions.

    A second one is heard at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        handler = held[number]
        if progress.interrupted and callable(handler):
            handler(number, frame)
        progress.interrupted = True

    ours = [number for number, handler in held.items() if callable(handler)]
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, held[number])


class Executor(Protocol):
    """What trains chunks: threads of this process, or the workers of a cluster."""

    def room(self, waiting: int) -> int:
        """How many of so many chunks would keep someone busy."""
        ...

    def submit(self, chunks: Sequence[Chunk], tried: bool) -> None:
        """Takes chunks, of which some may have been tried before."""
        ...

    def next(self, timeout: float) -> Outcome | None:
        """The next outcome, or None if there is none in this time."""
        ...

    def close(self) -> None:
        """Gives up what is on the way."""
        ...


@contextlib.contextmanager
def running(executor: Executor, chunks: Sequence[Chunk], progress: Progress, attempts: int) -> Iterator[Iterator[Outcome]]:
    """The outcomes of chunks, with an executor that is closed at the end, whatever ends it."""
    with hearing(progress):
        try:
            yield _outcomes(executor, chunks, progress, attempts)
        finally:
            executor.close()


def _outcomes(executor: Executor, chunks: Sequence[Chunk], progress: Progress, attempts: int) -> Iterator[Outcome]:
    """What becomes of each chunk, in the order in which they are done.

    A chunk that raises is tried again, and given up in the end; one that is lost with its worker is sent out until it comes
    back. What the folder cannot take, or a worker refuses, ends the sweep: it would be the same with every chunk. Raises
    UnfinishedError then.
    """
    waiting = collections.deque(chunks)
    tries: collections.Counter[str] = collections.Counter()
    going = 0
    while waiting or going:
        while waiting and (room := executor.room(len(waiting))):
            chunks = [waiting.popleft() for _ in range(room)]
            executor.submit(chunks, any(tries[c.name] for c in chunks))
            going += room
        outcome = executor.next(WAIT_SECONDS)
        progress.hear()
        if outcome is None:
            continue
        going -= 1
        failure = outcome.failure
        if failure is None:
            yield outcome
            continue
        tries[outcome.chunk.name] += failure.kind != "lost"
        is_last = tries[outcome.chunk.name] >= attempts
        if failure.kind == "refused" or (failure.kind == "unwritten" and is_last):
            raise UnfinishedError(failure.reason) from failure.error
        if is_last and failure.kind == "raised":
            yield outcome
        else:
            waiting.append(outcome.chunk)
