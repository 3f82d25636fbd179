"""Tests of two samples on common starts, and p-values of many comparisons at once."""

from typing import Any

import numpy as np


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
