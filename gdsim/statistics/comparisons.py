"""Tests of two samples on common starts, and p-values of many comparisons at once."""

from typing import Any

import numpy as np

from gdsim.statistics.quantiles import ArrayLike, numbers_in
from gdsim.words import given


def holm(p: ArrayLike) -> np.ndarray:
    """P-values for many comparisons at once, by Holm's step-down method (1979); NaN stays and counts for
    nothing.

    Takes and gives p[comparison]. Raises ValueError for what is no list of numbers from 0 to 1.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.atleast_1d(numbers_in(p, "p"))
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values are a list of numbers from 0 to 1; {given(p)} was given")
    found = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return found


def mcnemar(first_only: ArrayLike, second_only: ArrayLike) -> np.ndarray:
    """The exact two-sided p-value that two success rates on common starts are one, from the starts on which
    one alone succeeds (McNemar 1947).

    Arrays of any shape, alike. Raises ValueError for what counts no starts.

    >>> float(mcnemar(1, 9))
    0.021484375
    """
    from scipy.special import bdtr

    b, c = numbers_in(first_only, "first_only"), numbers_in(second_only, "second_only")
    if (b < 0).any() or (c < 0).any():
        raise ValueError(f"counts of starts are from 0; {given(first_only)} and {given(second_only)} were given")
    return np.minimum(1.0, 2 * bdtr(np.minimum(b, c), b + c, 0.5))


def signed_rank(first: ArrayLike, second: ArrayLike) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test (1945) that pairs of values are alike; equal ones
    count half for either side.

    Infinite values are equal to each other, and by as much larger than all others. Exact up to 50 pairs
    without ties, else by the normal distribution; 1 where all pairs are equal or there is none.

    >>> round(signed_rank([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, float("inf")]), 4)
    0.125
    """
    from scipy.stats import rankdata, wilcoxon

    a, b = np.asarray(first, float), np.asarray(second, float)
    equal = a == b
    if equal.all():
        return 1.0
    with np.errstate(invalid="ignore"):
        size = np.where(equal, 0.0, np.abs(a - b))
    ranks = np.where(equal, 0.0, rankdata(size)) * np.where(a > b, 1.0, -1.0)
    found: Any = wilcoxon(ranks, zero_method="zsplit")
    return float(found.pvalue)
