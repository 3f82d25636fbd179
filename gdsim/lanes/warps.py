"""Lanes on devices that run threads in warps: a pack is a warp, and each thread holds one lane of it.

A lane of width 32 is one number of each of the warp's threads, one of width 1 the same number in all of them. A
lane's place in memory is that of the first thread's number, and the other threads' lie behind it, as on
processors. What all lanes are asked at once is a vote, or an exchange, among the threads: all of the warp must
come to it. The instructions are those that NVIDIA's compiler knows; `cuda` hands them to it.
"""

import contextvars
import re
from typing import Any

from llvmlite import ir

from gdsim.lanes.duals import DualCode
from gdsim.lanes.emit import Code
from gdsim.lanes.kinds import is_dual, is_float_value, is_lane, is_memory, llvm_type
from gdsim.lanes.operations import kernel_only, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Kind, Lane, Memory, Value

THREADS = 32  # of a warp
VECTOR_BYTES = 16  # that a thread reads at a time at most
GLOBAL_MEMORY, NEAR_MEMORY = 1, 3  # the numbers of the address spaces in which arrays lie, NVIDIA's global and shared memory
NEAR = "near_memory"  # the name of what of it a kernel is given when it is launched
ALL = ir.Constant(ir.IntType(32), -1)  # every thread of the warp
FOR_ALL, FOR_ANY, BY_BITS = 0, 1, 3  # how `nvvm.vote.sync` tells what threads have found
AT_PLACE, FLIPPED = 0, 3  # whose number `nvvm.shfl.sync` gives: that of a thread, or of the one with some bits of its place flipped

capability: contextvars.ContextVar[tuple[int, int]] = contextvars.ContextVar("capability", default=(7, 5))  # of the device that is compiled for


def capability_text(capability: tuple[int, int]) -> str:
    """A compute capability as NVIDIA writes it.

    >>> capability_text((7, 5))
    '7.5'
    """
    return f"{capability[0]}.{capability[1]}"


def capability_of(text: str) -> tuple[int, int]:
    """A compute capability from its text. Raises ValueError.

    >>> capability_of("12.0")
    (12, 0)
    """
    if not (found := re.fullmatch(r"([0-9]{1,3})\.([0-9])", text)):
        raise ValueError(f"a compute capability is two numbers, such as 9.0; {text!r} was given")
    return int(found[1]), int(found[2])


# Bytes of near memory that a block can have, by compute capability; MAX_SHARED_MEMORY_PER_BLOCK_OPTIN of the driver.
BLOCK_SHARED = {(7, 5): 64, (8, 0): 163, (8, 6): 99, (8, 7): 163, (8, 9): 99, (9, 0): 227, (10, 0): 227, (10, 3): 227, (12, 0): 99, (12, 1): 99}
LEAST_SHARED = 48  # of every device, without being asked for


def block_shared(capability: tuple[int, int]) -> int:
    """Bytes of near memory that a block can have on devices of a compute capability.

    >>> block_shared((9, 0))
    232448
    """
    return 1024 * BLOCK_SHARED.get(capability, LEAST_SHARED)


