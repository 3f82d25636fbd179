"""The sharpness of runs at their checkpoints: the largest eigenvalue of the second derivatives of the loss
there, from the points of their trajectories.

It enters shards: gdsim's own arithmetic alone makes it, lane by lane, in a written order.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from gdsim.kernels.curvature import CurvatureKernels
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import curvature_kernels
from gdsim.population.engine_choice import full_width, structure_of
from gdsim.population.evaluation import whole_data_setting
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting
from gdsim.population.sharing import over_packs

MOST_PRODUCTS = 100
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
    _kernels_of(setting).prepare_lanczos()


def sharpness_at(setting: Setting, points: np.ndarray, penalties: np.ndarray, check: Callable[[], None] = lambda: None, threads: int = 1) -> np.ndarray:
    """[point] at points[point, parameter] with the factors penalties[point, 2] of l1 and l2: NaN where a point
    or its second derivatives are not finite. `check` may raise between packs.
    """
    kernels, start = _kernels_of(setting), _first_vector(points.shape[1])
    found, width = np.full(len(points), np.nan, points.dtype), kernels.width
    known = np.flatnonzero(np.isfinite(points).all(1))

    def work(packs: Iterator[int]) -> None:
        job = kernels.new_job(samplers_of(setting)[1], 0.0, 0.0)
        for first in packs:
            check()
            chosen = known[first : first + width]
            job.scores.l1.values[: len(chosen)], job.scores.l2.values[: len(chosen)] = penalties[chosen].T
            starts = np.broadcast_to(start, (len(chosen), len(start)))
            found[chosen] = kernels.lanczos(job, points[chosen], starts, SHARES[setting.dtype], MOST_PRODUCTS).found[: len(chosen)]

    over_packs(len(known), width, threads, work)
    return found
