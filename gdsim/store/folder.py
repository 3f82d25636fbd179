"""A results folder: the experiment, its data, and immutable shards of finished runs, each named by the hash
of its bytes.

    experiment.json                     the canonical experiment, its hash, and the versions of its kernels' bits
    data/<hash>.npz                     the data sets, by their hashes
    shards/<chunk>-<sha256>.parquet     finished chunks, whole or not there at all
    failed/<chunk>.txt                  chunks that were given up, with what they raised
    quarantine/                         shards that were found damaged
    log.jsonl                           who wrote what and when: host, versions, times
    heartbeat, heartbeat-<I>-of-<N>     touched while a sweep, or a part of it, goes on, gone when it has ended

In a bucket the lines of the log are objects, log/<time>-<random>.json. What is done is what good shards hold:
there is no other record of it. Nothing is unpickled from a folder. Several machines may write to one; what
that asks of where it lies is told in `gdsim.store.directories`.
"""

import concurrent.futures
import contextlib
import datetime
import io
import json
import os
import platform
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.canonical import hash_of
from gdsim.store.directories import place_of
from gdsim.store.files import OF_THE_DISK
from gdsim.store.places import EXPERIMENT, File, FileState, Place, UnreachableError, data_name, failure_name
from gdsim.store.shards import DamagedShardError, Shard, name_of, read_footer, verify_once
from gdsim.version import VERSION

FORMAT = "gdsim results 2"
MOST_EXPERIMENT_BYTES = 2**25
FILES_AT_ONCE = 32
MEND = "remove it and run the same experiment again, which keeps what is finished"


class StoreError(ValueError):
    """A results folder that cannot be used: what is wrong with it, and what to do."""


class DamagedFolderError(StoreError):
    """A results folder in which something is not what its name or its hash says."""


class Found(NamedTuple):
    """The shards of a folder: the good ones by their footers, and what is wrong with the others."""

    shards: list[Shard]
    damaged: list[DamagedShardError]
    states: dict[str, FileState]  # how the files of these names lay, where that was looked at


class Store:
    """A results folder of one experiment."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.place = place_of(folder)
        self.folder = str(self.place)

    def write_experiment(self, document: dict[str, Any], held: dict[str, Any] | None) -> bool:
        """Writes `experiment.json`, if it would differ from what it held; False where another was written
        since there was none.
        """
        document = {"format": FORMAT, "gdsim": VERSION, **document}
        if held is None or any(held.get(n) != document.get(n) for n in ("sha256", "kernels", "chunk_seconds")):
            data = json.dumps(document, indent=1, sort_keys=True).encode()
            if held is not None:
                self.place.put(EXPERIMENT, data)
            elif not self.place.put_first(EXPERIMENT, data):
                return False
            self.log(experiment=document["sha256"], kernels=document["kernels"])
        return True

    def write_data(self, arrays: Mapping[str, dict[str, Any]]) -> None:
        """Adds the arrays that are not there yet, by their hashes."""
        self.place.make("data")
        for hashed, found in arrays.items():
            name = data_name(hashed)
            if not _holds(self.place, name, found):
                sink = io.BytesIO()
                np.savez_compressed(sink, **found)
                self.place.put(name, sink.getvalue())

    def experiment(self) -> dict[str, Any]:
        """What `experiment.json` says."""
        path = str(self.place.at(EXPERIMENT))
        try:
            if self.place.state(EXPERIMENT).size > MOST_EXPERIMENT_BYTES:
                raise StoreError(f"{path!r} is larger than {MOST_EXPERIMENT_BYTES:,} bytes: no experiment of gdsim's")
            found = json.loads(self.place.read(EXPERIMENT))
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(self.place.why_no_results()) from None
        except (StoreError, UnreachableError):
            raise
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise
            raise StoreError(f"{path!r} cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise DamagedFolderError(f"{path!r} cannot be read: {error}; {MEND}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise StoreError(f"{self.folder!r} is not in the format {FORMAT!r}")
        kinds = {"experiment": dict, "sha256": str, "kernels": list, "gdsim": str, "data": dict, "earlier_steps": list}
        wrong = [name for name, kind in kinds.items() if not isinstance(found.get(name), kind)]
        if wrong or hash_of(found["experiment"]) != found["sha256"]:
            raise DamagedFolderError(f"{path!r} is damaged: {'it lacks ' + wrong[0] if wrong else 'the experiment does not match its hash'}; {MEND}")
        return found

    def earlier_steps(self) -> int | None:
        """The steps that the folder's runs had before they were given more."""
        return max(self.experiment()["earlier_steps"], default=None)

    def write(self, chunk: str, data: bytes) -> str:
        """Adds the shard of a finished chunk; its name."""
        name = name_of(chunk, data)
        self.place.put(f"shards/{name}", data)
        self.place.remove(failure_name(chunk))
        return name

    def listed(self) -> list[File]:
        """What lies in `shards/`, in the order of names, but for what is being written."""
        return [File(self.place, f"shards/{name}") for name in self.place.names("shards")]

    def find(self, *, verify: bool = False, known: dict[tuple[str, FileState], Shard] | None = None) -> Found:
        """All shards by their footers, in the order of their names; to `verify`, every byte of theirs is
        checked too.

        `known` remembers from look to look the footers of files that lie as they lay.
        """
        states = {} if known is None else self.place.states("shards")
        files = self.listed() if known is None else [File(self.place, f"shards/{name}") for name in states]

        def read(file: File) -> Shard | DamagedShardError:
            try:
                if verify:
                    verify_once(file)
                if known is None:
                    return read_footer(file)
                key = (file.name, states[file.name])
                known[key] = known.get(key) or read_footer(file)
                return known[key]
            except DamagedShardError as damage:
                return damage

        def read_some(first: int) -> list[Shard | DamagedShardError]:
            return [read(file) for file in files[first : first + FILES_AT_ONCE]]

        with concurrent.futures.ThreadPoolExecutor(self.place.readers) as pool:
            found = [one for some in pool.map(read_some, range(0, len(files), FILES_AT_ONCE)) for one in some]
        return Found([s for s in found if isinstance(s, Shard)], [d for d in found if isinstance(d, DamagedShardError)], states)

    def quarantine(self, shard: File) -> None:
        """Moves a damaged shard to `quarantine/`, so that its runs are trained again."""
        self.place.move(shard.path, f"quarantine/{shard.name}")
        self.log(quarantined=shard.name)

    def quarantined(self) -> list[str]:
        """The names of the files in quarantine."""
        return self.place.names("quarantine")

    def record_failure(self, chunk: str, text: str) -> None:
        """Keeps what is said of a chunk that was given up."""
        self.place.make("failed")
        self.place.put(failure_name(chunk), text.encode())

    def failures(self) -> list[str]:
        """The names of the chunks that were given up."""
        return [name.removesuffix(".txt") for name in self.place.names("failed") if name.endswith(".txt")]

    def log(self, **entry: Any) -> None:
        """Appends a line on who did what; a sweep does not end because there is no room for it."""
        about = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "host": platform.node(), "gdsim": VERSION}
        with contextlib.suppress(OSError):
            self.place.note(json.dumps({**about, **entry}))

    def entries(self) -> Iterator[dict[str, Any]]:
        """The lines of the log, as far as they are whole."""
        for line in self.place.notes():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and all(isinstance(entry.get(n), str) for n in ("time", "host", "gdsim")):
                    yield entry


def _holds(place: Place, name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a file holds these arrays, and can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error), np.load(place.source(name), allow_pickle=False) as file:
        return all(a.dtype == file[n].dtype and np.array_equal(a, file[n]) for n, a in arrays.items())
    return False
