"""A directory as a place for results, and the place that a user's folder names."""

import contextlib
import hashlib
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from gdsim.filenames import scheme_of, user_path
from gdsim.store.files import WRITING, remove_abandoned, sync_folder, why_no_results, write_atomically, write_first, writing_here
from gdsim.store.places import LOG, FileState, Place


class Directory:
    """A directory of a file system whose renames are atomic; no locks are asked for."""

    readers = 4

    def __init__(self, path: pathlib.Path) -> None:
        self.root = path.absolute()  # the current folder may be another later

    def __str__(self) -> str:
        return str(self.root)

    @property
    def address(self) -> str:
        """Its path, free of links."""
        return str(self.root.resolve())

    def at(self, name: str) -> pathlib.Path:
        """A file's path."""
        return self.root / name

    source = at

    def make(self, *folders: str) -> None:
        """Makes the directories; files of writers that have died are removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in map(self.at, folders or ("",)):
            folder.mkdir(exist_ok=True)
            remove_abandoned(folder)

    def names(self, folder: str = "") -> list[str]:
        """The names of a directory's entries."""
        try:
            return sorted(entry.name for entry in os.scandir(self.at(folder)) if not entry.name.startswith(WRITING))
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            if self.at(folder).exists():
                raise
            return []  # nor can there be any, below a file

    def states(self, folder: str) -> dict[str, FileState]:
        """The entries that are still there when they are looked at."""
        found = {}
        for name in self.names(folder):
            with contextlib.suppress(FileNotFoundError):
                found[name] = self.state(f"{folder}/{name}")
        return found

    def state(self, name: str) -> FileState:
        """Size and time of the last change, which also is its version."""
        found = self.at(name).stat()
        return FileState(found.st_size, found.st_mtime, found.st_mtime_ns)

    def has(self, name: str) -> bool:
        """False too for a name that no file can have."""
        return os.path.isfile(self.at(name))

    def is_gone(self) -> bool:
        """Whether it was moved or removed."""
        return not self.at("shards").is_dir()

    def read(self, name: str) -> bytes:
        """All bytes."""
        return self.at(name).read_bytes()

    def end(self, name: str, count: int) -> tuple[bytes, int]:
        """The last bytes alone are read."""
        with open(self.at(name), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - count))
            return file.read(), size

    def sha256(self, name: str) -> str:
        """Of a file of any size, block by block."""
        with open(self.at(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def put(self, name: str, data: bytes) -> None:
        """Written beside it, synced and renamed."""
        write_atomically(self.at(name), data)

    def put_first(self, name: str, data: bytes) -> bool:
        """By a link, which only the first of several is given."""
        return write_first(self.at(name), data)

    def put_lightly(self, name: str, data: bytes) -> None:
        """Renamed and not synced."""
        beside = self.at(f"{writing_here()}-{name}")
        beside.write_bytes(data)
        os.replace(beside, self.at(name))

    def move(self, name: str, goal: str) -> None:
        """By a rename."""
        self.at(goal).parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.at(name), self.at(goal))
        sync_folder(self.at(name).parent)

    def remove(self, name: str) -> None:
        """As it says."""
        self.at(name).unlink(missing_ok=True)

    def note(self, line: str) -> None:
        """A line of `log.jsonl`."""
        with open(self.at(LOG), "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def noting(self) -> contextlib.AbstractContextManager[None]:
        """Nothing to wait for."""
        return contextlib.nullcontext()

    def notes(self) -> Iterator[str]:
        """The lines of `log.jsonl`."""
        with contextlib.suppress(OSError), open(self.at(LOG), encoding="utf-8", errors="replace") as file:
            yield from file

    def now(self) -> float:
        """The time of a file made now; this machine's in a directory that may only be read."""
        try:
            with tempfile.NamedTemporaryFile(dir=self.root, prefix=f"{writing_here()}-") as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return time.time()

    def why_no_results(self) -> str:
        """What may have been meant."""
        return why_no_results(self.root)


def place_of(folder: Any) -> Place:
    """The place that a user has named: a directory, or `s3://bucket/folder`.

    Raises TypeError and ValueError for what can be none.
    """
    scheme = scheme_of(folder)
    if scheme == "s3":
        from gdsim.store.buckets import Bucket

        return Bucket(folder)
    if scheme:
        raise ValueError(f"{str(folder)!r} cannot be a folder of results: they lie in a directory, or at s3://bucket/folder")
    return Directory(user_path(folder, "the results folder"))
