"""`gd.minima.census`: which critical points the runs of a population end at, and how many at each."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from gdsim.minima.ends import Polished, polished
from gdsim.minima.merging import checked_merge, merged
from gdsim.minima.nullity import expected_nullity
from gdsim.population.evaluation import Given
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike, richness, wilson
from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.points import by_problem, is_result, parameters_of
from gdsim.sweep.results.reading import Result, check_result, dataset

if TYPE_CHECKING:
    import xarray

KINDS = ("minimum", "degenerate", "saddle")
CONFIDENCE = 0.95
ABOUT = {
    "value": "loss at the critical point", "count": "runs that end there", "share": "share of all runs that end there", "low": "low end of its 95% interval, by Wilson",
    "high": "high end of its 95% interval, by Wilson", "kind": "minimum, degenerate or saddle", "index": "eigenvalues of the second derivatives that are below 0",
    "eigenvalue_low": "lowest eigenvalue", "eigenvalue_high": "highest eigenvalue", "nullity": "eigenvalues that are 0",
    "nullity_expected": "eigenvalues that are 0 by the symmetries of the problem",
}  # fmt: skip
MEMBER = "critical point at which the run ends, -1 for none"


class Census(NamedTuple):
    """The critical points of one problem's runs."""

    columns: dict[str, np.ndarray]  # [critical_point], and `point` [critical_point, parameter]
    member: np.ndarray  # [run]


def census(problem: "Problem | Result", parameters: "ArrayLike | None" = None, *, merge: str = "auto", variable: str = "parameters") -> "xarray.Dataset":
    """The critical points at which runs end, from the lowest value up, and how many runs end at each.

    End points parameters[run, parameter] are polished (`gd.minima.polish`), typed by all eigenvalues of the
    second derivatives, of which those below 1e-6 times the largest magnitude, at least 1, count as 0, and
    merged. `merge`: "point", those within 1e-6 (1 + |x|); "function", networks of the same predictions, at up
    to 1000 of the training samples and 64 random ones; "value", those of the same loss within 1e-6 (1 +
    |loss|); "auto" is by function for networks, by point for the rest. `problem`, `parameters` and `variable`
    are those of `gd.evaluate`; of a result with several problems each has critical points of its own, and
    `problem[critical_point]` numbers them.

    Returns a Dataset over `critical_point`: `value`; `count`, `share` of all runs of the problem, with its 95%
    interval from `low` to `high` by Wilson (1927); `kind`, "minimum", "saddle" where an eigenvalue is below 0,
    else "degenerate" where more are 0 (`nullity`) than by the symmetries of networks (`nullity_expected`);
    `index`, how many are below 0; `eigenvalue_low`, `eigenvalue_high`; `point[critical_point, parameter]`, of
    the run with the lowest value. `member[run]` is each run's critical point, -1 where it has none: counts and
    those add up to the runs. In attrs `unseen` is Good and Turing's estimate (1953) of the share of runs that
    would end at others, `richness` Chao's lower bound (1984) of how many there are, as in
    `gd.analysis.minima_left`. Raises ValueError as `polish` does, and for what `merge` cannot be.

    >>> import gdsim as gd
    >>> camel = gd.functions.ThreeHumpCamel()
    >>> found = census(camel, [[0.1, 0.1], [1.7, -0.9], [0.2, 0.0]])
    >>> found["count"].values.tolist(), found.kind.values.tolist(), found.member.values.tolist()
    ([2, 1], ['minimum', 'minimum'], [0, 1, 0])
    """
    threads = usable_cores()
    if not is_result(problem):
        if parameters is None:
            raise TypeError("census needs parameters: census(problem, parameters), [run, parameter]")
        one, given = cast("Problem", problem), Given.of(parameters)
        found = _census(one, given.rows, merge, threads)
        return _dataset([found], [np.arange(len(given.rows))], given.dims or ("run",), given.shape or (1,), given.over_runs, merge)
    if parameters is not None:
        raise TypeError("census takes a result in place of problem and parameters; give census(result)")
    vectors = parameters_of(check_result(cast("Result", problem), "census"), variable, "census")
    parts = list(by_problem(check_result(cast("Result", problem), "census")))
    for _, one in parts:
        checked_merge(merge, one)
    coordinates = {n: c.variable for n, c in vectors.coords.items() if c.dims == ("run",)}
    return _dataset(
        [_census(one, vectors.values[runs], merge, threads) for runs, one in parts], [runs for runs, _ in parts], ("run",), (len(vectors),), coordinates, merge
    )


def _census(problem: Any, rows: np.ndarray, merge: str, threads: int) -> Census:
    """That of one problem's runs at parameters[run, parameter]."""
    chosen = checked_merge(merge, problem)
    ends = polished(problem, rows, threads)
    there = np.flatnonzero(ends.converged)
    ends = Polished(*(column[there] for column in ends))
    group, member = merged(problem, ends, chosen), np.full(len(rows), -1)
    member[there] = group
    first = _lowest_of_each(group, ends.loss)
    count = np.bincount(group, minlength=len(first))
    low, high = wilson(count, np.full(len(first), max(1, len(rows))), CONFIDENCE)
    expected = np.array([expected_nullity(problem, point) for point in ends.parameters[first]], dtype=int)
    kinds = np.where(ends.negative[first] > 0, KINDS[2], np.where(ends.null[first] > expected, KINDS[1], KINDS[0]))
    columns = {
        "value": ends.loss[first], "count": count, "share": count / max(1, len(rows)), "low": low, "high": high, "kind": kinds.astype(object),
        "index": ends.negative[first], "eigenvalue_low": ends.eigenvalue_low[first], "eigenvalue_high": ends.eigenvalue_high[first], "nullity": ends.null[first],
        "nullity_expected": expected, "point": ends.parameters[first],
    }  # fmt: skip
    return Census(columns, member)


def _lowest_of_each(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The member of the lowest value of each group, by the group's number."""
    order = np.lexsort((values, group))
    return order[np.unique(group[order], return_index=True)[1]]


def _dataset(parts: list[Census], runs: list[np.ndarray], dims: tuple[Any, ...], shape: tuple[int, ...], coordinates: Any, merge: str) -> "xarray.Dataset":
    """The Dataset of the critical points of several problems one after the other, whose runs are at places of
    the whole.
    """
    sizes = [len(part.columns["value"]) for part in parts]
    widest = max(part.columns["point"].shape[1] for part in parts)
    member, first = np.full(shape, -1).reshape(-1), 0
    for part, mine, size in zip(parts, runs, sizes, strict=True):
        member[mine] = np.where(part.member >= 0, part.member + first, -1)
        first += size
    columns: dict[str, Any] = {name: ("critical_point", np.concatenate([part.columns[name] for part in parts]), text, "1") for name, text in ABOUT.items()}
    padded = [np.pad(part.columns["point"], ((0, 0), (0, widest - part.columns["point"].shape[1])), constant_values=np.nan) for part in parts]
    columns["point"] = (("critical_point", "parameter"), np.concatenate(padded), "parameters of the critical point", "1")
    columns["member"] = (dims, member.reshape(shape), MEMBER, "1")
    if len(parts) > 1:
        coordinates = {**coordinates, "problem": ("critical_point", np.repeat(np.arange(len(parts)), sizes))}
    left = [richness(part.columns["count"]) for part in parts]
    unseen, chao1 = [1.0 - one["coverage"] for one in left], [one["chao1"] for one in left]
    of_one = len(parts) == 1
    return dataset(columns, coordinates, merge=merge, confidence=CONFIDENCE, unseen=unseen[0] if of_one else unseen, richness=chao1[0] if of_one else chao1)
