"""`gd.landscape.line`: scores along the straight line through two points."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdsim.landscape.pictures import Grids, Pair, checked_ends, checked_problem, scores_of
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import is_result, of_result
from gdsim.sweep.results.reading import Result, check_result

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
    threads: int | None = None,
) -> "xarray.Dataset":
    """The scores at (1 - alpha) a + alpha b, at `points` values of alpha from the first to the last.

    `a` and `b` are vectors of parameters, or [run, parameter], each run with its own line; one vector beside
    several runs is on all their lines. `line(result)` leads from where each run began to where it ended
    (Goodfellow, Vinyals and Saxe 2015), which needs `gd.Record(trajectory=True, parameters=True)`.

    Returns a Dataset with `loss[run, alpha]` of the training set, penalty included, `accuracy` of classifiers,
    `validation_loss` and `validation_accuracy` where there is a validation set, with `gradient_norm` the
    gradient's norm, which costs several times as much, and `distance[run]`, the length of b - a; of two vectors
    without `run`, of DataArrays with their coordinates. Computed in `dtype`, the parameters' own if not given,
    on `threads` of this machine, all of its cores if not given. Raises ValueError for two equal points, and for
    parameters that do not fit the problem.

    >>> import gdsim as gd
    >>> found = line(gd.functions.ThreeHumpCamel(), [0.0, 0.0], [2.0, 0.0], alpha=(0.0, 1.0), points=3)
    >>> found.loss.values.round(3).tolist()
    [0.0, 1.117, 1.867]
    """
    values = checked_ends(alpha, points)

    def made(one: Problem, a: Any, b: Any) -> "xarray.Dataset":
        pair = Pair.of(one, a, b, dtype)
        grids = Grids(one, pair.a, (pair.b - pair.a)[:, None], np.column_stack([values, 0.0 * values]), gradient_norm, pair.dtype)
        columns: dict[str, Any] = {**scores_of(grids, threads), "distance": np.sqrt(((pair.b - pair.a) ** 2).sum(1))}
        return pair.given.dataset(columns, "alpha").assign_coords(alpha=("alpha", values, {"units": "1", "long_name": "share of the way from a to b"}))

    if not is_result(problem):
        return made(checked_problem(problem, "line"), a, b)
    if a is not None or b is not None:
        raise TypeError("line takes a result in place of problem, a and b; give line(result), or line(problem, a, b)")
    result = check_result(cast("Result", problem), "line")
    if "trajectory" not in result:
        raise ValueError("line needs where runs began, and this result does not say: run the sweep with record=gd.Record(trajectory=True, parameters=True)")
    begins = result.trajectory.isel(checkpoint=0).values
    return of_result(result, "parameters", "line", lambda one, ends, runs: made(one, begins[runs], ends))
