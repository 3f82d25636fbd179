"""Features for a prediction, checked against the data that a problem was declared with."""

from typing import Any

import numpy as np

from gdsim.data.arrays import features_of
from gdsim.data.columns import frame_of
from gdsim.data.declare import Data
from gdsim.data.standard import Standard
from gdsim.words import nearest


def inputs_for(data: Data, X: Any) -> np.ndarray:
    """X[sample, feature] in the units of `data.X`: standardised if that is, unless X is a Data that is
    standardised alike.

    Of a frame the columns are taken by the names that the data has. Raises ValueError for columns that are
    missing or too many.
    """
    standard = None if data.center is None or data.scale is None else Standard(data.center, data.scale)
    if isinstance(X, Data):
        same = X.center is not None and X.scale is not None and standard is not None and all(map(np.array_equal, standard, (X.center, X.scale)))
        if X.center is not None and not same:
            raise ValueError("X is standardized otherwise than the problem's data; give the features as they were")
        return _of_width(X.X if X.center is not None or standard is None else standard.applied(X.X), data)
    frame = frame_of(X)
    if frame is not None and data.feature_names is not None and all(isinstance(n, str) for n in frame.columns):
        missing = [n for n in data.feature_names if n not in frame.columns]
        if missing:
            raise ValueError(f"X has no column {missing[0]!r}, which the problem's data has; {nearest(missing[0], list(frame.columns))}")
        X = frame[list(data.feature_names)]
    found = _of_width(features_of(X)[0], data)
    return found if standard is None else standard.applied(found)


def _of_width(found: np.ndarray, data: Data) -> np.ndarray:
    features = data.X.shape[1]
    if found.ndim != 2 or found.shape[1] != features or not len(found):
        raise ValueError(f"X must have the problem's {features} features; shape {found.shape} was given, and [sample, {features}] is needed")
    return found
