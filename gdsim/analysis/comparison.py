"""Optimizers compared, each tuned over its own grid: one half of the starts chooses its cell, the other
compares.
"""

import contextlib
import itertools
from typing import Any

import numpy as np

from gdsim.analysis.success import outcomes_by_start
from gdsim.analysis.tuning import Ranked, groups_by, resampled_medians
from gdsim.statistics import ArrayLike, holm, median_interval, percentiles, signed_rank
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.ranks.labels import cell_texts, shown_values
from gdsim.sweep.ranks.ranking import Ranking, ranking_of, ranks_of
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Dataset, Result, cells_in, check_result, checked_confidence, dataset
from gdsim.words import given

# Below this p-value, corrected for all pairs, two optimizers are told apart in words.
TOLD_APART = 0.05


def compare_tuned(
    result: Result, *, by: str = "optimizer", variable: str | None = None, target: float | None = None,
    confidence: float = 0.95, resamples: int = 1000, seed: int = 0,
) -> Dataset:  # fmt: skip
    """Optimizers, each at the best cell of its own grid, compared pair by pair on common starts: a Dataset
    over `by` and `pair`.

    The odd starts choose each optimizer's cell, by what ranks (`variable` or `target` if given, else as
    `gd.table` says; `attrs["ranked_by"]`); the even starts compare, so that the choice flatters nobody.
    Diverged runs are infinite, of times those that never met the target. `p` is of Wilcoxon's signed-rank
    test (1945) on the starts that both have, ties halved; `p_holm` holds for all pairs at once (Holm 1979).
    `ratio` is the first's median over the second's, with the percentile interval of a bootstrap that draws
    starts for both alike, which takes 6 starts; NaN where values are not above 0. Any coordinate may stand in
    the place of "optimizer". `gd.analysis.sentences` says it in words. Raises ValueError.

    Variables: `cell` (chosen), `choice` (in words), `median`, `low`, `high` (its order statistics), each
    [by]; `ratio`, `ratio_low`, `ratio_high`, `p`, `p_holm`, `starts` (compared), each [pair], whose
    coordinates `first` and `second` name the two.

    >>> import gdsim as gd
    >>> rules = [gd.SGD(lr=[0.001, 0.02]), gd.Momentum(lr=[0.001, 0.01])]
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rules, starts=40, steps=500, stop=[gd.Target(1e-3)])
    >>> compare_tuned(sweep.run()).p.sizes["pair"]
    1
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "compare_tuned")
    is_odd = result.start.values % 2 == 1
    if not is_odd.any() or is_odd.all():
        raise ValueError("compare_tuned needs starts of both kinds: odd ones choose each optimizer's cell, even ones compare; take starts=2 or more")
    ranking = ranking_of(result, variable=variable, target=target)
    choosing, comparing = (result.isel(run=np.flatnonzero(half)) for half in (is_odd, ~is_odd))
    chosen = cells_in(choosing)
    names, groups = groups_by(chosen, by)
    ranks = ranks_of(chosen, _of_runs(ranking, is_odd)).rank
    best = [int(members[np.argmin(ranks[members])]) for members in groups]
    cells = cells_in(comparing)
    values = outcomes_by_start(comparing, cells.place, ranking.values[~is_odd], len(cells.numbers))
    columns = [np.flatnonzero(cells.numbers == chosen.numbers[k]) for k in best]
    table = np.stack([values[:, c[0]] if len(c) else np.full(len(values), np.nan) for c in columns], 1)
    found = Ranked(ranking, cells, table)
    name, units, sign = ranking.name, ranking.units, ranking.sign
    ends = np.sort([[sign * end for end in median_interval(column, confidence)] for column in table.T], axis=1)
    variables = {
        "cell": (by, chosen.numbers[best], "cell that the odd starts chose", ""),
        "choice": (by, np.array(cell_texts(chosen.dataset({})))[best], "that cell in words", ""),
        "median": (by, found.shown(found.medians), f"median {name} over the even starts", units),
        "low": (by, ends[:, 0], f"lower end of its {confidence:.0%} interval", units), "high": (by, ends[:, 1], f"upper end of its {confidence:.0%} interval", units),
        **_pairs(comparing, found, len(names), confidence, resamples, seed),
    }  # fmt: skip
    pairs = list(itertools.combinations(range(len(names)), 2))
    firsts, seconds = (np.asarray(names)[[pair[k] for pair in pairs]] if pairs else np.array([], str) for k in (0, 1))
    about = {
        "by": by,
        "confidence": confidence,
        "choosing": len(np.unique(choosing.start)),
        "comparing": len(values),
        "left_out": _left_out(result, by, names),
        **found.about,
    }
    return dataset(variables, {by: (by, names), "first": ("pair", firsts), "second": ("pair", seconds)}, **about)


def _left_out(result: Dataset, by: str, names: np.ndarray) -> list[str]:
    """The values of `by` of which no run that would choose a cell is finished, those of the sweep's
    optimizers among them.
    """
    there = [str(n) for n in groups_by(cells_in(result), by)[0]]
    if by == "optimizer":
        with contextlib.suppress(ValueError):  # a result whose sweep this process does not know
            there += [type(c.rule.innermost).__name__ for c in cells_of(sweep_behind(result))]
    return [n if by == "optimizer" else f"{by}={n}" for n in dict.fromkeys(there) if n not in {str(v) for v in names}]


def _of_runs(ranking: Ranking, rows: np.ndarray) -> Ranking:
    """The ranking of some of the runs."""
    return ranking._replace(values=ranking.values[rows], then=tuple(r._replace(values=r.values[rows]) for r in ranking.then))


def _pairs(comparing: Dataset, found: Ranked, count: int, confidence: float, resamples: int, seed: int) -> dict[str, tuple[Any, ...]]:
    """The variables over pairs of columns."""
    drawn, medians = found.shown(resampled_medians(comparing, found, resamples, seed)), found.shown(found.medians)
    rows = []
    for a, b in itertools.combinations(range(count), 2):
        first, second = found.table[:, a], found.table[:, b]
        both = ~np.isnan(first) & ~np.isnan(second)
        ratios = _ratio(drawn[:, a], drawn[:, b])
        low, high = (float(percentiles(np.where(np.isnan(ratios), worst, ratios), confidence)[k]) for k, worst in ((0, 0.0), (1, np.inf)))
        ratio = float(_ratio(medians[a], medians[b]))
        lacks_ends = np.isnan(ratio) or both.sum() < FEWEST_FOR_INTERVALS
        rows.append(
            (ratio, *((np.nan, np.nan) if lacks_ends else (low, high)), signed_rank(first[both], second[both]) if both.any() else np.nan, int(both.sum()))
        )
    ratio, low, high, p, starts = np.array(rows, float).reshape(-1, 5).T
    return {
        "ratio": ("pair", ratio, "median of the first over that of the second", "1"),
        "ratio_low": ("pair", low, f"lower end of its {confidence:.0%} interval", "1"), "ratio_high": ("pair", high, f"upper end of its {confidence:.0%} interval", "1"),
        "p": ("pair", p, "p-value of Wilcoxon's signed-rank test", "1"), "p_holm": ("pair", holm(p), "p-value for all pairs at once, by Holm's method", "1"),
        "starts": ("pair", starts.astype(int), "starts that both have finished", "1"),
    }  # fmt: skip


def _ratio(over: ArrayLike, under: ArrayLike) -> np.ndarray:
    """Ratios of positive numbers, infinite ones among them; NaN where both are, or one is not above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((np.asarray(over) > 0) & (np.asarray(under) > 0), np.divide(over, under), np.nan)


