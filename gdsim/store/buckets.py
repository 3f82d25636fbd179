"""A results folder in a bucket of S3, `s3://bucket/folder`, through s3fs: objects in place of files.

An object is there whole or not at all, and every process sees it at once, so that a shard, named by its hash,
is a plain put, the same however often it is done. `experiment.json` is put on condition that there is none
(If-None-Match): of two drivers with two experiments one is refused. A line of the log is an object,
`log/TIME-RANDOM.json`. A move is a copy and a removal.

Credentials, region and endpoint are those that boto finds: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
AWS_PROFILE, AWS_ENDPOINT_URL, `~/.aws`, the role of a machine.
"""

import concurrent.futures
import contextlib
import datetime
import email.utils
import errno
import functools
import hashlib
import inspect
import io
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any

from gdsim.store.notes import END_SECONDS, ENDED_SECONDS, Notes
from gdsim.store.places import EXPERIMENT, QUESTION, FileState, UnreachableError
from gdsim.words import installs

SCHEME = "s3://"
# Shards that were read are kept up to so many bytes: their columns are asked for one by one, and each would
# be on its way for tens of milliseconds.
KEPT_BYTES = 2**28
# How long a request may take altogether: boto's own limits leave out a put whose server takes the connection
# and says nothing.
REQUEST_SECONDS = 900.0
# What a server answers where the condition of a put does not hold, or where another such put is on its way.
NOT_FIRST = {"PreconditionFailed", "ConditionalRequestConflict", "409", "412"}


