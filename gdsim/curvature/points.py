"""What is made at points: at parameters of one problem, or at those of a result, each run with its cell's
problem.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from gdsim.problems import Problem
from gdsim.sweep.evaluation import by_problem, is_result, parameters_of
from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.results.reading import Result, check_result

PADDED = ("parameter", "row", "column", "eigen")  # dims that are shorter of smaller problems


def at_points(problem: "Problem | Result", parameters: Any, variable: str, what: str, made: Callable[..., Any], options: dict[str, Any]) -> Any:
    """`made(problem, parameters, threads=..., **options)`, of which `what` is the public name."""
    options = {**options, "threads": usable_cores()}
    if not is_result(problem):
        if parameters is None:
            raise TypeError(f"{what} needs parameters: {what}(problem, parameters), one vector or [run, parameter]")
        return made(problem, parameters, **options)
    if parameters is not None:
        raise TypeError(f"{what} takes a result in place of problem and parameters; give {what}(result)")
    return of_result(cast("Result", problem), variable, what, lambda one, points, _: made(one, points, **options))


def of_result(result: Result, variable: str, what: str, made: Callable[[Problem, Any, np.ndarray], Any]) -> Any:
    """What is made of the parameters of a result, of each problem's runs by themselves."""
    opened = check_result(result, what)
    points = parameters_of(opened, variable, what)
    parts = [(runs, made(one, points[runs], runs)) for runs, one in by_problem(opened)]
    if len(parts) == 1:
        return parts[0][1]
    import xarray  # takes 0.4 s, and only results need it

    longest = {dim: max(part.sizes[dim] for _, part in parts) for dim in PADDED if dim in parts[0][1].dims}
    grown = [part.pad({dim: (0, size - part.sizes[dim]) for dim, size in longest.items()}) if longest else part for _, part in parts]
    whole: Any = xarray.concat(grown, "run", coords="minimal", compat="override")
    return whole.isel(run=np.argsort(np.concatenate([runs for runs, _ in parts])))
