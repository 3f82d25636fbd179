"""Critical points of populations: those of test functions are known, by SymPy's derivatives and the literature; of
networks by their symmetries and by principal components.
"""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import gdsim as gd
from gdsim.kernels import BITS, LANE_STOP_BITS
from gdsim.minima import basins

HIMMELBLAU = gd.functions.Himmelblau()
# value, index: four minima, four saddles, a maximum.
STATIONARY = [
    ((3.0, 2.0), 0), ((-2.805118, 3.131313), 0), ((-3.779310, -3.283186), 0), ((3.584428, -1.848127), 0), ((3.385154, 0.073852), 1), ((0.086678, 2.884255), 1),
    ((-3.073026, -0.081353), 1), ((-0.127961, -1.953715), 1), ((-0.270845, -0.923039), 2),
]  # fmt: skip


def exactly(point):
    """The stationary point of Himmelblau's function that is near, by SciPy from SymPy's derivatives."""
    return scipy.optimize.root(lambda x: HIMMELBLAU.gradient(x[None])[0], point, jac=HIMMELBLAU.hessian, tol=1e-14).x


def test_a_point_near_a_critical_one_is_taken_to_it_whatever_it_is():
    points = np.array([point for point, _ in STATIONARY])
    truth = np.array([exactly(point) for point in points])
    found = gd.minima.polish(HIMMELBLAU, truth + 0.02 * np.array([1.0, -1.0]), threads=1)
    assert found.converged.all()
    assert found.parameters.values == pytest.approx(truth, abs=1e-12)
    assert found.distance.values == pytest.approx(0.02 * np.sqrt(2), abs=1e-10)
    assert (found.gradient <= 1e-10 * (1 + found.loss)).all()
    assert abs(HIMMELBLAU.gradient(found.parameters.values)).max() < 1e-10
    census = gd.minima.census(HIMMELBLAU, np.repeat(truth + 0.02, 2, axis=0))
    order = np.argsort(HIMMELBLAU.value(truth)[4:]) + 4
    assert census.index.values[4:].tolist() == [STATIONARY[k][1] for k in order]
    assert census.kind.values.tolist() == ["minimum"] * 4 + ["saddle"] * 4 + ["maximum"]
    assert census.value.values[4:] == pytest.approx([13.3119, 67.7192, 104.0152, 178.3372, 181.616522], abs=1e-4)
    assert census["count"].values.tolist() == [2] * 9
    spectra = np.linalg.eigvalsh([HIMMELBLAU.hessian(x) for x in census.point.values])
    assert np.c_[census.eigenvalue_low, census.eigenvalue_high] == pytest.approx(spectra, rel=1e-10)
    for run, member in enumerate(census.member.values):
        assert census.point.values[member] == pytest.approx(truth[run // 2], abs=1e-10)


def test_runs_of_a_result_are_counted_with_the_minima_that_descent_leads_to(tmp_path):
    record = gd.Record(every="ends", parameters=True)
    result = gd.Sweep(problem=HIMMELBLAU, optimizer=gd.SGD(lr=0.005), starts=40, steps=200, record=record).run()
    census = gd.minima.census(result)
    nearest = abs(result.parameters.values[:, None] - np.array([exactly(p) for p, _ in STATIONARY[:4]])).sum(2).argmin(1)
    assert sorted(np.bincount(nearest, minlength=4)) == sorted(census["count"].values)
    assert int(census["count"].sum() + (census.member == -1).sum()) == 40
    assert census.member.coords["cell"].values.tolist() == result.cell.values.tolist()
    intervals = [scipy.stats.binomtest(int(k), 40).proportion_ci(method="wilson") for k in census["count"]]
    assert np.c_[census.low, census.high] == pytest.approx(np.array(intervals))
    assert census.identical(gd.minima.census(result, out=tmp_path / "census"))
    assert census.identical(gd.open(tmp_path / "census"))
    lost = gd.minima.census(HIMMELBLAU, [[np.inf, 1.0], [np.nan, 2.0], [1e200, 1.0], [-1e6, 1e5], [3.01, 2.0]])
    assert lost.member.values.tolist() == [-1, -1, -1, -1, 0]
    assert gd.minima.census(HIMMELBLAU, np.zeros((0, 2))).sizes["critical_point"] == 0
    lost = gd.Sweep(problem=HIMMELBLAU, optimizer=gd.SGD(lr=0.02), starts=20, steps=200, record=record).run()
    assert ((gd.minima.census(lost).member == -1) == (lost.status == "diverged")).all()
    assert 0 < (lost.status == "diverged").sum() < 20
    (panel,) = gd.plots.census(census).axes
    assert [text.get_text() for text in panel.get_yticklabels()] == ["0"] * 4
    assert sorted(panel.containers[0].lines[0].get_xdata()) == sorted(census.share.values)
    assert census.attrs["unseen"] == 0.0
    assert census.attrs["richness"] == 4.0


def test_problems_of_two_classes_have_critical_points_of_their_own(tmp_path):
    problems = [HIMMELBLAU, gd.functions.Booth()]
    record = gd.Record(every="ends", parameters=True)
    result = gd.Sweep(problem=problems, optimizer=gd.SGD(lr=0.005), starts=4, steps=200, record=record).run()
    census = gd.minima.census(result, out=tmp_path / "census")
    assert census.identical(gd.open(tmp_path / "census"))
    assert census.attrs["problems"] == list(map(str, problems))
    assert (census.problem.values[census.member.values] == (result.problem.values == "Booth")).all()
    assert census.point.values[census.problem.values == 1] == pytest.approx(np.array([[1.0, 3.0]]))


@pytest.mark.full
def test_networks_of_a_result_are_merged_up_to_their_symmetries_each_with_its_problem():
    problem = gd.MLP(gd.datasets.load("xor"), hidden=gd.grid([2], []), activation="tanh", loss="log_loss", l2=0.01)
    record = gd.Record(every="ends", parameters=True)
    result = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=0.05), starts=12, steps=1500, record=record).run()
    found = gd.minima.census(result)
    assert result.parameters.dtype == np.float32
    assert found.problem.values.tolist() == sorted(found.problem.values)
    assert found.value.values[-1] == pytest.approx(np.log(2), abs=1e-9)  # without hidden units there is no better
    assert found["count"].values[-1] == 12
    assert np.isnan(found.point.values[-1, 3:]).all()
    assert found.problem.values[found.member.values[found.member.values >= 0]].tolist() == result.cell.values[found.member.values >= 0].tolist()
    networks = problem.variants()[0]
    for k in np.flatnonzero(found.problem.values == 0):
        x = found.point.values[k]
        (W, b), (V, c) = networks.unpack(x)
        images = [networks.pack([(s[:, None] * W[o], s * b[o]), (V[:, o] * s, c)]) for o in ([0, 1], [1, 0]) for s in (np.array([1, 1]), np.array([1, -1]))]
        again = gd.minima.census(networks, images)
        assert (again["count"].values.tolist(), again.kind.values[0]) == ([4], found.kind.values[k])
        assert gd.evaluate(networks, x[: networks.parameter_count]).gradient_norm < 1e-9
    assert found.saturated.values.shape == found.value.shape


