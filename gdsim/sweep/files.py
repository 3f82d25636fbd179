"""Files that appear whole or not at all, and the traces of writers that died."""

import contextlib
import os
import pathlib
import platform
import tempfile
import time
from collections.abc import Iterator

WRITING = ".writing-"
# A writer of another machine is not known to have died before its file has lain so long.
ABANDONED_SECONDS = 3600.0


def write_atomically(path: pathlib.Path, data: bytes) -> None:
    """The file with these bytes, or no file: temporary name in the same folder, sync, rename, sync of the folder."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{WRITING}{platform.node()}-{os.getpid()}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # others on a shared file system read the results too
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def appearing(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A name beside the target, which takes the target's when all is written, and is gone if it is not."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=WRITING, ignore_cleanup_errors=True) as folder:
        place = pathlib.Path(folder) / target.name
        yield place
        os.replace(place, target)


def sync_folder(folder: pathlib.Path) -> None:
    """Makes what was renamed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_abandoned(folder: pathlib.Path) -> None:
    """Removes the temporary files of writers that have died."""
    here = f"{WRITING}{platform.node()}-"
    for path in folder.glob(f"{WRITING}*"):
        with contextlib.suppress(OSError, ValueError):
            if path.name.startswith(here):
                gone = not is_alive(int(path.name.removeprefix(here).split("-")[0]))
            else:
                gone = time.time() - path.stat().st_mtime > ABANDONED_SECONDS
            if gone:
                path.unlink()


def is_alive(process: int) -> bool:
    """Whether this machine has a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
