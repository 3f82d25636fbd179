"""What restarts are worth: the best fixed cutoff, Luby's sequence, several starts at once."""

from collections.abc import Sequence

import numpy as np

from gdsim.analysis.targets import TIMES, hits_of_one
from gdsim.analysis.units import UNITS
from gdsim.axes import checked_whole
from gdsim.sweep.results.reading import Dataset, Result
from gdsim.words import given


def restart_cutoff(result: Result, target: float | None = None, *, unit: str = "steps") -> Dataset:
    """When to give a run up and start again, cell by cell: a Dataset over `cell`.

    With a cutoff c a restarted optimizer takes E_c = E[min(T, c)] / P(T <= c) to the target on average, over
    the runs' times T (a run that ended without it costs what it spent). `cutoff` is the observed time at
    which E_c is lowest, `cost` that E_c, `cost_without` what giving up no run takes (the expected running
    time), `gain` their ratio, 1 where a cutoff gains nothing. All infinite where no run met the target, the
    gain NaN. The cutoff is chosen on the same runs: with few successes its cost is too low (see the
    `successes`). After Luby, Sinclair and Zuckerman 1993. Raises TypeError for what is no result, ValueError
    for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.SGD(lr=1e-3), starts=50, steps=2000)
    >>> bool(restart_cutoff(sweep.run(), 0.1).gain[0] >= 1)
    True
    """
    hits = hits_of_one(result, target, unit, "restart_cutoff")
    runs = hits.by_cell()
    found = np.full((3, len(runs)), np.inf)
    successes = np.array([met.sum() for _, met in runs], np.int64)
    for cell, (spent, met) in enumerate(runs):
        cutoffs, costs = cutoff_costs(spent, met)
        if len(cutoffs):
            best = int(np.argmin(costs))
            found[:, cell] = cutoffs[best], costs[best], spent.sum() / successes[cell]
    gain = np.divide(found[2], found[1], out=np.ones(len(successes)), where=np.isfinite(found[1]) & (found[1] > 0))
    gain[successes == 0] = np.nan
    return hits.cells.dataset({
        "cutoff": ("cell", found[0], f"{UNITS[unit]} after which a restart is best", unit),
        "cost": ("cell", found[1], f"expected {UNITS[unit]} to the target with that cutoff", unit),
        "cost_without": ("cell", found[2], f"expected {UNITS[unit]} to the target where no run is given up", unit),
        "gain": ("cell", gain, "cost without over cost with the cutoff", "1"), "successes": ("cell", successes, "runs that met the target", "1"),
    }, unit=unit, times=TIMES, target=hits.target)  # fmt: skip


