"""PTX for the tests, kept on disk beside the kernels of processors: what one process compiles, the others find."""

import hashlib
from typing import Any

from gdsim.lanes.compiler import describe
from gdsim.lanes.kept_files import KeptFile


def kept_ptx(template: Any, parts: Any, arguments: tuple[Any, ...], capability: tuple[int, int] = (9, 0)) -> str:
    """The PTX of a template with its parts in place, found or made."""
    from gdsim.lanes import cuda

    bound = describe(template, parts, arguments)
    file = KeptFile(hashlib.sha256("\n".join([bound.digest, f"ptx {capability}", *cuda.versions()]).encode()).hexdigest())
    with file.made_once(None):
        found = file.take()
        if found is None:
            found = cuda.ptx_of(bound, capability).encode()
            file.keep(found)
    return found.decode()
