"""Optimizers compared with what it takes to tune them: budgets of trials, sensitivity, the best cell and how
sure it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.analysis.success import outcomes_by_start
from gdsim.axes import checked_whole
from gdsim.statistics import ArrayLike, groups_of, median, percentiles, resampled
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS, numbers_in
from gdsim.sweep.ranks.ranking import Ranking, ranking_of, ranks_of
from gdsim.sweep.results.reading import Cells, Dataset, Result, axis_of, cells_in, check_result, checked_confidence, dataset, varied
from gdsim.words import checked_word, given

# Values of resampled medians that are in memory at once.
MEDIAN_VALUES = 20_000_000


def expected_best(values: ArrayLike, n: ArrayLike, *, estimator: str = "unbiased") -> np.ndarray:
    """The expected lowest of `n` random trials, from the losses of B trials (Dodge et al. 2019): one number
    for each n.

    "unbiased" draws n of the B without replacement (a U-statistic; NaN beyond B), "plug-in" with replacement
    (a V-statistic, biased upwards, of less variance: Dodge et al. 2021). An infinite loss counts as infinite.
    Takes values[trial], and n or n[count]; gives [count]. Raises ValueError.

    >>> expected_best([1.0, 2.0, 3.0], [1, 2, 3]).round(4).tolist()
    [2.0, 1.3333, 1.0]
    >>> expected_best([1.0, 2.0, 3.0], [2], estimator="plug-in").round(4).tolist()
    [1.5556]
    """
    from scipy.special import gammaln  # takes 0.2 s, and nothing else here needs it

    ordered = np.sort(np.atleast_1d(numbers_in(values, "values")), axis=-1)
    count, asked = len(ordered), np.atleast_1d(numbers_in(n, "n"))
    checked_word(estimator, "estimator", ("unbiased", "plug-in"))
    if np.ndim(values) != 1 or not count or np.isnan(ordered).any() or not ((asked >= 1) & (asked < 2**53) & (asked == np.floor(asked))).all():
        raise ValueError(f"values must be a list of losses, at least one, none NaN, and n whole numbers from 1; {given(values)} and n={given(n)} were given")
    budgets = asked.astype(int)
    found = np.full(len(budgets), np.nan)
    above = np.arange(count, 0, -1.0)  # how many are at least as large
    for place, k in enumerate(budgets):
        if estimator == "plug-in":
            left = (above / count) ** k
            weights = left - np.append(left[1:], 0.0)
        elif k <= count:
            with np.errstate(invalid="ignore"):
                choose = gammaln(above) - gammaln(np.maximum(above - k + 1, 1)) - gammaln(k)
            weights = np.where(above >= k, np.exp(choose - (gammaln(count + 1) - gammaln(k + 1) - gammaln(count - k + 1))), 0.0)
        else:
            continue
        used = weights > 0
        found[place] = weights[used] @ ordered[used]
    return found


class Ranked(NamedTuple):
    """What runs are ranked by, start by start and cell by cell."""

    ranking: Ranking
    cells: Cells
    table: np.ndarray  # [start, cell] values, lower is better, infinite where a run diverged (of times: never met the target), NaN where it is missing

    @property
    def medians(self) -> np.ndarray:
        """[cell] the median, lower is better; of accuracies that of the accuracies themselves, negated."""
        return self.ranking.sign * median(self.ranking.sign * self.table)

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Values as people read them: accuracies are not negated."""
        return self.ranking.sign * values

    @property
    def about(self) -> dict[str, Any]:
        """What a Dataset says of it."""
        return {"ranked_by": self.ranking.name}


def ranked(result: Dataset, variable: str | None, target: float | None) -> Ranked:
    """A checked result's runs by what ranks them."""
    ranking, cells = ranking_of(result, variable=variable, target=target), cells_in(result)
    return Ranked(ranking, cells, outcomes_by_start(result, cells.place, ranking.values, len(cells.numbers)))


