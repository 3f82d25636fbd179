"""Scores on grids of points, each of a line or plane of parameters: what is asked, its work in ranges of points,
and the Dataset that is made of it.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.planes import Asked, plane_scores, scores_operations, variables_of
from gdsim.population.workplace import HERE, Workplace
from gdsim.questions import Call, Question, ask
from gdsim.questions.points import as_arrays, given_in
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.results.reading import Dataset
from gdsim.variables import VARIABLES

MOST_POINTS = 2**28  # of all grids together: 1 GiB of each score in float32
MOST_BYTES = 2**32  # of directions
SHARE = 256  # points that a thread works on at least
AXIS = "axis "  # before the names of arrays that are the values of a grid's axes


class Where(NamedTuple):
    """Where an answer is made and kept: arguments of `Sweep.run`."""

    out: "str | os.PathLike[str] | None"
    client: object
    threads: int | None
    progress: Wish
    device: str = "cpu"


class Grids(NamedTuple):
    """Grids of points with the same coordinates for all runs: w_0 + t_1 d_1 + t_2 d_2 of each run."""

    problems: tuple[Any, ...]
    place: np.ndarray  # [run] of its problem
    origins: np.ndarray  # w_0[run, parameter]
    directions: np.ndarray  # d[run, axis, parameter]; of one run, where they are the same for all
    coordinates: np.ndarray  # t[point, axis]
    gradient_norm: bool
    dtype: str

    @property
    def items(self) -> int:
        """How many points there are on all grids."""
        return len(self.origins) * len(self.coordinates)

    def scores(self, first: int, last: int, place: Workplace) -> dict[str, np.ndarray]:
        """{name: [item]} of the items from `first` to before `last`, the points of one run after those of
        another.
        """
        if any(p.family == "module" for p in self.problems):
            return self._scores(first, last, place)
        shares = 1 if place.device else max(1, min(place.threads, (last - first) // SHARE))
        ends = [first + (last - first) * k // shares for k in range(shares + 1)]
        if shares == 1:
            parts = [self._scores(first, last, place._replace(threads=1))]
        else:
            with ThreadPoolExecutor(shares) as pool:
                parts = list(pool.map(self._scores, ends[:-1], ends[1:]))
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def _scores(self, first: int, last: int, place: Workplace = HERE) -> dict[str, np.ndarray]:
        points, found = len(self.coordinates), {}
        for run in range(first // points, -(-last // points)):
            begin, end = max(first, run * points), min(last, (run + 1) * points)
            for name, values in self._of_run(run, slice(begin - run * points, end - run * points), place).items():
                column = found.setdefault(name, np.full(last - first, np.nan, values.dtype))
                column[begin - first : end - first] = values
        return found

    def _of_run(self, run: int, points: slice, place: Workplace) -> dict[str, np.ndarray]:
        problem = self.problems[self.place[run]]
        setting, asked = evaluation_setting(problem, self.origins[run : run + 1], self.dtype), Asked.of(problem, self.gradient_norm)
        directions, terms = self.directions[min(run, len(self.directions) - 1)], np.zeros((3, problem.parameter_count))
        terms[0], terms[1 : 1 + len(directions)] = self.origins[run, : terms.shape[1]], directions[:, : terms.shape[1]]
        if problem.family == "module":
            found = problem.scores(terms, self.coordinates[points], variables_of(problem, asked), setting.dtype, place.threads)
        else:
            found = plane_scores(setting, terms, self.coordinates[points], asked, place)
        missing = {n for p in self.problems for n in variables_of(p, Asked.of(p, self.gradient_norm))} - {*found}
        return {**found, **{n: np.full(len(found["loss"]), np.nan, setting.dtype) for n in sorted(missing)}}


def check_room(points: int) -> None:
    """Raises ValueError for more points than memory should hold."""
    if points > MOST_POINTS:
        raise ValueError(f"{points:,} points are more than the {MOST_POINTS:,} that are kept in memory; take fewer points or runs")


def ask_of_grids(
    call: Call,
    grids: Grids,
    given: Given,
    axes: Mapping[str, np.ndarray],
    where: Where,
    about: Mapping[str, Any],
    kept: Mapping[str, np.ndarray],
    asked: Mapping[str, Any] | None = None,
) -> Dataset:
    """The Dataset of scores over the runs that were `given` and the axes of the grids, the innermost first.

    `about` is what its `attrs` say, `kept` what the call's Dataset needs besides. Directions, axes and what is
    kept are asked for, or they follow from what is `asked`, the runs and `about`.
    """
    check_room(grids.items)
    if where.device != "cpu" and any(p.family == "module" for p in grids.problems):
        raise ValueError("a TorchProblem is evaluated where PyTorch has its module: leave device out")
    points, arrays = as_arrays(given)
    laid = {"directions": grids.directions, **{AXIS + name: values for name, values in axes.items()}, **kept}
    arrays |= {"parameters": grids.origins, "place": grids.place, **laid}
    arguments = {"points": points, "axes": list(axes), "gradient_norm": grids.gradient_norm, "dtype": grids.dtype, "about": dict(about), **(asked or {})}
    operations = max(scores_operations(p, grids.gradient_norm) for p in grids.problems)
    derived = () if asked is None else tuple(laid)
    return ask(Question(call, arguments, grids.problems, arrays, grids.items, operations, derived=derived), **where._asdict())


def work(question: Question, first: int, last: int, place: Workplace) -> Mapping[str, np.ndarray]:
    """The scores of some of a question's points."""
    arrays, asked = question.arrays, question.arguments
    coordinates = coordinates_of([arrays[AXIS + name] for name in asked["axes"]])
    grids = Grids(question.problems, arrays["place"], arrays["parameters"], arrays["directions"], coordinates, asked["gradient_norm"], asked["dtype"])
    return grids.scores(first, last, place)


def scores_in(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    """The Dataset of what was found of all points, over runs and the axes of their grids."""
    import xarray  # takes 0.4 s, and only answers need it

    given, names = given_in(question), question.arguments["axes"]
    axes = {name: question.arrays[AXIS + name] for name in reversed(names)}
    shape = (*given.shape, *map(len, axes.values()))
    columns = {n: ((*given.dims, *axes), v.reshape(shape), VARIABLES[n].attributes) for n, v in found.items()}
    coordinates = {name: (name, values, VARIABLES[name].attributes) for name, values in axes.items()}
    return xarray.Dataset(columns, {**given.dataset({}).coords, **coordinates}, question.arguments["about"])


def coordinates_of(axes: list[np.ndarray]) -> np.ndarray:
    """t[point, axis] of the points of a grid, the first axis's innermost; of a line the second is 0."""
    inner, outer = axes[0], axes[1] if len(axes) > 1 else np.zeros(1)
    return np.stack([np.tile(inner, len(outer)), np.repeat(outer, len(inner))], 1)
