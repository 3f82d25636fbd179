"""Pieces of an answer: ranges of items, and what was found of all of them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# What stands where nothing was found, by the kind of numbers.
LACKING = {"f": np.nan, "i": -1, "u": 0, "b": False}


class Piece(NamedTuple):
    """The items from the first to before the last."""

    name: str
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many items."""
        return self.last - self.first

    @property
    def group(self) -> int:
        """All pieces of a question are of one kind."""
        return 0


def pieces_of(question: str, items: int, size: int) -> list[Piece]:
    """Items cut into pieces, whose names are of the question's hash; of no items one, which is empty."""
    cuts = [(first, min(first + size, items)) for first in range(0, max(1, items), size)]
    return [Piece(hashlib.sha256(f"{question} {first} {last}".encode()).hexdigest()[:32], first, last) for first, last in cuts]


def joined(parts: Iterable[tuple[Piece, Mapping[str, np.ndarray]]], items: int) -> dict[str, np.ndarray]:
    """Arrays [item, ...] of all items by what was found of some: NaN or -1 where nothing was, and where others'
    are longer.
    """
    known = list(parts)
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for _, arrays in known for name in arrays):
        some = [(piece, arrays[name]) for piece, arrays in known if name in arrays]
        shape = _longest([values.shape[1:] for _, values in some])
        kind = np.result_type(*(values.dtype for _, values in some))
        whole = found[name] = np.full((items, *shape), LACKING[kind.kind], kind)
        for piece, values in some:
            whole[(slice(piece.first, piece.last), *map(slice, values.shape[1:]))] = values
    return found


def _longest(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape into which all of some shapes fit."""
    return tuple(map(max, zip(*shapes, strict=True)))
