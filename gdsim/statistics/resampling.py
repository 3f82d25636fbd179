"""The bootstrap over starts: what is drawn as one, and the ends of intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim.axes import Range, checked_one, checked_seed, checked_whole
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS, ArrayLike, median, numbers_in

# Starts are resampled one by one up to so many; beyond, in so many groups of as many starts each.
MOST_GROUPS = 2048
MOST_RESAMPLES = 10_000_000
LEVEL = Range(0.0, 1.0, low_allowed=False)


def bootstrap(
    values: ArrayLike, statistic: Callable[[np.ndarray], Any] = median, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of a statistic of values[start], or of values[start, seed] where seeds are
    nested in starts (Davison and Hinkley 1997, section 3.8).

    Starts are drawn with replacement; of two levels, the seeds of each drawn start are drawn anew as well.
    `statistic` takes a one-dimensional array. NaN of fewer than 6 starts: of 2 every other draw is one of
    them alone. Raises ValueError.

    >>> low, high = bootstrap([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> low < 3.5 < high
    True
    """
    confidence = checked_one(confidence, "confidence", LEVEL)
    resamples, seed = checked_whole(resamples, "resamples", 1, MOST_RESAMPLES + 1), checked_seed(seed)
    table = numbers_in(values, "values")
    if table.ndim not in (1, 2) or not table.size:
        raise ValueError(f"values must be numbers by start, or by start and seed; an array of shape {table.shape} was given")
    if len(table) < FEWEST_FOR_INTERVALS:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = table[rng.integers(0, len(table), len(table))]
        if table.ndim == 2:
            chosen = np.take_along_axis(chosen, rng.integers(0, table.shape[1], chosen.shape), axis=1)
        drawn.append(float(statistic(chosen.ravel())))
    low, high = percentiles(np.array(drawn), confidence)
    return float(low), float(high)


def groups_of(start: np.ndarray) -> tuple[np.ndarray, int]:
    """(the group of each start, how many groups there are): what is resampled as one."""
    names = np.unique(start)
    count = min(len(names), MOST_GROUPS)
    return np.searchsorted(names, start) % max(1, count), count


def resampled(groups: int, resamples: int, seed: int) -> np.ndarray:
    """[resample, group]: how often each is drawn, with replacement, as many as there are (Efron 1979)."""
    if not groups:
        return np.zeros((resamples, 0))
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(float)


def accelerated(samples: np.ndarray, estimate: np.ndarray, left_out: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The (low, high) ends of the bias-corrected and accelerated bootstrap interval (BCa: Efron 1987) of
    several statistics.

    `samples` [resample, statistic], `left_out` [group, statistic] with each group left out once.
    """
    from scipy.special import ndtr, ndtri

    last = len(samples) - 1
    ordered = np.sort(samples, axis=0)
    below = np.mean(samples < estimate, axis=0) + 0.5 * np.mean(samples == estimate, axis=0)
    bias = ndtri(np.clip(below, 0.5 / len(samples), 1 - 0.5 / len(samples)))
    away = left_out.sum(0) / max(1, len(left_out)) - left_out
    size = np.sum(away**2, axis=0) ** 1.5
    acceleration = np.divide(np.sum(away**3, axis=0), 6 * size, out=np.zeros_like(size), where=size > 0)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + ndtri(tail)
        share = ndtr(bias + shifted / (1 - acceleration * shifted))
        ends.append(np.take_along_axis(ordered, np.rint(share * last).astype(int)[None], axis=0)[0])
    return ends[0], ends[1]


def percentiles(samples: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The (low, high) percentiles along the first axis; infinite values are the largest."""
    ordered, last = np.sort(samples, axis=0), len(samples) - 1
    return ordered[round((1 - confidence) / 2 * last)], ordered[round((1 + confidence) / 2 * last)]
