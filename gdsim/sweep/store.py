"""A results folder: the experiment, its data, and immutable shards of finished runs, each named by the hash of its bytes.

    experiment.json                     the canonical experiment and its hash
    data/<hash>.npz                     the data sets, by their hashes
    shards/<chunk>-<sha256>.parquet     finished chunks, whole or not there at all
    log.jsonl                           who wrote what and when: host, versions, times

Nothing is unpickled from a folder. Files appear by renaming, after their bytes and their folder have been synced.
"""

import contextlib
import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gdsim.data import Data
from gdsim.starts import Points
from gdsim.sweep.canonical import canonical
from gdsim.sweep.plan import Chunk, Plan
from gdsim.sweep.result import WORDS, dataset, joined, remembered

FORMAT = "gdsim results 1"


class StoreError(ValueError):
    """A results folder that cannot be used: what is wrong with it, and what to do."""


def write_atomically(path: pathlib.Path, data: bytes) -> None:
    """The file with these bytes, or no file: temporary name in the same folder, sync, rename, sync of the folder."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def shard_bytes(plan: Plan, chunk: Chunk, numbers: np.ndarray, columns: Mapping[str, np.ndarray]) -> bytes:
    """A shard's bytes: a row per run with its cell's place and its start; the cells' hashes are in the footer."""
    cells = np.searchsorted(chunk.cells, numbers % len(plan.cells))
    fields: dict[str, Any] = {"cell": pa.array(cells, pa.int32()), "start": pa.array(numbers // len(plan.cells), pa.int64())}
    for name, values in columns.items():
        fields[name] = _arrow(values)
    footer = {
        "format": FORMAT, "chunk": chunk.name, "cells": [plan.identities[c] for c in chunk.cells],
        "checkpoints": list(plan.checkpoints), "words": WORDS,
        "shapes": {n: list(v.shape[1:]) for n, v in columns.items()},
    }  # fmt: skip
    table = pa.table(fields).replace_schema_metadata({"gdsim": json.dumps(footer, sort_keys=True)})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def _arrow(values: np.ndarray) -> Any:
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), pa.string())
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def read_shard(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(the footer, the columns) of a shard's bytes; page checksums are verified."""
    table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    footer = json.loads((table.schema.metadata or {})[b"gdsim"])
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            columns[name] = np.array(column.to_pylist())
        elif pa.types.is_fixed_size_list(column.type):
            columns[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), *footer["shapes"][name])
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return footer, columns


class Rows(NamedTuple):
    """Finished runs: their numbers, and their columns, shard by shard."""

    numbers: np.ndarray
    parts: list[dict[str, np.ndarray]]


