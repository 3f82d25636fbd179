"""What can be done with lanes: each operation declared once, as a typing rule and the LLVM code it emits.

An operation is a Python function (or an operator) that kernels call. `OPERATIONS` maps it to its rule; `cpu` and `cuda`
hand every rule to their compiler. A rule takes the target and the argument types, and returns None where it does not
apply, or the result type and an emitter `(code, *values) -> value`.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim.lanes.emit import Code, is_lane, is_mask, llvm_type

Rule = Callable[..., Any]
OPERATIONS: dict[Any, list[Rule]] = {}


def rule_of(*handles: Any) -> Callable[[Rule], Rule]:
    """Registers the decorated function as a typing rule of the given operations."""

    def register(rule: Rule) -> Rule:
        for handle in handles:
            OPERATIONS.setdefault(handle, []).append(rule)
        return rule

    return register


def common_lane(target: Any, *types: Any) -> Any:
    """The one lane type among `types`, if all others are numbers that can be spread over it; else None."""
    lanes = {t for t in types if is_lane(t)}
    if len(lanes) != 1 or not all(is_lane(t) or isinstance(t, target.types.Number) for t in types):
        return None
    return lanes.pop()


def _arithmetic(handles: tuple[Any, ...], emitter: str, kind: str | None = None) -> None:
    @rule_of(*handles)
    def rule(target: Any, a: Any, b: Any) -> Any:
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


def _comparison(handle: Any, symbol: str) -> None:
    @rule_of(handle)
    def rule(target: Any, a: Any, b: Any) -> Any:
        lane = common_lane(target, a, b)
        if lane is None:
            return None
        return target.Mask(lane.width), lambda code, x, y: code.compare(symbol, lane, code.broadcast(x, a, lane), code.broadcast(y, b, lane))


for _handle, _symbol in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="), (operator.ne, "!=")):
    _comparison(_handle, _symbol)


def _mask_logic(handle: Any, emitter: str) -> None:
    @rule_of(handle)
    def rule(target: Any, a: Any, b: Any) -> Any:
        if is_mask(a) and a == b:
            return a, lambda code, x, y: getattr(code, emitter)(x, y)
        return None


for _handle, _emitter in ((operator.and_, "bit_and"), (operator.or_, "bit_or"), (operator.xor, "bit_xor")):
    _mask_logic(_handle, _emitter)


@rule_of(operator.invert)
def _(target: Any, a: Any) -> Any:
    if is_mask(a) or (is_lane(a) and not a.is_float):
        return a, lambda code, x: code.builder.not_(x)
    return None


@rule_of(operator.neg)
def _(target: Any, a: Any) -> Any:
    return (a, lambda code, x: code.neg(x)) if is_lane(a) else None


def sqrt(x: Any) -> Any:
    """The square root, correctly rounded.

    >>> from gdsim import lanes
    >>> lanes.sqrt(2.25)
    1.5
    """
    return np.sqrt(x) if isinstance(x, np.floating) else float(np.sqrt(np.float64(x)))


@rule_of(sqrt)
def _(target: Any, x: Any) -> Any:
    return (x, lambda code, v: code.sqrt(v)) if is_lane(x) and x.is_float else None


def sign(x: Any) -> Any:
    """1, 0 or -1; NaN stays."""
    return x if x != x else type(x)(int(x > 0) - int(x < 0))


@rule_of(sign)
def _(target: Any, x: Any) -> Any:
    if not (is_lane(x) and x.is_float):
        return None

    def emit(code: Code, v: Any) -> Any:
        constant = lambda value: code.constant(v.type, value)  # noqa: E731
        below = code.builder.select(code.compare("<", x, v, constant(0.0)), constant(-1.0), v)
        return code.builder.select(code.compare(">", x, v, constant(0.0)), constant(1.0), below)

    return x, emit


def floor(x: Any) -> Any:
    """The largest integer that is not above x, as a float."""
    return type(x)(np.floor(x))


@rule_of(floor)
def _(target: Any, x: Any) -> Any:
    return (x, lambda code, v: code.intrinsic("floor", v)) if is_lane(x) and x.is_float else None


def absolute(x: Any) -> Any:
    """The magnitude: `x` with its sign bit cleared.

    >>> from gdsim import lanes
    >>> lanes.absolute(-2.0)
    2.0
    """
    return abs(x)


@rule_of(absolute)
def _(target: Any, x: Any) -> Any:
    return (x, lambda code, v: code.clear_sign(v, x)) if is_lane(x) and x.is_float else None


def where(mask: Any, a: Any, b: Any) -> Any:
    """`a` in the lanes where the mask holds, `b` in the others.

    >>> from gdsim import lanes
    >>> lanes.where(1.0 > 0.0, 3.0, 4.0)
    3.0
    """
    return a if mask else b


@rule_of(where)
def _(target: Any, mask: Any, a: Any, b: Any) -> Any:
    if is_mask(mask) and is_mask(a) and a == b:
        return a, lambda code, m, x, y: code.builder.select(m, x, y)
    lane = common_lane(target, a, b)
    if not is_mask(mask) or lane is None or lane.width != mask.width:
        return None
    return lane, lambda code, m, x, y: code.builder.select(m, code.broadcast(x, a, lane), code.broadcast(y, b, lane))


def _extremum(symbol: str) -> Rule:
    def rule(target: Any, a: Any, b: Any) -> Any:
        lane = common_lane(target, a, b)
        if lane is None:
            return None

        def emit(code: Code, x: Any, y: Any) -> Any:
            x, y = code.broadcast(x, a, lane), code.broadcast(y, b, lane)
            chosen = code.builder.select(code.compare(symbol, lane, x, y), x, y)
            return code.builder.select(code.compare("==", lane, x, x), chosen, x) if lane.is_float else chosen

        return lane, emit

    return rule


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two numbers; NaN where either is NaN.

    >>> from gdsim import lanes
    >>> lanes.minimum(1.0, float("nan"))
    nan
    """
    return a if a != a or a < b else b


