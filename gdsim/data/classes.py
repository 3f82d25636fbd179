"""Classes are the labels that occur: which they are, in what order, and when whole numbers are more likely
numbers than labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.words import given

# As many classes in labels that do not count from 0 raise the question whether they are numbers.
MOST_UNASKED = 20
# Labels from 0 to fewer than these were classes, each of them, in folders that do not name their classes.
MOST_COUNTED = 2**20


def is_labels(y: np.ndarray) -> bool:
    """Whether targets may be labels: texts or whole numbers, one per sample."""
    return y.dtype.kind in "iU" and (y.ndim == 1 or y.shape[1] == 1)


def not_labels(y: np.ndarray) -> str:
    """What targets are that are no labels, and how they become labels where all are whole."""
    is_whole = (y.ndim == 1 or y.shape[1] == 1) and bool((np.abs(y) < 2.0**53).all() and (y == np.floor(y)).all())
    return f"y is {y.dtype} of shape {y.shape}" + (", and all are whole: give y.astype(int)" if is_whole else "")


def classes_of(labels: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """The labels that occur in any of the sets, ascending; of labels 0 and 1 both, whichever occur."""
    found = np.unique(np.concatenate([v.ravel() for v in labels])).tolist()
    return (0, 1) if set(found) <= {0, 1} else tuple(found)


def codes_of(labels: np.ndarray, classes: Sequence[Any], name: str) -> np.ndarray:
    """[sample] places of labels among the classes. Raises ValueError for a label that is none of them."""
    flat, known = labels.ravel(), np.array(classes)
    if flat.dtype.kind != known.dtype.kind and flat.dtype.kind == "i":  # whole numbers are places among names
        known = np.arange(len(classes))
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known[order], flat) if flat.dtype.kind == known.dtype.kind else np.full(len(flat), len(known))
    found = order[np.minimum(at, len(known) - 1)]
    wrong = np.flatnonzero(known[found] != flat) if flat.dtype.kind == known.dtype.kind else np.arange(len(flat))
    if len(wrong):
        raise ValueError(f"{name}[{wrong[0]}] is {flat[wrong[0]].item()!r}, which is none of the classes {listed(classes)}")
    return found.astype(np.int64)


def checked_names(value: Any) -> tuple[Any, ...]:
    """Names of classes as given: different texts, or different whole numbers."""
    try:
        names = np.asarray(value)
    except ValueError:
        names = np.zeros(0)
    if names.ndim != 1 or not len(names) or names.dtype.kind not in "iuU" or len(np.unique(names)) < len(names):
        raise ValueError(f"class_names must be a list of different texts or whole numbers; {given(value)} was given")
    return tuple(names.tolist())


def counted(classes: Sequence[Any]) -> bool:
    """Whether classes are 0, 1, 2, ..., so that a label is its class's place."""
    return list(classes) == list(range(len(classes)))


def are_doubtful(labels: np.ndarray, classes: Sequence[Any]) -> bool:
    """Whether labels look like numbers: very many of them, or few samples of each where they do not count
    from 0.
    """
    many, rare = len(classes) > MOST_UNASKED, len(classes) > 2 and 2 * len(classes) > len(labels)
    return (many and rare) if counted(classes) else (many or rare)


def listed(classes: Sequence[Any]) -> str:
    """The classes in words, of many the first and the last."""
    names = [given(c) for c in classes]
    return ", ".join(names if len(names) <= 10 else [*names[:8], "...", names[-1]])
