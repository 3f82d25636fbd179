"""The penalty has one rounding: what a step applies is what is measured, in every engine."""

import math

import numpy as np
import pytest

import gdsim as gd

L1, L2 = np.float32(0.1), np.float32(0.3)
ONE = gd.Data([[1.0], [1.0]], [0.0, 0.0])
# One weight on the input 1 and the target 0: the loss is w^2/2, its gradient w.
PROBLEM = gd.LinearRegression(ONE, loss="squared_error", intercept=False, l1=L1, l2=L2)
ENGINES = {"in memory": {"batch": None}, "network": {"batch": 2, "lanes": 16}, "one run in all lanes": {"batch": 2, "lanes": 1}}


@pytest.mark.parametrize("engine", ["in memory", *(pytest.param(n, marks=pytest.mark.full) for n in ENGINES if n != "in memory")])
def test_the_gradient_that_is_applied_is_rounded_like_the_one_that_is_measured(engine):
    """fma(l1, sign(w), fma(l2, w, g)): in float64 each of the two is exact before it is rounded."""
    lanes, batch = ENGINES[engine].get("lanes"), ENGINES[engine]["batch"]
    record = gd.Record(every=1, trajectory=True, gradient_norm=True)
    sweep = gd.Sweep(problem=PROBLEM, optimizer=gd.SGD(lr=1.0), init=gd.Normal(1.0), starts=200, steps=1, batch=batch, record=record)
    result = sweep.run(lanes=lanes)
    w, after = result.trajectory.values[:, :, 0].T
    wide = w.astype(float)
    g = (float(L1) * np.sign(wide) + (float(L2) * wide + wide).astype(np.float32)).astype(np.float32)
    assert (after == w - g).all()
    assert (result.gradient_norm.values[:, 0] == abs(g)).all()


def test_the_penalty_of_many_weights_is_summed_with_compensation():
    """Inputs so small that the loss is hardly more than its penalty; a running sum of 600 terms is off by up
    to ten units of 2^-24.
    """
    X, n = np.tile(np.eye(300), (4, 1)) * 2.0**-10, 300
    problem = gd.LinearRegression(gd.Data(X, np.zeros(len(X))), intercept=False, loss="squared_error", l1=L1, l2=L2)
    record = gd.Record(every=1, trajectory=True)
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1.0), init=gd.Normal(1.0), starts=16, steps=1, record=record).run()
    for w, loss in zip(result.trajectory.values[:, 0].astype(float), result.loss.values[:, 0], strict=True):
        assert loss == pytest.approx(math.fsum(float(L1) * abs(w) + (float(L2) + 2.0**-20 / n) / 2 * w**2), rel=2.0**-23)
