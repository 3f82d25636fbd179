"""Samples from a PyTorch Dataset, item by item. Imports nothing: who has a Dataset has imported torch."""

import sys
from typing import Any

import numpy as np

from gdsim.data.arrays import plain
from gdsim.words import article


def is_dataset(value: Any) -> bool:
    """Whether a value is a PyTorch Dataset.

    Raises TypeError for a DataLoader, and for a Dataset that has no length.
    """
    torch = sys.modules.get("torch.utils.data")
    if torch is None:
        return False
    if isinstance(value, torch.DataLoader):
        raise TypeError("a DataLoader gives batches; give its samples, loader.dataset, and gd.Sweep(batch=...) the size of batches")
    if not isinstance(value, torch.Dataset):
        return False
    if isinstance(value, torch.IterableDataset) or not hasattr(value, "__len__"):
        raise TypeError(f"a Dataset must have a length and items by number; {type(value).__name__} has not: give X and y as arrays")
    return True


def samples_in(dataset: Any) -> tuple[np.ndarray, Any]:
    """(X[sample, feature], y) of a map-style Dataset whose items are pairs: each is read once, and its
    features are flattened.

    Raises ValueError for items that are no pairs, and for features or targets of different shapes.
    """
    if not len(dataset):
        raise ValueError("the Dataset has no items; data needs at least one sample")
    rows, targets = zip(*(_pair(_item(dataset, i), i) for i in range(len(dataset))), strict=True)
    X, y = np.stack(_alike(rows, "features")), _alike(targets, "a target")
    return X.reshape(len(X), -1), np.stack(y) if y[0].ndim else [one.item() for one in y]


def _item(dataset: Any, place: int) -> Any:
    try:
        return dataset[place]
    except Exception as error:
        raise ValueError(f"item {place} of the Dataset raises {type(error).__name__}: {' '.join(str(error).split())}") from error


def _pair(item: Any, place: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        parts = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise ValueError(f"each item of a Dataset must be a pair (x, y); item {place} is {article(type(item).__name__)}{parts}")
    return plain(item[0], f"x of item {place}"), plain(item[1], f"y of item {place}")


def _alike(arrays: tuple[np.ndarray, ...], what: str) -> tuple[np.ndarray, ...]:
    odd = next((i for i, a in enumerate(arrays) if a.shape != arrays[0].shape), None)
    if odd is not None:
        raise ValueError(f"all items of a Dataset must have {what} of one shape; item 0 has {arrays[0].shape}, item {odd} has {arrays[odd].shape}")
    return arrays
