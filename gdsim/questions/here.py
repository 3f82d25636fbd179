"""Pieces of an answer made by this process, and the count of what is made."""

import concurrent.futures
import queue
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gdsim.population.workplace import Workplace
from gdsim.questions.pieces import Piece
from gdsim.questions.question import Question
from gdsim.sweep.execution.display import Listener
from gdsim.sweep.execution.executor import FailureKind, Outcome, failure_of
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.execution.time_left import Remaining

Keeper = Callable[[Piece, Mapping[str, np.ndarray]], object]


def progress_of(question: Question, listener: Listener, missing: int) -> Progress:
    """Counts a question's items, of which so many are missing."""
    progress = Progress(question.items, listener, Remaining({0: missing}, (question.operations,)), question.call.item)
    progress.add(Tally(runs=question.items - missing))
    return progress


class Here:
    """An executor of this process: one piece after the other, each on all threads, or a device."""

    def __init__(self, question: Question, place: Workplace, progress: Progress, keep: Keeper | None = None) -> None:
        self.question, self.place, self.progress, self.keep = question, place, progress, keep
        self.pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="gdsim-question")
        self.ready: queue.SimpleQueue[Outcome[Piece]] = queue.SimpleQueue()
        self.is_busy = False

    def room(self, waiting: Sequence[Piece]) -> int:
        """One piece at a time."""
        return int(not self.is_busy)

    def submit(self, chunks: Sequence[Piece], tried: bool) -> None:
        """Begins a piece."""
        self.is_busy = True
        self.pool.submit(self._make, chunks[0])

    def next(self, timeout: float) -> Outcome[Piece] | None:
        """The next outcome, or None if there is none in this time."""
        try:
            outcome = self.ready.get(timeout=timeout)
        except queue.Empty:
            return None
        self.is_busy = False
        return outcome

    def close(self) -> None:
        """Waits for the piece that is on the way, which is kept."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, piece: Piece) -> None:
        remaining, kind = self.progress.remaining, FailureKind.RAISED
        remaining.begin(0, 0, piece.size, time.perf_counter())
        now: float | None = None
        try:
            found = self.question.call.work(self.question, piece.first, piece.last, self.place)
            now, kind = time.perf_counter(), FailureKind.REFUSED
            if self.keep is not None:
                self.keep(piece, found)
        except Exception as error:
            self.ready.put(Outcome(piece, failure=failure_of(kind if isinstance(error, OSError) else FailureKind.RAISED, error)))
            return
        finally:
            remaining.leave(0, now)
        self.progress.add(Tally(runs=piece.size))
        self.ready.put(Outcome(piece, found))
