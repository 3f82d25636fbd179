"""Curves of low loss between two points: Bezier curves and polygonal chains whose control points are trained."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gdsim.axes import checked_whole
from gdsim.landscape.inputs import spaced
from gdsim.paths.barriers import with_barriers
from gdsim.paths.pairs import Pairs, method_of
from gdsim.population import Gradients
from gdsim.population.evaluation import evaluate
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.planning.machine import cores_for
from gdsim.sweep.results.reading import Dataset
from gdsim.variables import VARIABLES

Weights = Callable[[np.ndarray, int], np.ndarray]  # [t, control point] of t and the number of control points


def bezier(
    problem: Problem,
    a: "ArrayLike",
    b: "ArrayLike",
    *,
    bends: int = 1,
    steps: int = 200,
    nodes: int = 25,
    points: int = 101,
    align: "bool | str" = False,
    dtype: str | None = None,
    threads: int | None = None,
) -> Dataset:
    """A Bezier curve from a to b along which the mean loss is as low as training makes it (Garipov et al.
    2018).

    `a`, `b` and `align` are those of `gd.paths.barrier`. `bends` control points between the ends, at first
    equally spaced on the straight line, are trained by L-BFGS, at most `steps` iterations, on the mean loss at
    `nodes` equally spaced t, which lie in the lanes of kernels side by side; pairs are trained on `threads`.
    Then the loss is evaluated at `points` other t. With one bend the curve is (1 - t)^2 a + 2 t (1 - t) c + t^2 b.

    Returns a Dataset over `alpha`, which is t: `loss[run, alpha]`, `accuracy` of classifiers, `barrier` and
    `height` as in `gd.paths.barrier`, `mean_loss[run]` at the points, `control[run, bend, parameter]`, and
    `converged[run]`, whether training ended before its steps. Raises ValueError for two equal points.

    >>> import gdsim as gd
    >>> ends = [3.0, 2.0], [3.584428, -1.848127]
    >>> curve, straight = bezier(gd.functions.Himmelblau(), *ends), gd.paths.barrier(gd.functions.Himmelblau(), *ends)
    >>> bool(curve.barrier < straight.barrier)
    True
    """
    return _trained("bezier", _bernstein, Pairs.of(problem, a, b, "bezier", dtype), (bends, steps, nodes, points), align, threads)


def chain(
    problem: Problem,
    a: "ArrayLike",
    b: "ArrayLike",
    *,
    bends: int = 1,
    steps: int = 200,
    nodes: int = 25,
    points: int = 101,
    align: "bool | str" = False,
    dtype: str | None = None,
    threads: int | None = None,
) -> Dataset:
    """A polygonal chain from a to b along which the mean loss is as low as training makes it (Garipov et al.
    2018).

    Arguments and the Dataset over `alpha` are those of `gd.paths.bezier`; the chain has `bends` corners, which
    it passes at equal steps of t. Raises ValueError for two equal points.

    >>> import gdsim as gd
    >>> found = chain(gd.functions.Himmelblau(), [3.0, 2.0], [3.584428, -1.848127], bends=3)
    >>> bool(found.height < 13.6), found.control.shape  # the saddle between them is at 13.3
    (True, (3, 2))
    """
    return _trained("chain", _hats, Pairs.of(problem, a, b, "chain", dtype), (bends, steps, nodes, points), align, threads)


def _bernstein(t: np.ndarray, count: int) -> np.ndarray:
    """The Bernstein polynomials C(n, k) t^k (1 - t)^(n - k), n one less than the control points."""
    k = np.arange(count)
    return np.array([math.comb(count - 1, i) for i in k]) * t[:, None] ** k * (1.0 - t[:, None]) ** (count - 1 - k)


def _hats(t: np.ndarray, count: int) -> np.ndarray:
    """Linear from 1 at each control point to 0 at those beside it."""
    return np.maximum(0.0, 1.0 - np.abs((count - 1) * t[:, None] - np.arange(count)))


def _trained(name: str, weights: Weights, pairs: Pairs, numbers: tuple[int, int, int, int], align: "bool | str", threads: int | None) -> Dataset:
    """The trained curves of pairs. Raises ValueError."""
    bends, steps, nodes, points = (checked_whole(v, n, low) for v, n, low in zip(numbers, ("bends", "steps", "nodes", "points"), (1, 0, 3, 3), strict=True))
    method = method_of(align)
    pairs = pairs.aligned(method, 25)
    gradients, alpha = Gradients(pairs.problem, pairs.dtype), spaced(0.0, 1.0, points)
    inner, whole = weights((np.arange(nodes) + 0.5) / nodes, bends + 2), weights(alpha, bends + 2)

    def made(run: int) -> tuple[np.ndarray, bool]:
        ends = np.stack([pairs.a[run], pairs.b[run]])
        return _least_mean(gradients, ends, inner, bends, steps)

    runs, workers = range(len(pairs.a)), cores_for(threads)
    with ThreadPoolExecutor(max(1, min(workers, len(runs)))) as pool:
        found = list(pool.map(made, runs))
    controls, converged = np.stack([c for c, _ in found]), np.array([done for _, done in found])
    curves = whole @ np.concatenate([pairs.a[:, None], controls, pairs.b[:, None]], 1)  # [run, point, parameter]
    scores = evaluate(pairs.problem, curves.reshape(-1, curves.shape[2]), dtype=pairs.dtype)
    columns = {n: scores[n].values.reshape(len(runs), points) for n in ("loss", "accuracy") if n in scores}
    return _dataset(pairs, alpha, columns, {"control": controls, "converged": converged}).assign_attrs(curve=name, align=method)


def _dataset(pairs: Pairs, alpha: np.ndarray, columns: dict[str, np.ndarray], more: dict[str, np.ndarray]) -> Dataset:
    """The curves over the dims that were given, with what follows from their losses."""
    made = with_barriers(pairs.given.dataset(columns, "alpha").assign_coords(alpha=("alpha", alpha, VARIABLES["alpha"].attributes)))
    steps = 0.5 * (columns["loss"][:, 1:] + columns["loss"][:, :-1]).astype(np.float64)
    rest = pairs.given.dataset({"mean_loss": steps.mean(1), "converged": more["converged"], "control": more["control"]}, "bend", "parameter")
    return made.assign(rest.data_vars)


def _least_mean(gradients: Gradients, ends: np.ndarray, weights: np.ndarray, bends: int, steps: int) -> tuple[np.ndarray, bool]:
    """(control points [bend, parameter] at which the mean loss at weights[node, control point] is least, whether
    they were found) of a curve between ends[2, parameter].
    """
    from scipy.optimize import minimize

    size, share = ends.shape[1], np.arange(1, bends + 1)[:, None] / (bends + 1)
    start = (1.0 - share) * ends[0] + share * ends[1]
    fixed = weights[:, [0, -1]] @ ends

    def mean(vector: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = gradients.at(fixed + weights[:, 1:-1] @ vector.reshape(bends, size))
        if not np.isfinite(loss).all():
            return math.inf, np.zeros_like(vector)
        return float(loss.mean(dtype=np.float64)), (weights[:, 1:-1].T @ gradient.astype(np.float64) / len(weights)).ravel()

    if steps == 0:
        return start, False
    done: Any = minimize(mean, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 20 * steps, "ftol": 1e-14, "gtol": 1e-8})
    return done.x.reshape(bends, size), bool(done.success)
