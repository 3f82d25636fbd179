"""Where training diverges: over two hyperparameters, and the edge of it by bisection."""

from typing import Any

import numpy as np

from gdsim.problems import Problem
from gdsim.rules import Rule
from gdsim.statistics import wilson
from gdsim.stops import STATUSES
from gdsim.sweep.experiment.cells import with_value
from gdsim.sweep.results.reading import (
    Dataset,
    Result,
    axis_of,
    cell_coordinates,
    cells_in,
    check_result,
    checked_confidence,
    dataset,
    ended_counts,
    is_summary,
    opened,
    varied,
    worse_than_start,
)
from gdsim.sweep.sweep import Sweep
from gdsim.words import checked_word, given

WORSE = "worse_than_start"


def divergence_map(result: Result, x: str, y: str, *, status: str = "diverged", confidence: float = 0.95) -> Dataset:
    """The share of runs that diverged over two hyperparameters, all others pooled: a Dataset over `y` and
    `x`.

    Cells that have no such hyperparameter are left out. `status` may be another, such as "converged", or
    "worse_than_start": ended above the first loss without diverging. Takes a summary too. Variables: `share`,
    `low`, `high` (Wilson), `runs`; NaN where there is no run. Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=5, steps=100)
    >>> divergence_map(sweep.run(), "lr", "momentum").share.values.tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    confidence = checked_confidence(confidence)
    result = opened(result, "divergence_map")
    if not is_summary(result):
        check_result(result, "divergence_map")
    checked_word(status, "status", (*STATUSES, WORSE))
    if x == y:
        raise ValueError(f"a map lies over two different hyperparameters; {given(x)} was given twice")
    coordinates = cell_coordinates(result) if is_summary(result) else cells_in(result).coordinates
    (columns, at_x), (lines, at_y) = (axis_of(varied(coordinates, n)) for n in (x, y))
    hits, runs = _counted(result, status)
    known = (at_x >= 0) & (at_y >= 0)  # an optimizer that has no such hyperparameter has NaN
    total, count = np.zeros((2, len(lines), len(columns)))
    np.add.at(total, (at_y[known], at_x[known]), runs[known])
    np.add.at(count, (at_y[known], at_x[known]), hits[known])
    low, high = wilson(count, total, confidence)
    with np.errstate(invalid="ignore"):
        share = count / np.where(total > 0, total, np.nan)
    dims = (y, x)
    return dataset({
        "share": (dims, share, f"share of runs that ended {status.replace('_', ' ') if status == WORSE else f'as {status}'}", "1"), "low": (dims, low, f"lower end of the {confidence:.0%} interval", "1"),
        "high": (dims, high, f"upper end of the {confidence:.0%} interval", "1"), "runs": (dims, total.astype(int), "finished runs", "1"),
    }, {x: (x, columns), y: (y, lines)}, status=status, confidence=confidence)  # fmt: skip


def _counted(result: Dataset, status: str) -> tuple[np.ndarray, np.ndarray]:
    """(how many of each cell's runs ended so, how many there are)."""
    if status != WORSE:
        return ended_counts(result, status)
    worse = worse_than_start(result)
    if worse is None:
        raise ValueError("this result does not tell which runs ended above their start: its first checkpoint is not the start, or it is a summary")
    return worse, ended_counts(result, "diverged")[1]


# Values that are tried side by side in each round: the bracket shrinks by as much.
TRIED = 15


def edge_of_stability(
    problem: Problem, optimizer: Rule, *, low: float, high: float, hyperparameter: str = "lr", share: float = 0.5, tolerance: float = 1e-6, **options: Any
) -> Dataset:
    """The value of a hyperparameter beyond which more than `share` of the starts diverge, by bisection: a
    Dataset of `low` and `high`.

    The bracket must hold the edge: at `low` no more than that share diverges, at `high` more. Fifteen values
    between are trained side by side in each round, all starts on the same points and orders of samples, until
    the bracket is narrower than tolerance times its upper end. `options` go to `gd.Sweep` (`starts`, `steps`,
    `init`, ...); a run that diverges later than its last step is not seen, so near the edge take many steps.
    `tried` and `diverged` are all values that were trained and their shares. Raises ValueError.

    >>> import gdsim as gd
    >>> problem = gd.Quadratic([[1.0, 0.0], [0.0, 4.0]], [[0.0, 0.0]])
    >>> edge = edge_of_stability(problem, gd.SGD(), low=0.1, high=1.0, tolerance=1e-2, init=gd.Normal(std=1), steps=5000)
    >>> bool(edge.low <= 0.51 and edge.high >= 0.5)  # 2 over the largest curvature
    True
    """
    if not low < high:
        raise ValueError(f"low must be below high; low={given(low)} and high={given(high)} were given")
    seen: dict[float, float] = {}

    def look(values: list[float]) -> None:
        result = Sweep(problem=problem, optimizer=with_value(optimizer, hyperparameter, values), **options).run(progress=False)
        place = cells_in(result).place
        lost = np.bincount(place, result.status.values == "diverged") / np.bincount(place)
        if len(lost) != len(values):
            raise ValueError(f"edge_of_stability varies {hyperparameter} alone; an axis of another hyperparameter was given")
        seen.update(zip(values, lost.tolist(), strict=True))

    below, above = float(low), float(high)
    look([below, above])
    if seen[below] > share or seen[above] <= share:
        raise ValueError(
            f"the edge is not between {low:g} and {high:g}: {seen[below]:.0%} and {seen[above]:.0%} of the starts diverge there; take another bracket"
        )
    while above - below > tolerance * abs(above):
        values = [v for v in dict.fromkeys(np.linspace(below, above, TRIED + 2)[1:-1].tolist()) if below < v < above]
        if not values:
            break
        look(values)
        first = next((v for v in values if seen[v] > share), above)
        below, above = max([below, *(v for v in values if v < first)]), first
    tried = np.array(sorted(seen))
    return dataset({
        "low": ((), below, f"highest {hyperparameter} known below the edge", "1"), "high": ((), above, f"lowest {hyperparameter} known beyond it", "1"),
        "diverged": ("tried", np.array([seen[v] for v in tried]), "share of starts that diverged", "1"),
    }, {"tried": ("tried", tried)}, hyperparameter=hyperparameter, share=share)  # fmt: skip
