"""The bits of numbers as whole numbers, for functions that pick them apart, and for the order of magnitudes."""

from typing import Any

from gdsim.lanes.kinds import is_float_lane, is_lane
from gdsim.lanes.operations import common_lane, kernel_only, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Kind, Lane


def by_precision(x: Lane, single: Lane, double: Lane) -> Lane:
    """`single` where `x` is float32, `double` where it is float64."""
    return kernel_only(x, single, double)


@rule_of(by_precision)
def _(target: Target, x: Kind, single: Kind, double: Kind) -> Any:
    if not is_float_lane(x):
        return None
    return (single, lambda code, v, s, d: s) if x.bits == 32 else (double, lambda code, v, s, d: d)


def bits_lane(target: Target, x: Kind) -> Any:
    """The lane of unsigned integers that the bits of a float lane are."""
    return target.Lane(target.types.uint32 if x.bits == 32 else target.types.uint64, x.width)


def to_bits(x: Lane) -> Lane:
    """The bits of a float lane as an unsigned integer lane of the same size."""
    return kernel_only(x)


@rule_of(to_bits)
def _(target: Target, x: Kind) -> Any:
    if not is_float_lane(x):
        return None
    lane = bits_lane(target, x)
    return lane, lambda code, v: code.reinterpret(v, lane)


def from_bits(x: Lane) -> Lane:
    """The float lane whose bits are those of an unsigned integer lane."""
    return kernel_only(x)


@rule_of(from_bits)
def _(target: Target, x: Kind) -> Any:
    if not is_lane(x) or x.is_float:
        return None
    lane = target.Lane(target.types.float32 if x.bits == 32 else target.types.float64, x.width)
    return lane, lambda code, v: code.reinterpret(v, lane)


def multiply_high(a: Lane, b: Lane) -> Lane:
    """The upper half of the product of two uint32 lanes."""
    return kernel_only(a, b)


@rule_of(multiply_high)
def _(target: Target, a: Kind, b: Kind) -> Any:
    lane = common_lane(target, a, b)
    if lane is None or lane.is_float or lane.bits != 32:
        return None
    return lane, lambda code, x, y: code.multiply_high(code.broadcast(x, a, lane), code.broadcast(y, b, lane), lane)


def largest_magnitude(bits: Lane, x: Lane) -> Lane:
    """The larger of `bits` and the bits of |x|, as unsigned integers: their order is that of the numbers,
    with NaN above all.
    """
    return kernel_only(bits, x)


@rule_of(largest_magnitude)
def _(target: Target, bits: Kind, x: Kind) -> Any:
    if not (is_lane(bits) and is_lane(x)) or bits.is_float or bits.bits != x.bits:
        return None

    return bits, lambda code, b, v: code.larger(code.reinterpret(code.clear_sign(v, x), bits), b, bits)
