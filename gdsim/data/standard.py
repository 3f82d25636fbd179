"""Standardisation of features, by exact sums, whose bits do not depend on the processor."""

import math
import warnings
from collections.abc import Sequence
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
    """Means and population deviations of the columns of X[sample, feature]; of a constant column its value and 1."""
    found = [_mean_and_deviation(column) for column in X.T]
    return Standard(*(np.array(values) for values in zip(*found, strict=True)))


def _mean_and_deviation(column: np.ndarray) -> tuple[float, float]:
    if column.min() == column.max():  # its mean may be a rounding off
        return float(column[0]), 1.0
    try:
        mean = math.fsum(column.tolist()) / len(column)
        about = column - mean
        deviation = math.sqrt(math.fsum((about * about).tolist()) / len(column))
    except OverflowError:
        raise ValueError(f"a column from {column.min():g} to {column.max():g} is too wide to be standardised") from None
    return mean, deviation or 1.0


def warn_of_constants(X: np.ndarray, names: Sequence[str] | None) -> None:
    """Warns of columns that are constant in the training samples: nothing can be learnt from them."""
    constant = np.flatnonzero(X.min(0) == X.max(0))
    if len(constant):
        which = [repr(names[i]) if names is not None else str(i) for i in constant.tolist()]
        shown = ", ".join(which if len(which) <= 10 else [*which[:9], f"... ({len(which)} in all)"])
        warnings.warn(f"column {shown} of X is constant in the training samples: nothing can be learnt from it, leave it out", UserWarning, stacklevel=2)
