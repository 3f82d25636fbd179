"""Intervals and tests against statsmodels and SciPy, and by how often they cover."""

import numpy as np
import pytest
import xarray
from hypothesis import given, strategies as st
from scipy.stats import binom

from gdsim.analysis import (
    bootstrap,
    clopper_pearson,
    data_profile,
    ecdf,
    expected_running_time,
    holm,
    mcnemar,
    median_ranks,
    performance_profile,
    success_probability,
    wilson,
)  # fmt: skip
from tests.analysis.populations import result_of

proportion = pytest.importorskip("statsmodels.stats.proportion")
POPULATIONS = 2000


@given(st.integers(1, 10_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_intervals_of_shares_are_those_of_statsmodels(n, share, confidence):
    k = round(share * n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        low, high = proportion.proportion_confint(k, n, 1 - confidence, method)
        low, high = (0.0 if k == 0 else low), (1.0 if k == n else high)
        assert np.allclose(ours(k, n, confidence), (low, high), rtol=1e-9, atol=1e-12)


def test_no_runs_leave_the_whole_interval():
    for interval in (wilson, clopper_pearson):
        assert [float(v) for v in interval(0, 0)] == [0.0, 1.0]


@pytest.mark.parametrize("n", [30, 100, 400])
def test_wilson_covers_on_average_and_clopper_pearson_always(n):
    k = np.arange(n + 1)
    shares = np.linspace(0.02, 0.98, 97)
    covered = {}
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        covered[interval] = np.array([binom.pmf(k, n, p)[(low <= p) & (p <= high)].sum() for p in shares])
    assert 0.93 <= covered[wilson].mean() <= 0.97
    assert covered[clopper_pearson].min() >= 0.95


@pytest.mark.parametrize(("interval", "least", "most"), [("wilson", 0.93, 0.97), ("clopper-pearson", 0.95, 1.0)])
def test_success_probability_covers_in_simulated_populations(interval, least, most):
    rng = np.random.default_rng(1)
    shares = rng.uniform(0.05, 0.95, POPULATIONS)
    status = np.where(rng.random((40, POPULATIONS)) < shares, "converged", "budget")
    found = success_probability(result_of(np.ones((40 * POPULATIONS, 1)), cells=POPULATIONS, status=status.ravel()), interval=interval)
    covered = np.mean((found.low.values <= shares) & (shares <= found.high.values))
    assert least - 0.01 <= covered <= most


def test_the_bootstrap_of_the_expected_running_time_covers():
    rng = np.random.default_rng(2)
    budget, starts = 50, 40
    shares = rng.uniform(0.15, 0.95, POPULATIONS)
    q = 1 - (1 - shares) ** (1 / budget)
    times = rng.geometric(q, (starts, POPULATIONS))
    truth = (1 - (1 - q) ** budget) / q / shares
    curves = np.where(np.arange(budget + 1) >= times[..., None], 0.0, 1.0).reshape(-1, budget + 1)
    found = expected_running_time(result_of(curves, cells=POPULATIONS), 0.5)
    covered = np.mean((found.low.values[:, 0] <= truth) & (truth <= found.high.values[:, 0]))
    assert 0.93 <= covered <= 0.97
    assert np.allclose(found.ert[:, 0], np.minimum(times, budget).sum(0) / np.maximum((times <= budget).sum(0), 1e-300))


@pytest.mark.parametrize("n", [16, 100])
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("targets", [1, 5])
def test_bands_of_shares_met_cover_the_truth(n, p, targets):
    """A population meets targets of the shares p_j by step 1; its starts are as alike across targets as half
    of their luck.
    """
    rng = np.random.default_rng(5)
    shares = np.full(targets, p) if targets == 1 or p == 1 else p * np.linspace(1.5, 0.5, targets)
    luck = np.where(rng.random((n, POPULATIONS, 1)) < 0.5, rng.random((n, POPULATIONS, 1)), rng.random((n, POPULATIONS, targets)))
    met = np.minimum.accumulate(luck < shares, axis=2)  # who has met a harder target has met the easier ones
    truth = np.mean(met.mean((0, 1))) if targets > 1 else p
    curves = np.stack([np.full(n * POPULATIONS, 10.0), 9.0 - met.sum(2).ravel()], 1)
    found = ecdf(result_of(curves, cells=POPULATIONS), 8.0 - np.arange(targets)).isel(time=-1)
    assert np.mean((found.low.values <= truth) & (truth <= found.high.values)) >= 0.93
    times = xarray.DataArray(np.where(met[..., 0], 1.0, np.inf), dims=("start", "cell"))
    solved = data_profile(times).isel(budget=-1)
    assert np.mean((solved.low.values <= shares[0]) & (shares[0] <= solved.high.values)) >= 0.93


@pytest.mark.parametrize("populations", [200, pytest.param(POPULATIONS, marks=pytest.mark.full)])
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_bands_of_profiles_cover_the_truth(populations, p):
    rng = np.random.default_rng(6)
    covered = []
    for n in (16, 100):
        for _ in range(populations):
            quicker = np.where(rng.random(n) < p, 1.0, 3.0)  # the first solver is the quicker one with probability p
            found = performance_profile(xarray.DataArray(np.stack([quicker, np.full(n, 2.0)], 1), dims=("start", "cell"))).isel(cell=0).sel(tau=1.0)
            covered.append(float(found.low) <= p <= float(found.high))
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize("levels", [1, 2])
def test_the_bootstrap_covers_a_mean_on_one_level_and_on_two(levels):
    rng = np.random.default_rng(4)
    covered = 0
    for population in range(400):
        values = rng.normal(size=(40, 1)) + (rng.normal(size=(40, 5)) if levels == 2 else 0.0)
        low, high = bootstrap(values if levels == 2 else values[:, 0], np.mean, resamples=400, seed=population)
        covered += low <= 0.0 <= high
    assert 0.92 <= covered / 400 <= 0.98


@given(st.integers(0, 400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_order_statistics_enclose_the_median_at_least_so_often_and_no_narrower_pair_does(n, confidence):
    low, high = median_ranks(n, confidence)
    assert low + high == n - 1
    cover = lambda r: 1 - 2 * binom.cdf(r, n, 0.5)  # noqa: E731
    assert low == -1 or cover(low) >= confidence - 1e-12
    assert low + 1 > (n - 1) // 2 or cover(low + 1) < confidence


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(b, c):
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    if b + c:
        assert np.isclose(float(mcnemar(b, c)), theirs([[3, b], [c, 4]], exact=True).pvalue)
    assert float(mcnemar(0, 0)) == 1.0


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(7)
    for p in ([0.5], [0.01, 0.01, 0.02, 1.0, 0.0], rng.uniform(0, 0.1, 20), rng.integers(0, 9, 12) / 60):
        assert np.allclose(holm(p), multipletests(p, method="holm")[1])


def test_holm_leaves_out_what_is_not_known():
    assert np.array_equal(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04], equal_nan=True)