class Bucket:
    """A folder in a bucket."""

    readers = 32

    def __init__(self, url: str | os.PathLike[str]) -> None:
        if not isinstance(url, str):
            raise ValueError(f'{str(url)!r} lacks a slash, as an address does that was made a Path: give a text, "s3://bucket/folder"')
        self.bucket, _, folder = url[len(SCHEME) :].strip("/").partition("/")
        if not self.bucket or not folder:
            raise ValueError(f"{url!r} is no folder of a bucket; give one, as s3://bucket/folder")
        self.folder = folder.rstrip("/")
        self.files, self.kept = _file_system(url), _kept()
        self.log: Notes | None = None  # while a sweep goes on
        self.seen: dict[str, FileState] = {}  # the shards, as they were listed

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.folder}"

    @property
    def address(self) -> str:
        """The same everywhere."""
        return str(self)

    def at(self, name: str) -> str:
        """An object's address."""
        return f"{self}/{name}"

    def make(self, *folders: str) -> None:
        """Nothing: a bucket has no folders, and no object is half written."""

    def names(self, folder: str = "") -> list[str]:
        """Objects and folders, from a listing."""
        states, folders = self._listed(folder)
        return sorted({*states, *folders})

    def states(self, folder: str) -> dict[str, FileState]:
        """From a listing."""
        return dict(sorted(self._listed(folder)[0].items()))

    def state(self, name: str) -> FileState:
        """Of a shard as it was last listed, of others as they are."""
        if name in self.seen:
            return self.seen[name]
        found = self._call("head_object", name)
        return FileState(found["ContentLength"], found["LastModified"].timestamp(), found["ETag"])

    def has(self, name: str) -> bool:
        """Whether there is this object."""
        try:
            self._call("head_object", name)
        except FileNotFoundError:
            return False
        return True

    def is_gone(self) -> bool:
        """Whether nothing lies there any more."""
        return not self.names()

    def read(self, name: str) -> bytes:
        """From memory, where it is a shard that was read of late and was not put anew before it was last
        listed.
        """
        if name not in self.seen:
            return self._cat(name)
        key = (name, self.seen[name].version)
        try:
            return self.kept[key]
        except KeyError:
            self.kept[key] = data = self._cat(name)
            return data

    def end(self, name: str, count: int) -> tuple[bytes, int]:
        """By a request for a range; what is hardly longer is read whole."""
        state = self.state(name)
        if state.size <= 2 * count or (name, state.version) in self.kept:
            data = self.read(name)
            return data[-count:], len(data)
        return self._cat(name, start=-count), state.size

    def sha256(self, name: str) -> str:
        """Of bytes in memory."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def source(self, name: str) -> io.BytesIO:
        """All bytes, in memory."""
        return io.BytesIO(self.read(name))

    def put(self, name: str, data: bytes) -> None:
        """One request."""
        self._call("put_object", name, Body=data)

    def put_first(self, name: str, data: bytes) -> bool:
        """One request, which the server refuses if there is such an object by then."""
        try:
            self._call("put_object", name, Body=data, IfNoneMatch="*")
        except OSError as error:
            if _code(error) in NOT_FIRST:
                return False
            raise
        return True

    put_lightly = put

    def move(self, name: str, goal: str) -> None:
        """A copy and a removal."""
        with contextlib.suppress(FileNotFoundError):
            self._call("copy_object", goal, CopySource={"Bucket": self.bucket, "Key": self._key(name)})
            self.remove(name)

    def remove(self, name: str) -> None:
        """One request."""
        self._call("delete_object", name)

    def note(self, line: str) -> None:
        """An object of its own, as nothing can be added to one."""
        now = datetime.datetime.now(datetime.UTC)
        name = f"log/{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.json"  # whose order is that of the lines, whichever is put first
        if self.log is None:
            self.put(name, line.encode())
        else:
            self.log.add(name, line.encode())

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """By threads; where the block has raised, lines are waited for that are soon there."""
        self.log, seconds = Notes(self.put), ENDED_SECONDS
        try:
            yield
            seconds = END_SECONDS
        finally:
            log, self.log = self.log, None
            log.end(seconds)

    def notes(self) -> Iterator[str]:
        """Read many at a time."""
        found: list[bytes] = []
        with contextlib.suppress(OSError), concurrent.futures.ThreadPoolExecutor(self.readers) as pool:
            found += pool.map(self._cat, [f"log/{name}" for name in self.names("log")])
        yield from (data.decode(errors="replace") for data in found)

    def now(self) -> float:
        """The server's time."""
        with contextlib.suppress(OSError, KeyError, ValueError):
            found = self._call("head_object", EXPERIMENT)
            return email.utils.parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        return time.time()

    def why_no_results(self) -> str:
        """What is there in its place."""
        try:
            names = self.names()
        except OSError as error:
            return f"there are no gdsim results in {str(self)!r}: {error}"
        if QUESTION in names:
            return f"{str(self)!r} holds the answer to a call, and no runs of a sweep; gd.open({str(self)!r}) opens it"
        return f"there are no gdsim results in {str(self)!r}: " + ("there is no experiment.json among its objects" if names else "no object lies there")

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _call(self, method: str, name: str, **more: Any) -> Any:
        """What S3 answers to a request about an object."""
        with self._said():
            return self.files.call_s3(method, timeout=REQUEST_SECONDS, Bucket=self.bucket, Key=self._key(name), **more)

    def _cat(self, name: str, **part: int) -> bytes:
        with self._said():
            return self.files.cat_file(f"{self.bucket}/{self._key(name)}", **_at_once(), **part)

    def _listed(self, folder: str) -> tuple[dict[str, FileState], list[str]]:
        """(the objects of a folder, the folders in it), as they are now; a listing has a thousand of them."""
        prefix = self._key(f"{folder}/" if folder else "")
        states: dict[str, FileState] = {}
        folders, more = list[str](), {}
        while True:
            with self._said():
                page = self.files.call_s3("list_objects_v2", Bucket=self.bucket, Prefix=prefix, Delimiter="/", **more)
            folders += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", ())]
            for entry in page.get("Contents", ()):
                states[entry["Key"][len(prefix) :]] = FileState(entry["Size"], entry["LastModified"].timestamp(), entry["ETag"])
            if not page.get("IsTruncated"):
                break
            more = {"ContinuationToken": page["NextContinuationToken"]}
        states.pop("", None)  # which some programs put as a mark of the folder
        if folder == "shards":
            self.seen = {f"shards/{name}": state for name, state in states.items()}
        return states, folders

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """What goes wrong as an UnreachableError of one line, a disk's error of reading and writing where it
        may be over after a while.

        An object that is not there stays a FileNotFoundError.
        """
        import aiohttp
        import botocore.exceptions as of_boto

        try:
            yield
        except of_boto.NoCredentialsError:
            raise UnreachableError(f"no credentials for {str(self)!r}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE") from None
        except (of_boto.BotoCoreError, aiohttp.ClientError, OSError) as error:
            text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
            if _code(error) == "NoSuchBucket":
                raise UnreachableError(f"there is no bucket {self.bucket!r}") from error
            if isinstance(error, FileNotFoundError):
                raise
            if isinstance(error, PermissionError):
                raise UnreachableError(f"{str(self)!r} is refused to these credentials: {text}") from error
            raise UnreachableError(errno.EIO, f"{str(self)!r} cannot be reached: {text}") from error


def _code(error: BaseException | None) -> str:
    """The word of S3 for what is wrong, as boto's exception has it, from which others were raised."""
    while error is not None and not hasattr(error, "response"):
        error = error.__cause__
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))


def _file_system(url: str) -> Any:
    """s3fs with the credentials of the surroundings. Raises ValueError where it is missing."""
    try:
        import s3fs
    except ImportError:
        raise ValueError(f"{url!r} needs the package s3fs, which is not installed: {installs('s3')}") from None
    return s3fs.S3FileSystem()


@functools.cache
def _at_once() -> dict[str, int]:
    """What asks s3fs for an object by one request, where newer versions would ask for its size before."""
    import s3fs

    return {"max_concurrency": 1} if "max_concurrency" in inspect.signature(s3fs.S3FileSystem._cat_file).parameters else {}


def _kept() -> Any:
    """A mapping that forgets what was used longest ago."""
    import zict

    def weight(_: tuple[str, str], data: bytes) -> float:
        return len(data)

    return zict.LRU(KEPT_BYTES, {}, weight=weight)
