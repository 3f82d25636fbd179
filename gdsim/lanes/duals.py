"""Dual numbers, each a value with tangents: forward-mode differentiation by the operations that there are.

A dual lane is a lane of values and lanes of tangents. Every instruction that rules emit (`emit.Code`) has a
form on them here: the value by the same instruction as without tangents, so that values keep their bits, and
each tangent by the rule of its derivative, in one written order:

    (x y)' = x' y + x y'            as fma(x', y, x y')
    (x y + z)' = x' y + x y' + z'   as fma(x', y, fma(x, y', z'))
    (x / y)' = (x' - (x / y) y') / y

Comparisons, bits and magnitudes are those of values. In memory the tangents of an array lie behind its values
(`numbers.Duals`).
"""

from typing import Any

from llvmlite import ir

from gdsim.lanes.emit import Code
from gdsim.lanes.kinds import is_dual, is_lane, llvm_type
from gdsim.lanes.numbers import APART
from gdsim.lanes.types import Kind, Value

Tangent = Value | None  # None: known to be 0, and no instruction


def is_pair(x: Value) -> bool:
    """Whether an LLVM value is a value with its tangents."""
    return isinstance(x.type, ir.LiteralStructType)


def zero_like(x: Value) -> Value:
    """0 of the same type."""
    return ir.Constant(x.type, None)


