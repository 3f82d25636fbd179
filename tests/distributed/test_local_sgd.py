"""Local SGD beside the loop that a reader would write, on the batches that gdsim draws."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.samples import sample_order
from gdsim.starts import initial_points

STEPS, RATE, MOMENTUM = 37, 0.05, 0.9


def averaged(data, start, orders, distribution):
    """(the mean of the workers' weights, their mean squared distance from it) of torch's momentum on a linear
    regression's mean squared error.
    """
    X, y = np.c_[data.X, np.ones(len(data.X))], data.y
    w, v = np.array([start] * len(orders)), np.zeros((len(orders), len(start)))
    for step in range(1, STEPS + 1):
        for k, order in enumerate(orders):
            rows = order[step - 1]
            v[k] = MOMENTUM * v[k] + 2 * X[rows].T @ (X[rows] @ w[k] - y[rows]) / len(rows)
            w[k] -= RATE * v[k]
        if step <= distribution.after or (step - distribution.after) % distribution.period == 0:
            w[:] = w.mean(0)
            v[:] = {"keep": v, "average": v.mean(0), "reset": 0.0}[distribution.state]
    return w.mean(0), ((w - w.mean(0)) ** 2).sum(1).mean()


@pytest.mark.full
@pytest.mark.parametrize(
    ("dtype", "tolerance", "workers", "period", "after", "state"),
    [("float64", 1e-14, 3, 5, 0, "keep"), ("float32", 1e-6, 4, 8, 3, "average"), ("float64", 1e-14, 5, 4, 0, "reset")],
)
def test_workers_step_alone_and_are_averaged_every_period(dtype, tolerance, workers, period, after, state):
    rng = np.random.default_rng(0)
    data = gd.Data(X := rng.normal(size=(24, 3)), X @ [1.0, -2.0, 0.5] + rng.normal(size=24))
    distribution = gd.LocalSGD(workers=workers, period=period, after=after, state=state)
    sweep = gd.Sweep(
        problem=gd.LinearRegression(data), optimizer=gd.Momentum(lr=RATE, momentum=MOMENTUM, convention="torch"), distribution=distribution, starts=20,
        steps=STEPS, batch=4, record=gd.Record(parameters=True), dtype=dtype,
    )  # fmt: skip
    found, setting = sweep.run(progress=False), sweep.plan().groups[0].setting
    starts = initial_points(setting.init, setting.problem, setting.seed, np.arange(20))
    for run in (0, 7, 19):
        mean, apart = averaged(data, starts[run], [sample_order(setting, run, k) for k in range(workers)], distribution)
        np.testing.assert_allclose(found.parameters.values[run], mean, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.disagreement.values[run, -1], apart, rtol=100 * tolerance, atol=tolerance)
