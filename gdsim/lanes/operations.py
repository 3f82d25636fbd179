"""What can be done with lanes: each operation declared once, as a typing rule and the LLVM code it emits.

An operation is a Python function (or an operator) that kernels call. `OPERATIONS` maps it to its rule; `cpu`
and `cuda` hand every rule to their compiler. A rule takes the target and the argument types, and returns None
where it does not apply, or the result type and an emitter `(code, *values) -> value`.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim.lanes.emit import Code
from gdsim.lanes.kinds import is_float_lane, is_lane, is_mask
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Lanes, Mask, Memory, Offset, Value

Rule = Callable[..., Any]
OPERATIONS: dict[Any, list[Rule]] = {}


def rule_of(*handles: Callable[..., Any]) -> Callable[[Rule], Rule]:
    """Registers the decorated function as a typing rule of the given operations."""

    def register(rule: Rule) -> Rule:
        for handle in handles:
            OPERATIONS.setdefault(handle, []).append(rule)
        return rule

    return register


def common_lane(target: Target, *types: Kind) -> Any:
    """The one lane type among `types`, if all others are numbers that can be spread over it; else None."""
    lanes = {t for t in types if is_lane(t)}
    if len(lanes) != 1 or not all(is_lane(t) or target.is_number(t) for t in types):
        return None
    return lanes.pop()


def literal_of(target: Target, argument: Kind) -> int | None:
    """The whole number that is written where a kernel calls an operation, or None if it is not known there."""
    return argument.literal_value if isinstance(argument, target.types.IntegerLiteral) else None


def kernel_only(*_: Any) -> Any:
    """Stands for an operation in ordinary Python, where it has no meaning. Raises TypeError."""
    raise TypeError("this operation on lanes is for kernels only")


def _arithmetic(handles: tuple[Any, ...], emitter: str, kind: str | None = None) -> None:
    @rule_of(*handles)
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        lane = common_lane(target, a, b)
        if lane is None or (kind == "integer" and lane.is_float) or (kind == "float" and not lane.is_float):
            return None
        return lane, lambda code, x, y: getattr(code, emitter)(code.broadcast(x, a, lane), code.broadcast(y, b, lane))


_arithmetic((operator.add, operator.iadd), "add")
_arithmetic((operator.sub, operator.isub), "sub")
_arithmetic((operator.mul, operator.imul), "mul")
_arithmetic((operator.truediv, operator.itruediv), "div", "float")
_arithmetic((operator.floordiv,), "floordiv", "integer")
_arithmetic((operator.mod,), "mod", "integer")
_arithmetic((operator.lshift,), "shl", "integer")
_arithmetic((operator.rshift,), "shr", "integer")
_arithmetic((operator.and_,), "bit_and", "integer")
_arithmetic((operator.or_,), "bit_or", "integer")
_arithmetic((operator.xor,), "bit_xor", "integer")


def _comparison(handle: Function, symbol: str) -> None:
    @rule_of(handle)
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        lane = common_lane(target, a, b)
        if lane is None:
            return None
        return target.Mask(lane.width), lambda code, x, y: code.compare(symbol, lane, code.broadcast(x, a, lane), code.broadcast(y, b, lane))


COMPARISONS = ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="), (operator.ne, "!="))
for _handle, _symbol in COMPARISONS:
    _comparison(_handle, _symbol)


def _mask_logic(handle: Function, emitter: str) -> None:
    @rule_of(handle)
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        if is_mask(a) and a == b:
            return a, lambda code, x, y: getattr(code, emitter)(x, y)
        return None


for _handle, _emitter in ((operator.and_, "bit_and"), (operator.or_, "bit_or"), (operator.xor, "bit_xor")):
    _mask_logic(_handle, _emitter)


@rule_of(operator.invert)
def _(target: Target, a: Kind) -> Any:
    if is_mask(a) or (is_lane(a) and not a.is_float):
        return a, lambda code, x: code.invert(x)
    return None


@rule_of(operator.neg)
def _(target: Target, a: Kind) -> Any:
    return (a, lambda code, x: code.neg(x)) if is_lane(a) else None


def _of_floats(handle: Function, emitter: Callable[[Code, Value, Kind], Value]) -> None:
    @rule_of(handle)
    def rule(target: Target, x: Kind) -> Any:
        return (x, lambda code, v: emitter(code, v, x)) if is_float_lane(x) else None


def sqrt(x: Lane) -> Lane:
    """The square root, correctly rounded.

    >>> from gdsim import lanes
    >>> lanes.sqrt(2.25)
    1.5
    """
    return np.sqrt(x) if isinstance(x, np.floating) else float(np.sqrt(np.float64(x)))


def sign(x: Lane) -> Lane:
    """1, 0 or -1; NaN stays.

    >>> from gdsim import lanes
    >>> lanes.sign(-2.5)
    -1.0
    """
    return x if x != x else type(x)(int(x > 0) - int(x < 0))


def floor(x: Lane) -> Lane:
    """The largest integer that is not above x, as a float.

    >>> from gdsim import lanes
    >>> lanes.floor(-2.5)
    -3.0
    """
    return type(x)(np.floor(x))


def absolute(x: Lane) -> Lane:
    """The magnitude: `x` with its sign bit cleared.

    >>> from gdsim import lanes
    >>> lanes.absolute(-2.0)
    2.0
    """
    return abs(x)


def _sign(code: Code, v: Value, x: Kind) -> Value:
    zero, one, minus_one = (code.constant(v.type, value) for value in (0.0, 1.0, -1.0))
    below = code.select(code.compare("<", x, v, zero), minus_one, code.still(v))
    return code.select(code.compare(">", x, v, zero), one, below)


_of_floats(sqrt, lambda code, v, _: code.sqrt(v))
_of_floats(sign, _sign)
_of_floats(floor, lambda code, v, _: code.intrinsic("floor", v))
_of_floats(absolute, lambda code, v, x: code.clear_sign(v, x))


def where(mask: Mask, a: Lane, b: Lane) -> Lane:
    """`a` in the lanes where the mask holds, `b` in the others.

    >>> from gdsim import lanes
    >>> lanes.where(1.0 > 0.0, 3.0, 4.0)
    3.0
    """
    return a if mask else b


@rule_of(where)
def _(target: Target, mask: Kind, a: Kind, b: Kind) -> Any:
    if is_mask(mask) and is_mask(a) and a == b:
        return a, lambda code, m, x, y: code.select(m, x, y)
    lane = common_lane(target, a, b)
    if not is_mask(mask) or lane is None or lane.width != mask.width:
        return None
    return lane, lambda code, m, x, y: code.select(m, code.broadcast(x, a, lane), code.broadcast(y, b, lane))


def _extremum(symbol: str) -> Rule:
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        lane = common_lane(target, a, b)
        if lane is None:
            return None

        def emit(code: Code, x: Value, y: Value) -> Any:
            x, y = code.broadcast(x, a, lane), code.broadcast(y, b, lane)
            chosen = code.select(code.compare(symbol, lane, x, y), x, y)
            return code.select(code.compare("==", lane, x, x), chosen, x) if lane.is_float else chosen

        return lane, emit

    return rule


def minimum(a: Lane, b: Lane) -> Lane:
    """The smaller of two numbers; NaN where either is NaN.

    >>> from gdsim import lanes
    >>> lanes.minimum(1.0, float("nan"))
    nan
    """
    return a if a != a or a < b else b


def maximum(a: Lane, b: Lane) -> Lane:
    """The larger of two numbers; NaN where either is NaN.

    >>> from gdsim import lanes
    >>> lanes.maximum(1.0, 2.0)
    2.0
    """
    return a if a != a or a > b else b


rule_of(minimum)(_extremum("<"))
rule_of(maximum)(_extremum(">"))


def fma_lanes(a: Lane, b: Lane, c: Lane) -> Lane:
    """a * b + c, rounded once."""
    return kernel_only(a, b, c)


@rule_of(fma_lanes)
def _(target: Target, a: Kind, b: Kind, c: Kind) -> Any:
    lane = common_lane(target, a, b, c)
    if lane is None or not lane.is_float:
        return None
    return lane, lambda code, x, y, z: code.fma(code.broadcast(x, a, lane), code.broadcast(y, b, lane), code.broadcast(z, c, lane))


def polynomial(x: Lane, coefficients: Lanes) -> Lane:
    """The polynomial in `x` with the given coefficients, constant term first, by fused multiply-adds."""
    return kernel_only(x, coefficients)


@rule_of(polynomial)
def _(target: Target, x: Kind, coefficients: Kind) -> Any:
    if not (is_lane(x) and isinstance(coefficients, target.types.UniTuple)):
        return None

    def emit(code: Code, v: Value, c: Value) -> Any:
        *lower, total = [code.broadcast(value, coefficients.dtype, x) for value in code.members(c, coefficients.count)]
        for coefficient in reversed(lower):
            total = code.fma(total, v, coefficient)
        return total

    return x, emit


def as_type_of(x: Lane, like: Lane) -> Lane:
    """`x` in the number type of `like`: to a float rounded to nearest, to an unsigned integer cut.

    >>> from gdsim import lanes
    >>> lanes.as_type_of(3, 0.5)
    3.0
    """
    return type(like)(x)


@rule_of(as_type_of)
def _(target: Target, x: Kind, like: Kind) -> Any:
    if not (is_lane(x) and is_lane(like) and x.width == like.width):
        return None
    return like, lambda code, v, _: code.convert(v, x, like)


def broadcast(value: Lane, like: Lane) -> Lane:
    """A number in every lane of the shape and type of `like`.

    >>> from gdsim import lanes
    >>> lanes.broadcast(1, 0.5)
    1.0
    """
    return type(like)(value)


@rule_of(broadcast)
def _(target: Target, value: Kind, like: Kind) -> Any:
    if not (is_lane(like) and target.is_number(value)):
        return None
    return like, lambda code, v, _: code.broadcast(v, value, like)


def splat(value: Lane, width: int) -> Lane:
    """A lane of `width` copies of a number, of the number's own type."""
    return kernel_only(value, width)


