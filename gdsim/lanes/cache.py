"""The cache of compiled kernels: a file for each, named by a hash of all that decides its code, made by one
process for all that share the folder.
"""

import contextlib
import hashlib
import os
import pathlib
import pickle
import time
from collections.abc import Iterator
from typing import Any

from gdsim.lanes.announcing import announce
from gdsim.lanes.kernel_folder import DAY, ENDING, NoCacheError, machine_folder, make_machine_folder, private_folder, tell, tidy, unkept, write_whole
from gdsim.lanes.turns import turn

MAGIC = b"gdsim kernel 2\n"


class DiskCache:
    """One kernel's file: a checksum, then Numba's compiled result.

    It plays the part of Numba's own cache of a function.

    Numba's index lets two processes exchange entries and loads damaged ones. Here one key is one file,
    written under another name and renamed, and nothing is unpickled before its checksum is right; what is not
    right is made again.
    """

    def __init__(self, digest: str) -> None:
        self.path: pathlib.Path | None = None
        self.trouble = ""  # why the kernel is not kept
        self.hit = False
        self.payload: bytes | None = None
        try:
            self.path = machine_folder(private_folder()) / f"{digest}{ENDING}"
        except NoCacheError as error:
            self.trouble = str(error)
        self.cache_path = str(self.path and self.path.parent)

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

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled result, or None."""
        from numba.core.compiler import CompileResult

        if not self.exists():
            return None
        payload, self.payload = self.payload, None
        assert payload is not None
        try:
            result = CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever an entry from another build of Numba may raise, the remedy is the same
            self._discard()
            return None
        self.hit = True
        return result

    def save_overload(self, signature: Any, result: Any) -> None:
        """Writes the compiled result, whole or not at all.

        A full or read-only disk costs the cache, not the run.
        """
        from numba.core.serialize import dumps

        if self.path is None or result.library.has_dynamic_globals:
            return
        payload = dumps(result._reduce())
        try:
            make_machine_folder(self.path.parent)  # which may have been removed meanwhile
            write_whole(self.path, self._head(payload) + payload)
        except OSError as error:
            self.trouble = unkept(self.path.parent, error)

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
            self._discard()
            return None
        if time.time() - used > DAY:
            with contextlib.suppress(OSError):
                os.utime(self.path)  # by which `tidy` tells what is used
        return payload

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            if self.path is not None:
                self.path.unlink()
