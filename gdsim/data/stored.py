"""Data as named arrays, as results folders keep them, and back."""

from typing import Any

import numpy as np

from gdsim.data.classes import MOST_COUNTED
from gdsim.data.declare import Data, checked_samples, counted_classes


def arrays_of(data: Data) -> dict[str, np.ndarray]:
    """The arrays that make up a data set, by their names in a file."""
    found = {f"{letter}{'' if n == 'train' else '_' + n}": getattr(part, letter) for n, part in data.sets.items() for letter in "Xy"}
    more: dict[str, Any] = {
        "sample_weight": data.sample_weight,
        "center": data.center,
        "scale": data.scale,
        "feature_names": data.feature_names,
        "class_names": data.kept_classes,
    }
    return found | {n: np.asarray(v) for n, v in more.items() if v is not None}


def kept_data(arrays: dict[str, np.ndarray], digest: str, name: str) -> Data:
    """The data set of a results folder whose hash is `digest`.

    Raises ValueError for arrays that are damaged.
    """
    data = data_from(arrays, name)
    if data.digest != digest:
        raise ValueError("it is damaged: its numbers do not match its name")
    return data


def data_from(arrays: dict[str, np.ndarray], name: str) -> Data:
    """The data of the arrays that `arrays_of` gave.

    Where classes have no names, labels count from 0 to the highest.
    """
    sets = {
        n: checked_samples(arrays[f"X{end}"], arrays[f"y{end}"])
        for n, end in (("train", ""), ("validation", "_validation"), ("test", "_test"))
        if f"X{end}" in arrays
    }
    shared: dict[str, Any] = {n: np.array(arrays[n], np.float64) for n in ("sample_weight", "center", "scale") if n in arrays}
    shared |= {"feature_names": tuple(map(str, arrays["feature_names"]))} if "feature_names" in arrays else {}
    classes: tuple[Any, ...] | None = tuple(arrays["class_names"].tolist()) if "class_names" in arrays else None
    features, highest = sets["train"].X.shape[1], max(int(s.y.max()) for s in sets.values())
    if any(s.X.shape[1] != features or s.y.ndim != sets["train"].y.ndim for s in sets.values()) or (classes is not None and highest >= len(classes)):
        raise ValueError("it is damaged: its arrays do not fit each other")
    made = Data.of(sets, name, **shared, _classes=classes)
    if classes is None and made.class_names not in (None, counted_classes(made)) and 0 <= highest < MOST_COUNTED:
        return Data.of(sets, name, **shared, _classes=counted_classes(made))
    return made
