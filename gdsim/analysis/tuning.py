"""Optimizers compared with what it takes to tune them: budgets of trials, sensitivity, the best cell and how sure it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.analysis.success import outcomes_by_start
from gdsim.axes import checked_whole, nearest
from gdsim.statistics import groups_of, median, percentiles, resampled
from gdsim.sweep.reading import Cells, cells_in, check_result, checked_confidence, dataset, varied
from gdsim.sweep.result import losses_at_end

# Values of resampled medians that are in memory at once.
MEDIAN_VALUES = 20_000_000


def expected_best(values: Any, n: Any, *, estimator: str = "unbiased") -> np.ndarray:
    """The expected lowest of `n` random trials, from the losses of B trials (Dodge et al. 2019): one number for each n.

    "unbiased" draws n of the B without replacement (a U-statistic; NaN beyond B), "plug-in" with replacement (a V-statistic, biased
    upwards, of less variance: Dodge et al. 2021). An infinite loss counts as infinite.

    >>> expected_best([1.0, 2.0, 3.0], [1, 2, 3]).round(4).tolist()
    [2.0, 1.3333, 1.0]
    >>> expected_best([1.0, 2.0, 3.0], [2], estimator="plug-in").round(4).tolist()
    [1.5556]
    """
    from scipy.special import gammaln

    ordered = np.sort(np.asarray(values, float))
    count, budgets = len(ordered), np.atleast_1d(np.asarray(n, int))
    if estimator not in ("unbiased", "plug-in"):
        raise ValueError(f"estimator={estimator!r} is not known; {nearest(str(estimator), ('unbiased', 'plug-in'))}")
    if not count or np.isnan(ordered).any() or (budgets < 1).any():
        raise ValueError(f"values must be at least one loss, none NaN, and n whole numbers from 1; {count} losses and n={n!r} were given")
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


def _losses_by_start(result: Any, cells: Cells) -> np.ndarray:
    """[start, cell] final losses, infinite where a run diverged, NaN where it is missing."""
    return outcomes_by_start(result, cells.place, losses_at_end(result), len(cells.numbers))


def median_losses(result: Any, cells: Cells) -> np.ndarray:
    """Each cell's median final loss, the lower of two in the middle; diverged runs count as infinite."""
    return median(_losses_by_start(result, cells))


