"""How many minima there are beyond those that were found: coverage and richness from how often each was."""

import os
from typing import cast

import numpy as np

from gdsim.statistics import ArrayLike, clusters, richness
from gdsim.sweep.results.reading import Dataset, Result, cells_in, check_result, dataset
from gdsim.words import given


def minima_by_loss(result: Result, *, tolerance: float = 1e-6) -> Dataset:
    """Minima told apart by their losses alone, cell by cell: a Dataset of `count[cell, minimum]` and
    `loss[cell, minimum]`, the lowest first.

    Runs that converged, were stopped or used up their budget are sorted by their final losses, and where two
    neighbours are more than tolerance (1 + |loss|) apart a new minimum begins. Different minima of one loss
    count as one; runs that have not reached their minimum yet may count as several. `left_out[cell]` runs
    diverged or stalled. Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=0.01), starts=200, steps=500)
    >>> minima_by_loss(sweep.run(), tolerance=1e-6).sizes["minimum"]
    3
    """
    result = check_result(result, "minima_by_loss")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0; {given(tolerance)} was given")
    cells = cells_in(result)
    loss, alive = result.final_loss.values.astype(float), ~np.isin(result.status.values, ("diverged", "stalled"))
    groups = [clusters(np.sort(loss[(cells.place == c) & alive]), tolerance) for c in range(len(cells.numbers))]
    widest = max((len(levels) for levels, _ in groups), default=0)
    found, counts = np.full((len(groups), widest), np.nan), np.zeros((len(groups), widest), np.int64)
    for cell, (levels, sizes) in enumerate(groups):
        found[cell, : len(levels)], counts[cell, : len(levels)] = levels, sizes
    out = np.bincount(cells.place, ~alive, minlength=len(groups)).astype(int)
    dims = ("cell", "minimum")
    return cells.dataset({
        "loss": (dims, found, "lowest loss of the runs that ended there", "1"), "count": (dims, counts, "runs that ended there", "1"),
        "left_out": ("cell", out, "runs that diverged or stalled", "1"),
    }, tolerance=tolerance)  # fmt: skip


# What `minima_left` tells, and how it is said.
LEFT = {
    "runs": "runs that ended in a minimum", "found": "minima found", "coverage": "share of starts whose minimum was found, by Good and Turing",
    "chao1": "minima that there are at least, by Chao", "expected_minima": "minima that there are, by Boender and Rinnooy Kan",
    "expected_coverage": "share of starts whose minimum was found, by Boender and Rinnooy Kan", "stop": "whether their rule ends the search",
}  # fmt: skip


def minima_left(counts: "ArrayLike | Result", *, tolerance: float = 1e-6) -> Dataset:
    """How much the minima found so far cover, and how many there may be, from how many runs ended in each: a
    Dataset of numbers.

    `counts` are those numbers, or a result or its folder, whose minima `minima_by_loss` counts with
    `tolerance`: a Dataset over `cell`.

    `coverage` is Good and Turing's estimate of the share of starts that lead to a minimum which was found
    (Good 1953), `chao1` a lower bound of the number of minima (Chao 1984, bias-corrected). Both are to be
    trusted before the classical pair of Boender and Rinnooy Kan (1987), which assumes basins of random sizes
    and errs both ways: `expected_minima` and `expected_coverage`, with their stopping rule `stop`: expected
    minima beyond those found at most one half, or expected coverage at least 0.995. NaN where the runs are
    too few for a formula. Raises ValueError for what counts no runs.

    >>> minima_left([5, 3, 1, 1]).chao1.item()
    5.0
    """
    if hasattr(counts, "data_vars") or isinstance(counts, (str, os.PathLike)):
        result = check_result(cast("Result", counts), "minima_left")
        of_cells = [richness(c) for c in minima_by_loss(result, tolerance=tolerance)["count"].values]
        columns = {name: ("cell", np.array([c[name] for c in of_cells]), text, "1") for name, text in LEFT.items()}
        return cells_in(result).dataset(columns, tolerance=tolerance)
    numbers = np.asarray(counts)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and not (numbers == np.floor(numbers)).all()) or (numbers < 0).any():
        raise ValueError(f"counts must be how many runs ended in each minimum, whole numbers from 0, or a result; {given(counts)} was given")
    return dataset({name: ((), value, LEFT[name], "1") for name, value in richness(numbers).items()}, {})
