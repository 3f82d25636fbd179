"""Where a results folder lies: what a store asks of a place.

`directories` and `buckets` are the two kinds that there are.
"""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

EXPERIMENT, QUESTION, THEN, LOG = "experiment.json", "question.json", "then.json", "log.jsonl"


def data_name(digest: str) -> str:
    """The file of arrays that have this hash."""
    return f"data/{digest}.npz"


def failure_name(chunk: str) -> str:
    """The file that says why a chunk was given up."""
    return f"failed/{chunk}.txt"


class UnreachableError(OSError):
    """A place that cannot be reached, or that refuses: which tells nothing of the files in it."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class FileState(NamedTuple):
    """How a file lies there."""

    size: int
    time: float  # of its last change, in seconds by the clock of the place
    version: Any  # another where it was written anew


class Place(Protocol):
    """A folder for results, whose files are named by their paths in it, as `shards/NAME`.

    A file that is put appears whole or not at all, whoever else writes it too. What cannot be done raises
    OSError.
    """

    readers: int  # how many threads read at once, which hide how far away it is

    @property
    def address(self) -> str:
        """What other processes find it by."""
        ...

    def at(self, name: str) -> pathlib.Path | str:
        """What a user calls a file; `str` of the place is what a user calls the folder."""
        ...

    def make(self, *folders: str) -> None:
        """Makes the folder, and these folders in it, and takes away what writers have left there that
        died.
        """
        ...

    def names(self, folder: str = "") -> list[str]:
        """The names of what lies in a folder, sorted, but for what is being written.

        Raises NotADirectoryError for a file.
        """
        ...

    def states(self, folder: str) -> dict[str, FileState]:
        """The files of a folder, by their names."""
        ...

    def state(self, name: str) -> FileState:
        """How a file lies there. Raises FileNotFoundError."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is this file."""
        ...

    def is_gone(self) -> bool:
        """Whether there is no folder of results any more."""
        ...

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""
        ...

    def end(self, name: str, count: int) -> tuple[bytes, int]:
        """(the last bytes of a file, so many if it has them; the bytes that it has).

        Raises FileNotFoundError.
        """
        ...

    def sha256(self, name: str) -> str:
        """The hash of a file's bytes. Raises FileNotFoundError."""
        ...

    def source(self, name: str) -> Any:
        """What NumPy and PyArrow read a file from."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Puts a file there, in the place of an older one, and returns when it is safe."""
        ...

    def put_first(self, name: str, data: bytes) -> bool:
        """Puts a file where none was seen; False, and nothing is changed, if another was quicker."""
        ...

    def put_lightly(self, name: str, data: bytes) -> None:
        """Puts a small file that may be lost."""
        ...

    def move(self, name: str, goal: str) -> None:
        """Gives a file another name; nothing, if another process was quicker."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...

    def note(self, line: str) -> None:
        """Adds a line to the log."""
        ...

    def noting(self) -> contextlib.AbstractContextManager[None]:
        """A block in which `note` need not wait for its line to be there, which it is at the block's end
        unless it cannot be.
        """
        ...

    def notes(self) -> Iterator[str]:
        """The lines of the log."""
        ...

    def now(self) -> float:
        """The time by the clock that `FileState.time` goes by, which may be another machine's."""
        ...

    def why_no_results(self) -> str:
        """What to say where there is no experiment."""
        ...


class File(NamedTuple):
    """A file of a place."""

    place: Place
    path: str

    def __str__(self) -> str:
        return str(self.place.at(self.path))

    @property
    def name(self) -> str:
        """Its name in its folder."""
        return self.path.rpartition("/")[2]

    def source(self) -> Any:
        """What NumPy and PyArrow read it from."""
        return self.place.source(self.path)
