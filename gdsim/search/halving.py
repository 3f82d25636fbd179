"""Successive halving, Hyperband and ASHA: many cells for few steps, the best of them for more."""

import math

import numpy as np

from gdsim.axes import checked_whole
from gdsim.search.training import Ladder, Search, best_of, rungs_of
from gdsim.sweep.sweep import Sweep
from gdsim.words import given


def _checked(sweep: object, eta: object, smallest: object, what: str) -> tuple[int, int, int | None]:
    """(steps of the last rung, eta, steps of the first if given)."""
    if not isinstance(sweep, Sweep):
        raise TypeError(f"{what} takes a gd.Sweep, whose steps are the most that a cell gets; {given(sweep)} was given")
    if sweep.steps is None or sweep.keep != "runs":
        raise ValueError(f"{what} counts steps and follows runs: declare the sweep with steps= and keep='runs'")
    least = None if smallest is None else checked_whole(smallest, "smallest", 1, sweep.steps + 1)
    return sweep.steps, checked_whole(eta, "eta", 2, 1000), least


def successive_halving(
    sweep: Sweep,
    *,
    eta: int = 3,
    smallest: int | None = None,
    variable: str | None = None,
    target: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Search:
    """All cells of a sweep for few steps, the best 1/eta of them for eta times as many, and so on up to
    `sweep.steps` (Karnin et al. 2013; Jamieson and Talwalkar 2016).

    A cell's score is the median over its starts of what ranks, by `variable` or `target` if given, else as
    `gd.table` says; diverged runs count as infinite. Survivors go on from where they stood, with the bits of
    a run that never paused. `smallest` is the fewest steps of the first rung; if not given, so many that one
    cell is left for the last. `threads` and `device` are those of `Sweep.run`. Returns a
    `gdsim.search.training.Search`. Raises TypeError for what is no sweep, ValueError for one that cannot be
    halved.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 1, 9)), starts=5, steps=90)
    >>> found = successive_halving(sweep)
    >>> found.history.steps.values.tolist(), found.result.sizes["run"]
    ([10, 30, 90], 5)
    """
    steps, eta, least = _checked(sweep, eta, smallest, "successive_halving")
    count = len(sweep.plan().cells)
    halvings = int(math.log(count, eta) + 1e-9)
    ladder = Ladder(sweep, rungs_of(steps, max(least or 1, round(steps / eta**halvings)), eta), threads, variable, target, device)
    _halve(ladder, list(range(count)), 0, eta)
    return ladder.outcome()


def _halve(ladder: Ladder, cells: list[int], first: int, eta: int) -> None:
    """One bracket: cells from a rung on."""
    for rung in range(first, len(ladder.rungs)):
        cells = best_of(ladder.climb(cells, rung), cells, max(1, len(cells) // eta))


def hyperband(
    sweep: Sweep, *, eta: int = 3, smallest: int = 1, seed: int = 0,
    variable: str | None = None, target: float | None = None, threads: int | None = None, device: str = "cpu",
) -> Search:  # fmt: skip
    """Brackets of successive halving, from many cells with few steps to few cells with all (Li et al. 2018).

    Each bracket draws its cells from the sweep's at random, by `seed`, all where there are fewer than it
    wants; what one bracket has trained, another goes on with. Scores and the other arguments are those of
    `successive_halving`. Returns a `gdsim.search.training.Search`. Raises TypeError for what is no sweep,
    ValueError for one that cannot be halved.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 1, 30)), starts=5, steps=27)
    >>> found = hyperband(sweep)
    >>> found.history.attrs["run_steps"] < found.history.attrs["run_steps_of_all"]
    True
    """
    steps, eta, least = _checked(sweep, eta, smallest, "hyperband")
    ladder = Ladder(sweep, rungs_of(steps, least or 1, eta), threads, variable, target, device)
    rng, highest = np.random.default_rng(seed), len(ladder.rungs) - 1
    for s in range(highest, -1, -1):
        wanted = math.ceil((highest + 1) / (s + 1) * eta**s)
        _halve(ladder, sorted(map(int, rng.permutation(ladder.cells)[:wanted])), highest - s, eta)
    return ladder.outcome()


def asha(
    sweep: Sweep,
    *,
    eta: int = 3,
    smallest: int = 1,
    batch: int = 8,
    variable: str | None = None,
    target: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Search:
    """Asynchronous successive halving (Li et al. 2020): `batch` cells at a time, and each goes up as soon as
    it is among the best 1/eta of its rung so far.

    Where no cell may go up, new ones begin, in the order of their numbers; it ends when all have begun and
    none may go up. Scores and the other arguments are those of `successive_halving`. Returns a
    `gdsim.search.training.Search`. Raises TypeError for what is no sweep, ValueError for one that cannot be
    halved.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 1, 9)), starts=5, steps=90)
    >>> int(asha(sweep, smallest=10).history.last_rung.max())
    2
    """
    steps, eta, least = _checked(sweep, eta, smallest, "asha")
    checked_whole(batch, "batch", 1, 2**31)
    ladder = Ladder(sweep, rungs_of(steps, least or 1, eta), threads, variable, target, device)
    begun = 0
    while True:
        jobs = _promotable(ladder, eta)[:batch]
        new = [(c, 0) for c in range(begun, min(ladder.cells, begun + batch - len(jobs)))]
        begun += len(new)
        if not jobs and not new:
            return ladder.outcome()
        for rung in sorted({r for _, r in (*jobs, *new)}):
            ladder.climb([c for c, r in (*jobs, *new) if r == rung], rung)


def _promotable(ladder: Ladder, eta: int) -> list[tuple[int, int]]:
    """(cell, rung to go up to) of the cells among the best 1/eta of their rung that have not gone up, the
    highest rung first.
    """
    found = []
    for rung in range(len(ladder.rungs) - 2, -1, -1):
        there = np.flatnonzero(~np.isnan(ladder.scores[:, rung])).tolist()
        best = best_of(ladder.keys[there, rung], there, len(there) // eta)
        found += [(cell, rung + 1) for cell in best if np.isnan(ladder.scores[cell, rung + 1])]
    return found
