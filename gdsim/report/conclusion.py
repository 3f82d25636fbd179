"""What a report says in words: what came out, and what may mislead."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.analysis.profiles import problem_of
from gdsim.report.cells import noise_of
from gdsim.report.tables import intervals, number, ranked_name, share
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS
from gdsim.sweep.ranks.hits import own_targets
from gdsim.sweep.ranks.labels import cell_texts, counted, shown_number
from gdsim.sweep.ranks.table import table
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import cells_in, is_summary, worse_than_start

FEW_STARTS = 30
# Starts of which one half chooses cells and the other compares: a median of fewer than six has no 95%
# interval.
FEWEST = 12


# How often the first must be the first again for intervals that meet to say nothing against it.
SURE = 0.95


def conclusion(result: Any, best: Any) -> Iterator[str]:
    """Who is first, by what, with which interval, and whether that is beyond noise.

    `best` is what BEST has made.
    """
    runs = np.bincount(cells_in(result).place)
    if len(np.unique(problem_of(result, cells_in(result)))) > 1:
        yield "The cells minimise several problems, whose losses do not compare: the tables below are to be read problem by problem."
        return
    names, ranked_by = cell_texts(best), ranked_name(best)
    first = int(np.argmin(best["rank"].values))
    form = share if "accuracy" in ranked_by else number
    (found,) = intervals(best, ("median_loss", "low", "high"), [first], form, "infinite")
    many, targets = best.sizes["cell"], own_targets(result)
    met = analysis.success_probability(result, target=float(targets[-1])) if len(targets) else None
    median = f"its median is {found.text} {found.interval}".rstrip() if np.isfinite(found.value) else "though half of its runs or more diverged"
    if met is not None and not np.isfinite(found.value):
        (often,) = intervals(met, ("probability", "low", "high"), [first], share)
        yield (
            f"No cell reaches the loss {number(targets[-1])}, by which the sweep is ranked, in more than half of its runs; "
            f"{names[first]} reaches it most often, in {often.text} {often.interval} of {counted(runs[[first]], 'run')}."
        )
    elif many == 1:
        yield f"{counted(runs, 'run')} of one cell by {ranked_by}: {median}."
    else:
        yield f"{names[first]} is the first of {many:,} cells by the median {ranked_by}: {median}, of {counted(runs[[first]], 'run')}."
        yield _noise(table(result), best, names)
    if may_compare(result):
        yield " ".join(["Each optimizer tuned over its own grid:", *analysis.sentences(analysis.compare_tuned(result))])
    if met is not None:
        whole, reached = float(met.probability.values @ runs) / runs.sum(), int((met.probability.values > 0).sum())
        yield f"A loss of {number(targets[-1])}, the sweep's target, was met by {share(whole)} of all runs, in {reached:,} of {many:,} cells."


def may_compare(result: Any) -> bool:
    """Whether there are several optimizers, and starts enough to choose their cells with one half and compare
    with the other.
    """
    return len(np.unique(np.asarray(result.optimizer.values).astype(str))) > 1 and len(np.unique(result.start.values)) >= FEWEST


def _noise(frame: Any, best: Any, names: list[str]) -> str:
    """Whether that is beyond noise, as the terminal says of the table, and how often the first would be the
    first again.
    """
    verdict = noise_of(frame)
    said = f"{'That is ' if verdict.startswith('beyond') else ''}{verdict}"
    said = said[0].upper() + said[1:]
    if frame["runs"].iloc[0] < FEWEST_FOR_INTERVALS:
        return f"{said}."
    chance = best.probability_best.values
    first = int(np.argmin(best["rank"].values))
    rivals = [k for k in np.argsort(-chance, kind="stable") if k != first and chance[k] > 0.01]
    others = ", ".join(f"{names[k]} in {share(chance[k])}" for k in rivals[:3])
    more = f", and {len(rivals) - 3} others" if len(rivals) > 3 else ""
    again = f"with the starts drawn anew it is the first in {share(chance[first])} of resamples{f', {others}{more}' if others else ''}"
    if "may be as good" in said and chance[first] >= SURE:
        return f"{said} by their intervals alone; but all cells have the same starts, and {again}: by however little, it is the best from the same starts."
    return f"{said}; {again}."


def unfinished(result: Any) -> Iterator[str]:
    """What is said where runs of the plan are not finished."""
    planned, finished = result.attrs["planned_runs"], result.attrs["finished_runs"]
    if finished < planned:
        yield f"{planned - finished:,} of {planned:,} runs are not finished: all numbers are of those that are."


def warnings(result: Any, best: Any) -> Iterator[str]:
    """What may mislead a reader. `best` is what BEST has made."""
    yield from unfinished(result)
    runs = np.bincount(cells_in(result).place)
    if runs.min() < FEW_STARTS:
        yield f"Cells have as few as {counted([runs.min()], 'run')}: intervals are wide, and the best of many cells looks better than it is. Take more starts."
    status = result.status.values
    if (status != "budget").any() and (left := (status == "budget").mean()) > 0.1:
        yield f"{left:.0%} of the runs used up their steps without meeting a stop: what they would have reached is not known (they are censored)."
    if (lost := (status == "diverged").mean()) > 0:
        yield f"{share(lost)} of the runs diverged: they count as infinite losses; a target that one of them met before counts as met."
    worse = worse_than_start(result)
    if worse is not None and worse.any():
        yield f"{share(worse.sum() / runs.sum())} of the runs ended above their first loss without counting as diverged."
    if "best" in ranked_name(best):
        worth = (
            'Its test set tells what the choice is worth: gd.evaluate(..., on="test")' if _has_test_set(result) else "A test set tells what the choice is worth"
        )
        yield f"The {ranked_name(best)} is the lowest of many looks and chose the cell: it is optimistic. {worth}."
    yield from at_the_edge(result)


def _has_test_set(result: Any) -> bool:
    """Whether the sweep's data have a test set, all of them."""
    try:
        return all(p.data is not None and p.data.test is not None for p in sweep_behind(result).problem)
    except ValueError:
        return False


def at_the_edge(result: Any) -> Iterator[str]:
    """What is said where the best learning rate is the last that was tried; of a summary nothing."""
    if is_summary(result) or "lr" not in result.coords or result.lr.dtype.kind != "f" or np.nanmin(result.final_loss.values) < 0:
        return
    if len(np.unique(problem_of(result, cells_in(result)))) > 1:
        return
    found = analysis.sensitivity(result, "lr")
    for name, curve, best in zip(found.optimizer.values, found.curve.values, found.best.values.tolist(), strict=True):
        tried = found.value.values[~np.isnan(curve)]
        if len(tried) > 2 and best in (tried[0], tried[-1]):
            end = "lowest" if best == tried[0] else "highest"
            yield f"The best learning rate of {name} is the {end} that was tried, {shown_number(best)}: the best one may lie beyond."
