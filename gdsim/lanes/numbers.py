"""The type of a kernel's real numbers, float32 or float64, and arrays of them on the host; another kind of
number begins here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

LINE = 64  # bytes of a cache line: a register of as many that lies across two costs two accesses


def zeros(count: int, dtype: DTypeLike) -> np.ndarray:
    """So many zeros, from the beginning of a cache line on."""
    kind = np.dtype(dtype)
    raw = np.zeros(count * kind.itemsize + LINE, np.uint8)
    first = -raw.ctypes.data % LINE
    return raw[first : first + count * kind.itemsize].view(kind)


class Number(NamedTuple):
    """The type of a kernel's real numbers: everything that makes arrays of them asks it.

    >>> Number(np.dtype("float32")).full(2, 1.5)
    array([1.5, 1.5], dtype=float32)
    """

    dtype: np.dtype

    @property
    def zero(self) -> np.generic:
        """0, by whose type a kernel knows the numbers."""
        return self.dtype.type(0)

    @property
    def bits(self) -> np.dtype:
        """The unsigned integers that hold a number's bits."""
        return np.dtype(f"uint{8 * self.dtype.itemsize}")

    def zeros(self, count: int) -> np.ndarray:
        """So many zeros, from the beginning of a cache line on."""
        return zeros(count, self.dtype)

    def full(self, count: int, value: float) -> np.ndarray:
        """The same number so many times."""
        return np.full(count, value, self.dtype)

    def array(self, values: ArrayLike) -> np.ndarray:
        """The numbers nearest to some, in an array of its own."""
        return np.array(values, self.dtype)
