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
    found = gd.minima.units(relu, [relu.pack([(W, b), (out, np.zeros(2))])])
    assert {n: v.values.tolist() for n, v in found.items()} == {"dead": [0.2], "always_on": [0.2], "saturated": [0], "useless": [0.2], "duplicate": [0.2]}
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
def test_the_hessian_at_a_minimum_has_the_nullity_expected_where_units_are_dead_too():
    teacher = gd.MLP(gd.Data(X, X), hidden=[2], activation="relu", loss="squared_error")
    W, b, out, end = np.array([[1.0, 0.5], [-0.7, 1.0]]), np.array([0.1, 0.2]), np.array([[1.0, -1.0], [0.5, 2.0]]), np.ones(2)
    data = gd.Data(X, gd.predict(teacher, teacher.pack([(W, b), (out, end)]), X))
    for dead in (0, 1):
        problem = gd.MLP(data, hidden=[2 + dead], activation="relu", loss="squared_error")
        point = problem.pack([(np.r_[W, 0.01 * np.ones((dead, 2))], np.r_[b, -9.0 * np.ones(dead)]), (np.c_[out, np.ones((2, dead))], end)])
        assert float(gd.evaluate(problem, point).loss) < 1e-28
        values = gd.curvature.eigenvalues(problem, point).eigenvalue.values
        assert (abs(values) < 1e-9 * values[0]).sum() == expected_nullity(problem, point) == 2 + 5 * dead
