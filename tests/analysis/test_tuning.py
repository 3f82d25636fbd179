"""Expected best of random trials, sensitivity, the best cell; rates, minima, stability, against formulas and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdsim as gd
from gdsim import analysis
from tests.analysis.populations import result_of


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_the_expected_best_is_the_mean_over_all_choices(values):
    for n in range(1, len(values) + 1):
        without = np.mean([min(c) for c in itertools.combinations(values, n)])
        assert analysis.expected_best(values, n)[0] == pytest.approx(without, abs=1e-9)
        if len(values) <= 4:
            drawn = np.mean([min(c) for c in itertools.product(values, repeat=n)])
            assert analysis.expected_best(values, n, estimator="plug-in")[0] == pytest.approx(drawn, abs=1e-9)


def test_the_expected_best_takes_infinite_losses_and_large_budgets():
    assert np.isinf(analysis.expected_best([1.0, np.inf], 1)[0])
    assert analysis.expected_best([1.0, np.inf], 2)[0] == 1.0
    assert np.isnan(analysis.expected_best([1.0, 2.0], 3)[0])
    many = np.random.default_rng(0).random(100_000)
    assert analysis.expected_best(many, 99)[0] == pytest.approx(0.01, rel=0.05)


def test_budget_curves_take_cells_as_trials():
    finals = np.array([[3.0, 1.0, 2.0, np.inf, 5.0]] * 7)
    status = np.where(np.isinf(finals), "diverged", "budget").ravel()
    names = {"optimizer": ["A", "A", "A", "B", "B"]}
    found = analysis.budget_curve(result_of(np.ones((35, 1)), cells=5, final=finals.ravel(), status=status, coordinates=names))
    assert np.allclose(found.loss.sel(optimizer="A"), [2.0, 4 / 3, 1.0])
    assert np.allclose(found.loss.sel(optimizer="B")[:2], [5.0, 5.0])
    assert np.isnan(found.loss.sel(optimizer="B")[2])
    assert found.cells.values.tolist() == [3, 2]
    with pytest.raises(ValueError, match="did you mean 'optimizer'"):
        analysis.budget_curve(result_of(np.ones((2, 1))), by="optimiser")


def test_the_best_cell_is_as_sure_as_its_lead():
    rng = np.random.default_rng(0)
    finals = np.stack([rng.normal(0.0, 1.0, 50), rng.normal(0.0, 1.0, 50), rng.normal(5.0, 1.0, 50)], 1)
    found = analysis.best_cell(result_of(np.ones((150, 1)), cells=3, final=finals.ravel()))
    assert float(found.probability_best[:2].sum()) == pytest.approx(1.0)
    assert (found.probability_best[:2] > 0.02).all()
    assert found.attrs["best"] == int(np.argmin(np.sort(finals, 0)[24]))
    assert found["rank"].values[2] == 3
    ties = analysis.best_cell(result_of(np.ones((20, 1)), cells=2))
    assert ties.probability_best.values.tolist() == [0.5, 0.5]


def test_sensitivity_is_the_width_of_the_good_range():
    rates = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    finals = np.array([[9.0, 1.9, 1.0, 1.5, np.inf]] * 3)
    status = np.where(np.isinf(finals), "diverged", "budget").ravel()
    found = analysis.sensitivity(result_of(np.ones((15, 1)), cells=5, final=finals.ravel(), status=status, coordinates={"lr": rates}))
    assert (found.low[0], found.high[0], found.best[0]) == (1e-3, 1e-1, 1e-2)
    assert float(found.decades[0]) == pytest.approx(2.0)
    assert not found.low_open[0]
    wide = analysis.sensitivity(result_of(np.ones((15, 1)), cells=5, final=finals.ravel(), status=status, coordinates={"lr": rates}), factor=10.0)
    assert wide.low_open[0]
    assert not wide.high_open[0]
    with pytest.raises(ValueError, match="allowed: 'lr'"):
        analysis.sensitivity(result_of(np.ones((5, 1)), cells=5, coordinates={"lr": rates}), "momentum")


@pytest.mark.parametrize(("curvature", "lr"), [(1.0, 0.1), (2.0, 0.3), (4.0, 0.45)])
def test_gradient_descent_on_a_quadratic_has_the_known_factor(curvature, lr):
    sweep = gd.Sweep(
        problem=gd.Quadratic([[curvature]], [[0.0]]), optimizer=gd.SGD(lr=lr), init=gd.Normal(std=1), starts=5, steps=60, record=gd.Record(every=1)
    )
    found = analysis.convergence_rate(sweep.run())
    assert (found.kind == "linear").all()
    assert np.allclose(found.factor, (1 - lr * curvature) ** 2, rtol=1e-6)
    assert float(analysis.convergence_rate(sweep.run(), of="cell").factor[0]) == pytest.approx((1 - lr * curvature) ** 2)


def test_the_minimum_of_a_test_function_is_known():
    sweep = gd.Sweep(problem=gd.functions.GoldsteinPrice(), optimizer=gd.SGD(lr=1e-5), init=gd.Normal(std=0.01), starts=3, steps=300, record=gd.Record(every=5))
    result = sweep.run()
    assert analysis.convergence_rate(result).attrs["minimum"] == 3.0


def test_a_power_of_the_steps_is_sublinear():
    steps = np.arange(1, 400)
    found = analysis.convergence_rate(result_of([2.0 + 3.0 / steps**1.5], steps=steps), minimum=2.0)
    assert found.kind[0] == "sublinear"
    assert float(found.exponent[0]) == pytest.approx(1.5)
    assert float(found.window_last[0]) == 399
    few = analysis.convergence_rate(result_of([[1.0, 0.5, np.nan]]))
    assert few.kind[0] == ""
    assert np.isnan(few.factor[0])


@pytest.mark.parametrize(
    ("n", "w", "minima", "coverage"), [(20, 4, 5.4286, 0.94737), (50, 10, 12.8947, 0.95510), (100, 10, 11.25, 0.98889), (200, 50, 67.2297, 0.93593)]
)
def test_boender_and_rinnooy_kan_have_their_known_numbers(n, w, minima, coverage):
    found = analysis.minima_left([1] * (w - 1) + [n - w + 1])
    assert float(found.expected_minima) == pytest.approx(minima, abs=1e-4)
    assert float(found.expected_coverage) == pytest.approx(coverage, abs=1e-5)
    assert bool(found.stop) == (minima - w <= 0.5 or coverage >= 0.995)


@given(st.lists(st.integers(0, 30), min_size=0, max_size=30))
def test_coverage_and_richness_are_those_of_their_formulas(counts):
    found = analysis.minima_left(np.array(counts, int))
    known = [c for c in counts if c]
    once, twice = known.count(1), known.count(2)
    if known:
        assert float(found.coverage) == pytest.approx(1 - once / sum(known))
        assert float(found.chao1) == pytest.approx(len(known) + once * (once - 1) / (2 * (twice + 1)))
        assert found.chao1 >= found.found
    else:
        assert np.isnan(found.coverage)


def test_minima_are_told_apart_by_their_losses():
    sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=0.01), starts=400, steps=800)
    found = analysis.minima_by_loss(sweep.run())
    assert np.allclose(found.loss[0], [-78.33233, -64.19561, -50.05889], atol=1e-4)
    assert int(found["count"].sum()) == 400
    share = (5 + 0.15673126) / 10  # each coordinate stays on its side of the barrier
    expected = 400 * np.array([share**2, 2 * share * (1 - share), (1 - share) ** 2])
    assert (np.abs(found["count"].values[0] - expected) < 4 * np.sqrt(expected)).all()


def test_the_divergence_map_counts_over_two_hyperparameters():
    sweep = gd.Sweep(
        problem=gd.Quadratic([[1.0]], [[0.0]]), optimizer=gd.Momentum(lr=[0.5, 1.9, 3.0, 5.0], momentum=[0.0, 0.9]), init=gd.Normal(std=1), starts=30, steps=400
    )
    found = analysis.divergence_map(sweep.run(), "lr", "momentum")
    assert found.share.dims == ("momentum", "lr")
    stable = found.lr.values < 2 * (1 + found.momentum.values[:, None])
    assert np.array_equal(found.share.values == 0.0, stable)
    assert (found.runs == 30).all()
    with pytest.raises(ValueError, match="allowed: 'optimizer', 'lr', 'momentum'"):
        analysis.divergence_map(sweep.run(), "lr", "beta1")


@pytest.mark.parametrize(("rule", "edge"), [(gd.SGD(), 2 / 4), (gd.Momentum(momentum=0.5), 2 * 1.5 / 4), (gd.Nesterov(momentum=0.5), 3.0 / (4 * 2.0))])
def test_the_edge_of_stability_is_that_of_theory(rule, edge):
    problem = gd.Quadratic([[1.0, 0.0], [0.0, 4.0]], [[0.0, 0.0]])
    found = analysis.edge_of_stability(
        problem, rule, low=0.01, high=3.0, tolerance=1e-3, init=gd.Normal(std=1), starts=3, steps=20_000, record=gd.Record(every="ends")
    )
    assert float(found.low) <= edge * 1.004
    assert float(found.high) >= edge * 0.999
    with pytest.raises(ValueError, match="take another bracket"):
        analysis.edge_of_stability(problem, rule, low=0.01, high=0.02, init=gd.Normal(std=1), steps=100)
