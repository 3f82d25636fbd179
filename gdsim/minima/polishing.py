"""`gd.minima.polish`: the critical points that end points of runs belong to."""

from typing import TYPE_CHECKING, Any

from gdsim.minima.ends import polished
from gdsim.population.evaluation import Given
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.planning.machine import cores_for
from gdsim.sweep.points import at_points
from gdsim.sweep.results.reading import Result, dataset

if TYPE_CHECKING:
    import xarray

ABOUT = {
    "parameters": "parameters of the critical point", "loss": "loss there, on the whole training set, penalty included",
    "gradient": "largest magnitude of a component of the gradient there", "converged": "whether it is a critical point", "steps": "steps of Newton's method",
    "distance": "how far the point has moved",
}  # fmt: skip


def polish(problem: "Problem | Result", parameters: "ArrayLike | None" = None, *, variable: str = "parameters", threads: int | None = None) -> "xarray.Dataset":
    """The critical points that parameters[run, parameter] belong to, to a largest component of the gradient of
    1e-10 (1 + |loss|), in float64.

    A run that is near a critical point, be it a minimum, a saddle or a maximum, is taken to that: near is where
    Newton's method converges at once, its first step at most a tenth of 1 + |parameters| and each at most
    three quarters of the one before. Any other run goes downhill, in steps so short that it stays in its
    valley, until it is near one (Newton's method with the magnitudes of the eigenvalues, in a trust region;
    Dauphin et al. 2014). Where none is found within 100 steps, as on a plateau or at a kink, `converged` is
    false. A point counts as critical only where Newton's method has come to rest, too, and the gradient does
    not jump.

    The other arguments are those of `gd.evaluate`; `threads` of this machine are used, all if not given. Returns a Dataset over `run` with `parameters[run, parameter]`,
    `loss`, `gradient`, `converged`, `steps`, and the `distance` that the point has moved. Raises ValueError for
    parameters that do not fit the problem, and for more than 2000 of them, since every step takes the whole
    matrix of second derivatives.

    >>> import gdsim as gd
    >>> polish(gd.functions.Himmelblau(), [3.1, 1.9]).parameters.values.round(6).tolist()
    [3.0, 2.0]
    """
    return at_points(problem, parameters, variable, "polish", _polish, {"place": Workplace(cores_for(threads))})


def _polish(problem: Problem, parameters: Any, *, place: Workplace) -> "xarray.Dataset":
    """`polish` of parameters, not of a result."""
    given = Given.of(parameters)
    ends = polished(problem, given.rows, place.threads)
    columns = {name: getattr(ends, name) for name in ABOUT}
    return dataset(
        {n: ((*given.dims, *("parameter",) * (v.ndim - 1)), v.reshape((*given.shape, *v.shape[1:])), ABOUT[n], "1") for n, v in columns.items()},
        given.over_runs,
    )
