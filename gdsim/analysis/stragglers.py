"""How long workers wait for each other: expected order statistics of compute times."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from gdsim.axes import checked_whole
from gdsim.distribution.compute_times import ComputeTime, ConstantTime, ExponentialTime, Pareto, ShiftedExponential, checked_compute_time, checked_speeds
from gdsim.words import given

ACCURACY = 1e-11  # relative, of integrals
CUTS = (-40.0, -2.0, 0.0, 2.0, 6.0, 60.0, 600.0)  # of the logarithm of a time over the mean


def expected_compute(
    compute: ComputeTime, workers: int, *, awaited: int | None = None, steps: int = 1, speeds: Sequence[float] | None = None, at_least: float = 0.0
) -> float:
    """The expected seconds until `awaited` of some workers have each made `steps` steps: all of them, if not
    given. It counts as `at_least` seconds where it is less.

    With equal workers and one step it is the mean of the `awaited`-th smallest of `workers` times. In closed
    form for constant and exponential times and for Pareto's (David and Nagaraja 2003), else the integral of
    P(fewer than `awaited` are done) over time. Workers of speed v take 1/v of a time. Of several steps for
    constant and exponential times, whose sums have a formula. Raises TypeError for what is no law and
    ValueError for numbers that do not fit.

    >>> import gdsim as gd
    >>> round(expected_compute(gd.ExponentialTime(1.0), 8), 7)
    2.7178571
    >>> round(expected_compute(gd.Pareto(mean=1.0, index=2.0), 9, awaited=8), 7)
    1.3479227
    """
    law = checked_compute_time(compute, "compute")
    count, steps = checked_whole(workers, "workers"), checked_whole(steps, "steps")
    awaited = count if awaited is None else checked_whole(awaited, "awaited")
    if awaited > count:
        raise ValueError(f"awaited must be at most the {count} workers; {given(awaited)} was given")
    speeds = speeds_of(speeds, count, "speeds")
    if isinstance(law, ConstantTime):
        return max(at_least, steps * sorted(float(law.mean) / v for v in speeds)[awaited - 1])  # pyright: ignore[reportArgumentType]
    mean, shape = law.mean_and_shape
    known = _known(law, shape, count, awaited) if steps == 1 and len(set(speeds)) == 1 and at_least == 0.0 else None
    if known is not None:
        return mean / speeds[0] * known
    rates = np.array(speeds)
    return _integral(lambda t: _more_than(count - awaited, law.share_left(t * rates, steps)), steps * law.least / rates, steps * mean, at_least)


def speeds_of(speeds: object, workers: int, name: str) -> tuple[float, ...]:
    """A speed for each worker, 1 where none are given. Raises ValueError for another number of them."""
    checked = checked_speeds(speeds, name)
    if checked is not None and len(checked) != workers:
        raise ValueError(f"{name} must have one for each of the {workers} workers; {len(checked)} were given")
    return (1.0,) * workers if checked is None else checked


def _known(law: ComputeTime, shape: float, count: int, awaited: int) -> float | None:
    """The expected time of one step of equal workers under a law of mean 1, where it has a closed form."""
    if isinstance(law, (ExponentialTime, ShiftedExponential)):
        return shape + (1.0 - shape) * math.fsum(1.0 / k for k in range(count - awaited + 1, count + 1))
    if isinstance(law, Pareto):
        below = 1.0 / shape
        return (shape - 1.0) / shape * math.exp(_log_ratio(count + 1.0, below) - _log_ratio(count - awaited + 1.0, below))
    return None


def _log_ratio(x: float, below: float) -> float:
    """log(gamma(x) / gamma(x - below))."""
    return math.lgamma(x) - math.lgamma(x - below)


def _more_than(few: int, left: np.ndarray) -> float:
    """P(more than so many of independent workers are not done), from each one's probability."""
    if (left == left[0]).all():
        from scipy.special import bdtrc

        return float(bdtrc(few, len(left), left[0]))
    so_far = np.zeros(len(left) + 1)  # [how many are not done], of those looked at
    so_far[0] = 1.0
    for share in left:
        so_far[1:] = so_far[1:] * (1.0 - share) + so_far[:-1] * share
        so_far[0] *= 1.0 - share
    return float(so_far[few + 1 :].sum())


def _integral(left: Callable[[float], float], leasts: np.ndarray, scale: float, at_least: float) -> float:
    """The mean of a time, of which `left` gives P(longer than t), with kinks at some times; it counts as
    `at_least` where it is less.

    Beyond the last kink it goes over the logarithm of what is more, in which light and heavy tails fall
    exponentially.
    """
    from scipy.integrate import quad

    def density(x: float) -> float:
        beyond = scale * math.exp(x)
        return beyond * left(kinks[-1] + beyond)

    kinks = np.unique(np.maximum([0.0, *leasts], at_least)).tolist()
    pieces = [(left, *edges) for edges in itertools.pairwise(kinks)] + [(density, *edges) for edges in itertools.pairwise(CUTS)]
    return at_least + math.fsum(quad(f, low, high, epsrel=ACCURACY, epsabs=ACCURACY * scale, limit=200)[0] for f, low, high in pieces)
