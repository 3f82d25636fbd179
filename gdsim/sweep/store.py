"""A results folder: the experiment, its data, and immutable shards of finished runs, each named by the hash of its bytes.

    experiment.json                     the canonical experiment, its hash, and the versions of the kernels that made its runs
    data/<hash>.npz                     the data sets, by their hashes
    shards/<chunk>-<sha256>.parquet     finished chunks, whole or not there at all
    failed/<chunk>.txt                  chunks that were given up, with what they raised
    quarantine/                         shards that were found damaged
    log.jsonl                           who wrote what and when: host, versions, times
    heartbeat, heartbeat-<I>-of-<N>     touched while a sweep, or a part of it, goes on, gone when it has ended

In a bucket the lines of the log are objects, log/<time>-<random>.json.
What is done is what good shards hold: there is no other record of it. Nothing is unpickled from a folder. Several machines may
write to one; what that asks of where it lies is told in `gdsim.sweep.directories`.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gdsim.data import stored
from gdsim.starts import Points
from gdsim.sweep.canonical import canonical, digest, encoded, hash_of
from gdsim.sweep.cells import identities_of
from gdsim.sweep.directories import place_of
from gdsim.sweep.files import OF_THE_DISK
from gdsim.sweep.larger import shown_after
from gdsim.sweep.longer import has_sums, why_not_longer, why_not_whole_epochs
from gdsim.sweep.places import EXPERIMENT, File, Place, State, UnreachableError, data_name, failure_name
from gdsim.sweep.plan import CHUNK_SECONDS, MOST_SECONDS, Chunk, Plan
from gdsim.sweep.shards import SUMMARY, DamagedShardError, Shard, name_of, read_footer, shard_bytes, verify_once
from gdsim.sweep.summaries import apart, summary_bytes
from gdsim.sweep.versions import kernel_version
from gdsim.version import VERSION
from gdsim.words import count_of

FORMAT = "gdsim results 2"
MOST_EXPERIMENT_BYTES = 2**25
# What an experiment may differ in from the one that a folder holds: it then has other cells or starts, and the same runs in those that both have.
EXTENSIBLE = {"starts", "problem", "optimizer", "schedule", "batch", "dtype"}
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


class Store:
    """A results folder of one experiment."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.place = place_of(folder)
        self.folder = str(self.place)

    def check(self, sweep: Any, *, mix: bool = False, kernels: list[int] | None = None) -> dict[str, Any] | None:
        """What `experiment.json` holds, None where there is none yet; refuses a folder of something else, before anything is written.

        `kernels` are the versions of those that made what is to be added, if not these.
        """
        if not self.place.has(EXPERIMENT):
            try:
                names = self.place.names()
            except NotADirectoryError:
                raise StoreError(f"{self.folder!r} is a file; give a folder for the results") from None
            if names and not {"shards", EXPERIMENT} & {*names}:
                raise StoreError(f"{self.folder!r} holds other files and no gdsim results; give an empty or a new folder (--out, out=)")
            if EXPERIMENT not in names:  # else another driver has just put it there
                if "shards" in names:
                    self._check_shards(sweep)
                return None
        held = self.experiment()
        self._check_same(held, sweep)
        own = kernels or [self._version(held, sweep)]
        if held["kernels"] != own and not mix:
            made, these = (" and ".join(map(str, versions)) for versions in (held["kernels"], own))
            raise StoreError(
                f"{self.folder!r} was made by kernels of version {made} (gdsim {held['gdsim']}), and these are version {these}, whose bits differ: "
                f"give another folder, or say that both may stand in one (mix=True, --mix)"
            )
        return held

    def _check_shards(self, sweep: Any) -> None:
        """Refuses a folder whose `experiment.json` has gone, and whose shards are all of other cells than a sweep's."""
        cells, shards = set(identities_of(sweep)), self.find().shards
        if shards and not any(cells.intersection(s.footer.cells) for s in of_kind(sweep.keep, shards)):
            raise StoreError(
                f"{self.folder!r} has lost its {EXPERIMENT}, and its {count_of(len(shards), 'shard holds', 'shards hold')} runs of another experiment: run that one, or give another folder"
            )

    def _check_same(self, held: dict[str, Any], sweep: Any) -> None:
        given, kept = json.loads(encoded(sweep)), held["experiment"]
        different = sorted(k for k in {*given, *kept} if kept.get(k) != given.get(k))
        if not different:
            return
        edited = _edited_function(kept, given)
        if edited:
            raise StoreError(
                f"{self.folder!r} was made with another source of {edited}, which has been edited since, or with other values of what it reads: give another folder, or restore them"
            )
        refusal = (
            f"{self.folder!r} holds another experiment (it differs in {', '.join(different)}); give another folder (--out, out=){_other_order(kept, given)}"
        )
        if not set(different) <= {*EXTENSIBLE, "steps"}:
            raise StoreError(refusal)
        if "steps" in different:
            reason = why_not_longer(sweep, kept["steps"] or 0)
            begun = why_not_whole_epochs(sweep, kept["steps"]) if not reason else ""
            if begun and not all(has_sums(s.footer.columns) for s in self.find().shards):
                reason = begun
            if reason:
                raise StoreError(f"{refusal}; {reason}")
        alike = msgspec.structs.replace(sweep, steps=kept["steps"]) if "steps" in different else sweep
        if not set(identities_of(alike)) & set(identities_of(self.sweep(held))):
            raise StoreError(refusal)

    def in_its_form(self, sweep: Any) -> Any:
        """The sweep, with problems in the form in which the folder holds them if an older version has made it."""
        if not self.place.has(EXPERIMENT):
            return sweep
        kept = self.experiment()["experiment"].get("problem", [])
        problems = tuple(p.as_in(kept) for p in sweep.problem)
        return sweep if all(a is b for a, b in zip(problems, sweep.problem, strict=True)) else msgspec.structs.replace(sweep, problem=problems)

    def _version(self, held: dict[str, Any], sweep: Any) -> int:
        """The version that these kernels have for what the folder holds, which is a sweep or may be another."""
        return kernel_version(sweep if held["sha256"] == digest(sweep) else self.sweep(held))

    def create(self, sweep: Any, *, mix: bool = False, chunk_seconds: float = CHUNK_SECONDS, kernels: list[int] | None = None) -> Any:
        """Makes the folder with the experiment and its data, or adds to it what it lacks; the sweep that it then holds, which may be a larger one.

        `kernels` as of `check`.
        """
        held = self.check(sweep, mix=mix, kernels=kernels)
        shown = self._shown(sweep, held)
        self.place.make()
        while not self.write_experiment(
            shown, held, chunk_seconds if shown is sweep else None, kernels
        ):  # first, so that whatever ends the process, the folder is known as ours
            held = self.check(sweep, mix=mix, kernels=kernels)
            shown = self._shown(sweep, held)
        self.place.make("shards", "data")
        for hashed, arrays in arrays_of(shown).items():
            name = data_name(hashed)
            if not _holds(self.place, name, arrays):
                sink = io.BytesIO()
                np.savez_compressed(sink, **arrays)
                self.place.put(name, sink.getvalue())
        return shown

    def _shown(self, sweep: Any, held: dict[str, Any] | None) -> Any:
        """The sweep that the folder holds once a sweep is run in it."""
        if held is None or held["sha256"] == digest(sweep):
            return sweep
        return shown_after(sweep, self.sweep(held), self.folder)

    def write_experiment(self, sweep: Any, held: dict[str, Any] | None, chunk_seconds: float | None = CHUNK_SECONDS, kernels: list[int] | None = None) -> bool:
        """Writes `experiment.json`, if it would differ; False where another was written since there was none.

        `chunk_seconds` None: as it holds; `kernels` as of `check`.
        """
        others = set(held["kernels"]) - {self._version(held, sweep)} if held else set()  # runs of this version are what a larger sweep's would be
        kernels = sorted({*(kernels or [kernel_version(sweep)]), *others})
        names = {**(held["data"] if held else {}), **{p.data.digest: p.data.name for p in _with_data(sweep)}}
        earlier = (set(held["earlier_steps"]) | {held["experiment"]["steps"]}) - {None, sweep.steps} if held else set()
        seconds = chunk_seconds or self.chunk_seconds(held or {})
        given = {
            "format": FORMAT, "experiment": canonical(sweep), "sha256": digest(sweep), "kernels": kernels, "gdsim": VERSION,
            "data": names, "earlier_steps": sorted(earlier), **({} if seconds == CHUNK_SECONDS else {"chunk_seconds": seconds}),
        }  # fmt: skip
        if held is None or any(held.get(n) != given.get(n) for n in ("sha256", "kernels", "chunk_seconds")):
            data = json.dumps(given, indent=1, sort_keys=True).encode()
            if held is not None:
                self.place.put(EXPERIMENT, data)
            elif not self.place.put_first(EXPERIMENT, data):
                return False
            self.log(experiment=given["sha256"], kernels=kernels)
        return True

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

    def sweep(self, held: dict[str, Any] | None = None) -> Any:
        """The sweep that the folder holds."""
        from gdsim.sweep.experiment import sweep_of

        held = held or self.experiment()
        try:
            sweep = sweep_of(held, self.place)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedFolderError(f"{self.folder!r}: its experiment cannot be read: {error}") from None
        if digest(sweep) != held["sha256"]:
            raise DamagedFolderError(f"{self.folder!r}: its experiment and data are not those of its hash; run the experiment again, which writes them anew")
        return sweep

    @staticmethod
    def chunk_seconds(held: dict[str, Any]) -> float:
        """By how much work of one core the folder's chunks were cut of late, as `experiment.json` says."""
        said = held.get("chunk_seconds")
        return said if isinstance(said, float | int) and 0 < said <= MOST_SECONDS else CHUNK_SECONDS

    def earlier_steps(self) -> int | None:
        """The steps that the folder's runs had before they were given more."""
        return max(self.experiment()["earlier_steps"], default=None)

    def write(self, plan: Plan, chunk: Chunk, result: Any) -> str:
        """Adds a finished chunk, its columns or its summary; the name of its shard."""
        made = summary_bytes if plan.keep == "summary" else shard_bytes
        data = made(chunk, [plan.identities[c] for c in chunk.cells], plan.groups[chunk.group].setting.checkpoints, result)
        name = name_of(chunk, data)
        self.place.put(f"shards/{name}", data)
        self.place.remove(failure_name(chunk.name))
        return name

    def listed(self) -> list[File]:
        """What lies in `shards/`, in the order of names, but for what is being written."""
        return [File(self.place, f"shards/{name}") for name in self.place.names("shards")]

    def find(self, *, verify: bool = False, known: dict[tuple[str, State | None], Shard] | None = None) -> Found:
        """All shards by their footers, in the order of their names; to `verify`, every byte of theirs is checked too.

        `known` remembers from look to look the footers of files that lie as they lay.
        """
        good, damaged = [], []
        states = {} if known is None else self.place.states("shards")

        def read(files: Sequence[File]) -> list[Shard | DamagedShardError]:
            found: list[Shard | DamagedShardError] = []
            for file in files:
                key = (file.name, states.get(file.name))
                try:
                    if verify:
                        verify_once(file)
                    found.append(shard := (known or {}).get(key) or read_footer(file))
                    if known is not None and key[1] is not None:
                        known[key] = shard
                except DamagedShardError as damage:
                    found.append(damage)
            return found

        files = self.listed()
        with concurrent.futures.ThreadPoolExecutor(self.place.readers) as pool:
            for found in pool.map(read, [files[k : k + FILES_AT_ONCE] for k in range(0, len(files), FILES_AT_ONCE)]):
                for one in found:
                    (good if isinstance(one, Shard) else damaged).append(one)
        return Found(good, damaged)

    def put_aside(self, shard: File) -> None:
        """Moves a damaged shard to `quarantine/`, so that its runs are trained again."""
        self.place.move(shard.path, f"quarantine/{shard.name}")
        self.log(quarantined=shard.name)

    def put_aside_names(self) -> list[str]:
        """The names of the files in quarantine."""
        return self.place.names("quarantine")

    def give_up(self, chunk: Chunk, labels: Sequence[str], text: str) -> None:
        """Keeps what a chunk raised that was given up."""
        self.place.make("failed")
        about = f"chunk {chunk.name}: starts {chunk.first_start} to {chunk.last_start - 1} of {len(chunk.cells)} cells: {'; '.join(labels[:10])}\n\n"
        self.place.put(failure_name(chunk.name), (about + text).encode())

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


