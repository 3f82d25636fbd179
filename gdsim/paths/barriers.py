"""`gd.paths.barrier`: how high the loss rises on the straight line between two points."""

from typing import Any

import numpy as np

from gdsim.axes import checked_whole
from gdsim.landscape.inputs import spaced
from gdsim.minima.barriers import barrier_and_height
from gdsim.paths.pairs import Pairs, method_of
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.results.reading import Dataset
from gdsim.variables import VARIABLES


def barrier(
    problem: Problem, a: "ArrayLike", b: "ArrayLike", *, points: int = 25, align: "bool | str" = False, dtype: str | None = None, threads: int | None = None
) -> Dataset:
    """The loss on the straight line from a to b, and how high it rises.

    `a` and `b` are vectors of parameters, or [run, parameter], each run with its own line; one vector beside
    several runs is on all their lines. `align`: True moves b to its symmetric image that is most like a first
    (`gd.minima.align`), "barrier" to the one of the lowest barrier. Computed at `points` equal steps, in
    `dtype`, the parameters' own if not given, on `threads` of this machine.

    Returns the Dataset of `gd.landscape.line` from alpha 0 to 1 with `barrier[run]`, the highest rise of the
    loss above (1 - alpha) f(a) + alpha f(b), at least 0 (Entezari et al. 2022), and `height[run]`, the highest
    loss less the higher of f(a) and f(b). Raises ValueError for two equal points.

    >>> import gdsim as gd
    >>> well = gd.Expression("x**4/4 - x**2/2", variables=["x"])
    >>> found = barrier(well, [-1.0], [1.0])
    >>> float(found.barrier), float(found.height)
    (0.25, 0.25)
    """
    pairs, method = Pairs.of(problem, a, b, "barrier", dtype, takes_modules=True), method_of(align)
    alpha = spaced(0.0, 1.0, checked_whole(points, "points", 3))
    return with_barriers(pairs.aligned(method, points).line(alpha, threads)).assign_attrs(align=method)


def with_barriers(found: Any) -> Dataset:
    """A Dataset with loss[..., alpha] from 0 to 1, with what follows from it."""
    loss = found.loss.transpose(..., "alpha")
    values = barrier_and_height(found.alpha.values, loss.values.reshape(-1, loss.sizes["alpha"]).astype(np.float64))
    shaped = [v.reshape(loss.shape[:-1]) for v in values]
    return found.assign({name: (loss.dims[:-1], v, VARIABLES[name].attributes) for name, v in zip(("barrier", "height"), shaped, strict=True)})
