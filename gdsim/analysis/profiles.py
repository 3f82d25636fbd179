"""Many problems, several solvers: performance profiles, data profiles, and the score that AlgoPerf makes of
them.
"""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import xarray

from gdsim.analysis.success import outcomes_by_start
from gdsim.analysis.targets import TIMES, hits_of_one
from gdsim.analysis.units import cost_in
from gdsim.canonical import digest
from gdsim.statistics import clustered
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.ranks.hits import checkpoint_before
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import (
    Cells,
    DataArray,
    Dataset,
    Result,
    axis_of,
    by_block,
    cells_in,
    check_result,
    checked_confidence,
    dataset,
    values_of,
    varied,
)
from gdsim.words import given


def times_by_start(result: Result, target: float | None = None, *, unit: str = "steps", over: str | None = None) -> DataArray:
    """Each start as a problem, each cell as a solver: a DataArray of times[start, cell] to the target,
    infinite where it was not met.

    The times are those of the looks at which the target was met; the coordinate `after` has those of the
    looks before. The target is the sweep's lowest if none is given. With `over`, a coordinate such as
    "problem" in a sweep of several problems, its values are problems too, and what cells have else is the
    solver: times[start, over, solver]. Raises TypeError for what is no result, ValueError for one without
    what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=5, steps=500)
    >>> times_by_start(sweep.run(), 0.1).dims
    ('start', 'cell')
    """
    result = check_result(result, "times_by_start")
    hits = hits_of_one(result, target, unit, "times_by_start")
    after, by = (np.where(hits.met(0), hits.spent(0, earliest=early), np.inf) for early in (True, False))
    return _by_start(result, hits.cells, after, by, unit, over)


