"""What functions of points are given in the place of a problem, checked before anything else is looked at."""

from typing import Any

from gdsim.declarations import meant
from gdsim.problems.base import Problem


def check_problem(problem: Any, what: str, *, or_a_result: bool = True, takes_modules: bool = False) -> None:
    """Raises TypeError for what is no problem, and for a `gd.landscape.TorchProblem` unless `what` takes it.

    >>> check_problem([3.0, 2.0], "hessian")
    Traceback (most recent call last):
    TypeError: hessian needs a problem or a result; list was given
    """
    if isinstance(problem, Problem) or (takes_modules and _is_module(problem)):
        return
    if _is_module(problem):
        raise TypeError(f"{what} takes no TorchProblem, which is for gd.landscape and straight barriers (gd.paths.barrier, gd.paths.barrier_matrix)")
    needed = "a problem or a result" if or_a_result else "a problem, and takes no result (its points are result.parameters)"
    raise TypeError(f"{what} needs {needed}; {meant(problem, ()) if isinstance(problem, type) else f'{type(problem).__name__} was given'}")


def check_penalties(problem: Any, needs: str) -> None:
    """Raises ValueError for a problem with a list of penalties; `needs` is who needs one, as "a gradient needs"."""
    for name in ("l1", "l2"):
        if not isinstance(getattr(problem, name), float):
            raise ValueError(f"{needs} one {name} for all parameters; {getattr(problem, name)!r} was given")


def _is_module(problem: Any) -> bool:
    return not isinstance(problem, type) and getattr(problem, "family", None) == "module"
