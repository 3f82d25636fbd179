"""Warnings of columns from which nothing, or nothing worth knowing, is learnt, and of classes that a set
lacks.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gdsim.data.classes import MOST_UNASKED, are_doubtful, classes_of, codes_of, is_labels
from gdsim.data.columns import LEFT_OUT

# Rows from which on a column is taken for one that counts them: by 1 from 0 or 1 as they stand; by any step,
# from anywhere, in any order.
COUNTED_FROM_START, COUNTED_IN_ANY = 4, 20
# Samples of a class that a held-out set would have, by the training set's share of it, from which on it is
# strange that there are none.
EXPECTED = 5
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
        _warn(
            f"column {which} counts the rows, as an index does that was written with the data: leave it out ({LEFT_OUT.get().format(counting)}) unless it is a feature"
        )


def _counts(column: np.ndarray) -> bool:
    """Whether whole numbers rise or fall by one step from row to row, or would if they were sorted."""
    places = column if len(column) < COUNTED_IN_ANY else np.sort(column)
    step = places[1] - places[0] if len(places) > 1 else 0.0
    if step == 0.0 or (places != np.floor(places)).any() or (np.diff(places) != step).any():
        return False
    return len(places) >= (COUNTED_FROM_START if step == 1.0 and places[0] in (0.0, 1.0) else COUNTED_IN_ANY)


def warn_of_absent_classes(labels: Mapping[str, np.ndarray], classes: Sequence[Any] | None) -> None:
    """Warns of classes that the training set lacks, which no model can learn, and of those that a held-out
    set lacks though it is large.

    `labels[set]`, "train" first, are [sample] places among the `classes`, or targets that may be labels where
    there are none.
    """
    if len(labels) == 1 or (classes is None and not is_labels(labels["train"])):
        return
    if classes is None:
        classes = classes_of(list(labels.values()))
        if are_doubtful(labels["train"], classes):
            return
        labels = {name: codes_of(values, classes, name) for name, values in labels.items()}
    counts = {name: np.bincount(places, minlength=len(classes)) for name, places in labels.items()}
    said = []
    for place in range(len(classes)):
        having, share = [name for name, found in counts.items() if found[place]], counts["train"][place] / len(labels["train"])
        lacking = [name for name in labels if name not in having and (name == "train" or share * len(labels[name]) >= EXPECTED)]
        if having and lacking:
            where = " and ".join({"train": "training"}.get(name, name) for name in having)
            said.append((classes[place], f"in the {where} set{'s' if len(having) > 1 else ''} alone"))
    if said:
        shown = [f"{name!r} occurs {where}" for name, where in said[:5]] + ([f"... ({len(said)} such classes in all)"] if len(said) > 5 else [])
        _warn(f"class {', '.join(shown)}: what a set lacks is neither learnt nor measured by it; give larger shares, another seed, or sets of your own")


def warn_of_rare_classes(labels: np.ndarray) -> None:
    """Warns of labels that are texts, and nearly as many as samples, as names and numbers of a list are."""
    classes = len(np.unique(labels))
    if classes > MOST_UNASKED and 2 * classes > len(labels):
        _warn(
            f"y has {classes} classes in {len(labels)} samples, as a column has that names the rows: of a class with a sample or two nothing is "
            "learnt that holds for others; take another target, unless this is meant"
        )


def warn_of_alike_classes(classes: Sequence[str]) -> None:
    """Warns of labels that differ by blanks or by capitals alone, as one class does that was written in
    several ways.
    """
    ways: dict[str, list[str]] = {}
    for name in classes:
        ways.setdefault(" ".join(name.split()).casefold(), []).append(name)
    alike = [names for names in ways.values() if len(names) > 1]
    if alike:
        shown = "; ".join(", ".join(map(repr, names)) for names in alike[:5]) + ("; ..." if len(alike) > 5 else "")
        _warn(f"labels that differ by blanks or capitals alone are different classes: {shown}; write each class in one way, unless this is meant")


def _warn(text: str) -> None:
    """A warning of the line, outside gdsim, that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "gdsim":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