class WarpCode(Code):
    """Emits the instructions of one thread of a warp."""

    def neg(self, x: Value) -> Value:
        """-x: a float's as -0 - x, which the compiler knows as its negation."""
        return self.builder.fsub(ir.Constant(x.type, -0.0), x) if is_float_value(x) else super().neg(x)

    def splat(self, value: Value, width: int) -> Value:
        """A number, which is every thread's."""
        return value

    def neighbours(self, base: Value, offset: Value, lane: Kind, count: int) -> list[Value]:
        """So many numbers that lie side by side, from a multiple of 16 bytes on: as many at a time as these hold."""
        together = min(count, 8 * VECTOR_BYTES // lane.bits)
        if is_dual(lane) or together == 1:
            return super().neighbours(base, offset, lane, count)
        kind, found = ir.VectorType(llvm_type(lane), together), []
        for first in range(0, count, together):
            value = self.builder.load(self.address(base, self.add(offset, ir.Constant(offset.type, first)), kind))
            value.align = together * lane.bits // 8
            found += [self.builder.extract_element(value, ir.Constant(ir.IntType(32), k)) for k in range(together)]
        return found

    def prefetch(self, base: Value, offset: Value) -> None:
        """Nothing: while a warp waits for memory, others work."""

    def register(self, name: str) -> Value:
        """One of the thread's special registers."""
        return self.call(f"llvm.nvvm.read.ptx.sreg.{name}", ir.IntType(32))

    def lane_number(self) -> Value:
        """Which of its warp's threads this is."""
        return self.builder.zext(self.register("laneid"), ir.IntType(64))

    def warp_number(self) -> Value:
        """Which of the grid's warps this is."""
        block = self.builder.mul(self.register("ctaid.x"), self.register("ntid.x"))
        thread = self.builder.add(block, self.register("tid.x"))
        return self.builder.zext(self.builder.udiv(thread, ir.Constant(thread.type, THREADS)), ir.IntType(64))

    def own(self, offset: Value, lane: Kind) -> Value:
        """Where this thread's number lies of a lane that begins at an offset."""
        return offset if lane.width == 1 else self.builder.add(offset, self.lane_number())

    def data(self, array: Value, kind: Kind) -> Value:
        """The address of the first element of memory or of a flat array, in the space where arrays lie."""
        address = super().data(array, kind)
        if is_memory(kind) and kind.is_near:
            offset = self.builder.ptrtoint(address, ir.IntType(64))
            first = self.builder.gep(self.near(), [ir.Constant(offset.type, 0), offset])
            return self.builder.bitcast(first, address.type.pointee.as_pointer(NEAR_MEMORY))
        return self.builder.addrspacecast(address, address.type.pointee.as_pointer(GLOBAL_MEMORY))

    def near(self) -> Value:
        """Where the block's near memory begins, which is as large as who launches the kernel says."""
        module = self.builder.module
        if NEAR not in module.globals:
            room: Any = ir.GlobalVariable(module, ir.ArrayType(ir.IntType(8), 0), NEAR, NEAR_MEMORY)
            room.linkage, room.align = "external", VECTOR_BYTES
        return module.globals[NEAR]

    def word(self, table: Value, place: Value) -> Value:
        """A word of a table, none of which changes while a kernel runs."""
        base = self.builder.inttoptr(table, ir.IntType(64).as_pointer(GLOBAL_MEMORY))
        value = self.builder.load(self.builder.gep(base, [place]))
        value.align = 8
        value.set_metadata("invariant.load", self.builder.module.add_metadata([]))
        return value

    def vote(self, condition: Value, how: int) -> Value:
        """What all threads of the warp find together: whether a condition holds for all, or for any, or a bit
        for each.
        """
        word = ir.IntType(32)
        form = ir.LiteralStructType((word, ir.IntType(1)))
        found = self.call("llvm.nvvm.vote.sync", form, ALL, ir.Constant(word, how), condition)
        return self.builder.extract_value(found, 0 if how == BY_BITS else 1)

    def exchanged(self, x: Value, how: int, place: Value) -> Value:
        """Another thread's number, for numbers of 64 bits in two halves."""
        word, kind = ir.IntType(32), x.type
        bits = self.builder.bitcast(x, ir.IntType(64 if kind in (ir.DoubleType(), ir.IntType(64)) else 32))
        if bits.type == word:
            form = ir.LiteralStructType((word, ir.IntType(1)))
            found = self.call("llvm.nvvm.shfl.sync.i32", form, ALL, ir.Constant(word, how), bits, place, ir.Constant(word, THREADS - 1))
            return self.builder.bitcast(self.builder.extract_value(found, 0), kind)
        upper = ir.Constant(bits.type, 32)
        low, high = (self.exchanged(self.resized(half, 32), how, place) for half in (bits, self.builder.lshr(bits, upper)))
        whole = self.builder.or_(self.resized(low, 64), self.builder.shl(self.resized(high, 64), upper))
        return self.builder.bitcast(whole, kind)

    def element(self, x: Value, place: Value, lane: Kind) -> Value:
        """The number in one lane, the same for all threads."""
        return x if lane.width == 1 else self.exchanged(x, AT_PLACE, self.resized(place, 32))

    def reduce_mask(self, mask: Value, kind: Kind, operation: str) -> Value:
        """Whether any ("or") or every ("and") lane of a mask holds: a vote."""
        return mask if kind.width == 1 else self.vote(mask, FOR_ANY if operation == "or" else FOR_ALL)

    def first_of(self, mask: Value, begin: Value, kind: Kind) -> Value:
        """The thread's own lane if a mask holds there and it does not lie before `begin`, or the width: a thread
        attends to its own lane alone, and those beyond a single one to none.
        """
        own = self.lane_number()
        is_found = self.builder.and_(mask, self.builder.icmp_unsigned(">=", own, begin))
        if kind.width < THREADS:
            is_found = self.builder.and_(is_found, self.builder.icmp_unsigned("<", own, ir.Constant(own.type, kind.width)))
        return self.builder.select(is_found, own, ir.Constant(own.type, kind.width))

    def count_of(self, mask: Value, kind: Kind) -> Value:
        """In how many lanes a mask holds."""
        bits = self.resized(mask, 32) if kind.width == 1 else self.vote(mask, BY_BITS)
        return self.resized(self.call("llvm.ctpop.i32", ir.IntType(32), bits), 64)

    def extreme(self, operation: str, x: Value, lane: Kind) -> Value:
        """The smallest ("umin") or greatest ("umax") number of a lane: by one instruction where there is one, or
        by exchanges at distances 1, 2, 4, ...
        """
        if lane.width == 1:
            return x
        if lane.bits == 32 and capability.get() >= (8, 0):
            text = f"redux.sync.{operation[1:]}.u32 $0, $1, 0xffffffff;"
            return self.builder.asm(ir.FunctionType(x.type, [x.type]), text, "=r,r", [x], True)
        for distance in (1, 2, 4, 8, 16):
            other = self.exchanged(x, FLIPPED, ir.Constant(ir.IntType(32), distance))
            x = self.builder.select(self.builder.icmp_unsigned("<" if operation == "umin" else ">", x, other), x, other)
        return x

    def meet(self) -> Value:
        """A barrier of the warp."""
        self.call("llvm.nvvm.bar.warp.sync", ir.VoidType(), ALL)
        return self.nothing()

    def claim(self, base: Value, place: Value, count: Value) -> Value:
        """Adds to a count that all threads of the grid share, and gives what it was."""
        return self.builder.atomic_rmw("add", self.builder.gep(base, [place]), count, "monotonic")


def lane_number() -> int:
    """Which of its warp's threads this is, whose lane has this number."""
    return kernel_only()


def own_number(value: Lane, lane: int) -> Lane:
    """The thread's own number of a lane, which is that of the lane that it attends to."""
    return kernel_only(value, lane)


def warp_number() -> int:
    """Which of the grid's warps this is."""
    return kernel_only()


def anywhere(condition: bool) -> bool:
    """Whether a condition holds for any thread of the warp."""
    return kernel_only(condition)


def meet_warp() -> None:
    """Waits until all threads of the warp have come here; what they have stored before is seen by all."""
    kernel_only()


def claim(counts: Memory, place: int, count: int) -> int:
    """Adds to a count that all threads of the grid share, and gives what it was."""
    return kernel_only(counts, place, count)


@rule_of(lane_number)
def _(target: Target) -> Any:
    return (target.types.int64, lambda code: code.lane_number()) if target.by_thread else None


@rule_of(own_number)
def _(target: Target, value: Kind, lane: Kind) -> Any:
    return (value.dtype, lambda code, v, _: v) if target.by_thread and is_lane(value) else None


@rule_of(warp_number)
def _(target: Target) -> Any:
    return (target.types.int64, lambda code: code.warp_number()) if target.by_thread else None


@rule_of(anywhere)
def _(target: Target, condition: Kind) -> Any:
    if not target.by_thread or condition != target.types.boolean:
        return None
    return condition, lambda code, c: code.vote(c, FOR_ANY)


@rule_of(meet_warp)
def _(target: Target) -> Any:
    return (target.types.void, lambda code: code.meet()) if target.by_thread else None


@rule_of(claim)
def _(target: Target, counts: Kind, place: Kind, count: Kind) -> Any:
    if not target.by_thread or not is_memory(counts):
        return None
    return target.types.int64, lambda code, c, p, n: code.claim(code.data(c, counts), code.index(p, place), code.index(n, count))


class DualWarpCode(DualCode, WarpCode):
    """Emits the instructions of one thread of a warp on numbers with tangents."""
