"""`gd.minima.census`: which critical points the runs of a population end at, and how many at each."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from gdsim.minima.ends import Polished, polished, polishing_operations
from gdsim.minima.merging import checked_merge, merged
from gdsim.minima.nullity import expected_nullity
from gdsim.minima.units import units
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.questions import Question
from gdsim.questions.points import ask_at_points, call_at_points, given_in
from gdsim.statistics import ArrayLike, richness, wilson
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import is_result
from gdsim.sweep.results.reading import Dataset, Result, check_result, dataset
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

KINDS = ("minimum", "degenerate", "saddle", "maximum")
CONFIDENCE = 0.95
ABOUT = {
    "value": VARIABLES["value"].long_name, "count": "runs that end there", "share": "share of all runs that end there", "low": "low end of its 95% interval, by Wilson",
    "high": "high end of its 95% interval, by Wilson", "kind": "minimum, degenerate, saddle or maximum",
    "index": VARIABLES["index"].long_name,
    "eigenvalue_low": "lowest eigenvalue", "eigenvalue_high": "highest eigenvalue", "nullity": "eigenvalues that are 0",
    "nullity_expected": "eigenvalues that are 0 by the symmetries of the problem", "problem": "which of the result's problems it is of",
}  # fmt: skip
UNITS = {name: VARIABLES[name].long_name for name in ("dead", "always_on", "saturated", "useless", "duplicate")}
MEMBER = "critical point at which the run ends, -1 for none"


class Census(NamedTuple):
    """The critical points of one problem's runs."""

    columns: dict[str, np.ndarray]  # [critical_point], and `point` [critical_point, parameter]
    member: np.ndarray  # [run]


def census(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    merge: str = "auto",
    variable: str = "parameters",
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
) -> "xarray.Dataset":
    """The critical points at which runs end, from the lowest value up, and how many runs end at each.

    End points parameters[run, parameter] are polished (`gd.minima.polish`), typed by all eigenvalues of the
    second derivatives, of which those below 1e-6 times the largest magnitude, at least 1, count as 0, and
    merged. `merge`: "point", those within 1e-6 (1 + |x|); "function", networks of the same predictions, at up
    to 1000 of the training samples and 64 random ones; "value", those of the same index, and
    loss within 1e-6 (1 + |loss|); "auto" is by point, of networks up to their symmetries (`gd.minima.distance`), units that are of no
    use left out. `problem`, `parameters` and `variable` are those of `gd.evaluate`; of a result with several
    problems each has critical points of its own, `problem[critical_point]` numbers them, and
    `attrs["problems"]` names them. `out`, `client`,
    `threads` and `progress` are those of `Sweep.run`: with `out` the polished end points are kept in a folder,
    which the same call goes on with and `gd.open` opens.

    Returns a Dataset over `critical_point`: `value`; `count`, `share` of all runs of the problem, with its 95%
    interval from `low` to `high` by Wilson (1927); `kind`, "minimum", "maximum" where all eigenvalues are below 0,
    "saddle" where some are, else "degenerate" where more are 0 (`nullity`) than by the symmetries of networks
    (`nullity_expected`), or there are no second derivatives, all of which count as 0 then; `index`, how many
    are below 0; `eigenvalue_low`, `eigenvalue_high`; `point[critical_point, parameter]`, of the run with the
    lowest value; and of networks the shares of units that `gd.minima.units` gives.
    `member[run]` is each run's critical point, -1 for none: of runs that diverged, that lead to none, or to one
    farther away than 10 (1 + |x|). Counts and those add up to the runs. In attrs `unseen` is Good and Turing's
    estimate (1953) of the share of runs that would end at others, `richness` Chao's lower bound (1984) of how
    many there are, as in `gd.analysis.minima_left`. Raises ValueError as `polish` does, and for what `merge`
    cannot be.

    >>> import gdsim as gd
    >>> found = census(gd.functions.Himmelblau(), [[3.1, 2.1], [3.4, 0.1], [2.9, 2.0]])
    >>> found["count"].values.tolist(), found.kind.values.tolist(), found.member.values.tolist()
    ([2, 1], ['minimum', 'saddle'], [0, 1, 0])
    """

    def operations(one: Problem) -> float:
        checked_merge(merge, one)
        return polishing_operations(one)

    if is_result(problem):
        problem = _without_diverged(check_result(cast("Result", problem), "census"), variable)
    where: Any = {"out": out, "client": client, "threads": threads, "progress": progress}
    return ask_at_points(CENSUS, problem, parameters, {"merge": merge}, variable=variable, operations=operations, **where)


def _without_diverged(result: Dataset, variable: str) -> Dataset:
    """The result with NaN for the parameters of runs that have diverged, which end at no critical point."""
    if variable not in result or "status" not in result:
        return result
    return result.assign({variable: result[variable].where(result.status != "diverged")})


