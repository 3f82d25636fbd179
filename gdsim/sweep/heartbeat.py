"""Whether a sweep is going on: its driver touches a small file in the folder while it lives, and removes it at the end.

Nothing of it is believed for what is done, and it is no lock: of two drivers of one folder the last to write is told of.
"""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from typing import Any

import msgspec

from gdsim.sweep.files import is_alive
from gdsim.sweep.places import Place
from gdsim.sweep.progress import Progress, every

NAME = "heartbeat"
BEAT_SECONDS = 10.0
# A driver that has given no sign of life for so long has died.
ALIVE_SECONDS = 60.0


class Driver(msgspec.Struct, frozen=True):
    """The process that drives a folder's sweep, or drove it when it died."""

    host: str
    pid: int
    runs_done: int
    seconds_ago: float  # of its last sign of life
    is_alive: bool


@contextlib.contextmanager
def beating(place: Place, progress: Progress) -> Iterator[None]:
    """Gives signs of life in a folder, until the block ends."""
    try:
        with every(BEAT_SECONDS, lambda: _write(place, progress), "gdsim-heartbeat"):
            yield
    finally:
        _remove(place)


def driver_of(place: Place) -> Driver | None:
    """Who drives the sweep of a folder, or died in doing so; None where nobody does."""
    try:
        age = place.now() - place.state(NAME).time
        held = json.loads(place.read(NAME))
        host, pid, runs = str(held["host"]), int(held["pid"]), int(held["runs_done"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    can_be_seen = (host, held.get("processes")) == (platform.node(), _processes())
    alive = age < ALIVE_SECONDS and (not can_be_seen or is_alive(pid))
    return Driver(host, pid, runs, max(0.0, age), alive)


def _mine() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "processes": _processes()}


def _processes() -> str:
    """What tells this system's processes from those of a container, which may bear the same host's name and other numbers."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _write(place: Place, progress: Progress) -> None:
    """The file, whole or as it was; a disk that has no room for it ends no sweep."""
    with contextlib.suppress(OSError):
        place.put_lightly(NAME, json.dumps({**_mine(), "runs_done": progress.tally.runs, "runs": progress.runs}).encode())


def _remove(place: Place) -> None:
    """Removes the file, unless it is another driver's."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        held = json.loads(place.read(NAME))
        if {name: held.get(name) for name in _mine()} == _mine():
            place.remove(NAME)
