"""The table of samples that kernels read, as it is laid out on the host, and the sampler that draws from it."""

from typing import NamedTuple

import numpy as np

from gdsim.lanes.draws import seed_words
from gdsim.lanes.numbers import zeros
from gdsim.problems.parts import Sampler


class Table(NamedTuple):
    """Samples as kernels read them: a row of features, then targets, then zeros up to a whole number of
    gathers; rows likewise.
    """

    matrix: np.ndarray
    pitch: int
    features: int
    columns: int
    samples: int


def table_of(X: np.ndarray, targets: np.ndarray, dtype: np.dtype) -> Table:
    """The table of samples X[sample, feature] with targets[sample, target]."""
    count, features = X.shape
    columns = features + targets.shape[1]
    rows, pitch = -(-count // 16) * 16, -(-columns // 16) * 16
    matrix = zeros(rows * pitch, dtype).reshape(rows, pitch)
    matrix[:count, :features], matrix[:count, features:columns] = X, targets
    return Table(matrix.ravel(), pitch, features, columns, count)


def steps_per_epoch(samples: int, batch: int, drop_last: bool) -> int:
    """How many batches an epoch has; the last may be short unless it is dropped."""
    return max(1, samples // batch if drop_last else -(-samples // batch))


def sampler_of(table: Table | None, batch: int | None, drop_last: bool, seed: int, dtype: np.dtype) -> Sampler:
    """How steps draw from a table; `batch` None is the whole of it. Without a table there are no samples."""
    if table is None:
        return Sampler(np.zeros(0, dtype), 0, 0, 0, 0, 0, 1, seed_words(seed))
    size = table.samples if batch is None else batch
    steps = steps_per_epoch(table.samples, size, drop_last)
    return Sampler(table.matrix, table.pitch, table.features, table.columns, table.samples, size, steps, seed_words(seed))
