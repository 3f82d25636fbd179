"""Child processes that compile kernels while this one compiles another, or trains.

A child is forked, not started anew: it has what was imported, the user's functions, and what the kernels
before it have typed and lowered. It leaves its kernel in the cache on disk, where this process finds it. What
goes wrong in a child costs its time alone: this process then compiles the kernel itself, and says what there
is to say.
"""

import _thread
import contextlib
import contextvars
import gc
import mmap
import os
import pathlib
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from gdsim.lanes.announcing import announce, announcing, is_importing
from gdsim.lanes.kept_files import KeptFile
from gdsim.lanes.kernel_folder import NoCacheError, is_writable, private_folder

TICK_SECONDS = 0.01
HUNG_TICKS = 500  # without a moment of the processor
LOOKING_SECONDS = 0.1  # for kernels that are missing, before those that are known are gone on with
ORPHAN_SECONDS = 0.1
# Python's and JAX's of a fork beside threads, as (message, category, module): what a child needs, no other thread holds.
FORK_WARNINGS = re.compile(r".*\bfork\(\)", re.IGNORECASE), Warning, re.compile(re.escape(__name__))
MOST_KERNELS = 2**14  # of which children are told who has them

locks: list[Any] = []  # of compilers beside Numba's that are loaded, which they take before its own


class Child:
    """A process that compiles a kernel, and then others of the same structure that nobody has begun."""

    def __init__(self, number: int, kernel: Any) -> None:
        self.number, self.kernel = number, kernel
        self.used, self.idle = "", 0

    def is_hung(self) -> bool:
        """Whether the thread that compiles has had no moment of the processor for many ticks: it may wait for a
        lock that a thread of its parent held when it was forked.
        """
        with contextlib.suppress(OSError):
            used = " ".join(pathlib.Path(f"/proc/{self.number}/task/{self.number}/stat").read_text().rpartition(")")[2].split()[11:13])
            self.used, self.idle = used, 0 if used != self.used else self.idle + 1
        return self.idle >= HUNG_TICKS

    def end(self) -> int | None:
        """How it has ended, by `os.waitpid`; None while it works."""
        try:
            number, status = os.waitpid(self.number, os.WNOHANG)
        except ChildProcessError:  # someone else has asked before
            return 0
        return status if number else None

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(OSError):
            os.kill(self.number, signal.SIGKILL)
            os.waitpid(self.number, 0)


class Children:
    """At most so many processes that compile, this one among them.

    `wanted` are the kernels of each structure: the one that this process asks for first, and then those that
    take longest first.

    `make` leaves a kernel in the cache; `check` is called all the while that a child is waited for, and may
    raise.
    """

    def __init__(self, processes: int, wanted: Iterable[Sequence[Any]], make: Callable[[Any], object], check: Callable[[], object] = lambda: None) -> None:
        self.processes, self.make, self.check = processes, make, check
        self.wanted = iter(wanted if processes > 1 and can_help() else ())
        self.next: list[Any] = []  # of the structure whose kernels are begun
        self.going: dict[int, Child] = {}
        self.places: dict[str, int] = {}
        self.takers = memoryview(mmap.mmap(-1, 4 * MOST_KERNELS)).cast("i")  # [place] the process that has a kernel, 0 for none; its children see it too

    def has_made(self, kernel: Any) -> bool:
        """Whether a child has left a kernel in the cache. If not, it is the caller's to make, beside what
        children make.
        """
        self._take(kernel)
        told = ""
        while self._taker(kernel) in self.going and not is_made(kernel):
            if (titles := self._titles(kernel)) != told:
                announce(f"compiling {titles}")
                told = titles
            self.check()
            time.sleep(TICK_SECONDS)
            self._reap()
            self._fill(self.processes)
        by_child = is_made(kernel)
        if by_child and self._taker(kernel) in (0, os.getpid()):  # an earlier process left it: nothing may be missing
            return False
        self._reap()
        self._fill(self.processes - 1)
        return by_child

    def _taker(self, kernel: Any) -> int:
        """The process that has a kernel, or had it; 0 if there is none, or there are too many kernels."""
        place = self._place(kernel)
        return self.takers[place] if place < MOST_KERNELS else 0

    def _place(self, kernel: Any) -> int:
        """Where it stands who has a kernel."""
        return self.places.setdefault(kernel.digest, len(self.places))

    def _take(self, kernel: Any) -> bool:
        """Takes a kernel for this process; whether no other had.

        Where two do so at once, one will wait for the other's.
        """
        place = self._place(kernel)
        if place >= MOST_KERNELS or self.takers[place]:
            return False
        self.takers[place] = os.getpid()
        return True

    def _titles(self, asked: Any) -> str:
        """What is being compiled, each kind once."""
        kernels = [asked, *(c.kernel for c in self.going.values())]
        return ", ".join(dict.fromkeys(k.title or "other kernels" for k in kernels))

    def _fill(self, limit: int) -> None:
        """Forks children for the next kernels that nobody has, but while a module is imported, whose lock the
        compiler may ask for.
        """
        until = 0.0 if is_importing() else time.perf_counter() + LOOKING_SECONDS
        while len(self.going) < limit and time.perf_counter() < until:
            while not self.next:
                structure = next(self.wanted, None)
                if structure is None:
                    return
                self.next = list(structure)
                list(map(self._place, self.next))  # before there is a child, which must know the same
            kernel = self.next.pop(0)
            if not is_made(kernel) and self._take(kernel):
                number = forked(lambda kernel=kernel: self._live_for(kernel))
                if number is None:
                    self._stop()
                else:
                    self.takers[self._place(kernel)] = number
                    self.going[number] = Child(number, kernel)

    def _live_for(self, kernel: Any) -> None:
        """What a child does: its own, then others from the end, for its parent begins at the front."""
        self.make(kernel)
        for other in reversed(self.next):
            if not is_made(other) and self._take(other):
                self.make(other)

    def _reap(self) -> None:
        """Takes leave of children that have ended; one that was killed, as where memory is short, that hung,
        or that could leave nothing is the last.
        """
        for number, child in list(self.going.items()):
            status = child.end()
            is_hung = status is None and child.is_hung()
            if is_hung:
                child.kill()
            elif status is None:
                continue
            del self.going[number]
            if is_hung or os.WIFSIGNALED(status or 0) or (status == 0 and not is_made(child.kernel)):
                self._stop()

    def _stop(self) -> None:
        """There are no more children."""
        self.wanted, self.next = iter(()), []

    def close(self) -> None:
        """Ends all that still work."""
        self._stop()
        while self.going:
            self.going.popitem()[1].kill()


