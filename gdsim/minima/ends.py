"""The critical points that runs end at, one for each run, with what tells of which kind they are."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gdsim.minima.newton import AT_REST, Surface, downhill, reach, smoothness, to_the_nearest
from gdsim.population.eigenvalues import MOST_PARAMETERS
from gdsim.population.sharing import one_blas_thread
from gdsim.questions.points import LEAST_OPERATIONS, gradient_operations

FLAT = 1e-6  # of the largest magnitude of an eigenvalue, at least of 1: smaller ones count as 0
STEPS = 10  # of a run, about
FAR = 10.0  # in 1 + |x|: runs that end farther from a critical point have not come near it
ROOM = 2**27  # bytes of the matrices of runs that are polished side by side
LEAST_TOGETHER = 64  # runs, so that packs are full


class Polished(NamedTuple):
    """Runs after they were polished, [run] or [run, parameter]."""

    parameters: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray  # its largest component
    converged: np.ndarray  # whether it is a critical point
    steps: np.ndarray
    distance: np.ndarray  # from where the run was
    negative: np.ndarray  # how many eigenvalues are below 0
    null: np.ndarray  # how many are 0
    eigenvalue_low: np.ndarray
    eigenvalue_high: np.ndarray

    @property
    def is_reached(self) -> np.ndarray:
        """[run]: whether there is a critical point, and no farther from where the run was than a run may be."""
        return self.converged & (self.distance <= FAR * reach(self.parameters))


def check_size(problem: Any) -> None:
    """Raises ValueError for more parameters than matrices may have."""
    if problem.parameter_count > MOST_PARAMETERS:
        most = f"{MOST_PARAMETERS:,} parameters, by the whole matrix of second derivatives"
        raise ValueError(f"critical points are found of up to {most}, and there are {problem.parameter_count:,}")


def polishing_operations(problem: Any) -> float:
    """Operations of the polishing of a run, about: of some steps of Newton's method, each with a matrix and its
    eigenvectors. Raises ValueError for more parameters than matrices may have.
    """
    check_size(problem)
    size = problem.parameter_count
    return STEPS * (LEAST_OPERATIONS + size * (2.0 * gradient_operations(problem) + 50.0 * size * size))


def polished(problem: Any, parameters: np.ndarray, threads: int) -> Polished:
    """The critical points that runs at parameters[run, parameter] belong to: those that they are near, and of
    runs that are near none those downhill.
    """
    check_size(problem)
    count = problem.parameter_count
    surface = Surface(problem, parameters, 1)
    rows = surface.start
    group = max(1, min(ROOM // (3 * 8 * count * count), max(LEAST_TOGETHER, -(-len(rows) // threads))))
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda first: _together(surface, rows[first : first + group]), range(0, max(1, len(rows)), group)))
    return Polished(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _together(surface: Surface, start: np.ndarray) -> Polished:
    """`polished` of runs whose matrices are in memory at once."""
    with np.errstate(all="ignore"):  # of runs that have diverged: what is no number is no critical point
        return _finite(surface, start)


def _finite(surface: Surface, start: np.ndarray) -> Polished:
    """`_together`, whatever the numbers are."""
    ends = to_the_nearest(surface, start)
    lost = np.flatnonzero(~ends.is_critical & np.isfinite(start).all(1))
    if len(lost):
        lower, steps, way = downhill(surface, start[lost])
        last = to_the_nearest(surface, lower)
        way = np.where((last.steps > 0)[:, None], last.way, way)
        for column, new in zip(ends, last._replace(steps=last.steps + steps, way=way), strict=True):
            column[lost] = new
    around = surface.around(ends.points)
    # On a plateau steps lead on and on, to where the curvature on the way is too small to be told from 0.
    is_there = ends.is_critical & (around.idly(ends.way) <= AT_REST * reach(ends.points))
    is_known = np.ones(len(start), bool)  # whether there are second derivatives
    there = np.flatnonzero(is_there)
    is_there[there], is_known[there] = smoothness(surface, ends.points[there], around.rows(there))
    flat = FLAT * np.maximum(1.0, np.abs(around.curvature).max(1, keepdims=True))
    return Polished(
        ends.points, around.loss, around.largest_slope, is_there, ends.steps, np.linalg.norm(ends.points - start, axis=1),
        np.where(is_known, (around.curvature < -flat).sum(1), 0), np.where(is_known, (np.abs(around.curvature) <= flat).sum(1), start.shape[1]),
        np.where(is_known, around.curvature[:, 0], np.nan), np.where(is_known, around.curvature[:, -1], np.nan),
    )  # fmt: skip
