"""Planes: their directions by the definition, their scores beside formulas, and what is no plane."""

import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.landscape import through
from gdsim.population import planes
from tests.landscape.networks import RNG, scores_of, weighted_network

MATRIX = np.array([[2.0, 0.5, 0.0], [0.5, 3.0, 0.1], [0.0, 0.1, 1.0]])
QUADRATIC = gd.Quadratic(MATRIX)


def rows_of(network, vector):
    """The rows of weights of a vector, each what leads into one unit."""
    return [row for W, _ in network.unpack(vector) for row in W]


def test_directions_have_the_rows_norms_and_are_orthogonal_row_by_row_and_the_same_draws_for_all_runs():
    network = weighted_network()
    centers = RNG.normal(size=(2, network.parameter_count))
    found = gd.landscape.directions(network, centers)
    assert found.dims == ("run", "axis", "parameter")
    for run in range(2):
        both = [rows_of(network, d) for d in found.values[run]]
        for weights, one, other in zip(rows_of(network, centers[run]), *both, strict=True):
            size = weights @ weights
            assert [one @ one, other @ other] == pytest.approx([size, size], rel=1e-14)
            assert abs(one @ other) < 1e-14 * size
        assert all(not b.any() for d in found.values[run] for _, b in network.unpack(d))
    shares = [[r / np.linalg.norm(r) for r in rows_of(network, found.values[run, 1])] for run in range(2)]
    assert np.concatenate(shares[0]) == pytest.approx(np.concatenate(shares[1]), abs=1e-14)
    assert gd.landscape.directions(network, centers[1]).values.tobytes() == found.values[1].tobytes()


def test_directions_by_layers_with_biases_and_as_drawn():
    network = weighted_network()
    center = RNG.normal(size=network.parameter_count)
    layers = network.unpack(center)
    for axis in gd.landscape.directions(network, center, normalization="layer").values:
        assert [np.linalg.norm(W) for W, _ in network.unpack(axis)] == pytest.approx([np.linalg.norm(W) for W, _ in layers])
    for axis in gd.landscape.directions(network, center, biases=True).values:
        norms = [[np.linalg.norm(np.column_stack(pair), axis=1) for pair in of] for of in (network.unpack(axis), layers)]
        assert np.concatenate(norms[0]) == pytest.approx(np.concatenate(norms[1]))
    raw = gd.landscape.directions(network, center, 3, normalization=None, orthogonal=False, seed=4)
    drawn = np.concatenate([W.ravel() for d in raw.values for W, _ in network.unpack(d)])
    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert drawn.var() == pytest.approx(1, abs=5 * np.sqrt(2 / drawn.size))
    narrow = gd.LinearRegression(gd.Data([[1.0], [2.0]], [1.0, 2.0]))
    assert gd.landscape.directions(narrow, [3.0, 1.0]).attrs["rows_not_orthogonalised"] == 1
    assert np.abs(gd.landscape.directions(narrow, [3.0, 1.0]).values).tolist() == [[3.0, 0.0], [3.0, 0.0]]


