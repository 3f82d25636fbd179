"""How far a sweep is: counted from any thread, told to whoever listens; and interrupts, heard where it is
safe.
"""

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple, Protocol

import numpy as np

from gdsim.stops import STATUSES
from gdsim.sweep.execution.time_left import Remaining

TICK_SECONDS = 0.2
ENDING = "interrupted: ending what is on the way"
# What adds to it where a second interrupt ends the process; those that come sooner are of the same press, as
# of a launcher that sends several.
AT_ONCE, PRESS_SECONDS = " (again to end at once)", 1.0


@contextlib.contextmanager
def every(seconds: float, action: Callable[[], object], name: str) -> Iterator[None]:
    """Does something now and every so many seconds, in a thread of that name, until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        action()
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Piece(Protocol):
    """What is done, stored and tried again at once: a chunk of a plan, or items of a question."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def group(self) -> int: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


class Tally(NamedTuple):
    """What a finished chunk, or a part of it, is counted as."""

    runs: int = 0
    run_steps: int = 0
    converged: int = 0  # and so on: how many runs have ended by each status
    stopped: int = 0
    stalled: int = 0
    diverged: int = 0
    budget: int = 0

    def __add__(self, other: Any) -> "Tally":
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


def tally_of(columns: dict[str, np.ndarray]) -> Tally:
    """How many runs and run-steps these columns hold, and how many runs of each status."""
    status = columns["status"]
    counts = dict(zip(STATUSES, np.bincount(status, minlength=len(STATUSES)).tolist(), strict=True))
    return Tally(len(status), int(columns["steps_taken"].sum()), **counts)


class State(NamedTuple):
    """How far a sweep is."""

    runs: int
    runs_done: int  # those of an earlier attempt too
    run_steps_done: int  # of this attempt
    seconds: float  # of this attempt
    diverged: int
    message: str  # what is being done beside training; "" if nothing is
    failed: int = 0  # chunks that were given up
    seconds_left: float | None = None  # None while nothing is known
    kind: str = "run"  # what is counted, in one word


class Progress:
    """Counts what is done, from any thread, and reports it.

    A listener whose `ticks` is true is told a few times a second too; one whose `at_once` is a function has a
    second interrupt call it; one that has `tell` is given sentences that stay to be read.
    """

    def __init__(self, runs: int, listener: Callable[[State], None] | None = None, remaining: Remaining | None = None, kind: str = "run") -> None:
        self.runs, self.listener, self.kind = runs, listener, kind
        self.remaining = Remaining({}, ()) if remaining is None else remaining
        self.began = time.perf_counter()
        self.tally, self.failed, self.message = Tally(), 0, ""
        self.chunks = self.chunks_missing = 0  # of a sweep in a folder
        self.interrupted_at: float | None = None
        self.at_once: Callable[[], object] | None = getattr(listener, "at_once", None)
        self.counting = threading.Lock()

    def add(self, tally: Tally) -> None:
        """Counts what is done; what was counted and is lost, with negative numbers."""
        with self.counting:
            self.tally += tally
            self._notify()

    @property
    def interrupted(self) -> bool:
        """Whether someone has asked the sweep to end."""
        return self.interrupted_at is not None

    def raise_if_interrupted(self) -> None:
        """Raises KeyboardInterrupt if someone asks for it."""
        if self.interrupted:
            raise KeyboardInterrupt

    def interrupt(self) -> bool:
        """Asks the sweep to end, which the next tick acknowledges; whether it was asked before.

        Called by a signal's handler, which may hold any lock.
        """
        now = time.monotonic()
        if self.interrupted_at is None:
            self.interrupted_at = now
        return now - self.interrupted_at >= PRESS_SECONDS

    def say(self, message: str) -> None:
        """Says what is being done until the next message."""
        self.raise_if_interrupted()
        self.message = message
        self._notify()

    def tell(self, sentence: str) -> None:
        """Says what is to be read after the next message too: in a line of its own, or by a warning where no progress is shown."""
        if self.listener is None:
            warnings.warn(sentence, RuntimeWarning, stacklevel=2)
        else:
            getattr(self.listener, "tell", self.say)(sentence)

    def fail(self, chunk: Piece) -> None:
        """Counts a chunk that is given up."""
        self.failed += 1
        self.remaining.finish(chunk.group, chunk.size)
        self._notify()

    def state(self) -> State:
        """How far the sweep is now."""
        done, now = self.tally, time.perf_counter()
        message = ENDING + (AT_ONCE if self.at_once else "") if self.interrupted else self.message
        return State(self.runs, done.runs, done.run_steps, now - self.began, done.diverged, message, self.failed, self.remaining.seconds(now), self.kind)

    def _notify(self) -> None:
        if self.listener is not None:
            self.listener(self.state())

    def ticking(self) -> contextlib.AbstractContextManager[None]:
        """Tells a listener that ticks how far the sweep is, also while nothing happens."""
        return every(TICK_SECONDS, self._notify, "gdsim-progress") if getattr(self.listener, "ticks", False) else contextlib.nullcontext()


@contextlib.contextmanager
def deferred_signals(progress: Progress) -> Iterator[None]:
    """Notes Ctrl-C (and, where a program ends by it, SIGTERM), to be heard where it is safe: LLVM's callbacks
    lose exceptions.

    A second one is heard at once, by `progress.at_once` where there is such, else by who heard signals
    before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        if progress.interrupt():
            progress.at_once() if progress.at_once else held[number](number, frame)

    ours = [number for number, handler in held.items() if callable(handler)]
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, held[number])
