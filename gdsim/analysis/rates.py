"""How fast a loss falls: by a factor per step, or by a power of the steps."""

from typing import Any

import numpy as np

from gdsim.analysis.quantiles import bands
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Dataset, Result, cells_in, check_result, dataset
from gdsim.words import given

FEWEST_POINTS = 5


def convergence_rate(result: Result, *, minimum: float | None = None, of: str = "run", first_step: int | None = None) -> Dataset:
    """How the excess e_t = loss - `minimum` falls, run by run or cell by cell: a Dataset over `run` or
    `cell`.

    Straight lines of log e over t ("linear" convergence, e ~ factor^t) and over log t ("sublinear", e ~
    t^-exponent) are fitted by least squares to a window; the kind is that with the smaller residual, which
    with as many parameters is that of the smaller AIC. The window is the later half of the checkpoints from
    step 1 on, or those from `first_step`, at which the excess is above what rounding leaves (100 eps
    |minimum|, eps of the number type) and above 0. `of="cell"` fits the median over runs. `minimum` is the
    lowest loss of the problem; if not given, that of the test function where this process knows the sweep,
    else 0. Factors are the loss's: a distance falls by their square root.

    Variables: `kind` ("linear", "sublinear", or "" where fewer than five checkpoints are left), `factor`,
    `exponent`, `residual` (root mean square of log e about the better line), `window_first`, `window_last`
    (steps). Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> problem = gd.Quadratic([[1.0, 0.0], [0.0, 4.0]], [[0.0, 0.0]])
    >>> sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), init=gd.Normal(std=1), steps=100, record=gd.Record(every=1))
    >>> round(float(convergence_rate(sweep.run()).factor[0]), 4)  # (1 - 0.1)^2
    0.81
    """
    result = check_result(result, "convergence_rate")
    if of not in ("run", "cell"):
        raise ValueError(f"of must be 'run' or 'cell'; {given(of)} was given")
    lowest = _known_minimum(result) if minimum is None else float(minimum)
    if of == "run":
        curves = result.loss.values.astype(float)
        coordinates: Any = {n: c for n, c in result.coords.items() if c.dims == ("run",)}
    else:
        curves = bands(result, quantiles=[0.5]).value.values[:, 0]
        coordinates = cells_in(result).coordinates
    floor = 100 * np.finfo(result.loss.dtype).eps * abs(lowest)
    found = [_fit(result.step.values.astype(float), curve - lowest, floor, first_step) for curve in curves]
    kind, factor, exponent, residual, first, last = (np.array(c) for c in zip(*found, strict=True)) if found else (np.zeros(0),) * 6
    about = {
        "kind": (kind.astype(str), "which line fits better", ""), "factor": (factor, "what the excess loss is multiplied by in a step", "1"),
        "exponent": (exponent, "power of the steps by which the excess loss falls", "1"),
        "residual": (residual, "root mean square of the logarithm about the line", "1"),
        "window_first": (first, "first step of the window", "steps"), "window_last": (last, "last step of the window", "steps"),
    }  # fmt: skip
    return dataset({name: (of, values, text, units) for name, (values, text, units) in about.items()}, coordinates, minimum=lowest, of=of)


def _known_minimum(result: Dataset) -> float:
    """The lowest value of the function that a sweep minimises, where it is known; 0 for all else."""
    try:
        problems = sweep_behind(result).problem
    except ValueError:
        return 0.0
    known: Any = getattr(problems[0], "global_minima", ())
    return float(known[0].value) if len(problems) == 1 and len(known) else 0.0


def _fit(steps: np.ndarray, excess: np.ndarray, floor: float, first_step: int | None) -> tuple[str, float, float, float, float, float]:
    """(kind, factor, exponent, residual, first step, last step) of one curve."""
    nan = float("nan")
    with np.errstate(invalid="ignore"):
        usable = np.flatnonzero((steps >= max(1, first_step or 1)) & np.isfinite(excess) & (excess > floor) & (excess > 0))
    if first_step is None:
        usable = usable[len(usable) // 2 :]
    if len(usable) < FEWEST_POINTS:
        return "", nan, nan, nan, nan, nan
    t, log = steps[usable], np.log(excess[usable])
    (slope, left), (power, over) = _line(t, log), _line(np.log(t), log)
    kind = "linear" if left <= over else "sublinear"
    return kind, float(np.exp(slope)), float(-power), float(np.sqrt(min(left, over) / len(t))), float(t[0]), float(t[-1])


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(slope, sum of squared residuals) of the straight line through points."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    return slope, float(np.sum((dy - slope * dx) ** 2))
