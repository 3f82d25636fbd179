"""A result's runs by cell and block by block: what every statistic reads them through, whether they lie in
memory or in a folder.
"""

import concurrent.futures
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from gdsim.statistics import rank_of
from gdsim.stops import Status
from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.results.plain import plain_variable
from gdsim.words import given, nearest

if TYPE_CHECKING:
    import xarray

# What public functions take and give, as texts: nothing is imported for them.
Result: TypeAlias = "xarray.Dataset | str | os.PathLike[str]"  # that of a sweep, or its folder
Dataset: TypeAlias = "xarray.Dataset"
DataArray: TypeAlias = "xarray.DataArray"
# Values of a block that is in memory at once, for each thread.
BLOCK_VALUES = 2_000_000
# What a diverged run counts as from its end on, and where less is worse.
WORST = {"accuracy": 0.0, "validation_accuracy": 0.0}
IDENTITY = ("run", "cell", "start")
# Numbers of which None is a value, which a coordinate holds as NaN.
MAY_BE_NONE = ("batch",)


class Cells(NamedTuple):
    """The cells of a result: their numbers in ascending order, each run's place among them, and their
    coordinates.
    """

    numbers: np.ndarray
    place: np.ndarray
    coordinates: Mapping[str, Any]

    def dataset(self, variables: Mapping[str, tuple[Any, ...]], coordinates: Mapping[str, Any] | None = None, **attributes: Any) -> Dataset:
        """The Dataset of statistics by cell; `variables` are (dims, values, long name, units)."""
        return dataset(variables, {**self.coordinates, **(coordinates or {})}, **attributes)


def dataset(variables: Mapping[str, tuple[Any, ...]], coordinates: Mapping[str, Any], **attributes: Any) -> Dataset:
    """A Dataset whose variables, (dims, values, long name, units), tell what they are."""
    import xarray  # takes 0.4 s, and only results need it

    about = {name: plain_variable(dims, values, {"long_name": text, "units": units}) for name, (dims, values, text, units) in variables.items()}
    at = {name: plain_variable(*c) if isinstance(c, tuple) else c for name, c in coordinates.items()}
    return xarray.Dataset(about, at, attributes)


def is_summary(result: object) -> bool:
    """Whether a result keeps counts in place of runs."""
    return "ended" in getattr(result, "data_vars", ())


def cell_coordinates(summary: Dataset) -> dict[str, Any]:
    """The coordinates of a summary's cells."""
    return {str(n): c.variable for n, c in summary.coords.items() if c.dims == ("cell",)}


def values_of(coordinate: Any) -> np.ndarray:
    """The values of a coordinate of cells, as `cells_in` or `cell_coordinates` has it."""
    return np.asarray(coordinate[1] if isinstance(coordinate, tuple) else coordinate.values)


def with_none(name: str, values: np.ndarray) -> np.ndarray:
    """The values of a coordinate, in which None is None where it is a value, as that of `batch` is, and
    not NaN.
    """
    if name not in MAY_BE_NONE or values.dtype.kind != "f" or not np.isnan(values).any():
        return values
    return np.array([None if v != v else v for v in values.tolist()], object)


def is_missing(values: np.ndarray) -> np.ndarray:
    """Where a hyperparameter is one that the optimizer has not: NaN among numbers, an empty text among
    texts.
    """
    return np.isnan(values) if values.dtype.kind == "f" else np.array([isinstance(v, str) and not v for v in values.tolist()], bool)


