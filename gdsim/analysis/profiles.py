"""Many problems, several solvers: performance profiles, data profiles, and the score that AlgoPerf makes of them."""

from typing import Any

import numpy as np

from gdsim.analysis.success import outcomes_by_start
from gdsim.analysis.targets import hits_of
from gdsim.analysis.units import cost_in
from gdsim.statistics import wilson
from gdsim.sweep.canonical import digest
from gdsim.sweep.cells import cells_of
from gdsim.sweep.reading import Cells, by_block, cells_in, check_result, checked_confidence, dataset, values_of, varied
from gdsim.sweep.result import sweep_behind


def times_by_start(result: Any, target: float, *, unit: str = "steps", over: str | None = None) -> Any:
    """Each start as a problem, each cell as a solver: a DataArray of times[start, cell] to the target, infinite where it was not met.

    With `over`, a coordinate such as "problem" in a sweep of several problems, its values are problems too, and what cells have else is
    the solver: times[start, over, solver].

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=5, steps=500)
    >>> times_by_start(sweep.run(), 0.1).dims
    ('start', 'cell')
    """
    result = check_result(result, "times_by_start")
    hits = hits_of(result, target, unit, "times_by_start")
    return _by_start(result, hits.cells, np.where(hits.met(0), hits.spent(0), np.inf), unit, over)


def times_to_decrease(result: Any, share: float, *, unit: str = "steps", over: str | None = None) -> Any:
    """Times[start, cell] until a run has made all but `share` of the way from its first loss to the lowest that any cell of its problem reached from its start.

    More and Wild (2009): a problem counts as solved once f(x0) - f(x) >= (1 - share)(f(x0) - f_L). Infinite where it was not. Networks
    on the same data with the same loss are one problem. `over` as in `times_by_start`.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=5, steps=500)
    >>> bool((times_to_decrease(sweep.run(), 0.1) < float("inf")).all())
    True
    """
    result = check_result(result, "times_to_decrease")
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, such as 1e-3; {share!r} was given")
    cells = cells_in(result)
    cost = cost_in(result, unit, cells.numbers)
    steps, count = result.step.values, result.sizes["run"]
    row = np.unique(result.start.values, return_inverse=True)[1].reshape(-1) * len(cells.numbers) + problem_of(result, cells)[cells.place]
    first, lowest = np.zeros(count), np.zeros(count)
    for rows, (begins, best) in by_block(result, ["loss", "best_loss"], lambda _, c: (c["loss"][:, 0], c["best_loss"])):
        first[rows], lowest[rows] = begins, best
    best_known = np.full(row.max(initial=-1) + 1, np.inf)
    np.fmin.at(best_known, row, lowest)
    goal = first - (1 - share) * (first - best_known[row])
    time = np.full(count, np.inf)
    for rows, reached in by_block(result, ["loss"], lambda rows, c: c["loss"] <= goal[rows][:, None]):
        time[rows] = np.where(reached.any(1), cost.of(steps[np.argmax(reached, 1)], cells.place[rows]), np.inf)
    return _by_start(result, cells, time, unit, over)


def _by_start(result: Any, cells: Cells, time: np.ndarray, unit: str, over: str | None) -> Any:
    import xarray

    table = outcomes_by_start(result, cells.place, time, len(cells.numbers))
    about, starts = {"units": unit, "long_name": "time to the target"}, ("start", np.unique(result.start.values))
    if over is None:
        return xarray.DataArray(table, {**cells.coordinates, "start": starts}, ("start", "cell"), "time", about)
    shared = varied(cells.coordinates, over)
    rest = {n: values_of(c) for n, c in cells.coordinates.items() if n not in ("cell", "label", over)}
    settings = [" ".join(filter(None, (_shown(n, v[k]) for n, v in rest.items()))) for k in range(len(cells.numbers))]
    solvers, problems = list(dict.fromkeys(settings)), np.unique(shared)
    found = np.full((len(table), len(problems), len(solvers)), np.nan)
    for k, text in enumerate(settings):
        found[:, np.searchsorted(problems, shared[k]), solvers.index(text)] = table[:, k]
    coordinates = {"start": starts, over: (over, problems), "solver": ("solver", np.arange(len(solvers))), "label": ("solver", np.array(solvers))}
    return xarray.DataArray(found, coordinates, ("start", over, "solver"), "time", about)


def _shown(name: str, value: Any) -> str:
    """A hyperparameter in words; nothing for one that a cell has not."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{name}={value:.6g}"
    return str(value) if name == "optimizer" else f"{name}={value}" if str(value) else ""


def problem_of(result: Any, cells: Cells) -> np.ndarray:
    """The number of each cell's problem: functions by all that they are, models by their data and loss; all one where it is not known."""
    try:
        sweep = sweep_behind(result)
    except ValueError:
        texts = values_of(cells.coordinates["problem"]) if "problem" in cells.coordinates else np.zeros(len(cells.numbers))
    else:
        declared = cells_of(sweep)
        problems = [declared[n].problem for n in cells.numbers]
        texts = np.array([digest(p) if p.data is None else f"{p.data.digest} {getattr(p, 'loss', '')}" for p in problems])
    return np.unique(texts, return_inverse=True)[1].reshape(-1)


