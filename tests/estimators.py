"""Small estimators and their samples."""

import math

import numpy as np
import pytest

import gdsim as gd

FULL = pytest.mark.full
SMALL = {"hidden_layer_sizes": (5,), "n_starts": 3, "max_iter": 12, "random_state": 0, "n_iter_no_change": math.inf}
CLASSES, NUMBERS = ("two classes", "three classes", "several labels"), ("one output", "two outputs")


def targets(kind, count=60):
    """(X, y) of a kind of targets."""
    X = np.random.default_rng(1).normal(size=(count, 4))
    y = {
        "two classes": np.where(X[:, 0] > 0, "yes", "no"), "three classes": np.digitize(X[:, 0], [-0.5, 0.5]) * 10 - 3,
        "several labels": (X[:, :3] + X[:, 1:] > 0).astype(int), "one output": X[:, 0] - X[:, 1] ** 2,
        "two outputs": np.stack([X[:, 0], X[:, 1] * X[:, 2]], 1),
    }[kind]  # fmt: skip
    return X, y


def made(kind, **options):
    """An estimator for a kind of targets."""
    return (gd.MultistartClassifier if kind in CLASSES else gd.MultistartRegressor)(**{**SMALL, **options})
