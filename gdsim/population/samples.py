"""The samples of a setting: their tables as kernels read them, how steps draw from them, and in which
order.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from gdsim.data import Data
from gdsim.kernels.sample_table import Shards, Sharing, Table, sampler_of, table_of
from gdsim.kernels.sampling import SHUFFLES, list_samples
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.partitions import shards_for
from gdsim.population.setting import Setting
from gdsim.population.teams import is_alone
from gdsim.problems.parts import Sampler

# Bytes of tables that are kept for the next that needs them; those in use stay anyhow.
KEPT_TABLE_BYTES = 2**30
_tables: dict[tuple[str, str, bool], Table] = {}
_making_tables = threading.Lock()


def table_for(data: Data, dtype: str, weighted: bool | None = None) -> Table:
    """The data as kernels read them, cached.

    They have a column of sample weights if `weighted`, or if there are some.
    """
    weighted = data.sample_weight is not None if weighted is None else weighted
    key = (data.digest, dtype, weighted)
    with _making_tables:
        if key in _tables:
            _tables[key] = _tables.pop(key)  # the last that was used
        else:
            targets = data.y.reshape(len(data.y), -1)
            if weighted:
                weights = np.ones(len(data.y)) if data.sample_weight is None else data.sample_weight
                targets = np.concatenate([targets, weights[:, None]], 1)
            with ieee_mode():
                _tables[key] = table_of(data.X, targets, np.dtype(dtype))
            while len(_tables) > 2 and sum(t.matrix.nbytes for t in _tables.values()) > KEPT_TABLE_BYTES:
                del _tables[next(iter(_tables))]
        return _tables[key]


def samplers_of(setting: Setting, shards: Shards | None = None, runs: int = 1) -> tuple[Sampler, Sampler, Sampler]:
    """(how steps draw samples, the training set and the validation set as evaluations read them).

    `shards` are those of the runs' workers, where these have samples of their own; of clients each of so many
    `runs` has room for those that are in its round.
    """
    data, kind = setting.problem.data, np.dtype(setting.dtype)
    table = None if data is None else table_for(data, setting.dtype)
    validation = None if data is None or data.validation is None else table_for(data.validation, setting.dtype, data.sample_weight is not None)
    training = sampler_of(table, setting.step_batch, setting.drop_last, setting.seed, kind, _sharing(setting, shards, runs))
    return training, sampler_of(table, None, True, 0, kind), sampler_of(validation, None, True, 0, kind)


def _sharing(setting: Setting, shards: Shards | None, runs: int) -> Sharing:
    """How the steps of a setting's workers draw."""
    if shards is None:
        return Sharing(1 if is_alone(setting) else setting.workers)
    if setting.distribution is not None and setting.distribution.is_federated:
        return Sharing(1, shards, keeps_short=True, rooms=runs * setting.workers)
    return Sharing(setting.workers if setting.makes_one_batch and setting.batch is not None else 1, shards)


def shuffle_of(setting: Setting) -> str:
    """The name of the setting's way of drawing, of those in `kernels.sampling.SHUFFLES`."""
    kind = "whole" if setting.batch is None else setting.shuffle
    if setting.has_shards:
        return f"shards {kind}" if setting.makes_one_batch and setting.batch is not None else f"shard {kind}"
    return kind if is_alone(setting) or setting.batch is None else f"block {kind}"


def sample_order(setting: Setting, start: int, replica: int = 0, values: Mapping[str, float] | None = None) -> np.ndarray:
    """[step, batch] sample indices of one start, of a replica of its model; -1 beyond the end of a short
    batch.

    `values` are the numbers of a run's cell, where they are not the partition's own.
    """
    shards = shards_for(setting, np.array([start]), np.zeros(1, np.int64), [values or {}])[0] if setting.has_shards else None
    return samples_drawn(samplers_of(setting, shards)[0], shuffle_of(setting), start, (replica, replica), setting.steps)


def samples_drawn(sampler: Sampler, shuffle: str, start: int, who: tuple[int, int], steps: int) -> np.ndarray:
    """[step, batch] sample indices that one of `kernels.sampling.SHUFFLES` draws, for (replica, shard) `who`."""
    from numba import typeof, types

    replica, shard = who
    parts = {**SHUFFLES[shuffle]._asdict(), "WIDTH": 1, **float_mode_parts()}
    arguments = typeof(sampler), types.uint32, types.int64, types.uint32, types.int64, types.uint32[::1]
    kernel: Any = bind(list_samples, parts, types.void(*arguments))
    out = np.zeros((steps, sampler.batch), np.uint32)
    kernel(sampler, np.uint32(start), replica, np.uint32(shard), steps, out.ravel())
    return np.where(out == sampler.sample_count, -1, out.astype(np.int64))
