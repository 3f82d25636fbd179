"""The Dataset of a sweep: rows of runs put under names, units and coordinates; what is read from it by
all.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.canonical import digest
from gdsim.problems import Problem
from gdsim.stops import RelativeTarget, Status, Target
from gdsim.sweep.experiment.bit_versions import kernel_version
from gdsim.sweep.experiment.cells import coordinate_names, settings
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.own_code import own_code
from gdsim.sweep.planning.plan import Plan
from gdsim.sweep.results.plain import plain_variable
from gdsim.variables import WORDS, described, variable

if TYPE_CHECKING:
    import xarray


# Runs up to which coordinates in words lie in memory, a reference each to one of a few texts, and numbers of
# runs are read from folders as a whole; of more they are Dask arrays.
MOST_IN_MEMORY = 10**7
BLOCK_RUNS = 2**20  # of such an array, where no others say how it is cut


def coordinates_of(plan: Plan) -> dict[str, list[Any]]:
    """For each coordinate a value per cell: the optimizer, the label, and what is varied."""
    tables = [settings(c) for c in plan.cells]
    found: dict[str, list[Any]] = {"optimizer": [type(c.rule.innermost).__name__ for c in plan.cells], "label": list(plan.labels)}
    for key, name in coordinate_names(plan.cells).items():
        column = [t.get(key) for t in tables]
        numeric = all(v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in column)
        found[name] = [np.nan if v is None else float(v) for v in column] if numeric else [_text(t, key) for t in tables]
    return found


def _text(table: Mapping[str, Any], name: str) -> str:
    """A setting in words: None is one, what a cell has not is empty."""
    return str(table[name]) if name in table else ""


def runs_dataset(plan: Plan, numbers: np.ndarray, columns: Mapping[str, Any], blocks: tuple[int, ...] | None = None) -> "xarray.Dataset":
    """The Dataset of the runs with the given numbers, in ascending order.

    `columns` are arrays with a row per run; statuses and reasons are words, or places among them. `step` is
    an indexed coordinate of the checkpoints. `blocks`: how many runs each block of lazy columns has.
    """
    import xarray  # takes 0.4 s, and only results need it

    numbers = np.asarray(numbers)
    in_order = len(numbers) < 2 or bool((numbers[1:] > numbers[:-1]).all())
    order = np.argsort(numbers, kind="stable") if not in_order else None
    numbers = numbers if in_order else numbers[order]
    starts, cells = plan.places_of(numbers)
    found = {"run": numbers, "cell": cells, "start": starts}
    for name, column in coordinates_of(plan).items():
        values = values_by_cell(column)
        if values.dtype == object and len(cells) > MOST_IN_MEMORY:
            found[name] = _spread(values, cells, blocks)
        else:
            found[name] = np.broadcast_to(values, len(cells)) if len(values) == 1 else values.take(cells)
    coordinates = {name: plain_variable("run", values, described(name)) for name, values in found.items()}
    coordinates["step"] = plain_variable("checkpoint", np.array(plan.checkpoints, np.int64), described("step"))
    variables: dict[str, Any] = {}
    for name, column in columns.items():
        values = _in_words(WORDS[name], column) if name in WORDS and column.dtype.kind != "U" else column
        declared = variable(name, values)
        variables[name] = plain_variable(declared.dims, values if in_order else values[order], declared.attributes)
    if "target_step" in columns:
        coordinates["target"] = plain_variable("target", np.array(plan.groups[0].setting.targets), described("target", "loss to be met", "1"))
    counts = np.array([c.problem.parameter_count for c in plan.cells])
    if {"parameters", "best_parameters", "trajectory", "state_weights"} & set(columns):
        variables["parameter_count"] = plain_variable("run", counts[cells], described("parameter_count"))
    return xarray.Dataset(variables, coordinates, {"planned_runs": plan.runs, "finished_runs": len(numbers)}).set_xindex("step")


def _spread(values: np.ndarray, cells: np.ndarray, blocks: tuple[int, ...] | None) -> Any:
    """A value per cell as a Dask array with one per run."""
    import dask.array  # which only populations of this size need

    chunks: Any = BLOCK_RUNS if blocks is None else (blocks,)
    return dask.array.map_blocks(values.take, dask.array.from_array(cells, chunks=chunks), dtype=values.dtype, meta=values[:0])


def _in_words(words: Sequence[str], places: np.ndarray) -> np.ndarray:
    """The words at these places; one word that all have is there once."""
    if len(places) and (places == places[0]).all():
        return np.broadcast_to(np.array(words)[places[:1]], places.shape)
    return np.array(words)[places]


def values_by_cell(column: Sequence[Any]) -> np.ndarray:
    """[cell] a coordinate's numbers, or its texts as objects, equal ones being one."""
    if all(isinstance(v, float) for v in column):
        return np.array(column)
    return np.array([sys.intern(str(v)) for v in column], object)


