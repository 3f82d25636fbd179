"""Runs on quadratics against exact theory: limits of stability, rates, noise floors."""

import math

import numpy as np
import pytest

import gdsim as gd


def spectrum(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    matrix = q @ np.diag(values) @ q.T
    return (matrix + matrix.T) / 2, q


@pytest.mark.parametrize(("rule", "limit"), [(gd.SGD, lambda L, a: 2 / L), (gd.Momentum, lambda L, a: 2 * (1 + a) / L),
                                             (gd.Nesterov, lambda L, a: (2 + 2 * a) / (L * (1 + 2 * a)))])  # fmt: skip
def test_rules_are_stable_up_to_their_limit(rule, limit):
    """On a quadratic with largest curvature L: stable just inside the limit, divergent just outside."""
    matrix, _ = spectrum([0.5, 1.0, 4.0])
    options = {} if rule is gd.SGD else {"momentum": 0.6}
    rates = [0.995 * limit(4.0, 0.6), 1.005 * limit(4.0, 0.6)]
    result = gd.Sweep(problem=gd.Quadratic(matrix), optimizer=rule(lr=rates, **options), init=gd.Normal(1.0), steps=6000, starts=3).run()
    inside = result.isel(run=result.lr.values == rates[0])
    outside = result.isel(run=result.lr.values == rates[1])
    assert (inside.final_loss.values < 1e-6).all()
    assert set(outside.status.values.tolist()) == {"diverged"}


def test_every_mode_of_gradient_descent_shrinks_by_its_own_factor():
    curvatures = np.array([0.5, 1.0, 3.0])
    matrix, q = spectrum(curvatures)
    result = gd.Sweep(problem=gd.Quadratic(matrix), optimizer=gd.SGD(lr=0.2), init=gd.Normal(1.0), steps=40, record=gd.Record(every=1, trajectory=True)).run()
    modes = result.trajectory.values[0] @ q
    expected = modes[0] * (1 - 0.2 * curvatures) ** np.arange(41)[:, None]
    assert np.allclose(modes, expected, rtol=1e-10, atol=1e-14)


def test_the_best_heavy_ball_has_its_rate():
    """eta = 4/(sqrt L + sqrt mu)^2, a = ((sqrt k - 1)/(sqrt k + 1))^2: distances fall by (sqrt k - 1)/(sqrt k
    + 1) a step.
    """
    L, mu = 100.0, 1.0
    root = math.sqrt(L / mu)
    rule = gd.Momentum(lr=4 / (math.sqrt(L) + math.sqrt(mu)) ** 2, momentum=((root - 1) / (root + 1)) ** 2)
    result = gd.Sweep(
        problem=gd.Quadratic(np.diag([mu, 7.0, L])), optimizer=rule, init=gd.Normal(1.0), steps=400, record=gd.Record(every=100, trajectory=True)
    ).run()
    size = np.linalg.norm(result.trajectory.values[0], axis=1)
    assert (size[4] / size[2]) ** (1 / 200) == pytest.approx((root - 1) / (root + 1), rel=0.01)


@pytest.mark.parametrize(("rule", "variance"), [(gd.SGD(lr=0.1), 0.1 / (2 - 0.1)), (gd.Momentum(lr=0.05, momentum=0.5), 0.05 * 1.5 / (0.5 * (2 * 1.5 - 0.05)))])
def test_the_noise_floor(rule, variance):
    """f = (w - c)^2/2 with noisy centres: the variance of w in the long run is eta s^2/(2 - eta), and the
    heavy ball's.
    """
    centers = np.random.default_rng(3).normal(size=(4000, 1))
    result = gd.Sweep(
        problem=gd.Quadratic([[1.0]], centers), optimizer=rule, starts=3000, steps=300, batch=1, shuffle="replacement", record=gd.Record(parameters=True)
    ).run()
    found = result.parameters.values[:, 0].var()
    assert found == pytest.approx(variance * centers.var(), rel=0.1)


def test_the_noisy_quadratic_has_its_noise_floor():
    problem = gd.functions.NoisyQuadratic(curvature=2.0, noise=0.3)
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.2), starts=3000, steps=200, batch=1, shuffle="replacement", record=gd.Record(parameters=True))
    variance = 0.2 * 0.3**2 / (2.0 * (2 - 0.2 * 2.0))
    assert sweep.run().parameters.values[:, 0].var() == pytest.approx(variance, rel=0.1)
    assert float(gd.evaluate(problem, [[3.0]]).loss[0]) == pytest.approx(9.0, rel=1e-12)


def test_polyaks_average_has_the_best_variance_whatever_the_rate():
    """T Cov of the average of T iterates goes to A^-1 S A^-T."""
    rng = np.random.default_rng(4)
    matrix, _ = spectrum([0.5, 2.0])
    centers = rng.normal(size=(4000, 2))
    S = matrix @ np.cov(centers.T, bias=True) @ matrix.T
    limit = np.linalg.inv(matrix) @ S @ np.linalg.inv(matrix).T
    for lr in (0.1, 0.3):
        sweep = gd.Sweep(problem=gd.Quadratic(matrix, centers), optimizer=gd.Averaged(gd.SGD(lr=lr), start=100), init=float(0), starts=2000, steps=1600,
                         batch=1, shuffle="replacement", record=gd.Record(every="ends", parameters=True))  # fmt: skip
        ends = sweep.run().parameters.values
        assert 1500 * np.cov(ends.T, bias=True) == pytest.approx(limit, rel=0.15, abs=0.1)