def _ratios(times: Any, solver: str) -> tuple[np.ndarray, Any]:
    """(times over the best of each problem [problem, solver], the solvers' coordinates)."""
    if solver not in getattr(times, "dims", ()):
        raise ValueError(
            f"times must be a DataArray with the dimension {solver!r}, a solver each, and problems in the others; {type(times).__name__} was given"
        )
    table = times.transpose(..., solver).values.reshape(-1, times.sizes[solver]).astype(float)
    if (table < 0).any():
        raise ValueError(f"times must not be negative; {table[table < 0][0]!r} was given")
    table = np.where(np.isnan(table), np.inf, table)
    best = table.min(1, initial=np.inf, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(table == best, 1.0, table / best)
    return np.where(np.isfinite(table), ratios, np.inf), {n: c for n, c in times.coords.items() if c.dims == (solver,)}


def performance_profile(times: Any, *, solver: str = "cell", confidence: float = 0.95) -> Any:
    """The share of problems that each solver solves within tau times the best solver's time (Dolan and More 2002): a Dataset over `solver` and `tau`.

    `times` is a DataArray with a dimension of solvers, by default `cell`, and problems in all others; what failed is infinite or NaN.
    The interval is Wilson's, of the share among all problems of which these are a sample, such as starts. With more than two solvers a
    profile does not rank the second best (Gould and Scott 2016): look at pairs. Variables: `share`, `low`, `high`.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [3.0, 1.0], [1.0, float("inf")]], dims=("problem", "cell"))
    >>> performance_profile(times).share.sel(tau=1.0).values.round(3).tolist()
    [0.667, 0.333]
    """
    ratios, coordinates = _ratios(times, solver)
    axis = np.unique(ratios[np.isfinite(ratios)])
    axis = axis if len(axis) else np.ones(1)
    variables = _shares(ratios, axis, (solver, "tau"), "share of problems solved within tau times the best solver's time", confidence)
    return dataset(variables, {**coordinates, "tau": ("tau", axis)}, problems=len(ratios), confidence=confidence)


def _shares(values: np.ndarray, axis: np.ndarray, dims: tuple[str, str], text: str, confidence: float) -> dict[str, tuple[Any, ...]]:
    """The variables [column, place]: the share of each column's values that are at most axis[place], and its interval."""
    level = checked_confidence(confidence)
    counts = np.array([np.searchsorted(np.sort(column), axis, side="right") for column in values.T]).reshape(values.shape[1], len(axis))
    low, high = wilson(counts, len(values), level)
    return {
        "share": (dims, counts / max(1, len(values)), text, "1"),
        "low": (dims, low, f"lower end of the {level:.0%} interval", "1"), "high": (dims, high, f"upper end of the {level:.0%} interval", "1"),
    }  # fmt: skip


def data_profile(times: Any, *, solver: str = "cell", parameters: int | None = None, confidence: float = 0.95) -> Any:
    """The share of problems that each solver solves within a budget (More and Wild 2009): a Dataset over `solver` and `budget`.

    Budgets are in the unit of `times`; with `parameters` in groups of so many evaluations plus one, a simplex gradient each, as for methods
    without gradients. Variables: `share`, `low`, `high`, as those of `performance_profile`.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [3.0, 1.0]], dims=("problem", "cell"))
    >>> data_profile(times).share.sel(budget=2.0).values.tolist()
    [0.5, 1.0]
    """
    _, coordinates = _ratios(times, solver)
    table = times.transpose(..., solver).values.reshape(-1, times.sizes[solver]) / (1 if parameters is None else parameters + 1)
    table = np.where(np.isnan(table), np.inf, table)
    axis = np.unique(table[np.isfinite(table)])
    variables = _shares(table, axis, (solver, "budget"), "share of problems solved within the budget", confidence)
    return dataset(variables, {**coordinates, "budget": ("budget", axis)}, problems=len(table), confidence=confidence)


def algoperf_score(times: Any, *, solver: str = "cell", r_max: float = 4.0) -> Any:
    """The area under each solver's performance profile from 1 to `r_max`, over its width (Dahl et al. 2023): a DataArray over `solver`, 1 at best.

    >>> import xarray
    >>> times = xarray.DataArray([[1.0, 2.0], [1.0, float("inf")]], dims=("problem", "cell"))
    >>> algoperf_score(times).values.round(4).tolist()
    [1.0, 0.3333]
    """
    import xarray

    if not r_max > 1:
        raise ValueError(f"r_max must be above 1; {r_max!r} was given")
    ratios, coordinates = _ratios(times, solver)
    score = np.maximum(0.0, r_max - ratios).sum(0) / (max(1, len(ratios)) * (r_max - 1))
    return xarray.DataArray(np.minimum(score, 1.0), coordinates, (solver,), "score", {"units": "1", "long_name": f"AlgoPerf score, r_max = {r_max:g}"})
