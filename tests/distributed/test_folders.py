"""Sweeps with workers in folders: resumed, extended, opened by others, reported; runs that go on."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.store.folder import Store
from gdsim.sweep.folder.stored import experiment_in
from tests.faults.machinery import shards
from tests.helpers import gdsim, same_bits

RNG = np.random.default_rng(1)
DATA = gd.Data(RNG.normal(size=(24, 2)), np.arange(24) % 2)
UNEQUAL = np.repeat([0, 1, 2], [3, 9, 12])


def sweep_of(distribution, **more):
    options = {"problem": gd.LogisticRegression(DATA), "optimizer": gd.Momentum(lr=[0.05, 0.2]), "batch": 2, "steps": 24, "starts": 3, "init": "glorot"}
    return gd.Sweep(distribution=distribution, **(options | more))


def same(one, other):
    assert set(one.data_vars) == set(other.data_vars)
    assert [n for n in one.data_vars if not same_bits(one[n].values, other[n].values)] == []


KINDS = [None, gd.Synchronous(workers=2), gd.LocalSGD(workers=[2, 3], period=[1, 7]), gd.DiLoCo(workers=2, period=5)]


@pytest.mark.full
def test_a_folder_that_was_left_is_finished_with_the_same_bits(tmp_path):
    sweep = sweep_of(KINDS)
    sweep.run(out=tmp_path / "runs", chunk_seconds=1e-7)
    for name in [*shards(tmp_path / "runs")][::3]:
        (tmp_path / "runs" / "shards" / name).unlink()
    assert gd.open(tmp_path / "runs").sizes["run"] < sweep.plan().runs
    same(sweep.run(out=tmp_path / "runs", chunk_seconds=1e-7), sweep.run())
    assert experiment_in(Store(tmp_path / "runs"), kind=gd.Sweep) == sweep


@pytest.mark.full
def test_a_folder_of_one_worker_takes_more(tmp_path):
    plain = sweep_of(None)
    plain.run(out=tmp_path / "runs")
    before = set(shards(tmp_path / "runs"))
    both = sweep_of([None, gd.LocalSGD(workers=3, period=4)])
    same(both.run(out=tmp_path / "runs"), both.run())
    assert before < set(shards(tmp_path / "runs"))


@pytest.mark.full
@pytest.mark.parametrize("partition", [None, UNEQUAL])
def test_runs_go_on_in_the_middle_of_a_round(partition):
    kinds = [gd.LocalSGD(workers=3, period=[5, 7]), gd.LocalSGD(workers=3, period=4, state="average", after=6)]
    options = {"partition": partition, "record": gd.Record(state=True, every=1)}
    half, whole = (sweep_of(kinds, steps=steps, **options).run() for steps in (10, 24))
    more = gd.continue_from(half, steps=14)
    assert more.step.values.tolist() == list(range(10, 25))
    for name in ("loss", "disagreement", "samples", "round", "bytes_sent"):
        assert same_bits(more[name].values, whole[name].values[:, 10:]), name
    assert same_bits(more.state_workers.values, whole.state_workers.values)


@pytest.mark.full
def test_a_folder_takes_more_steps(tmp_path):
    kinds = [gd.LocalSGD(workers=3, period=5), gd.Synchronous(workers=2), None]
    short, long = (sweep_of(kinds, steps=steps, record=gd.Record(state=True, every=2)) for steps in (12, 24))
    short.run(out=tmp_path / "runs")
    same(long.run(out=tmp_path / "runs"), long.run())


@pytest.mark.full
def test_partitions_are_kept(tmp_path):
    sweep = sweep_of(gd.LocalSGD(workers=3, period=4), partition=["iid", UNEQUAL, gd.Dirichlet([0.5, 5.0], least=1)])
    found = sweep.run(out=tmp_path / "runs")
    assert experiment_in(Store(tmp_path / "runs"), kind=gd.Sweep) == sweep
    assert found.partition.values[: 2 * 4].tolist() == ["iid", "Assigned", "Dirichlet", "Dirichlet"] * 2
    assert found.alpha.values[2:4].tolist() == [0.5, 5.0]
    assert max(map(len, found.label.values)) < 60
    same(found, sweep.run())


def test_the_commands_know_workers(tmp_path):
    (tmp_path / "workers.toml").write_text(
        'steps = 20\nbatch = 1\nstarts = 6\nproblem = {type = "mlp", data = "xor", hidden = [2]}\noptimizer = "sgd"\n'
        'distribution = ["none", {type = "local_sgd", workers = 2, period = [1, 4]}]\n'
    )
    code, output, _ = gdsim("plan", "workers.toml", folder=tmp_path, patched=True)
    assert code == 0
    assert "18 runs: 6 starts in 3 cells of 2 structures, each trained by 1 or 2 workers" in output
    code, output, _ = gdsim("run", "workers.toml", "--out", "runs", folder=tmp_path, patched=True)
    assert code == 0
    assert "LocalSGD" in output
    code, _, _ = gdsim("report", "runs", folder=tmp_path, patched=True)
    assert code == 0
    code, _, _ = gdsim("export", "runs", "runs.parquet", folder=tmp_path, patched=True)
    assert code == 0


@pytest.mark.full
def test_cells_make_a_grid_and_a_table():
    found = sweep_of(gd.LocalSGD(workers=[2, 3], period=[1, 4, 8])).run()
    grid = gd.grid_of(found)
    assert {"lr": 2, "workers": 2, "period": 3}.items() <= dict(grid.sizes).items()
    assert list(gd.table(found).columns[:3]) == ["lr", "workers", "period"]
