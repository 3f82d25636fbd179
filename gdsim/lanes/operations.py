"""What can be done with lanes: each operation declared once, as a typing rule and the LLVM code it emits.

An operation is a Python function (or an operator) that kernels call. `OPERATIONS` maps it to its rule; `cpu`
and `cuda` hand every rule to their compiler. A rule takes the target and the argument types, and returns None
where it does not apply, or the result type and an emitter `(code, *values) -> value`.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim.lanes.emit import Code, is_lane, is_mask, llvm_type
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Lanes, Mask, Memory, Offset, Value

Rule = Callable[..., Any]
OPERATIONS: dict[Any, list[Rule]] = {}


def rule_of(*handles: Function) -> Callable[[Rule], Rule]:
    """Registers the decorated function as a typing rule of the given operations."""

    def register(rule: Rule) -> Rule:
        for handle in handles:
            OPERATIONS.setdefault(handle, []).append(rule)
        return rule

    return register


def common_lane(target: Target, *types: Kind) -> Any:
    """The one lane type among `types`, if all others are numbers that can be spread over it; else None."""
    lanes = {t for t in types if is_lane(t)}
    if len(lanes) != 1 or not all(is_lane(t) or isinstance(t, target.types.Number) for t in types):
        return None
    return lanes.pop()


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


for _handle, _symbol in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="), (operator.ne, "!=")):
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
        return a, lambda code, x: code.builder.not_(x)
    return None


@rule_of(operator.neg)
def _(target: Target, a: Kind) -> Any:
    return (a, lambda code, x: code.neg(x)) if is_lane(a) else None


def sqrt(x: Lane) -> Lane:
    """The square root, correctly rounded.

    >>> from gdsim import lanes
    >>> lanes.sqrt(2.25)
    1.5
    """
    return np.sqrt(x) if isinstance(x, np.floating) else float(np.sqrt(np.float64(x)))


@rule_of(sqrt)
def _(target: Target, x: Kind) -> Any:
    return (x, lambda code, v: code.sqrt(v)) if is_lane(x) and x.is_float else None


def sign(x: Lane) -> Lane:
    """1, 0 or -1; NaN stays."""
    return x if x != x else type(x)(int(x > 0) - int(x < 0))


@rule_of(sign)
def _(target: Target, x: Kind) -> Any:
    if not (is_lane(x) and x.is_float):
        return None

    def emit(code: Code, v: Value) -> Any:
        constant = lambda value: code.constant(v.type, value)  # noqa: E731
        below = code.builder.select(code.compare("<", x, v, constant(0.0)), constant(-1.0), v)
        return code.builder.select(code.compare(">", x, v, constant(0.0)), constant(1.0), below)

    return x, emit


def floor(x: Lane) -> Lane:
    """The largest integer that is not above x, as a float."""
    return type(x)(np.floor(x))


@rule_of(floor)
def _(target: Target, x: Kind) -> Any:
    return (x, lambda code, v: code.intrinsic("floor", v)) if is_lane(x) and x.is_float else None


def absolute(x: Lane) -> Lane:
    """The magnitude: `x` with its sign bit cleared.

    >>> from gdsim import lanes
    >>> lanes.absolute(-2.0)
    2.0
    """
    return abs(x)


@rule_of(absolute)
def _(target: Target, x: Kind) -> Any:
    return (x, lambda code, v: code.clear_sign(v, x)) if is_lane(x) and x.is_float else None


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
        return a, lambda code, m, x, y: code.builder.select(m, x, y)
    lane = common_lane(target, a, b)
    if not is_mask(mask) or lane is None or lane.width != mask.width:
        return None
    return lane, lambda code, m, x, y: code.builder.select(m, code.broadcast(x, a, lane), code.broadcast(y, b, lane))


def _extremum(symbol: str) -> Rule:
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        lane = common_lane(target, a, b)
        if lane is None:
            return None

        def emit(code: Code, x: Value, y: Value) -> Any:
            x, y = code.broadcast(x, a, lane), code.broadcast(y, b, lane)
            chosen = code.builder.select(code.compare(symbol, lane, x, y), x, y)
            return code.builder.select(code.compare("==", lane, x, x), chosen, x) if lane.is_float else chosen

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


def _kernel_only(*_: Any) -> Any:
    raise TypeError("this operation on lanes is for kernels only")


def fma_lanes(a: Lane, b: Lane, c: Lane) -> Lane:
    """a * b + c, rounded once."""
    return _kernel_only(a, b, c)


@rule_of(fma_lanes)
def _(target: Target, a: Kind, b: Kind, c: Kind) -> Any:
    lane = common_lane(target, a, b, c)
    if lane is None or not lane.is_float:
        return None
    return lane, lambda code, x, y, z: code.fma(code.broadcast(x, a, lane), code.broadcast(y, b, lane), code.broadcast(z, c, lane))


def polynomial(x: Lane, coefficients: Lanes) -> Lane:
    """The polynomial in `x` with the given coefficients, constant term first, by fused multiply-adds."""
    return _kernel_only(x, coefficients)


@rule_of(polynomial)
def _(target: Target, x: Kind, coefficients: Kind) -> Any:
    if not (is_lane(x) and isinstance(coefficients, target.types.UniTuple)):
        return None

    def emit(code: Code, v: Value, c: Value) -> Any:
        *lower, total = [code.broadcast(code.builder.extract_value(c, k), coefficients.dtype, x) for k in range(coefficients.count)]
        for coefficient in reversed(lower):
            total = code.fma(total, v, coefficient)
        return total

    return x, emit


def by_precision(x: Lane, single: Lane, double: Lane) -> Lane:
    """`single` where `x` is float32, `double` where it is float64."""
    return _kernel_only(x, single, double)


@rule_of(by_precision)
def _(target: Target, x: Kind, single: Kind, double: Kind) -> Any:
    if not (is_lane(x) and x.is_float):
        return None
    return (single, lambda code, v, s, d: s) if x.bits == 32 else (double, lambda code, v, s, d: d)


def to_bits(x: Lane) -> Lane:
    """The bits of a float lane as an unsigned integer lane of the same size."""
    return _kernel_only(x)


@rule_of(to_bits)
def _(target: Target, x: Kind) -> Any:
    if not (is_lane(x) and x.is_float):
        return None
    lane = target.Lane(target.types.uint32 if x.bits == 32 else target.types.uint64, x.width)
    return lane, lambda code, v: code.builder.bitcast(v, llvm_type(lane))


def from_bits(x: Lane) -> Lane:
    """The float lane whose bits are those of an unsigned integer lane."""
    return _kernel_only(x)


@rule_of(from_bits)
def _(target: Target, x: Kind) -> Any:
    if not is_lane(x) or x.is_float:
        return None
    lane = target.Lane(target.types.float32 if x.bits == 32 else target.types.float64, x.width)
    return lane, lambda code, v: code.builder.bitcast(v, llvm_type(lane))


def as_type_of(x: Lane, like: Lane) -> Lane:
    """`x` in the number type of `like`: to a float rounded to nearest, to an unsigned integer cut."""
    return type(like)(x)


@rule_of(as_type_of)
def _(target: Target, x: Kind, like: Kind) -> Any:
    if not (is_lane(x) and is_lane(like) and x.width == like.width):
        return None
    return like, lambda code, v, _: code.convert(v, x, like)


def multiply_high(a: Lane, b: Lane) -> Lane:
    """The upper half of the product of two uint32 lanes."""
    return _kernel_only(a, b)


@rule_of(multiply_high)
def _(target: Target, a: Kind, b: Kind) -> Any:
    lane = common_lane(target, a, b)
    if lane is None or lane.is_float or lane.bits != 32:
        return None
    return lane, lambda code, x, y: code.multiply_high(code.broadcast(x, a, lane), code.broadcast(y, b, lane), lane)


def broadcast(value: Lane, like: Lane) -> Lane:
    """A number in every lane of the shape and type of `like`."""
    return type(like)(value)


@rule_of(broadcast)
def _(target: Target, value: Kind, like: Kind) -> Any:
    if not (is_lane(like) and isinstance(value, target.types.Number)):
        return None
    return like, lambda code, v, _: code.broadcast(v, value, like)


def _literal(target: Target, argument: Kind) -> Any:
    return argument.literal_value if isinstance(argument, target.types.IntegerLiteral) else None


def largest_magnitude(bits: Lane, x: Lane) -> Lane:
    """The larger of `bits` and the bits of |x|, as unsigned integers: their order is that of the numbers,
    with NaN above all.
    """
    return _kernel_only(bits, x)


@rule_of(largest_magnitude)
def _(target: Target, bits: Kind, x: Kind) -> Any:
    if not (is_lane(bits) and is_lane(x)) or bits.is_float or bits.bits != x.bits:
        return None

    def emit(code: Code, b: Value, v: Value) -> Any:
        magnitude = code.builder.bitcast(code.clear_sign(v, x), llvm_type(bits))
        return code.builder.select(code.builder.icmp_unsigned(">", magnitude, b), magnitude, b)

    return bits, emit


def splat(value: Lane, width: int) -> Lane:
    """A lane of `width` copies of a number, of the number's own type."""
    return _kernel_only(value, width)


