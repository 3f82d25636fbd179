"""Products with the second derivatives of a problem's loss, many points and vectors side by side."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.data.arrays import check_fits, plain
from gdsim.kernels.curvature import MATRICES, CurvatureKernels
from gdsim.kernels.sample_table import sampler_of
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.engine_choice import full_width, structure_of
from gdsim.population.evaluation import Given, evaluation_setting
from gdsim.population.samples import table_for
from gdsim.words import checked_word, count_of, size_of

if TYPE_CHECKING:
    import xarray

MOST_BYTES = 2**32  # of matrices
TANGENTS = 4  # of one value, where there are as many vectors: what they share is made once


def hessian_product(problem: Any, parameters: Any, vectors: Any, *, matrix: str = "hessian", dtype: str | None = None, threads: int = 1) -> Any:
    """`gd.curvature.hessian_product` at parameters, not at a result."""
    checked_word(matrix, "matrix", MATRICES)
    if matrix == "gauss_newton" and problem.family != "network":
        raise ValueError(f"matrix='gauss_newton' is of networks and linear models, and {type(problem).__name__} is neither; take matrix='hessian'")
    for name in ("l1", "l2"):
        if not isinstance(getattr(problem, name), float):
            raise ValueError(f"products with curvature need one {name} for all parameters; {getattr(problem, name)!r} was given")
    given = Given.of(parameters)
    setting = evaluation_setting(problem, given.rows, dtype)
    points = given.rows[:, : problem.parameter_count].astype(setting.dtype)
    values = plain(vectors, "vectors")
    directions = _checked_vectors(values, len(points), problem.parameter_count, setting.dtype)
    with ieee_mode():
        found = _products(setting, points, directions, matrix, threads)
    return given.products(found[:, 0] if values.ndim == 1 else found)


def hessian(problem: Any, parameters: Any, *, matrix: str = "hessian", dtype: str | None = None, threads: int = 1) -> "xarray.Dataset":
    """`gd.curvature.hessian` at parameters, not at a result."""
    given, count = Given.of(parameters), problem.parameter_count
    if len(given.rows) * count * count * 8 > MOST_BYTES:
        size = size_of(len(given.rows) * count * count * 8)
        raise ValueError(f"the matrices of {count_of(len(given.rows), 'run')} with {count:,} parameters take {size}; take fewer runs, or products with vectors")
    found = hessian_product(problem, given.rows, np.eye(count), matrix=matrix, dtype=dtype, threads=threads)
    halves = found * found.dtype.type(0.5)
    return given.dataset({"hessian": halves + halves.transpose(0, 2, 1)}, "row", "column").assign_attrs(matrix=matrix)


def _checked_vectors(values: np.ndarray, runs: int, count: int, dtype: str) -> np.ndarray:
    """Vectors [run, vector, parameter] in a number type, whichever way they were given."""
    fits = values.ndim in (1, 2, 3) and values.shape[-1] == count and values.dtype.kind in "fiub"
    if not fits or (values.ndim == 3 and len(values) != runs):
        shapes = f"[{count}], [vector, {count}] or [{runs}, vector, {count}]"
        raise ValueError(f"vectors must be numbers of shape {shapes}; shape {values.shape} of {values.dtype} was given")
    check_fits(values, dtype, "vectors", "give dtype='float64'")
    return np.broadcast_to(values.astype(dtype), (runs, *((1,) * (2 - values.ndim) + values.shape)[-2:]))


_kernels = functools.lru_cache(maxsize=64)(CurvatureKernels)


def _products(setting: Any, points: np.ndarray, vectors: np.ndarray, matrix: str, threads: int) -> np.ndarray:
    """[run, vector, parameter] at points[run, parameter]: a lane has a point and up to `TANGENTS` of its
    vectors.
    """
    problem, (runs, count, _) = setting.problem, vectors.shape
    width, tangents = full_width(setting), TANGENTS if count >= TANGENTS else 1
    kernels = _kernels(structure_of(setting, width), width, tangents, matrix)
    table = None if problem.data is None else table_for(problem.data, setting.dtype)
    sampler = sampler_of(table, None, True, 0, kernels.number.dtype)
    found = np.empty_like(vectors)
    lanes = [(run, first) for run in range(runs) for first in range(0, count, tangents)]

    def work(packs: Iterator[int]) -> None:
        job = kernels.new_job(sampler, problem.l1, problem.l2)
        for begin in packs:
            chosen = lanes[begin : begin + width]
            some = np.zeros((len(chosen), tangents, points.shape[1]), points.dtype)
            for lane, (run, first) in enumerate(chosen):
                own = vectors[run, first : first + tangents]
                some[lane, : len(own)] = own
            made = kernels.products(job, points[[run for run, _ in chosen]], some)
            for lane, (run, first) in enumerate(chosen):
                found[run, first : first + tangents] = made[lane, : count - first]

    shares = min(threads, -(-len(lanes) // width))
    each = [iter(range(i * width, len(lanes), shares * width)) for i in range(shares)]
    if shares == 1:
        work(each[0])
    elif shares:
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(work, each))
    return found
