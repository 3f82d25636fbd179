"""The type of a kernel's real numbers, float32 or float64, with tangents or without, and arrays of them on the
host.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

LINE = 64  # bytes of a cache line: a register of as many that lies across two costs two accesses
APART = 144  # numbers from an array of values to that of their tangents: whole lines, and no power of two


def zeros(count: int, dtype: DTypeLike) -> np.ndarray:
    """So many zeros, from the beginning of a cache line on."""
    kind = np.dtype(dtype)
    raw = np.zeros(count * kind.itemsize + LINE, np.uint8)
    first = -raw.ctypes.data % LINE
    return raw[first : first + count * kind.itemsize].view(kind)


def constant(count: int, value: float, dtype: DTypeLike) -> np.ndarray:
    """`np.full`, in the memory of one number: it can be read, and not changed.

    >>> constant(10**12, -1, np.int64)[-1]
    np.int64(-1)
    """
    return np.broadcast_to(np.array(value, dtype), count)


@dataclasses.dataclass(frozen=True)
class DualZero:
    """0 with tangents that are 0, by whose type a kernel knows its numbers."""

    number: "Number"


class Duals:
    """An array of numbers with tangents: `values[place]`, and behind them in memory `tangents[tangent, place]`.

    >>> numbers = Duals(3, Number(np.dtype("float64"), tangents=2))
    >>> numbers.values.shape, numbers.tangents.shape
    ((3,), (2, 3))
    """

    def __init__(self, count: int, number: "Number", whole: np.ndarray | None = None) -> None:
        room = count + APART if count else 0
        self.whole = zeros((1 + number.tangents) * room, number.dtype).reshape(1 + number.tangents, room) if whole is None else whole
        self.number, self.values, self.tangents = number, self.whole[0, :count], self.whole[1:, :count]

    def moved(self, whole: np.ndarray) -> "Duals":
        """The numbers that lie in an array like `whole`: [value or tangent, place], with what is between them."""
        return Duals(self.values.size, self.number, whole)


@dataclasses.dataclass(frozen=True)
class Near:
    """Numbers in the near memory of a block of threads, which is there while they run: where in it, and how many.

    >>> Near(512, 32, np.dtype("float32")).end
    640
    """

    first: int  # bytes from its beginning on
    count: int
    dtype: np.dtype

    @property
    def end(self) -> int:
        """How many bytes of near memory there must be."""
        return self.first + self.count * self.dtype.itemsize


def near_bytes(value: Any) -> int:
    """How much near memory the arrays of a nested tuple need."""
    if isinstance(value, tuple):
        return max(map(near_bytes, value), default=0)
    return value.end if isinstance(value, Near) else 0


class Number(NamedTuple):
    """The type of a kernel's real numbers: everything that makes arrays of them asks it.

    Arrays of numbers with tangents are `Duals`.

    >>> Number(np.dtype("float32")).full(2, 1.5)
    array([1.5, 1.5], dtype=float32)
    """

    dtype: np.dtype
    tangents: int = 0

    @classmethod
    def named(cls, name: str) -> "Number":
        """The type of this name."""
        dtype, _, tangents = name.partition("_")
        return cls(np.dtype(dtype), int(tangents or 0))

    @property
    def name(self) -> str:
        """A name as variables have it.

        >>> Number.named("float64_4").name, Number.named("float32").name
        ('float64_4', 'float32')
        """
        return f"{self.dtype.name}_{self.tangents}" if self.tangents else self.dtype.name

    @property
    def zero(self) -> np.generic | DualZero:
        """0, by whose type a kernel knows the numbers."""
        return DualZero(self) if self.tangents else self.dtype.type(0)

    @property
    def bits(self) -> np.dtype:
        """The unsigned integers that hold a number's bits."""
        return np.dtype(f"uint{8 * self.dtype.itemsize}")

    def zeros(self, count: int) -> Any:
        """So many zeros, from the beginning of a cache line on."""
        return Duals(count, self) if self.tangents else zeros(count, self.dtype)

    def full(self, count: int, value: float) -> Any:
        """The same number so many times."""
        if not self.tangents:
            return np.full(count, value, self.dtype)
        made = self.zeros(count)
        made.values[:] = value
        return made

    def holding(self, values: np.ndarray, tangents: ArrayLike = 0.0) -> Any:
        """Numbers with tangents [tangent, place], or with none."""
        if not self.tangents:
            return np.ascontiguousarray(values, self.dtype).ravel()
        made = self.zeros(values.size)
        made.values[:], made.tangents[:] = values.ravel(), tangents
        return made

    def array(self, values: ArrayLike) -> np.ndarray:
        """The numbers nearest to some, in an array of its own: constants, without tangents."""
        return np.array(values, self.dtype)


def values_of(array: "np.ndarray | Duals") -> np.ndarray:
    """The values of an array of numbers, with tangents or without."""
    return array.values if isinstance(array, Duals) else array


def in_plane(held: Any, number: int) -> Any:
    """A nested NamedTuple with the values (number 0) or one of the tangents (1, 2, ...) in the place of each of
    its arrays of numbers with tangents.
    """
    if isinstance(held, Duals):
        return held.tangents[number - 1] if number else held.values
    if not isinstance(held, tuple):
        return held
    members = [in_plane(member, number) for member in held]
    return type(held)(*members) if hasattr(held, "_fields") else tuple(members)
