"""Which critical points are one: by their values, by what they do, or by where they are."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim import population
from gdsim.data import Data
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import PROBE
from gdsim.minima.alignment import distance
from gdsim.minima.ends import Polished
from gdsim.minima.nullity import reduced
from gdsim.words import checked_word

MERGES = ("auto", "value", "function", "point")
TOLERANCE = 1e-6  # of distances, over 1 + the length of what is compared
MOST_SAMPLES, BESIDE = 1000, 64  # of the training set, and points drawn within its ranges


def checked_merge(merge: object, problem: Any) -> str:
    """How critical points of a problem are merged: by "value", "function", "symmetry" or "point". Raises
    ValueError.
    """
    chosen = checked_word(merge, "merge", MERGES)
    if chosen == "auto":
        return "symmetry" if problem.layers or hasattr(problem, "student") else "point"
    if chosen == "function" and not problem.layers:
        raise ValueError(f"merge='function' compares predictions, and {type(problem).__name__} makes none; take 'point' or 'value'")
    return chosen


def merged(problem: Any, ends: Polished, merge: str) -> np.ndarray:
    """[run]: the group of each run among those with the same critical point, numbered by ascending value."""
    index = 2.0 * ends.negative[:, None]  # those of another index are farther away than any tolerance
    if merge == "value":
        return grouped(ends.loss, index)
    if merge == "point":
        return grouped(ends.loss, ends.parameters)
    if merge == "function":
        return grouped(ends.loss, np.concatenate([functions_of(problem, ends.parameters), index], axis=1))
    # Networks of one function are the same up to symmetries, unless units of theirs are of no use.
    x = reduced(problem, ends.parameters)
    apart = lambda first, others: distance(problem, x[first], x[others]) / (1.0 + np.linalg.norm(x[first]))  # noqa: E731
    return grouped(ends.loss, np.concatenate([functions_of(problem, x), index], axis=1), apart)


def functions_of(problem: Any, parameters: np.ndarray) -> np.ndarray:
    """[run, feature]: numbers that networks of the same function have in common, of the size of one output."""
    if hasattr(problem, "student"):  # whatever the order of the students is
        W = parameters.reshape(len(parameters), problem.student, problem.teacher)
        return np.einsum("rua,rub->rab", W, W).reshape(len(parameters), problem.teacher**2)
    outputs = population.predict(problem, parameters, probes_of(problem))
    size = outputs.shape[1] * outputs.shape[2]
    return outputs.reshape(len(outputs), size) / np.sqrt(size)


def probes_of(problem: Any) -> Data:
    """Samples at which networks are compared: of the training set, and drawn within the ranges of its
    features.
    """
    X = problem.data.X
    low, high = X.min(0), X.max(0)
    drawn = low + (high - low) * uniform_numbers(0, np.arange(BESIDE, dtype=np.uint32), (PROBE, 3), X.shape[1])
    chosen = np.linspace(0, len(X) - 1, min(len(X), MOST_SAMPLES)).astype(int)
    return Data(np.concatenate([X[chosen], drawn]), np.zeros(len(chosen) + BESIDE))


def grouped(values: np.ndarray, features: np.ndarray, apart: Callable[[int, np.ndarray], Any] | None = None) -> np.ndarray:
    """[run]: groups of runs, numbered by ascending value: those whose values and features[run, feature] are
    within the tolerance of the first, the lowest, and whose distances `apart(first, others)` are.
    """
    order, labels, count = np.argsort(values, kind="stable"), np.full(len(values), -1), 0
    ends = np.searchsorted(values[order], values[order] + TOLERANCE * (1.0 + np.abs(values[order])), "right")
    for place, first in enumerate(order):
        if labels[first] >= 0:
            continue
        others = order[place : ends[place]]
        others = others[labels[others] < 0]
        bound = TOLERANCE * (1.0 + np.linalg.norm(features[first]))
        others = others[np.linalg.norm(features[others] - features[first], axis=1) <= bound]
        if apart is not None:
            others = others[apart(int(first), others) <= TOLERANCE]
        labels[others] = count
        count += 1
    return labels
