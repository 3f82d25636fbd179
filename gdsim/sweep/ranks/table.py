"""A result as a table with a row per cell, the best first."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdsim.statistics import quantile
from gdsim.stops import STATUSES, Status
from gdsim.sweep.ranks.ranking import CellRanks, ranked_cells, ranking_of
from gdsim.sweep.results.dataset import losses_at_end
from gdsim.sweep.results.reading import (
    WORST,
    Cells,
    Dataset,
    Result,
    cells_in,
    check_result,
    ended_counts,
    is_summary,
    may_converge,
    opened,
    summary_quantile,
    values_of,
    with_none,
    worse_than_start,
)
from gdsim.words import given

if TYPE_CHECKING:
    import pandas


def table(result: Result, *, variable: str | None = None, target: float | None = None, columns: Literal["all"] | None = None) -> "pandas.DataFrame":
    """A pandas DataFrame with a row per cell, sorted by rank: what is varied, the ranked median and its
    interval, and how runs ended.

    `attrs["ranked_by"]` names what ranks: `variable` or the time to the loss `target` if given; else the time
    to the sweep's lowest `gd.Target`, or to the share of its `gd.RelativeTarget`; else the best validation
    loss; else the final loss. `median` is the lower one of two in the middle, diverged runs being infinite,
    of times those that never met the target; a cell without such a number, as without a validation set, has
    NaN and comes last. `low` and `high` are the order statistics that enclose it in 95%, NaN where there are
    fewer than six runs; of summaries there are none. `converged` is left out where nothing could converge;
    `worse_than_start` counts runs that ended above their first loss without diverging. `columns="all"` gives
    every column in the order of cells, quartiles of the final loss among them. Takes a folder's path too, and
    summaries, whose quantiles are the middles of their bins, at most a sixteenth from the truth. Raises
    ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.02]), starts=3, steps=50)
    >>> print(table(sweep.run()).index.tolist())
    [1, 0]
    """
    if columns not in (None, "all"):
        raise ValueError(f"columns must be None, for those that fit a page, or 'all'; {given(columns)} was given")
    result = opened(result, "table")
    if not is_summary(result):
        check_result(result, "table")
    ranks = ranked_cells(result, variable=variable, target=target)
    found = _everything(result, ranks) if columns == "all" else _ranked(result, ranks)
    found.attrs["ranked_by"] = ranks.name
    return found


def _ranked(result: Dataset, ranks: CellRanks) -> "pandas.DataFrame":
    """The few columns that fit a page."""
    from gdsim.sweep.ranks.printed import CellTable  # and with it pandas

    names = {n: with_none(n, values_of(c)) for n, c in ranks.coordinates.items() if n not in ("cell", "label")}
    few = {n: v for n, v in names.items() if n != "optimizer" or len(set(v.tolist())) > 1 or len(names) == 1}
    counts, runs = ended_counts(result, Status.DIVERGED)
    shown: dict[str, Any] = {**few, "runs": runs, "median": ranks.median}
    if not is_summary(result):  # which has no order statistics
        shown |= {"low": ranks.low, "high": ranks.high}
    if may_converge(result):
        shown["converged"] = ended_counts(result, Status.CONVERGED)[0]
    shown["diverged"] = counts
    worse = worse_than_start(result)
    if worse is not None:
        shown["worse_than_start"] = worse
    frame = CellTable(shown, index=values_of(ranks.coordinates["cell"]))
    frame.index.name = "cell"
    return frame.iloc[ranks.order]


def _everything(result: Dataset, ranks: CellRanks) -> "pandas.DataFrame":
    """Every column, in the order of cells."""
    from gdsim.sweep.ranks.printed import CellTable  # and with it pandas

    names = [n for n in ranks.coordinates if n not in ("cell", "label")]
    shown: dict[str, Any] = {n: with_none(n, values_of(ranks.coordinates[n])) for n in ("cell", "label", *names)}
    shown["runs"] = ended_counts(result, Status.DIVERGED)[1]
    shown |= {s: ended_counts(result, s)[0] for s in STATUSES if s != Status.BUDGET}
    worse = worse_than_start(result)
    if worse is not None:
        shown["worse_than_start"] = worse
    shown |= _of_summary(result) if is_summary(result) else _of_runs(result, cells_in(result))
    return CellTable({**shown, "rank": ranks.rank})


def _of_runs(result: Dataset, cells: Cells) -> Mapping[str, np.ndarray]:
    """Quantiles of what runs ended with, diverged ones infinite, their accuracies 0."""
    rows = [np.flatnonzero(cells.place == c) for c in range(len(cells.numbers))]
    of = lambda values, share: np.array([quantile(values[mine], share) for mine in rows])  # noqa: E731
    loss, lost = losses_at_end(result), result.status.values == Status.DIVERGED
    found = {
        "median_loss": of(loss, 0.5), "lowest_final_loss": np.array([loss[mine].min(initial=np.inf) for mine in rows]),
        "quartile_low": of(loss, 0.25), "quartile_high": of(loss, 0.75),
    }  # fmt: skip
    for name in ("accuracy", "validation_loss", "validation_accuracy"):
        if name in result:
            ranking = ranking_of(result, variable=name)
            worst = np.where(lost, WORST.get(name, np.inf), np.nan)
            found[f"median_{name}"] = of(np.where(np.isinf(ranking.values), worst, ranking.sign * ranking.values), 0.5)
    return {**found, "median_steps": of(result.steps_taken.values, 0.5)}


def _of_summary(summary: Dataset) -> Mapping[str, np.ndarray]:
    """The same from a summary's counts."""
    of = lambda name, share: summary_quantile(summary, name, share)  # noqa: E731
    return {
        "median_loss": of("final_loss", 0.5), "lowest_final_loss": summary.final_loss_min.values,
        "quartile_low": of("final_loss", 0.25), "quartile_high": of("final_loss", 0.75), "median_steps": of("steps_taken", 0.5),
    }  # fmt: skip
