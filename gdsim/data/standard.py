"""Standardisation of features, by exact sums, whose bits do not depend on the processor."""

import math
from typing import NamedTuple

import numpy as np


class Standard(NamedTuple):
    """A standardisation: each feature less its `center`, over its `scale`."""

    center: np.ndarray
    scale: np.ndarray

    def applied(self, X: np.ndarray) -> np.ndarray:
        """X[sample, feature] standardised."""
        return (X - self.center) / self.scale


def standard_of(X: np.ndarray) -> Standard:
    """Means and population deviations of the columns of X[sample, feature]; of a constant column its value
    and 1.
    """
    return Standard(*np.array([_mean_and_deviation(column) for column in X.T]).T.copy())


def _mean_and_deviation(column: np.ndarray) -> tuple[float, float]:
    if column.min() == column.max():  # its mean may be a rounding off
        return float(column[0]), 1.0
    try:
        mean = math.fsum(column.tolist()) / len(column)
        with np.errstate(over="raise"):
            about = column - mean
            deviation = math.sqrt(math.fsum((about * about).tolist()) / len(column))
    except (OverflowError, FloatingPointError):
        raise ValueError(f"a column from {column.min():g} to {column.max():g} is too wide to be standardized") from None
    return mean, deviation or 1.0