def budget_curve(
    result: Result, *, variable: str | None = None, target: float | None = None, by: str = "optimizer",
    estimator: str = "unbiased", confidence: float = 0.95, resamples: int = 500, seed: int = 0,
) -> Dataset:  # fmt: skip
    """The expected best median loss of n random trials, for each optimizer and each n: a Dataset over `by`
    and `trials`.

    A trial is a cell drawn from those of one optimizer (or of one value of any coordinate `by`); its loss is
    the median over its runs of what ranks (see `gd.table`; `attrs["ranked_by"]`), infinite where half of them
    diverged or never met the target. The expectation is infinite (of accuracies -inf) as long as n trials may
    all be such cells: up to n = `infinite_cells`, and for every n with "plug-in". Cells without a number, as
    those without a validation set where its loss ranks, are no trials. The interval resamples starts, and is
    NaN where a cell has fewer than 6 runs. `estimator` as in `expected_best`.

    Variables: `loss`, `low`, `high`, each [by, trials], NaN beyond an optimizer's cells; `cells` and
    `infinite_cells` [by]. Raises TypeError for what is no result, ValueError for one without what is asked
    for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.01, 0.1])], starts=9, steps=100)
    >>> budget_curve(sweep.run()).sizes["trials"]
    2
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "budget_curve")
    found = ranked(result, variable, target)
    names, groups = groups_by(found.cells, by)
    groups = [g[~np.isnan(found.medians[g])] for g in groups]  # a cell without a number, as of no validation set, is no trial
    trials = np.arange(1, max((len(g) for g in groups), default=0) + 1)

    def curve(medians: np.ndarray) -> np.ndarray:
        known = np.where(np.isnan(medians), np.inf, medians)
        curves = np.full((len(groups), len(trials)), np.nan)
        for row, members in enumerate(groups):
            if len(members):
                curves[row, : len(members)] = expected_best(known[members], trials[: len(members)], estimator=estimator)
        return found.shown(curves)

    ends = percentiles(np.array([curve(m) for m in resampled_medians(result, found, resamples, seed)]), confidence)
    ends = np.where(few_runs(found, groups)[:, None], np.nan, ends)
    dims, name, units = (by, "trials"), found.ranking.name, found.ranking.units
    return dataset({
        "loss": (dims, curve(found.medians), f"expected median {name} of the best of so many trials", units),
        "low": (dims, ends[0], f"lower end of the {confidence:.0%} interval", units), "high": (dims, ends[1], f"upper end of the {confidence:.0%} interval", units),
        "cells": (by, [len(g) for g in groups], "cells that trials are drawn from", "1"),
        "infinite_cells": (by, [int((~np.isfinite(found.medians[g])).sum()) for g in groups], "those of them whose median is infinite", "1"),
    }, {by: (by, names), "trials": ("trials", trials)}, estimator=estimator, confidence=confidence, **found.about)  # fmt: skip


def few_runs(found: Ranked, groups: Sequence[np.ndarray]) -> np.ndarray:
    """[group] whether one of a group's cells has too few runs for a bootstrap over starts."""
    runs = np.bincount(found.cells.place, minlength=len(found.cells.numbers))
    return np.array([len(members) > 0 and runs[members].min() < FEWEST_FOR_INTERVALS for members in groups], bool)


