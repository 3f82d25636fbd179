"""Intervals of shares: how far the true share may lie from the one that was counted."""

from typing import Any

import numpy as np

from gdsim.statistics.quantiles import ArrayLike, numbers_in
from gdsim.words import given


def normal_quantile(confidence: float) -> float:
    """How many standard deviations a normal value stays within so often, on both sides.

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    return float(-ndtri((1 - confidence) / 2))


def checked_counts(successes: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Successes and out of how many, as arrays. Raises ValueError for what no count can be."""
    k, total = numbers_in(successes, "successes"), numbers_in(n, "n")
    if (k < 0).any() or (k > total).any():
        raise ValueError(f"successes must be from 0 to n; {given(successes)} of {given(n)} were given")
    return k, total


def wilson(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the share that `successes` of `n` estimate, by Wilson's score interval (1927); 0 and 1
    where n is 0.

    Holds its level on average over shares. Arrays of any shape, alike. Raises ValueError unless 0 <=
    successes <= n.

    >>> [round(float(v), 4) for v in wilson(0, 100)]
    [0.0, 0.037]
    """
    k, n = checked_counts(successes, n)
    z2 = normal_quantile(confidence) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        p = k / n
        middle, scale = p + z2 / (2 * n), 1 + z2 / n
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
        low, high = (middle - half) / scale, (middle + half) / scale
    low = np.where(k <= 0, 0.0, np.clip(low, 0.0, 1.0))
    high = np.where(k >= n, 1.0, np.clip(high, 0.0, 1.0))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def clopper_pearson(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the share that `successes` of `n` estimate, by Clopper and Pearson (1934): never covers
    less than its level.

    Arrays of any shape, alike. Raises ValueError unless 0 <= successes <= n.

    >>> [round(float(v), 6) for v in clopper_pearson(4, 1500)]
    [0.000727, 0.006814]
    """
    from scipy.special import betaincinv

    k, n = checked_counts(successes, n)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, betaincinv(np.maximum(k, 1e-300), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-300), 1 - tail), 1.0)
    return low, high


def clustered(share: Any, variance: Any, n: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of a mean share of `n` starts, whose own shares, 0 to 1 each, have this mean and variance
    (divided by n).

    The outer ends of two intervals, with t Student's quantile for n - 1: Wilson's with the variance of the
    starts in place of p (1 - p),

        (n p + t^2/2 -+ t sqrt(n v + t^2/4)) / (n + t^2),

    and p -+ t sqrt(v/n). Where all starts agree the first is left, as wide as Wilson's at 0 of n, and nowhere
    is it narrower. The whole of 0 to 1 where there are fewer than two starts.

    >>> [round(float(v), 3) for v in clustered(1.0, 0.0, 16)]
    [0.779, 1.0]
    """
    from scipy.special import stdtrit

    p, v, n = np.asarray(share, float), np.asarray(variance, float), np.asarray(n, float)
    t = stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2)
    middle, half = n * p + t * t / 2, t * np.sqrt(n * v + t * t / 4)
    plain = t * np.sqrt(v / np.maximum(n, 1))
    low = np.minimum((middle - half) / (n + t * t), p - plain)
    high = np.maximum((middle + half) / (n + t * t), p + plain)
    return np.where(n > 1, np.clip(low, 0.0, 1.0), 0.0), np.where(n > 1, np.clip(high, 0.0, 1.0), 1.0)


INTERVALS = {"wilson": wilson, "clopper-pearson": clopper_pearson}
