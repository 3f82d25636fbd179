"""Eigenvalues and traces of second derivatives: matrices of known eigenvalues are the truth, with several equal
ones, zeros and both signs.
"""

import numpy as np
import pytest

import gdsim as gd

SIZE = 40
Q = np.linalg.qr(np.random.default_rng(1).normal(size=(SIZE, SIZE)))[0]
SPECTRA = {
    "three equal": np.r_[5.0, 5.0, 5.0, np.linspace(0.1, 1.0, SIZE - 3)], "both signs": np.linspace(-3.0, 9.0, SIZE), "all 0": np.zeros(SIZE),
    "of rank 1": np.r_[2.0, np.zeros(SIZE - 1)],
}  # fmt: skip


def problem_of(spectrum):
    return gd.Quadratic((Q * spectrum) @ Q.T)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_extreme_eigenvalues_are_those_that_the_matrix_was_made_of(name, which):
    values = np.sort(SPECTRA[name])[::-1]
    truth = {"largest": values[:3], "smallest": values[-3:], "both": np.r_[values[:3], values[-3:]]}[which]
    problem = problem_of(SPECTRA[name])
    found = gd.curvature.eigenvalues(problem, np.zeros((2, SIZE)), k=3, which=which, vectors=True)
    assert found.eigenvalue.dims == ("run", "eigen")
    assert found.converged.all()
    assert found.residual.max() <= 1e-8
    assert found.eigenvalue.values == pytest.approx(np.tile(truth, (2, 1)), abs=1e-12)
    vectors = found.eigenvector.values[0]
    assert vectors @ vectors.T == pytest.approx(np.eye(len(truth)), abs=1e-12)
    assert vectors @ problem.matrix.values == pytest.approx(truth[:, None] * vectors, abs=1e-7)


def test_all_eigenvalues_and_the_trace():
    spectrum = SPECTRA["both signs"]
    problem = problem_of(spectrum)
    found = gd.curvature.eigenvalues(problem, np.zeros(SIZE), vectors=True)
    assert found.eigenvalue.values == pytest.approx(np.sort(spectrum)[::-1], abs=1e-12)
    assert found.eigenvector.values @ problem.matrix.values == pytest.approx(found.eigenvalue.values[:, None] * found.eigenvector.values, abs=1e-12)
    exact = gd.curvature.trace(problem, np.zeros(SIZE))
    assert (float(exact.trace), float(exact.trace_standard_error)) == pytest.approx((spectrum.sum(), 0.0), abs=1e-12)
    estimate = gd.curvature.trace(problem, np.zeros((3, SIZE)), probes=20)
    # Of random signs the variance of v' A v is twice the sum of the squares beside the diagonal.
    apart = problem.matrix.values - np.diag(np.diag(problem.matrix.values))
    assert estimate.trace_standard_error.values == pytest.approx(np.full(3, np.sqrt(2 * (apart**2).sum() / 20)), rel=0.5)
    assert abs(estimate.trace - spectrum.sum()).max() < 4 * estimate.trace_standard_error.max()


@pytest.mark.full
def test_a_search_does_not_look_at_those_beside_it_and_diverged_points_are_nan():
    ackley, points = gd.functions.Ackley(dim=6), np.random.default_rng(2).normal(size=(3, 6))
    points[1, 0] = np.nan
    found = gd.curvature.eigenvalues(ackley, points, k=2, which="both")
    assert np.isnan(found.eigenvalue.values[1]).all()
    assert found.converged.values.tolist() == [True, False, True]
    alone = gd.curvature.eigenvalues(ackley, points[2], k=2, which="both")
    assert alone.eigenvalue.values.tobytes() == found.eigenvalue.values[2].tobytes()
    truth = np.linalg.eigvalsh(ackley.hessian(points[2:]))[0][[5, 4, 1, 0]]
    assert alone.eigenvalue.values == pytest.approx(truth, rel=1e-10, abs=1e-12)
    whole = gd.curvature.eigenvalues(ackley, points).eigenvalue.values
    assert np.isnan(whole[1]).all()
    assert whole[2] == pytest.approx(np.linalg.eigvalsh(ackley.hessian(points[2:]))[0][::-1], rel=1e-10, abs=1e-12)


