"""Files that processes keep of what took them long to make: one for each, named by a hash of all that decides what is
in it, made by one process for all that share the folder.
"""

import contextlib
import hashlib
import os
import pathlib
import time
from collections.abc import Iterator

from gdsim.lanes.announcing import announce
from gdsim.lanes.kernel_folder import DAY, ENDING, NoCacheError, machine_folder, make_machine_folder, private_folder, tell, tidy, unkept, write_whole
from gdsim.lanes.turns import turn

MAGIC = b"gdsim kernel 2\n"


class KeptFile:
    """One kernel's file: a checksum, then what was made.

    One key is one file, written under another name and renamed, and nothing of it is given to anybody before its
    checksum is right; what is not right is made again.
    """

    def __init__(self, digest: str) -> None:
        self.path: pathlib.Path | None = None
        self.trouble = ""  # why the kernel is not kept
        self.hit = False  # whether it was found, and is used
        self.payload: bytes | None = None
        try:
            self.path = machine_folder(private_folder()) / f"{digest}{ENDING}"
        except NoCacheError as error:
            self.trouble = str(error)

    def exists(self) -> bool:
        """Whether an earlier process left this kernel, whole."""
        if self.payload is None:
            self.payload = self._read()
        return self.payload is not None

    @contextlib.contextmanager
    def made_once(self, title: str | None) -> Iterator[None]:
        """A block in which the kernel is found or made, by one process at a time of those that share the
        folder.

        The others wait for it, and find it then. Announces what is waited for, and what is made if it has a
        title; warns where it is not kept.
        """
        with contextlib.ExitStack() as stack:
            if self.path is not None and not self.exists():
                try:
                    make_machine_folder(self.path.parent)
                except OSError as error:
                    self.trouble = unkept(self.path.parent, error)
                else:
                    stack.enter_context(turn(self.path, self.exists, lambda: announce(f"waiting for another process that compiles {title or 'a kernel'}")))
            if title is not None and not self.exists():
                announce(f"compiling {title}")
            yield
        if self.trouble:
            tell(self.trouble)
        elif self.path is not None and not self.hit:
            tidy(self.path.parent.parent)

    def take(self) -> bytes | None:
        """What an earlier process made, or None; the file forgets it. Who can't use it says so by `discard`."""
        self.hit = self.exists()
        payload, self.payload = self.payload, None
        return payload

    def keep(self, payload: bytes) -> None:
        """Writes what was made, whole or not at all.

        A full or read-only disk costs the cache, not the run.
        """
        if self.path is None:
            return
        try:
            make_machine_folder(self.path.parent)  # which may have been removed meanwhile
            write_whole(self.path, self._head(payload) + payload)
        except OSError as error:
            self.trouble = unkept(self.path.parent, error)

    def discard(self) -> None:
        """Removes the file, which is of no use."""
        self.hit, self.payload = False, None
        with contextlib.suppress(OSError):
            if self.path is not None:
                self.path.unlink()

    def _head(self, payload: bytes) -> bytes:
        """What a file begins with: its checksum holds the kernel's name, so that no kernel is taken for
        another.
        """
        assert self.path is not None
        return MAGIC + hashlib.sha256(self.path.stem.encode() + payload).digest()

    def _read(self) -> bytes | None:
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as file:
                used = os.fstat(file.fileno()).st_mtime
                data = file.read()
        except OSError:
            return None
        head, payload = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
        if head != self._head(payload):
            self.discard()
            return None
        if time.time() - used > DAY:
            with contextlib.suppress(OSError):
                os.utime(self.path)  # by which `tidy` tells what is used
        return payload
