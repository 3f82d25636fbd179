"""Times to targets: first hits, ERT, ECDF, survival, restarts, profiles, against plain loops, statsmodels and
simulation.
"""

import numpy as np
import pytest
import xarray
from hypothesis import given, settings, strategies as st
from scipy.stats import t as student

import gdsim as gd
from gdsim import analysis
from gdsim.statistics import clopper_pearson, clustered
from tests.analysis.populations import result_of, rosenbrock

LOSSES = st.one_of(st.floats(0, 10), st.just(float("inf")), st.just(float("nan")))


def first_hit(curve, steps, target):
    hits = [s for s, v in zip(steps, curve, strict=True) if v <= target]
    return hits[0] if hits else np.nan


@settings(deadline=None)
@given(st.lists(st.lists(LOSSES, min_size=6, max_size=6), min_size=1, max_size=8), st.lists(st.floats(0, 10), min_size=1, max_size=4))
def test_first_hits_are_those_of_a_loop(curves, targets):
    steps = np.array([0, 1, 2, 5, 10, 20])
    result = result_of(curves, steps=steps, final=np.full(len(curves), np.inf))
    found = analysis.time_to_target(result, targets)
    for j, target in enumerate(found.target.values):
        assert np.array_equal(found.time.values[:, j], [first_hit(c, steps, target) for c in curves], equal_nan=True)


def test_a_float32_loss_meets_a_target_as_a_stop_compares_it():
    result = result_of([[1.0, 0.1]])
    result["loss"], result["best_loss"] = result.loss.astype(np.float32), result.best_loss.astype(np.float32)
    assert float(analysis.time_to_target(result, 0.1).time[0, 0]) == 1.0
    assert float(analysis.success_probability(result, target=0.1).probability[0]) == 1.0


def test_a_run_that_ends_between_checkpoints_meets_its_target_there():
    result = result_of([[1.0, np.nan, np.nan]], steps=[0, 10, 20], taken=[7], status=["converged"], final=[0.01])
    assert analysis.time_to_target(result, [0.5, 0.001]).time.values.tolist()[0][0] == 7.0
    diverged = result_of([[1.0, np.nan, np.nan]], steps=[0, 10, 20], taken=[7], status=["diverged"], final=[0.01])
    assert np.isnan(analysis.time_to_target(diverged, 0.5).time.values).all()


def test_targets_that_were_watched_for_are_met_at_their_exact_steps():
    watched = rosenbrock(stop=[gd.Target([1.0, 0.1, 1e-3])], optimizer=gd.Adam(lr=0.05), starts=20).run()
    every = rosenbrock(stop=[], record=gd.Record(every=1), optimizer=gd.Adam(lr=0.05), starts=20).run()
    a, b = (analysis.time_to_target(r, [1.0, 0.1, 1e-3]).time.values for r in (watched, every))
    assert np.array_equal(a, b, equal_nan=True)
    rough = analysis.time_to_target(rosenbrock(stop=[], optimizer=gd.Adam(lr=0.05), starts=20).run(), [1.0, 0.1, 1e-3]).time.values
    assert (rough[~np.isnan(rough)] >= b[~np.isnan(rough)]).all()


