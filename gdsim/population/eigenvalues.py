"""Eigenvalues of second derivatives: all of a matrix by LAPACK, the extreme ones from products alone."""

import functools
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.axes import checked_whole
from gdsim.lanes.draws import normal_numbers
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import Points, check_matrix, whole_matrices
from gdsim.population.sharing import one_blas_thread
from gdsim.population.workplace import HERE, Workplace
from gdsim.words import checked_word

if TYPE_CHECKING:
    import xarray

ENDS = ("largest", "smallest", "both")
MOST_PARAMETERS = 2000  # of which all eigenvalues are found
ROOM = 2**28  # bytes of the vectors of searches that go on side by side, and of matrices
BLOCK = 4  # vectors of a block: as many equal eigenvalues are found, and kernels make as many products at once
MOST_PRODUCTS = 200
LOOK = 5 * BLOCK  # products from one look at residuals to the next
TOLERANCES = {"float32": 1e-5, "float64": 1e-8}  # of residuals, in the largest magnitude of an eigenvalue
LOST = 1e-10  # of a vector's length: when less is left of it, nothing is


class Ritz(NamedTuple):
    """What is known of one matrix: the eigenvalues that were asked for, descending."""

    values: np.ndarray  # [eigen]
    vectors: np.ndarray  # [eigen, parameter]
    residuals: np.ndarray  # [eigen]: |H v - lambda v| / |lambda|max


def chosen(count: int, k: int, which: str) -> np.ndarray:
    """The places, among eigenvalues that ascend, of those that are asked for, in descending order."""
    k = min(k, count)
    ends = {"largest": range(count - k, count), "smallest": range(k), "both": {*range(k), *range(count - k, count)}}[which]
    return np.array(sorted(ends, reverse=True))


@functools.lru_cache(maxsize=8)
def _start(count: int, size: int, draw: int) -> np.ndarray:
    """[vector, parameter]: normal numbers, the same for every matrix of a size."""
    return normal_numbers(0, np.arange(draw, draw + count, dtype=np.uint32), (PROBE, 0), size)


