"""Columns that are read from a folder as a whole when they are first asked for, and kept.

xarray's ways of choosing and grouping runs by such values need all of them; of Dask arrays they ask that they
be computed before.
"""

import concurrent.futures
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.results.costs import CostColumn
from gdsim.sweep.results.index import StoredColumn


class Numbers(BackendArray):
    """A column as xarray's backends have theirs: what is indexed is in memory, its blocks read side by
    side.
    """

    def __init__(self, column: StoredColumn | CostColumn, blocks: tuple[int, ...]) -> None:
        self.column, self.shape, self.dtype = column, column.shape, column.dtype
        self.edges = np.cumsum(blocks)[:-1]

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        rows, *others = key
        places = np.atleast_1d(np.arange(self.shape[0])[rows])
        is_ascending = bool((places[1:] > places[:-1]).all())
        parts = [p for p in np.split(places, np.searchsorted(places, self.edges)) if len(p)] if is_ascending else [places]
        if len(parts) < 2:
            values = self.column[places] if len(places) else np.zeros((0, *self.shape[1:]), self.dtype)
        else:
            with concurrent.futures.ThreadPoolExecutor(min(len(parts), usable_cores())) as pool:
                values = np.concatenate(list(pool.map(self.column.__getitem__, parts)))
        for axis in range(len(others), 0, -1):  # the last first, as a number takes its axis away
            values = values[(slice(None),) * axis + (others[axis - 1],)]
        return values if np.ndim(np.arange(self.shape[0])[rows]) else values[0]


def read_when_asked(column: StoredColumn | CostColumn, blocks: tuple[int, ...]) -> Any:
    """The data of a variable: nothing is read before its values are used, and then once; `blocks` are how
    many runs are read by one thread.
    """
    return indexing.MemoryCachedArray(indexing.LazilyIndexedArray(Numbers(column, blocks)))