def axis_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values ascending, None first, and NaN left out; the place of each value among them, -1 for
    NaN).
    """
    if values.dtype.kind != "O":
        distinct = np.unique(values)
        distinct = distinct[distinct == distinct]
        return distinct, np.where(values == values, np.searchsorted(distinct, values), -1)
    listed = sorted(set(values.tolist()), key=lambda v: (v is not None, v))
    place = {v: k for k, v in enumerate(listed)}
    distinct = np.empty(len(listed), object)
    distinct[:] = listed
    return distinct, np.array([place[v] for v in values.tolist()], np.int64)


def varied(coordinates: Mapping[str, Any], name: str, *, numbers: bool = False) -> np.ndarray:
    """The values of the hyperparameter `name` among the coordinates of cells.

    Raises ValueError for what is none, or no number where those are asked for.
    """
    known = [n for n, c in coordinates.items() if n not in ("cell", "label") and (not numbers or values_of(c).dtype.kind == "f")]
    if name not in known:
        raise ValueError(f"{name!r} is no {'number' if numbers else 'hyperparameter'} that this sweep varies; {nearest(str(name), known)}")
    return with_none(name, values_of(coordinates[name]))


def ended_counts(result: Dataset, status: str) -> tuple[np.ndarray, np.ndarray]:
    """(how many of each cell's runs ended with a status, how many there are), of runs or of a summary."""
    if is_summary(result):
        return result.ended.sel(status=status).values[:, -1], result.steps_taken_count.values
    cells = cells_in(result)
    hits = np.bincount(cells.place, _in_memory(result.status.variable.data) == status, minlength=len(cells.numbers))
    return hits.astype(int), np.bincount(cells.place, minlength=len(cells.numbers))


def may_converge(result: Dataset) -> bool:
    """Whether a stop of the sweep could have ended runs as "converged"."""
    return bool(result.attrs.get("may_converge", 0)) or bool(ended_counts(result, Status.CONVERGED)[0].any())


def ends_worse(result: Dataset) -> np.ndarray | None:
    """[run] whether it ended above its first loss without diverging; None where the result does not begin
    with the start.
    """
    if "checkpoint" not in result.sizes or not len(result.step) or int(result.step.values[0]) != 0:
        return None
    found = np.zeros(result.sizes["run"], bool)
    for rows, first in by_block(result, ["loss"], lambda _, columns: columns["loss"][:, 0]):
        found[rows] = _in_memory(result.final_loss.variable.data[rows]) > first
    return found & (_in_memory(result.status.variable.data) != Status.DIVERGED)


def worse_than_start(result: Dataset) -> np.ndarray | None:
    """[cell] how many runs ended above their first loss without diverging; None where the result does not
    tell.
    """
    if is_summary(result):
        known = result["worse_than_start"].values
        return None if (known < 0).any() else known  # those of older folders were not counted
    worse, cells = ends_worse(result), cells_in(result)
    return None if worse is None else np.bincount(cells.place, worse, minlength=len(cells.numbers)).astype(int)


def summary_quantile(summary: Dataset, name: str, share: float) -> np.ndarray:
    """[cell] a quantile of a summary's numbers by their histogram: the middle of its bin, between the
    extremes; NaN where there is none.
    """
    counts = np.cumsum(summary[f"{name}_histogram"].values, axis=1)
    total = counts[:, -1] if counts.shape[1] else np.zeros(len(counts), int)
    place = np.argmax(counts > rank_of(share, total)[:, None], axis=1) if counts.shape[1] else np.zeros(len(counts), int)
    low, high = (summary[n].values[place] if summary.sizes["bin"] else np.full(len(counts), np.nan) for n in ("bin_low", "bin_high"))
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isfinite(high) & np.isfinite(low), low + 0.5 * (high - low), low)
    return np.where(total > 0, np.clip(middle, summary[f"{name}_min"].values, summary[f"{name}_max"].values), np.nan)


def opened(result: Result, what: str) -> Dataset:
    """The Dataset of a result: itself, or that of a results folder whose path is given.

    Raises TypeError for anything else.
    """
    if isinstance(result, (str, os.PathLike)):
        from gdsim.sweep.results.opening import open_results  # and with it pyarrow

        return open_results(result, dask_throughout=False)
    if not hasattr(result, "data_vars"):
        raise TypeError(f"{what} takes the Dataset of a sweep, from sweep.run() or gd.open(), or a folder's path; {type(result).__name__} was given")
    empty = next((n for n in ("run", "cell", "checkpoint") if result.sizes.get(n) == 0), None)
    if empty is not None:
        raise ValueError(f"{what} was given a result that has no {empty}s: nothing was selected, or none is finished")
    return result


def check_result(result: Result, what: str) -> Dataset:
    """A result of runs, opened where a folder's path is given.

    Raises TypeError or ValueError that say what `what` needs.
    """
    result = opened(result, what)
    if is_summary(result):
        raise ValueError(f"{what} follows single runs, and a summary has none: take the sweep with keep='runs'")
    if "run" not in result.dims or "cell" not in result.coords:
        raise ValueError(f"{what} takes the Dataset of a sweep, with a row per run; this one has the dims {', '.join(map(str, result.dims)) or 'none'}")
    lacking = [n for n in ("status", "steps_taken", "final_loss") if n not in result]
    if lacking:
        raise ValueError(f"{what} takes the Dataset of a sweep, from sweep.run() or gd.open(); this one has no {lacking[0]!r}, as one of gd.evaluate")
    return result


def check_curves(result: Dataset, what: str) -> None:
    """Raises ValueError where one checkpoint alone was selected from a result whose curves are followed."""
    if "step" in result.variables and "checkpoint" not in result.dims:
        raise ValueError(f"{what} follows curves, and one checkpoint alone was selected: result.isel(checkpoint=[0]) keeps the dimension")


