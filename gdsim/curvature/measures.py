"""`gd.curvature.sharpness`: how sharp a point is, by several measures."""

from typing import TYPE_CHECKING

from gdsim import population
from gdsim.axes import checked_seed
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import at_points, workplace
from gdsim.sweep.results.reading import Result

if TYPE_CHECKING:
    import xarray


def sharpness(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    rho: float = 0.05,
    epsilon: float = 1e-3,
    sigma: float = 0.01,
    probes: int = 100,
    seed: int = 0,
    variable: str = "parameters",
    dtype: str | None = "float64",
    threads: int | None = None,
    device: str = "cpu",
) -> "xarray.Dataset":
    """How sharp the loss f is at parameters w[run, parameter], with the gradient g and second derivatives H.

    Returns a Dataset over `run` with

    - `lambda_max`, the largest eigenvalue of H, and `trace`, the sum of all;
    - `keskar`: 100 (max f(w + z) - f(w)) / (1 + f(w)) over |z_i| <= epsilon (abs(w_i) + 1), in percent (Keskar
      et al. 2017), the highest of ten corners to which gradients point; NaN where 1 + f(w) is not above 0;
    - `sam`: f(w + rho g / |g|) - f(w) (Foret et al. 2021), 0 where g is 0;
    - `expected`: the mean of f(w + sigma x) - f(w) over normal x;
    - `scale_invariant`: the sum of w_i^2 H_ii;
    - `adaptive`: max f(w + z) - f(w) over |z_i| <= rho abs(w_i) (Kwon et al. 2021), found as that of `keskar`.

    All but the last two change where relu units are rescaled, which leaves the function that a network is
    (Dinh et al. 2017): they compare points of one scale alone. Each variable's `attrs["invariant_to"]` says
    what leaves it as it is. Means over `probes` random vectors, the same at all points, have their
    `..._standard_error`; traces of no more parameters than probes are exact. `problem`, `parameters`,
    `variable`, `threads` and `device` are those of `hessian_product`. Raises ValueError.

    >>> import gdsim as gd
    >>> found = sharpness(gd.Quadratic([[3.0, 0.0], [0.0, 1.0]]), [2.0, 1.0])
    >>> [round(float(found[name]), 9) for name in ("lambda_max", "trace", "scale_invariant")]
    [3.0, 4.0, 13.0]
    """
    options = {
        "rho": rho,
        "epsilon": epsilon,
        "sigma": sigma,
        "probes": probes,
        "seed": checked_seed(seed),
        "dtype": dtype,
        "place": workplace(threads, device),
    }
    return at_points(problem, parameters, variable, "sharpness", population.sharpness, options)