def is_made(kernel: Any) -> bool:
    """Whether a kernel is in the cache."""
    return KeptFile(kernel.digest).exists()


_helping: contextvars.ContextVar[Children | None] = contextvars.ContextVar("children", default=None)


@contextlib.contextmanager
def helped_by(children: Children | None) -> Iterator[None]:
    """Children compile for this thread in the block."""
    previous = _helping.set(children)
    try:
        yield
    finally:
        _helping.reset(previous)


def made_by_child(kernel: Any) -> bool:
    """Whether a child has left a kernel in the cache, that is one that compiles for this thread."""
    children = _helping.get()
    return children is not None and children.has_made(kernel)


def can_help() -> bool:
    """Whether children can be forked here, and leave kernels where their parent finds them."""
    try:
        folder = private_folder()
    except NoCacheError:
        return False
    return is_writable(folder) and sys.platform == "linux" and pathlib.Path("/proc/self/task").exists()


def forked(work: Callable[[], object]) -> int | None:
    """The number of a child process that does some work with the compiler; None where there can be none."""
    from llvmlite.binding import ffi
    from numba.core.compiler_lock import global_compiler_lock

    if not warnings.filters or warnings.filters[0][1:4] != FORK_WARNINGS:  # or others come before it
        warnings.filterwarnings("ignore", FORK_WARNINGS[0].pattern, FORK_WARNINGS[1], FORK_WARNINGS[2].pattern)
    parent = os.getpid()
    with contextlib.ExitStack() as stack:
        for lock in (*locks, global_compiler_lock, ffi.lib._lock):
            stack.enter_context(lock)
        held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            number = os.fork()
            if number == 0:
                _live(work, parent, held)
        except (OSError, RuntimeError):  # too many processes, too little memory, an interpreter that may not
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return number


def _live(work: Callable[[], object], parent: int, mask: Iterable[int]) -> NoReturn:
    """The whole life of a child, which says nothing, hears no Ctrl-C, and ends with its parent."""
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):  # which would run what its parent does then
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        sys.stdout = sys.stderr = None  # which in a notebook are no files
        warnings.simplefilter("ignore")
        gc.disable()
        _thread.start_new_thread(_end_with, (parent,))
        with announcing(_give_up):
            work()
        os._exit(0)
    finally:
        os._exit(1)


def _give_up(what: str) -> None:
    """Ends the wait for another process, whose kernel will be this one's parent's to wait for."""
    raise InterruptedError(what)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)
