"""Sharpness, the largest eigenvalue of second derivatives: recorded at checkpoints of runs, beside LAPACK's of
the whole matrices, and matrices of known eigenvalues.
"""

import numpy as np
import pytest

import gdsim as gd
from tests.helpers import same_bits

SIZE = 30
Q = np.linalg.qr(np.random.default_rng(3).normal(size=(SIZE, SIZE)))[0]
SPECTRA = {
    "both signs": np.linspace(-9.0, 3.0, SIZE), "below 0": np.linspace(-5.0, -1.0, SIZE), "equal": np.full(SIZE, 2.0), "all 0": np.zeros(SIZE),
    "two close": np.r_[1.0, 1.0 - 1e-7, np.linspace(-1.0, 0.5, SIZE - 2)],
}  # fmt: skip
CURVES = gd.Record(every=4, sharpness=True, trajectory=True)


def largest(problem, points):
    return gd.curvature.eigenvalues(problem, points.astype(np.float64)).eigenvalue.values[..., 0]


@pytest.mark.parametrize("name", SPECTRA)
def test_recorded_sharpness_is_the_largest_eigenvalue_that_a_matrix_was_made_of(name):
    spectrum = SPECTRA[name]
    sweep = gd.Sweep(problem=gd.Quadratic((Q * spectrum) @ Q.T), optimizer=gd.SGD(1e-3), steps=4, record=gd.Record(every="ends", sharpness=True))
    result = sweep.run(progress=False)
    assert result.sharpness.dims == ("run", "checkpoint")
    assert result.sharpness.attrs["units"] == "1"
    assert result.sharpness.values == pytest.approx(np.full((1, 2), spectrum.max()), rel=1e-8, abs=1e-13)


@pytest.mark.full
def test_sharpness_of_networks_is_that_of_their_points_whoever_computes_beside_them(tmp_path):
    X = np.random.default_rng(4).normal(size=(40, 3))
    penalties = [0.0, 0.3]
    networks = [gd.MLP(gd.Data(X, X[:, 0] > 0), hidden=[4], activation="tanh", l2=l2) for l2 in penalties]
    options = {"optimizer": gd.SGD(gd.logspace(0.1, 10.0, 2)), "stop": [gd.Target(0.5, every=1)], "steps": 10, "record": CURVES}
    sweep = gd.Sweep(problem=networks, starts=3, **options)
    result = sweep.run(progress=False)
    assert np.isnan(result.sharpness.values).any()  # after the end of a run, as all curves
    for l2, network in zip(penalties, networks, strict=True):
        for run in np.flatnonzero(np.isin(result.cell.values, range(2) if l2 == 0.0 else range(2, 4))):
            known = ~np.isnan(result.loss.values[run])
            truth = largest(network, result.trajectory.values[run, known])
            assert result.sharpness.values[run, known] == pytest.approx(truth, rel=3e-5)
            assert np.isnan(result.sharpness.values[run, ~known]).all()
    alone = sweep.run(runs=[7], lanes=1, progress=False)
    assert same_bits(alone.sharpness.values[0], result.sharpness.values[7])
    gd.Sweep(problem=networks, starts=1, **options).run(out=tmp_path / "s", progress=False)
    stored = sweep.run(out=tmp_path / "s", progress=False, threads=1)
    assert same_bits(stored.sharpness.values, result.sharpness.values)


@pytest.mark.full
def test_sharpness_where_runs_diverge_go_on_and_are_counted():
    problem = gd.functions.StyblinskiTang()
    options = {"problem": problem, "optimizer": gd.SGD([0.01, 10.0]), "starts": 4}
    record = gd.Record(every=5, sharpness=True, trajectory=True, state=True)
    whole = gd.Sweep(steps=20, record=record, **options).run(progress=False)
    truth = problem.hessian(whole.trajectory.values[..., :2])  # of a diverged run beyond its end NaN
    assert whole.sharpness.values == pytest.approx(
        np.array([[np.linalg.eigvalsh(h)[-1] if np.isfinite(h).all() else np.nan for h in run] for run in truth]), rel=1e-9, nan_ok=True
    )
    half = gd.Sweep(steps=10, record=record, **options).run(progress=False)
    more = gd.continue_from(half, steps=10, progress=False)
    assert same_bits(more.sharpness.sel(run=whole.cell.values == 0).values[:, -2:], whole.sharpness.sel(run=whole.cell.values == 0).values[:, -2:])
    counted = gd.Sweep(steps=20, record=gd.Record(every=5, sharpness=True), keep="summary", **options).run(progress=False)
    middle = gd.analysis.bands(counted, variable="sharpness")
    assert float(middle.value.sel(quantile=0.5)[0, -1]) == pytest.approx(np.sort(whole.sharpness.values[whole.cell.values == 0, -1])[1], rel=0.1)