@pytest.mark.parametrize(
    ("text", "start", "truth"),
    [
        ("x**4", 0.3, (0.0, "degenerate")),  # no second derivative there
        ("exp(-x)", 3.0, None),  # a plateau: its infimum is at infinity
        ("1/(1 + exp(x))", 5.0, None),
        ("abs(x)", 0.3, None),  # a kink
        ("x**2 + 3", -8.0, (0.0, "minimum")),
    ],
)
@pytest.mark.full
def test_plateaus_and_kinks_are_no_critical_points(text, start, truth):
    found = gd.minima.census(gd.Expression(text, variables=["x"]), [[start]])
    if truth is None:
        assert found.member.values.tolist() == [-1]
        assert found.sizes["critical_point"] == 0
    else:
        assert found.point.values[0, 0] == pytest.approx(truth[0], abs=1e-3)
        assert found.kind.values.tolist() == [truth[1]]


def descended(problem, x, y, lr):
    """(where gradient descent from the points of a grid ends, after how many steps)."""
    w = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    taken, going = np.zeros(len(w), int), np.ones(len(w), bool)
    for _ in range(2000):
        g = problem.gradient(w)
        going &= abs(g).max(1) > 1e-6
        w[going] -= lr * g[going]
        taken += going
    return w, taken


def test_a_basin_map_is_where_gradient_descent_leads(tmp_path):
    found = gd.minima.basin_map(HIMMELBLAU, gd.SGD(lr=0.01), points=(14, 9), out=tmp_path / "map")
    x, y = np.linspace(-6, 6, 14), np.linspace(-6, 6, 9)
    assert (found.x.values.tolist(), found.y.values.tolist()) == (x.tolist(), y.tolist())
    w, taken = descended(HIMMELBLAU, x, y, 0.01)
    assert found.steps_taken.values.ravel().tolist() == taken.tolist()
    assert found.point.values[found.member.values.ravel()] == pytest.approx(w, abs=1e-6)
    assert found["count"].values.tolist() == np.bincount(found.member.values.ravel()).tolist()
    assert found.identical(gd.open(tmp_path / "map"))
    far = gd.minima.basin_map(gd.functions.Griewank(), gd.SGD(lr=0.5), points=(7, 6), box=((300, 420), (300, 420)))
    w, _ = descended(gd.functions.Griewank(), far.x.values, far.y.values, 0.5)
    assert far.point.values[far.member.values.ravel()] == pytest.approx(w, abs=1e-5)
    caption = gd.plots.basin_map(found).caption
    assert f"126 runs, one from each point, in {taken.min()} to {taken.max()} steps" in caption
    assert "4 critical points." in caption
    lost = gd.minima.basin_map(HIMMELBLAU, gd.SGD(lr=0.02), points=(5, 5), box=((-6, 6), (5, 6)), steps=3)  # diverged, or on their way
    assert (lost.member == -1).all()
    assert "100.0% diverged, or did not come to rest" in gd.plots.basin_map(lost).caption


