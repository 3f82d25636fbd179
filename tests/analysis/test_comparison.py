"""Optimizers tuned on one half of the starts and compared on the other, against SciPy, statsmodels and brute
force.
"""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

import gdsim as gd
from gdsim import analysis
from gdsim.statistics import signed_rank
from tests.analysis.populations import result_of

NAMES = ["A", "A", "B", "B", "C", "C"]


def population(times, budget=100):
    """A result of times[start, cell] to the loss 1, which is the sweep's target; later than the budget is
    never.
    """
    cells = times.shape[1]
    met = times.ravel() <= budget
    curves = np.stack([np.full(times.size, 5.0), np.where(met, 0.5, 2.0 + times.ravel() * 1e-6)], 1)
    taken = np.where(met, times.ravel(), budget)
    result = result_of(curves, cells=cells, steps=[0, budget], taken=taken, final=curves[:, 1], status=np.where(met, "converged", "budget"),
                       coordinates={"optimizer": NAMES[:cells], "lr": np.arange(float(cells))})  # fmt: skip
    result.attrs["targets"] = [1.0]
    return result


def differences(a, b):
    """a - b, where infinity less a number is larger than all else, and infinity less infinity is 0."""
    with np.errstate(invalid="ignore"):
        d = a - b
    return np.where(np.isnan(d), 0.0, np.clip(d, -1e6, 1e6))


def test_odd_starts_choose_and_even_starts_compare():
    rng = np.random.default_rng(0)
    times = rng.integers(10, 60, (60, 6)).astype(float)
    times[1::2, 1] -= 9.5  # the second cell looks better to those who choose
    times[::2, 2] += 30
    times[::2, 3] += 40
    times[0:20:2, 3] = 900  # never
    times = np.round(times)
    found = analysis.compare_tuned(population(times))
    seen = np.where(times <= 100, times, np.inf)
    chosen = [int(k + np.argmin(np.quantile(seen[1::2, k : k + 2], 0.5, axis=0, method="inverted_cdf"))) for k in (0, 2, 4)]
    assert found.cell.values.tolist() == chosen
    assert found.attrs["ranked_by"] == "steps to loss 1"
    even = seen[::2, chosen]
    assert np.array_equal(found["median"], np.quantile(even, 0.5, axis=0, method="inverted_cdf"))
    ordered = np.sort(even, axis=0)
    assert np.array_equal(found.low, ordered[9])  # the 10th and 21st of 30 enclose the median in 95%
    assert np.array_equal(found.high, ordered[20])
    p = []
    for k, (a, b) in enumerate(itertools.combinations(range(3), 2)):
        assert (found["first"].values[k], found["second"].values[k]) == ("ABC"[a], "ABC"[b])
        p.append(wilcoxon(differences(even[:, a], even[:, b]), zero_method="zsplit").pvalue)
    assert np.allclose(found.p, p)
    assert np.allclose(found.p_holm, multipletests(p, method="holm")[1])
    drawn = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=1000)
    medians = np.array([np.quantile(np.repeat(even, counts, axis=0), 0.5, axis=0, method="inverted_cdf") for counts in drawn])
    ratios = np.sort(medians[:, 0] / medians[:, 1])
    assert (float(found.ratio_low[0]), float(found.ratio_high[0])) == (ratios[round(0.025 * 999)], ratios[round(0.975 * 999)])
    assert float(found.ratio[0]) == float(found["median"][0]) / float(found["median"][1])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9))
def test_the_signed_rank_test_counts_ties_half(pairs):
    a, b = np.array(pairs, float).T
    ours = signed_rank(a, b)
    if (a == b).all():
        assert ours == 1.0
    else:
        assert ours == pytest.approx(wilcoxon(a - b, zero_method="zsplit").pvalue)
    never = [np.where(v == 6, np.inf, v) for v in (a, b)]
    if (a != b).any():
        assert signed_rank(*never) == pytest.approx(wilcoxon(differences(*never), zero_method="zsplit").pvalue)


def test_the_exact_p_value_is_that_of_all_signs():
    d = np.array([1.0, -2.0, 3.5, 4.0, 5.0, 6.0, -0.5])
    ranks = np.argsort(np.argsort(np.abs(d))) + 1.0
    sums = [abs(np.dot(s, ranks)) for s in itertools.product((-1, 1), repeat=7)]
    assert signed_rank(d, np.zeros(7)) == pytest.approx(np.mean(np.array(sums) >= abs(np.dot(np.sign(d), ranks))))


