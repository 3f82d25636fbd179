"""Warnings of columns from which nothing, or nothing worth knowing, is learnt."""

import sys
import warnings
from collections.abc import Sequence

import numpy as np

# Rows from which on a column of whole numbers in the rows' own order, or in any order, is taken for one that counts them.
COUNTED_IN_ORDER, COUNTED_IN_ANY = 4, 20
# What pandas calls a column without a name: an index that was written with the data.
NAMELESS = "Unnamed: 0"


def warn_of_constants(X: np.ndarray, names: Sequence[str] | None) -> None:
    """Warns of columns that are constant in the training samples."""
    constant = np.flatnonzero(X.min(0) == X.max(0)).tolist()
    if constant:
        which = [repr(names[i]) if names is not None else str(i) for i in constant]
        shown = ", ".join(which if len(which) <= 10 else [*which[:9], f"... ({len(which)} in all)"])
        _warn(f"column {shown} of X is constant in the training samples: nothing can be learnt from it, leave it out")


def warn_of_counts(X: np.ndarray, names: Sequence[str]) -> None:
    """Warns of columns that number the rows: models would learn the order of the file."""
    counting = [n for n, column in zip(names, X.T, strict=True) if n == NAMELESS or (len(names) > 1 and _counts(column))]
    if counting:
        which = ", ".join(map(repr, counting))
        _warn(f"column {which} counts the rows, as an index does that was written with the data: leave it out (drop={counting!r}) unless it is a feature")


def _counts(column: np.ndarray) -> bool:
    if len(column) < COUNTED_IN_ORDER:
        return False
    places = column if len(column) < COUNTED_IN_ANY else np.sort(column)
    return bool(places[0] in (0.0, 1.0) and (np.diff(places) == 1.0).all())


def _warn(text: str) -> None:
    """A warning of the line, outside gdsim, that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "gdsim":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
