"""How often runs succeed, and whether one cell succeeds more often than another from the same starts."""

import numpy as np

from gdsim.statistics import INTERVALS, ArrayLike, holm, mcnemar, normal_quantile
from gdsim.sweep.ranks.hits import is_success, own_targets
from gdsim.sweep.results.reading import (
    Dataset,
    Result,
    cell_coordinates,
    cells_in,
    check_result,
    checked_confidence,
    dataset,
    ended_counts,
    is_summary,
    may_converge,
    opened,
)
from gdsim.words import checked_word, given


def success_probability(result: Result, *, target: "ArrayLike | None" = None, confidence: float = 0.95, interval: str = "wilson") -> Dataset:
    """The share of each cell's runs that succeed, with an interval: a Dataset over `cell`.

    A run succeeds if its status is "converged"; with `target`, a loss, if its lowest loss at a checkpoint or
    a stop's look was at most that, or, for a target of the sweep's own, if a look of its stop saw it met, as
    times to it count; `target` may also be True and False for each run. `interval` is "wilson", which holds
    its level on average over shares, or "clopper-pearson", which never covers less (Brown, Cai and DasGupta
    2001). Takes a summary too; with a target only where the target is an edge of its bins. Raises ValueError,
    also without a target where no stop of the sweep could have ended a run as converged.

    Variables: `runs`, `successes`, `probability`, `low`, `high`, each [cell]; NaN where a cell has no run.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 1.0]), starts=50, steps=500, stop=[gd.Target(1e-3)])
    >>> success_probability(sweep.run()).probability.values.tolist()
    [1.0, 0.0]
    """
    confidence = checked_confidence(confidence)
    checked_word(interval, "interval", INTERVALS)
    result = opened(result, "success_probability")
    _check_that_some_may_succeed(result, target)
    if is_summary(result):
        coordinates, successes, runs = cell_coordinates(result), *_counted(result, target)
    else:
        result = check_result(result, "success_probability")
        cells = cells_in(result)
        coordinates = cells.coordinates
        runs = np.bincount(cells.place, minlength=len(cells.numbers))
        successes = np.bincount(cells.place, is_success(result, target), minlength=len(cells.numbers)).astype(int)
    low, high = INTERVALS[interval](successes, runs, confidence)
    with np.errstate(invalid="ignore"):
        share = successes / np.where(runs > 0, runs, np.nan)
    return dataset({
        "runs": ("cell", runs, "finished runs", "1"), "successes": ("cell", successes, "runs that succeeded", "1"),
        "probability": ("cell", share, "share of runs that succeed", "1"),
        "low": ("cell", low, f"lower end of the {confidence:.0%} interval", "1"), "high": ("cell", high, f"upper end of the {confidence:.0%} interval", "1"),
    }, coordinates, confidence=confidence, interval=interval, success=_what_counts(result, target))  # fmt: skip


def _check_that_some_may_succeed(result: Dataset, target: object) -> None:
    """Refuses to count converged runs of a sweep without a stop that could end one so. Raises ValueError."""
    if target is None and "experiment" in result.attrs and not may_converge(result):
        raise ValueError(
            "a success is a run that ends as 'converged', and this sweep has no stop that ends runs so: "
            "give target=, a loss that counts as one, or the sweep a stop such as gd.Target(0.1)"
        )


def _what_counts(result: Dataset, target: object) -> str:
    """What a success is, in words."""
    if target is None:
        return "status is converged"
    if not isinstance(target, (int, float)):
        return "as given"
    at_looks = not is_summary(result) and target in own_targets(result)
    return f"loss <= {target:g} at a look of the sweep's target" if at_looks else f"lowest loss <= {target:g}"


