"""What is asked: a call of a public function with its arguments, as data that a folder can keep."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.canonical import canonical
from gdsim.kernels import BITS, PENALTY_BITS
from gdsim.population.workplace import Workplace
from gdsim.sweep.planning.plan import OPERATIONS_PER_SECOND
from gdsim.sweep.results.reading import Dataset

# Work of one core that is made, stored and tried again at once, and a multiple of which many items are, so
# that packs are full.
PIECE_SECONDS, PACKS = 2.0, 64


class Call(NamedTuple):
    """A public function whose answer is made item by item, as a folder and other processes know it."""

    name: str  # under `gd`, as "landscape.plane"
    # What is found of the items from the first to before the last, arrays [item, ...] by name, on threads or a
    # device: of each item the same, wherever and with whatever others it is made.
    work: "Callable[[Question, int, int, Workplace], Mapping[str, np.ndarray]]"
    # The Dataset of what was found of all items; of those that a folder lacks numbers are NaN or -1.
    dataset: "Callable[[Question, Mapping[str, np.ndarray]], Dataset]"
    item: str = "point"  # what an item is, in one word
    is_partial: bool = True  # whether there is a Dataset while items are lacking
    version: int = BITS  # of the bits that `work` gives by itself, one higher than all there are when they change


class Question(NamedTuple):
    """A call with its arguments, checked and in full: nothing else decides what is found.

    In a folder problems, and what arguments there are beside plain numbers, words, lists and tables, are kept
    in their canonical form: arguments come back as plain as they are there, and a problem that cannot be made
    anew, as a `TorchProblem`, comes back as None. So `work` may use all of it, and `dataset` the plain
    arguments, the arrays, and the problems that are there.
    """

    call: Call
    arguments: dict[str, Any]
    problems: tuple[Any, ...]
    arrays: dict[str, np.ndarray]  # of numbers or words, by name
    items: int
    operations: float  # of an item, about: pieces are cut by them
    bits: int = BITS  # the version of those of the runs that are trained for it
    # Arrays that follow from all else, and whose last bits are the processor's: they identify nothing, and a
    # folder goes on with those of who began it.
    derived: tuple[str, ...] = ()

    @property
    def piece(self) -> int:
        """How many items are made, stored and tried again at once."""
        count = int(PIECE_SECONDS * OPERATIONS_PER_SECOND / max(1.0, self.operations))
        return max(1, count if count < PACKS else count // PACKS * PACKS)

    @property
    def kernels(self) -> int:
        """The version of the bits that are found: the highest of those of its parts, as of a sweep."""
        has_penalty = any(getattr(p, "l1", 0.0) or getattr(p, "l2", 0.0) for p in self.problems)
        return max(self.bits, self.call.version, PENALTY_BITS if has_penalty else BITS)

    def document(self) -> dict[str, Any]:
        """What identifies it, as plain tables, lists, numbers and words: arrays and data by their hashes."""
        arrays = {name: {"sha256": array_digest(values)} for name, values in self.arrays.items() if name not in self.derived}
        problems = [identity_of(p) for p in self.problems]
        return {"call": self.call.name, "arguments": canonical(self.arguments), "problems": problems, "arrays": arrays, "items": self.items}


def identity_of(problem: Any) -> dict[str, Any]:
    """A problem in its canonical form; one that is no declaration says its own, a table with its `type`."""
    return problem.identity() if hasattr(problem, "identity") else canonical(problem)


def array_digest(values: np.ndarray) -> str:
    """SHA-256 of an array's numbers or words, their type and their shape."""
    return hashlib.sha256(f"{values.dtype.str} {values.shape}".encode() + np.ascontiguousarray(values).tobytes()).hexdigest()