@rule_of(splat)
def _(target: Target, value: Kind, width: Kind) -> Any:
    n = literal_of(target, width)
    if n is None or not target.is_number(value):
        return None
    lane = target.Lane(target.unliteral(value), n)
    return lane, lambda code, v, _: code.broadcast(v, value, lane)


def widen(value: Lane, width: int) -> Lane:
    """A lane of width 1 in every lane of `width`; of a tuple, or a NamedTuple, all of its members."""
    return kernel_only(value, width)


def _widened(target: Target, kind: Kind, width: int) -> Any:
    """The type of a value of type `kind` across `width` lanes."""
    types = target.types
    if is_lane(kind):
        return target.Lane(kind.dtype, width) if kind.width == 1 else kind
    if isinstance(kind, types.BaseNamedTuple):
        members = [_widened(target, k, width) for k in kind]
        return types.NamedUniTuple(members[0], len(members), kind.instance_class) if len(set(members)) == 1 else types.NamedTuple(members, kind.instance_class)
    return types.BaseTuple.from_types([_widened(target, k, width) for k in kind]) if isinstance(kind, types.BaseTuple) else kind


def _broadcast_members(code: Code, value: Value, kind: Kind, wide: Kind) -> Any:
    if is_lane(kind):
        return code.splat(value, wide.width) if kind.width == 1 else value
    if not hasattr(kind, "__len__"):
        return value
    members = zip(code.members(value, len(kind)), kind, wide, strict=True)
    return code.tuple_of(wide, [_broadcast_members(code, *member) for member in members])


