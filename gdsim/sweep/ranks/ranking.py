"""What a sweep's runs and cells are ranked by: the time to its target, the best validation loss, or the
final loss.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.statistics import median_interval, quantile
from gdsim.statistics.quantiles import median_ranks
from gdsim.stops import RelativeTarget, Status
from gdsim.sweep.ranks.hits import checked_targets, own_targets, times_met
from gdsim.sweep.ranks.labels import shown_number
from gdsim.sweep.results.dataset import losses_at_end
from gdsim.sweep.results.reading import (
    Cells,
    Dataset,
    Result,
    by_block,
    cell_coordinates,
    cells_in,
    check_result,
    is_summary,
    last_known,
    opened,
    summary_quantile,
)
from gdsim.words import given, nearest

# Numbers of a run, and the curve that has each in folders of earlier versions, which lack those of the
# validation set.
CURVE_OF = {
    "best_validation_loss": "validation_loss", "final_validation_loss": "validation_loss",
    "best_validation_accuracy": "validation_accuracy", "final_validation_accuracy": "validation_accuracy", "best_loss": "loss",
}  # fmt: skip


class Ranking(NamedTuple):
    """What runs are ranked by.

    `then` are the criteria that decide between cells of equal medians, in turn.
    """

    name: str  # in words
    units: str
    values: np.ndarray  # [run], lower is better; infinite where the run diverged, and of times where it never met the target; NaN in cells that have none
    sign: float = 1.0  # -1 where `values` are those of an accuracy, negated
    lasts: bool = False  # whether a run that goes on can only lower its value: a time, or the best of something
    then: Sequence["Ranking"] = ()


class CellRanks(NamedTuple):
    """The cells of a result by rank.

    Medians and interval ends are as people read them: accuracies are not negated.
    """

    name: str
    units: str
    coordinates: Any  # of the cells, as `Cells.coordinates`
    median: np.ndarray  # [cell]
    low: np.ndarray  # [cell] of the median's interval; NaN of a summary, and of fewer than six runs
    high: np.ndarray
    keys: np.ndarray  # [cell, criterion]: cells are ordered by the first, equal ones by the next
    order: np.ndarray  # places of the cells, the best first

    @property
    def rank(self) -> np.ndarray:
        """[cell] 1 for the best."""
        found = np.empty(len(self.order), np.int64)
        found[self.order] = np.arange(1, len(self.order) + 1)
        return found


def ranking_of(result: Result, *, variable: str | None = None, target: float | None = None) -> Ranking:
    """What a result's runs are ranked by, and their values.

    `variable` if given: a number or a curve of the runs, a curve by its last value. Else the steps to
    `target` if given; else to the sweep's lowest target, or to the share of its `gd.RelativeTarget`; else the
    best validation loss; else the final loss.
    Cells are ranked by their medians; those of equal medians, such as two that mostly miss the target, by the
    share of runs that have a finite value, then by the criteria that follow in that list. Diverged runs are
    infinite; of times those runs that never met the target: one that met it and diverged later has its time.
    A cell of which no run has such a number, as of a problem without a validation set, has NaN and comes
    last. Raises ValueError for a variable that the result has not, and for a summary, which has no runs.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=3, steps=50)
    >>> ranking_of(sweep.run()).name
    'final loss'
    """
    result = check_result(result, "ranking_of")
    if variable is not None and target is not None:
        raise ValueError(f"what ranks is one of the two: variable={given(variable)} and target={given(target)} were given")
    by_loss = [_of_variable(result, n) for n in ("best_validation_loss", "final_loss") if n in _known(result)]
    if variable is not None:
        first = _of_variable(result, _checked(result, variable))
        return first._replace(then=tuple(r for r in by_loss if r.name != first.name))
    own, share = own_targets(result), result.attrs.get("share")
    if target is None and not len(own) and share is not None:
        return _of_share(result, share)._replace(then=tuple(by_loss))
    if target is not None or len(own):
        return _of_target(result, float(checked_targets(own[-1] if target is None else target)[-1]))._replace(then=tuple(by_loss))
    return by_loss[0]._replace(then=tuple(by_loss[1:]))


def _known(result: Dataset) -> list[str]:
    """The variables that may rank."""
    names = [str(n) for n, v in result.data_vars.items() if v.dims in (("run",), ("run", "checkpoint")) and v.dtype.kind in "fi"]
    return list(dict.fromkeys([*names, *(n for n, curve in CURVE_OF.items() if curve in names)]))


def _checked(result: Dataset, variable: str) -> str:
    known = _known(result)
    if variable not in known:
        raise ValueError(f"variable={given(variable)} is no number or curve of this result's runs; {nearest(str(variable), known)}")
    return variable


def _of_target(result: Dataset, target: float) -> Ranking:
    steps = times_met(result, np.array([target])).by[:, 0].astype(float)
    return Ranking(f"steps to loss {shown_number(target, 6)}", "steps", np.where(steps < 0, np.inf, steps), lasts=True)


def _of_share(result: Dataset, share: float) -> Ranking:
    """The steps of the runs that a `gd.RelativeTarget` has ended."""
    is_met = result.reason.values == RelativeTarget.__name__
    return Ranking(f"steps to {shown_number(share, 6)} of the first loss", "steps", np.where(is_met, result.steps_taken.values, np.inf), lasts=True)


def _of_variable(result: Dataset, variable: str) -> Ranking:
    """The values of a variable as they rank."""
    sign = -1.0 if "accuracy" in variable else 1.0
    about = result[variable] if variable in result else result[CURVE_OF[variable]]
    name = ("" if about.dims == ("run",) or variable not in result else "last ") + variable.replace("_", " ")
    if variable == "final_loss":
        values = losses_at_end(result)
    else:
        values = sign * _numbers(result, variable, sign)
        lacking, place = np.isnan(values), np.unique(result.cell.values, return_inverse=True)[1].reshape(-1)
        values[lacking | (result.status.values == Status.DIVERGED)] = np.inf
        values[(np.bincount(place, ~lacking) == 0)[place]] = np.nan
    return Ranking(name, about.attrs.get("units", "1"), values, sign, lasts=variable.startswith("best_"))


def _numbers(result: Dataset, variable: str, sign: float) -> np.ndarray:
    """[run] a variable; of a curve its last value, or its best where the name says so.

    Runs of folders that have not the number have its curve.
    """
    own = result[variable].values.astype(float) if variable in result and result[variable].dims == ("run",) else None
    if own is not None and (CURVE_OF.get(variable) not in result or not np.isnan(own).any()):
        return own
    curve = variable if own is None and variable in result else CURVE_OF[variable]
    reduce = _best if variable.startswith("best_") else last_known
    found = np.empty(result.sizes["run"])
    for rows, values in by_block(result, [curve], lambda _, columns: reduce(sign * columns[curve].astype(float))):
        found[rows] = values
    found = sign * found
    return found if own is None else np.where(np.isnan(own), found, own)


def _best(curves: np.ndarray) -> np.ndarray:
    """The lowest finite value of each curve; NaN where there is none."""
    lowest = np.where(np.isfinite(curves), curves, np.inf).min(1, initial=np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)


def ranked_cells(result: Result, *, variable: str | None = None, target: float | None = None, confidence: float = 0.95) -> CellRanks:
    """The cells of a result of runs, or of a summary, by what `ranking_of` says, with their medians and the
    medians' intervals.

    A summary has the medians of its bins, and no intervals; of times to a target it knows nothing, and is
    ranked by losses where none is asked for. Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.02]), starts=3, steps=50)
    >>> ranked_cells(sweep.run()).order.tolist()
    [1, 0]
    """
    result = opened(result, "the ranking of cells")
    if is_summary(result):
        return _of_summary(result, variable, target)
    result = check_result(result, "the ranking of cells")
    return ranks_of(cells_in(result), ranking_of(result, variable=variable, target=target), confidence)


def ranks_of(cells: Cells, ranking: Ranking, confidence: float = 0.95) -> CellRanks:
    """The cells by a ranking of their runs."""
    rows = [np.flatnonzero(cells.place == c) for c in range(len(cells.numbers))]
    keys = [key for criterion in (ranking, *ranking.then) for key in _keys(criterion, rows)]
    keys = np.array(keys).reshape(-1, len(rows)).T
    values = [ranking.sign * ranking.values[mine] for mine in rows]
    median, low, high = np.array([(quantile(v, 0.5), *median_interval(v, confidence)) for v in values]).reshape(-1, 3).T
    if ranking.sign < 0:  # shares of samples
        median, low, high = (np.clip(v, 0.0, 1.0) for v in (median, low, high))
    few = [median_ranks(int((~np.isnan(v)).sum()), confidence)[0] < 0 for v in values]  # to have order statistics that enclose the median
    low[few] = high[few] = np.nan
    return CellRanks(ranking.name, ranking.units, cells.coordinates, median, low, high, keys, _order(keys))


def _keys(ranking: Ranking, rows: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """(medians, shares of runs with a finite value, negated) by which cells are ordered, lower is better;
    (inf, 1) of a cell that has no values.
    """
    values = [ranking.values[mine] for mine in rows]
    medians = [ranking.sign * float(quantile(ranking.sign * v, 0.5)) for v in values]
    shares = [1.0 if np.isnan(m) else -float(np.isfinite(v).mean()) for m, v in zip(medians, values, strict=True)]
    return [float("inf") if np.isnan(m) else m for m in medians], shares


def _order(keys: np.ndarray) -> np.ndarray:
    """The places of rows by their first column, equal ones by the next, those that are equal throughout as
    they stand.
    """
    return np.lexsort(keys.T[::-1])


def _of_summary(summary: Dataset, variable: str | None, target: float | None) -> CellRanks:
    """The cells of a summary by the medians of their bins."""
    if target is not None:
        raise ValueError(f"target={target!r} would rank by times, and a summary keeps none: take the sweep with keep='runs', or rank by variable=")
    known = [str(n).removesuffix("_histogram") for n, v in summary.data_vars.items() if str(n).endswith("_histogram") and v.dims == ("cell", "bin")]
    if variable is not None and variable not in known:
        raise ValueError(f"variable={given(variable)} is no number that this summary keeps; {nearest(str(variable), known)}")
    names = [variable] if variable is not None else [n for n in ("best_validation_loss", "final_loss") if n in known]
    signs = [-1.0 if "accuracy" in n else 1.0 for n in names]
    medians = np.array([summary_quantile(summary, n, 0.5) for n in names])
    keys = (np.array(signs)[:, None] * medians).T  # NaN comes last
    unknown = np.full(len(keys), np.nan)
    return CellRanks(names[0].replace("_", " "), "1", cell_coordinates(summary), medians[0], unknown, unknown, keys, _order(keys))
