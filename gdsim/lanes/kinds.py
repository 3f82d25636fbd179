"""What compilers' types of lanes, masks and memory know, and how they look in LLVM.

A lane of width n is an LLVM vector of n numbers, a mask one of n bits; where one thread holds a single one of
them, at width 1 or on devices whose threads have a lane each, both are plain scalars.
"""

from typing import Any

from llvmlite import ir

from gdsim.lanes.types import Kind, Value


class LaneKind:
    """What a compiler's lane type knows: the number type of its elements, how many there are, and how many of
    them one thread holds: all, or 1.
    """

    dtype: Any
    width: int
    held: int

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return self.dtype.bitwidth

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers, with tangents or without."""
        return isinstance(self.dtype, DualKind) or self.dtype.name.startswith("float")


class DualKind:
    """What a compiler's type of dual numbers knows: the number type of a value and of its tangents, and how
    many tangents there are.
    """

    value: Any
    count: int


class MaskKind:
    """What a compiler's mask type knows: its width, and how many of its truth values one thread holds."""

    width: int
    held: int


class MemoryKind:
    """What a compiler's memory type knows: the number type of its elements, and whether they lie in near memory."""

    dtype: Any
    is_near: bool


class ViewKind:
    """What a compiler's type of a part of a job's table knows: the number of its `lanes.memory.Layout`."""

    layout: int


def is_memory(kind: Kind) -> bool:
    """Whether a compiler's type is memory, as job tables give it."""
    return isinstance(kind, MemoryKind)


def is_lane(kind: Kind) -> bool:
    """Whether a compiler's type is a lane."""
    return isinstance(kind, LaneKind)


def is_float_lane(kind: Kind) -> bool:
    """Whether a compiler's type is a lane of floating-point numbers."""
    return is_lane(kind) and kind.is_float


def is_dual(kind: Kind) -> bool:
    """Whether a compiler's type is of dual numbers, or of lanes, memory or tuples of one kind of them."""
    element = getattr(kind, "dtype", None)
    return isinstance(kind, DualKind) if element is None else is_dual(element)


def is_mask(kind: Kind) -> bool:
    """Whether a compiler's type is a mask."""
    return isinstance(kind, MaskKind)


def vector(element: Kind, width: int) -> Kind:
    """LLVM's vector of `width` elements; the element itself at width 1."""
    return element if width == 1 else ir.VectorType(element, width)


def float_type(bits: int) -> Kind:
    """LLVM's floating-point number of so many bits."""
    return ir.FloatType() if bits == 32 else ir.DoubleType()


def llvm_type(kind: Kind) -> Kind:
    """The LLVM type of a lane or a mask; of dual numbers a value beside its tangents."""
    if is_mask(kind):
        return vector(ir.IntType(1), kind.held)
    if is_dual(kind):
        return ir.LiteralStructType([vector(float_type(kind.bits), kind.held)] * (1 + kind.dtype.count))
    if kind.is_float:
        return vector(float_type(kind.bits), kind.held)
    return vector(ir.IntType(kind.bits), kind.held)


def is_float_value(value: Value) -> bool:
    """Whether an LLVM value is a float or a vector of floats."""
    return isinstance(getattr(value.type, "element", value.type), (ir.FloatType, ir.DoubleType))
