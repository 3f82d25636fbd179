"""`gd.curvature.density`: where the eigenvalues of second derivatives lie, from products alone."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim import population
from gdsim.axes import Range, checked_one, checked_seed, checked_whole
from gdsim.population.curvature import check_matrix
from gdsim.problems import Problem
from gdsim.questions.points import ask_at_points, call_at_points, gradient_operations, over_runs
from gdsim.questions.question import Question
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.results.reading import Result
from gdsim.variables import VARIABLES, described

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
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> "xarray.Dataset":
    """The density of the eigenvalues of the second derivatives at parameters[run, parameter], by stochastic
    Lanczos quadrature (Ubaru, Chen and Saad 2017).

    `problem`, `parameters`, `matrix`, `variable` and `dtype` are those of `hessian_product`. From each of
    `probes` vectors of random signs, the same at all points, Lanczos makes `steps` products, of which come
    the nodes and weights of a quadrature; with as many probes as parameters they are the basis. Every node is
    a Gaussian of the standard deviation `smoothing` times the range of all nodes of all runs, which
    `attrs["deviation"]` has. The outermost eigenvalues themselves are those of `eigenvalues(k=...)`.

    Returns a Dataset with `density[run, value]`, which integrates to 1, and `density_standard_error`, over
    values that all runs share. `out`, `client`, `threads`, `progress` and `device` are those of
    `eigenvalues`. Where the matrix is not finite it is NaN. Raises ValueError for fewer than two
    probes or steps.

    >>> import gdsim as gd
    >>> found = density(gd.Quadratic([[2.0, 0.0], [0.0, 1.0]]), [0.0, 0.0])
    >>> upper = found.density.sel(value=slice(1.5, None))
    >>> round(float(upper.integrate("value")), 6), round(float(found.density.integrate("value")), 6)
    (0.5, 1.0)
    """
    options = {
        "probes": checked_whole(probes, "probes", 2), "steps": checked_whole(steps, "steps", 2), "smoothing": checked_one(smoothing, "smoothing", SMOOTHINGS),
        "seed": checked_seed(seed), "matrix": matrix, "dtype": dtype,
    }  # fmt: skip
    where: Any = {"out": out, "client": client, "threads": threads, "progress": progress, "device": device}

    def operations(one: Problem) -> float:
        return 2.2 * min(probes, one.parameter_count) * min(steps, one.parameter_count) * gradient_operations(one)

    check = lambda one: check_matrix(one, matrix)  # noqa: E731
    return ask_at_points(DENSITY, problem, parameters, options, variable=variable, operations=operations, check=check, **where)


def _rules(problem: Problem, parameters: Any, *, smoothing: float, **options: Any) -> "xarray.Dataset":
    """What is found of runs, whatever it is smoothed by."""
    return population.quadrature(problem, parameters, **options)


def _dataset(question: Question, found: Mapping[str, np.ndarray]) -> "xarray.Dataset":
    """The densities of quadratures, over values that all runs share."""
    rules, asked = over_runs(question, found), question.arguments
    known = found["node"][~np.isnan(found["node"])]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    deviation = float(asked["smoothing"] * ((high - low) or abs(high) or 1.0))
    values = np.arange(low - BEYOND * deviation, high + BEYOND * deviation, deviation / PER_DEVIATION)
    densities = smoothed(found, values, deviation, asked["probes"])
    dims, shape = rules.node.dims[:-2], rules.node.shape[:-2]
    names = ("density", "density_standard_error")
    made = {n: ((*dims, "value"), v.reshape(*shape, len(values)), VARIABLES[n].attributes) for n, v in zip(names, densities, strict=True)}
    whole = rules.drop_vars(["node", "weight", "parameter_count"]).assign(made)
    return whole.assign_coords(value=("value", values, described("", "eigenvalue", "1"))).assign_attrs(matrix=asked["matrix"], deviation=deviation)


def smoothed(rules: Mapping[str, np.ndarray], values: np.ndarray, deviation: float, most: int) -> np.ndarray:
    """[2, run, value] the density and its standard error, by quadratures of up to `most` probes; NaN of runs that
    are lacking.
    """
    made = np.full((2, len(rules["node"]), len(values)), np.nan)
    for run, count in enumerate(rules["parameter_count"]):
        if (probes := min(most, count)) > 0:
            each = np.stack([gaussians(values, deviation, *rule) for rule in zip(rules["node"][run, :probes], rules["weight"][run, :probes], strict=True)])
            made[0, run] = each.mean(0)
            made[1, run] = 0.0 * made[0, run] if probes == count else each.std(0, ddof=1) / np.sqrt(probes)
    return made


DENSITY = call_at_points("curvature.density", _rules)._replace(dataset=_dataset)


def gaussians(values: np.ndarray, deviation: float, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[value] sum_i weight_i N(value; node_i, deviation), without the nodes that are NaN."""
    known = ~np.isnan(nodes)
    if not known.any():  # the matrix is not finite
        return np.full(len(values), np.nan)
    apart = (values[:, None] - nodes[known]) / deviation
    return np.exp(-0.5 * apart * apart) @ weights[known] / (deviation * np.sqrt(2.0 * np.pi))
