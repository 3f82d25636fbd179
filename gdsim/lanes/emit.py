"""The instructions that operations on lanes are made of.

Nothing here sets a fast-math flag: every instruction is one IEEE operation, in the order in which the kernel
wrote it.
"""

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from gdsim.lanes.kinds import is_float_value, is_lane, is_memory, llvm_type, vector
from gdsim.lanes.types import Builder, Context, Kind, Value


class Code:
    """Emits instructions at one place of one function, where one thread holds all lanes.

    `warps` replaces those that are others where each thread holds one.
    """

    def __init__(self, context: Context, builder: Builder) -> None:
        self.context, self.builder = context, builder

    def call(self, name: str, result: Kind, *values: Value) -> Value:
        """A call of an LLVM intrinsic or a library function."""
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(result, [v.type for v in values]), name)
        return self.builder.call(function, values)

    def intrinsic(self, name: str, *values: Value) -> Value:
        """A call of LLVM's `name`, overloaded on the type of its arguments."""
        kind = values[0].type
        element, count = getattr(kind, "element", kind), getattr(kind, "count", 0)
        suffix = (f"v{count}" if count else "") + ("f64" if element == ir.DoubleType() else "f32")
        return self.call(f"llvm.{name}.{suffix}", kind, *values)

    def add(self, x: Value, y: Value) -> Value:
        """x + y."""
        return self.builder.fadd(x, y) if is_float_value(x) else self.builder.add(x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """x - y."""
        return self.builder.fsub(x, y) if is_float_value(x) else self.builder.sub(x, y)

    def mul(self, x: Value, y: Value) -> Value:
        """x * y."""
        return self.builder.fmul(x, y) if is_float_value(x) else self.builder.mul(x, y)

    def div(self, x: Value, y: Value) -> Value:
        """x / y."""
        return self.builder.fdiv(x, y)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def sqrt(self, x: Value) -> Value:
        """The square root, correctly rounded."""
        return self.intrinsic("sqrt", x)

    def neg(self, x: Value) -> Value:
        """-x."""
        return self.builder.fneg(x) if is_float_value(x) else self.builder.neg(x)

    def floordiv(self, x: Value, y: Value) -> Value:
        """The quotient of unsigned integers; by zero it is x, for the processor would stop the process."""
        return self.builder.udiv(x, self._not_zero(y))

    def mod(self, x: Value, y: Value) -> Value:
        """The remainder of unsigned integers; by zero it is 0."""
        return self.builder.urem(x, self._not_zero(y))

    def _not_zero(self, y: Value) -> Value:
        one = self.constant(y.type, 1)
        return self.builder.select(self.builder.icmp_unsigned("==", y, self.constant(y.type, 0)), one, y)

    def shl(self, x: Value, y: Value) -> Value:
        """x << y."""
        return self.builder.shl(x, y)

    def shr(self, x: Value, y: Value) -> Value:
        """x >> y, filling with zeros."""
        return self.builder.lshr(x, y)

    def bit_and(self, x: Value, y: Value) -> Value:
        """x & y."""
        return self.builder.and_(x, y)

    def bit_or(self, x: Value, y: Value) -> Value:
        """x | y."""
        return self.builder.or_(x, y)

    def bit_xor(self, x: Value, y: Value) -> Value:
        """x ^ y."""
        return self.builder.xor(x, y)

    def compare(self, symbol: str, lane: Kind, x: Value, y: Value) -> Value:
        """A mask; NaN compares unequal to everything."""
        if not lane.is_float:
            return self.builder.icmp_unsigned(symbol, x, y)
        return self.builder.fcmp_unordered(symbol, x, y) if symbol == "!=" else self.builder.fcmp_ordered(symbol, x, y)

    def least(self, symbol: str, x: Value, y: Value) -> Value:
        """x where `x symbol y`, else y, of signed whole numbers."""
        return self.builder.select(self.builder.icmp_signed(symbol, x, y), x, y)

    def clear_sign(self, x: Value, lane: Kind) -> Value:
        """|x|, bit by bit."""
        integer = vector(ir.IntType(lane.bits), lane.held)
        keep = self.constant(integer, (1 << (lane.bits - 1)) - 1)
        return self.builder.bitcast(self.builder.and_(self.builder.bitcast(x, integer), keep), x.type)

    def still(self, x: Value) -> Value:
        """x without tangents, if it has some."""
        return x

    def invert(self, x: Value) -> Value:
        """~x, of masks too."""
        return self.builder.not_(x)

    def select(self, mask: Value, x: Value, y: Value) -> Value:
        """x where the mask holds, else y."""
        return self.builder.select(mask, x, y)

    def larger(self, x: Value, y: Value, lane: Kind) -> Value:
        """x where it is more than y, else y."""
        return self.select(self.compare(">", lane, x, y), x, y)

    def reinterpret(self, x: Value, lane: Kind) -> Value:
        """The numbers of type `lane` that have the bits of x."""
        return self.builder.bitcast(x, llvm_type(lane))

    def shuffled(self, x: Value, y: Value, order: list[int]) -> Value:
        """The elements of two vectors, one behind the other, in an order."""
        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))

    def element(self, x: Value, place: Value, lane: Kind) -> Value:
        """The number in one lane."""
        return x if lane.width == 1 else self.builder.extract_element(x, place)

    def elements(self, x: Value, lane: Kind) -> Iterator[Value]:
        """The numbers of a lane that this thread holds."""
        for place in range(lane.held):
            yield x if lane.held == 1 else self.builder.extract_element(x, ir.Constant(ir.IntType(32), place))

    def lane_of(self, elements: list[Value]) -> Value:
        """A lane of the numbers that this thread holds."""
        if len(elements) == 1:
            return elements[0]
        made = ir.Constant(ir.VectorType(elements[0].type, len(elements)), ir.Undefined)
        for number, element in enumerate(elements):
            made = self.builder.insert_element(made, element, ir.Constant(ir.IntType(32), number))
        return made

    def members(self, value: Value, count: int) -> list[Value]:
        """What a tuple holds."""
        return [self.builder.extract_value(value, k) for k in range(count)]

    def tuple_of(self, kind: Kind, members: list[Value]) -> Value:
        """A tuple of type `kind`."""
        return self.context.make_tuple(self.builder, kind, members)

    def nothing(self) -> Value:
        """None."""
        return self.context.get_dummy_value()

    def constant(self, kind: Kind, value: float) -> Value:
        """The same constant in every lane."""
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

    def splat(self, value: Value, width: int) -> Value:
        """A vector of copies of one scalar."""
        if width == 1:
            return value
        kind = ir.VectorType(value.type, width)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.shuffled(first, undefined, [0] * width)

    def broadcast(self, value: Value, kind: Kind, lane: Kind) -> Value:
        """A value of type `kind` as `lane`: a lane as it is, a number converted to the lane's type and
        copied.
        """
        if is_lane(kind):
            return value
        return self.splat(self.cast(value, kind, lane.dtype), lane.width)

    def cast(self, value: Value, kind: Kind, result: Kind) -> Value:
        """One number, as a number of another type."""
        return self.context.cast(self.builder, value, kind, result)

    def convert(self, x: Value, source: Kind, result: Kind) -> Value:
        """Between number types, lane by lane."""
        kind = llvm_type(result)
        if x.type == kind:
            return x
        if result.is_float and source.is_float:
            return self.builder.fpext(x, kind) if result.bits > source.bits else self.builder.fptrunc(x, kind)
        if result.is_float:
            return self.builder.uitofp(x, kind)
        if source.is_float:
            return self.builder.fptoui(x, kind)
        return self.builder.zext(x, kind) if result.bits > source.bits else self.builder.trunc(x, kind)

    def multiply_high(self, x: Value, y: Value, lane: Kind) -> Value:
        """The upper 32 bits of a 64-bit product."""
        wide, narrow = vector(ir.IntType(64), lane.held), vector(ir.IntType(32), lane.held)
        product = self.builder.mul(self.builder.zext(x, wide), self.builder.zext(y, wide))
        return self.builder.trunc(self.builder.lshr(product, self.constant(wide, 32)), narrow)

    def bits(self, mask: Value, kind: Kind) -> Value:
        """A mask as an integer of as many bits, the first lane the lowest."""
        return mask if kind.width == 1 else self.builder.bitcast(mask, ir.IntType(kind.width))

    def first_of(self, mask: Value, begin: Value, kind: Kind) -> Value:
        """The first lane, from `begin` on, in which a mask holds, or the width."""
        wide = ir.IntType(128)  # so that there is room for an end behind 64 lanes
        marked = self.bit_or(self.resized(self.bits(mask, kind), 128), ir.Constant(wide, 1 << kind.width))
        ahead = self.shr(marked, self.resized(begin, 128))
        return self.add(begin, self.resized(self.call("llvm.cttz.i128", wide, ahead, ir.Constant(ir.IntType(1), 1)), 64))

    def count_of(self, mask: Value, kind: Kind) -> Value:
        """In how many lanes a mask holds."""
        return self.call("llvm.ctpop.i64", ir.IntType(64), self.resized(self.bits(mask, kind), 64))

    def extreme(self, operation: str, x: Value, lane: Kind) -> Value:
        """The smallest ("umin") or greatest ("umax") number of a lane."""
        return x if lane.width == 1 else self.call(f"llvm.vector.reduce.{operation}.v{lane.width}i{lane.bits}", ir.IntType(lane.bits), x)

    def reduce_mask(self, mask: Value, kind: Kind, operation: str) -> Value:
        """Whether any ("or") or every ("and") lane of a mask holds."""
        if kind.width == 1:
            return mask
        bits = self.bits(mask, kind)
        if operation == "or":
            return self.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
        return self.builder.icmp_unsigned("==", bits, ir.Constant(bits.type, -1))

    def data(self, array: Value, kind: Kind) -> Value:
        """The address of the first element of memory or of a flat array."""
        if is_memory(kind):
            return self.builder.extract_value(array, 0)
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def resized(self, value: Value, bits: int) -> Value:
        """An unsigned integer of so many bits."""
        kind = ir.IntType(bits)
        if value.type == kind:
            return value
        return self.builder.zext(value, kind) if bits > value.type.width else self.builder.trunc(value, kind)

    def index(self, value: Value, kind: Kind) -> Value:
        """An offset as a machine integer."""
        return self.builder.sext(value, ir.IntType(64)) if kind.signed and value.type.width < 64 else self.resized(value, 64)

    def word(self, table: Value, place: Value) -> Value:
        """A word of a table, whose address is given as a whole number."""
        value = self.builder.load(self.builder.gep(self.builder.inttoptr(table, ir.IntType(64).as_pointer()), [place]))
        value.align = 8
        return value

    def memory_at(self, address: Value, size: Value, kind: Kind) -> Value:
        """So many numbers from an address on, which is given as a whole number, as memory of type `kind`."""
        form = self.context.get_value_type(kind)
        value = self.builder.insert_value(ir.Constant(form, ir.Undefined), self.builder.inttoptr(address, form.elements[0]), 0)
        return self.builder.insert_value(value, size, 1)

    def address_and_length(self, memory: Value) -> list[Value]:
        """Of a memory, as whole numbers."""
        address, length = self.members(memory, 2)
        return [self.builder.ptrtoint(address, ir.IntType(64)), length]

    def on_stack(self, words: list[Value]) -> Value:
        """The address, as a whole number, at which the words lie on the stack."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(ir.IntType(64), len(words))
        for number, word in enumerate(words):
            self.builder.store(word, self.builder.gep(place, [ir.Constant(ir.IntType(64), number)]))
        return self.builder.ptrtoint(place, ir.IntType(64))

    def call_kernel(self, address: Value, table: Value, value: Value) -> Value:
        """The result of the kernel at an address, of two whole numbers.

        By Numba's convention: (place of the result, place of an exception, arguments) -> status; kernels
        raise nothing.
        """
        wide, anything = ir.IntType(64), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [wide.as_pointer(), anything.as_pointer(), wide, wide])
        with self.builder.goto_entry_block():
            result, failure = self.builder.alloca(wide), self.builder.alloca(anything)
        self.builder.call(self.builder.inttoptr(address, kind.as_pointer()), [result, failure, table, value])
        return self.builder.load(result)

    def address(self, base: Value, offset: Value, kind: Kind) -> Value:
        """The address of the vector `kind` that begins `offset` elements after `base`."""
        return self.builder.bitcast(self.builder.gep(base, [offset]), kind.as_pointer(base.type.addrspace))

    def own(self, offset: Value, lane: Kind) -> Value:
        """Where the numbers lie that this thread holds of a lane, which begins at an offset."""
        return offset

    def load(self, base: Value, offset: Value, lane: Kind) -> Value:
        """A lane from memory that is aligned to its elements only."""
        return self.load_as(base, offset, llvm_type(lane), lane)

    def load_as(self, base: Value, offset: Value, kind: Kind, lane: Kind) -> Value:
        """A lane, or its values or tangents alone, from memory as a vector `kind`."""
        value = self.builder.load(self.address(base, self.own(offset, lane), kind))
        value.align = lane.bits // 8
        return value

    def neighbours(self, base: Value, offset: Value, lane: Kind, count: int) -> list[Value]:
        """So many numbers that lie side by side, each of the type `lane`, of one number."""
        return [self.load(base, self.add(offset, ir.Constant(offset.type, k)), lane) for k in range(count)]

    def prefetch(self, base: Value, offset: Value) -> None:
        """Asks for the line of memory that holds an element, before it is read."""
        hints = [ir.Constant(ir.IntType(32), n) for n in (0, 3, 1)]  # to be read, often, data
        self.call("llvm.prefetch.p0", ir.VoidType(), self.address(base, offset, ir.IntType(8)), *hints)

    def store(self, base: Value, offset: Value, value: Value, lane: Kind) -> Any:
        """A lane into memory that is aligned to its elements only."""
        self.builder.store(value, self.address(base, self.own(offset, lane), value.type)).align = lane.bits // 8
        return self.nothing()
