"""`gd.curvature.density`: where the eigenvalues of second derivatives lie, from products alone."""

from typing import TYPE_CHECKING

import numpy as np

from gdsim import population
from gdsim.axes import Range, checked_one
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import at_points
from gdsim.sweep.results.reading import Result
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

SMOOTHINGS = Range(1e-4, 1.0)
PER_DEVIATION = 4  # values to a standard deviation: their sum is then the integral to 1e-12 and less
BEYOND = 6.0  # standard deviations to which the values go beyond the outermost nodes


def density(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    probes: int = 10,
    steps: int = 100,
    smoothing: float = 0.01,
    seed: int = 0,
    matrix: str = "hessian",
    variable: str = "parameters",
    dtype: str | None = None,
) -> "xarray.Dataset":
    """The density of the eigenvalues of the second derivatives at parameters[run, parameter], by stochastic
    Lanczos quadrature (Ubaru, Chen and Saad 2017).

    `problem`, `parameters`, `matrix`, `variable` and `dtype` are those of `hessian_product`. From each of
    `probes` vectors of random signs, the same at all points, Lanczos makes `steps` products, of which come
    the nodes and weights of a quadrature; with as many probes as parameters they are the basis. Every node is
    a Gaussian of the standard deviation `smoothing` times the range of all nodes of all runs, which
    `attrs["deviation"]` has. The outermost eigenvalues themselves are those of `eigenvalues(k=...)`.

    Returns a Dataset with `density[run, value]`, which integrates to 1, and `density_standard_error`, over
    values that all runs share. Where the matrix is not finite it is NaN. Raises ValueError for fewer than two
    probes or steps.

    >>> import gdsim as gd
    >>> found = density(gd.Quadratic([[2.0, 0.0], [0.0, 1.0]]), [0.0, 0.0])
    >>> upper = found.density.sel(value=slice(1.5, None))
    >>> round(float(upper.integrate("value")), 6), round(float(found.density.integrate("value")), 6)
    (0.5, 1.0)
    """
    share = checked_one(smoothing, "smoothing", SMOOTHINGS)
    options = {"probes": probes, "steps": steps, "seed": seed, "matrix": matrix, "dtype": dtype}
    return smoothed(at_points(problem, parameters, variable, "density", population.quadrature, options), share)


def smoothed(rules: "xarray.Dataset", share: float) -> "xarray.Dataset":
    """The densities of quadratures, which `population.quadrature` makes, over values that all runs share."""
    shape = (-1, *rules.node.shape[-2:])
    nodes, weights = rules.node.values.reshape(shape), rules.weight.values.reshape(shape)
    known = nodes[~np.isnan(nodes)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    deviation = share * ((high - low) or abs(high) or 1.0)
    values = np.arange(low - BEYOND * deviation, high + BEYOND * deviation, deviation / PER_DEVIATION)
    found, error = np.full((2, len(nodes), len(values)), np.nan)
    for run, count in enumerate(rules.parameter_count.values.ravel()):
        probes = min(rules.attrs["probes"], count)
        each = np.stack([gaussians(values, deviation, *rule) for rule in zip(nodes[run, :probes], weights[run, :probes], strict=True)])
        found[run] = each.mean(0)
        error[run] = 0.0 * found[run] if probes == count else each.std(0, ddof=1) / np.sqrt(probes)
    dims = (*rules.node.dims[:-2], "value")
    made = {n: (dims, v.reshape(*rules.node.shape[:-2], -1), VARIABLES[n].attributes) for n, v in (("density", found), ("density_standard_error", error))}
    whole = rules.drop_dims(["probe", "node"]).drop_vars("parameter_count").assign(made)
    return whole.assign_coords(value=("value", values, VARIABLES["value"].attributes)).assign_attrs(deviation=deviation)


def gaussians(values: np.ndarray, deviation: float, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[value] sum_i weight_i N(value; node_i, deviation), without the nodes that are NaN."""
    known = ~np.isnan(nodes)
    if not known.any():  # the matrix is not finite
        return np.full(len(values), np.nan)
    apart = (values[:, None] - nodes[known]) / deviation
    return np.exp(-0.5 * apart * apart) @ weights[known] / (deviation * np.sqrt(2.0 * np.pi))