def test_a_plane_has_the_scores_of_every_point_also_in_a_folder(tmp_path, monkeypatch):
    network = weighted_network()
    center = xarray.DataArray(RNG.normal(size=(2, network.parameter_count)), {"seed": ("seed", [3, 5])}, ("seed", "parameter"))
    found = gd.landscape.plane(network, center, points=5, span=0.5, out=tmp_path / "plane")
    assert (found.loss.dims, found.seed.values.tolist()) == (("seed", "y", "x"), [3, 5])
    assert found.x.values.tolist() == found.y.values.tolist() == [-0.5, -0.25, 0.0, 0.25, 0.5]
    for run, row, column in ((0, 2, 2), (0, 0, 4), (1, 3, 1)):
        one = found.isel(seed=run, y=row, x=column)
        truth = scores_of(network, one.center.values + float(one.x) * one.direction.values[0] + float(one.y) * one.direction.values[1])
        assert {name: float(one[name]) for name in truth} == pytest.approx(truth, rel=1e-12)
    assert set(found.data_vars) == {*truth, "direction", "center"}
    xarray.testing.assert_identical(gd.open(tmp_path / "plane"), found)
    single = gd.landscape.plane(network, center.values[1].astype(np.float32), points=5, span=0.5)
    assert single.loss.dtype == np.float32
    assert single.loss.values == pytest.approx(found.loss.values[1], rel=1e-5)
    monkeypatch.setattr(planes, "MOST_SUMS", 3 * 4 * 29 - 1)  # one less than the terms of 4 units and 29 samples
    monkeypatch.delattr(planes, "_of_network")
    xarray.testing.assert_allclose(gd.landscape.plane(network, center, points=5, span=0.5), found, rtol=1e-12)


def test_a_plane_of_a_quadratic_along_its_eigenvectors_is_half_the_eigenvalues_times_squares():
    spectrum = gd.curvature.eigenvalues(QUADRATIC, np.zeros(3), vectors=True).isel(eigen=[0, 2])
    found = gd.landscape.plane(QUADRATIC, np.zeros(3), directions=spectrum, points=3, span=2.0, gradient_norm=True)
    high, low = spectrum.eigenvalue.values
    assert found.loss.values == pytest.approx(0.5 * (high * found.x.values**2 + low * found.y.values[:, None] ** 2), abs=1e-12)
    assert found.gradient_norm.values[1, 0] == pytest.approx(2.0 * high)


def test_a_span_of_its_own_is_the_power_of_two_at_which_the_border_rises():
    """On f = x'x/2 the median of the border is 3/4 of span^2, from 0: 1 is reached at 2, not at 1."""
    assert gd.landscape.plane(gd.Quadratic(np.eye(2)), [0.0, 0.0], directions=np.eye(2), span="auto", points=3).attrs["span"] == 2.0
    assert gd.landscape.plane(gd.Quadratic(1e4 * np.eye(2)), [0.0, 0.0], directions=np.eye(2), span="auto", points=3).attrs["span"] == 0.015625


def test_three_points_lie_on_their_plane_where_it_says():
    a, b, c = RNG.normal(size=(3, 3))
    found = gd.landscape.plane_through(QUADRATIC, a, b, c, points=3)
    back = found.center.values + found.corner.values @ found.direction.values
    assert back == pytest.approx(np.stack([a, b, c]))
    assert found.direction.values @ found.direction.values.T == pytest.approx(np.eye(2), abs=1e-15)
    point = found.center.values + float(found.x[2]) * found.direction.values[0] + float(found.y[0]) * found.direction.values[1]
    assert float(found.loss[0, 2]) == pytest.approx(0.5 * point @ MATRIX @ point)