@rule_of(splat)
def _(target: Target, value: Kind, width: Kind) -> Any:
    n = _literal(target, width)
    if n is None or not isinstance(value, target.types.Number):
        return None
    lane = target.Lane(target.unliteral(value), n)
    return lane, lambda code, v, _: code.broadcast(v, value, lane)


def widen(value: Lane, width: int) -> Lane:
    """A lane of width 1 in every lane of `width`; of a tuple, or a NamedTuple, all of its members."""
    return _kernel_only(value, width)


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
    members = [_broadcast_members(code, code.builder.extract_value(value, i), k, w) for i, (k, w) in enumerate(zip(kind, wide, strict=True))]
    return code.context.make_tuple(code.builder, wide, members)


@rule_of(widen)
def _(target: Target, value: Kind, width: Kind) -> Any:
    n = _literal(target, width)
    if n is None or not (is_lane(value) or isinstance(value, target.types.BaseTuple)):
        return None
    wide = _widened(target, value, n)
    return wide, lambda code, v, _: _broadcast_members(code, v, value, wide)


def load(array: Memory, offset: Offset, width: int) -> Lane:
    """`width` neighbouring elements of a flat array, from `offset`."""
    return _kernel_only(array, offset, width)


@rule_of(load)
def _(target: Target, array: Kind, offset: Kind, width: Kind) -> Any:
    n = _literal(target, width)
    if n is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, n)
    return lane, lambda code, a, o, _: code.load(code.data(a, array), code.index(o, offset), lane)


def store(array: Memory, offset: Offset, value: Lane) -> Any:
    """Writes a lane into neighbouring elements of a flat array, from `offset`."""
    return _kernel_only(array, offset, value)


@rule_of(store)
def _(target: Target, array: Kind, offset: Kind, value: Kind) -> Any:
    if not (is_lane(value) and target.is_flat(array) and array.dtype == value.dtype):
        return None
    return target.types.void, lambda code, a, o, v: code.store(code.data(a, array), code.index(o, offset), v, value)
