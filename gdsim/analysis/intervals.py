"""Intervals and tests that a statistic needs: of shares, of medians, by resampling, over many comparisons."""

from typing import Any

import numpy as np

# Starts are resampled one by one up to so many; beyond, in so many groups of as many starts each.
MOST_GROUPS = 2048


def normal_quantile(confidence: float) -> float:
    """How many standard deviations a normal value stays within so often, on both sides.

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    return float(-ndtri((1 - confidence) / 2))


def wilson(successes: Any, n: Any, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the share that `successes` of `n` estimate, by Wilson's score interval (1927); 0 and 1 where n is 0.

    Holds its level on average over shares.

    >>> [round(float(v), 4) for v in wilson(0, 100)]
    [0.0, 0.037]
    """
    k, n = np.asarray(successes, float), np.asarray(n, float)
    z2 = normal_quantile(confidence) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        p = k / n
        middle, scale = p + z2 / (2 * n), 1 + z2 / n
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
        low, high = (middle - half) / scale, (middle + half) / scale
    low = np.where(k <= 0, 0.0, np.clip(low, 0.0, 1.0))
    high = np.where(k >= n, 1.0, np.clip(high, 0.0, 1.0))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def clopper_pearson(successes: Any, n: Any, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the share that `successes` of `n` estimate, by Clopper and Pearson (1934): never covers less than its level.

    >>> [round(float(v), 6) for v in clopper_pearson(4, 1500)]
    [0.000727, 0.006814]
    """
    from scipy.special import betaincinv

    k, n = np.asarray(successes, float), np.asarray(n, float)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, betaincinv(np.maximum(k, 1e-300), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-300), 1 - tail), 1.0)
    return low, high


INTERVALS = {"wilson": wilson, "clopper-pearson": clopper_pearson}


def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int]:
    """The places, from 0, of the two order statistics that enclose the median of `n` values at least so often; (-1, n) where there are too few.

    >>> median_ranks(10)
    (1, 8)
    """
    from scipy.special import bdtr, bdtrik

    tail = (1 - confidence) / 2
    rank = max(0, int(bdtrik(tail, n, 0.5)) - 1) if n else 0
    while n and bdtr(rank, n, 0.5) <= tail * (1 + 1e-12):  # so seldom are so few values below the median
        rank += 1
    return rank - 1, n - rank


def holm(p: Any) -> np.ndarray:
    """P-values for many comparisons at once, by Holm's step-down method (1979); NaN stays and counts for nothing.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    found = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return found


def mcnemar(first_only: Any, second_only: Any) -> np.ndarray:
    """The exact two-sided p-value that two success rates on common starts are one, from the starts on which one alone succeeds (McNemar 1947).

    >>> float(mcnemar(1, 9))
    0.021484375
    """
    from scipy.special import bdtr

    b, c = np.asarray(first_only), np.asarray(second_only)
    return np.minimum(1.0, 2 * bdtr(np.minimum(b, c), b + c, 0.5))


def bootstrap(values: Any, statistic: Any = np.median, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The percentile interval of a statistic of values[start], or of values[start, seed] where seeds are nested in starts (Davison and Hinkley 1997, section 3.8).

    Starts are drawn with replacement; of two levels, the seeds of each drawn start are drawn anew as well. `statistic` takes a
    one-dimensional array. Raises ValueError.

    >>> low, high = bootstrap([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> low < 3.5 < high
    True
    """
    table = np.asarray(values, float)
    if table.ndim not in (1, 2) or not table.size:
        raise ValueError(f"values must be numbers by start, or by start and seed; an array of shape {table.shape} was given")
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
    """[resample, group]: how often each group is drawn, with replacement, as many as there are (Efron 1979)."""
    if not groups:
        return np.zeros((resamples, 0))
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(float)


def accelerated(samples: np.ndarray, estimate: np.ndarray, left_out: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The (low, high) ends of the bias-corrected and accelerated bootstrap interval (BCa: Efron 1987) of several statistics.

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
    low, high = (1 - confidence) / 2, (1 + confidence) / 2
    ordered = np.sort(samples, axis=0)
    last = len(ordered) - 1
    return ordered[round(low * last)], ordered[round(high * last)]
