"""Files that appear whole or not at all, the traces of writers that died, and folders that were not meant."""

import contextlib
import errno
import os
import pathlib
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from gdsim.words import nearest

WRITING = ".writing-"
# A writer of another machine or container is not known to have died before its file has lain so long.
ABANDONED_SECONDS = 3600.0
# What a disk or a file server may refuse for a while, and not for what was asked of it.
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT}
# What a file system answers that has no links.
WITHOUT_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write_atomically(path: pathlib.Path, data: bytes) -> None:
    """The file with these bytes, or no file: temporary name in the same folder, sync, rename, sync of the
    folder.

    Raises OSError, which names the file and not the temporary one.
    """
    with _written_beside(path, data) as name:
        os.replace(name, path)


def write_first(path: pathlib.Path, data: bytes) -> bool:
    """The same where there is no such file yet; False, and nothing is changed, where there is one, even if it
    has come just now.

    By a link, which a file system gives a name at most once; one that has no links takes the last of several
    to write at once.
    """
    with _written_beside(path, data) as name:
        try:
            os.link(name, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in WITHOUT_LINKS:
                raise
            if path.exists():
                return False
            os.replace(name, path)
    return True


@contextlib.contextmanager
def _written_beside(path: pathlib.Path, data: bytes) -> Iterator[str]:
    """The temporary name of a file with these bytes, beside the path that the block gives it; then it is
    gone, and the folder synced.
    """
    with _naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{writing_here()}-")
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, 0o644)  # others on a shared file system read the results too
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield name
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name)
        sync_folder(path.parent)


class Process(NamedTuple):
    """A process, as a folder that several machines and containers see tells of it."""

    host: str
    pid: int
    processes: str  # whose numbers they are: a container may bear the machine's name, and has its own


def this_process() -> Process:
    """The process that asks."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return Process(platform.node(), os.getpid(), "".join(filter(str.isdecimal, space)))


def has_died(process: Process | None) -> bool | None:
    """Whether a process has died; None where that is not seen from here, as of another machine, another
    container or nobody.
    """
    if process is None or process != this_process()._replace(pid=process.pid):
        return None
    try:
        os.kill(process.pid, 0)
    except OSError as error:  # that of another user may not be signalled
        return isinstance(error, ProcessLookupError)
    return False


def writing_here(prefix: str = WRITING) -> str:
    """How the names of this process's temporary files begin, by which `writer_of` finds it."""
    return prefix + "@".join(map(str, this_process()))  # no host's name has an @: "node" is not taken for "node-17"


def writer_of(name: str, prefix: str = WRITING) -> Process | None:
    """The process whose temporary file has this name; None for what no process has named so."""
    found = re.match(rf"{re.escape(prefix)}([^@]*)@(\d+)@(\d*)-", name)
    return Process(found[1], int(found[2]), found[3]) if found else None


@contextlib.contextmanager
def appearing(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A name beside the target, which takes the target's when all is written, and is gone if it is not.

    Raises OSError, which names the target and not the name beside it.
    """
    with _naming(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=WRITING, ignore_cleanup_errors=True) as folder:
        place = pathlib.Path(folder) / target.name
        yield place
        os.replace(place, target)


@contextlib.contextmanager
def _naming(target: pathlib.Path) -> Iterator[None]:
    """What the system refuses a temporary file beside the target, said of the target."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


def sync_folder(folder: pathlib.Path) -> None:
    """Makes what was renamed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_abandoned(folder: pathlib.Path) -> None:
    """Removes the temporary files of writers that have died."""
    for path in folder.glob(f"{WRITING}*"):
        with contextlib.suppress(OSError):
            gone = has_died(writer_of(path.name))
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS if gone is None else gone:
                path.unlink()


def why_no_results(folder: pathlib.Path) -> str:
    """What to say of a folder of results that is not one, and which may have been meant."""
    if not folder.exists():
        here = folder.parent
        if not here.is_dir():
            return f"there are no gdsim results in {str(folder)!r}: neither this folder nor the one around it is there"
        near = [p.name for p in _results_in(here)]
        return f"there are no gdsim results in {str(folder)!r}: there is no such folder" + (f"; in {str(here)!r}, {nearest(folder.name, near)}" if near else "")
    if not folder.is_dir():
        return f"{str(folder)!r} is a file; give the folder of the results{_or(folder)}"
    if (folder / "question.json").is_file():
        return f"{str(folder)!r} holds the answer to a call, and no runs of a sweep{_or(folder)}; gd.open({str(folder)!r}) opens it"
    within = [str(p) for p in _results_in(folder)]
    meant = f"; {', '.join(map(repr, within[:3]))}{' and others' if len(within) > 3 else ''} {'does' if len(within) == 1 else 'do'}" if within else _or(folder)
    return f"{str(folder)!r} holds no gdsim results: there is no experiment.json{meant}"


def _results_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of results that lie in a folder, which may not be ours to read."""
    try:
        return sorted(p.parent for p in folder.glob("*/experiment.json"))
    except OSError:
        return []


def _or(place: pathlib.Path) -> str:
    """The folder of results in which a place lies, as a hint."""
    above = next((p for p in list(place.parents)[:2] if (p / "experiment.json").is_file()), None)
    return f", {str(above)!r}" if above else ""
