"""Scores along lines: beside NumPy's formulas at every point, for populations, in any pieces, and what is
refused before anything is computed.
"""

import numpy as np
import pytest
import xarray

import gdsim as gd
from tests.landscape.networks import RNG, scores_of, weighted_network

ALPHA = np.linspace(-0.5, 1.5, 101)


def test_a_line_has_the_scores_of_every_point_of_both_sets():
    network = weighted_network()
    a, b = RNG.normal(size=(2, network.parameter_count)), RNG.normal(size=network.parameter_count)
    found = gd.landscape.line(network, a, b, threads=1)
    assert found.loss.dims == ("run", "alpha")
    assert found.alpha.values == pytest.approx(ALPHA, abs=1e-15)
    for run in range(2):
        truth = [scores_of(network, (1 - t) * a[run] + t * b) for t in found.alpha.values]
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert found[name][run].values == pytest.approx([point[name] for point in truth], rel=1e-12), name
    assert found.distance.values == pytest.approx(np.linalg.norm(a - b, axis=1))
    one = gd.landscape.line(network, xarray.DataArray(a[1], dims="parameter", coords={"lr": 0.1}), b, points=601, threads=2)
    assert (one.loss.dims, float(one.lr)) == (("alpha",), 0.1)
    assert one.loss[::6].values.tobytes() == found.loss[1].values.tobytes()  # in other packs, on other threads


def test_a_line_of_a_quadratic_is_a_parabola_with_its_gradient_also_in_a_folder(tmp_path):
    matrix, a, b = np.diag([1.0, 4.0]), np.array([1.0, 2.0]), np.array([-1.0, 0.0])
    asked = {"alpha": (0, 1), "points": 11, "gradient_norm": True}
    found = gd.landscape.line(gd.Quadratic(matrix), a, b, out=tmp_path / "line", **asked)
    xarray.testing.assert_identical(gd.open(tmp_path / "line"), found)
    xarray.testing.assert_identical(gd.landscape.line(gd.Quadratic(matrix), a, b, **asked), found)
    points = a + found.alpha.values[:, None] * (b - a)
    assert found.loss.values == pytest.approx(0.5 * (points**2 @ np.diag(matrix)), rel=1e-14)
    assert found.gradient_norm.values == pytest.approx(np.linalg.norm(points @ matrix, axis=1), rel=1e-14)


def test_a_line_of_a_result_leads_from_each_start_to_its_end():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD([0.01, 0.05]), starts=2, steps=5, record=gd.Record(trajectory=True, parameters=True))
    result = sweep.run()
    found = gd.landscape.line(result, alpha=(0, 1), points=3)
    assert (found.sizes["run"], found.lr.values.tolist()) == (4, [0.01, 0.05, 0.01, 0.05])
    assert found.loss[:, 0].values == pytest.approx(result.loss[:, 0].values)
    assert found.loss[:, 2].values == pytest.approx(result.final_loss.values)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (([1.0, 2.0], [1.0, 2.0]), {}, "a line needs two different points; a and b are equal"),
        (([[0.0, 1.0], [1.0, 2.0]], [1.0, 2.0]), {}, "a and b are equal in run 1"),
        (([[0.0, 1.0]] * 2, [[1.0, 2.0]] * 3), {}, "a and b must be as many points; 2 and 3 were given"),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), {}, "2 numbers each"),
        (([1.0, np.nan], [1.0, 2.0]), {}, "a must be finite numbers"),
        (([1.0, 2.0], [0.0, 0.0]), {"alpha": (1, 0)}, "first < last"),
        (([1.0, 2.0], [0.0, 0.0]), {"points": 1}, "points must be a whole number from 2"),
        (([1.0, 2.0], [0.0, 0.0]), {"points": 2**40}, "are kept in memory"),
    ],
)
def test_what_is_no_line_is_refused(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        gd.landscape.line(gd.functions.Booth(), *arguments, **options)


def test_of_several_problems_too_the_run_is_named_that_is_not_finite():
    problem = gd.LinearRegression(gd.Data([[1.0], [2.0]], [1.0, 2.0]), l2=[0.0, 0.1])
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(0.01), starts=2, steps=1, record=gd.Record(parameters=True)).run()
    with pytest.raises(ValueError, match="those of run 3 are not"):
        gd.landscape.plane(result.assign(parameters=result.parameters.where(result.run != 3)))


def test_what_stands_for_no_problem_is_refused():
    with pytest.raises(TypeError, match="line needs two points"):
        gd.landscape.line(gd.functions.Booth(), [1.0, 2.0])
    booth, point, rule = gd.functions.Booth(), [1.0, 2.0], gd.SGD(0.1)
    swapped = [
        (gd.landscape.line, (point, point, booth), "line needs a problem or a result; list was given"),
        (gd.landscape.plane, (point, booth), "plane needs a problem or a result; list was given"),
        (gd.curvature.hessian, (point, booth), "hessian needs a problem or a result; list was given"),
        (gd.curvature.hessian, (gd.MLP, point), r"the class MLP was given, not an object of it: write gd.MLP\("),
        (gd.curvature.eigenvalues, (point, booth), "eigenvalues needs a problem or a result; list was given"),
        (gd.evaluate, (point, booth), "evaluate needs a problem or a result; list was given"),
        (gd.minima.basin_map, (rule, booth), "basin_map needs a problem, and takes no result .*; SGD was given"),
        (gd.minima.align, (gd.evaluate(booth, point), point, point), "align needs a problem, and takes no result .*; Dataset was given"),
        (gd.paths.barrier, (gd.evaluate(booth, point), point, point), "barrier needs a problem, and takes no result .*; Dataset was given"),
    ]
    for call, given, said in swapped:
        with pytest.raises(TypeError, match=said):
            call(*given)
    with pytest.raises(ValueError, match="one l2 for all"):
        gd.landscape.line(gd.LinearRegression(gd.Data([[1.0], [2.0]], [1.0, 2.0]), l2=[0.1, 0.2]), [1.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize("size", [1e18, 1e25, 1.2e38])
def test_losses_between_large_weights_are_those_of_float64(size):
    """Where products of ends with samples would be beyond float32, each point's loss is its own: beyond 1.8e19, whose squares are
    infinite, it is NaN.
    """
    network = weighted_network(l2=0.0)
    first, second = np.random.default_rng(0).uniform(-1, 1, (2, network.parameter_count))
    first[:2] = size, -size  # of the first unit
    second[:2] = -0.7 * first[:2]
    line = gd.landscape.line(network, first, second, alpha=(0.0, 1.0), points=9, dtype="float32", progress=False)
    points = first + line.alpha.values[:, None] * (second - first)
    truth = np.array([scores_of(network, point)["loss"] for point in points])
    if size > 1e32:
        truth[np.abs(points).max(axis=1) > 1e20] = np.nan
    np.testing.assert_allclose(line.loss.values, truth, rtol=1e-6)