def sentences(comparison: Dataset) -> list[str]:
    """What `compare_tuned` found, in plain words: the best of them, how each of the others compares with it,
    and how it was done.

    Two are told apart where `p_holm` is below 0.05. Those that have nothing to compare are named.
    Raises TypeError for what `compare_tuned` did not give.

    >>> import gdsim as gd
    >>> rules = [gd.SGD(lr=[0.001, 0.02]), gd.Momentum(lr=[0.001, 0.01])]
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rules, starts=40, steps=500, stop=[gd.Target(1e-3)])
    >>> sentences(compare_tuned(sweep.run()))[0].startswith("Momentum reaches the loss 0.001 in ")
    True
    """
    if not {"ranked_by", "by"} <= {*getattr(comparison, "attrs", ())}:
        raise TypeError(f"sentences takes the Dataset that gd.analysis.compare_tuned gives; {given(comparison)} was given")
    name, by = comparison.attrs["ranked_by"], comparison.attrs["by"]
    names = [v if by == "optimizer" else f"{by}={v}" for v in shown_values(comparison[by].values.tolist())]
    values = comparison[by].values.tolist()
    is_time, falls = name.startswith("steps to loss "), "accuracy" not in name
    medians = comparison["median"].values
    lacking = [*comparison.attrs.get("left_out", ()), *(n for n, m in zip(names, medians, strict=True) if np.isnan(m))]
    what = "finished runs" if is_time or name == "final loss" else f"finished runs with a {name}"
    absent = [f"{', '.join(lacking)} {'have' if len(lacking) > 1 else 'has'} no {what} to compare."] if lacking else []
    order = np.argsort(np.where(np.isnan(medians), np.inf, medians if falls else -medians), kind="stable")
    compared = [int(k) for k in order if not np.isnan(medians[k])]
    if not compared:
        return absent
    best, others = compared[0], compared[1:]
    said = []
    unit = " steps" if is_time else ""
    shown = [_interval(*(float(comparison[n].values[k]) for n in ("median", "low", "high")), unit=unit) for k in range(len(names))]
    if not np.isfinite(medians[best]):
        among = ", ".join(names[k] for k in compared)
        if is_time:
            return [f"None of {among} reaches the loss {name.removeprefix('steps to loss ')} in half of the starts that compare them.", *absent]
        return [f"None of {among} has a finite median {name}: half of the starts that compare them, or more, diverged.", *absent]
    if is_time:
        said.append(f"{names[best]} reaches the loss {name.removeprefix('steps to loss ')} in {shown[best]}.")
    else:
        said.append(f"{names[best]} has the {'lowest' if falls else 'highest'} {name}, {shown[best]}.")
    for k in others:
        pair = comparison.isel(
            pair=[{a, b} == {values[best], values[k]} for a, b in zip(comparison["first"].values.tolist(), comparison["second"].values.tolist(), strict=True)]
        )
        p = float(pair.p_holm[0])
        if not p < TOLD_APART:
            said.append(f"{names[k]} is not distinguishable from it ({shown[k]}; p = {p:.2g}).")
        elif np.isinf(medians[k]):
            said.append(f"{names[k]} {'does not reach it' if is_time else 'diverges'} in half of the starts{'' if is_time else ' or more'} (p = {p:.2g}).")
        else:
            said.append(f"{names[k]} {'needs' if is_time else 'has'} {shown[k]}{_times(pair, names[best], is_time=is_time)} (p = {p:.2g}).")
    choices = "; ".join(str(c) for c in comparison.choice.values)
    return [
        *said,
        *absent,
        f"Each at the cell that {comparison.attrs['choosing']:,} starts chose ({choices}), compared on {comparison.attrs['comparing']:,} others.",
    ]


def _interval(value: float, low: float, high: float, unit: str) -> str:
    """A median with its interval, in words where it has none."""
    if not np.isfinite(value):
        return "no finite median"
    if np.isinf(low) and np.isinf(high):
        return f"{value:.4g}{unit} (too few starts for an interval)"
    return f"{value:.4g} {_ends(low, high)}{unit}"


def _ends(low: float, high: float) -> str:
    if np.isnan(low):
        return "(too few starts for an interval)"
    return f"[{f'{low:.3g}' if np.isfinite(low) else 'no lower end'}, {f'{high:.3g}' if np.isfinite(high) else 'no upper end'}]"


def _times(pair: Dataset, best: str, *, is_time: bool) -> str:
    """How many times the best one's median another's is."""
    ratio, low, high = (float(pair[n][0]) for n in ("ratio", "ratio_low", "ratio_high"))
    if np.isnan(ratio):
        return ""
    if str(pair["first"].values[0]) == best:
        ratio, low, high = (1 / v if v else np.inf for v in (ratio, high, low))
    return f", {ratio:.3g} {_ends(low, high)} times as many" if is_time else f", {ratio:.3g} {_ends(low, high)} times that"
