"""`gd.minima.basin_map`: which minimum each point of the plane leads to."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.axes import checked_whole
from gdsim.minima.census import ABOUT, columns_of
from gdsim.minima.ends import Polished, polished
from gdsim.minima.merging import merged
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.questions import Call, Question, ask
from gdsim.rules import Rule
from gdsim.schedules import Constant, Schedule
from gdsim.stops import Record, SmallGradient, Stop
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.experiment.bit_versions import kernel_version
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.results.reading import dataset
from gdsim.sweep.run.options import check_stored, check_unedited
from gdsim.sweep.sweep import Sweep
from gdsim.variables import VARIABLES
from gdsim.words import given

if TYPE_CHECKING:
    import xarray

STOPS = (SmallGradient(1e-6),)
MOST_POINTS = 2**27
INTERVAL = ("low", "high")  # which points of a grid don't have
TOGETHER = 1e-3  # ends no farther apart, in 1 + |x|, are polished as one
SETTLED = 0.01  # how far polishing may take them, in 1 + |x|: farther away they have not been near


def basin_map(
    problem: Problem,
    optimizer: Rule,
    *,
    points: tuple[int, int] = (1024, 1024),
    box: Sequence[Any] | None = None,
    schedule: Schedule | None = None,
    steps: int = 2000,
    stop: Stop | Sequence[Stop] = STOPS,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
) -> "xarray.Dataset":
    """Where a function of two parameters is descended to from every point of a grid, in float64.

    The runs of `optimizer`, with one number for each hyperparameter, start at `points` values of the first
    parameter times those of the second, evenly spaced in `box`, ((low, high), (low, high)), or the problem's
    own. They end where a `stop` is met, at most after `steps`. `out`, `client`, `threads` and `progress` are
    those of `Sweep.run`: with `out` the runs' ends are kept in a folder, which the same call goes on with and
    `gd.open` opens.

    Returns a Dataset with `member[y, x]`, the critical point at which each run ends, -1 for runs that diverged,
    used up their steps or ended far from any, and `steps_taken[y, x]`; and over `critical_point` what
    `gd.minima.census` gives. Raises ValueError for problems that do not have two parameters, and for what
    `gd.Sweep` refuses.

    >>> import gdsim as gd
    >>> found = basin_map(gd.functions.Himmelblau(), gd.SGD(lr=0.01), points=(8, 6))
    >>> found.member.shape, found.sizes["critical_point"]
    ((6, 8), 4)
    """
    check_problem(problem, "basin_map", or_a_result=False)
    axes = _axes(problem, points, box)
    stops = [stop] if isinstance(stop, Stop) else list(stop)
    arguments = {"optimizer": optimizer, "schedule": schedule or Constant(), "steps": steps, "stop": stops, "said": str(optimizer)}
    sweep = _sweep(problem, arguments, np.zeros((1, 2)))
    if len(cells_of(sweep)) > 1:
        raise ValueError(f"basin_map takes an optimizer with one number for each hyperparameter; {given(optimizer)} was given")
    check_unedited(sweep)
    if out is not None:
        check_stored(sweep, client is not None)
    operations = len(axes["x"]) * steps * problem.step_operations(1) / 10.0  # most runs end early
    question = Question(BASIN_MAP, arguments, (problem,), axes, len(axes["y"]), operations, kernel_version(sweep))
    return ask(question, out=out, client=client, threads=threads, progress=progress)


def _axes(problem: Problem, points: Any, box: Any) -> dict[str, np.ndarray]:
    """The values of both parameters, "x" and "y". Raises ValueError."""
    if problem.data is not None or problem.parameter_count != 2:
        raise ValueError(
            f"basin_map draws functions of 2 parameters; {type(problem).__name__} has {problem.parameter_count:,}{' and data' if problem.data else ''}"
        )
    if not isinstance(points, (tuple, list)) or len(points) != 2:
        raise ValueError(f"points must be two whole numbers, such as (1024, 1024); {given(points)} was given")
    counts = [checked_whole(count, "points", 2) for count in points]
    if counts[0] * counts[1] > MOST_POINTS:
        raise ValueError(f"points must be at most {MOST_POINTS:,} in all; {given(points)} was given")
    try:
        ends = [np.broadcast_to(end, 2) for end in problem.box] if box is None else np.transpose(np.asarray(box, float))
        low, high = np.asarray(ends, float).reshape(2, 2)
    except (TypeError, ValueError):
        low = high = np.full(2, np.nan)
    if not (np.isfinite([low, high]).all() and (low < high).all()):
        raise ValueError(f"box must be ((low, high), (low, high)) of both parameters; {given(box)} was given")
    return {name: np.linspace(low[k], high[k], counts[k]) for k, name in enumerate("xy")}


def _sweep(problem: Problem, arguments: Mapping[str, Any], starts: np.ndarray) -> Sweep:
    """The runs from starts[start, parameter]."""
    return Sweep(
        problem=problem, optimizer=arguments["optimizer"], schedule=arguments["schedule"], init=starts, steps=arguments["steps"], stop=arguments["stop"],
        record=Record(every="ends", parameters=True, gradient_norm=False), dtype="float64",
    )  # fmt: skip


def _work(question: Question, first: int, last: int, place: Workplace) -> Mapping[str, np.ndarray]:
    """Where the runs of some rows of the grid end."""
    x, y = question.arrays["x"], question.arrays["y"][first:last]
    starts = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    result = _sweep(question.problems[0], question.arguments, starts).run(threads=place.threads, progress=False)
    shape = len(y), len(x)
    return {
        "end": result.parameters.values.reshape(*shape, 2), "steps_taken": result.steps_taken.values.reshape(shape),
        "ended": ~np.isin(result.status.values, ("diverged", "budget")).reshape(shape),
    }  # fmt: skip


def _dataset(question: Question, found: Mapping[str, np.ndarray]) -> "xarray.Dataset":
    """The critical points that the runs have ended at: those that ended close together are polished as one."""
    problem, x, y = question.problems[0], question.arrays["x"], question.arrays["y"]
    ended, ends = np.flatnonzero(found["ended"]), found["end"].reshape(-1, 2)
    places, chosen = _representatives(ends[ended])
    points = polished(problem, ends[ended][chosen], 1)
    settled = np.flatnonzero(points.converged & (points.distance <= SETTLED * (1.0 + np.linalg.norm(points.parameters, axis=1))))
    points = Polished(*(column[settled] for column in points))
    group = np.full(len(chosen), -1)
    group[settled] = merged(problem, points, "point")
    member = np.full(len(ends), -1)
    member[ended] = group[places]
    counts = np.bincount(member[member >= 0], minlength=group.max(initial=-1) + 1)
    told = columns_of(problem, points, group[settled], counts, len(ends))
    columns: dict[str, Any] = {name: ("critical_point", told[name], ABOUT[name], "1") for name in ABOUT if name in told and name not in INTERVAL}
    columns["point"] = (("critical_point", "parameter"), told["point"], "parameters of the critical point", "1")
    shape = len(y), len(x)
    columns["member"] = (("y", "x"), member.reshape(shape), "critical point at which the run from here ends, -1 for none", "1")
    columns["steps_taken"] = (("y", "x"), found["steps_taken"], VARIABLES["steps_taken"].long_name, "steps")
    axes = {name: (name, values, {"long_name": label}) for name, values, label in zip("xy", (x, y), getattr(problem, "names", ("x", "y")), strict=True)}
    return dataset(columns, axes, problem=str(problem), optimizer=question.arguments["said"])


def _representatives(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place[end] of its cell of a fine grid, one end of each cell)."""
    if not len(ends):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cells = np.floor(np.sign(ends) * np.log1p(np.abs(ends)) / TOGETHER).astype(np.int64)  # as wide everywhere, in 1 + |x|
    cells -= cells.min(0)
    _, chosen, places = np.unique(cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1], return_index=True, return_inverse=True)
    return places, chosen


BASIN_MAP = Call("minima.basin_map", _work, _dataset, "row", is_partial=False)
