"""What is asked of all lanes at once: whether a mask holds anywhere, where, and how often; the smallest of
all numbers; the number of one.
"""

from typing import Any

from llvmlite import ir

from gdsim.lanes.kinds import is_lane, is_mask
from gdsim.lanes.operations import kernel_only, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Mask


def any(mask: Mask) -> bool:
    """Whether the mask holds in at least one lane.

    >>> from gdsim import lanes
    >>> lanes.any(1.0 > 0.0)
    True
    """
    return bool(mask)


def all(mask: Mask) -> bool:
    """Whether the mask holds in every lane.

    >>> from gdsim import lanes
    >>> lanes.all(1.0 > 2.0)
    False
    """
    return bool(mask)


@rule_of(any)
def _(target: Target, mask: Kind) -> Any:
    return (target.types.boolean, lambda code, m: code.reduce_mask(m, mask, "or")) if is_mask(mask) else None


@rule_of(all)
def _(target: Target, mask: Kind) -> Any:
    return (target.types.boolean, lambda code, m: code.reduce_mask(m, mask, "and")) if is_mask(mask) else None


def first_of(mask: Mask, begin: int) -> int:
    """The first lane, from `begin` on, in which the mask holds, or the width."""
    return 0 if mask and begin == 0 else 1


@rule_of(first_of)
def _(target: Target, mask: Kind, begin: Kind) -> Any:
    if not (is_mask(mask) and isinstance(begin, target.types.Integer)):
        return None
    return target.types.int64, lambda code, m, b: code.first_of(m, code.index(b, begin), mask)


def count_of(mask: Mask) -> int:
    """In how many lanes the mask holds."""
    return int(mask)


@rule_of(count_of)
def _(target: Target, mask: Kind) -> Any:
    return (target.types.int64, lambda code, m: code.count_of(m, mask)) if is_mask(mask) else None


def smallest(x: Lane) -> Lane:
    """The smallest of the numbers in a lane of unsigned integers."""
    return x


def greatest(x: Lane) -> Lane:
    """The greatest of the numbers in a lane of unsigned integers."""
    return x


def _extreme(handle: Function, operation: str) -> None:
    @rule_of(handle)
    def rule(target: Target, x: Kind) -> Any:
        return (x.dtype, lambda code, v: code.extreme(operation, v, x)) if is_lane(x) and not x.is_float else None


_extreme(smallest, "umin")
_extreme(greatest, "umax")


def unlikely(condition: bool) -> bool:
    """The condition, of which the compiler is told that it hardly ever holds: what it guards is put out of
    the way.
    """
    return condition


@rule_of(unlikely)
def _(target: Target, condition: Kind) -> Any:
    if condition != target.types.boolean:
        return None
    return condition, lambda code, c: code.call("llvm.expect.i1", ir.IntType(1), c, ir.Constant(ir.IntType(1), 0))


def extract(value: Lane, position: int) -> Lane:
    """The number in one lane."""
    return kernel_only(value, position)


@rule_of(extract)
def _(target: Target, value: Kind, position: Kind) -> Any:
    if not is_lane(value):
        return None
    return value.dtype, lambda code, v, p: code.element(v, code.index(p, position), value)