def concatenated(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Columns of several batches or shards as one: vectors of parameters padded with NaN, curves that a part
    lacks NaN.

    The parts are used up on the way, so that there are never two of the whole.
    """
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(n for p in parts for n in p)
    sizes = [len(p["status"]) for p in parts]
    found = {}
    for name in names:
        columns = [p.pop(name, None) for p in parts]
        present = [c for c in columns if c is not None]
        if len(present) == len(columns) and len({c.shape[1:] for c in present}) == 1:
            found[name] = np.concatenate(present)
            continue
        tail = tuple(max(c.shape[d] for c in present) for d in range(1, present[0].ndim))
        kind = np.result_type(*(c.dtype for c in present))
        whole = lacking((sum(sizes), *tail), kind)
        first = 0
        for column, size in zip(columns, sizes, strict=True):
            if column is not None:
                whole[(slice(first, first + size), *(slice(n) for n in column.shape[1:]))] = column
            first += size
        found[name] = whole
    return found


def lacking(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """What stands where a run has no value: NaN, or -1 among whole numbers."""
    return np.full(shape, np.nan if kind.kind == "f" else -1, kind)


_sweeps: dict[tuple[str, str], Experiment] = {}  # by the experiment's hash, and that of its features' names, which it does not have
KEPT_SWEEPS, KEPT_BYTES = 64, 2**30  # of their data; the last is kept anyhow


def registered(sweep: Experiment, result: "xarray.Dataset", kernels: Sequence[int] = ()) -> "xarray.Dataset":
    """The result, marked with its experiment's hash, by which this process knows the sweep that it came from,
    and with the sweep's targets and the share that it asks for.

    It is marked too with the versions of the `kernels` that made it, this process's if not given, and with
    what a user's own rules and schedules did.
    """
    names = [feature_names(p) for p in sweep.problem]
    key = digest(sweep), digest(names) if any(names) else ""
    _sweeps.pop(key, None)
    _sweeps[key] = sweep
    while len(_sweeps) > 1 and (len(_sweeps) > KEPT_SWEEPS or _data_bytes() > KEPT_BYTES):
        del _sweeps[next(iter(_sweeps))]
    result.attrs |= {"experiment": key[0], "kernels": list(kernels) or [kernel_version(sweep)]}
    if key[1]:
        result.attrs["features"] = key[1]
    if code := own_code(sweep):
        result.attrs["own_code"] = code
    targets = sorted({loss for stop in sweep.stop if isinstance(stop, Target) for loss in stop.losses}, reverse=True)
    if targets:
        result.attrs["targets"] = targets
    for stop in sweep.stop:
        if isinstance(stop, RelativeTarget):
            result.attrs["share"] = stop.share
    if any(stop.status == Status.CONVERGED for stop in sweep.stop):
        result.attrs["may_converge"] = 1
    return result


def _data_bytes() -> int:
    """Bytes of the data of all remembered sweeps, each set once."""
    sets = [part for sweep in _sweeps.values() for p in sweep.problem if p.data is not None for part in p.data.sets.values()]
    return sum({id(part): part.X.nbytes for part in sets}.values())


def feature_names(problem: Problem) -> tuple[str, ...]:
    """The names of a problem's features, by which predictions take the columns of frames; empty where
    there are none.
    """
    return (problem.data.feature_names if problem.data is not None else None) or ()


def sweep_behind(result: "xarray.Dataset") -> Experiment:
    """The sweep that a result came from.

    Raises ValueError for one that this process has not run or opened.
    """
    found = _sweeps.get((result.attrs.get("experiment", ""), result.attrs.get("features", "")))
    if found is None and "tuned" in result.attrs:
        raise ValueError("a tuned result comes from a sweep for each of its cells; run the one you ask about, as found.sweeps[0].run(), and give that")
    if found is None:
        raise ValueError("this result comes from no sweep that this process has run or opened; open its folder with gd.open, or run it again")
    return found


def losses_at_end(result: "xarray.Dataset") -> np.ndarray:
    """[run] final losses as a comparison takes them: a diverged run's is infinite."""
    return np.where(result.status.values == Status.DIVERGED, np.inf, result.final_loss.values.astype(float))
