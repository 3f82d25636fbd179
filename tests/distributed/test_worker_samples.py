"""Which samples workers draw: of a block that all share, or of their own shards."""

import numpy as np
import pytest

from gdsim.kernels.sample_table import Shards, Sharing, sampler_of, table_of
from gdsim.population.samples import samples_drawn

FLOAT = np.dtype("float32")
COUNTS = (5, 40, 1, 54)
KINDS = ("epoch", "once", "replacement")
MEMBERS = np.random.default_rng(0).permutation(100)
ENDS = np.cumsum(COUNTS)
OWN = [set(MEMBERS[end - count : end].tolist()) for end, count in zip(ENDS, COUNTS, strict=True)]
SHARDS = Shards(MEMBERS.astype(np.uint32), np.stack([ENDS - COUNTS, COUNTS, range(4)], 1).astype(np.uint32))


def table(count):
    return table_of(np.zeros((count, 1)), np.zeros((count, 1)), FLOAT)


def drawn(shuffle, batch, sharing, who=(0, 0), steps=30, count=100):
    return samples_drawn(sampler_of(table(count), batch, True, 7, FLOAT, sharing), shuffle, 3, who, steps)


@pytest.mark.parametrize("worker", range(4))
def test_a_workers_epochs_go_through_its_own_samples(worker):
    found, batches = drawn("shard epoch", 4, Sharing(1, SHARDS), (0, worker)), max(1, COUNTS[worker] // 4)
    assert set(found.ravel().tolist()) <= OWN[worker]
    for epoch in range(30 // batches):
        values = found[epoch * batches :][:batches].ravel()
        assert len(np.unique(values)) == (values.size if COUNTS[worker] >= 4 else 1)  # with replacement where it has fewer
    assert batches == 1 or (found[:batches] != found[batches:][: len(found[:batches])]).any() or len(found) < 2 * batches


@pytest.mark.parametrize("worker", range(4))
def test_where_short_batches_are_kept_an_epoch_is_each_sample_once(worker):
    batches = -(-COUNTS[worker] // 4)
    found = drawn("shard epoch", 4, Sharing(1, SHARDS, keeps_short=True), (0, worker))[:batches].ravel()
    assert sorted(found[found >= 0].tolist()) == sorted(OWN[worker])


@pytest.mark.parametrize("worker", range(4))
def test_without_batches_a_step_takes_the_whole_shard(worker):
    found = drawn("shard whole", None, Sharing(1, SHARDS), (0, worker), 2)
    assert found.shape == (2, max(COUNTS))
    assert [sorted(row[row >= 0].tolist()) for row in found] == [sorted(OWN[worker])] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_of_all_workers_is_theirs_one_behind_the_other(kind):
    own = [drawn(f"shard {kind}", 4, Sharing(1, SHARDS), (0, worker)) for worker in range(4)]
    np.testing.assert_array_equal(drawn(f"shards {kind}", 16, Sharing(4, SHARDS)), np.concatenate(own, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_workers_that_share_all_samples_share_the_batches_of_one_run(kind):
    own = [drawn(f"block {kind}", 4, Sharing(4), (0, worker)) for worker in range(4)]
    np.testing.assert_array_equal(np.concatenate(own, 1), drawn(kind, 16, Sharing()))


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 63, 64, 100, 1797])
def test_orders_of_any_length_are_those_of_that_many_samples(count):
    everything = Shards(np.arange(count, dtype=np.uint32), np.array([[0, count, 2]], np.uint32))
    found = drawn("shard epoch", 1, Sharing(1, everything), (0, 0), 2 * count, count)
    np.testing.assert_array_equal(found, drawn("epoch", 1, Sharing(), (2, 0), 2 * count, count))
    assert (np.sort(found.reshape(2, count), 1) == np.arange(count)).all()