def groups_by(cells: Cells, by: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """(a coordinate's distinct values in the order of their first cells, the places of the cells of each)."""
    names, place = axis_of(varied(cells.coordinates, by))
    order = [int(k) for k in dict.fromkeys(place.tolist()) if k >= 0]
    return names[order], [np.flatnonzero(place == k) for k in order]


def resampled_medians(result: Dataset, found: Ranked, resamples: int, seed: int) -> np.ndarray:
    """[resample, cell]: medians over starts that are drawn with replacement, the same for all cells; lower is
    better.
    """
    table, upper = found.table, found.ranking.sign < 0  # the median of accuracies is the upper one of their negatives
    group, groups = groups_of(np.unique(result.start.values))
    weights = resampled(groups, checked_whole(resamples, "resamples", 1, 2**31), seed)
    drawn = np.full((len(weights), table.shape[1]), np.nan)
    for cell in range(table.shape[1]):
        known = np.flatnonzero(~np.isnan(table[:, cell]))
        if not len(known):
            continue
        order = known[np.argsort(table[known, cell], kind="stable")]
        near = int(8 * np.sqrt(len(order))) + 8  # a resample's median lies so near to the middle, but for one in 10^50
        places = _middles(group[order], weights, (max(0, len(order) // 2 - near), min(len(order), len(order) // 2 + near)), upper=upper)
        lost = places < 0
        if lost.any():
            places[lost] = _middles(group[order], weights[lost], (0, len(order)), upper=upper)
        drawn[:, cell] = np.where(places >= 0, table[order[places], cell], np.nan)
    return drawn


def _middles(group: np.ndarray, weights: np.ndarray, window: tuple[int, int], *, upper: bool) -> np.ndarray:
    """The place of each resample's lower (or upper) median among ordered runs of given groups; -1 where it
    lies outside of the window, or nothing was drawn.
    """
    first, last = window
    whole, before = (weights @ np.bincount(group[:n], minlength=weights.shape[1]) for n in (len(group), first))
    found = np.full(len(weights), -1)
    at_once = max(1, MEDIAN_VALUES // (last - first))
    enough = whole / 2 + (0.25 if upper else 0.0)
    for row in range(0, len(weights), at_once):
        rows = slice(row, row + at_once)
        reached = before[rows, None] + np.cumsum(weights[rows][:, group[first:last]], axis=1) >= enough[rows, None]
        is_inside = reached[:, -1] & (before[rows] < enough[rows]) & (whole[rows] > 0)
        found[rows] = np.where(is_inside, first + np.argmax(reached, axis=1), -1)
    return found


def _finite_shares(result: Dataset, table: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """[resample, cell]: the share of runs that have a finite value, among those that are drawn as for
    `resampled_medians`; 0 where none is.
    """
    group, groups = groups_of(np.unique(result.start.values))
    weights, counts = resampled(groups, resamples, seed), np.zeros((2, groups, table.shape[1]))
    for count, there in zip(counts, (np.isfinite(table), ~np.isnan(table)), strict=True):
        np.add.at(count, group, there)
    return (weights @ counts[0]) / np.maximum(1, weights @ counts[1])


def best_cell(result: Result, *, variable: str | None = None, target: float | None = None, resamples: int = 1000, seed: int = 0) -> Dataset:
    """Which cell has the best median of what ranks, and how often it still has when the starts are drawn
    anew: a Dataset over `cell`.

    What ranks, and how ties are broken, `gd.table` says: `variable` or the time to `target`; else the time to
    the sweep's lowest target, the best validation loss, the final loss; `attrs["ranked_by"]` names it.
    Diverged runs count as infinite, of times those that never met the target. `probability_best` is the share
    of the bootstrap's resamples of starts, the same for all cells, in which a cell is the best; cells that
    tie share it, where all medians are infinite those with the most finite values; NaN of a cell of fewer
    than 6 runs. `rank` is 1 for the best. `attrs["best"]` is its cell.

    Variables: `median_loss` (of what ranks, whatever that is), `low`, `high` (its 95% interval by order
    statistics, as `gd.table` has it; NaN of fewer than 6 runs), `probability_best`, `rank`, each [cell].
    Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.05]), starts=9, steps=100)
    >>> best_cell(sweep.run()).probability_best.values.tolist()
    [0.0, 1.0]
    """
    result = check_result(result, "best_cell")
    found = ranked(result, variable, target)
    ranks = ranks_of(found.cells, found.ranking)
    draws = resampled_medians(result, found, resamples, seed)
    drawn = np.where(np.isnan(draws), np.inf, draws)
    ties = drawn == drawn.min(1, initial=np.inf, keepdims=True)
    finite = np.where(np.isinf(drawn) & ties, _finite_shares(result, found.table, resamples, seed), 0.0)
    ties &= finite == finite.max(1, initial=0.0, keepdims=True)
    share = (ties / np.maximum(1, ties.sum(1, keepdims=True))).mean(0)
    share = np.where(few_runs(found, [*np.arange(len(share))[:, None]]) & ~np.isnan(found.table).all(0), np.nan, share)
    name, units = found.ranking.name, found.ranking.units
    return found.cells.dataset({
        "median_loss": ("cell", found.shown(found.medians), f"median {name}", units), "low": ("cell", ranks.low, "lower end of the 95% interval", units),
        "high": ("cell", ranks.high, "upper end of the 95% interval", units), "probability_best": ("cell", share, "share of resamples in which the cell is the best", "1"),
        "rank": ("cell", ranks.rank, "place by the median, the best first", "1"),
    }, best=int(found.cells.numbers[ranks.order[0]]) if len(ranks.order) else -1, **found.about)  # fmt: skip


def sensitivity(
    result: Result, hyperparameter: str = "lr", *, variable: str | None = None, target: float | None = None, factor: float = 2.0, by: str = "optimizer"
) -> Dataset:
    """How wide the range of a hyperparameter is within which the median loss stays within `factor` of the
    best: a Dataset over `by`.

    The loss is what ranks, as `gd.table` says, a time too; `attrs["ranked_by"]` names it. At each value the
    best cell over all other hyperparameters counts. The range is the unbroken one about the best value;
    `decades` is log10(high/low), NaN for values that are not above 0, such as None for the whole batch, and
    `low_open`, `high_open` say that it reaches the end of the grid and may go on. Losses must be above 0, or
    `factor` would mean nothing: subtract the minimum first.

    Variables: `best`, `best_loss`, `low`, `high`, `decades`, `low_open`, `high_open`, each [by]; `curve` [by,
    value], the best median at each value. Raises TypeError for what is no result, ValueError for one without
    what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-3, 1, 13)), starts=9, steps=20)
    >>> bool(sensitivity(sweep.run()).decades[0] < 1)
    True
    """
    result = check_result(result, "sensitivity")
    if not factor > 1:
        raise ValueError(f"factor must be above 1, such as 2; {given(factor)} was given")
    axis, place = axis_of(varied(cells_in(result).coordinates, hyperparameter, numbers=True))
    found = ranked(result, variable, target)
    names, groups = groups_by(found.cells, by)
    medians = found.medians
    if (medians[~np.isnan(medians)] < 0).any():
        what = "accuracies" if found.ranking.sign < 0 else "losses below 0"
        advice = "rank by a loss, with variable=" if found.ranking.sign < 0 else "subtract the problem's minimum from final_loss first"
        raise ValueError(f"{what} cannot be compared by a factor: {advice}")
    curves = np.full((len(groups), len(axis)), np.nan)
    for row, members in enumerate(groups):
        for k in range(len(axis)):
            curves[row, k] = np.fmin.reduce(medians[members][place[members] == k], initial=np.nan)
    rows = [_range(axis, curve, factor) for curve in curves]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    units = found.ranking.units
    about = {
        "best": ("value with the best median", "1"), "best_loss": (f"that median {found.ranking.name}", units), "low": ("lowest value within the factor", "1"),
        "high": ("highest value within the factor", "1"), "decades": ("width of the range", "decades"),
        "low_open": ("whether the range reaches the grid's lowest value", ""), "high_open": ("whether it reaches the highest", ""),
    }  # fmt: skip
    variables: dict[str, tuple[Any, ...]] = {n: (by, np.array(c), *a) for (n, a), c in zip(about.items(), columns, strict=True)}
    variables["curve"] = ((by, "value"), curves, f"best median {found.ranking.name} at each {hyperparameter}", units)
    return dataset(variables, {by: (by, names), "value": ("value", axis)}, hyperparameter=hyperparameter, factor=factor, **found.about)


def _range(axis: np.ndarray, curve: np.ndarray, factor: float) -> Sequence[Any]:
    """(best value, its loss, low, high, decades, whether it reaches the ends) of one curve."""
    nan, known = float("nan"), np.flatnonzero(np.isfinite(curve))
    if not len(known):
        return nan, nan, nan, nan, nan, False, False
    tried = np.flatnonzero(~np.isnan(curve))
    best = known[np.argmin(curve[known])]
    good = curve[tried] <= factor * curve[best]
    here = int(np.flatnonzero(tried == best)[0])
    first = here - int(np.argmin(np.append(good[: here + 1][::-1], False))) + 1
    last = here + int(np.argmin(np.append(good[here:], False))) - 1
    low, high = axis[tried[first]], axis[tried[last]]
    decades = float(np.log10(high / low)) if low is not None and low > 0 else nan
    return axis[best], curve[best], low, high, decades, first == 0, last == len(tried) - 1
