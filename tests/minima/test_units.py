"""Units that do nothing of their own are counted, and flat directions of symmetries are as many as the Hessian
has at minima.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.minima.nullity import expected_nullity

RNG = np.random.default_rng(4)
X = RNG.normal(size=(25, 2))
NUMBERS = gd.Data(X, RNG.normal(size=(25, 2)))


@pytest.mark.full
def test_units_that_do_nothing_of_their_own_are_counted():
    relu = gd.MLP(NUMBERS, hidden=[5], activation="relu")
    W, b = np.array([[1.0, 2], [2, 4], [0.1, 0], [0.1, 0.1], [1, -1]]), np.array([0.5, 1, -9, 9, 0])  # 1 is 0 twice, 2 off, 3 on
    out = np.array([[1.0, 1, 1, 1, 0], [0, 1, 0, 1, 1e-9]])  # and 4 is read by nobody
    zero = np.array([1.0, 1, 0, 1, 1])  # unit 2 is 0, and alike to none
    found = gd.minima.units(relu, [relu.pack([(W * k[:, None], b * k), (out, np.zeros(2))]) for k in (np.ones(5), zero)])
    once = [0.2, 0.2]
    assert {n: v.values.tolist() for n, v in found.items()} == {"dead": once, "always_on": once, "saturated": [0, 0], "useless": once, "duplicate": once}
    deep = gd.MLP(NUMBERS, hidden=[2, 3], activation="tanh")
    layers = [
        (np.array([[1.0, 2], [-1, -2]]), np.array([3.0, -3])),
        (np.array([[1.0, 2], [2, 4], [0.1, 0.1]]), np.array([9.0, 9, 0])),
        (np.ones((2, 3)), np.ones(2)),
    ]
    found = gd.minima.units(deep, deep.pack(layers))
    assert [float(found[n]) for n in ("dead", "always_on", "saturated", "useless", "duplicate")] == [0, 0, 0.4, 0, 0.2]
    with pytest.raises(ValueError, match="units is of networks with hidden layers; LogisticRegression has none"):
        gd.minima.units(gd.LogisticRegression(gd.Data(X, X[:, 0] > 0)), np.zeros(3))


@pytest.mark.full
@pytest.mark.parametrize(
    ("activation", "hidden", "l2", "expected"),
    [("relu", [3], 0.0, 3), ("leaky_relu", [3, 2], 0.0, 5), ("tanh", [3], 0.0, 0), ("relu", [3], 0.1, 0), ("identity", [2], 0.0, 6), ("identity", [2], 0.1, 3)],
)
def test_symmetries_have_as_many_dimensions_as_they_have_parameters(activation, hidden, l2, expected):
    labels = gd.Data(X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0))
    for data, more in ((NUMBERS, 0), (labels, (1 + hidden[-1]) if l2 == 0 else 1)):
        problem = gd.MLP(data, hidden=hidden, activation=activation, l2=l2)
        w = problem.pack([(W, 0 * b) for W, b in problem.unpack(RNG.normal(size=problem.parameter_count))])  # so that none is dead
        assert expected_nullity(problem, w) == expected + more


@pytest.mark.full
@pytest.mark.parametrize("activation", [["relu"], ["tanh", "relu"]])
def test_the_hessian_at_a_minimum_has_the_nullity_expected_where_units_are_dead_too(activation):
    before = [(np.array([[1.0, 0.5], [-0.7, 1.0]]), np.array([0.1, 0.2]))][: len(activation) - 1]
    W, b, out, end = np.array([[1.0, 0.4], [-0.6, 1.2]]), np.array([0.6, 0.8]), np.array([[1.0, -1.0], [0.5, 2.0]]), np.ones(2)
    teacher = gd.MLP(gd.Data(X, X), hidden=[2] * len(activation), activation=activation, loss="squared_error")
    data = gd.Data(X, gd.predict(teacher, teacher.pack([*before, (W, b), (out, end)]), X))
    for dead in (0, 1):
        problem = gd.MLP(data, hidden=[2] * len(before) + [2 + dead], activation=activation, loss="squared_error")
        added = (np.r_[W, 0.01 * np.ones((dead, 2))], np.r_[b, -9.0 * np.ones(dead)])
        points = [problem.pack([*before, added, (np.c_[out, way * np.ones((2, dead))], end)]) for way in (1.0, -1.0)]
        assert float(gd.evaluate(problem, points[0]).loss) < 1e-28
        values = gd.curvature.eigenvalues(problem, points[0]).eigenvalue.values
        assert (abs(values) < 1e-9 * values[0]).sum() == expected_nullity(problem, points[0]) == 2 + 5 * dead
        found = gd.minima.census(problem, points)
        assert (found.kind.values.tolist(), found["count"].values.tolist()) == (["minimum"], [2])
