"""The cache of compiled kernels: a private folder with a file for each, named by a hash of all that decides
its code.
"""

import contextlib
import hashlib
import os
import pathlib
import pickle
import stat
import tempfile
from typing import Any

MAGIC = b"gdsim kernel 2\n"
NO_FOLDER = "no private folder for compiled kernels can be written; set GDSIM_CACHE_DIR to one"


def cache_folder() -> pathlib.Path | None:
    """The private folder of compiled kernels, made if need be; None where there can be none."""
    with contextlib.suppress(OSError, RuntimeError):  # no home, no room, no permission
        chosen = os.environ.get("GDSIM_CACHE_DIR")
        base = pathlib.Path(chosen) if chosen else pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "gdsim"
        folder = base / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        # What is loaded is run: a folder that others own or may write to is not ours to trust.
        if state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and os.access(folder, os.W_OK):
            return folder
    return None


class DiskCache:
    """One kernel's file: a checksum, then Numba's compiled result.

    It plays the part of Numba's own cache of a function.

    Numba's index lets two processes exchange entries and loads damaged ones. Here one key is one file,
    written under another name and renamed, and nothing is unpickled before its checksum is right; what is not
    right is made again.
    """

    def __init__(self, digest: str) -> None:
        folder = cache_folder()
        self.path = folder / f"{digest}.kernel" if folder else None
        self.hit = False
        self.cache_path = str(folder)

    def exists(self) -> bool:
        """Whether an earlier process left this kernel."""
        return self.path is not None and self.path.exists()

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled result, or None."""
        from numba.core.compiler import CompileResult

        payload = self._read()
        if payload is None:
            return None
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
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix="writing-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self._head(payload) + payload)
                os.replace(name, self.path)
            except OSError:
                os.unlink(name)
                raise

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
            data = self.path.read_bytes()
        except OSError:
            return None
        head, payload = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
        if head == self._head(payload):
            return payload
        self._discard()
        return None

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            if self.path is not None:
                self.path.unlink()