@pytest.mark.full
@pytest.mark.parametrize("drop_last", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_steps_cost_the_samples_that_they_see(drop_last):
    data = gd.Data(np.linspace(-1, 1, 10)[:, None], np.linspace(-2, 2, 10))
    sweep = gd.Sweep(problem=gd.LinearRegression(data), optimizer=[gd.SGD(lr=0.1), gd.SAM(gd.SGD(lr=0.1))], batch=gd.grid(3, 5), steps=9, drop_last=drop_last)
    result = sweep.run()
    spent = analysis.time_to_target(result, 0.0, unit="samples").spent.values
    for run, cell in enumerate(result.cell.values):
        batch = int(result.batch.values[run])
        order = gd.Sweep(problem=gd.LinearRegression(data), optimizer=gd.SGD(), batch=batch, steps=9, drop_last=drop_last).order(start=0)
        assert spent[cell] == (order >= 0).sum()
    gradients = analysis.time_to_target(result, 0.0, unit="gradients").spent.values
    sam = np.where(result.wrapped_in.values == "SAM", 2, 1)
    assert np.allclose(gradients, sam * spent / 10)


def test_units_that_do_not_apply_are_refused():
    result = rosenbrock(starts=2, steps=10).run()
    with pytest.raises(ValueError, match="no samples to count"):
        analysis.time_to_target(result, 1.0, unit="samples")
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        analysis.time_to_target(result, 1.0, unit="step")
    with pytest.raises(ValueError, match="targets must be"):
        analysis.ecdf(result, "low")


def test_expected_running_time_and_simulated_restarts_agree():
    result = rosenbrock().run()
    found = analysis.expected_running_time(result, [0.1, 1e9, 1e-30])
    time = analysis.time_to_target(result, [0.1, 1e9, 1e-30])
    for cell in range(5):
        mine = result.cell.values == cell
        for j in range(3):
            hit = time.time.values[mine, j]
            total = np.where(np.isnan(hit), time.spent.values[mine], hit).sum()
            expected = total / (~np.isnan(hit)).sum() if (~np.isnan(hit)).any() else np.inf
            assert found.ert.values[cell, j] == pytest.approx(expected)
    assert (found.low <= found.ert).all()
    assert (found.ert <= found.high).all()
    assert np.isinf(found.ert[:, 2]).all()
    assert (found.ert[:, 0] == 0).all()  # every start is below 1e9
    drawn = analysis.simulated_restarts(result, 0.1, draws=20_000).time.mean("draw").values
    known = np.isfinite(found.ert.values[:, 1])
    assert np.allclose(drawn[known], found.ert.values[known, 1], rtol=0.05)
    assert np.isinf(drawn[~known]).all()


def test_ecdf_counts_runs_and_targets():
    result, targets = rosenbrock().run(), [10.0, 1.0, 0.1]
    found, time = analysis.ecdf(result, targets), analysis.time_to_target(result, targets).time.values
    for cell in range(5):
        mine = time[result.cell.values == cell]
        expected = [(mine <= t).mean() for t in found.time.values]
        assert np.allclose(found.share[cell], expected)
    for each in (found, analysis.ecdf(result, 0.1)):
        y = (analysis.time_to_target(result, each.attrs["losses"]).time.values[:, :, None] <= each.time.values).mean(1)
        for cell in range(5):
            low, high = interval_of(y[result.cell.values == cell])
            assert np.allclose(each.low[cell], low)
            assert np.allclose(each.high[cell], high)


def interval_of(y):
    """The interval of the mean of y[start, time] that `clustered` promises, from the formulas."""
    n, share, variance, q = len(y), y.mean(0), y.var(0), student.ppf(0.975, len(y) - 1)
    ends = [(n * share + q**2 / 2 + sign * q * np.sqrt(n * variance + q**2 / 4)) / (n + q**2) for sign in (-1, 1)]
    plain = [share + sign * q * np.sqrt(variance / n) for sign in (-1, 1)]
    return np.clip(np.minimum(ends[0], plain[0]), 0, 1), np.clip(np.maximum(ends[1], plain[1]), 0, 1)


def test_a_target_of_the_sweep_is_met_by_the_step_or_at_a_look():
    options = {"problem": gd.functions.Booth(), "optimizer": gd.SGD(lr=0.01), "starts": 12}
    result = gd.Sweep(steps=500, stop=[gd.Target(0.01)], **options).run()
    found = analysis.time_to_target(result)  # the sweep's own
    assert found.target.values.tolist() == [0.01]
    met = result.status.values == "converged"
    assert met.any()
    assert np.array_equal(found.by.values[met, 0], result.steps_taken.values[met])
    assert np.array_equal(found.after.values[met, 0], result.steps_taken.values[met] - 1)
    assert np.isnan(found.by.values[~met]).all()
    rare = gd.Sweep(steps=500, stop=[gd.Target(0.01, every=30)], **options).run()
    looks = analysis.time_to_target(rare)
    assert np.array_equal(looks.by[:, 0], np.ceil(found.by[:, 0] / 30) * 30)
    assert np.array_equal(looks.after[:, 0], looks.by[:, 0] - 30)
    other = analysis.time_to_target(result, [100.0, 0.5, 0.02])  # any other lies between two checkpoints, of which it has the first below
    steps, loss = result.step.values, result.loss.values
    for run in range(12):
        for j, target in enumerate(other.target.values):
            hit = int(np.argmax(loss[run] <= target)) if (loss[run] <= target).any() else -1
            after, by = float(other.after[run, j]), float(other.by[run, j])
            if hit < 0:
                assert by == result.steps_taken.values[run] if result.final_loss.values[run] <= target else np.isnan(by)
            else:
                assert (after, by) == (steps[max(hit - 1, 0)], steps[hit])


@pytest.mark.parametrize("shuffle", ["epoch", pytest.param("replacement", marks=pytest.mark.full)])
def test_mini_batches_meet_a_target_at_the_end_of_an_epoch(shuffle):
    problem = gd.LinearRegression(gd.Data(np.linspace(-1, 1, 10)[:, None], np.linspace(-2, 2, 10)))
    options = {"batch": 3, "shuffle": shuffle, "drop_last": False, "stop": [gd.Target(1e-3)]}
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), starts=3, steps=200, **options).run()
    found = analysis.time_to_target(result)
    assert (result.status == "converged").all()
    assert np.array_equal(found.by[:, 0], result.steps_taken)
    assert (found.by % 4 == 0).all()  # 10 samples in batches of 3 are 4 steps
    assert np.array_equal(found.after, found.by - 4)