def density_of(spectrum, values, deviation):
    return np.exp(-0.5 * ((values[:, None] - spectrum) / deviation) ** 2).mean(1) / (deviation * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("name", ["both signs", "three equal", "of rank 1"])
def test_the_density_is_that_of_the_eigenvalues_with_all_probes_and_near_it_with_few(name):
    spectrum, problem = SPECTRA[name], problem_of(SPECTRA[name])
    exact = gd.curvature.density(problem, np.zeros(SIZE), probes=SIZE, smoothing=0.02)
    truth = density_of(spectrum, exact.value.values, exact.deviation)
    assert exact.deviation == pytest.approx(0.02 * np.ptp(spectrum), rel=1e-6)
    assert exact.density.values == pytest.approx(truth, abs=1e-6 * truth.max())
    assert (exact.density_standard_error == 0.0).all()
    few = gd.curvature.density(problem, np.zeros((2, SIZE)), probes=8, smoothing=0.02)
    assert few.density.dims == ("run", "value")
    assert few.density.integrate("value").values == pytest.approx([1.0, 1.0], abs=1e-8)
    missed = np.abs(few.density.values[1] - density_of(spectrum, few.value.values, few.deviation))
    assert (missed <= 5 * few.density_standard_error.values[1] + 1e-6 * truth.max()).mean() > 0.99


@pytest.mark.full
def test_the_density_of_networks_of_two_sizes_is_near_that_of_their_eigenvalues(tmp_path):
    X = np.random.default_rng(4).normal(size=(50, 3))
    networks = [gd.MLP(gd.Data(X, X[:, 0] > 0), hidden=[width], activation="tanh") for width in (4, 12)]
    result = gd.Sweep(problem=networks, optimizer=gd.SGD(0.5), steps=20, record=gd.Record(parameters=True)).run(progress=False)
    found = gd.curvature.density(result, probes=30, steps=60, smoothing=0.02)
    for run, network in enumerate(networks):
        count = network.parameter_count
        spectrum = gd.curvature.eigenvalues(network, result.parameters.values[run, :count].astype(np.float64)).eigenvalue.values
        truth = density_of(spectrum, found.value.values, found.deviation)
        missed = np.abs(found.density.values[run] - truth)
        assert missed.max() < 5 * found.density_standard_error.values[run].max() + 1e-3 * truth.max()
    stored = gd.curvature.density(result, probes=30, steps=60, smoothing=0.02, out=tmp_path / "density")
    assert gd.open(tmp_path / "density").identical(stored)
    assert stored.density.values == pytest.approx(found.density.values, abs=1e-12)
    lost = gd.curvature.density(networks[0], np.full(networks[0].parameter_count, np.nan), probes=2)
    assert np.isnan(lost.density).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, p: c.density(p, np.zeros(SIZE), probes=1), "probes must be"),
        (lambda c, p: c.density(p, np.zeros(SIZE), smoothing=0.0), "smoothing must be"),
        (lambda c, p: c.sharpness(p, np.zeros(SIZE), rho=-1.0), "rho must be"),
        (lambda c, p: c.eigenvalues(p, np.zeros(SIZE), k=0), "k must be"),
        (lambda c, p: c.eigenvalues(p, np.zeros(SIZE), k=3, which="middle"), "which must be one of 'largest', 'smallest', 'both'|middle"),
        (lambda c, p: c.eigenvalues(p, np.zeros(SIZE), vectors=1), "vectors must be true or false; 1 was given"),
        (lambda c, p: c.eigenvalues(p), "needs parameters"),
        (lambda c, p: c.density(p, np.zeros(SIZE), probes=SIZE, seed="a"), "seed must be a whole number from 0"),
        (lambda c, p: c.trace(p, np.zeros(SIZE), seed=1.5), "seed must be a whole number from 0"),
        (lambda c, p: c.sharpness(p, np.zeros(SIZE), seed=-1), "seed must be a whole number from 0"),
        (lambda c, p: c.trace(p, np.zeros(SIZE), probes=1), "probes must be"),
        (lambda c, p: c.eigenvalues(gd.MLP(gd.datasets.load("digits"), hidden=[50]), np.zeros(3760)), "up to 2,000 parameters, and there are 3,760; ask for k"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_computed(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(gd.curvature, problem_of(SPECTRA["all 0"]))


@pytest.mark.parametrize(("what", "options"), [("eigenvalues", {"k": np.int64(2)}), ("density", {"probes": np.int64(2), "seed": np.int64(1)})])
def test_numbers_of_numpy_ask_what_plain_ones_ask(what, options, tmp_path):
    call, problem = getattr(gd.curvature, what), problem_of(SPECTRA["both signs"])
    first = call(problem, np.zeros(SIZE), out=tmp_path / "answer", **options)
    assert call(problem, np.zeros(SIZE), out=tmp_path / "answer", **{name: int(value) for name, value in options.items()}).identical(first)


@pytest.mark.parametrize("what", ["eigenvalues", "density"])
def test_what_cannot_be_asked_leaves_no_folder(what, tmp_path):
    with pytest.raises(ValueError, match="networks and linear models, and Quadratic is neither"):
        getattr(gd.curvature, what)(problem_of(SPECTRA["all 0"]), np.zeros(SIZE), matrix="gauss_newton", out=tmp_path / "answer")
    assert not (tmp_path / "answer").exists()