def test_optimizers_that_are_alike_are_seldom_told_apart():
    rng = np.random.default_rng(3)
    told = []
    for _ in range(150):
        luck = rng.integers(10, 120, (40, 1))  # what a start is worth to all, and some never arrive
        found = analysis.compare_tuned(population(np.round(luck + rng.normal(0, 10, (40, 6))).clip(1)), resamples=2)
        told.append(float(found.p_holm.min()) < 0.05)
    assert np.mean(told) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_it_is_said_in_words():
    rng = np.random.default_rng(4)
    times = np.round(30 + rng.normal(0, 3, (60, 6)))
    times[:, 4:] *= 3
    said = analysis.sentences(analysis.compare_tuned(population(times)))
    assert said[0].split(" in ")[0] in ("A reaches the loss 1", "B reaches the loss 1")
    assert "is not distinguishable from it" in said[1]
    assert said[2].startswith("C needs ")
    assert "times as many" in said[2]
    assert "30 starts chose" in said[3]
    times[:, 4:] = 900
    assert any(s.startswith("C does not reach it in half of the starts") for s in analysis.sentences(analysis.compare_tuned(population(times))))
    by_loss = analysis.compare_tuned(population(times), variable="final_loss")
    assert "has the lowest final loss" in analysis.sentences(by_loss)[0]
    assert analysis.sentences(analysis.compare_tuned(population(times + 900)))[0].startswith("None of A, B, C")


def test_what_cannot_be_compared_says_why():
    times = np.full((1, 6), 10.0)
    with pytest.raises(ValueError, match="starts=2 or more"):
        analysis.compare_tuned(population(times))
    with pytest.raises(ValueError, match="did you mean 'optimizer'"):
        analysis.compare_tuned(population(np.full((4, 6), 10.0)), by="optimiser")
    alone = analysis.compare_tuned(population(np.full((4, 2), 10.0)))
    assert alone.sizes["pair"] == 0
    assert len(analysis.sentences(alone)) == 2


def test_what_is_not_finished_is_named_and_not_compared():
    result = population(np.full((8, 6), 10.0))
    names, odd = result.optimizer.values, result.start.values % 2 == 1
    whole = result.isel(run=np.flatnonzero(names != "C"))
    found = analysis.compare_tuned(result.isel(run=np.flatnonzero((names != "C") | odd)))
    assert found.starts.values.tolist() == [4, 0, 0]
    assert np.isnan(found.p.values).tolist() == [False, True, True]
    said = " ".join(analysis.sentences(found))
    assert "C has no finished runs to compare." in said
    assert "nan" not in said
    no_choice = analysis.compare_tuned(result.isel(run=np.flatnonzero((names != "C") | ~odd)))
    assert no_choice.attrs["left_out"] == ["C"]
    assert "C has no finished runs to compare." in analysis.sentences(no_choice)
    assert analysis.compare_tuned(whole).attrs["left_out"] == []


def test_values_of_a_coordinate_are_named_in_three_digits():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 0.1, 9)), starts=20, steps=20)
    said = " ".join(analysis.sentences(analysis.compare_tuned(sweep.run(), by="lr")))
    rates = ("0.0001", "0.000237", "0.000562", "0.00133", "0.00316", "0.0075", "0.0178", "0.0422", "0.1")  # of 10^(-4 + 3 k / 8), three digits
    assert set(re.findall(r"lr=([\d.e-]*\d)", said)) == set(rates)
    assert set(re.findall(r"lr = ([\d.e-]*\d)", said)) == set(rates)


def test_none_is_the_best_where_all_diverged():
    lost = population(np.full((8, 4), 900.0)).assign(status=("run", np.full(32, "diverged")))
    (said,) = analysis.sentences(analysis.compare_tuned(lost, variable="final_loss"))
    assert said == "None of A, B has a finite median final loss: half of the starts that compare them, or more, diverged."


def test_an_interval_without_ends_is_said_in_words():
    few = analysis.sentences(analysis.compare_tuned(population(np.full((4, 4), 10.0))))
    assert few[0].endswith("in 10 steps (too few starts for an interval).")
    some = np.full((24, 4), 10.0)
    some[::6] = 900  # a third of the even starts never: the 10th of 12 is infinite
    (first, *_) = analysis.sentences(analysis.compare_tuned(population(some)))
    assert first.endswith("in 10 [10, no upper end] steps.")
