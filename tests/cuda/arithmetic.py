"""The arithmetic of PTX that NumPy does not have: products rounded once with a sum, halves of products, conversions."""

import ctypes
import ctypes.util

import numpy as np

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
_libm.fma.argtypes, _libm.fma.restype = (ctypes.c_double,) * 3, ctypes.c_double
NAN32 = np.array(0x7FFFFFFF, np.uint32).view(np.float32)
_fma64 = np.frompyfunc(_libm.fma, 3, 1)


def device_nan(x: np.ndarray) -> np.ndarray:
    """Numbers of float32, any NaN among them with the bits that PTX says: those of its operands are not kept."""
    missing = np.isnan(x)
    return np.where(missing, NAN32, x) if missing.any() else x


def fma64(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c of float64, rounded once: as the C library has it, which IEEE 754 binds."""
    return _fma64(a, b, c).astype(np.float64)


def fma32(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c of float32, rounded once.

    The product is exact in float64. The sum is rounded there to odd, from where the second rounding is that of
    the exact sum (Boldo and Melquiond, Emulation of a FMA and correctly rounded sums, 2008).
    """
    product, wide = np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64)
    total = product + wide
    way = total - product
    error = (product - (total - way)) + (wide - way)
    bits = total.view(np.int64)
    is_even = (error != 0) & np.isfinite(total) & (bits & 1 == 0)
    return np.where(is_even, bits + np.where((error > 0) == (total > 0), 1, -1), bits).view(np.float64).astype(np.float32)


def upper_half(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The upper half of the products of whole numbers, signed or not."""
    bits = 8 * a.itemsize
    exact = np.asarray(a, object) * np.asarray(b, object) >> bits
    return np.asarray(exact & ((1 << bits) - 1), np.dtype(f"u{a.itemsize}")).view(a.dtype)


def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b of whole numbers, towards zero."""
    return (a - np.fmod(a, b)) // b


def shifted(a: np.ndarray, count: np.ndarray, is_left: bool) -> np.ndarray:
    """a shifted by so many bits, each count beyond the width as the width."""
    bits = 8 * a.itemsize
    inside = np.minimum(count, bits - 1).astype(a.dtype)
    if is_left:
        return np.where(count < bits, a << inside, a.dtype.type(0))
    return a >> inside if a.dtype.kind == "i" else np.where(count < bits, a >> inside, a.dtype.type(0))


def of_two(a: np.ndarray, b: np.ndarray, is_greatest: bool) -> np.ndarray:
    """The greatest or the least of two floats, of a number and NaN the number; -0 lies below 0."""
    bits = f"u{a.itemsize}"
    zero = (a.view(bits) & b.view(bits) if is_greatest else a.view(bits) | b.view(bits)).view(a.dtype)
    found = np.fmax(a, b) if is_greatest else np.fmin(a, b)
    return np.where(a == b, zero, found)


def to_whole(x: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Floats cut to whole numbers: the nearest there is of those out of range, and 0 of NaN."""
    limits = np.iinfo(kind)
    exact = [
        0 if value != value else min(max(int(value), limits.min), limits.max) if abs(value) < np.inf else limits.max if value > 0 else limits.min
        for value in x.tolist()
    ]
    return np.array(exact, kind)