class Store:
    """A results folder of one experiment."""

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        self.shards = self.folder / "shards"

    def check(self, sweep: Any) -> None:
        """Refuses a folder that holds something else, before anything is written."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise StoreError(f"{str(self.folder)!r} is a file; give a folder for the results")
        if not (self.folder / "experiment.json").exists():
            if any(self.folder.iterdir()):
                raise StoreError(f"{str(self.folder)!r} holds other files and no gdsim results; give an empty or a new folder")
            return
        held, given = self.experiment()["experiment"], canonical(sweep)
        if held != json.loads(json.dumps(given)):
            different = sorted(k for k in given if held.get(k) != json.loads(json.dumps(given[k])))
            raise StoreError(f"{str(self.folder)!r} holds another experiment (it differs in {', '.join(different)}); give another folder")

    def create(self, sweep: Any) -> None:
        """Makes the folder with the experiment and its data, if it is not there yet."""
        self.check(sweep)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "experiment.json").exists():  # first, so that whatever ends the process, the folder is known as ours
            experiment = {
                "format": FORMAT, "experiment": canonical(sweep),
                "data": {p.data.digest: p.data.name for p in sweep.problem if "data" in p.__struct_fields__ and p.data is not None},
            }  # fmt: skip
            write_atomically(self.folder / "experiment.json", json.dumps(experiment, indent=1, sort_keys=True).encode())
        for folder in (self.shards, self.folder / "data"):
            folder.mkdir(exist_ok=True)
        arrays = {p.data.digest: _data_arrays(p.data) for p in sweep.problem if "data" in p.__struct_fields__ and p.data is not None}
        arrays |= {a.digest: {"values": a.values} for p in sweep.problem for a in p.arrays().values()}
        if isinstance(sweep.init, Points):
            arrays[sweep.init.digest] = {"values": sweep.init.values}
        for digest, named in arrays.items():
            path = self.folder / "data" / f"{digest}.npz"
            if not path.exists():
                sink = io.BytesIO()
                np.savez_compressed(sink, **named)
                write_atomically(path, sink.getvalue())

    def experiment(self) -> dict[str, Any]:
        """What `experiment.json` says."""
        try:
            found = json.loads((self.folder / "experiment.json").read_bytes())
        except FileNotFoundError:
            raise StoreError(f"{str(self.folder)!r} holds no gdsim results: there is no experiment.json") from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{str(self.folder / 'experiment.json')!r} cannot be read: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise StoreError(f"{str(self.folder)!r} is not in the format {FORMAT!r}")
        return found

    def write(self, plan: Plan, chunk: Chunk, numbers: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Adds a finished chunk."""
        data = shard_bytes(plan, chunk, numbers, columns)
        write_atomically(self.shards / f"{chunk.name}-{hashlib.sha256(data).hexdigest()}.parquet", data)

    def rows(self, plan: Plan, *, repair: bool = False) -> Rows:
        """The finished runs, each once: numbers, and the columns of their shards, every byte checked against its name.

        Runs are found by their cells' hashes and starts, whatever chunks they were trained in. A damaged shard is an error,
        or, to `repair`, moved to `quarantine/`, so that its runs are trained again.
        """
        place = {identity: number for number, identity in enumerate(plan.identities)}
        seen = np.zeros(0, np.int64)
        numbers, parts = [], []
        for path in sorted(self.shards.glob("*.parquet")):
            data = path.read_bytes()
            if path.stem.split("-")[-1] != hashlib.sha256(data).hexdigest():
                self._refuse(path, repair)
                continue
            footer, columns = read_shard(data)
            cells = np.array([place.get(i, -1) for i in footer["cells"]])[columns.pop("cell")]
            rows = columns.pop("start") * len(plan.cells) + cells
            fresh = (cells >= 0) & ~np.isin(rows, seen)
            seen = np.concatenate([seen, rows[fresh]])
            numbers.append(rows[fresh])
            parts.append({name: values[fresh] for name, values in columns.items()})
        return Rows(np.concatenate(numbers) if numbers else np.zeros(0, np.int64), parts)

    def _refuse(self, path: pathlib.Path, repair: bool) -> None:
        if not repair:
            raise StoreError(
                f"shard {path.name!r} is damaged: its bytes do not match its name; run the experiment again, which sets it aside and trains its runs anew"
            )
        quarantine = self.folder / "quarantine"
        quarantine.mkdir(exist_ok=True)
        os.replace(path, quarantine / path.name)

    def log(self, **entry: Any) -> None:
        """Appends a line on who did what."""
        from gdsim import __version__

        about = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "host": platform.node(), "gdsim": __version__}
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({**about, **entry}) + "\n")


def _data_arrays(data: Data) -> dict[str, Any]:
    held = {} if data.validation is None else {"X_validation": data.validation.X, "y_validation": data.validation.y}
    weights = {} if data.sample_weight is None else {"sample_weight": data.sample_weight}
    return {"X": data.X, "y": data.y, **held, **weights}


def open_results(path: str | pathlib.Path) -> Any:
    """The xarray.Dataset of a results folder: the runs that are finished, in the order of their numbers.

    `attrs` say how many are planned. Raises ValueError for a folder without results.
    """
    from gdsim.sweep.experiment import sweep_of

    store = Store(path)
    held = store.experiment()
    sweep = sweep_of(held, store.folder / "data")
    plan = sweep.plan()
    rows = store.rows(plan)
    if not rows.parts:
        raise StoreError(f"{str(store.folder)!r} has no finished runs yet")
    return remembered(sweep, dataset(plan, rows.numbers, joined(rows.parts)))
