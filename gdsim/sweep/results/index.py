"""Which shard of a results folder holds which run, and columns over all shards that are read when they are
asked for.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.store.shards import FORMAT, Shard, read_column, verify_once
from gdsim.sweep.planning.plan import Plan
from gdsim.sweep.results.dataset import lacking
from gdsim.variables import WORDS, known_variable

# A block of a lazy column holds at least so many runs, where shards are smaller.
FEWEST_RUNS = 1024


class Index(NamedTuple):
    """The finished runs: their numbers in ascending order, and for each the shard that holds it, and its row
    there.
    """

    shards: Sequence[Shard]
    numbers: np.ndarray
    owner: np.ndarray
    row: np.ndarray

    def blocks(self, cells: int) -> tuple[int, ...]:
        """How many runs each block of a lazy column has: cut where shards begin, so that as few as may be are
        read for two blocks.
        """
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

    Curves lie at the checkpoints of all structures, vectors of parameters are as long as the longest; what a
    run lacks is NaN.
    """

    def __init__(self, index: Index, name: str, checkpoints: Sequence[int]) -> None:
        self.index, self.name, self.checkpoints = index, name, checkpoints
        known = known_variable(name)
        self.is_curve = known is not None and "checkpoint" in known.dims
        declared = [s.footer.columns[name] for s in index.shards if name in s.footer.columns]
        tails = {self._tail(c.shape) for c in declared}
        tail = tuple(max(t[d] for t in tails) for d in range(len(next(iter(tails)))))
        self.shape = (len(index.numbers), *tail)
        self.ndim = len(self.shape)
        self.stored = np.result_type(*{np.dtype(c.dtype) for c in declared})
        self.dtype = np.array(WORDS[name]).dtype if name in WORDS else self.stored

    @property
    def nbytes(self) -> int:
        """Bytes of all values in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

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
