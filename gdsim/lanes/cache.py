"""The cache of kernels that Numba compiles for processors."""

import pickle
from typing import Any

from gdsim.lanes.kept_files import KeptFile


class DiskCache:
    """A kernel's file in the part of Numba's own cache of a function.

    Numba's index lets two processes exchange entries and loads damaged ones. Here each kernel has a file of its
    own, and nothing is unpickled before its checksum is right.
    """

    def __init__(self, digest: str) -> None:
        self.file = KeptFile(digest)
        self.cache_path = str(self.file.path and self.file.path.parent)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled result, or None."""
        from numba.core.compiler import CompileResult

        payload = self.file.take()
        if payload is None:
            return None
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever an entry from another build of Numba may raise, the remedy is the same
            self.file.discard()
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Writes the compiled result, if it can be kept."""
        from numba.core.serialize import dumps

        if self.file.path is not None and not result.library.has_dynamic_globals:
            self.file.keep(dumps(result._reduce()))
