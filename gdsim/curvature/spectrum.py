"""`gd.curvature.eigenvalues` and `gd.curvature.trace`: of the whole matrix, or from its products alone."""

import functools
import os
from typing import TYPE_CHECKING, Any

from gdsim import population
from gdsim.axes import checked_seed, checked_truth, checked_whole
from gdsim.population.eigenvalues import MOST_PRODUCTS, check_eigenvalues
from gdsim.problems import Problem
from gdsim.questions.points import ask_at_points, call_at_points, gradient_operations
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import at_points, workplace
from gdsim.sweep.results.reading import Result

if TYPE_CHECKING:
    import xarray


EIGENVALUES = call_at_points("curvature.eigenvalues", population.eigenvalues, attributes=("matrix",))


def eigenvalues(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    k: int | None = None,
    which: str = "largest",
    matrix: str = "hessian",
    vectors: bool = False,
    variable: str = "parameters",
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> "xarray.Dataset":
    """The eigenvalues of the second derivatives at parameters[run, parameter], descending: all of them, or `k`
    at the end `which`.

    `problem`, `parameters`, `matrix`, `variable` and `dtype` are those of `hessian_product`. All eigenvalues,
    of up to 2000 parameters, are LAPACK's of the whole matrix. With `k` they come from products alone, by
    block Lanczos with full reorthogonalisation (Golub and Underwood 1977), of up to 200 vectors in blocks of
    four: an eigenvalue is found as often as it is one, up to four times. `which`: "largest", "smallest", or
    "both", `k` of each. `out`, `client`, `threads` and `progress` are those of `Sweep.run`: with `out` the answer
    is kept in a folder, which the same call goes on with and `gd.open` opens. `device` is that of
    `hessian_product`; whole matrices of networks are made by processors alone.

    Returns a Dataset with `eigenvalue[run, eigen]`, and with `vectors` `eigenvector[run, eigen, parameter]`;
    with `k` also `residual[run, eigen]`, |H v - lambda v| over the largest |lambda|, and `converged[run]`,
    whether all are at most 1e-8, in float32 1e-5. Eigenvalues where the matrix is not finite are NaN. Raises
    ValueError for what cannot be asked.

    >>> import gdsim as gd
    >>> eigenvalues(gd.Quadratic([[2.0, 1.0], [1.0, 2.0]]), [0.0, 0.0]).eigenvalue.values.round(6).tolist()
    [3.0, 1.0]
    """
    count = None if k is None else checked_whole(k, "k")
    options: dict[str, Any] = {"k": count, "which": which, "matrix": matrix, "vectors": checked_truth(vectors, "vectors"), "dtype": dtype}
    where: Any = {"out": out, "client": client, "threads": threads, "progress": progress, "device": device}
    check = lambda one: check_eigenvalues(one, count, which, matrix)  # noqa: E731
    return ask_at_points(EIGENVALUES, problem, parameters, options, variable=variable, operations=functools.partial(_operations, count), check=check, **where)


def _operations(k: int | None, problem: Problem) -> float:
    """Operations of the eigenvalues of a matrix, about: of its rows and LAPACK, or of products and Lanczos, most of
    whose small steps NumPy takes.
    """
    size, gradient = problem.parameter_count, gradient_operations(problem)
    if k is None:
        return size * ((0.3 if problem.family == "network" else 2.0) * gradient + 10.0 * size * size)
    products = min(size, max(MOST_PRODUCTS, 4 * k))
    return products * (2.0 * gradient + 200.0 * size * products)


def trace(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    probes: int = 100,
    seed: int = 0,
    matrix: str = "hessian",
    variable: str = "parameters",
    dtype: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> "xarray.Dataset":
    """The trace of the second derivatives at parameters[run, parameter], by products with random vectors.

    `problem`, `parameters`, `matrix`, `variable`, `dtype`, `threads` and `device` are those of `hessian_product`.
    Hutchinson's estimate (1989): the mean of v' H v over `probes` vectors of random signs, the same at all
    points; with as many probes as parameters the sum of the diagonal itself.

    Returns a Dataset with `trace[run]` and its `trace_standard_error[run]`. Raises ValueError for fewer than
    two probes.

    >>> import gdsim as gd
    >>> float(trace(gd.Quadratic([[2.0, 1.0], [1.0, 2.0]]), [0.0, 0.0]).trace)
    4.0
    """
    options: dict[str, Any] = {"probes": probes, "seed": checked_seed(seed), "matrix": matrix, "dtype": dtype, "place": workplace(threads, device)}
    return at_points(problem, parameters, variable, "trace", population.trace, options)