def test_a_basin_map_has_the_version_of_the_kernels_of_its_runs(monkeypatch):
    monkeypatch.setattr(basins, "ask", lambda question, **_: question)
    for stop, version in ((gd.SmallGradient(1e-6), BITS), (gd.SmallStep(1e-6), LANE_STOP_BITS)):
        asked = gd.minima.basin_map(HIMMELBLAU, gd.SGD(lr=0.01), stop=stop)
        assert asked.kernels == version
        assert asked._replace(call=asked.call._replace(version=7)).kernels == 7


def test_what_cannot_be_asked_is_told_before_anything_is_computed():
    wide = gd.MLP(gd.datasets.load("digits"), hidden=[50])
    for call, message in [
        (lambda: gd.minima.census(wide, np.zeros((1, wide.parameter_count))), "up to 2,000 parameters.*3,760"),
        (lambda: gd.minima.census(HIMMELBLAU, np.zeros((1, 2)), merge="function"), "merge='function' compares predictions, and Himmelblau makes none"),
        (lambda: gd.minima.census(HIMMELBLAU, np.zeros((1, 2)), merge="values"), "merge='values' is not known; did you mean 'value'"),
        (lambda: gd.minima.polish(HIMMELBLAU, np.zeros((1, 3))), "with 2 numbers each"),
        (lambda: gd.minima.polish(HIMMELBLAU), "needs parameters"),
        (lambda: gd.minima.basin_map(wide, gd.SGD()), "basin_map draws functions of 2 parameters; MLP has 3,760 and data"),
        (lambda: gd.minima.basin_map(gd.functions.Rosenbrock(dim=3), gd.SGD()), "Rosenbrock has 3"),
        (lambda: gd.minima.basin_map(HIMMELBLAU, gd.SGD(lr=[0.1, 0.2])), "one number for each hyperparameter"),
        (lambda: gd.minima.basin_map(HIMMELBLAU, gd.SGD(), points=7), "points must be two whole numbers"),
        (lambda: gd.minima.basin_map(HIMMELBLAU, gd.SGD(), box=((0, 1), (2, 1))), "box must be"),
        (lambda: gd.plots.basin_map(3), "basin_map draws the Dataset of gd.minima.basin_map; 3 was given"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