def of_kind(keep: str, shards: Iterable[Shard]) -> list[Shard]:
    """Those of some shards that hold runs, or those that hold summaries of runs which no other has."""
    return apart(list(shards)) if keep == "summary" else [s for s in shards if s.footer.format != SUMMARY]


def missing_chunks(plan: Plan, shards: Iterable[Shard], chunks: Sequence[Chunk] | None = None) -> list[Chunk]:
    """What a folder with these shards lacks: whole chunks of the plan, and of those that other chunks have in part what is left.

    Of the plan's chunks it looks at `chunks`, if only some are asked for.
    """
    names = {c.name for c in plan.chunks}
    held = [s.footer for s in of_kind(plan.keep, shards)]
    done = {f.chunk for f in held} & names
    place = {identity: number for number, identity in enumerate(plan.identities)}
    others = [(f, [place.get(i, -1) for i in f.cells]) for f in held if f.chunk not in names and any(i in place for i in f.cells)]
    first = np.array([f.first_start for f, _ in others])
    last = np.array([f.last_start for f, _ in others])
    found = []
    for chunk in plan.chunks if chunks is None else chunks:
        if chunk.name in done:
            continue
        missing = np.ones((chunk.last_start - chunk.first_start, len(chunk.cells)), bool)
        for k in np.flatnonzero((first < chunk.last_start) & (last > chunk.first_start)):
            rows = slice(max(0, int(first[k]) - chunk.first_start), int(last[k]) - chunk.first_start)
            missing[rows, np.isin(chunk.cells, others[k][1])] = False
        if missing.all():
            found.append(chunk)
        elif missing.any():
            found += plan.rest_of(chunk, missing)
    return found