class DualCode(Code):
    """Instructions on numbers with tangents, and on others those of the class that follows."""

    def parts(self, x: Value) -> tuple[Value, list[Tangent]]:
        """The value and the tangents of a number."""
        if hasattr(x, "dual_parts"):
            return x.dual_parts
        count = len(x.type.elements)
        if isinstance(x, ir.Constant) and x.constant == [0.0] * count:
            return zero_like(self.builder.extract_value(x, 0)), [None] * (count - 1)
        value, *tangents = (self.builder.extract_value(x, k) for k in range(count))
        return value, tangents

    def value(self, x: Value) -> Value:
        """The value of a number, which may have tangents."""
        return self.parts(x)[0] if is_pair(x) else x

    def pair(self, value: Value, tangents: list[Tangent]) -> Value:
        """A number with its tangents."""
        made: Any = ir.Constant(ir.LiteralStructType([value.type] * (1 + len(tangents))), ir.Undefined)
        for place, part in enumerate([value, *tangents]):
            made = self.builder.insert_value(made, zero_like(value) if part is None else part, place)
        made.dual_parts = value, tangents
        return made

    def all_parts(self, *numbers: Value) -> tuple[list[Value], list[tuple[Tangent, ...]]]:
        """The values of several numbers, some with tangents, and those tangents: a tuple for each direction."""
        count = next(len(x.type.elements) for x in numbers if is_pair(x)) - 1
        split = [self.parts(x) if is_pair(x) else (x, [None] * count) for x in numbers]
        return [value for value, _ in split], list(zip(*(tangents for _, tangents in split), strict=True))

    def _sum(self, x: Tangent, y: Tangent) -> Tangent:
        return y if x is None else x if y is None else super().add(x, y)

    def _product(self, x: Tangent, y: Tangent, plus: Tangent = None) -> Tangent:
        """The sum of x y and `plus`."""
        if x is None or y is None:
            return plus
        return super().mul(x, y) if plus is None else super().fma(x, y, plus)

    def _negative(self, x: Tangent) -> Tangent:
        return None if x is None else super().neg(x)

    def _difference(self, x: Tangent, y: Tangent) -> Tangent:
        return x if y is None else self._negative(y) if x is None else super().sub(x, y)

    def _choice(self, mask: Value, x: Tangent, y: Tangent) -> Tangent:
        if x is None and y is None:
            return None
        return super().select(mask, zero_like(y) if x is None else x, zero_like(x) if y is None else y)

    def add(self, x: Value, y: Value) -> Value:
        """x + y."""
        if not (is_pair(x) or is_pair(y)):
            return super().add(x, y)
        (a, b), tangents = self.all_parts(x, y)
        return self.pair(super().add(a, b), [self._sum(*t) for t in tangents])

    def sub(self, x: Value, y: Value) -> Value:
        """x - y."""
        if not (is_pair(x) or is_pair(y)):
            return super().sub(x, y)
        (a, b), tangents = self.all_parts(x, y)
        return self.pair(super().sub(a, b), [self._difference(*t) for t in tangents])

    def mul(self, x: Value, y: Value) -> Value:
        """x * y."""
        if not (is_pair(x) or is_pair(y)):
            return super().mul(x, y)
        (a, b), tangents = self.all_parts(x, y)
        return self.pair(super().mul(a, b), [self._product(da, b, self._product(a, db)) for da, db in tangents])

    def div(self, x: Value, y: Value) -> Value:
        """x / y."""
        if not (is_pair(x) or is_pair(y)):
            return super().div(x, y)
        (a, b), tangents = self.all_parts(x, y)
        quotient = super().div(a, b)
        tops = [da if db is None else self._product(super(DualCode, self).neg(quotient), db, da) for da, db in tangents]
        return self.pair(quotient, [None if top is None else super(DualCode, self).div(top, b) for top in tops])

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once."""
        if not (is_pair(x) or is_pair(y) or is_pair(z)):
            return super().fma(x, y, z)
        (a, b, c), tangents = self.all_parts(x, y, z)
        return self.pair(super().fma(a, b, c), [self._product(da, b, self._product(a, db, dc)) for da, db, dc in tangents])

    def sqrt(self, x: Value) -> Value:
        """The square root, correctly rounded; where the tangent is 0 it stays so, at 0 too."""
        if not is_pair(x):
            return super().sqrt(x)
        value, tangents = self.parts(x)
        root = super().sqrt(value)

        def way(tangent: Value) -> Value:
            zero = zero_like(tangent)
            is_still = self.builder.fcmp_ordered("==", tangent, zero)
            return super(DualCode, self).select(is_still, zero, super(DualCode, self).div(tangent, super(DualCode, self).add(root, root)))

        return self.pair(root, [None if t is None else way(t) for t in tangents])

    def neg(self, x: Value) -> Value:
        """-x."""
        if not is_pair(x):
            return super().neg(x)
        value, tangents = self.parts(x)
        return self.pair(super().neg(value), [self._negative(t) for t in tangents])

    def compare(self, symbol: str, lane: Kind, x: Value, y: Value) -> Value:
        """A mask, by values alone."""
        return super().compare(symbol, lane, self.value(x), self.value(y))

    def select(self, mask: Value, x: Value, y: Value) -> Value:
        """x where the mask holds, else y."""
        if not (is_pair(x) or is_pair(y)):
            return super().select(mask, x, y)
        (a, b), tangents = self.all_parts(x, y)
        return self.pair(super().select(mask, a, b), [self._choice(mask, *t) for t in tangents])

    def intrinsic(self, name: str, *values: Value) -> Value:
        """A call of LLVM's `name`, whose tangents are 0, as floor's are."""
        if not is_pair(values[0]):
            return super().intrinsic(name, *values)
        value, tangents = self.parts(values[0])
        return self.pair(super().intrinsic(name, value), [None] * len(tangents))

    def clear_sign(self, x: Value, lane: Kind) -> Value:
        """|x|, bit by bit; the tangent is times -1 where x is below 0, and 0 where it is 0, as its sign is."""
        if not is_pair(x):
            return super().clear_sign(x, lane)
        value, tangents = self.parts(x)
        below, is_zero = (self.builder.fcmp_ordered(symbol, value, zero_like(value)) for symbol in ("<", "=="))
        ways = [self._choice(is_zero, None, self._choice(below, self._negative(t), t)) for t in tangents]
        return self.pair(super().clear_sign(value, lane), ways)

    def still(self, x: Value) -> Value:
        """x with tangents that are 0."""
        if not is_pair(x):
            return x
        value, tangents = self.parts(x)
        return self.pair(value, [None] * len(tangents))

    def reinterpret(self, x: Value, lane: Kind) -> Value:
        """The numbers of type `lane` that have the bits of x's values, without tangents."""
        if not is_dual(lane):
            return super().reinterpret(self.value(x), lane)
        kind = llvm_type(lane).elements[0]
        return self.pair(self.builder.bitcast(self.value(x), kind), [None] * lane.dtype.count)

    def constant(self, kind: Kind, value: float) -> Value:
        """The same constant in every lane, without tangents."""
        if not isinstance(kind, ir.LiteralStructType):
            return super().constant(kind, value)
        return self.pair(super().constant(kind.elements[0], value), [None] * (len(kind.elements) - 1))

    def splat(self, value: Value, width: int) -> Value:
        """A vector of copies of one scalar."""
        if not is_pair(value):
            return super().splat(value, width)
        number, tangents = self.parts(value)
        return self.pair(super().splat(number, width), [None if t is None else super(DualCode, self).splat(t, width) for t in tangents])

    def broadcast(self, value: Value, kind: Kind, lane: Kind) -> Value:
        """A value of type `kind` as `lane`; plain numbers have no tangents there."""
        if not is_dual(lane) or is_lane(kind) or is_dual(kind):
            return super().broadcast(value, kind, lane)
        number = self.cast(value, kind, lane.dtype.value)
        return self.pair(super().splat(number, lane.width), [None] * lane.dtype.count)

    def convert(self, x: Value, source: Kind, result: Kind) -> Value:
        """Between number types, lane by lane; tangents come from nowhere, and go with their values."""
        if is_dual(source) and is_dual(result):
            return x
        if is_dual(source):
            return self.builder.fptoui(self.value(x), llvm_type(result))
        kind = llvm_type(result).elements[0]
        return self.pair(x if x.type == kind else self.builder.uitofp(x, kind), [None] * result.dtype.count)

    def result_of(self, function: Kind, signature: Kind, arguments: list[Value]) -> Value:
        """What a function gives, called with a signature."""
        return self.context.get_function(function, signature)(self.builder, arguments)

    def derived(self, arguments: list[Value], value: Value, slopes: list[Value], has_poles: bool) -> Value:
        """A value that was made of arguments, whose derivatives by them are `slopes`: where these may be infinite,
        tangents that are 0 stay so.
        """
        _, tangents = self.all_parts(*arguments)
        ways: list[Tangent] = [None] * len(tangents)
        for slope, own in zip(slopes, zip(*tangents, strict=True), strict=True):
            rises = [self._rise(slope, tangent) if has_poles else slope for tangent in own]
            ways = [self._product(rise, tangent, way) for rise, tangent, way in zip(rises, own, ways, strict=True)]
        return self.pair(value, ways)

    def _rise(self, slope: Value, tangent: Tangent) -> Tangent:
        """A slope, 0 where the tangent that it is a factor of is."""
        if tangent is None:
            return None
        zero = zero_like(tangent)
        return super().select(self.builder.fcmp_ordered("==", tangent, zero), zero, slope)

    def data(self, array: Value, kind: Kind) -> Any:
        """The address of the first element of memory; of dual numbers those of the first value and of each
        of its tangents.
        """
        first = super().data(array, kind)
        if not is_dual(kind):
            return first
        step = self.builder.add(self.builder.extract_value(array, 1), ir.Constant(ir.IntType(64), APART))
        planes = [first]
        for _ in range(kind.dtype.count):
            planes.append(self.builder.gep(planes[-1], [step]))
        return tuple(planes)

    def plane(self, array: Value, number: Value) -> Value:
        """Memory of the values (0) or of one of the tangents (1, 2, ...) in memory of dual numbers."""
        size = self.builder.extract_value(array, 1)
        step = self.builder.add(size, ir.Constant(ir.IntType(64), APART))
        first = self.builder.gep(self.builder.extract_value(array, 0), [self.builder.mul(number, step)])
        return self.builder.insert_value(array, first, 0)

    def load(self, base: Value, offset: Value, lane: Kind) -> Value:
        """A lane from memory that is aligned to its elements only."""
        if not isinstance(base, tuple):
            return super().load(base, offset, lane)
        kind = llvm_type(lane).elements[0]
        value, *tangents = (self.load_as(plane, offset, kind, lane) for plane in base)
        return self.pair(value, tangents)

    def store(self, base: Value, offset: Value, value: Value, lane: Kind) -> Any:
        """A lane into memory that is aligned to its elements only; one without tangents, where there is room
        for them, with zeros.
        """
        if not isinstance(base, tuple):
            return super().store(base, offset, value, lane)
        number, tangents = self.parts(value) if is_pair(value) else (value, [None] * (len(base) - 1))
        for plane, part in zip(base, [number, *tangents], strict=True):
            super().store(plane, offset, zero_like(number) if part is None else part, lane)
        return self.nothing()