def test_statistics_go_by_the_look_that_saw_the_target_and_tell_what_the_look_before_would_give():
    curves = [[4.0, 1.0, 1.0, 1.0], [4.0, 3.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [4.0, 4.0, 4.0, 4.0]]
    result = result_of(curves, steps=[0, 10, 20, 40])
    found = analysis.ecdf(result, 2.0)
    assert found.time.values.tolist() == [0.0, 10.0, 20.0]
    assert found.share.values[0].tolist() == [0.25, 0.5, 0.75]
    assert found.share_after.values[0].tolist() == [0.25, 0.5, 0.75]  # met after 0, after 10 and at the start
    assert "statistics use by" in found.attrs["times"]
    ert = analysis.expected_running_time(result, 2.0)
    assert float(ert.ert[0, 0]) == (10 + 20 + 0 + 40) / 3
    assert float(ert.ert_after[0, 0]) == (0 + 10 + 0 + 40) / 3
    alive = analysis.kaplan_meier(result, [2.0])
    assert alive.survival.values[0].tolist() == [0.75, 0.5, 0.25]
    assert alive.survival_after.values[0].tolist() == [0.75, 0.5, 0.25]
    times = analysis.times_by_start(result, 2.0)
    assert times.values[:, 0].tolist() == [10.0, 20.0, 0.0, np.inf]
    assert times.after.values[:, 0].tolist() == [0.0, 10.0, 0.0, np.inf]
    with pytest.raises(ValueError, match="takes one target"):
        analysis.kaplan_meier(result, [2.0, 1.0])


def test_where_starts_agree_the_band_is_nowhere_wider():
    rng = np.random.default_rng(0)
    agreeing = [float(np.subtract(*clustered(c, 0.0, 20)[::-1])) for c in np.linspace(0, 1, 11)]
    assert np.allclose(agreeing, agreeing[0])
    low, high = analysis.wilson(0, 20)
    assert agreeing[0] >= high - low
    for _ in range(200):
        y = rng.integers(0, 6, 20) / 5
        low, high = clustered(y.mean(), y.var(), 20)
        assert high - low >= min(agreeing[0], y.mean() + agreeing[0], 1 - y.mean() + agreeing[0]) - 1e-12 or low == 0 or high == 1
    curves = np.ones((40, 5))
    curves[:, 2:] = 0.05  # all meet two of three targets at the same step
    curves[20:, 3] = 0.0  # and then half of them the third
    found = analysis.ecdf(result_of(curves), [0.5, 0.1, 0.01])
    width = (found.high - found.low).values[0]
    assert width[0] < width[1]


def test_default_targets_lie_between_a_typical_start_and_a_typical_run_of_the_best_cell():
    rng = np.random.default_rng(1)
    final = np.stack([rng.uniform(1e-3, 2e-3, 51), rng.uniform(0.1, 0.2, 51)], 1)
    final[0, 1] = 1e-12  # the luckiest run, of the worse cell
    curves = np.stack([np.full(102, 3.0), final.ravel()], 1)
    targets = analysis.default_targets(result_of(curves, cells=2))
    assert targets.min() > np.sort(final[:, 0])[25]
    assert targets.max() < 3.0
    assert len(targets) == 20
    chosen = result_of(curves, cells=2)
    chosen.attrs["targets"] = [0.5, 0.15]
    assert analysis.expected_running_time(chosen).target.values.tolist() == [0.5, 0.15]
    assert analysis.kaplan_meier(chosen).attrs["target"] == 0.15


def test_kaplan_meier_is_that_of_statsmodels():
    survival = pytest.importorskip("statsmodels.duration.survfunc")
    rng = np.random.default_rng(0)
    time, budget = rng.integers(1, 40, 200), rng.integers(10, 50, 200)
    steps = np.arange(51)
    curves = np.where(steps > budget[:, None], np.nan, np.where(steps >= time[:, None], 0.0, 1.0))
    result = result_of(curves, taken=budget)
    found = analysis.kaplan_meier(result, 0.5)
    oracle = survival.SurvfuncRight(np.minimum(time, budget), (time <= budget).astype(int))
    assert np.array_equal(found.time, oracle.surv_times)
    assert np.allclose(found.survival[0], oracle.surv_prob)
    assert np.array_equal(found.at_risk[0], oracle.n_risk)
    one = analysis.kaplan_meier(result_of(curves[:, :41], taken=np.full(200, 40)), 0.5)  # one budget: the plain ECDF
    plain = analysis.ecdf(result_of(curves[:, :41], taken=np.full(200, 40)), 0.5)
    assert np.allclose(1 - one.survival, plain.share)


def test_runs_that_diverged_stay_at_risk():
    curves = [[1.0, 0.0, 0.0], [1.0, np.nan, np.nan], [1.0, 1.0, 0.0]]
    result = result_of(curves, taken=[2, 0, 2], status=["budget", "diverged", "budget"])
    assert np.allclose(analysis.kaplan_meier(result, 0.5).survival[0], [2 / 3, 1 / 3])


def test_a_cutoff_gains_nothing_where_success_does_not_depend_on_age():
    n = 200_000
    time = np.random.default_rng(3).geometric(0.05, n)
    _, costs = analysis.restarts.cutoff_costs(time.astype(float), np.ones(n, bool))
    assert np.allclose(costs[:30], 20.0, rtol=0.02)


def test_restart_costs_are_those_of_the_formula_and_of_simulation():
    result = rosenbrock(stop=[]).run()
    found = analysis.restart_cutoff(result, 0.1)
    time = analysis.time_to_target(result, 0.1)
    for cell in np.flatnonzero(found.successes.values):
        mine = result.cell.values == cell
        hit, spent = time.time.values[mine, 0], time.spent.values[mine]
        spent = np.where(np.isnan(hit), spent, hit)
        options = [np.minimum(spent, c).sum() / (hit <= c).sum() for c in np.unique(hit[hit > 0])]
        assert found.cost[cell] == pytest.approx(min(options))
    assert (found.gain.values[found.successes.values > 0] >= 1 - 1e-12).all()
    rng = np.random.default_rng(0)
    adam = result.cell.values == 4
    hit, spent = time.time.values[adam, 0], time.spent.values[adam]
    spent, met = np.where(np.isnan(hit), spent, hit), ~np.isnan(hit)
    totals = []
    for _ in range(4000):
        total, terms = 0.0, iter(20 * analysis.luby(4095))
        while True:
            length, run = next(terms), rng.integers(len(spent))
            total += min(length, spent[run])
            if met[run] and spent[run] <= length:
                break
        totals.append(total)
    assert float(analysis.luby_cost(result, 0.1, base=20.0).cost[4]) == pytest.approx(np.mean(totals), rel=0.06)


def test_parallel_starts_take_the_first_of_so_many():
    time = np.random.default_rng(5).geometric(0.02, 400)
    curves = np.where(np.arange(101) >= time[:, None], 0.0, 1.0)
    found = analysis.parallel_starts(result_of(curves), 0.5, starts=[1, 2, 5])
    ert = float(analysis.expected_running_time(result_of(curves), 0.5).ert[0, 0])
    assert float(found.time[0, 0]) == pytest.approx(ert)
    rng = np.random.default_rng(6)
    groups = rng.choice(np.where(time <= 100, time, 10**9), (200_000, 5)).min(1)
    failed = (groups == 10**9).mean()
    assert float(found.time[0, 2]) == pytest.approx(np.where(groups == 10**9, 100, groups).mean() / (1 - failed), rel=0.02)


def test_profiles_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    values = rng.exponential(10.0, (50, 4))
    values[rng.random((50, 4)) < 0.2] = np.inf
    values[3] = np.inf  # nobody solves it
    times = xarray.DataArray(values.reshape(5, 10, 4), dims=("problem", "start", "cell"))
    ratios = np.full(values.shape, np.inf)
    known = np.isfinite(values.min(1))
    ratios[known] = values[known] / values[known].min(1, keepdims=True)
    profile = analysis.performance_profile(times)
    for tau in (1.0, 1.5, 4.0, 100.0):
        expected = (ratios <= tau).mean(0)
        here = profile.sel(tau=tau, method="ffill")
        assert np.allclose(here.share.values, expected)
        assert np.allclose(here.share_after.values, expected)  # nothing is known of the looks before
        solved = (ratios <= tau).reshape(5, 10, 4).mean(0)  # starts are what is drawn anew
        low, high = interval_of(solved)
        assert np.allclose(here.low.values, low)
        assert np.allclose(here.high.values, high)
    grid = np.linspace(1, 4, 30_001)
    area = [np.mean([(ratios[:, s] <= t).mean() for t in grid]) for s in range(4)]
    assert np.allclose(analysis.algoperf_score(times), area, atol=1e-3)
    data = analysis.data_profile(times)
    assert np.allclose(data.share.sel(budget=12.0, method="ffill").values, (values <= 12.0).mean(0))
    assert np.allclose(analysis.data_profile(times, parameters=2).budget, data.budget / 3)


def test_times_to_decrease_are_those_of_more_and_wild():
    result = rosenbrock(record=gd.Record(every=1), stop=[], starts=6).run()
    found = analysis.times_to_decrease(result, 1e-2)
    for start in range(6):
        losses = result.loss.values[result.start.values == start]
        lowest = np.nanmin(losses)
        goal = losses[0, 0] - 0.99 * (losses[0, 0] - lowest)
        for cell in range(5):
            hits = np.flatnonzero(losses[cell] <= goal)
            assert found.values[start, cell] == (hits[0] if len(hits) else np.inf)


def test_several_problems_are_profiled_problem_by_problem():
    problems = [gd.functions.Booth(), gd.functions.Himmelblau(), gd.functions.Matyas()]
    result = gd.Sweep(problem=problems, optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=0.1)], starts=10, steps=300).run()
    times = analysis.times_to_decrease(result, 1e-2, over="problem")
    assert times.dims == ("start", "problem", "solver")
    assert times.label.values.tolist() == ["SGD lr=0.001", "SGD lr=0.01", "Adam lr=0.1"]
    for problem in ("Booth", "Himmelblau", "Matyas"):
        alone = gd.Sweep(problem=getattr(gd.functions, problem)(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=0.1)], starts=10, steps=300).run()
        assert np.array_equal(times.sel(problem=problem).values, analysis.times_to_decrease(alone, 1e-2).values)
    profile = analysis.performance_profile(times, solver="solver")
    assert profile.attrs["problems"] == 30
    assert analysis.times_by_start(result, 1.0, over="problem").shape == (10, 3, 3)
    with pytest.raises(ValueError, match="allowed: 'optimizer', 'lr', 'problem'"):
        analysis.times_by_start(result, 1.0, over="momentum")