def test_the_plane_of_a_trajectory_is_that_of_its_principal_components(tmp_path, monkeypatch):
    trajectory = np.cumsum(RNG.normal(size=(2, 9, 3)), axis=1)
    steps = trajectory[1] - trajectory[1, -1]
    covariance = steps.T @ steps
    high = np.linalg.eigvalsh(covariance)[::-1]
    found = gd.landscape.trajectory_plane(QUADRATIC, trajectory[1], points=3, out=tmp_path / "path")
    assert found.explained_variance.values == pytest.approx(high[:2] / high.sum())
    first, second = found.direction.values
    assert covariance @ first == pytest.approx(high[0] * first)
    assert covariance @ second == pytest.approx(high[1] * second)
    assert found.path.values == pytest.approx(steps @ found.direction.values.T)
    assert found.path.values[-1].tolist() == [0.0, 0.0]
    xarray.testing.assert_identical(gd.open(tmp_path / "path"), found)
    ways, shares = through._principal(steps)
    with monkeypatch.context() as patch:  # as on a processor with other last bits, which goes on with what is there
        patch.setattr(through, "_principal", lambda rows, said: (ways * (1.0 + 1e-15), shares))
        xarray.testing.assert_identical(gd.landscape.trajectory_plane(QUADRATIC, trajectory[1], points=3, out=tmp_path / "path"), found)
    with pytest.raises(ValueError, match="it differs in trajectory"):
        gd.landscape.trajectory_plane(QUADRATIC, trajectory[0] - trajectory[0, -1] + trajectory[1, -1], points=3, out=tmp_path / "path")
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(0.05), starts=2, steps=5, record=gd.Record(trajectory=True))
    result = sweep.run()
    both = gd.landscape.trajectory_plane(result, points=3)
    assert both.path.dims == ("path_run", "checkpoint", "axis")
    assert both.center.values == pytest.approx(result.trajectory.values[:, -1].mean(0))
    padded = np.pad(trajectory[1], ((0, 0), (0, 2)), constant_values=np.nan)  # as a smaller problem's among larger ones
    assert gd.landscape.trajectory_plane(QUADRATIC, padded, points=3).loss.values.tolist() == found.loss.values.tolist()


ONE, TWO = np.zeros(3), np.ones(3)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: gd.landscape.plane(QUADRATIC, ONE), "Quadratic has none; give normalization=None"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, normalization="row"), "normalization='row' is not known; allowed: 'filter', 'layer', None"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, normalization=None, points=50), "points must be odd"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, normalization=None, points=2**16 + 1), "kept in memory"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, normalization=None, span="wide"), "span must be a positive number, or 'auto'"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, normalization=None, span=-1), "span must be a finite number"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, directions=[TWO, 2 * TWO]), "not parallel"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, directions=[TWO, ONE]), "the second one is 0"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE, directions=TWO), "directions must be two"),
        (lambda: gd.landscape.plane(QUADRATIC, ONE[:2]), "3 numbers each"),
        (lambda: gd.landscape.plane(weighted_network(), np.zeros(35)), "all weights are 0"),
        (lambda: gd.landscape.plane_through(QUADRATIC, ONE, TWO, TWO), "b and c are equal"),
        (lambda: gd.landscape.plane_through(QUADRATIC, ONE, TWO, 3 * TWO), "not on one line"),
        (lambda: gd.landscape.plane_through(QUADRATIC, ONE, TWO, [TWO, TWO]), "three vectors"),
        (lambda: gd.landscape.trajectory_plane(QUADRATIC, [TWO, 2 * TWO, ONE]), "lies on a line"),
        (lambda: gd.landscape.trajectory_plane(QUADRATIC, [TWO, ONE * np.nan, ONE]), "the path's finite points lie on a line"),
        (lambda: gd.landscape.trajectory_plane(QUADRATIC, xarray.DataArray([ONE, TWO], dims=("run", "parameter"))), "dims checkpoint and parameter.*; run, parameter were"),
        (lambda: gd.landscape.trajectory_plane(QUADRATIC, ONE), r"trajectory must be \[checkpoint, parameter\]"),
    ],
)  # fmt: skip
def test_what_is_no_plane_is_refused(ask, said):
    with pytest.raises(ValueError, match=said):
        ask()


def test_networks_with_a_penalty_by_magnitudes_and_gradients_go_point_by_point():
    network = weighted_network(l1=0.2)
    center = RNG.normal(size=network.parameter_count)
    found = gd.landscape.plane(network, center, points=3, gradient_norm=True)
    points = [found.center.values + x * found.direction.values[0] + y * found.direction.values[1] for y in found.y.values for x in found.x.values]
    truth = gd.evaluate(network, np.array(points))
    assert found.loss.values.ravel() == pytest.approx(truth.loss.values, rel=1e-12)
    assert found.gradient_norm.values.ravel() == pytest.approx(truth.gradient_norm.values, rel=1e-12)
