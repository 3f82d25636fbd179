"""Shares of a data set that are set aside: at random, by the seed alone."""

from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """Rows of the training set, and of the sets that were asked for, ascending."""

    train: np.ndarray
    held: dict[str, np.ndarray]


def is_share(value: Any) -> bool:
    """Whether a value is a share to be set aside, and no set of samples."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def split(count: int, shares: dict[str, float], seed: int, labels: np.ndarray | None = None) -> Split:
    """Draws the sets of `count` samples that `shares` names, "validation" or "test"; of each class alike
    where there are `labels`.

    Each has an order of its own, drawn with `seed`; the validation set is the first of its order that are not
    in the test set, so that without a test set it is the same as ever. By classes it is the first of each.
    Raises ValueError for shares that leave a set empty.
    """
    sizes = {name: round(share * count) if 0 < share < 1 else 0 for name, share in shares.items()}
    for name, share in shares.items():
        if not 0 < sizes[name] < count:
            raise ValueError(f"{name} must be a share that leaves samples on both sides; {share!r} of {count} samples was given")
    if sum(sizes.values()) >= count:
        given = " and ".join(f"{name}={share!r}" for name, share in shares.items())
        raise ValueError(f"{given} of {count} samples leave none to train on; give smaller shares")
    taken, held = np.zeros(count, bool), {}
    for name in ("test", "validation"):
        if name in sizes:
            order = _order(count, seed, name)
            left = order[~taken[order]]
            held[name] = np.sort(left[: sizes[name]] if labels is None else _of_each(left, sizes[name], labels))
            taken[held[name]] = True
    return Split(np.flatnonzero(~taken), held)


def _of_each(left: np.ndarray, size: int, labels: np.ndarray) -> np.ndarray:
    """The first of each class among the samples `left`, `size` in all: each class's part of it, rounded by
    largest remainders.
    """
    _, codes, members = np.unique(labels, return_inverse=True, return_counts=True)
    codes = codes.ravel()
    there = np.bincount(codes[left], minlength=len(members))
    parts, remainders = np.divmod(size * members, len(labels))
    while (missing := size - parts.sum()) > 0:  # once, but where a class has no more
        places = np.argsort(-remainders, kind="stable")
        parts[places[(parts < there)[places]][:missing]] += 1
    return np.concatenate([left[codes[left] == code][:part] for code, part in enumerate(parts)])


def _order(count: int, seed: int, name: str) -> np.ndarray:
    from gdsim.lanes.draws import uniform_numbers
    from gdsim.lanes.philox import SPLIT

    return np.argsort(uniform_numbers(seed, np.zeros(1, np.uint32), (SPLIT, int(name == "test")), count)[0], kind="stable")
