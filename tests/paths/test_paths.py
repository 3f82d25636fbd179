"""Trained curves against closed forms, bands against known saddles, matrices of barriers pair by pair."""

import numpy as np
import pytest

import gdsim as gd

HIMMELBLAU = np.array([[3.0, 2.0], [-2.805118, 3.131313], [-3.779310, -3.283186], [3.584428, -1.848127]])
SADDLES = [67.7192, 104.0152, 178.3372, 13.3119]  # between neighbours, in turn (SciPy's root of the gradient)


@pytest.mark.full
@pytest.mark.parametrize(("curve", "weight"), [("bezier", lambda t: 2 * t * (1 - t)), ("chain", lambda t: 1 - abs(2 * t - 1))])
def test_curves_around_a_bowl_are_those_of_least_squares(curve, weight):
    A = np.array([[2.0, 1.0], [1.0, 3.0]])
    a, b = np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([0.0, 2.0])
    found = getattr(gd.paths, curve)(gd.Quadratic(A), a, b, points=11)
    t = (np.arange(25) + 0.5) / 25  # f = x' A x / 2 at x = fixed(t) + weight(t) c has its least mean where sum weight x = 0
    first, last = {"bezier": ((1 - t) ** 2, t**2), "chain": (np.maximum(0, 1 - 2 * t), np.maximum(0, 2 * t - 1))}[curve]
    fixed = first[:, None] * a[:, None] + last[:, None] * b
    truth = -(weight(t)[:, None] * fixed).sum(1) / (weight(t) ** 2).sum()
    assert found.control.values[:, 0] == pytest.approx(truth, abs=1e-6)
    middle = weight(np.array(0.5)) * truth + ((0.25, 0.25) if curve == "bezier" else (0.0, 0.0))[0] * (a + b)
    assert found.loss.values[:, 5] == pytest.approx(0.5 * np.einsum("ri,ij,rj->r", middle, A, middle), abs=1e-6)
    assert found.converged.all()


@pytest.mark.full
def test_a_curve_connects_networks_that_a_line_does_not():
    X = np.random.default_rng(6).normal(size=(40, 3))
    shape = gd.MLP(gd.Data(X, np.zeros((40, 2))), hidden=[5], activation="tanh")
    w = np.random.default_rng(7).normal(size=shape.parameter_count)
    problem = gd.MLP(gd.Data(X, gd.predict(shape, w, X)), hidden=[5], activation="tanh")
    (W, b), (out, end) = problem.unpack(w)
    ends = w, problem.pack([(W[::-1], b[::-1]), (out[:, ::-1], end)])  # the same network with its units the other way round
    straight, bent = gd.paths.barrier(problem, *ends), gd.paths.bezier(problem, *ends)
    assert float(bent.barrier) < 0.3 * float(straight.barrier)
    middle = 0.25 * (ends[0] + ends[1]) + 0.5 * bent.control.values[0]
    assert float(bent.loss[50]) == pytest.approx(float(gd.evaluate(problem, middle).loss), rel=1e-9)