def test_a_lazy_result_has_the_same_statistics(tmp_path):
    sweep = rosenbrock(starts=30)
    lazy, whole = sweep.run(out=tmp_path / "r", chunk_seconds=1e-6), sweep.run()
    assert lazy.loss.chunks is not None
    for function in (
        lambda r: analysis.ecdf(r, [1.0, 0.1]), lambda r: analysis.expected_running_time(r, [1.0, 0.1]), lambda r: analysis.kaplan_meier(r, 0.1),
        analysis.bands, analysis.success_probability, analysis.best_cell, analysis.budget_curve, lambda r: analysis.restart_cutoff(r, 0.1),
        lambda r: analysis.times_to_decrease(r, 0.1).to_dataset(), lambda r: analysis.success_probability(r, target=0.1),
    ):  # fmt: skip
        xarray.testing.assert_identical(function(lazy).drop_attrs(), function(whole).drop_attrs())


def test_survival_has_an_interval_where_none_or_all_have_met_the_target():
    """By Clopper and Pearson, 0 of n: 1 - (0.025)^(1/n); of those at risk."""
    one = analysis.kaplan_meier(result_of([[1.0, 0.1]]), 0.5)
    assert (float(one.survival[0, -1]), float(one.low[0, -1])) == (0.0, 0.0)
    assert float(one.high[0, -1]) == pytest.approx(0.975)
    met = np.arange(2 * 8) % 2 == 0  # the first cell of two meets it at once, the other never
    both = analysis.kaplan_meier(result_of(np.where(met[:, None], [1.0, 0.1], [1.0, 0.9]), cells=2), 0.5)
    assert both.survival.values[:, 0].tolist() == [0.0, 1.0]
    bound = float(clopper_pearson(0, 8)[1])
    assert bound == pytest.approx(1 - 0.025 ** (1 / 8))
    assert (both.low.values[:, 0], both.high.values[:, 0]) == (pytest.approx([0.0, 1 - bound]), pytest.approx([bound, 1.0]))
    curves = np.where(np.arange(41) >= np.arange(1, 41)[:, None], 0.0, 1.0)  # one after another: no more at the end than before it
    late = analysis.kaplan_meier(result_of(curves), 0.5)
    assert float(late.high[0, -1]) == float(late.high[0, -2]) < 0.2