def budget_curve(result: Any, *, by: str = "optimizer", estimator: str = "unbiased", confidence: float = 0.95, resamples: int = 500, seed: int = 0) -> Any:
    """The expected best median loss of n random trials, for each optimizer and each n: a Dataset over `by` and `trials`.

    A trial is a cell drawn from those of one optimizer (or of one value of any coordinate `by`); its loss is the median of its
    runs' final losses, diverged ones infinite. Cells whose median is infinite count as the worst finite one of all, so that a
    curve is a number. The interval resamples starts. `estimator` as in `expected_best`.

    Variables: `loss`, `low`, `high`, each [by, trials], NaN beyond an optimizer's cells; `cells` [by].

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.01, 0.1])], starts=9, steps=100)
    >>> budget_curve(sweep.run()).sizes["trials"]
    2
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "budget_curve")
    cells = cells_in(result)
    names, groups = _groups(cells, by)
    table = _losses_by_start(result, cells)
    trials = np.arange(1, max((len(g) for g in groups), default=0) + 1)

    def curve(medians: np.ndarray) -> np.ndarray:
        finite = medians[np.isfinite(medians)]
        bounded = np.where(np.isfinite(medians), medians, finite.max(initial=-np.inf) if len(finite) else np.inf)
        curves = np.full((len(groups), len(trials)), np.nan)
        for row, members in enumerate(groups):
            curves[row, : len(members)] = expected_best(bounded[members], trials[: len(members)], estimator=estimator)
        return curves

    low, high = percentiles(np.array([curve(m) for m in _resampled_medians(result, table, resamples, seed)]), confidence)
    dims = (by, "trials")
    variables = {
        "loss": (dims, curve(median(table)), "expected lowest median loss of so many trials", "1"),
        "low": (dims, low, f"lower end of the {confidence:.0%} interval", "1"), "high": (dims, high, f"upper end of the {confidence:.0%} interval", "1"),
        "cells": (by, [len(g) for g in groups], "cells that trials are drawn from", "1"),
    }  # fmt: skip
    return dataset(variables, {by: (by, names), "trials": ("trials", trials)}, estimator=estimator, confidence=confidence)


def _groups(cells: Cells, by: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """(distinct values of a coordinate in the order of their first cells, the places of the cells of each)."""
    values = varied(cells.coordinates, by)
    names, first = np.unique(values, return_index=True)
    names = names[np.argsort(first)]
    return names, [np.flatnonzero(values == n) for n in names]


def _resampled_medians(result: Any, table: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """[resample, cell]: medians over starts that are drawn with replacement, the same for all cells."""
    starts = np.unique(result.start.values)
    group, groups = groups_of(starts)
    weights = resampled(groups, checked_whole(resamples, "resamples", 1, 2**31), seed)
    found = np.full((len(weights), table.shape[1]), np.nan)
    for cell in range(table.shape[1]):
        known = np.flatnonzero(~np.isnan(table[:, cell]))
        if not len(known):
            continue
        order = known[np.argsort(table[known, cell], kind="stable")]
        near = int(8 * np.sqrt(len(order))) + 8  # a resample's median lies so near to the middle, but for one in 10^50
        places = _middles(group[order], weights, (max(0, len(order) // 2 - near), min(len(order), len(order) // 2 + near)))
        lost = places < 0
        if lost.any():
            places[lost] = _middles(group[order], weights[lost], (0, len(order)))
        found[:, cell] = np.where(places >= 0, table[order[places], cell], np.nan)
    return found


def _middles(group: np.ndarray, weights: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """The place of each resample's lower median among ordered runs of given groups; -1 where it lies outside of the window, or nothing was drawn."""
    first, last = window
    whole, before = (weights @ np.bincount(group[:n], minlength=weights.shape[1]) for n in (len(group), first))
    found = np.full(len(weights), -1)
    at_once = max(1, MEDIAN_VALUES // (last - first))
    for row in range(0, len(weights), at_once):
        rows = slice(row, row + at_once)
        total = before[rows, None] + np.cumsum(weights[rows][:, group[first:last]], axis=1)
        reached = 2 * total >= whole[rows, None]
        inside = reached[:, -1] & (2 * before[rows] < whole[rows])
        found[rows] = np.where(inside, first + np.argmax(reached, axis=1), -1)
    return found


def best_cell(result: Any, *, resamples: int = 1000, seed: int = 0) -> Any:
    """Which cell has the lowest median final loss, and how often it still has when the starts are drawn anew: a Dataset over `cell`.

    Diverged runs count as infinite. `probability_best` is the share of the bootstrap's resamples of starts, the same for all
    cells, in which a cell is the best; cells that tie share it. `rank` is 1 for the lowest median. `attrs["best"]` is its cell.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.05]), starts=9, steps=100)
    >>> best_cell(sweep.run()).probability_best.values.tolist()
    [0.0, 1.0]
    """
    result = check_result(result, "best_cell")
    cells = cells_in(result)
    table = _losses_by_start(result, cells)
    medians = median(table)
    drawn = np.where(np.isnan(draws := _resampled_medians(result, table, resamples, seed)), np.inf, draws)
    ties = drawn == drawn.min(1, initial=np.inf, keepdims=True)
    share = (ties / np.maximum(1, ties.sum(1, keepdims=True))).mean(0)
    order = np.argsort(np.where(np.isnan(medians), np.inf, medians), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    low, high = percentiles(drawn, 0.95)
    variables = {
        "median_loss": ("cell", medians, "median final loss", "1"), "low": ("cell", low, "lower end of the 95% interval", "1"),
        "high": ("cell", high, "upper end of the 95% interval", "1"), "probability_best": ("cell", share, "share of resamples in which the cell is the best", "1"),
        "rank": ("cell", rank, "place by the median, the lowest first", "1"),
    }  # fmt: skip
    return cells.dataset(variables, best=int(cells.numbers[order[0]]) if len(order) else -1)


def sensitivity(result: Any, hyperparameter: str = "lr", *, factor: float = 2.0, by: str = "optimizer") -> Any:
    """How wide the range of a hyperparameter is within which the median loss stays within `factor` of the best: a Dataset over `by`.

    At each value the best cell over all other hyperparameters counts. The range is the unbroken one about the best value; `decades` is
    log10(high/low), NaN for values that are not above 0, and `low_open`, `high_open` say that it reaches the end of the grid and may go on. Losses must be above 0,
    or `factor` would mean nothing: subtract the minimum first.

    Variables: `best`, `best_loss`, `low`, `high`, `decades`, `low_open`, `high_open`, each [by]; `curve` [by, value], the best median loss at each value.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-3, 1, 13)), starts=9, steps=20)
    >>> bool(sensitivity(sweep.run()).decades[0] < 1)
    True
    """
    result = check_result(result, "sensitivity")
    if not factor > 1:
        raise ValueError(f"factor must be above 1, such as 2; {factor!r} was given")
    cells = cells_in(result)
    names, groups = _groups(cells, by)
    values = varied(cells.coordinates, hyperparameter, numbers=True)
    medians = median_losses(result, cells)
    if (medians[~np.isnan(medians)] < 0).any():
        raise ValueError("losses below 0 cannot be compared by a factor: subtract the problem's minimum from final_loss first")
    axis = np.unique(values[~np.isnan(values)])
    curves = np.full((len(groups), len(axis)), np.nan)
    for row, members in enumerate(groups):
        for place, value in enumerate(axis):
            mine = medians[members][values[members] == value]
            curves[row, place] = np.nanmin(mine) if len(mine) and not np.isnan(mine).all() else np.nan
    rows = [_range(axis, curve, factor) for curve in curves]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    about = {
        "best": ("value with the lowest median loss", "1"), "best_loss": ("that loss", "1"), "low": ("lowest value within the factor", "1"),
        "high": ("highest value within the factor", "1"), "decades": ("width of the range", "decades"),
        "low_open": ("whether the range reaches the grid's lowest value", ""), "high_open": ("whether it reaches the highest", ""),
    }  # fmt: skip
    variables: dict[str, tuple[Any, ...]] = {n: (by, np.array(c), *a) for (n, a), c in zip(about.items(), columns, strict=True)}
    variables["curve"] = ((by, "value"), curves, f"best median loss at each {hyperparameter}", "1")
    return dataset(variables, {by: (by, names), "value": ("value", axis)}, hyperparameter=hyperparameter, factor=factor)


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
    decades = float(np.log10(high / low)) if low > 0 else nan
    return axis[best], curve[best], low, high, decades, first == 0, last == len(tried) - 1
