"""Processes that would make the same file take turns: one makes it, and the others find it."""

import contextlib
import fcntl
import os
import pathlib
import time
from collections.abc import Callable, Iterator

# How long a process waits for another, which may be stopped for good, before it makes the file itself.
LONGEST_SECONDS = 60.0
LATER_SECONDS = 5.0  # once it has waited in vain: who is stopped may hold more
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
LOCKS = "locks"


@contextlib.contextmanager
def turn(path: pathlib.Path, is_made: Callable[[], bool], waiting: Callable[[], object]) -> Iterator[None]:
    """A block that one process at a time enters for a file, once it `is_made` at the latest.

    Each calls `waiting` until then, which may raise. Where the file system knows no locks, or another process
    takes too long, all enter. A lock ends with its process, however that ends.
    """
    # One byte of one file for each name: no lock's file has to be removed, which is never safe while others may open it.
    place = int.from_bytes(path.stem.encode()[-7:])
    handle = _handle(path.parent / LOCKS)
    is_taken = handle is not None and _take(handle, place, is_made, waiting)
    try:
        yield
    finally:
        if handle is not None and is_taken:
            with contextlib.suppress(OSError):
                fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)


_handles: dict[pathlib.Path, int] = {}
_in_vain: set[int] = set()  # handles of files at which this process has waited for too long


def _handle(path: pathlib.Path) -> int | None:
    """A file that is open for as long as the process lives: closing it would end all of its locks."""
    if path not in _handles:
        try:
            _handles[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
    return _handles[path]


def _take(handle: int, place: int, is_made: Callable[[], bool], waiting: Callable[[], object]) -> bool:
    """Whether the lock was taken before the file was made, or too much time had passed."""
    longest = LATER_SECONDS if handle in _in_vain else LONGEST_SECONDS
    until, pause = time.monotonic() + longest, SHORTEST_PAUSE
    while time.monotonic() < until:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            return True
        except BlockingIOError:  # another has it
            waiting()
        except OSError:  # there are no locks
            return False
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        if is_made():
            return False
    _in_vain.add(handle)
    return False
