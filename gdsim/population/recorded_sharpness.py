"""The sharpness of runs at their checkpoints: the largest eigenvalue of the second derivatives of the loss
there, from the points of their trajectories.

It enters shards: gdsim's own arithmetic alone makes it, lane by lane, in a written order.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from gdsim.kernels.curvature import CurvatureKernels
from gdsim.kernels.largest_eigenvalue import MOST_PRODUCTS
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import curvature_kernels
from gdsim.population.engine_choice import full_width, structure_of
from gdsim.population.evaluation import whole_data_setting
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting

# By the number type of products: `Search.settled`, and `Search.lost`.
SHARES = {"float32": (1e-6, 1e-6), "float64": (1e-9, 1e-13)}


@functools.lru_cache(maxsize=8)
def _first_vector(size: int) -> np.ndarray:
    """A unit vector in no special direction, the same for every point."""
    drawn = 2.0 * uniform_numbers(0, np.zeros(1, np.uint32), (PROBE, 2), size)[0] - 1.0
    return drawn / math.sqrt(math.fsum((drawn * drawn).tolist()))


def _kernels_of(setting: Setting) -> CurvatureKernels:
    whole = whole_data_setting(setting.problem, setting.dtype)
    width = full_width(whole)
    return curvature_kernels(structure_of(whole, width), width, 1, "hessian")


def prepare_sharpness(setting: Setting) -> None:
    """Makes the kernels that recording takes."""
    _kernels_of(setting).prepare_largest()


def sharpness_at(setting: Setting, points: np.ndarray, penalties: np.ndarray, check: Callable[[], None]) -> np.ndarray:
    """[point] at points[point, parameter] with the factors penalties[point, 2] of l1 and l2: NaN where a point
    or its second derivatives are not finite. `check` may raise between packs.
    """
    kernels, start = _kernels_of(setting), _first_vector(points.shape[1])
    job, width = kernels.new_job(samplers_of(setting)[1], 0.0, 0.0), kernels.width
    found = np.full(len(points), np.nan, points.dtype)
    known = np.flatnonzero(np.isfinite(points).all(1))
    for first in range(0, len(known), width):
        check()
        chosen = known[first : first + width]
        job.scores.l1.values[: len(chosen)], job.scores.l2.values[: len(chosen)] = penalties[chosen].T
        found[chosen] = kernels.largest_eigenvalues(job, points[chosen], start, SHARES[setting.dtype], MOST_PRODUCTS)
    return found
