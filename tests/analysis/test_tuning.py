"""Expected best of random trials, sensitivity, the best cell; rates, minima, stability, against formulas and
brute force.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

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
    assert found.loss.sel(optimizer="B")[:2].values.tolist() == [np.inf, 5.0]  # one trial may be the cell that diverges
    assert found.infinite_cells.values.tolist() == [0, 1]
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


def ranked_result(seed=0):
    """Six cells of ten runs with final losses, validation accuracies, and times to the loss 1, which two
    cells mostly miss.
    """
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 30, (10, 6))
    time[:8, 4:] = 99
    curves = np.where(np.arange(31) >= time[..., None], rng.uniform(0.1, 1.0, (10, 6))[..., None], 5.0).reshape(60, 31)
    result = result_of(curves, cells=6, coordinates={"optimizer": ["A", "A", "A", "B", "B", "B"], "lr": [1.0, 2.0, 3.0] * 2})
    result["validation_accuracy"] = (("run", "checkpoint"), rng.uniform(0, 1, (60, 31)), {"units": "1"})
    return result, np.where(time < 31, time, np.inf).astype(float)


def middle(values):
    return np.quantile(values, 0.5, axis=0, method="inverted_cdf")


def test_tuning_goes_by_what_ranks():
    result, time = ranked_result()
    best = analysis.best_cell(result, target=1.0)
    assert best.attrs["ranked_by"] == "steps to loss 1"
    assert np.array_equal(best.median_loss, middle(time))
    assert best.attrs["best"] == int(np.argmin(middle(time)))
    accuracy = result.validation_accuracy.values[:, -1].reshape(10, 6)
    by_accuracy = analysis.best_cell(result, variable="validation_accuracy")
    assert np.array_equal(by_accuracy.median_loss, middle(accuracy))
    assert by_accuracy.attrs["best"] == int(np.argmax(middle(accuracy)))
    assert (by_accuracy.low <= by_accuracy.median_loss).all()
    assert (by_accuracy.median_loss <= by_accuracy.high).all()
    curve = analysis.budget_curve(result, target=1.0)
    assert np.allclose(curve.loss.sel(optimizer="A"), analysis.expected_best(middle(time)[:3], [1, 2, 3]))
    rising = analysis.budget_curve(result, variable="validation_accuracy")
    assert np.allclose(rising.loss.sel(optimizer="A"), -analysis.expected_best(-middle(accuracy)[:3], [1, 2, 3]))
    width = analysis.sensitivity(result, target=1.0)
    assert np.array_equal(width.curve.sel(optimizer="A"), middle(time)[:3])
    assert width.attrs["ranked_by"] == "steps to loss 1"
    with pytest.raises(ValueError, match="accuracies cannot be compared by a factor"):
        analysis.sensitivity(result, variable="validation_accuracy")
    with pytest.raises(ValueError, match=r"is no number that this sweep varies; did you mean 'lr'\?$"):
        analysis.sensitivity(result, "learning_rate")


def test_resampled_medians_are_those_of_the_resamples():
    result, time = ranked_result(1)
    drawn = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), size=400)
    expected = np.array([middle(np.repeat(time, counts, axis=0)) for counts in drawn])
    found = analysis.best_cell(result, target=1.0, resamples=400, seed=3)
    ties = expected == expected.min(1, keepdims=True)
    assert np.allclose(found.probability_best, (ties / ties.sum(1, keepdims=True)).mean(0))
    accuracy = result.validation_accuracy.values[:, -1].reshape(10, 6)
    highest = np.array([middle(np.repeat(accuracy, counts, axis=0)) for counts in drawn])
    found = analysis.best_cell(result, variable="validation_accuracy", resamples=400, seed=3)
    assert np.allclose(found.probability_best, (highest == highest.max(1, keepdims=True)).mean(0))


def test_the_whole_batch_is_a_value_like_any_other():
    finals = np.array([[1.0, 4.0, 3.0]] * 5)
    result = result_of(np.ones((15, 1)), cells=3, final=finals.ravel(), coordinates={"batch": [np.nan, 1.0, 2.0]})
    found = analysis.sensitivity(result, "batch")
    assert found.value.values.tolist() == [None, 1.0, 2.0]
    assert found.best.values.tolist() == [None]
    assert (found.best_loss[0], found.low[0], found.high[0]) == (1.0, None, None)
    assert np.isnan(found.decades[0])
    assert found.curve.values.tolist() == [[1.0, 4.0, 3.0]]
    shares = analysis.divergence_map(result, "batch", "optimizer")
    assert shares.batch.values.tolist() == [None, 1.0, 2.0]
    assert shares.runs.values.tolist() == [[5, 5, 5]]


def test_runs_that_end_above_their_start_have_a_map():
    curves = np.array([[1.0, 2.0], [1.0, 0.5], [1.0, 3.0], [1.0, 2.0]])
    result = result_of(curves, cells=2, status=["budget", "budget", "diverged", "budget"], coordinates={"lr": [0.1, 1.0]})
    found = analysis.divergence_map(result, "lr", "optimizer", status="worse_than_start")
    assert found.share.values.tolist() == [[0.5, 0.5]]
    with pytest.raises(ValueError, match="did you mean 'worse_than_start'"):
        analysis.divergence_map(result, "lr", "optimizer", status="worse_then_start")


def test_what_is_left_of_the_minima_is_told_of_a_result(tmp_path):
    sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=60, steps=800)
    result = sweep.run()
    found = analysis.minima_left(result)
    counts = analysis.minima_by_loss(result)["count"].values
    assert found.chao1.values.tolist() == [float(analysis.minima_left(c[c > 0]).chao1) for c in counts]
    assert found.lr.values.tolist() == [0.01, 0.02]


def test_cells_that_mostly_miss_are_the_best_as_often_as_they_meet_most():
    """Where all medians are infinite, the cell of which the most drawn runs met the target is first: by
    resampling the starts by hand.
    """
    met = np.array([[k < 9, 6 <= k < 14, False] for k in range(24)])
    curves = np.where(met[..., None], [5.0, 0.5], [5.0, 2.0]).reshape(-1, 2)
    result = result_of(curves, cells=3, coordinates={"lr": [0.1, 0.2, 0.3]})
    found = analysis.best_cell(result, target=1.0, resamples=500)
    drawn = np.random.default_rng(0).multinomial(24, np.full(24, 1 / 24), size=500)
    hits = drawn @ met
    median = np.where(2 * hits >= 24, 1.0, np.inf)
    first = (median == median.min(1, keepdims=True)) & (median < np.inf) | (median.min(1, keepdims=True) == np.inf)
    first &= np.isfinite(median) | (hits == hits.max(1, keepdims=True))
    assert np.allclose(found.probability_best, (first / first.sum(1, keepdims=True)).mean(0))
    assert found.probability_best.values[2] == 0


def test_a_cell_without_a_number_is_no_trial_of_a_budget(tmp_path):
    X = np.linspace(-1.0, 1.0, 12)[:, None]
    with_set, without = gd.Data(X, X[:, 0], validation=0.25, name="with"), gd.Data(X, X[:, 0], name="without")
    result = gd.Sweep(problem=[gd.LinearRegression(d) for d in (with_set, without)], optimizer=gd.SGD([0.01, 0.1]), starts=2, steps=5).run()
    found = gd.analysis.budget_curve(result, variable="final_validation_loss")
    medians = np.sort(result.final_validation_loss.where(result.data == "with", drop=True).groupby("lr").median().values)
    assert (found.cells.item(), found.infinite_cells.item(), found.sizes["trials"]) == (2, 0, 2)
    assert np.allclose(found.loss.values[0], [medians.mean(), medians[0]], rtol=1e-6)  # the mean of one trial, the better of two


@pytest.mark.parametrize("variable", ["final_loss", "accuracy"])
def test_a_median_of_too_few_runs_has_no_interval_by_either_table(variable):
    """Below six runs no two order statistics enclose a median in 95%; of six, the lowest and the highest
    do.
    """
    for runs in (5, 6):
        values = np.linspace(0.1, 0.6, runs)[:, None]
        result = result_of(values, final=values.ravel()).assign(accuracy=(("run", "checkpoint"), values))
        best, table = analysis.best_cell(result, variable=variable, resamples=10), gd.table(result, variable=variable)
        ends = [np.nan, np.nan] if runs == 5 else [0.1, 0.6]
        assert np.allclose([float(best.low[0]), float(best.high[0])], ends, equal_nan=True)
        assert np.allclose(table[["low", "high"]].to_numpy(float).ravel(), ends, equal_nan=True)
