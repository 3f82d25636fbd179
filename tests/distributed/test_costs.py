"""What training has cost at checkpoints: samples, rounds and bytes, which follow from the steps."""

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.population.partitions import members_of, samples_of
from gdsim.sweep.results.costs import CellCosts, CostColumn, epoch_of_cell
from gdsim.sweep.results.lazy_values import read_when_asked
from gdsim.sweep.results.opening import open_results
from tests.helpers import same_bits

STEPS = np.arange(13)


def sweep_of(distribution, **more):
    data = gd.Data(np.arange(20.0).reshape(10, 2) / 20, np.arange(10) // 5)
    options = {"problem": gd.LogisticRegression(data), "optimizer": gd.SGD(lr=0.1), "batch": 2, "steps": 12, "record": gd.Record(every=1), "starts": 2}
    return gd.Sweep(distribution=distribution, **(options | more))


@pytest.mark.full
def test_a_result_tells_what_training_had_cost():
    found = sweep_of([None, gd.LocalSGD(workers=[1, 4], period=[1, 5], after=0), gd.LocalSGD(workers=2, period=4, after=3)]).run()
    each, rounds = [1, 1, 1, 4, 4, 2], [0 * STEPS, STEPS, STEPS // 5, STEPS, STEPS // 5, [0, 1, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5]]
    for run in range(12):
        cell = run % 6
        assert found.samples.values[run].tolist() == (2 * each[cell] * STEPS).tolist()
        assert found["round"].values[run].tolist() == [*rounds[cell]]
        together = np.flatnonzero(found.disagreement.values[run] == 0)[1:]
        assert each[cell] == 1 or together.tolist() == (np.flatnonzero(np.diff(rounds[cell])) + 1).tolist()
        numbers = 3 if each[cell] > 1 else 0  # two weights and a bias, of 4 bytes each
        assert found.bytes_sent.values[run].tolist() == [4 * numbers * r for r in rounds[cell]]
    assert [found[name].attrs["units"] for name in ("samples", "round", "bytes_sent")] == ["samples", "rounds", "bytes"]
    assert not {"samples", "round", "bytes_sent"} & set(sweep_of(None).run().variables)


@pytest.mark.full
def test_a_run_that_has_ended_costs_nothing_more():
    found = sweep_of(gd.LocalSGD(workers=2), optimizer=gd.SGD(lr=[1.0, 1e30]), batch=None, stop=gd.Target(0.6, every=1), steps=40).run()
    assert (found.steps_taken.values < 40).all()
    ended = found.step.values > found.steps_taken.values[:, None]
    assert np.isnan(found.samples.values[ended]).all()
    assert (found.samples.values[~ended] == (20 * np.broadcast_to(found.step.values, ended.shape))[~ended]).all()
    assert np.isnan(found.loss.values[ended]).all()


@pytest.mark.full
def test_a_folder_tells_the_same(tmp_path):
    sweep = sweep_of([gd.LocalSGD(workers=[2, 4], period=3), None])
    found, held = sweep.run(), sweep.run(out=tmp_path / "runs")
    throughout = open_results(tmp_path / "runs", dask_throughout=True)
    for name in ("samples", "round", "bytes_sent"):
        assert same_bits(held[name].values, found[name].values)
        assert same_bits(throughout[name].compute().values, found[name].values)
        assert same_bits(throughout[name].isel(run=slice(1, 4), checkpoint=5).values, found[name].values[1:4, 5])
    assert throughout.samples.chunks is not None


@pytest.mark.parametrize(
    ("distribution", "batch", "drop_last", "samples"),
    [
        (None, 3, True, [0, 3, 6, 9, 12]),
        (None, 3, False, [0, 3, 6, 9, 10, 13]),
        (gd.Synchronous(workers=3), 1, False, [0, 3, 6, 9, 10, 13]),
        (gd.Synchronous(workers=3), 1, True, [0, 3, 6, 9, 12]),
        (gd.LocalSGD(workers=3), 1, False, [0, 3, 6, 9, 12]),
        (gd.LocalSGD(workers=1), 3, False, [0, 3, 6, 9, 10, 13]),
        (gd.Asynchronous(workers=1), 3, False, [0, 3, 6, 9, 10, 13]),
        (gd.Synchronous(workers=3, compression=gd.Sign()), 1, False, [0, 3, 6, 9, 12]),
        (gd.LocalSGD(workers=3), None, True, [0, 30, 60]),
        (gd.Synchronous(workers=3), None, True, [0, 30, 60]),
        (gd.Synchronous(workers=3, backup=1), 1, True, [0, 4, 8, 12, 16]),
        (gd.Synchronous(workers=3, backup=1), 1, False, [0, 4, 8, 12, 13, 17]),  # of a last step of one sample a third more
        (gd.Synchronous(workers=3, backup=1, speeds=[1, 1, 1, 0.5]), 1, False, [0, 4, 8, 12, 16]),
        (gd.Synchronous(workers=3, dropped=0.5), 1, False, [0, 3, 6, 9, 12]),
        (gd.Synchronous(workers=3, backup=1), None, True, [0, 40, 80]),
    ],
)
def test_short_batches_are_counted_as_they_are(distribution, batch, drop_last, samples):
    (cell,) = sweep_of(distribution, batch=batch, drop_last=drop_last).plan().cells
    epoch = epoch_of_cell(cell, drop_last=drop_last, shuffle="epoch")
    assert epoch.samples_after(np.arange(len(samples))).tolist() == samples


@pytest.mark.parametrize(
    ("distribution", "partition", "samples"),
    [
        (gd.LocalSGD(workers=3), "iid", 9),
        (gd.LocalSGD(workers=3), "sorted", 10),
        (gd.Synchronous(workers=3), np.arange(10) // 4, 10),
        (gd.Synchronous(workers=2, backup=1), "iid", 9),
        (gd.Synchronous(workers=1, backup=2), np.arange(10) // 4, 10),
        (gd.LocalSGD(workers=3), gd.Overlap(0.7), 21),
        (gd.Asynchronous(workers=3), gd.Overlap(0.7), 7),
        (gd.Asynchronous(workers=5), gd.Classes(1), 2),
    ],
)
def test_a_step_of_whole_shards_has_the_samples_that_workers_hold(distribution, partition, samples):
    sweep = sweep_of(distribution, partition=partition, batch=None)
    (cell,) = sweep.plan().cells
    assert epoch_of_cell(cell, drop_last=False, shuffle="epoch").batch == samples
    held = members_of(cell.partition, samples_of(sweep.setting(cell)), [(cell.partition.hyperparameters(), 0)])[0]
    assert sum(map(len, held)) == samples * (len(held) if isinstance(distribution, gd.Asynchronous) else 1)


def test_samples_to_train_on_are_spent_on_gradients_that_are_left_out_too():
    sweep = sweep_of(gd.Synchronous(workers=[2, 4], backup=[0, 1]), batch=2, steps=None, samples=60)
    assert [sweep.steps_of(cell) for cell in sweep.plan().cells] == [60 // (2 * launched) for launched in (2, 3, 4, 5)]


@pytest.mark.full
def test_times_to_targets_count_the_samples_of_all_workers():
    found = sweep_of([None, gd.LocalSGD(workers=4)], stop=gd.Target(0.6, every=1), optimizer=gd.SGD(lr=1.0), steps=200).run()
    steps, samples, gradients = (gd.analysis.time_to_target(found, [0.6], unit=unit).time.values.ravel() for unit in ("steps", "samples", "gradients"))
    each = np.where(found.distribution.values == "None", 2, 8)
    assert np.isfinite(steps).all()
    assert (samples == each * steps).all()
    assert np.allclose(gradients, samples / 10)


def test_exchanges_of_groups_are_counted():
    one = gd.LocalSGD(workers=8, period=8, groups=[(2, 2), (4, 4)])
    assert one.rounds_at(STEPS).tolist() == (STEPS // 2).tolist()
    assert one.bytes_at(np.array([8]), 10, 8).tolist() == [4 * 80]
    assert gd.DiLoCo(workers=2, period=5).rounds_at(STEPS).tolist() == (STEPS // 5).tolist()
    assert gd.Synchronous(workers=2).bytes_at(STEPS, 10, 4).tolist() == (40 * STEPS).tolist()
    assert gd.Scaffold(clients=9, sampled=1, period=5).bytes_at(STEPS, 10, 4).tolist() == (80 * (STEPS // 5)).tolist()
    assert gd.ElasticAveraging(workers=4, period=2, moving_rate=0.1).bytes_at(STEPS, 10, 4).tolist() == (40 * (STEPS // 2)).tolist()
    assert gd.Synchronous(workers=1, backup=2).bytes_at(STEPS, 10, 4).tolist() == (40 * STEPS).tolist()  # of three one is heard
    assert gd.DiLoCo(workers=4, period=3).bytes_at(STEPS, 10, 4).tolist() == (40 * (STEPS // 3)).tolist()
    assert gd.Asynchronous(workers=4).bytes_at(STEPS, 10, 4).tolist() == (10 * STEPS).tolist()  # one of four sends
    assert gd.Asynchronous(workers=1).bytes_at(STEPS, 10, 4).tolist() == (0 * STEPS).tolist()  # the plain run
    assert gd.Asynchronous(workers=1, staleness=gd.Queue(messages=0.1)).bytes_at(STEPS, 10, 4).tolist() == (40 * STEPS).tolist()
    assert gd.Gossip(workers=5, topology="star").bytes_at(STEPS, 10, 4).tolist() == (40 * STEPS * (4 * 1 + 4) / 5).tolist()
    assert gd.Synchronous(workers=1).bytes_at(STEPS, 10, 4).tolist() == (0 * STEPS).tolist()


@pytest.mark.full
def test_a_summary_tells_the_costs_of_runs_that_went_on():
    kinds = [None, gd.LocalSGD(workers=[2, 4], period=3), gd.Scaffold(clients=3, sampled=2, period=4), gd.FederatedAveraging(clients=3, sampled=2)]
    sweep = sweep_of(kinds)
    summary, found = (msgspec.structs.replace(sweep, keep=keep).run(progress=False) for keep in ("summary", "runs"))
    for name in ("samples", "round", "bytes_sent"):
        assert summary[name].dims == ("cell", "checkpoint")
        known = 3 if name == "samples" else 4  # rounds of SCAFFOLD are all as long, whoever is in them
        assert np.array_equal(summary[name].values[:known], found[name].values[:known])  # the first start's
        assert np.isnan(summary[name].values[known:]).all()
    assert "samples" not in sweep_of(None, keep="summary").run(progress=False)


def test_costs_are_made_when_they_are_asked_for():
    class Reads:
        asked = 0

        def __getitem__(self, key):
            self.asked += 1
            return np.array([2, 3])[key]

    taken = Reads()
    costs = CellCosts(np.arange(4), np.array([[[0.0, 1.0, 2.0, 3.0]]]))
    column = CostColumn("samples", costs, (np.arange(2), np.zeros(2, int)), taken)
    lazy = read_when_asked(column, (2,))
    assert taken.asked == 0
    assert np.array_equal(np.asarray(lazy), [[0, 1, 2, np.nan], [0, 1, 2, 3]], equal_nan=True)
    assert column.nbytes == 64