def _with_data(sweep: Any) -> list[Any]:
    return [p for p in sweep.problem if "data" in p.__struct_fields__ and p.data is not None]


def arrays_of(sweep: Any) -> dict[str, dict[str, Any]]:
    """The arrays of a sweep's data, problems and starts, by their hashes."""
    found = {p.data.digest: stored.arrays_of(p.data) for p in _with_data(sweep)}
    found |= {a.digest: {"values": a.values} for p in sweep.problem for a in p.arrays().values()}
    if isinstance(sweep.init, Points):
        found[sweep.init.digest] = {"values": sweep.init.values}
    return found


def _holds(place: Place, name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a file holds these arrays, and can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error), np.load(place.source(name), allow_pickle=False) as file:
        return all(a.dtype == file[n].dtype and np.array_equal(a, file[n]) for n, a in arrays.items())
    return False


def _other_order(kept: dict[str, Any], given: dict[str, Any]) -> str:
    """What to do where a formula has its variables in another order: those of a Python function once stood as SymPy's text mentions them."""
    orders = {p["text"]: p["variables"] for p in kept.get("problem", []) if p.get("type") == "expression"}
    for p in given["problem"]:
        order = orders.get(p.get("text"), ()) if p.get("type") == "expression" else ()
        if order and order != p["variables"] and sorted(order) == sorted(p["variables"]):
            return f", or write variables={order} in gd.Expression: its variables stand in that order there, and in the order {p['variables']} in yours"
    return ""


def _edited_function(kept: dict[str, Any], given: dict[str, Any]) -> str | None:
    """The name of a function of the user's that both experiments have, with different sources."""
    sources = {p["function"]: p["source"] for p in kept.get("problem", []) if p.get("type") == "own"}
    return next((p["function"] for p in given["problem"] if p.get("type") == "own" and sources.get(p["function"], p["source"]) != p["source"]), None)
