"""How much sooner targets are met with more samples in a step: against times to targets, cell by cell."""

import numpy as np
import pytest

import gdsim as gd
from gdsim import analysis

CLUSTER = gd.SimulatedCluster(compute=gd.ConstantTime(0.01), latency=0.001)


@pytest.fixture(scope="module")
def result():
    problem = gd.Quadratic(np.eye(4), 3.0 * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 4), -1).reshape(-1, 4))
    kinds = [gd.LocalSGD(workers=[1, 4, 16], period=2), gd.Gossip(workers=4)]
    return gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=gd.logspace(0.03, 0.3, 3)), batch=1, shuffle="replacement", distribution=kinds, starts=12, steps=300, init=8.0,
        stop=[gd.Target(19.0, every=1)],
    ).run(progress=False)  # fmt: skip


@pytest.mark.parametrize("unit", ["steps", "samples", "seconds"])
def test_times_are_the_best_medians_at_each_size(result, unit):
    cluster = CLUSTER if unit == "seconds" else None
    found = analysis.speed_up(result, by="distribution", unit=unit, cluster=cluster)
    times = np.nan_to_num(analysis.time_to_target(result, unit=unit, cluster=cluster).time.values[:, 0], nan=np.inf)
    each = [np.sort(times[result.cell.values == cell])[5] for cell in range(12)]  # of 12 runs the sixth; rates, then workers and kinds
    known = np.array(each).reshape(3, 4).min(0)
    assert found.distribution.values.tolist() == ["LocalSGD", "Gossip"]
    assert found.batch.values.tolist() == [1.0, 4.0, 16.0]
    assert found.time.values.tolist() == [known[:3].tolist(), [np.inf, known[3], np.inf]]
    np.testing.assert_allclose(found.speed_up.values[0], known[0] / known[:3])
    assert np.isnan(found.speed_up.values[1]).all()  # which has nothing at the smallest size
    assert found.perfect.values.tolist() == ([1.0, 1.0, 1.0] if unit == "samples" else [1.0, 4.0, 16.0])
    assert (found.low.values[0] <= known[:3]).all()
    assert (known[:3] <= found.high.values[0]).all()


def test_steps_of_clients_count_as_whole_batches():
    """Who is in the first round, and has how few samples, does not matter."""
    options = {"problem": gd.LogisticRegression(gd.datasets.load("moons")), "optimizer": gd.SGD(lr=1.0), "batch": 8, "starts": 3, "steps": 150}
    clients = gd.FederatedAveraging(clients=10, sampled=[1, 3])
    result = gd.Sweep(distribution=clients, partition=gd.Dirichlet(0.3, least=1), **options, stop=[gd.Target(0.5, every=1)]).run(progress=False)
    assert result.samples.values[:, 1].min() < 8
    assert analysis.speed_up(result).batch.values.tolist() == [8.0, 24.0]


def test_workers_that_do_the_same_without_samples_speed_nothing_up():
    kind = gd.LocalSGD(workers=[1, 2])
    found = analysis.speed_up(gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.1), starts=3, steps=50, distribution=kind).run(progress=False), 1.0)
    assert found.batch.values.tolist() == [1.0, 2.0]
    assert found.speed_up.values.tolist() == [[1.0, 1.0]]


def test_mistakes_are_one_line(result):
    with pytest.raises(ValueError, match="give both, unit='seconds' and cluster="):
        analysis.speed_up(result, unit="seconds")
    with pytest.raises(ValueError, match="give both, unit='seconds' and cluster="):
        analysis.speed_up(result, cluster=CLUSTER)
    with pytest.raises(ValueError, match=r"unit.*'seconds'"):
        analysis.speed_up(result, unit="second")
    with pytest.raises(ValueError, match="speed_up compares batch sizes, and every step of this result takes 4 samples"):
        analysis.speed_up(result.isel(run=result.distribution.values == "Gossip"))


def test_asynchronous_steps_are_one_workers():
    kind = gd.Asynchronous(workers=[1, 2, 4])
    lines = gd.LinearRegression(gd.Data([[1.0], [2.0], [3.0], [4.0]] * 2, [2.5, 3.5, 6.5, 7.5] * 2))
    result = gd.Sweep(problem=lines, optimizer=gd.SGD(lr=0.01), batch=2, starts=2, steps=20, distribution=kind).run(progress=False)
    said = "takes 2 samples, those of one worker where training is asynchronous, .*: vary batch=, or compare workers by gd.analysis.time_to_target"
    with pytest.raises(ValueError, match=said):
        analysis.speed_up(result)
