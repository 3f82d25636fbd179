"""Where the eigenvalues of second derivatives lie, from products alone: stochastic Lanczos quadrature."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.kernels.lanczos import Search
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.curvature import Points, curvature_kernels, probe_vectors
from gdsim.population.samples import samplers_of
from gdsim.population.workplace import HERE, Workplace

if TYPE_CHECKING:
    import xarray

# What is less than this share of a matrix is rounding, by the number type of products.
LOST = {"float32": 1e-6, "float64": 1e-13}


def quadrature(
    problem: Any, parameters: Any, *, probes: int, steps: int, seed: int = 0, matrix: str = "hessian", dtype: str | None = None, place: Workplace = HERE
) -> "xarray.Dataset":
    """A quadrature of the density of eigenvalues at parameters: `node[run, probe, place]` with
    `weight[run, probe, place]`, which sum to 1, NaN where there are fewer nodes.

    The nodes of a probe v are the eigenvalues of Lanczos's tridiagonal matrix, and the weights the squares of
    the first components of its eigenvectors (Golub and Welsch 1969): sum_i weight_i f(node_i) is v' f(H) v.
    """
    points = Points.of(problem, parameters, matrix, dtype, place)
    vectors = probe_vectors(points.size, probes, seed)[0]
    vectors = (vectors / np.sqrt((vectors * vectors).sum(1, keepdims=True))).astype(points.values.dtype)
    lanes = [(run, probe) for run in range(len(points.values)) for probe in range(len(vectors))]
    most, setting = min(steps, points.size), points.setting
    kernels = curvature_kernels(place.kernels(setting), 1, matrix)
    nodes, weights = np.full((2, len(points.values), len(vectors), most), np.nan)
    whole, shares = samplers_of(setting)[1], (-1.0, LOST[setting.dtype])

    def fill(job: Search, first: int) -> None:
        some = lanes[first : first + kernels.width]
        kernels.set_starts(job, points.values[[run for run, _ in some]], vectors[[probe for _, probe in some]])

    def take(job: Search, first: int) -> None:
        some = lanes[first : first + kernels.width]
        for (run, probe), alpha, beta in zip(some, job.diagonal.reshape(most, -1).T, job.beside.reshape(most, -1).T, strict=False):
            rule = gauss_rule(alpha, beta, LOST[setting.dtype])
            nodes[run, probe, : len(rule[0])], weights[run, probe, : len(rule[0])] = rule

    with ieee_mode():
        place.work(kernels.searching(most, lambda: kernels.new_search(kernels.new_job(whole, problem.l1, problem.l2), shares, most), fill, take), len(lanes))
    columns = {"node": nodes, "weight": weights, "parameter_count": np.full(len(points.values), points.size)}
    return points.given.dataset(columns, "probe", "place")


def gauss_rule(alpha: np.ndarray, beta: np.ndarray, lost: float) -> tuple[np.ndarray, np.ndarray]:
    """(nodes, weights) of the tridiagonal matrix of alpha and beta, up to where nothing is left beside its
    diagonal; of what is not finite none.
    """
    from scipy.linalg import eigh_tridiagonal

    sizes = np.cumsum(np.abs(alpha) + beta)
    if not np.isfinite(sizes).all():
        return np.empty(0), np.empty(0)
    over = np.flatnonzero(beta <= lost * sizes)
    count = over[0] + 1 if len(over) else len(alpha)
    values, parts = eigh_tridiagonal(alpha[:count], beta[: count - 1])
    return values, parts[0] ** 2
