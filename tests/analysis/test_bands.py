"""Bands against NumPy and SciPy; runs that ended and diverged; summaries."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import trim_mean

import gdsim as gd
from gdsim import analysis
from gdsim.statistics import median_ranks
from tests.analysis.populations import result_of, rosenbrock

VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("inf"))), min_size=1, max_size=60)


@settings(deadline=None)
@given(VALUES, st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_are_those_of_numpy(values, shares):
    found = analysis.bands(result_of(np.array(values)[:, None]), quantiles=shares)
    expected = np.quantile(values, np.unique(shares), method="inverted_cdf")
    close = np.isclose(found.value[0, :, 0], expected)
    for share, ours, fits in zip(np.unique(shares), found.value.values[0, :, 0], close, strict=True):  # k/n itself may round to either side
        assert fits or abs(share * len(values) - round(share * len(values))) < 1e-8 or ours in values
    low, high = median_ranks(len(values))
    ordered = np.sort(values)
    assert found.median_low[0, 0] == (ordered[low] if low >= 0 else -np.inf)
    assert found.median_high[0, 0] == (ordered[high] if high < len(values) else np.inf)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    found = analysis.bands(result_of(np.array(values)[:, None])).interquartile_mean
    assert float(found[0, 0]) == pytest.approx(trim_mean(values, 0.25), rel=1e-9, abs=1e-9)


def test_ended_runs_keep_their_value_and_diverged_runs_are_infinite():
    curves = [[4.0, 2.0, np.nan, np.nan], [4.0, np.nan, np.nan, np.nan], [4.0, 3.0, 2.0, 1.0]]
    result = result_of(curves, steps=[0, 1, 2, 4], taken=[1, 0, 4], status=["converged", "diverged", "budget"], final=[2.0, 4.0, 1.0])
    value = analysis.bands(result, quantiles=[0.0, 0.5, 1.0]).value[0].values
    assert value[:, 2].tolist() == [2.0, 2.0, np.inf]
    assert value[:, 3].tolist() == [1.0, 2.0, np.inf]


def test_a_checkpoint_that_a_structure_has_not_stays_empty():
    problem = gd.Expression("(a*x - y)**2", data=gd.Data([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 1.0, 2.0]))
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), samples=64, batch=gd.grid(2, 4), starts=6)
    result = sweep.run()
    value = analysis.bands(result, quantiles=[0.5]).value[:, 0].values
    for cell in range(2):
        own = ~np.isnan(result.loss.values[result.cell.values == cell]).all(0)
        ended = result.step.values >= result.steps_taken.values[result.cell.values == cell][0]
        assert np.array_equal(~np.isnan(value[cell]), own | ended)


def test_more_runs_than_fit_at_once_are_taken_in_parts(monkeypatch):
    result = rosenbrock().run()
    whole = analysis.bands(result)
    monkeypatch.setattr("gdsim.analysis.quantiles.BYTES_AT_ONCE", 3000)
    monkeypatch.setattr("gdsim.sweep.results.reading.BLOCK_VALUES", 100)
    assert analysis.bands(result).identical(whole)


def test_the_median_interval_covers():
    rng = np.random.default_rng(0)
    values = rng.exponential(1.0, (35, 2000))
    found = analysis.bands(result_of(values.reshape(-1, 1), cells=2000))
    covered = np.mean((found.median_low.values[:, 0] <= np.log(2)) & (np.log(2) <= found.median_high.values[:, 0]))
    assert covered >= 0.95 - 0.01


def test_accuracies_of_diverged_runs_count_as_none():
    problem = gd.LogisticRegression(gd.datasets.load("moons"), l2=0.1)
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1e6), starts=8, steps=100, dtype="float64").run()
    assert (result.status == "diverged").any()
    assert float(analysis.bands(result, variable="accuracy").value[0, 0, -1]) == 0.0


def test_a_summary_has_bands_within_its_bins_unless_runs_ended_early():
    options = {"stop": [], "optimizer": gd.SGD(lr=gd.logspace(1e-4, 1e-2, 3)), "starts": 200}
    runs, summary = rosenbrock(**options).run(), rosenbrock(**options, keep="summary").run()
    exact, binned = analysis.bands(runs).value.values, analysis.bands(summary).value.values
    finite = np.isfinite(exact)
    assert np.array_equal(finite, np.isfinite(binned))
    assert np.allclose(exact[finite], binned[finite], rtol=1 / 15)
    early = rosenbrock(**{**options, "stop": [gd.Target(1.0)]}, keep="summary").run()
    with pytest.raises(ValueError, match="ended early"):
        analysis.bands(early)


def test_mistakes_say_what_is_allowed():
    result = rosenbrock(starts=2, steps=10).run()
    with pytest.raises(ValueError, match="it has loss, gradient_norm"):
        analysis.bands(result, variable="accuracy")
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        analysis.bands(result, quantiles=[50])
    with pytest.raises(TypeError, match="Dataset of a sweep"):
        analysis.bands([1.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        analysis.bands(result, confidence=95)
