"""`gd.landscape.line`: scores along the straight line through two points."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdsim.axes import checked_truth
from gdsim.landscape.grids import Grids, Where, ask_of_grids, coordinates_of, scores_in, work
from gdsim.landscape.inputs import Centres, checked_range
from gdsim.problems import Problem
from gdsim.questions import Call, Question
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import is_result
from gdsim.sweep.results.reading import Dataset, Result, check_result
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray


def line(
    problem: "Problem | Result",
    a: "ArrayLike | xarray.DataArray | None" = None,
    b: "ArrayLike | xarray.DataArray | None" = None,
    *,
    alpha: tuple[float, float] = (-0.5, 1.5),
    points: int = 101,
    gradient_norm: bool = False,
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """The scores at (1 - alpha) a + alpha b, at `points` values of alpha from the first to the last.

    `a` and `b` are vectors of parameters, or [run, parameter], each run with its own line; one vector beside
    several runs is on all their lines. `line(result)` leads from where each run began to where it ended
    (Goodfellow, Vinyals and Saxe 2015), which needs `gd.Record(trajectory=True, parameters=True)`.

    Returns a Dataset with `loss[run, alpha]` of the training set, penalty included, `accuracy` of classifiers,
    `validation_loss` and `validation_accuracy` where there is a validation set, with `gradient_norm` the
    gradient's norm, which costs several times as much, and `distance[run]`, the length of b - a; of two vectors
    without `run`, of DataArrays with their coordinates. Computed in `dtype`, the parameters' own if not given.
    `out`, `client`, `threads` and `progress` are those of `Sweep.run`: with `out` the answer is kept in a folder,
    which the same call goes on with and `gd.open` opens. `device` is that of `gd.evaluate`. Raises ValueError for two equal points, and for
    parameters that do not fit the problem.

    >>> import gdsim as gd
    >>> found = line(gd.functions.ThreeHumpCamel(), [0.0, 0.0], [2.0, 0.0], alpha=(0.0, 1.0), points=3)
    >>> found.loss.values.round(3).tolist()
    [0.0, 1.117, 1.867]
    """
    values, gradient_norm = checked_range(alpha, points, "alpha"), checked_truth(gradient_norm, "gradient_norm")
    if is_result(problem):
        if a is not None or b is not None:
            raise TypeError("line takes a result in place of problem, a and b; give line(result), or line(problem, a, b)")
        begins, ends = _of_result(cast("Result", problem), dtype)
    elif a is None or b is None:
        raise TypeError("line needs two points: line(problem, a, b), or line(result)")
    else:
        begins, ends = (Centres.of(problem, end, "", "line", name, dtype) for end, name in ((a, "a"), (b, "b")))
    whole, way = paired(begins, ends)
    kind = dtype or ("float64" if begins.is_double or ends.is_double else "float32")
    grids = Grids(whole.problems, whole.place, np.broadcast_to(begins.rows, way.shape), way[:, None], coordinates_of([values]), gradient_norm, kind)
    return ask_of_grids(LINE, grids, whole.given, {"alpha": values}, Where(out, client, threads, progress, device), {}, {})


def _of_result(given: Result, dtype: str | None) -> tuple[Centres, Centres]:
    """Where the runs of a result began, and where they ended. Raises ValueError."""
    result = check_result(given, "line")
    if "trajectory" not in result:
        raise ValueError("line needs where runs began, and this result does not say: run the sweep with record=gd.Record(trajectory=True, parameters=True)")
    ends = Centres.of(result, None, "parameters", "line", "parameters", dtype)
    return ends._replace(rows=result.trajectory.isel(checkpoint=0).values.astype(np.float64)), ends


def paired(begins: Centres, ends: Centres) -> tuple[Centres, np.ndarray]:
    """(the points whose dims and coordinates the lines have, b - a of each line). Raises ValueError."""
    a, b = begins.given, ends.given
    if len(begins.rows) != len(ends.rows) and a.dims and b.dims:
        raise ValueError(f"a and b must be as many points; {len(begins.rows)} and {len(ends.rows)} were given")
    whole = max(begins, ends, key=lambda c: (bool(c.given.dims), c.given.coordinates is not None))
    way = ends.rows - begins.rows
    same = np.flatnonzero((np.nan_to_num(way) == 0.0).all(1))
    if len(same):
        raise ValueError(f"a line needs two different points; a and b are equal{f' in run {same[0]}' if whole.given.dims else ''}")
    return whole, way


def _dataset(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    made, way = scores_in(question, found), np.nan_to_num(question.arrays["directions"][:, 0])
    runs = made.loss.dims[:-1]
    size = np.frexp(np.abs(way).max(1))[1]  # a power of two, without which squares of far points overflow
    length = np.ldexp(np.sqrt(np.square(np.ldexp(way, -size[:, None])).sum(1)), size)
    distance: Any = length.reshape([made.sizes[d] for d in runs])
    return made.assign(distance=(runs, distance, VARIABLES["distance"].attributes))


LINE = Call("landscape.line", work, _dataset)
