"""A results folder as one lazy Dataset, whose columns are read when they are asked for."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.canonical import digest
from gdsim.population.columns import OF_VALIDATION, ColumnType, columns_of
from gdsim.store.folder import DamagedFolderError, Store
from gdsim.store.shards import Shard, verify_once
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.folder.summaries import disjoint_shards, read_summary
from gdsim.sweep.planning.plan import MOST_SECONDS, Plan, plan_of
from gdsim.sweep.results.costs import CostColumn, costs_of
from gdsim.sweep.results.dataset import MOST_IN_MEMORY, lacking, registered, runs_dataset
from gdsim.sweep.results.index import Index, StoredColumn, index_of
from gdsim.sweep.results.summaries import merged, summary_dataset

if TYPE_CHECKING:
    import xarray


# Bytes of a curve or vector that is read in less time than Dask takes to be imported.
SMALL_BYTES = 2**26


def lazy_columns(plan: Plan, index: Index, *, dask_throughout: bool = True) -> dict[str, Any]:
    """Every column that any shard has, or that their runs would have today, as a Dask array, one number per
    run as what is read at once, and unless it is `dask_throughout` what is small, too.

    Where there is no shard yet, those that every run will have.
    """
    from gdsim.sweep.results.lazy_values import read_when_asked  # and with it xarray

    names, declared = dict.fromkeys(n for s in index.shards for n in s.footer.columns), _declared(plan)
    if not names:
        return declared
    blocks, token = index.blocks(len(plan.cells)), digest([s.file.name for s in index.shards])[:32]
    found, stored = {}, {name: StoredColumn(index, name, plan.checkpoints) for name in names}
    for name, column in {**stored, **costs_of(plan, index.numbers, stored["steps_taken"])}.items():
        is_small = column.shape[0] <= MOST_IN_MEMORY if column.ndim == 1 else not dask_throughout and column.nbytes <= SMALL_BYTES
        found[name] = read_when_asked(column, blocks) if is_small else _dask_array(column, blocks, f"{name}-{token}")
    unknown = {n: declared[n].dtype for n in OF_VALIDATION if n in declared and n not in found}
    return found | {n: np.broadcast_to(lacking((), kind), len(index.numbers)) for n, kind in unknown.items()}


def _dask_array(column: StoredColumn | CostColumn, blocks: tuple[int, ...], name: str) -> Any:
    """A column of which each block of runs is read when it is asked for."""
    import dask.array  # takes 0.4 s, and small folders do without

    chunks: Any = (blocks, *((n,) for n in column.shape[1:]))
    empty = np.zeros((0,) * column.ndim, column.dtype)
    return dask.array.from_array(column, chunks=chunks, name=name, asarray=False, fancy=False, meta=empty)


def _declared(plan: Plan) -> dict[str, np.ndarray]:
    """The columns that the plan's runs will have, as wide as those of the widest structure, of no run."""
    found: dict[str, list[ColumnType]] = {}
    for group in plan.groups:
        for name, column in columns_of(group.setting, len(plan.checkpoints)).items():
            found.setdefault(name, []).append(column)
    return {
        name: np.zeros((0, *map(max, zip(*(c.shape for c in several), strict=True))), np.result_type(*(c.dtype for c in several)))
        for name, several in found.items()
    }


def _summary(shard: Shard) -> Any:
    verify_once(shard.file)
    return read_summary(shard)


def open_results(path: str | os.PathLike[str], sweep: Experiment | None = None, *, dask_throughout: bool = True) -> "xarray.Dataset":
    """The xarray.Dataset of a results folder: the runs that are finished, in the order of their numbers; also
    while a sweep goes on.

    `sweep` is the folder's own, if not given, or another that shares its cells, whose runs are then shown.

    Nothing but the shards' footers is read until values are asked for; each shard's bytes are then checked,
    once, against its name. Curves and vectors are Dask arrays, block by block; one number per run is read as
    a whole when its values are first used, of up to ten million runs; so are small curves and vectors, unless
    they are to be Dask arrays throughout. Columns that shards of older versions lack are NaN, or -1 among
    whole numbers. `attrs` say how many runs are planned. Raises ValueError for a folder without results, and
    `gdsim.store.shards.DamagedShardError`, one of them, for a shard that is not what its name says.
    """
    store = Store(path)
    held = store.experiment()
    sweep = experiment_in(store, held) if sweep is None else sweep
    plan = plan_of(sweep, MOST_SECONDS)  # as its own chunks are not asked for
    found = store.find()
    if found.damaged:
        raise DamagedFolderError(f"{found.damaged[0]}; run the experiment again, which sets it aside and trains its runs anew")
    if plan.keep == "summary":
        return registered(sweep, summary_dataset(plan, merged(plan, [_summary(s) for s in disjoint_shards(found.shards)])), held["kernels"])
    index = index_of(plan, found.shards)
    columns = lazy_columns(plan, index, dask_throughout=dask_throughout)
    return registered(sweep, runs_dataset(plan, index.numbers, columns, blocks=index.blocks(len(plan.cells))), held["kernels"])
