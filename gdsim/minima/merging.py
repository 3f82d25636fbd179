"""Which critical points are one: by their values, by what they do, or by where they are."""

from typing import Any

import numpy as np

from gdsim import population
from gdsim.data import Data
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import PROBE
from gdsim.minima.ends import Polished
from gdsim.words import checked_word

MERGES = ("auto", "value", "function", "point")
TOLERANCE = 1e-6  # of distances, over 1 + the length of what is compared
MOST_SAMPLES, BESIDE = 1000, 64  # of the training set, and points drawn within its ranges


def checked_merge(merge: object, problem: Any) -> str:
    """How critical points of a problem are merged: "value", "function" or "point". Raises ValueError."""
    chosen = checked_word(merge, "merge", MERGES)
    if chosen == "auto":
        return "function" if problem.layers else "point"
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
    outputs = population.predict(problem, ends.parameters, probes_of(problem))
    size = outputs[0].size if len(outputs) else 1
    return grouped(ends.loss, np.concatenate([outputs.reshape(len(outputs), size) / np.sqrt(size), index], axis=1))


def probes_of(problem: Any) -> Data:
    """Samples at which networks are compared: of the training set, and drawn within the ranges of its
    features.
    """
    X = problem.data.X
    low, high = X.min(0), X.max(0)
    drawn = low + (high - low) * uniform_numbers(0, np.arange(BESIDE, dtype=np.uint32), (PROBE, 3), X.shape[1])
    chosen = np.linspace(0, len(X) - 1, min(len(X), MOST_SAMPLES)).astype(int)
    return Data(np.concatenate([X[chosen], drawn]), np.zeros(len(chosen) + BESIDE))


def grouped(values: np.ndarray, features: np.ndarray) -> np.ndarray:
    """[run]: groups of runs, numbered by ascending value: those whose values and features[run, feature] are
    within the tolerance of the first, the lowest.
    """
    order, labels, count = np.argsort(values, kind="stable"), np.full(len(values), -1), 0
    ends = np.searchsorted(values[order], values[order] + TOLERANCE * (1.0 + np.abs(values[order])), "right")
    for place, first in enumerate(order):
        if labels[first] >= 0:
            continue
        others = order[place : ends[place]]
        others = others[labels[others] < 0]
        apart = np.linalg.norm(features[others] - features[first], axis=1)
        labels[others[apart <= TOLERANCE * (1.0 + np.linalg.norm(features[first]))]] = count
        count += 1
    return labels
