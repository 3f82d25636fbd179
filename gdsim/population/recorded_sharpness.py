"""The sharpness of runs at their checkpoints: the largest eigenvalue of the second derivatives of the loss
there, from the points of their trajectories.

It enters shards: gdsim's own arithmetic alone makes it, lane by lane, in a written order.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from gdsim.kernels.curvature import CurvatureKernels
from gdsim.kernels.lanczos import Search
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import curvature_kernels
from gdsim.population.evaluation import whole_data_setting
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting
from gdsim.population.workplace import HERE, Workplace

MOST_PRODUCTS = 100
# By the number type of products: `Search.settled`, and `Search.lost`.
SHARES = {"float32": (1e-6, 1e-6), "float64": (1e-9, 1e-13)}


@functools.lru_cache(maxsize=8)
def _first_vector(size: int) -> np.ndarray:
    """A unit vector in no special direction, the same for every point."""
    drawn = 2.0 * uniform_numbers(0, np.zeros(1, np.uint32), (PROBE, 2), size)[0] - 1.0
    return drawn / math.sqrt(math.fsum((drawn * drawn).tolist()))


def _kernels_of(setting: Setting, place: Workplace = HERE) -> CurvatureKernels:
    return curvature_kernels(place.kernels(whole_data_setting(setting.problem, setting.dtype)), 1, "hessian")


def prepare_sharpness(setting: Setting) -> None:
    """Makes the kernels that recording takes."""
    _ = _kernels_of(setting).search.address


def sharpness_at(setting: Setting, points: np.ndarray, penalties: np.ndarray, check: Callable[[], None] = lambda: None, place: Workplace = HERE) -> np.ndarray:
    """[point] at points[point, parameter] with the factors penalties[point, 2] of l1 and l2: NaN where a point
    or its second derivatives are not finite. `check` may raise between packs.
    """
    kernels, start = _kernels_of(setting, place), _first_vector(points.shape[1])
    found, width = np.full(len(points), np.nan, points.dtype), kernels.width
    known, whole = np.flatnonzero(np.isfinite(points).all(1)), samplers_of(setting)[1]

    def fill(job: Search, first: int) -> None:
        check()
        chosen, scores = known[first : first + width], job.evaluated.scores
        scores.l1.values[: len(chosen)], scores.l2.values[: len(chosen)] = penalties[chosen].T
        kernels.set_starts(job, points[chosen], np.broadcast_to(start, (len(chosen), len(start))))

    def take(job: Search, first: int) -> None:
        chosen = known[first : first + width]
        found[chosen] = job.found[: len(chosen)]

    new_job = lambda: kernels.new_search(kernels.new_job(whole, 0.0, 0.0), SHARES[setting.dtype], MOST_PRODUCTS)  # noqa: E731
    place.work(kernels.searching(MOST_PRODUCTS, new_job, fill, take), len(known))
    return found
