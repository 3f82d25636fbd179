"""`gd.paths.barrier_matrix`: how high the loss rises between all pairs of points."""

import os
from collections.abc import Mapping

import numpy as np

from gdsim.axes import checked_whole
from gdsim.landscape.inputs import Centres, spaced
from gdsim.minima.barriers import barrier_and_height
from gdsim.minima.images import check_few
from gdsim.minima.symmetries import Kind
from gdsim.paths.bands import band_losses
from gdsim.paths.pairs import Pairs, method_of
from gdsim.population.evaluation import Given, evaluate
from gdsim.population.planes import scores_operations
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.questions import Call, Question, ask, end_of_checks
from gdsim.questions.points import gradient_operations
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.results.reading import Dataset, Result
from gdsim.variables import VARIABLES
from gdsim.words import checked_word

MOST = 2000  # points: two million pairs
PATHS = ("line", "band")
BAND_STEPS = 300  # of a band, about
PADDED = 4.0  # a line has few points for the lanes that its products with samples take
AROUND = 1e6  # operations, in whose time the host does what is around a point of a line, or a step of an image of a band


def barrier_matrix(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    lowest: int | None = None,
    path: str = "line",
    points: int = 25,
    align: "bool | str" = False,
    variable: str = "parameters",
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
) -> Dataset:
    """The barriers between all pairs of parameters[minimum, parameter] of one problem.

    `path`: "line", on straight lines of `points` points, or "band", on elastic bands of as many images, whose
    tops are saddles (`gd.paths.nudged_elastic_band`). `lowest`: so many of the points with the lowest losses,
    ascending, such as those of a population that ended well; else all, as they are given. `align` and `dtype`
    are those of `gd.paths.barrier`, and `problem` may be a result, as in `gd.evaluate`; critical points of
    `gd.minima.census` are given as `parameters=found.point`. `out`, `client`, `threads` and `progress` are those of `Sweep.run`: with `out` the
    answer is kept in a folder, which the same call goes on with and `gd.open` opens.

    Returns a Dataset with `value[minimum]`, the loss of each, and `barrier[minimum, other]` and
    `height[minimum, other]` as in `gd.paths.barrier`, of bands by shares of their lengths, symmetric and 0 on
    the diagonal, and of bands `converged[minimum, other]`, whether they have come to rest; `minimum` is the
    place among the points that were given. Raises ValueError for fewer than two points, and for points of
    several problems.

    >>> import gdsim as gd
    >>> ends = [[3.0, 2.0], [-2.805118, 3.131313], [3.584428, -1.848127]]
    >>> barrier_matrix(gd.functions.Himmelblau(), ends).barrier.values.round(1).tolist()
    [[0.0, 71.1, 13.7], [71.1, 0.0, 142.6], [13.7, 142.6, 0.0]]
    """
    steps = checked_whole(points, "points", 3)
    checked_word(path, "path", PATHS)
    method = method_of(align)
    found = Centres.of(problem, parameters, variable, "barrier_matrix", "parameters", dtype)
    one, *others = found.problems
    if others:
        raise ValueError(f"barrier_matrix needs points of one problem, and the runs of this result have {1 + len(others)}; take one cell's")
    if path == "band" or lowest is not None:
        check_problem(one, "barrier_matrix with path='band' or lowest")
    if method == "barrier":
        check_few(Kind.of(one, "align"))
    elif method == "weights":
        Kind.of(one, "align")
    kind = dtype or ("float64" if found.is_double else "float32")
    rows = found.given.rows[:, : one.parameter_count]
    count = len(rows) if lowest is None else min(len(rows), checked_whole(lowest, "lowest", 2))
    if not 2 <= count <= MOST:
        raise ValueError(f"barrier_matrix needs 2 to {MOST:,} points, [minimum, parameter]; {count:,} were given: lowest= takes some of them")
    end_of_checks()
    chosen = np.arange(count) if lowest is None else np.argsort(evaluate(one, rows, dtype=dtype).loss.values, kind="stable")[:count]
    arrays = {"parameters": rows[chosen].astype(np.float64), "minimum": chosen}
    pairs = count * (count - 1) // 2
    arguments = {"path": path, "points": steps, "align": method, "dtype": kind}
    each = AROUND + PADDED * scores_operations(one, False) if path == "line" else BAND_STEPS * (AROUND + gradient_operations(one))
    asked = Question(BARRIER_MATRIX, arguments, (one,), arrays, pairs, steps * each)
    return ask(asked, out=out, client=client, threads=threads, progress=progress)


def _work(question: Question, first: int, last: int, place: Workplace) -> Mapping[str, np.ndarray]:
    """What is found of some pairs (i, j), i < j, in the order of rows."""
    vectors, asked = question.arrays["parameters"], question.arguments
    a, b = (vectors[places[first:last]] for places in np.triu_indices(len(vectors), 1))
    pairs = Pairs(question.problems[0], a, b, Given.of(b), asked["dtype"])
    pairs, more = pairs.aligned(asked["align"], asked["points"]), {}
    if asked["path"] == "line":
        alpha = spaced(0.0, 1.0, asked["points"])
        loss = pairs.losses(alpha, place).astype(np.float64)
    else:
        alpha, loss, more["converged"] = band_losses(pairs, asked["points"], place.threads)
    barrier, height = barrier_and_height(alpha, loss)
    return {"barrier": barrier, "height": height, "first": loss[:, 0], "last": loss[:, -1], **more}


def _dataset(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    """The matrices; NaN where a folder lacks pairs."""
    import xarray  # takes 0.4 s, and only answers need it

    count = len(question.arrays["minimum"])
    above = np.triu_indices(count, 1)
    value, columns = np.full(count, np.nan), {}
    for places, name in zip(above, ("first", "last"), strict=True):
        known = ~np.isnan(found[name])
        value[places[known]] = found[name][known]
    for name in ("barrier", "height"):
        matrix = np.zeros((count, count))
        matrix[above] = found[name]
        columns[name] = (("minimum", "other"), matrix + matrix.T, VARIABLES[name].attributes)
    if "converged" in found:
        settled = np.eye(count, dtype=bool)
        settled[above] = found["converged"]
        columns["converged"] = (("minimum", "other"), settled | settled.T, {"units": "", "long_name": "whether the band has come to rest"})
    minimum = question.arrays["minimum"]
    about = {n: question.arguments[n] for n in ("path", "points", "align")}
    columns["value"] = ("minimum", value, VARIABLES["value"].attributes)
    return xarray.Dataset(columns, {"minimum": minimum, "other": minimum}, about)


BARRIER_MATRIX = Call("paths.barrier_matrix", _work, _dataset, "pair")
