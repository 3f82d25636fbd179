"""The table of samples that kernels read, as it is laid out on the host, and the sampler that draws from it."""

from typing import NamedTuple

import numpy as np

from gdsim.lanes.draws import seed_words
from gdsim.lanes.numbers import zeros
from gdsim.problems.parts import SHARD_NUMBERS, Sampler

MOST_LANES = 32  # that samples lie across


class Table(NamedTuple):
    """Samples as kernels read them: a row of features, then targets, then zeros up to a whole number of
    gathers; rows up to whole lanes, and one more, into which the last of them are read.
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
    rows, pitch = -(-count // MOST_LANES) * MOST_LANES + 1, -(-columns // 16) * 16
    matrix = zeros(rows * pitch, dtype).reshape(rows, pitch)
    matrix[:count, :features], matrix[:count, features:columns] = X, targets
    return Table(matrix.ravel(), pitch, features, columns, count)


def steps_per_epoch(samples: int, batch: int, drop_last: bool) -> int:
    """How many batches an epoch has; the last may be short unless it is dropped."""
    return max(1, samples // batch if drop_last else -(-samples // batch))


class Shards(NamedTuple):
    """Which samples each of several workers has, of one run or of several one behind the other."""

    members: np.ndarray  # uint32: numbers of samples, those of a worker one behind the other
    table: np.ndarray  # uint32 [shard, 3]: where a worker's samples begin, how many there are, which worker it is


class Sharing(NamedTuple):
    """How the steps of several workers draw: `workers` share a block of samples, or have shards."""

    workers: int = 1
    shards: Shards | None = None
    keeps_short: bool = False  # whether a shard's last batch may be short
    rooms: int = 0  # for shards that kernels write, behind the others: of each run as many as its rounds have clients


ALONE = Sharing()


def sampler_of(table: Table | None, batch: int | None, drop_last: bool, seed: int, dtype: np.dtype, sharing: Sharing = ALONE) -> Sampler:
    """How steps draw from a table; `batch` None is the whole of it. Without a table there are no samples.

    Of workers that share blocks `batch` is that of one of them, and short blocks are dropped. Of a shard of
    `sharing` None is the whole, which the largest of them has room for.
    """
    words, none = seed_words(seed), np.zeros(0, np.uint32)
    if table is None:
        return Sampler(np.zeros(0, dtype), 0, 0, 0, 0, 0, 1, words, none, none, 1, 0)
    shards = sharing.shards
    members, rows = (none, none) if shards is None else (shards.members, np.pad(shards.table, ((0, sharing.rooms), (0, SHARD_NUMBERS - 3))).ravel())
    whole = table.samples if shards is None else int(shards.table[:, 1].max())
    size = whole if batch is None else batch
    workers = sharing.workers if shards is None and batch is not None else 1
    steps = steps_per_epoch(table.samples, size * workers, drop_last or workers > 1)
    return Sampler(
        table.matrix, table.pitch, table.features, table.columns, table.samples, size, steps, words, members, rows, sharing.workers, int(sharing.keeps_short)
    )