def cutoff_costs(spent: np.ndarray, met: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(each distinct time of a success, ascending, as a cutoff; the expected cost of restarting after it).

    Where starts lie below the target already, the least cutoff is the least time that any run spent.
    """
    least = spent[spent > 0].min(initial=np.inf)
    cutoffs, number = np.unique(np.maximum(spent[met], least) if np.isfinite(least) else spent[met], return_counts=True)
    ordered = np.sort(spent)
    below = np.searchsorted(ordered, cutoffs, side="right")
    return cutoffs, (np.concatenate([[0.0], np.cumsum(ordered)])[below] + (len(spent) - below) * cutoffs) / np.cumsum(number)


def luby(n: int) -> np.ndarray:
    """The first `n` terms of Luby's sequence, whose restarts are within a logarithm of the best for any
    distribution (Luby, Sinclair and Zuckerman 1993).

    Raises ValueError unless `n` is a whole number from 1.

    >>> luby(15).tolist()
    [1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8]
    """
    terms = np.ones(1, np.int64)
    while len(terms) < checked_whole(n, "n", 1, 2**31):
        terms = np.concatenate([terms, terms, [2 * terms[-1]]])
    return terms[:n]


def luby_cost(result: Result, target: float | None = None, *, base: float = 1.0, unit: str = "steps") -> Dataset:
    """The expected time to the target with restarts after `base` times the terms of Luby's sequence: a
    Dataset of `cost[cell]`.

    Exact over the runs' distribution of times; no run goes on beyond its own end. Infinite where no run met
    the target. Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> bool(luby_cost(sweep.run(), 0.1, base=10.0).cost[0] > 0)
    True
    """
    if not base > 0:
        raise ValueError(f"base must be above 0; {given(base)} was given")
    hits = hits_of_one(result, target, unit, "luby_cost")
    powers = np.log2(luby(MOST_TERMS)).astype(int)
    costs = np.array([_luby_cost(spent, met, base, powers) for spent, met in hits.by_cell()])
    return hits.cells.dataset(
        {"cost": ("cell", costs, f"expected {UNITS[unit]} to the target with Luby's restarts", unit)},
        unit=unit,
        times=TIMES,
        target=hits.target,
        base=float(base),
    )


# Terms of Luby's sequence that are followed: where no run of a million succeeds, the next terms cost as much
# again.
MOST_TERMS = 2**22


def _luby_cost(spent: np.ndarray, met: np.ndarray, base: float, powers: np.ndarray) -> float:
    """The cost for one cell's runs; the terms of the sequence are 2 to these powers."""
    if not met.any():
        return float("inf")
    lengths = base * 2.0 ** np.arange(powers.max() + 1)
    success = np.array([np.mean(met & (spent <= c)) for c in lengths])
    cost = np.array([np.minimum(spent, c).mean() for c in lengths])
    left = np.concatenate([[1.0], np.cumprod(1 - success[powers])])
    return float(left[:-1] @ cost[powers] / (1 - left[-1]))  # as if the sequence began again after so many terms


def parallel_starts(result: Result, target: float | None = None, *, starts: Sequence[int] = (1, 2, 4, 8, 16), unit: str = "steps") -> Dataset:
    """The time until the first of k starts at once meets the target, and what all spend by then: a Dataset
    over `cell` and `starts`.

    A group whose runs all end without it gives way to the next. `time` is the expected time of the clock,
    `cost` k times as much, `speedup` the time of one start at a time over it. Exact over draws with
    replacement from the runs. Raises TypeError for what is no result, ValueError for one without what is
    asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> bool((parallel_starts(sweep.run(), 0.1).speedup >= 1).all())
    True
    """
    numbers = [checked_whole(k, "starts", 1, 2**31) for k in starts]
    hits = hits_of_one(result, target, unit, "parallel_starts")
    time = np.array([[_time_of_first(*runs, k) for k in (1, *numbers)] for runs in hits.by_cell()]).reshape(-1, 1 + len(numbers))
    dims = ("cell", "starts")
    with np.errstate(invalid="ignore"):
        speedup = time[:, :1] / time[:, 1:]
    return hits.cells.dataset(
        {
            "time": (dims, time[:, 1:], f"expected {UNITS[unit]} of the clock until one start meets the target", unit),
            "cost": (dims, time[:, 1:] * np.array(numbers), f"expected {UNITS[unit]} of so many starts, each as long as the clock", unit),
            "speedup": (dims, speedup, "time of one start at a time over that of so many at once", "1"),
        },
        {"starts": ("starts", numbers)},
        unit=unit,
        times=TIMES,
        target=hits.target,
    )


def _time_of_first(spent: np.ndarray, met: np.ndarray, k: int) -> float:
    """The expected time until the first of k runs meets the target, groups that fail included, each until its
    last run ends.
    """
    n, good, bad = len(spent), np.sort(spent[met]), np.sort(spent[~met])
    if not len(good):
        return float("inf")
    left = (1.0 - np.arange(len(good) + 1) / n) ** k  # that none of k is among so many of the quickest successes
    group = good @ (left[:-1] - left[1:]) + bad @ np.diff((np.arange(len(bad) + 1) / n) ** k)
    return float(group / (1 - left[-1]))