def _counted(summary: Dataset, target: object) -> tuple[np.ndarray, np.ndarray]:
    """(successes, runs) of each cell of a summary."""
    if target is None:
        return ended_counts(summary, "converged")
    runs = summary.steps_taken_count.values
    if isinstance(target, bool) or not isinstance(target, (int, float)):
        raise ValueError(f"a summary has no single runs that could be chosen: target must be a loss; {given(target)} was given")
    edges = summary.bin_low.values
    inside = (edges < target) & (target < summary.bin_high.values)
    if summary.best_loss_histogram.values[:, inside].any():
        low, high = float(edges[inside][0]), float(summary.bin_high.values[inside][0])
        raise ValueError(f"the summary counts lowest losses by bins, and {target:g} lies inside one of them: take the target {low!r} or {high!r}")
    return (summary.best_loss_histogram.values * (edges < target)).sum(1), runs


def compare_success(result: Result, reference: int = 0, *, target: "ArrayLike | None" = None, confidence: float = 0.95) -> Dataset:
    """Each cell's share of successes beside that of cell number `reference`, on their common starts: a
    Dataset over `cell`.

    The p-value is McNemar's exact one (1947), from the starts on which one of the two alone succeeds;
    `p_holm` holds for all comparisons at once (Holm 1979). The interval of the difference is Agresti and
    Min's (2005). `target` as in `success_probability`. Raises ValueError for a reference that is no cell of
    the result.

    Variables: `starts` (common), `cell_only`, `reference_only`, `difference` (cell less reference), `low`,
    `high`, `p_value`, `p_holm`.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 1.0]), starts=20, steps=500, stop=[gd.Target(1e-3)])
    >>> bool(compare_success(sweep.run()).p_value[1] < 1e-5)
    True
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "compare_success")
    _check_that_some_may_succeed(result, target)
    cells = cells_in(result)
    if reference not in cells.numbers:
        raise ValueError(f"reference={given(reference)} is no cell of this result; it has {', '.join(map(str, cells.numbers[:10]))}")
    table = outcomes_by_start(result, cells.place, is_success(result, target).astype(np.int8), len(cells.numbers))
    known = (table >= 0) & (table[:, np.flatnonzero(cells.numbers == reference)] >= 0)
    first, second = table[:, np.flatnonzero(cells.numbers == reference)] == 1, table == 1
    b, c, n = (np.sum(known & chosen, axis=0) for chosen in (second & ~first, first & ~second, np.ones_like(known)))
    others = cells.numbers != reference
    p = np.where(others & (n > 0), mcnemar(b, c), np.nan)
    middle = (b - c) / (n + 2.0)
    half = normal_quantile(confidence) * np.sqrt(np.maximum(b + c + 1 - (b - c) ** 2 / (n + 2.0), 0.0)) / (n + 2.0)
    with np.errstate(invalid="ignore"):
        difference = (b - c) / np.where(n > 0, n, np.nan)
    low, high = np.where(others, np.maximum(middle - half, -1), 0.0), np.where(others, np.minimum(middle + half, 1), 0.0)
    return cells.dataset({
        "starts": ("cell", n, "starts that both have finished", "1"), "cell_only": ("cell", b, "starts on which the cell alone succeeds", "1"),
        "reference_only": ("cell", c, "starts on which the reference alone succeeds", "1"),
        "difference": ("cell", difference, "share of successes less the reference's", "1"),
        "low": ("cell", low, f"lower end of the {confidence:.0%} interval of the difference", "1"),
        "high": ("cell", high, f"upper end of the {confidence:.0%} interval of the difference", "1"),
        "p_value": ("cell", p, "exact p-value of McNemar's test", "1"),
        "p_holm": ("cell", holm(p), "p-value for all comparisons at once, by Holm's method", "1"),
    }, confidence=confidence, reference=int(reference))  # fmt: skip


def outcomes_by_start(result: Dataset, place: np.ndarray, values: np.ndarray, cells: int) -> np.ndarray:
    """[start, cell] values of runs; what is missing is NaN, or -1 among whole numbers."""
    starts, row = np.unique(result.start.values, return_inverse=True)
    table = np.full((len(starts), cells), np.nan if values.dtype.kind == "f" else -1, values.dtype)
    table[row.reshape(-1), place] = values
    return table
