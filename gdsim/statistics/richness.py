"""Kinds that were met so often each: groups of numbers, and how many kinds nobody has met."""

from typing import Any

import numpy as np


def clusters(values: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """(lowest value, size) of each group of sorted values."""
    if not len(values):
        return np.zeros(0), np.zeros(0, np.int64)
    first = np.concatenate([[0], 1 + np.flatnonzero(np.diff(values) > tolerance * (1 + np.abs(values[:-1])))])
    return values[first], np.diff(np.append(first, len(values)))


def richness(numbers: np.ndarray) -> dict[str, Any]:
    """The estimates of `gd.analysis.minima_left` from how many runs ended in each minimum."""
    numbers = numbers[numbers > 0].astype(int)
    n, w = int(numbers.sum()), len(numbers)
    once, twice = int((numbers == 1).sum()), int((numbers == 2).sum())
    nan = float("nan")
    minima = w * (n - 1) / (n - w - 2) if n >= w + 3 else nan
    covered = (n - w - 1) * (n + w) / (n * (n - 1)) if n >= w + 1 and n > 1 else nan
    return {
        "runs": n, "found": w, "coverage": 1 - once / n if n else nan, "chao1": w + once * (once - 1) / (2 * (twice + 1)) if n else nan,
        "expected_minima": minima, "expected_coverage": covered, "stop": bool(minima - w <= 0.5 or covered >= 0.995),
    }  # fmt: skip
