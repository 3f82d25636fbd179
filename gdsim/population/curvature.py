"""Products with the second derivatives of a problem's loss, many points and vectors side by side."""

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.axes import checked_whole
from gdsim.data.arrays import check_fits, plain
from gdsim.kernels.curvature import MATRICES, CurvatureKernels, ProductJob
from gdsim.kernels.hessians import HessianKernels
from gdsim.kernels.packs import PackWork
from gdsim.kernels.sample_table import sampler_of
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.philox import PROBE
from gdsim.population.engine_choice import full_width, structure_of
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.samples import table_for
from gdsim.population.setting import Setting
from gdsim.population.sharing import over_packs
from gdsim.population.workplace import HERE, Workplace
from gdsim.problems.checked import check_penalties
from gdsim.words import checked_word, count_of, size_of

if TYPE_CHECKING:
    import xarray

MOST_BYTES = 2**32  # of matrices
TANGENTS = 4  # of one value, where there are as many vectors: what they share is made once


class Points(NamedTuple):
    """Checked points of a problem, and the matrix of second derivatives that is asked for at each."""

    given: Given
    setting: Setting
    values: np.ndarray  # [run, parameter]
    matrix: str
    place: Workplace

    @classmethod
    def of(cls, problem: Any, parameters: Any, matrix: str, dtype: str | None, place: Workplace) -> "Points":
        """Those at parameters [parameter], [run, parameter] or a DataArray."""
        check_matrix(problem, matrix)
        given = Given.of(parameters)
        setting = evaluation_setting(problem, given.rows, dtype)
        return cls(given, setting, given.rows[:, : problem.parameter_count].astype(setting.dtype), matrix, place)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.values.shape[1]

    def products(self, vectors: np.ndarray, runs: Any = slice(None)) -> np.ndarray:
        """[run, vector, parameter] of vectors[run, vector, parameter] of some runs."""
        with ieee_mode():
            return _products(self, self.values[runs], vectors)


def check_matrix(problem: Any, matrix: str) -> None:
    """Raises ValueError where a problem has no such matrix."""
    checked_word(matrix, "matrix", MATRICES)
    if matrix == "gauss_newton" and problem.family != "network":
        raise ValueError(f"matrix='gauss_newton' is of networks and linear models, and {type(problem).__name__} is neither; take matrix='hessian'")
    check_penalties(problem, "second derivatives need")


def hessian_product(problem: Any, parameters: Any, vectors: Any, *, matrix: str = "hessian", dtype: str | None = None, place: Workplace = HERE) -> Any:
    """`gd.curvature.hessian_product` at parameters, not at a result."""
    points, values = Points.of(problem, parameters, matrix, dtype, place), plain(vectors, "vectors")
    found = points.products(_checked_vectors(values, len(points.values), points.size, points.setting.dtype))
    return points.given.products(found[:, 0] if values.ndim == 1 else found)


def hessian(problem: Any, parameters: Any, *, matrix: str = "hessian", dtype: str | None = None, place: Workplace = HERE) -> "xarray.Dataset":
    """`gd.curvature.hessian` at parameters, not at a result."""
    points = Points.of(problem, parameters, matrix, dtype, place)
    return points.given.dataset({"hessian": whole_matrices(points)}, "row", "column").assign_attrs(matrix=matrix)


def trace(
    problem: Any, parameters: Any, *, probes: int = 100, seed: int = 0, matrix: str = "hessian", dtype: str | None = None, place: Workplace = HERE
) -> "xarray.Dataset":
    """`gd.curvature.trace` at parameters, not at a result."""
    points = Points.of(problem, parameters, matrix, dtype, place)
    signs, is_exact = probe_vectors(points.size, checked_whole(probes, "probes", 2), seed)
    vectors = np.broadcast_to(signs.astype(points.values.dtype), (len(points.values), *signs.shape))
    each = (signs * points.products(vectors)).sum(2)  # [run, vector]
    return points.given.dataset(with_error("trace", each, is_exact)).assign_attrs(matrix=matrix)


def with_error(name: str, each: np.ndarray, is_exact: bool) -> dict[str, np.ndarray]:
    """The mean over each[run, vector] with its standard error, or their sum, which has none."""
    if is_exact:
        return {name: each.sum(1), f"{name}_standard_error": np.zeros(len(each))}
    return {name: each.mean(1), f"{name}_standard_error": each.std(1, ddof=1) / math.sqrt(each.shape[1])}


def probe_vectors(size: int, count: int, seed: int) -> tuple[np.ndarray, bool]:
    """(vectors [vector, parameter] of random signs, False), or as many as there are parameters, if no more are
    asked for, one along each, and True: sums over them are exact.
    """
    if count >= size:
        return np.eye(size), True
    return np.where(uniform_numbers(seed, np.arange(count, dtype=np.uint32), (PROBE, 1), size) < 0.5, -1.0, 1.0), False