@pytest.fixture(scope="module")
def network():
    X = np.random.default_rng(6).normal(size=(30, 2))
    return gd.MLP(gd.Data(X, X[:, 0] * X[:, 1] > 0), hidden=[4], activation="relu")


@pytest.mark.full
def test_measures_of_a_quadratic_are_their_formulas():
    spectrum, w = SPECTRA["both signs"], np.random.default_rng(7).normal(size=SIZE)
    A = (Q * np.abs(spectrum)) @ Q.T
    found = gd.curvature.sharpness(gd.Quadratic(A), w, rho=0.1, sigma=0.3, probes=20)
    f, g = lambda v: 0.5 * np.einsum("...i,ij,...j", v, A, v), A @ w
    assert float(found.lambda_max) == pytest.approx(9.0, rel=1e-9)
    assert float(found.sam) == pytest.approx(f(w + 0.1 * g / np.linalg.norm(g)) - f(w), rel=1e-10)
    diagonal = np.diag(A)
    for name, truth in (("trace", diagonal.sum()), ("scale_invariant", (w * w * diagonal).sum()), ("expected", 0.045 * diagonal.sum())):
        assert abs(float(found[name]) - truth) < 4 * float(found[f"{name}_standard_error"])
    exact = gd.curvature.sharpness(gd.Quadratic(A), w, probes=SIZE)
    assert (float(exact.trace), float(exact.trace_standard_error)) == pytest.approx((diagonal.sum(), 0.0), rel=1e-12)
    assert float(exact.scale_invariant) == pytest.approx((w * w * diagonal).sum(), rel=1e-12)


@pytest.mark.full
def test_the_highest_losses_in_boxes_are_not_below_those_that_l_bfgs_finds(network):
    from scipy.optimize import minimize

    points = np.random.default_rng(8).normal(size=(2, network.parameter_count))
    found = gd.curvature.sharpness(network, points, epsilon=0.01, rho=0.05, probes=2)
    steps = 1e-6 * np.eye(network.parameter_count)

    def below(v):
        values = -gd.evaluate(network, np.concatenate([v[None], v + steps, v - steps])).loss.values
        return values[0], (values[1 : len(v) + 1] - values[len(v) + 1 :]) / 2e-6

    for run, w in enumerate(points):
        f = -below(w)[0]
        for name, reach, factor in (("keskar", 0.01 * (np.abs(w) + 1.0), 100.0 / (1.0 + f)), ("adaptive", 0.05 * np.abs(w), 1.0)):
            bounds = list(zip(w - reach, w + reach, strict=True))
            best = minimize(below, w + 0.1 * reach, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 10})
            assert float(found[name][run]) >= 0.999 * factor * (-best.fun - f)


@pytest.mark.full
def test_two_measures_stay_where_relu_units_are_rescaled_and_the_others_say_that_they_do_not(network):
    w = np.random.default_rng(9).normal(size=network.parameter_count)
    (W1, b1), (W2, b2) = network.unpack(w)
    scale = np.array([4.0, 0.5, 1.0, 8.0])
    scaled = network.pack([(W1 * scale[:, None], b1 * scale), (W2 / scale, b2)])
    before, after = (gd.curvature.sharpness(network, v, probes=network.parameter_count) for v in (w, scaled))
    for name in ("lambda_max", "trace", "keskar", "sam", "expected", "scale_invariant", "adaptive"):
        is_same = float(after[name]) == pytest.approx(float(before[name]), rel=1e-9)
        assert is_same == ("rescaling" in before[name].attrs["invariant_to"])


def test_measures_of_losses_below_minus_1_and_of_infinite_ones_are_nan():
    parabola = gd.Expression("x**2 - 5", variables=["x"])
    found = gd.curvature.sharpness(parabola, [[1.0], [2.5], [1e300]], probes=2, threads=1)
    assert np.isnan(found.keskar.values).tolist() == [True, False, True]
    assert found.lambda_max.values[:2] == pytest.approx(2.0)


def test_a_plan_counts_what_recording_takes():
    """About 20 products of 2.2 gradients at each checkpoint, and the points there until a batch has ended."""
    options = {"problem": gd.MLP(gd.datasets.load("digits"), hidden=[8]), "optimizer": gd.SGD(0.1), "starts": 32, "steps": 100}
    plain, recorded = (gd.Sweep(record=gd.Record(every=10, sharpness=s, gradient_norm=True), **options).plan() for s in (False, True))
    assert recorded.operations == pytest.approx(plain.operations * (100 + 11 * (1 + 44)) / (100 + 11), rel=0.05)
    assert recorded.memory - plain.memory > 10 * 32 * 610 * 4
    assert recorded.disk - plain.disk == 32 * 11 * 4
