"""Whether a sweep is going on: its driver touches a small file in the folder while it lives, and removes it
at the end.

Nothing of it is believed for what is done, and it is no lock. Drivers of several parts have a file each, and
the one that was last alive is told of; of two drivers of the same, the last to write.
"""

import contextlib
import json
from collections.abc import Iterator

import msgspec

from gdsim.store.files import Process, has_died, this_process
from gdsim.store.places import Place
from gdsim.sweep.execution.progress import Progress, every
from gdsim.sweep.planning.job_parts import PlanPart

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
def beating(place: Place, progress: Progress, part: PlanPart | None = None) -> Iterator[None]:
    """Gives signs of life in a folder, until the block ends."""
    name = NAME if part is None else f"{NAME}-{part.number}-of-{part.of}"
    _remove_dead(place)
    try:
        with every(BEAT_SECONDS, lambda: _write(place, name, progress), "gdsim-heartbeat"):
            yield
    finally:
        _remove(place, name)


def silence(place: Place) -> None:
    """Removes the files of this process, which ends at once: nothing else of it says so to other machines."""
    with contextlib.suppress(OSError):
        for name in place.names():
            if name.startswith(NAME):
                _remove(place, name)


def driver_of(place: Place) -> Driver | None:
    """Who drives the sweep of a folder, or died in doing so, of several the last that is alive; None where
    nobody does.
    """
    return min(_drivers(place).values(), key=lambda d: (not d.is_alive, d.seconds_ago), default=None)


def _drivers(place: Place) -> dict[str, Driver]:
    """Who is told of by the files of a folder, by their names."""
    names = [name for name in place.names() if name.startswith(NAME)]
    now = place.now() if names else 0.0
    return {name: found for name in names if (found := _driver_in(place, name, now)) is not None}


def _driver_in(place: Place, name: str, now: float) -> Driver | None:
    """Who has written a file; None for what is none."""
    try:
        age = now - place.state(name).time
        held = json.loads(place.read(name))
        host, pid, runs = str(held["host"]), int(held["pid"]), int(held["runs_done"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = age < ALIVE_SECONDS and not has_died(Process(host, pid, str(held.get("processes"))))
    return Driver(host, pid, runs, max(0.0, age), alive)


def _write(place: Place, name: str, progress: Progress) -> None:
    """The file, whole or as it was; a disk that has no room for it ends no sweep."""
    with contextlib.suppress(OSError):
        place.put_lightly(name, json.dumps({**this_process()._asdict(), "runs_done": progress.tally.runs, "runs": progress.runs}).encode())


def _remove_dead(place: Place) -> None:
    """Removes the files of drivers that have died: of parts that may be cut otherwise by now, no driver would
    write over them.
    """
    with contextlib.suppress(OSError):
        for name, driver in _drivers(place).items():
            if not driver.is_alive:
                place.remove(name)


def _remove(place: Place, name: str) -> None:
    """Removes the file, unless it is another driver's."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        held = json.loads(place.read(name))
        if this_process()._asdict().items() <= held.items():
            place.remove(name)
