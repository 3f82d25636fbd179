"""Barriers on lines against closed forms, and networks aligned to each other."""

import numpy as np
import pytest

import gdsim as gd

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3))
DATA = gd.Data(X, (X[:, 0] * X[:, 1] > 0).astype(int))


def permuted(problem, vector):
    """The same function with its hidden units in another order, tanh units with other signs."""
    layers = [(W.copy(), b.copy()) for W, b in problem.unpack(vector)]
    for n, width in enumerate(problem.hidden):
        order, sign = RNG.permutation(width), np.where(RNG.random(width) < 0.5, -1.0, 1.0) if problem.activation == "tanh" else np.ones(width)
        layers[n] = (sign[:, None] * layers[n][0][order], sign * layers[n][1][order])
        layers[n + 1] = (layers[n + 1][0][:, order] * sign, layers[n + 1][1])
    return problem.pack(layers)


def test_the_barrier_of_a_double_well_is_that_of_its_formula():
    well = gd.Expression("x**4/4 - x**2/2 + x/10", variables=["x"])
    ends, alpha = np.array([[-1.0], [0.25]]), np.linspace(0, 1, 401)
    found = gd.paths.barrier(well, ends, [1.0], points=401)
    for run, (a,) in enumerate(ends):
        x = a + alpha * (1 - a)
        f = x**4 / 4 - x**2 / 2 + x / 10
        assert found.loss.values[run] == pytest.approx(f, abs=1e-15)
        assert float(found.barrier[run]) == pytest.approx((f - (1 - alpha) * f[0] - alpha * f[-1]).max(), abs=1e-15)
        assert float(found.height[run]) == pytest.approx(f.max() - max(f[0], f[-1]), abs=1e-15)
    assert found.attrs["align"] == "none"
    with pytest.raises(ValueError, match="two different points"):
        gd.paths.barrier(well, [1.0], [1.0])


@pytest.mark.parametrize(
    ("activation", "hidden"), [("tanh", [5]), pytest.param("relu", [4, 5], marks=pytest.mark.full), pytest.param("gelu", [4], marks=pytest.mark.full)]
)
def test_networks_that_are_the_same_have_no_barrier_once_aligned(activation, hidden):
    shape = gd.MLP(gd.Data(X, np.zeros((40, 2))), hidden=hidden, activation=activation)
    w = RNG.normal(size=shape.parameter_count)
    problem = gd.MLP(gd.Data(X, gd.predict(shape, w, X)), hidden=hidden, activation=activation)  # whose minimum it is
    same = permuted(problem, w)
    assert float(gd.paths.barrier(problem, w, same).barrier) > 0.01
    aligned = gd.paths.barrier(problem, w, same, align=True)
    assert (float(aligned.barrier) < 1e-12, aligned.attrs["align"]) == (True, "weights")
    assert gd.minima.align(problem, w, same) == pytest.approx(w, abs=1e-12)


@pytest.mark.full
def test_weight_matching_leaves_the_function_and_is_no_lower_than_the_best_of_all_images():
    problem = gd.MLP(DATA, hidden=[3], activation="tanh")
    a, b = RNG.normal(size=(2, 4, problem.parameter_count)) * 2
    plain, matched, best = (gd.paths.barrier(problem, a, b, align=align).barrier.values for align in (False, True, "barrier"))
    assert (best <= np.minimum(plain, matched) + 1e-12).all()
    assert (best < plain - 1e-3).any()
    for method in ("weights", "barrier"):
        made = gd.minima.align(problem, a, b, method=method)
        assert abs(gd.predict(problem, made, X) - gd.predict(problem, b, X)).max() < 1e-12
        assert gd.paths.barrier(problem, a, made).barrier.values == pytest.approx({"weights": matched, "barrier": best}[method], abs=1e-12)
    apart, before = (np.linalg.norm(v - a, axis=1) for v in (gd.minima.align(problem, a, b), b))
    assert (apart <= before + 1e-12).all()


def test_losses_and_lengths_beyond_all_numbers_are_told_without_warnings():
    found = gd.paths.barrier(gd.functions.Booth(), [[1e200, 0.0], [0.0, 0.0]], [[0.0, 1e200], [3e160, 4e160]])
    assert np.isnan(found.barrier).all()
    assert found.distance.values == pytest.approx([2**0.5 * 1e200, 5e160])


def test_what_cannot_be_aligned_is_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match="align is of networks, whose units may change places; Rosenbrock has none"):
        gd.paths.barrier(gd.functions.Rosenbrock(), [0.0, 0.0], [1.0, 1.0], align=True)
    deep = gd.MLP(DATA, hidden=[3, 3])
    with pytest.raises(ValueError, match=r"one hidden layer of up to 6 units; hidden=\[3, 3\] was given: take method='weights'"):
        gd.minima.align(deep, np.zeros(deep.parameter_count), np.ones(deep.parameter_count), method="barrier")
    with pytest.raises(ValueError, match=r"align='weight' is not known; did you mean 'weights'.* allowed: 'weights', 'barrier', True, False"):
        gd.paths.barrier(deep, np.zeros(deep.parameter_count), np.ones(deep.parameter_count), align="weight")
    with pytest.raises(ValueError, match="points must be a whole number from 3"):
        gd.paths.barrier(deep, np.zeros(deep.parameter_count), np.ones(deep.parameter_count), points=2)
