"""What is made at points: at parameters of one problem, or at those of a result, each run with its cell's
problem.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from gdsim.canonical import digest
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.planning.devices import CPU, asked_device, checked_device
from gdsim.sweep.planning.machine import cores_for, usable_cores
from gdsim.sweep.results.dataset import feature_names, sweep_behind
from gdsim.sweep.results.reading import DataArray, Dataset, Result, check_result
from gdsim.sweep.run.options import check_unedited
from gdsim.words import given

KINDS = ("parameters", "best_parameters")
PADDED = ("parameter", "row", "column", "eigen")  # dims that are shorter of smaller problems


def workplace(threads: int | None, device: object = CPU) -> Workplace:
    """Where things are made: so many threads of this machine, all if not given, or a GPU by its name. Raises ValueError for anything else, and
    UnusableDeviceError for a GPU that cannot be used.

    >>> workplace(3)
    Workplace(threads=3, device=None)
    """
    cores, name = cores_for(threads), checked_device(device, or_auto=False)
    return Workplace(cores, None if name == CPU else asked_device(name))


def at_points(problem: "Problem | Result", parameters: Any, variable: str, what: str, made: Callable[..., Any], options: dict[str, Any]) -> Any:
    """`made(problem, parameters, place=..., **options)`, of which `what` is the public name."""
    options = {"place": Workplace(usable_cores()), **options}
    if not is_result_alone(problem, parameters, what):
        return made(problem, parameters, **options)
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


def is_result(value: object) -> bool:
    """Whether a value stands for a result: a Dataset, or a folder's path."""
    return hasattr(value, "data_vars") or isinstance(value, (str, os.PathLike))


def is_result_alone(problem: object, parameters: object, what: str, *, takes_modules: bool = False) -> bool:
    """Whether a result stands in the place of a problem with parameters. Raises TypeError where neither does."""
    if is_result(problem):
        if parameters is not None:
            raise TypeError(f"{what} takes a result in place of problem and parameters; give {what}(result)")
        return True
    check_problem(problem, what, takes_modules=takes_modules)
    if parameters is None:
        raise TypeError(f"{what} needs parameters: {what}(problem, parameters), one vector or [run, parameter]")
    return False


def parameters_of(result: Dataset, variable: str, what: str) -> DataArray:
    """The DataArray [run, parameter] of a result's parameters."""
    if variable not in KINDS:
        raise ValueError(f"variable must be one of {', '.join(map(repr, KINDS))}; {given(variable)} was given")
    if variable not in result:
        remedy = "record=gd.Record(parameters=True)" if variable == "parameters" else "record=gd.Record(parameters=True) and stop=[gd.Validation(patience=...)]"
        raise ValueError(f"{what} needs {variable} of runs, and this result has none: run the sweep with {remedy}")
    return result[variable].load()


def by_problem(result: Dataset) -> Iterator[tuple[np.ndarray, Problem]]:
    """(places of runs, the problem that they have in common)."""
    sweep, groups = sweep_behind(result), {}
    check_unedited(sweep)
    cells = cells_of(sweep)
    numbers, place = np.unique(result.cell.values, return_inverse=True)
    for i, number in enumerate(numbers):
        problem = cells[number].problem
        groups.setdefault((digest(problem), feature_names(problem)), (problem, []))[1].append(i)
    for problem, members in groups.values():
        yield np.flatnonzero(np.isin(place, members)), problem