def test_intervals_of_a_bootstrap_take_six_runs():
    curves = np.tile([[2.0, 0.1, 0.1], [2.0, 2.0, 0.1]], (12, 1))
    for starts, has_ends in ((5, False), (6, True)):
        result = result_of(curves[: 2 * starts], cells=2, coordinates={"optimizer": ["A", "B"]})
        found = analysis.expected_running_time(result, 0.5)
        curve, best = analysis.budget_curve(result, target=0.5), analysis.best_cell(result, target=0.5)
        for ends in (found.low, found.high, curve.low, curve.high):
            assert (np.isfinite(ends).all(), np.isnan(ends).all()) == (has_ends, not has_ends)
        assert best.probability_best.values.tolist() == ([1.0, 0.0] if has_ends else pytest.approx([np.nan, np.nan], nan_ok=True))
        assert np.isnan(analysis.bootstrap(np.arange(starts))).all() != has_ends
    for starts, has_ends in ((10, False), (11, True)):  # the even ones compare
        pair = analysis.compare_tuned(result_of(curves[: 2 * starts], cells=2, coordinates={"optimizer": ["A", "B"]}), target=0.5)
        assert float(pair.ratio[0]) == 0.5
        assert np.isnan([pair.ratio_low[0], pair.ratio_high[0]]).all() != has_ends
    panel = gd.plots.ert(result_of(curves[:6], cells=2, coordinates={"lr": [0.1, 0.2]}), 0.5)
    assert "none of fewer than 6 runs" in "".join(t.get_text() for t in panel.texts)


def test_profiles_take_a_result_for_the_times_of_its_starts(tmp_path):
    """Solved by the sweep's lowest target; a result of several problems is asked for its problems."""
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=5, steps=300, stop=[gd.Target([1.0, 0.1])]).run()
    times = analysis.times_by_start(result, 0.1)
    for profile in (analysis.performance_profile, analysis.data_profile):
        assert profile(result).identical(profile(times))
    assert analysis.algoperf_score(result).identical(analysis.algoperf_score(times))
    with pytest.raises(ValueError, match=r"as gd.analysis.times_by_start\(result, target\) gives, or a result; list was given"):
        analysis.performance_profile([1.0])
    both = result_of(np.ones((4, 2)), cells=2, coordinates={"problem": ["Booth", "Beale"]})
    with pytest.raises(ValueError, match=r"times_by_start\(result, over='problem'\)"):
        analysis.performance_profile(both)
