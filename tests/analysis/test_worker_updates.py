"""Who updates a server when: against the known ages of queues, and the runs of a sweep."""

import numpy as np
import pytest

import gdsim as gd
from gdsim import analysis

QUEUES = {
    "constant": gd.Queue(gd.ConstantTime(1.0)),
    "exponential": gd.Queue(gd.ExponentialTime(0.5)),
    "speeds": gd.Queue(gd.LogNormal(2.0, 0.5), speeds=(1.0, 2.0, 0.5, 4.0)),
}


@pytest.mark.parametrize("name", QUEUES)
def test_the_ages_of_a_queue_keep_to_their_identity(name):
    """sum of ages = sum over workers of their last updates' numbers - updates + workers, for any speeds."""
    found = analysis.worker_updates(gd.Asynchronous(workers=4, staleness=QUEUES[name]), updates=500, start=3)
    last = [np.flatnonzero(found.worker.values == k)[-1] for k in range(4)]
    assert int(found.staleness.sum()) == sum(last) - 500 + 4
    assert (np.diff(found.end) >= 0).all()
    for k in range(4):
        mine = found.isel(update=found.worker.values == k)
        assert np.array_equal(mine.begin[1:], mine.end[:-1])
        assert mine.begin[0] == 0.0


def test_times_have_their_law_and_scale():
    one, two = (analysis.worker_updates(gd.Asynchronous(workers=8, staleness=gd.Queue(gd.ExponentialTime(mean))), updates=4000) for mean in (1.0, 2.0))
    assert np.array_equal(one.worker, two.worker)
    assert np.allclose(2 * one.end, two.end, rtol=1e-12)
    lengths = (one.end - one.begin).values
    assert abs(lengths.mean() - 1.0) < 4 / np.sqrt(4000) + 8 / 500  # the last of each worker are cut off
    assert abs(float(one.end[-1]) / 4000 - 1 / 8) < 4 / 8 / np.sqrt(4000)  # a Poisson process of 8 updates a second


@pytest.mark.parametrize(
    "distribution",
    [gd.Asynchronous(workers=4, staleness=q) for q in QUEUES.values()]
    + [gd.Asynchronous(workers=4, staleness=QUEUES["exponential"], bound=2), gd.Asynchronous(workers=3, staleness=QUEUES["exponential"], buffer=2)],
    ids=[*QUEUES, "bound", "buffer"],
)
def test_a_sweeps_runs_have_the_same_ages(distribution):
    problem = gd.Quadratic([[1.0]], [[-1.0], [1.0]] * 4)
    options = {"problem": problem, "optimizer": gd.SGD(lr=0.01), "batch": 1, "shuffle": "replacement", "starts": 3, "steps": 60, "seed": 7}
    result = gd.Sweep(distribution=distribution, record=gd.Record(every=1), dtype="float64", **options).run(progress=False)
    for start in range(3):
        found = analysis.worker_updates(distribution, updates=60, start=start, seed=7)
        mean = np.cumsum(found.staleness.values) / np.arange(1, 61)  # a result has that of all gradients so far
        queue = distribution.staleness
        seconds = analysis.simulated_seconds(result, gd.SimulatedCluster(compute=queue.compute, speeds=queue.speeds))
        assert np.allclose(seconds.values[start, 1:], found.end.values, rtol=1e-9)
        assert np.allclose(result.staleness.values[start, 1:], mean, rtol=1e-12)


def test_bounded_workers_stay_near_the_slowest():
    queue = gd.Queue(gd.ExponentialTime(1.0), speeds=(1.0, 10.0))
    found = analysis.worker_updates(gd.Asynchronous(workers=2, staleness=queue, bound=3), updates=400)
    made = np.cumsum(found.worker.values[:, None] == np.arange(2), axis=0)
    assert (np.abs(made[:, 1] - made[:, 0]) <= 3).all()
    assert (made[:, 1] - made[:, 0] == 3).any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: analysis.worker_updates(gd.LocalSGD(workers=2)), "takes a gd.Asynchronous"),
        (lambda: analysis.worker_updates(gd.Asynchronous(workers=2, staleness=gd.FixedStaleness(3))), "FixedStaleness gives ages without times"),
        (lambda: analysis.worker_updates(gd.Asynchronous(workers=[2, 4])), r"one team of workers; workers=\(2\.0, 4\.0\) was given"),
        (
            lambda: analysis.worker_updates(gd.Asynchronous(workers=2, staleness=gd.grid(gd.Queue(), gd.FixedStaleness(3)))),
            r"one team of workers; staleness=grid\(Queue",
        ),
        (lambda: analysis.worker_updates(gd.Asynchronous(workers=2), updates=0), "updates must be"),
    ],
)
def test_mistakes_are_one_line(call, words):
    with pytest.raises((TypeError, ValueError), match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