def whole_matrices(points: Points) -> np.ndarray:
    """[run, row, column], symmetric. Raises ValueError where they would take more than `MOST_BYTES`, and of networks on a
    device.
    """
    runs, size = points.values.shape
    if runs * size * size * 8 > MOST_BYTES:
        room = size_of(runs * size * size * 8)
        raise ValueError(f"the matrices of {count_of(runs, 'run')} with {size:,} parameters take {room}; take fewer runs, or products with vectors")
    if points.setting.problem.family == "network":
        if points.place.device is not None:
            raise ValueError("whole matrices of networks are made by processors alone: take device='cpu', products with vectors, or k eigenvalues")
        with ieee_mode():
            return _matrices_of_networks(points.setting, points.values, points.matrix, points.place.threads)
    found = points.products(np.broadcast_to(np.eye(size, dtype=points.values.dtype), (runs, size, size)))
    for one in found:
        half = one * found.dtype.type(0.5)
        np.add(half, half.T, out=one)
    return found


def _matrices_of_networks(setting: Setting, points: np.ndarray, matrix: str, threads: int) -> np.ndarray:
    """[run, row, column] at points[run, parameter]: see `kernels.hessians`."""
    problem, width, (runs, size) = setting.problem, full_width(setting), points.shape
    kernels = hessian_kernels(structure_of(setting, width), width, matrix)
    found = np.empty((runs, size, size), points.dtype)
    sampler, tasks = sampler_of(table_for(problem.data, setting.dtype), None, True, 0, found.dtype), kernels.tasks(runs)

    def work(numbers: Iterator[int]) -> None:
        rows = kernels.new_rows(sampler, found)
        for number in numbers:
            kernels.make(rows, points, tasks[number])

    over_packs(len(tasks), 1, threads, work)
    weights = kernels.weights
    found[:, weights, weights] += found.dtype.type(problem.l2)
    return found


def _checked_vectors(values: np.ndarray, runs: int, count: int, dtype: str) -> np.ndarray:
    """Vectors [run, vector, parameter] in a number type, whichever way they were given."""
    fits = values.ndim in (1, 2, 3) and values.shape[-1] == count and values.dtype.kind in "fiub"
    if not fits or (values.ndim == 3 and len(values) != runs):
        shapes = f"[{count}], [vector, {count}] or [{runs}, vector, {count}]"
        raise ValueError(f"vectors must be numbers of shape {shapes}; shape {values.shape} of {values.dtype} was given")
    check_fits(values, dtype, "vectors", "give dtype='float64'")
    return np.broadcast_to(values.astype(dtype), (runs, *((1,) * (2 - values.ndim) + values.shape)[-2:]))


curvature_kernels = functools.lru_cache(maxsize=64)(CurvatureKernels)
hessian_kernels = functools.lru_cache(maxsize=64)(HessianKernels)


def _products(asked: Points, points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """[run, vector, parameter] at points[run, parameter]: a lane has a point and up to `TANGENTS` of its
    vectors.
    """
    setting, place, problem, (runs, count, _) = asked.setting, asked.place, asked.setting.problem, vectors.shape
    tangents = TANGENTS if count >= TANGENTS else 1
    kernels = curvature_kernels(place.kernels(setting), tangents, asked.matrix)
    table = None if problem.data is None else table_for(problem.data, setting.dtype)
    sampler = sampler_of(table, None, True, 0, kernels.number.dtype)
    found = np.empty_like(vectors)
    lanes = [(run, first) for run in range(runs) for first in range(0, count, tangents)]

    def fill(job: ProductJob, begin: int) -> None:
        chosen = lanes[begin : begin + kernels.width]
        some = np.zeros((len(chosen), tangents, points.shape[1]), points.dtype)
        for lane, (run, first) in enumerate(chosen):
            own = vectors[run, first : first + tangents]
            some[lane, : len(own)] = own
        kernels.set_vectors(job, points[[run for run, _ in chosen]], some)

    def take(job: ProductJob, begin: int) -> None:
        chosen = lanes[begin : begin + kernels.width]
        for (run, first), made in zip(chosen, kernels.products(job, len(chosen)), strict=True):
            found[run, first : first + tangents] = made[: count - first]

    new_job = lambda: kernels.new_job(sampler, problem.l1, problem.l2)  # noqa: E731
    place.work(PackWork(kernels.kernel, 1, new_job, fill, take, kernels.moved, lambda job: job.sampler), len(lanes))
    return found
