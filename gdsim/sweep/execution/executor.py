"""One loop that drives every executor: chunks go out as there is room, outcomes come back as they are
there.
"""

import collections
import contextlib
import enum
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gdsim.kernels.compile_errors import CodeError
from gdsim.sweep.execution.ahead import OF_RESULTS, importing
from gdsim.sweep.execution.progress import Piece, Progress, deferred_signals

WAIT_SECONDS = 0.2
SomePiece = TypeVar("SomePiece", bound=Piece)


class UnfinishedError(RuntimeError):
    """A sweep that could not be finished: what is finished is kept, and the same call goes on from there."""


class FailingError(UnfinishedError):
    """A sweep of which only chunks are left that fail however often they are tried: the same call would
    fail again.
    """


class FailureKind(enum.StrEnum):
    """By what a chunk has failed."""

    RAISED = "raised"  # by its training
    MISTAKEN = "mistaken"  # by code of the user's that cannot be compiled
    UNREAD = "unread"  # by the folder, that a worker read
    UNWRITTEN = "unwritten"  # by the folder, into which a worker wrote
    DEVICE = "device"  # by a worker's device, on which others were trained before
    LOST = "lost"  # with its worker, the worker's device, the scheduler or its task
    REFUSED = "refused"  # by a worker, the folder or a device


ENDING = (FailureKind.UNREAD, FailureKind.UNWRITTEN, FailureKind.DEVICE)  # the sweep, where no try is left


class Failure(NamedTuple):
    """Why a chunk is not finished."""

    kind: FailureKind
    reason: str
    text: str = ""  # the traceback
    where: str = ""  # the worker's address
    error: BaseException | None = None  # of this process


def failure_of(kind: FailureKind, error: BaseException) -> Failure:
    """An exception as a failure, of this kind but for code that cannot be compiled."""
    said = " ".join(str(error).split())
    if isinstance(error, CodeError):
        kind, reason = FailureKind.MISTAKEN, said
    else:
        reason = f"{type(error).__name__}: {said}"
    return Failure(kind, reason, "".join(traceback.format_exception(error)), error=error)


class Outcome(NamedTuple, Generic[SomePiece]):
    """What has become of a chunk: its columns or its summary, unless a store took them; or why there are
    none.
    """

    chunk: SomePiece
    result: Any = None
    failure: Failure | None = None


class Executor(Protocol[SomePiece]):
    """What trains chunks: threads of this process, or the workers of a cluster."""

    def room(self, waiting: Sequence[SomePiece]) -> int:
        """How many of the chunks that wait, the next ones, would keep someone busy."""
        ...

    def submit(self, chunks: Sequence[SomePiece], tried: bool) -> None:
        """Takes chunks, of which some may have been tried before."""
        ...

    def next(self, timeout: float) -> Outcome[SomePiece] | None:
        """The next outcome, or None if there is none in this time."""
        ...

    def close(self) -> None:
        """Gives up what is on the way."""
        ...


@contextlib.contextmanager
def running(
    executor: Executor[SomePiece], chunks: Sequence[SomePiece], progress: Progress, attempts: int, imports: Sequence[str] = ()
) -> Iterator[Iterator[Outcome[SomePiece]]]:
    """The outcomes of chunks, with an executor that is closed at the end, whatever ends it.

    Results' modules, and those that are named, are imported while the last chunks are on the way.
    """
    with progress.ticking(), deferred_signals(progress), importing([*OF_RESULTS, *imports]) as begin_imports:
        try:
            yield _outcomes(executor, chunks, progress, attempts, begin_imports)
        finally:
            executor.close()


def _outcomes(
    executor: Executor[SomePiece], chunks: Sequence[SomePiece], progress: Progress, attempts: int, when_sent: Callable[[], None]
) -> Iterator[Outcome[SomePiece]]:
    """What becomes of each chunk, in the order in which they are done; `when_sent` is called when all have
    gone out.

    A chunk that raises is tried again, and given up in the end; one that is lost with its worker is sent out
    until it comes back. What the folder cannot give or take, or devices fail at, try after try, or a worker
    refuses, ends the sweep: it would be the same with every chunk. Raises UnfinishedError then, and CodeError
    for code that no try compiles.
    """
    waiting = collections.deque(chunks)
    tries: collections.Counter[str] = collections.Counter()
    going = 0
    while waiting or going:
        while waiting and (room := executor.room(waiting)):
            chunks = [waiting.popleft() for _ in range(room)]
            executor.submit(chunks, any(tries[c.name] for c in chunks))
            going += room
        if not waiting:
            when_sent()
        outcome = executor.next(WAIT_SECONDS)
        progress.raise_if_interrupted()
        if outcome is None:
            continue
        going -= 1
        failure = outcome.failure
        if failure is None:
            yield outcome
            continue
        if failure.kind == FailureKind.MISTAKEN:
            raise CodeError(failure.reason) from (failure.error.__cause__ if failure.error else None)
        tries[outcome.chunk.name] += failure.kind != FailureKind.LOST
        is_last = tries[outcome.chunk.name] >= attempts
        if failure.kind == FailureKind.REFUSED or (failure.kind in ENDING and is_last):
            raise UnfinishedError(failure.reason) from failure.error
        if is_last and failure.kind == FailureKind.RAISED:
            yield outcome
        else:
            waiting.append(outcome.chunk)