@rule_of(widen)
def _(target: Target, value: Kind, width: Kind) -> Any:
    n = literal_of(target, width)
    if n is None or not (is_lane(value) or isinstance(value, target.types.BaseTuple)):
        return None
    wide = _widened(target, value, n)
    return wide, lambda code, v, _: _broadcast_members(code, v, value, wide)


def load(array: Memory, offset: Offset, width: int) -> Lane:
    """`width` neighbouring elements of a flat array, from `offset`."""
    return kernel_only(array, offset, width)


@rule_of(load)
def _(target: Target, array: Kind, offset: Kind, width: Kind) -> Any:
    n = literal_of(target, width)
    if n is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, n)
    return lane, lambda code, a, o, _: code.load(code.data(a, array), code.index(o, offset), lane)


def store(array: Memory, offset: Offset, value: Lane) -> Any:
    """Writes a lane into neighbouring elements of a flat array, from `offset`."""
    return kernel_only(array, offset, value)


@rule_of(store)
def _(target: Target, array: Kind, offset: Kind, value: Kind) -> Any:
    if not (is_lane(value) and target.is_flat(array) and value.dtype in (array.dtype, getattr(array.dtype, "value", None))):
        return None
    return target.types.void, lambda code, a, o, v: code.store(code.data(a, array), code.index(o, offset), v, value)


@rule_of(bool)
def _(target: Target, condition: Kind) -> Any:
    """Of what is one already: Numba asks for it at every branch, several times."""
    return (condition, lambda code, c: c) if condition == target.types.boolean else None


def _least(handle: Any, symbol: str) -> None:
    @rule_of(handle)
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        """Of two whole numbers: Numba would compile a function for it in every kernel.

        The instructions are CUDA's; on processors `FunctionLower` emits those of numbers of all types.
        """
        if target.unliteral(a) != target.types.int64 or target.unliteral(b) != target.types.int64:
            return None
        return target.types.int64, lambda code, x, y: code.least(symbol, x, y)


_least(min, "<=")
_least(max, ">=")
