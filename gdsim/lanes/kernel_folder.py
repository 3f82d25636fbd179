"""Where compiled kernels are kept: a private folder, and in it one for each kind of machine.

A home may be shared by versions of gdsim and kinds of processors, each of which finds its own kernels there.
What nothing has loaded for a month is removed.
"""

import contextlib
import hashlib
import os
import pathlib
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from gdsim.lanes.machine import gdsim_sources, machine
from gdsim.lanes.turns import LOCKS
from gdsim.version import VERSION
from gdsim.words import count_of, size_of

DAY = 86400.0
KEPT_SECONDS, TIDIED_SECONDS = 30 * DAY, 7 * DAY
ENDING, WRITING = ".kernel", "writing-"
ABOUT, TIDIED = "about.txt", "tidied"


class NoCacheError(ValueError):
    """There is no folder in which kernels can be kept, or found."""


def private_folder() -> pathlib.Path:
    """The folder of compiled kernels, made if need be. Raises NoCacheError where there can be none.

    What is loaded from it is run: it must be one's own, or root's, and others may not write to it.
    """
    chosen = os.environ.get("GDSIM_CACHE_DIR")
    try:
        base = pathlib.Path(chosen or os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache").expanduser()
    except RuntimeError:
        raise NoCacheError("there is no home folder to keep compiled kernels in: set GDSIM_CACHE_DIR to a folder of yours") from None
    folder = base / ("kernels" if chosen else "gdsim/kernels")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        if state.st_uid not in (os.getuid(), 0):
            raise PermissionError(0, "it is another user's")
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(0, "others may write to it")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(0, "it cannot be read")
    except OSError as error:
        raise NoCacheError(unkept(folder, error)) from None
    return folder


def is_writable(folder: pathlib.Path) -> bool:
    """Whether kernels can be added to those of a folder, which may be a part of an image."""
    return os.access(folder, os.W_OK)


def unkept(folder: pathlib.Path, error: OSError) -> str:
    """What is said of a folder in which kernels cannot be kept."""
    where = ", where GDSIM_CACHE_DIR says" if os.environ.get("GDSIM_CACHE_DIR") else ""
    return f"compiled kernels cannot be kept in {str(folder)!r}{where}: {error.strerror or type(error).__name__}; set GDSIM_CACHE_DIR to a folder of yours"


_told = set[str]()


def tell(trouble: str) -> None:
    """Warns, once in a process, that kernels are not kept."""
    if trouble not in _told:
        _told.add(trouble)
        warnings.warn(trouble, RuntimeWarning, stacklevel=3)


def machine_folder(folder: pathlib.Path) -> pathlib.Path:
    """The folder, in that of all kernels, of those that this gdsim can use on this processor."""
    return folder / hashlib.sha256(machine().encode()).hexdigest()[:16]


def make_machine_folder(folder: pathlib.Path) -> None:
    """Makes the folder of this machine's kernels, with a file that says to people whose they are.

    Raises OSError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / ABOUT).exists():
        _, python, *rest = machine().split("\n", 2)
        text = f"gdsim {VERSION} ({gdsim_sources()[:12]}), since {time.strftime('%Y-%m-%d')}\nPython {python}\n{rest[0]}\n"
        write_whole(folder / ABOUT, text.encode())


def write_whole(path: pathlib.Path, data: bytes) -> None:
    """Writes a file, whole or not at all. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


class Held(NamedTuple):
    """Kernels of a cache."""

    kernels: int
    bytes: int

    def __str__(self) -> str:
        return f"{count_of(self.kernels, 'kernel')} in {size_of(self.bytes)}"


NOTHING = Held(0, 0)


def _files(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, os.stat_result]]:
    """The kernels under a folder, which other processes may add to and remove from, and what was left half
    written.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(ENDING) or name.startswith(WRITING):
                with contextlib.suppress(OSError):
                    path = pathlib.Path(place, name)
                    yield path, path.lstat()


def held(folder: pathlib.Path) -> tuple[Held, Held]:
    """(the kernels of this machine, those of other versions and processors)."""
    own, found = machine_folder(folder), {True: [0, 0], False: [0, 0]}
    for path, state in _files(folder):
        count = found[path.parent == own]
        count[0] += path.suffix == ENDING
        count[1] += state.st_size
    return Held(*found[True]), Held(*found[False])


def remove(folder: pathlib.Path, before: float, spared: pathlib.Path | None = None) -> Held:
    """Removes kernels that were last used `before` a time, but for those in the folder `spared`.

    A process that is about to read one compiles it again, and one that has begun reads on.
    """
    count = size = 0
    for path, state in list(_files(folder)):
        is_kernel = path.suffix == ENDING
        if path.parent != spared and state.st_mtime < (before if is_kernel else min(before, time.time() - DAY)):
            with contextlib.suppress(OSError):
                path.unlink()
                count, size = count + is_kernel, size + state.st_size
    for path in list(folder.iterdir()):
        with contextlib.suppress(OSError):
            if path.is_dir() and path != spared and not any(_files(path)) and (path / ABOUT).stat().st_mtime < before:
                for name in (LOCKS, ABOUT):
                    (path / name).unlink(missing_ok=True)
                path.rmdir()
    return Held(count, size)


def tidy(folder: pathlib.Path) -> None:
    """Removes, once a week, what was not used for a month."""
    now, mark = time.time(), folder / TIDIED
    with contextlib.suppress(OSError):
        if not mark.exists() or now - mark.stat().st_mtime > TIDIED_SECONDS:
            mark.touch(mode=0o600)
            remove(folder, now - KEPT_SECONDS)