def test_bands_end_at_the_known_saddles_between_minima():
    found = gd.paths.nudged_elastic_band(gd.functions.Himmelblau(), HIMMELBLAU, np.roll(HIMMELBLAU, -1, 0))
    assert found.saddle_value.values == pytest.approx(SADDLES, abs=1e-4)
    assert found["index"].values.tolist() == [1, 1, 1, 1]
    assert found.height.values == pytest.approx(SADDLES, abs=1e-4)  # all minima are 0
    assert found.converged.all()
    assert found.attrs["align"] == "none"
    assert (abs(np.diff(found.length.values, axis=1) / np.diff(found.length.values, axis=1).mean(1)[:, None] - 1) < 0.6).all()
    falling = gd.paths.nudged_elastic_band(gd.functions.Himmelblau(), [3.0, 2.0], [3.2, 2.1])
    assert np.isnan(falling.saddle_value)
    assert (int(falling["index"]), float(falling.height)) == (-1, 0.0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("problem", "minima", "known"),
    [
        (gd.functions.MuellerBrown(), [(-0.558224, 1.441726), (-0.050011, 0.466694), (0.623499, 0.028038)], {-40.664844, -72.248940}),
        (gd.functions.SixHumpCamel(), [(0.089842, -0.712656), (1.703607, -0.796084), (1.607105, 0.568651), (-0.089842, 0.712656)], {0.543719, 2.229471, 0.0}),
    ],
)
def test_saddles_have_one_direction_down(problem, minima, known):
    a, b = (np.array(minima)[k] for k in np.triu_indices(len(minima), 1))
    found = gd.paths.nudged_elastic_band(problem, a, b)
    assert all(min(abs(value - k) for k in known) < 2e-4 for value in found.saddle_value.values)
    assert {min(known, key=lambda k: abs(k - value)) for value in found.saddle_value.values} == known
    assert gd.evaluate(problem, found.saddle.values).gradient_norm.values.max() < 1e-8
    assert ((gd.curvature.eigenvalues(problem, found.saddle.values).eigenvalue.values < 0).sum(1) == 1).all()


def test_a_matrix_has_the_barrier_of_every_pair_and_is_kept_in_a_folder(tmp_path):
    problem = gd.functions.Himmelblau()
    found = gd.paths.barrier_matrix(problem, HIMMELBLAU, points=51, out=tmp_path / "pairs")
    for i, j in [(0, 1), (2, 1), (3, 3)]:
        if i != j:
            pair = gd.paths.barrier(problem, HIMMELBLAU[i], HIMMELBLAU[j], points=51)
        assert float(found.barrier[i, j]) == pytest.approx(0.0 if i == j else float(pair.barrier), rel=1e-12)
        assert float(found.height[j, i]) == pytest.approx(0.0 if i == j else float(pair.height), rel=1e-12)
    assert found.identical(gd.open(tmp_path / "pairs"))
    lowest = gd.paths.barrier_matrix(problem, HIMMELBLAU + [[1.0, 0], [0, 0], [0.5, 0], [0, 0]], lowest=2)
    assert sorted(lowest.minimum.values.tolist()) == [1, 3]
    assert (np.diff(lowest.value.values) >= 0).all()
    bands = gd.paths.barrier_matrix(problem, HIMMELBLAU, path="band", points=11)
    assert bands.height.values[[0, 1, 2, 3], [1, 2, 3, 0]] == pytest.approx(SADDLES, abs=1e-4)
    alone = gd.paths.nudged_elastic_band(problem, HIMMELBLAU[[0, 1]], HIMMELBLAU[[2, 3]], images=11)
    assert bands.converged.values[[2, 1], [0, 3]].tolist() == alone.converged.values.tolist()
    assert bands.converged.values.diagonal().all()


def test_what_no_path_leads_between_is_refused():
    problem = gd.functions.Himmelblau()
    for path in (gd.paths.bezier, gd.paths.chain, gd.paths.nudged_elastic_band):
        with pytest.raises(ValueError, match="two different points; a and b are equal"):
            path(problem, [1.0, 1.0], [1.0, 1.0])
        with pytest.raises(ValueError, match="2 numbers each"):
            path(problem, [1.0, 1.0], [1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"needs 2 to 2,000 points, \[minimum, parameter\]; 1 were given"):
        gd.paths.barrier_matrix(problem, [1.0, 1.0])
    with pytest.raises(TypeError, match="of a Dataset give one"):
        gd.paths.barrier_matrix(problem, gd.minima.census(problem, HIMMELBLAU))
    with pytest.raises(ValueError, match="align is of networks"):
        gd.paths.barrier_matrix(problem, HIMMELBLAU, align=True)
    with pytest.raises(ValueError, match="path='bend' is not known; did you mean 'band'"):
        gd.paths.barrier_matrix(problem, HIMMELBLAU, path="bend")