def orthonormal(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal vectors [vector, parameter] that span a block but for what the orthonormal `basis` spans.

    In the place of vectors of which nothing is left come others, so that equal eigenvalues are found.
    """
    draw, lost = BLOCK, np.ones(len(block), bool)
    while lost.any():
        sizes = np.linalg.norm(block, axis=1)
        lost = np.zeros(len(block), bool)
        for _ in range(2):  # the second time takes away what rounding has left
            rest, triangle = np.linalg.qr((block - (block @ basis.T) @ basis).T)
            lost |= np.abs(np.diag(triangle)) <= LOST * sizes
            block, sizes = rest.T, np.ones(len(block))
        block[lost] = _start(int(lost.sum()), block.shape[1], draw)
        draw += int(lost.sum())
    return block


def extreme(size: int, k: int, which: str, tolerance: float) -> Generator[np.ndarray, np.ndarray, Ritz]:
    """The extreme eigenvalues of a symmetric matrix: asks for its products with vectors[vector, parameter].

    Block Lanczos with full reorthogonalisation (Golub and Underwood 1977): the eigenvalues of the matrix in the
    space of all vectors so far, until their residuals are small or `MOST_PRODUCTS` are made.
    """
    most = min(size, max(MOST_PRODUCTS, 4 * k))
    wanted = len(chosen(size, k, which))
    basis, images = np.empty((0, size)), np.empty((0, size))
    block = _start(BLOCK, size, 0)
    while True:
        block = orthonormal(block[: most - len(basis)], basis)
        made = (yield block).astype(np.float64)
        basis, images = np.concatenate([basis, block]), np.concatenate([images, made])
        if not np.isfinite(made).all():
            return Ritz(np.full(wanted, np.nan), np.full((wanted, size), np.nan), np.full(wanted, np.nan))
        if len(basis) < most and (len(basis) < wanted or len(basis) % LOOK):
            block = made
            continue
        inside = basis @ images.T
        values, parts = np.linalg.eigh(0.5 * (inside + inside.T))
        places = chosen(len(values), k, which)
        vectors, largest = parts[:, places].T @ basis, np.abs(values).max()
        missed = np.linalg.norm(parts[:, places].T @ images - values[places, None] * vectors, axis=1)
        residuals = missed / largest if largest > 0.0 else missed
        if len(basis) >= most or (residuals <= tolerance).all():
            return Ritz(values[places], vectors, residuals)
        block = made


def lanczos(points: Points, k: int, which: str) -> list[Ritz]:
    """The extreme eigenvalues at every point: their searches go on side by side, and none looks at another."""
    found: dict[int, Ritz] = {}
    tolerance, room = TOLERANCES[points.setting.dtype], 2 * 8 * points.size * max(MOST_PRODUCTS, 4 * k)
    group = max(32, ROOM // room)
    for first in range(0, len(points.values), group):
        searches = {run: extreme(points.size, k, which, tolerance) for run in range(first, min(first + group, len(points.values)))}
        blocks = {run: next(search) for run, search in searches.items()}
        while blocks:
            runs = list(blocks)
            made = points.products(np.stack([blocks[run] for run in runs]).astype(points.values.dtype), runs)
            blocks = {}
            for run, products in zip(runs, made, strict=True):
                try:
                    blocks[run] = searches[run].send(products)
                except StopIteration as end:
                    found[run] = end.value
    return [found[run] for run in range(len(points.values))]


def check_eigenvalues(problem: Any, k: int | None, which: str, matrix: str) -> None:
    """Raises ValueError for what cannot be asked of a problem."""
    checked_word(which, "which", ENDS)
    check_matrix(problem, matrix)
    size = problem.parameter_count
    if k is not None:
        checked_whole(k, "k", 1, size + 1)
    elif size > MOST_PARAMETERS:
        raise ValueError(f"all eigenvalues are found of up to {MOST_PARAMETERS:,} parameters, and there are {size:,}; ask for k of them, as k=10")


def eigenvalues(
    problem: Any,
    parameters: Any,
    *,
    k: int | None,
    which: str,
    matrix: str = "hessian",
    dtype: str | None = None,
    vectors: bool = False,
    place: Workplace = HERE,
) -> "xarray.Dataset":
    """`gd.curvature.eigenvalues` at parameters, not at a result."""
    check_eigenvalues(problem, k, which, matrix)
    points = Points.of(problem, parameters, matrix, dtype, place)
    if k is None:
        columns = _all(points, vectors)
    else:
        k = int(k)
        ritz = lanczos(points, k, which)
        shape = len(ritz), len(chosen(points.size, k, which))  # also of no points
        columns = {"eigenvalue": np.reshape([r.values for r in ritz], shape), "residual": np.reshape([r.residuals for r in ritz], shape)}
        columns |= {"eigenvector": np.reshape([r.vectors for r in ritz], (*shape, points.size))} if vectors else {}
        columns["converged"] = np.array([bool((r.residuals <= TOLERANCES[points.setting.dtype]).all()) for r in ritz])
    return points.given.dataset(columns, "eigen", "parameter").assign_attrs(matrix=matrix)


def _all(points: Points, vectors: bool) -> dict[str, np.ndarray]:
    """All eigenvalues, descending, and their vectors [run, eigen, parameter] if asked for."""
    (runs, size), matrix_bytes = points.values.shape, 8 * points.size**2
    shapes = {"eigenvalue": (size,), "eigenvector": (size, size)} if vectors else {"eigenvalue": (size,)}
    columns = {name: np.full((runs, *shape), np.nan) for name, shape in shapes.items()}
    together = max(points.place.threads, ROOM // matrix_bytes)

    def solve(first: int, place: int, matrix: np.ndarray) -> None:
        if not np.isfinite(matrix).all():
            return
        if vectors:
            values, found = np.linalg.eigh(matrix)
            columns["eigenvector"][first + place] = found.T[::-1]
        else:
            values = np.linalg.eigvalsh(matrix)
        columns["eigenvalue"][first + place] = values[::-1]

    with one_blas_thread(), ThreadPoolExecutor(points.place.threads) as pool:
        for first in range(0, runs, together):
            matrices = whole_matrices(points._replace(values=points.values[first : first + together])).astype(np.float64, copy=False)
            list(pool.map(functools.partial(solve, first), range(len(matrices)), matrices))
    return columns
