"""`gd.curvature.hessian_product` and `gd.curvature.hessian`: at parameters of one problem, or at those of a
result, each run with its cell's problem.
"""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdsim import population
from gdsim.data.arrays import plain
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import at_points, is_result, of_result, workplace
from gdsim.sweep.results.reading import Result

if TYPE_CHECKING:
    import xarray


def hessian_product(
    problem: "Problem | Result",
    parameters: "ArrayLike",
    vectors: "ArrayLike | None" = None,
    *,
    matrix: str = "hessian",
    variable: str = "parameters",
    dtype: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> "np.ndarray | xarray.DataArray":
    """[run, vector, parameter]: the products H v of second derivatives at parameters[run, parameter] with
    vectors[vector, parameter], the same for all runs, or [run, vector, parameter].

    `matrix`: "hessian" is of what `gd.evaluate` gives as the loss of the training set, with its penalty (of
    which l1 adds nothing); "gauss_newton", of networks and linear models, is J' H_out J, where J is the
    Jacobian of the last layer's sums and H_out the second derivatives of the losses by them, with the same
    penalty. It is exact (Pearlmutter 1994), and costs about two gradients a vector, less of several vectors
    at one point. At a kink an activation has the slope that its gradient has there. Computed in `dtype`, the
    parameters' own if not given, by `threads` of this machine, as many as it has cores if not given, or with
    `device="cuda"`, `"cuda:1"` by one of its GPUs, to the same bits.

    One vector of parameters, or one vector [parameter], gives a product without that dimension.
    `hessian_product(result, vectors)` takes a result in place of problem and parameters, each run with its
    cell's problem, as `gd.evaluate` does; it and a DataArray give a DataArray with their coordinates.

    Raises ValueError for parameters and vectors that do not fit the problem.

    >>> import gdsim as gd
    >>> hessian_product(gd.Quadratic([[2.0, 1.0], [1.0, 3.0]]), [5.0, 7.0], [1.0, 0.0]).tolist()
    [2.0, 1.0]
    """
    place = workplace(threads, device)
    if not is_result(problem):
        check_problem(problem, "hessian_product")
        if vectors is None:
            raise TypeError("hessian_product needs vectors: hessian_product(problem, parameters, vectors), or hessian_product(result, vectors)")
        return population.hessian_product(problem, parameters, vectors, matrix=matrix, dtype=dtype, place=place)
    if vectors is not None:
        raise TypeError("hessian_product takes a result in place of problem and parameters; give hessian_product(result, vectors)")
    values = plain(parameters, "vectors")

    def product(one: Problem, points: Any, runs: np.ndarray) -> Any:
        own = (values[runs] if values.ndim == 3 else values)[..., : one.parameter_count]
        return population.hessian_product(one, points, own, matrix=matrix, dtype=dtype, place=place)

    return of_result(cast("Result", problem), variable, "hessian_product", product)


def hessian(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    matrix: str = "hessian",
    variable: str = "parameters",
    dtype: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> "xarray.Dataset":
    """The whole matrix of second derivatives at parameters[run, parameter], symmetric to the last bit.

    The arguments are those of `hessian_product`. Returns a Dataset with `hessian[run, row, column]`; of one
    vector without `run`; of a DataArray or a result with its coordinates, smaller problems padded with NaN.
    Raises ValueError where the matrices of all runs would take more than 4 GiB,
    and of networks, whose whole matrices processors alone make, on a GPU.

    >>> import gdsim as gd
    >>> hessian(gd.functions.Rosenbrock(), [1.0, 1.0]).hessian.values.tolist()
    [[802.0, -400.0], [-400.0, 200.0]]
    """
    return at_points(problem, parameters, variable, "hessian", population.hessian, {"matrix": matrix, "dtype": dtype, "place": workplace(threads, device)})