def maximum(a: Any, b: Any) -> Any:
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


def fma_lanes(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""
    return _kernel_only(a, b, c)


@rule_of(fma_lanes)
def _(target: Any, a: Any, b: Any, c: Any) -> Any:
    lane = common_lane(target, a, b, c)
    if lane is None or not lane.is_float:
        return None
    return lane, lambda code, x, y, z: code.fma(code.broadcast(x, a, lane), code.broadcast(y, b, lane), code.broadcast(z, c, lane))


def polynomial(x: Any, coefficients: Any) -> Any:
    """The polynomial in `x` with the given coefficients, constant term first, by fused multiply-adds."""
    return _kernel_only(x, coefficients)


@rule_of(polynomial)
def _(target: Any, x: Any, coefficients: Any) -> Any:
    if not (is_lane(x) and isinstance(coefficients, target.types.UniTuple)):
        return None

    def emit(code: Code, v: Any, c: Any) -> Any:
        *lower, total = [code.broadcast(code.builder.extract_value(c, k), coefficients.dtype, x) for k in range(coefficients.count)]
        for coefficient in reversed(lower):
            total = code.fma(total, v, coefficient)
        return total

    return x, emit


def by_precision(x: Any, single: Any, double: Any) -> Any:
    """`single` where `x` is float32, `double` where it is float64."""
    return _kernel_only(x, single, double)


@rule_of(by_precision)
def _(target: Any, x: Any, single: Any, double: Any) -> Any:
    if not (is_lane(x) and x.is_float):
        return None
    return (single, lambda code, v, s, d: s) if x.bits == 32 else (double, lambda code, v, s, d: d)


def to_bits(x: Any) -> Any:
    """The bits of a float lane as an unsigned integer lane of the same size."""
    return _kernel_only(x)


@rule_of(to_bits)
def _(target: Any, x: Any) -> Any:
    if not (is_lane(x) and x.is_float):
        return None
    lane = target.Lane(target.types.uint32 if x.bits == 32 else target.types.uint64, x.width)
    return lane, lambda code, v: code.builder.bitcast(v, llvm_type(lane))


def from_bits(x: Any) -> Any:
    """The float lane whose bits are those of an unsigned integer lane."""
    return _kernel_only(x)


@rule_of(from_bits)
def _(target: Any, x: Any) -> Any:
    if not is_lane(x) or x.is_float:
        return None
    lane = target.Lane(target.types.float32 if x.bits == 32 else target.types.float64, x.width)
    return lane, lambda code, v: code.builder.bitcast(v, llvm_type(lane))


def as_type_of(x: Any, like: Any) -> Any:
    """`x` in the number type of `like`: to a float rounded to nearest, to an unsigned integer cut."""
    return type(like)(x)


@rule_of(as_type_of)
def _(target: Any, x: Any, like: Any) -> Any:
    if not (is_lane(x) and is_lane(like) and x.width == like.width):
        return None
    return like, lambda code, v, _: code.convert(v, x, like)


def multiply_high(a: Any, b: Any) -> Any:
    """The upper half of the product of two uint32 lanes."""
    return _kernel_only(a, b)


@rule_of(multiply_high)
def _(target: Any, a: Any, b: Any) -> Any:
    lane = common_lane(target, a, b)
    if lane is None or lane.is_float or lane.bits != 32:
        return None
    return lane, lambda code, x, y: code.multiply_high(code.broadcast(x, a, lane), code.broadcast(y, b, lane), lane)


def broadcast(value: Any, like: Any) -> Any:
    """A number in every lane of the shape and type of `like`."""
    return type(like)(value)


@rule_of(broadcast)
def _(target: Any, value: Any, like: Any) -> Any:
    if not (is_lane(like) and isinstance(value, target.types.Number)):
        return None
    return like, lambda code, v, _: code.broadcast(v, value, like)


def _literal(target: Any, argument: Any) -> Any:
    return argument.literal_value if isinstance(argument, target.types.IntegerLiteral) else None


def largest_magnitude(bits: Any, x: Any) -> Any:
    """The larger of `bits` and the bits of |x|, as unsigned integers: their order is that of the numbers, with NaN above all."""
    return _kernel_only(bits, x)


@rule_of(largest_magnitude)
def _(target: Any, bits: Any, x: Any) -> Any:
    if not (is_lane(bits) and is_lane(x)) or bits.is_float or bits.bits != x.bits:
        return None

    def emit(code: Code, b: Any, v: Any) -> Any:
        magnitude = code.builder.bitcast(code.clear_sign(v, x), llvm_type(bits))
        return code.builder.select(code.builder.icmp_unsigned(">", magnitude, b), magnitude, b)

    return bits, emit


def splat(value: Any, width: Any) -> Any:
    """A lane of `width` copies of a number, of the number's own type."""
    return _kernel_only(value, width)


@rule_of(splat)
def _(target: Any, value: Any, width: Any) -> Any:
    n = _literal(target, width)
    if n is None or not isinstance(value, target.types.Number):
        return None
    lane = target.Lane(target.unliteral(value), n)
    return lane, lambda code, v, _: code.broadcast(v, value, lane)


def widen(value: Any, width: Any) -> Any:
    """A lane of width 1 in every lane of `width`; of a tuple, or a NamedTuple, all of its members."""
    return _kernel_only(value, width)


def _widened(target: Any, kind: Any, width: int) -> Any:
    """The type of a value of type `kind` across `width` lanes."""
    types = target.types
    if is_lane(kind):
        return target.Lane(kind.dtype, width) if kind.width == 1 else kind
    if isinstance(kind, types.BaseNamedTuple):
        members = [_widened(target, k, width) for k in kind]
        return types.NamedUniTuple(members[0], len(members), kind.instance_class) if len(set(members)) == 1 else types.NamedTuple(members, kind.instance_class)
    return types.BaseTuple.from_types([_widened(target, k, width) for k in kind]) if isinstance(kind, types.BaseTuple) else kind


def _broadcast_members(code: Code, value: Any, kind: Any, wide: Any) -> Any:
    if is_lane(kind):
        return code.splat(value, wide.width) if kind.width == 1 else value
    if not hasattr(kind, "__len__"):
        return value
    members = [_broadcast_members(code, code.builder.extract_value(value, i), k, w) for i, (k, w) in enumerate(zip(kind, wide, strict=True))]
    return code.context.make_tuple(code.builder, wide, members)


@rule_of(widen)
def _(target: Any, value: Any, width: Any) -> Any:
    n = _literal(target, width)
    if n is None or not (is_lane(value) or isinstance(value, target.types.BaseTuple)):
        return None
    wide = _widened(target, value, n)
    return wide, lambda code, v, _: _broadcast_members(code, v, value, wide)


def load(array: Any, offset: Any, width: Any) -> Any:
    """`width` neighbouring elements of a flat array, from `offset`."""
    return _kernel_only(array, offset, width)


@rule_of(load)
def _(target: Any, array: Any, offset: Any, width: Any) -> Any:
    n = _literal(target, width)
    if n is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, n)
    return lane, lambda code, a, o, _: code.load(code.data(a, array), code.index(o, offset), lane)


def store(array: Any, offset: Any, value: Any) -> Any:
    """Writes a lane into neighbouring elements of a flat array, from `offset`."""
    return _kernel_only(array, offset, value)


@rule_of(store)
def _(target: Any, array: Any, offset: Any, value: Any) -> Any:
    if not (is_lane(value) and target.is_flat(array) and array.dtype == value.dtype):
        return None
    return target.types.void, lambda code, a, o, v: code.store(code.data(a, array), code.index(o, offset), v, value)