def times_to_decrease(result: Result, share: float, *, unit: str = "steps", over: str | None = None) -> DataArray:
    """Times[start, cell] until a run has made all but `share` of the way from its first loss to the lowest
    that any cell of its problem reached from its start.

    More and Wild (2009): a problem counts as solved once f(x0) - f(x) >= (1 - share)(f(x0) - f_L). Infinite
    where it was not. Networks on the same data with the same loss are one problem. `over` as in
    `times_by_start`. Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=5, steps=500)
    >>> bool((times_to_decrease(sweep.run(), 0.1) < float("inf")).all())
    True
    """
    result = check_result(result, "times_to_decrease")
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, such as 1e-3; {given(share)} was given")
    cells = cells_in(result)
    cost = cost_in(result, unit, cells)
    steps, count = result.step.values, result.sizes["run"]
    row = np.unique(result.start.values, return_inverse=True)[1].reshape(-1) * len(cells.numbers) + problem_of(result, cells)[cells.place]
    first, lowest = np.zeros(count), np.zeros(count)
    for rows, (begins, best) in by_block(result, ["loss", "best_loss"], lambda _, c: (c["loss"][:, 0], c["best_loss"])):
        first[rows], lowest[rows] = begins, best
    best_known = np.full(row.max(initial=-1) + 1, np.inf)
    np.fmin.at(best_known, row, lowest)
    goal = first - (1 - share) * (first - best_known[row])
    after, by = np.full((2, count), np.inf)

    def look(rows: slice, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        reached = columns["loss"] <= goal[rows][:, None]
        at_end = (columns["final_loss"] <= goal[rows]) & (columns["status"] != "diverged")
        hit = np.where(reached.any(1), steps[np.argmax(reached, 1)], columns["steps_taken"])
        return reached.any(1) | at_end, checkpoint_before(columns["loss"], steps, hit[:, None])[:, 0], hit

    for rows, (met, before, hit) in by_block(result, ["loss", "final_loss", "steps_taken", "status"], look):
        for times, when in ((after, before), (by, hit)):
            times[rows] = np.where(met, cost.of(when, np.arange(count)[rows]), np.inf)
    return _by_start(result, cells, after, by, unit, over)


def _by_start(result: Dataset, cells: Cells, after: np.ndarray, by: np.ndarray, unit: str, over: str | None) -> DataArray:
    """Times[start, cell], or [start, over, solver], with those of the looks before as a coordinate."""
    tables = [outcomes_by_start(result, cells.place, times, len(cells.numbers)) for times in (after, by)]
    starts = ("start", np.unique(result.start.values))
    if over is None:
        coordinates, dims = {**cells.coordinates, "start": starts}, ("start", "cell")
    else:
        shared = varied(cells.coordinates, over)
        rest = {n: values_of(c) for n, c in cells.coordinates.items() if n not in ("cell", "label", over)}
        settings = [" ".join(filter(None, (_shown(n, v[k]) for n, v in rest.items()))) for k in range(len(cells.numbers))]
        solvers, (problems, place) = list(dict.fromkeys(settings)), axis_of(shared)
        spread = np.full((2, len(tables[0]), len(problems), len(solvers)), np.nan)
        for k, text in enumerate(settings):
            for found, table in zip(spread, tables, strict=True):
                found[:, place[k], solvers.index(text)] = table[:, k]
        tables, dims = list(spread), ("start", over, "solver")
        coordinates = {"start": starts, over: (over, problems), "solver": ("solver", np.arange(len(solvers))), "label": ("solver", np.array(solvers))}
    coordinates["after"] = (dims, tables[0], {"units": unit, "long_name": "time of the look before the target was met"})
    return xarray.DataArray(tables[1], coordinates, dims, "time", {"units": unit, "long_name": "time by which the target was met", "times": TIMES})


def _shown(name: str, value: object) -> str:
    """A hyperparameter in words; nothing for one that a cell has not."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{name}={value:.6g}"
    return str(value) if name == "optimizer" else f"{name}={value}" if str(value) else ""


def problem_of(result: Dataset, cells: Cells) -> np.ndarray:
    """The number of each cell's problem: functions by all that they are, models by their data and loss; all
    one where it is not known.
    """
    try:
        sweep = sweep_behind(result)
    except ValueError:
        texts = values_of(cells.coordinates["problem"]) if "problem" in cells.coordinates else np.zeros(len(cells.numbers))
    else:
        declared = cells_of(sweep)
        problems = [declared[n].problem for n in cells.numbers]
        texts = np.array([digest(p) if p.data is None else f"{p.data.digest} {getattr(p, 'loss', '')}" for p in problems])
    return np.unique(texts, return_inverse=True)[1].reshape(-1)


class _Ratios(NamedTuple):
    """Times over the best of each problem, infinite where a solver failed."""

    ratio: np.ndarray  # [start, problem, solver]
    after: np.ndarray  # the same, were the target met right after the look before
    coordinates: Any  # of the solvers


def _table(times: DataArray, solver: str, values: DataArray) -> np.ndarray:
    """[start, problem, solver] of times: what is drawn anew are starts, or all problems where there is no
    such dimension.
    """
    has_starts = "start" in times.dims and solver != "start"
    table = values.transpose(*(["start"] if has_starts else []), ..., solver).values.astype(float)
    table = table.reshape(*((times.sizes["start"], -1) if has_starts else (-1, 1)), times.sizes[solver])
    return np.where(np.isnan(table), np.inf, table)


def _times(times: Any, solver: str) -> Any:
    """Times that are given, or those of a result, each start a problem.

    Raises ValueError for what is neither.
    """
    if isinstance(times, (str, pathlib.Path)) or (isinstance(times, xarray.Dataset) and "run" in times.dims):
        checked = check_result(times, "a profile")
        if len(np.unique(problem_of(checked, cells_in(checked)))) > 1:
            raise ValueError("the cells of this result minimise several problems: give gd.analysis.times_by_start(result, over='problem'), and solver='solver'")
        return times_by_start(checked)
    if solver not in getattr(times, "dims", ()):
        raise ValueError(
            f"times must be a DataArray with the dimension {solver!r}, a solver each, and problems in the others, "
            f"as gd.analysis.times_by_start(result, target) gives, or a result; {type(times).__name__} was given"
        )
    return times


def _ratios(times: DataArray, solver: str) -> _Ratios:
    """The ratios of checked times."""
    table, before = (_table(times, solver, v) for v in (times, times.coords.get("after", times)))
    if (table < 0).any():
        raise ValueError(f"times must not be negative; {table[table < 0][0]!r} was given")
    best = table.min(2, initial=np.inf, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios, early = (np.where(t <= best, 1.0, t / best) for t in (table, before))
    known = np.isfinite(table)
    return _Ratios(np.where(known, ratios, np.inf), np.where(known, early, np.inf), {n: c for n, c in times.coords.items() if c.dims == (solver,)})


def performance_profile(times: "DataArray | Result", *, solver: str = "cell", confidence: float = 0.95) -> Dataset:
    """The share of problems that each solver solves within tau times the best solver's time (Dolan and More
    2002): a Dataset over `solver` and `tau`.

    `times` is a DataArray with a dimension of solvers, by default `cell`, and problems in all others; what
    failed is infinite or NaN. A result stands for `times_by_start(result)`: each start a problem, solved once
    the sweep's lowest target is met. The interval is that of `gdsim.statistics.clustered` over the dimension
    `start` if there is one, else over all problems, of which these are a sample. With more than two solvers a
    profile does not rank the second best (Gould and Scott 2016): look at pairs. Variables: `share`, `low`,
    `high`; `share_after`, were each target met right after the look before. Raises ValueError for times that
    are neither a DataArray over solvers nor a result.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [3.0, 1.0], [1.0, float("inf")]], dims=("problem", "cell"))
    >>> performance_profile(times).share.sel(tau=1.0).values.round(3).tolist()
    [0.667, 0.333]
    """
    found = _ratios(_times(times, solver), solver)
    axis = np.unique(found.ratio[np.isfinite(found.ratio)])
    axis = axis if len(axis) else np.ones(1)
    text = "share of problems solved within tau times the best solver's time"
    variables = _shares(found.ratio, found.after, axis, (solver, "tau"), text, confidence)
    return dataset(variables, {**found.coordinates, "tau": ("tau", axis)}, problems=_count(found.ratio), confidence=confidence, times=TIMES)


def _count(table: np.ndarray) -> int:
    return table.shape[0] * table.shape[1]


def _shares(values: np.ndarray, after: np.ndarray, axis: np.ndarray, dims: tuple[str, str], text: str, confidence: float) -> dict[str, tuple[Any, ...]]:
    """The variables [solver, place]: the share of values[start, problem, solver] that are at most
    axis[place], and its interval over starts.
    """
    level = checked_confidence(confidence)
    starts, problems, solvers = values.shape
    share, squares, early = np.zeros((3, solvers, len(axis)))
    for k in range(solvers):
        ordered = np.sort(values[:, :, k], axis=1)
        place = np.searchsorted(axis, ordered)
        for j in range(problems):  # the square of how many a start has solved grows by 2 j + 1 with its next
            at = np.bincount(place[:, j], minlength=len(axis) + 1)[: len(axis)]
            share[k] += at
            squares[k] += (2 * j + 1) * at
        early[k] = np.searchsorted(np.sort(after[:, :, k], axis=None), axis, side="right")
    share, squares = np.cumsum(share, 1) / max(1, starts * problems), np.cumsum(squares, 1) / max(1, starts * problems**2)
    low, high = clustered(share, np.maximum(squares - share**2, 0.0), starts, level)
    return {
        "share": (dims, share, text, "1"),
        "low": (dims, low, f"lower end of the {level:.0%} interval", "1"), "high": (dims, high, f"upper end of the {level:.0%} interval", "1"),
        "share_after": (dims, early / max(1, starts * problems), f"{text}, were each target met right after the look before", "1"),
    }  # fmt: skip


def data_profile(times: "DataArray | Result", *, solver: str = "cell", parameters: int | None = None, confidence: float = 0.95) -> Dataset:
    """The share of problems that each solver solves within a budget (More and Wild 2009): a Dataset over
    `solver` and `budget`.

    Budgets are in the unit of `times`; with `parameters` in groups of so many evaluations plus one, a simplex
    gradient each, as for methods without gradients. Variables: `share`, `low`, `high`, `share_after`; these,
    and what `times` may be, as in `performance_profile`. Raises ValueError for times that are neither a
    DataArray over solvers nor a result.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [3.0, 1.0]], dims=("problem", "cell"))
    >>> data_profile(times).share.sel(budget=2.0).values.tolist()
    [0.5, 1.0]
    """
    checked = _times(times, solver)
    coordinates, groups = _ratios(checked, solver).coordinates, 1 if parameters is None else parameters + 1
    table, before = (_table(checked, solver, v) / groups for v in (checked, checked.coords.get("after", checked)))
    axis = np.unique(table[np.isfinite(table)])
    variables = _shares(table, before, axis, (solver, "budget"), "share of problems solved within the budget", confidence)
    return dataset(variables, {**coordinates, "budget": ("budget", axis)}, problems=_count(table), confidence=confidence, times=TIMES)


def algoperf_score(times: "DataArray | Result", *, solver: str = "cell", r_max: float = 4.0) -> DataArray:
    """The area under each solver's performance profile from 1 to `r_max`, over its width (Dahl et al. 2023):
    a DataArray over `solver`, 1 at best.

    What `times` may be, as in `performance_profile`. Raises ValueError for anything else, and for an `r_max`
    that is not above 1.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [1.0, float("inf")]], dims=("problem", "cell"))
    >>> algoperf_score(times).values.round(4).tolist()
    [1.0, 0.3333]
    """
    if not r_max > 1:
        raise ValueError(f"r_max must be above 1; {given(r_max)} was given")
    found = _ratios(_times(times, solver), solver)
    score = np.maximum(0.0, r_max - found.ratio).sum((0, 1)) / (max(1, _count(found.ratio)) * (r_max - 1))
    return xarray.DataArray(np.minimum(score, 1.0), found.coordinates, (solver,), "score", {"units": "1", "long_name": f"AlgoPerf score, r_max = {r_max:g}"})
