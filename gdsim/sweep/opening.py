"""A results folder as one lazy Dataset: an index of which shard holds which run, and columns that are read when they are asked for."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.population.setting import curves_of, validated_of
from gdsim.sweep.canonical import digest
from gdsim.sweep.plan import Plan
from gdsim.sweep.result import MOST_IN_MEMORY, WORDS, dataset, lacking, remembered
from gdsim.sweep.shards import FORMAT, Shard, read_column, verify_once
from gdsim.sweep.store import DamagedFolderError, Store
from gdsim.sweep.summaries import apart, merged, read_summary, summary_dataset
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

# A block of a lazy column holds at least so many runs, where shards are smaller.
FEWEST_RUNS = 1024


class Index(NamedTuple):
    """The finished runs: their numbers in ascending order, and for each the shard that holds it, and its row there."""

    shards: Sequence[Shard]
    numbers: np.ndarray
    owner: np.ndarray
    row: np.ndarray

    def blocks(self, cells: int) -> tuple[int, ...]:
        """How many runs each block of a lazy column has: cut where shards begin, so that as few as may be are read for two blocks."""
        starts = [s.footer.last_start - s.footer.first_start for s in self.shards]
        fewest = max(int(np.median(starts)), -(-FEWEST_RUNS // cells)) if starts else 1
        cuts = [0]
        for edge in sorted({s.footer.first_start for s in self.shards}):
            if edge >= cuts[-1] + fewest:
                cuts.append(edge)
        places = np.unique(np.searchsorted(self.numbers, np.array([*cuts, 2**32]) * cells))
        return tuple(int(n) for n in np.diff(places)) or (0,)


def index_of(plan: Plan, shards: Sequence[Shard]) -> Index:
    """The index of the plan's runs; a run that several shards hold is taken from the first."""
    place = {identity: number for number, identity in enumerate(plan.identities)}
    used, numbers, owners, rows = [], [], [], []
    for shard in shards:
        footer = shard.footer
        cells = np.array([place.get(i, -1) for i in footer.cells])
        last = min(footer.last_start, plan.starts)
        if footer.format != FORMAT or (cells < 0).all() or footer.first_start >= last:
            continue
        starts = np.arange(footer.first_start, last)
        row = np.arange(len(starts) * len(cells))
        number = (starts[:, None] * len(plan.cells) + cells).ravel()
        if (cells < 0).any():
            known = np.tile(cells >= 0, len(starts))
            number, row = number[known], row[known]
        numbers.append(number)
        rows.append(row)
        owners.append(np.full(len(number), len(used), np.int32))
        used.append(shard)
    if not used:
        return Index((), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    numbers, owners, rows = np.concatenate(numbers), np.concatenate(owners), np.concatenate(rows)
    if not (numbers[1:] > numbers[:-1]).all():
        numbers, first = np.unique(numbers, return_index=True)
        owners, rows = owners[first], rows[first]
    return Index(used, numbers, owners, rows)


class StoredColumn:
    """A column of all finished runs, as an array that reads what is asked of it; Dask asks block by block.

    Curves lie at the checkpoints of all structures, vectors of parameters are as long as the longest; what a run lacks is NaN.
    """

    def __init__(self, index: Index, name: str, checkpoints: Sequence[int]) -> None:
        self.index, self.name, self.checkpoints = index, name, checkpoints
        self.is_curve = "checkpoint" in VARIABLES[name].dims if name in VARIABLES else False
        declared = [s.footer.columns[name] for s in index.shards if name in s.footer.columns]
        tails = {self._tail(c.shape) for c in declared}
        tail = tuple(max(t[d] for t in tails) for d in range(len(next(iter(tails)))))
        self.shape = (len(index.numbers), *tail)
        self.ndim = len(self.shape)
        self.stored = np.result_type(*{np.dtype(c.dtype) for c in declared})
        self.dtype = np.array(WORDS[name]).dtype if name in WORDS else self.stored

    def _tail(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (len(self.checkpoints), *shape[1:]) if self.is_curve else shape

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        owner, row = self.index.owner[rows], self.index.row[rows]
        numbers = np.unique(owner)
        if len(numbers) == 1:
            values = self._read(self.index.shards[numbers[0]], row)
        else:
            values = self._lacking(len(owner))
            for number in numbers:
                mine = owner == number
                values[mine] = self._read(self.index.shards[number], row[mine])
        if self.name in WORDS:
            return np.array(WORDS[self.name], self.dtype)[values]
        return values[(slice(None), *rest)]

    def _lacking(self, rows: int) -> np.ndarray:
        return lacking((rows, *self.shape[1:]), self.stored)

    def _read(self, shard: Shard, rows: np.ndarray) -> np.ndarray:
        """A shard's rows, as wide as the column is."""
        if self.name not in shard.footer.columns:
            return self._lacking(len(rows))
        verify_once(shard.file)
        column = read_column(shard, self.name)
        column = column if len(rows) == len(column) and (np.diff(rows) == 1).all() else column[rows]
        places: list[Any] = [slice(n) for n in column.shape[1:]]
        if self.is_curve and shard.footer.checkpoints != tuple(self.checkpoints):
            known = np.isin(shard.footer.checkpoints, self.checkpoints)
            column, places[0] = column[:, known], np.searchsorted(self.checkpoints, np.array(shard.footer.checkpoints)[known])
        elif column.shape[1:] == self.shape[1:]:
            return column.astype(self.stored)
        values = self._lacking(len(rows))
        values[(slice(None), *places)] = column
        return values


def lazy_columns(plan: Plan, index: Index) -> dict[str, Any]:
    """Every column that any shard has, or that their runs would have today, as a Dask array, one number per run as what is read at once.

    Where there is no shard yet, those that every run will have.
    """
    import dask.array

    from gdsim.sweep.numbers import read_when_asked

    names = dict.fromkeys(n for s in index.shards for n in s.footer.columns)
    if not names:
        return _empty_columns(plan)
    blocks, token = index.blocks(len(plan.cells)), digest([s.file.name for s in index.shards])[:32]
    found = {}
    for name in names:
        column = StoredColumn(index, name, plan.checkpoints)
        chunks: Any = (blocks, *((n,) for n in column.shape[1:]))
        empty = np.zeros((0,) * column.ndim, column.dtype)
        found[name] = dask.array.from_array(column, chunks=chunks, name=f"{name}-{token}", asarray=False, fancy=False, meta=empty)
    unknown = {n: kind for n, kind in _validated(plan).items() if n not in found}
    found |= {n: dask.array.full(len(index.numbers), lacking((), kind), chunks=(blocks,), dtype=kind) for n, kind in unknown.items()}
    is_short = len(index.numbers) <= MOST_IN_MEMORY
    return {n: read_when_asked(column) if is_short and column.ndim == 1 else column for n, column in found.items()}


def _validated(plan: Plan) -> dict[str, np.dtype]:
    """The types of what runs have of their validation losses."""
    found: dict[str, np.dtype] = {}
    for group in plan.groups:
        for name, kind in validated_of(group.setting).items():
            found[name] = np.result_type(found.get(name, kind), kind)
    return found


def _empty_columns(plan: Plan) -> dict[str, Any]:
    curves = dict.fromkeys(name for group in plan.groups for name in curves_of(group.setting))
    kind = np.result_type(*{g.setting.dtype for g in plan.groups})
    numbers = {"final_loss": kind, "best_loss": kind, "steps_taken": np.int64, "status": np.int8, "reason": np.int8}
    return {n: np.zeros((0, len(plan.checkpoints)), kind) for n in curves} | {n: np.zeros(0, t) for n, t in (numbers | _validated(plan)).items()}


def _summary(shard: Shard) -> Any:
    verify_once(shard.file)
    return read_summary(shard)


def open_results(path: str | os.PathLike[str], sweep: Any = None) -> Any:
    """The xarray.Dataset of a results folder: the runs that are finished, in the order of their numbers; also while a sweep goes on.

    `sweep` is the folder's own, if not given, or another that shares its cells, whose runs are then shown.

    Nothing but the shards' footers is read until values are asked for; each shard's bytes are then checked, once, against its
    name. Curves and vectors are Dask arrays, block by block; one number per run is read as a whole when its values are first used, of up to
    ten million runs. Columns that shards of older versions lack are NaN, or -1 among whole numbers. `attrs` say how many runs are planned.
    Raises ValueError for a folder without results, and `gdsim.sweep.shards.DamagedShardError`, one of them, for a shard that is
    not what its name says.
    """
    store = Store(path)
    sweep = store.sweep() if sweep is None else sweep
    plan = sweep.plan()
    found = store.find()
    if found.damaged:
        raise DamagedFolderError(f"{found.damaged[0]}; run the experiment again, which sets it aside and trains its runs anew")
    if plan.keep == "summary":
        return remembered(sweep, summary_dataset(plan, merged(plan, [_summary(s) for s in apart(found.shards)])))
    index = index_of(plan, found.shards)
    return remembered(sweep, dataset(plan, index.numbers, lazy_columns(plan, index), blocks=index.blocks(len(plan.cells))))


def open(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """The xarray.Dataset of a results folder: the runs that are finished, in the order of their numbers; also while a sweep goes on.

    `path` is a directory's, or the address of one in a bucket, `s3://bucket/folder`. Variables are read from it
    when their values are asked for, curves as Dask arrays; `attrs` say how many runs are planned.
    Raises ValueError for a folder without results or with damage.

    >>> import tempfile
    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=3, steps=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = sweep.run(out=folder)
    ...     gd.open(folder).sizes["run"]
    6
    """
    return open_results(path)
