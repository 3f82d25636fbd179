"""Results in other forms: one Parquet or CSV file with a row per run, netCDF, Zarr; and several folders of
one experiment as one.
"""

import contextlib
import importlib.util
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from gdsim.filenames import check_place, user_path
from gdsim.store.files import appearing
from gdsim.store.folder import Store, StoreError
from gdsim.store.shards import NAME, arrow_of, verify
from gdsim.sweep.folder.admission import chunk_seconds_of, create
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.results.opening import open_results
from gdsim.sweep.results.reading import Dataset
from gdsim.words import installs, nearest

FORMATS = {".parquet": "Parquet", ".csv": "CSV", ".nc": "netCDF", ".zarr": "Zarr"}
NEEDS = {".nc": "h5netcdf", ".zarr": "zarr"}
ROWS_AT_ONCE = 65536


def export(folder: str | pathlib.Path, target: str | pathlib.Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes the finished runs of a results folder into a file (.parquet, .csv, .nc) or a folder (.zarr),
    whole or not at all.

    Parquet and CSV have a row per run; curves are lists in Parquet, and in CSV a column per checkpoint, as in
    `loss@100`. Raises ValueError for other endings, a target that is there already, a folder without a finished
    run, and packages that are missing.
    """
    target = user_path(target, "the target")
    kind = target.suffix
    if kind not in FORMATS:
        raise ValueError(f"{str(target)!r} ends in {kind!r}, which is no known format; {nearest(kind, list(FORMATS))}")
    if target.exists():
        raise ValueError(f"{str(target)!r} is there already; give another name, or remove it")
    check_place(target)
    package = NEEDS.get(kind)
    if package and importlib.util.find_spec(package) is None:
        raise ValueError(f"{FORMATS[kind]} needs the package {package}, which is not installed: {installs('export')}")
    result = open_results(folder)
    if not result.attrs["finished_runs"]:
        raise ValueError(f"no run of {str(folder)!r} is finished yet: there is nothing to export")
    if "run" not in result.dims and kind in (".parquet", ".csv"):
        raise ValueError(f"{str(folder)!r} holds a summary, which has no rows of runs; give a name that ends in .nc or .zarr")
    with appearing(target) as place:
        if kind == ".nc":
            result.to_netcdf(place, engine="h5netcdf", encoding=_compressed(result))
        elif kind == ".zarr":
            _with_plain_texts(result).to_zarr(place, zarr_format=2, consolidated=False)
        else:
            _write_rows(result, place, kind, progress)


def _with_plain_texts(result: Dataset) -> Dataset:
    """The result in Dask's blocks, its texts of a fixed length, which all readers of Zarr know."""
    result = result.chunk({"run": ROWS_AT_ONCE} if "run" in result.dims else {})
    texts = {n: max(map(len, set(c.values.tolist())), default=1) for n, c in result.coords.items() if c.dtype == object}
    return result.assign_coords({n: result[n].astype(f"<U{max(1, length)}") for n, length in texts.items()})


def _compressed(result: Dataset) -> dict[str, Any]:
    return {str(n): {"zlib": True, "complevel": 4} for n, v in result.data_vars.items() if v.dtype.kind == "f"}


def _write_rows(result: Dataset, place: pathlib.Path, kind: str, progress: Callable[[int, int], None] | None) -> None:
    """A row per run, some thousands of them in memory at a time."""
    runs, steps = result.sizes["run"], result.step.values
    names = [str(n) for n in (*result.coords, *result.data_vars) if "run" in result[n].dims]
    with contextlib.ExitStack() as stack:
        writer: Any = None
        for first in range(0, max(1, runs), ROWS_AT_ONCE):
            part = result.isel(run=slice(first, first + ROWS_AT_ONCE)).load()
            table = pa.table(dict(_flat_columns(part, names, steps)) if kind == ".csv" else {n: arrow_of(part[n].values) for n in names})
            if writer is None:
                made = csv.CSVWriter(place, table.schema) if kind == ".csv" else pq.ParquetWriter(place, table.schema, compression="zstd")
                writer = stack.enter_context(made)
            writer.write_table(table)
            if progress is not None:
                progress(min(runs, first + ROWS_AT_ONCE), runs)


def _flat_columns(part: Dataset, names: Sequence[str], steps: np.ndarray) -> Iterator[tuple[str, Any]]:
    for name in names:
        values = part[name].values
        if values.ndim == 1:
            yield name, pa.array(values)
            continue
        marks = [str(s) for s in steps] if part[name].dims[1] == "checkpoint" else [str(i) for i in range(values.shape[1])]
        for place in np.ndindex(values.shape[1:]):
            yield "@".join([name, marks[place[0]], *(str(i) for i in place[1:])]), pa.array(values[(slice(None), *place)])


def merge(target: str | pathlib.Path, folders: Sequence[str | pathlib.Path]) -> int:
    """Brings the shards of folders of one experiment into one folder, each checked; the number of shards that
    were new there.

    Raises ValueError for folders of different experiments or kernels, before anything is written, and for
    damaged shards.
    """
    stores = [Store(f) for f in folders]
    held = [s.experiment() for s in stores]
    for store, found in zip(stores[1:], held[1:], strict=True):
        for field, what in (("sha256", "another experiment"), ("kernels", "results of kernels of another version")):
            if found[field] != held[0][field]:
                raise StoreError(f"{store.folder!r} holds {what} than {stores[0].folder!r}; folders are merged that hold the same")
    whole, count = Store(target), 0
    sweep = experiment_in(stores[0], held[0])
    create(whole, sweep, chunk_seconds=chunk_seconds_of(held[0]), kernels=held[0]["kernels"])
    present = {p.name for p in whole.listed()}
    for file in (f for s in stores for f in s.listed()):
        if file.name not in present and NAME.fullmatch(file.name):
            verify(file)
            whole.place.put(file.path, file.place.read(file.path))
            present.add(file.name)
            count += 1
    whole.log(merged=[str(f) for f in folders], shards=count)
    return count
