"""The one quantile of this project: the ceil(q n)-th smallest, a value that a run has."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdsim.axes import checked_whole
from gdsim.words import given

if TYPE_CHECKING:
    import numpy.typing

ArrayLike: TypeAlias = "numpy.typing.ArrayLike"  # as a text, which `help` shows; what it stands for is a page

# Starts without which no order statistics enclose a median in 95%, and too few to draw anew from: of n starts
# n^(1 - n) of the draws are one alone.
FEWEST_FOR_INTERVALS = 6


def numbers_in(values: Any, name: str) -> np.ndarray:
    """Numbers of any shape as float64. Raises TypeError for what is none."""
    try:
        return np.asarray(values, float)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be numbers; {given(values)} was given") from None


def rank_of(share: float, n: Any) -> Any:
    """The place, from 0, of a quantile among `n` ascending values, one number or many.

    >>> rank_of(0.5, 4), rank_of(0.25, 4)
    (1, 0)
    """
    # k/n as a double may lie just above the fraction, which would take the next value
    places = np.clip(np.ceil(share * np.asarray(n) - 1e-9).astype(np.int64) - 1, 0, np.maximum(np.asarray(n) - 1, 0))
    return places if np.ndim(n) else int(places)


def quantile(values: Any, share: float, axis: int = 0) -> Any:
    """The ceil(share x n)-th smallest of `values` along an axis, NumPy's "inverted_cdf"; NaN is left out, and
    infinite values are the largest.

    What diverged is given as infinite. NaN where there is no value.

    >>> float(quantile([3.0, 1.0, 2.0, float("inf")], 0.5))
    2.0
    """
    ordered = np.sort(np.asarray(values, float), axis=axis)  # NaN last
    known = np.sum(~np.isnan(ordered), axis=axis, keepdims=True)
    if not ordered.shape[axis]:
        return np.full(np.delete(ordered.shape, axis), np.nan)[()]
    return np.squeeze(np.take_along_axis(ordered, rank_of(share, known), axis=axis), axis=axis)[()]


def median(values: Any, axis: int = 0) -> Any:
    """The lower of the two values in the middle where their number is even: `quantile` at one half.

    >>> float(median([1.0, 2.0, 3.0, float("inf")]))
    2.0
    """
    return quantile(values, 0.5, axis)


def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int]:
    """The places, from 0, of the two order statistics that enclose the median of `n` values at least so
    often; (-1, n) where there are too few.

    Raises ValueError unless `n` is a whole number from 0.

    >>> median_ranks(10)
    (1, 8)
    """
    from scipy.special import bdtr, bdtrik

    n, tail = checked_whole(n, "n", 0), (1 - confidence) / 2
    rank = max(0, int(bdtrik(tail, n, 0.5)) - 1) if n else 0
    while n and bdtr(rank, n, 0.5) <= tail * (1 + 1e-12):  # so seldom are so few values below the median
        rank += 1
    return rank - 1, n - rank


def median_interval(values: Any, confidence: float = 0.95) -> tuple[float, float]:
    """The two order statistics that enclose the median of `values`; infinite where there are too few, NaN
    where there is none.

    NaN is left out. Covers at least its level (David and Nagaraja 2003, section 7.1).

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    (1.0, 8.0)
    """
    ordered = np.sort(np.asarray(values, float))
    ordered = ordered[~np.isnan(ordered)]
    if not len(ordered):
        return float("nan"), float("nan")
    low, high = median_ranks(len(ordered), confidence)
    return (float(ordered[low]) if low >= 0 else float("-inf")), (float(ordered[high]) if high < len(ordered) else float("inf"))
