"""Training by workers that have samples of their own, beside loops over the batches that gdsim draws."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.samples import sample_order
from tests.distributed.problems import A, B, lines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
DATA = gd.Data(X, X @ [1.0, -2.0, 0.5] + RNG.normal(size=24))
POINTS = RNG.normal(size=(5, 4))
UNEQUAL = np.repeat([0, 1, 2], [3, 9, 12])
RATE, STEPS = 0.05, 30


def sweep_of(distribution, partition, batch, **more):
    options = {"optimizer": gd.SGD(lr=RATE), "init": POINTS, "steps": STEPS, "dtype": "float64", "record": gd.Record(parameters=True)}
    return gd.Sweep(problem=gd.LinearRegression(DATA), batch=batch, distribution=distribution, partition=partition, **(options | more))


def averaged(w, orders, period):
    """The mean of the workers' weights, of plain gradient steps on their batches."""
    inputs, w = np.c_[DATA.X, np.ones(24)], np.array([w] * len(orders))
    for step in range(STEPS):
        for k, order in enumerate(orders):
            rows = order[step][order[step] >= 0]
            w[k] -= RATE * 2 * inputs[rows].T @ (inputs[rows] @ w[k] - DATA.y[rows]) / len(rows)
        if (step + 1) % period == 0:
            w[:] = w.mean(0)
    return w.mean(0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("partition", "batch", "shuffle"),
    [("overlap", 4, "epoch"), (UNEQUAL, 4, "epoch"), (UNEQUAL, 4, "replacement"), (UNEQUAL, None, "epoch"), ("iid", None, "once")],
)
def test_workers_step_on_their_own_samples(partition, batch, shuffle):
    sweep = sweep_of(gd.LocalSGD(workers=3, period=4), partition, batch, shuffle=shuffle)
    found, setting = sweep.run(progress=False).parameters.values, sweep.plan().groups[0].setting
    for start in (0, 3):
        orders = [sample_order(setting, start, k) for k in range(3)]
        assert partition is not UNEQUAL or all((UNEQUAL[order[order >= 0]] == k).all() for k, order in enumerate(orders))
        np.testing.assert_allclose(found[start], averaged(POINTS[start], orders, 4), rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("batch", [4, None])
def test_a_synchronous_step_takes_the_batches_of_all_workers(batch):
    one, each = (sweep_of(kind, "iid", batch).run(progress=False) for kind in (gd.Synchronous(workers=3), gd.LocalSGD(workers=3)))
    np.testing.assert_allclose(one.parameters, each.parameters, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("rule", [gd.SGD(lr=0.05), gd.Adam(lr=0.02)])
def test_synchronous_workers_are_the_plain_run_of_their_batch(rule):
    one = sweep_of(gd.Synchronous(workers=[1, 2, 4]), None, 3, optimizer=rule).run(progress=False)
    plain = sweep_of(None, None, gd.grid(3, 6, 12), optimizer=rule).run(progress=False)
    for name in ("parameters", "loss", "final_loss"):
        np.testing.assert_array_equal(one[name], plain[name])


PERIODS = (1, 2, 4, 8, 16, 64)
FIXED_POINTS = (0.75, 0.7285714286, 0.6884399348, 0.6232961681, 0.5502322151, 0.5002949284)


def test_the_fixed_point_of_averaging_depends_on_the_period_where_curvatures_differ():
    """w* = sum (1 - M_k) b_k / sum (1 - M_k), M_k = (1 - eta A_k)^H."""
    sweep = gd.Sweep(
        problem=lines(A, B).problem, optimizer=gd.SGD(lr=0.1), steps=640, batch=gd.grid(1, None), init=0.0, distribution=gd.LocalSGD(workers=2, period=PERIODS),
        partition=[0, 1], record=gd.Record(parameters=True),
    )  # fmt: skip
    shares = [1 - np.array([0.9, 0.7]) ** period for period in PERIODS]
    known = [share[1] / share.sum() for share in shares]
    np.testing.assert_allclose(known, FIXED_POINTS, rtol=1e-9)
    np.testing.assert_allclose(sweep.run(progress=False).parameters.values.ravel(), known * 2, rtol=1e-9)