def _ends(problem: Problem, rows: np.ndarray, *, place: Workplace, merge: str) -> "xarray.Dataset":
    """The critical points of runs, each by itself, however they are merged."""
    import xarray  # takes 0.4 s, and only answers need it

    ends = polished(problem, rows, place.threads)._asdict()
    return xarray.Dataset({name: (("run", "parameter")[: column.ndim], column) for name, column in ends.items()})


def _dataset(question: Question, found: Mapping[str, np.ndarray]) -> "xarray.Dataset":
    """The critical points of every problem, one after the other, and each run's among them."""
    given, problems, merge = given_in(question), question.problems, question.arguments["merge"]
    place = question.arrays.get("problem", np.zeros(len(given.rows), np.int64))
    found = found or polished(problems[0], given.rows[:0], 1)._asdict()  # of no runs
    member, parts, first = np.full(len(place), -1), [], 0
    for number, one in enumerate(problems):
        runs = np.flatnonzero(place == number)
        ends = Polished(**{name: column[runs] for name, column in found.items()})
        part = _census(one, ends._replace(parameters=ends.parameters[:, : one.parameter_count]), checked_merge(merge, one), number)
        member[runs] = np.where(part.member >= 0, part.member + first, -1)
        first += len(part.columns["value"])
        parts.append(part)
    has_units = any(getattr(one, "hidden", ()) for one in problems)
    about = {name: text for name, text in {**ABOUT, **(UNITS if has_units else {})}.items() if name != "problem" or len(problems) > 1}
    columns: dict[str, Any] = {name: ("critical_point", np.concatenate([part.columns[name] for part in parts]), text, "1") for name, text in about.items()}
    widest = max(one.parameter_count for one in problems)
    points = [np.pad(p.columns["point"], ((0, 0), (0, widest - p.columns["point"].shape[1])), constant_values=np.nan) for p in parts]
    columns["point"] = (("critical_point", "parameter"), np.concatenate(points), "parameters of the critical point", "1")
    columns["member"] = (given.dims, member.reshape(given.shape), MEMBER, "1")
    left = [richness(part.columns["count"]) for part in parts]
    estimates = {"unseen": [1.0 - one["coverage"] for one in left], "richness": [one["chao1"] for one in left]}
    told = {name: values[0] if len(values) == 1 else values for name, values in estimates.items()}
    coordinates = {name: values for name, values in given.over_runs.items() if name != "problem"}  # the runs' words for what is numbered here
    names = {"problems": list(map(str, problems))} if len(problems) > 1 else {}
    return dataset(columns, coordinates, merge=merge, confidence=CONFIDENCE, **told, **names)


def _census(problem: Any, every: Polished, merge: str, number: int) -> Census:
    """That of the runs of one problem, which has a number among several."""
    runs, there = len(every.loss), np.flatnonzero(every.is_reached)
    ends = Polished(*(column[there] for column in every))
    group, member = merged(problem, ends, merge), np.full(runs, -1)
    member[there] = group
    columns = columns_of(problem, ends, group, np.bincount(group), runs)
    columns |= _shares_of_units(problem, columns["point"])
    return Census({**columns, "problem": np.full(len(columns["value"]), number)}, member)


def _shares_of_units(problem: Any, points: np.ndarray) -> dict[str, np.ndarray]:
    """What `gd.minima.units` tells of networks with hidden layers; NaN of other problems."""
    if not getattr(problem, "hidden", ()) or not len(points):
        return {name: np.full(len(points), np.nan) for name in UNITS}
    return {str(name): column.values for name, column in units(problem, points).data_vars.items()}


def columns_of(problem: Any, ends: Polished, group: np.ndarray, count: np.ndarray, runs: int) -> dict[str, np.ndarray]:
    """What is told of the critical points that are groups of ends, at which so many of all runs have ended."""
    order = np.lexsort((ends.loss, group))
    first = order[np.unique(group[order], return_index=True)[1]]  # of each group the end of the lowest value
    low, high = wilson(count, np.full(len(first), max(1, runs)), CONFIDENCE)
    expected = np.array([expected_nullity(problem, point) for point in ends.parameters[first]], dtype=int)
    negative = ends.negative[first]
    tests = [negative == problem.parameter_count, negative > 0, ends.null[first] > expected]
    kinds = np.select(tests, [KINDS[3], KINDS[2], KINDS[1]], KINDS[0])
    return {
        "value": ends.loss[first], "count": count, "share": count / max(1, runs), "low": low, "high": high, "kind": kinds.astype(object),
        "index": negative, "eigenvalue_low": ends.eigenvalue_low[first], "eigenvalue_high": ends.eigenvalue_high[first], "nullity": ends.null[first],
        "nullity_expected": expected, "point": ends.parameters[first],
    }  # fmt: skip


# Shares are of all runs: there is no Dataset while some are lacking.
CENSUS = call_at_points("minima.census", _ends)._replace(dataset=_dataset, is_partial=False)
