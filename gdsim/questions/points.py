"""Functions of points as calls: an item is a run, at parameters of one problem or at those of a result, each run
with its cell's problem.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.workplace import Workplace
from gdsim.questions.asking import ask
from gdsim.questions.pieces import Piece, joined
from gdsim.questions.question import Call, Question
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import by_problem, is_result_alone, parameters_of
from gdsim.sweep.results.plain import plain_variable
from gdsim.sweep.results.reading import Dataset, check_result
from gdsim.variables import VARIABLES

LEAST_OPERATIONS = 1e7  # of a run, in whose time the host does what is around its kernels: 0.2 ms
COORDINATE = "coordinate "  # before the names of arrays that are coordinates


def call_at_points(name: str, made: Callable[..., Dataset], attributes: tuple[str, ...] = ()) -> Call:
    """The call of `made(problem, parameters[run, parameter], place=..., **arguments)`, which gives a Dataset
    over runs, none of which looks at another; arguments named in `attributes` stand in its `attrs`.
    """
    return Call(name, functools.partial(_work, made), functools.partial(_dataset, attributes), "run")  # which workers unpickle


def ask_at_points(
    call: Call,
    problem: Any,
    parameters: Any,
    arguments: dict[str, Any],
    *,
    variable: str,
    operations: Callable[[Any], float],
    check: Callable[[Any], None] = lambda problem: None,
    out: str | os.PathLike[str] | None = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """What a call of points answers at parameters, or at those of a result; `operations` are those of a run of
    a problem; `check` raises ValueError for a problem of which it cannot be asked, before anything is kept.
    """
    problems, given, place = points_of(problem, parameters, variable, call.name.rpartition(".")[2])
    for number, one in enumerate(problems):
        evaluation_setting(one, given.rows[place == number], arguments.get("dtype"))
        check(one)
    about, arrays = as_arrays(given)
    arrays |= {"problem": place} if len(problems) > 1 else {}
    counted = max([LEAST_OPERATIONS, *map(operations, problems)])
    asked = Question(call, {**arguments, "points": about}, problems, arrays, len(given.rows), counted)
    return ask(asked, out=out, client=client, threads=threads, progress=progress, device=device)


def gradient_operations(problem: Any) -> float:
    """Operations of a gradient over all that a problem is of, about."""
    return problem.step_operations(1 if problem.data is None else len(problem.data.X))


def points_of(problem: Any, parameters: Any, variable: str, what: str, *, takes_modules: bool = False) -> tuple[tuple[Any, ...], Given, np.ndarray]:
    """(problems, points, place[run] of each run's problem among them) of a problem with parameters, or of a
    result; `what` is the public name of who asks, and may take a `gd.landscape.TorchProblem`.
    """
    if not is_result_alone(problem, parameters, what, takes_modules=takes_modules):
        given = Given.of(parameters)
        return (problem,), given, np.zeros(len(given.rows), np.int64)
    opened = check_result(cast("Any", problem), what)
    given = Given.of(parameters_of(opened, variable, what))
    place, problems = np.zeros(len(given.rows), np.int64), []
    for runs, one in by_problem(opened):
        place[runs] = len(problems)
        problems.append(one)
    return tuple(problems), given, place


def as_arrays(given: Given) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(the argument `points`, arrays) of a question that keep points, their dims and their coordinates;
    `given_in` reads them.
    """
    coordinates = {str(name): c for name, c in (given.coordinates or {}).items()}
    arrays = {COORDINATE + name: np.asarray(c.values, str if c.dtype == object else c.dtype) for name, c in coordinates.items()}
    about = {name: {"dims": list(map(str, c.dims)), "attrs": dict(c.attrs)} for name, c in coordinates.items()}
    told = None if given.coordinates is None else about
    return {"dims": list(map(str, given.dims)), "shape": list(given.shape), "coordinates": told}, {"parameters": given.rows, **arrays}


def given_in(question: Question) -> Given:
    """The points of a question that `as_arrays` has kept."""
    about, arrays = question.arguments["points"], question.arrays
    coordinates = None
    if about["coordinates"] is not None:
        values = {name: arrays[COORDINATE + name] for name in about["coordinates"]}
        texts = {name: v.astype(object) if v.dtype.kind == "U" else v for name, v in values.items()}
        coordinates = {name: plain_variable(tuple(c["dims"]), texts[name], c["attrs"]) for name, c in about["coordinates"].items()}
    return Given(arrays["parameters"], tuple(about["dims"]), tuple(about["shape"]), coordinates)


def _dataset(attributes: tuple[str, ...], question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    """The Dataset over runs, with the arguments that are attributes of it."""
    return over_runs(question, found).assign_attrs({name: question.arguments[name] for name in attributes})


def over_runs(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    """What was found of runs [run, ...] over the dims and coordinates of a question's points."""
    import xarray  # takes 0.4 s, and only answers need it

    given = given_in(question)
    empty = given.dataset({})
    columns = {
        name: ((*given.dims, *VARIABLES[name].dims[1:]), values.reshape((*given.shape, *values.shape[1:])), VARIABLES[name].attributes)
        for name, values in found.items()
    }
    return xarray.Dataset(columns, empty.coords)


def _work(made: Callable[..., Dataset], question: Question, first: int, last: int, place: Workplace) -> Mapping[str, np.ndarray]:
    """What is found at some runs, of each problem's by themselves."""
    rows = question.arrays["parameters"][first:last]
    asked = {name: value for name, value in question.arguments.items() if name != "points"}
    number_of = question.arrays["problem"][first:last] if "problem" in question.arrays else np.zeros(len(rows), np.int64)
    parts = []
    for number, problem in enumerate(question.problems):
        own = np.flatnonzero(number_of == number)
        if len(own) or not len(rows):
            found = {str(name): column.values for name, column in made(problem, rows[own], place=place, **asked).data_vars.items()}
            parts += [(Piece("", run, run + 1), {name: values[k : k + 1] for name, values in found.items()}) for k, run in enumerate(own.tolist())]
            if len(own) == len(rows):
                return found
    return joined(parts, len(rows))