def cells_in(result: Dataset) -> Cells:
    """The cells of a result's runs."""
    numbers, first, place = np.unique(result.cell.values, return_index=True, return_inverse=True)
    found: dict[str, Any] = {"cell": ("cell", numbers, result.cell.attrs)}
    for name, column in result.coords.items():
        if column.dims == ("run",) and name not in IDENTITY:
            found[str(name)] = ("cell", column.isel(run=first).values, column.attrs)
    return Cells(numbers, place.reshape(-1), found)


def by_block(result: Dataset, names: Sequence[str], function: Callable[[slice, dict[str, np.ndarray]], Any]) -> Iterator[tuple[slice, Any]]:
    """(rows, what `function` makes of them and their columns), block after block; threads of this machine
    read and work, a few blocks ahead.
    """
    if "loss" in names:
        check_curves(result, "this")
    columns = {name: result[name].variable.data for name in dict.fromkeys(names)}
    threads = usable_cores()

    def work(rows: slice) -> Any:
        return function(rows, {name: _in_memory(column[rows]) for name, column in columns.items()})

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[slice, Any]] = deque()
        try:
            for rows in _block_rows(columns, result.sizes["run"]):
                waiting.append((rows, pool.submit(work, rows)))
                if len(waiting) > threads:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def loaded(result: Dataset, names: Sequence[str]) -> Dataset:
    """The result with some of its columns in memory, which takes no more than they do."""
    whole = {n: np.empty(result[n].shape, result[n].dtype) for n in names}
    for rows, columns in by_block(result, names, lambda _, c: c):
        for name, column in columns.items():
            whole[name][rows] = column
    return result.assign({n: (result[n].dims, c, result[n].attrs) for n, c in whole.items()})


def _in_memory(part: Any) -> np.ndarray:
    if hasattr(part, "compute"):
        from dask.local import get_sync  # which there is then; asked for by name, Dask would import distributed

        part = part.compute(scheduler=get_sync)
    return np.ascontiguousarray(part)


def _block_rows(columns: Mapping[str, Any], runs: int) -> Iterator[slice]:
    """Ranges of runs, cut where blocks of lazy columns end."""
    widest = max((int(np.prod(c.shape[1:])) for c in columns.values()), default=1)
    fewest = max(1, BLOCK_VALUES // max(1, widest))
    lazy = next((c for c in columns.values() if hasattr(c, "chunks")), None)
    edges = np.arange(fewest, runs, fewest) if lazy is None else np.cumsum(lazy.chunks[0])
    first = 0
    for edge in (*edges.tolist(), runs):
        if edge - first >= fewest or (edge == runs and edge > first):
            yield slice(first, edge)
            first = edge


def curve_columns(result: Dataset, variable: str) -> list[str]:
    """The columns that `hold_last_value` needs. Raises ValueError for what is no curve of the result."""
    curves = [str(n) for n, v in result.data_vars.items() if v.dims == ("run", "checkpoint")]
    if variable not in curves:
        raise ValueError(f"variable={given(variable)} is no curve of this result; it has {', '.join(curves)}")
    return [variable, "steps_taken", "status", "final_loss"]


def hold_last_value(columns: Mapping[str, np.ndarray], steps: np.ndarray, variable: str, some: slice = slice(None)) -> np.ndarray:
    """Curves at some checkpoints, whose NaN after a run's end are its value there, or the worst there is
    where it diverged.

    A checkpoint before the end at which the run was not recorded stays NaN.
    """
    whole = columns[variable]
    curves = whole[:, some].copy()
    diverged = columns["status"] == Status.DIVERGED
    ended = np.isnan(curves) & (steps[some] >= columns["steps_taken"][:, None])
    last = columns["final_loss"] if variable == "loss" else last_known(whole)
    last = np.where(diverged, WORST.get(variable, np.inf), last).astype(curves.dtype)
    np.copyto(curves, last[:, None], where=ended)
    return curves


def last_known(curves: np.ndarray) -> np.ndarray:
    """The last value of each curve that is not NaN; NaN where there is none."""
    if not curves.size:
        return np.full(len(curves), np.nan)
    place = curves.shape[1] - 1 - np.argmax(~np.isnan(curves)[:, ::-1], axis=1)
    return curves[np.arange(len(curves)), place]


def checked_confidence(confidence: object) -> float:
    """A level of confidence between 0 and 1."""
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be a number between 0 and 1, such as 0.95; {given(confidence)} was given")
    return float(confidence)
