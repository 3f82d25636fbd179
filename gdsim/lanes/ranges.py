"""Loops over ranges in LLVM's language: without the question, asked by Numba at each loop, whether the step
is 0. It is asked where a range is made.
"""

from llvmlite import ir as llvm
from numba.core import types
from numba.core.cgutils import alloca_once, alloca_once_value, if_unlikely

from gdsim.lanes.types import Builder, Context, Kind, Value


def new_range(context: Context, builder: Builder, result: Kind, values: list[Value]) -> Value:
    """The range with one to three given numbers: (start, stop, step). Raises in Python where the step is 0."""
    kind = values[0].type
    start, stop, *rest = values if len(values) > 1 else [llvm.Constant(kind, 0), *values]
    step = rest[0] if rest else llvm.Constant(kind, 1)
    if not isinstance(step, llvm.Constant) or step.constant == 0:
        with if_unlikely(builder, builder.icmp_unsigned("==", step, llvm.Constant(kind, 0))):
            context.call_conv.return_user_exc(builder, ValueError, ("range() arg 3 must not be zero",))
    return context.make_tuple(builder, result, [start, stop, step])


def length_of(builder: Builder, value: Value) -> Value:
    """How many numbers a range has."""
    start, stop, step = (builder.extract_value(value, place) for place in range(3))
    zero, one = llvm.Constant(step.type, 0), llvm.Constant(step.type, 1)
    distance = builder.sub(stop, start)
    is_upward = builder.icmp_signed(">", distance, zero)
    if isinstance(step, llvm.Constant) and step.constant == 1:
        return builder.select(is_upward, distance, zero)
    is_uneven = builder.icmp_signed("!=", builder.srem(distance, step), zero)
    count = builder.add(builder.sdiv(distance, step), builder.select(is_uneven, one, zero))
    is_away = builder.xor(is_upward, builder.icmp_signed(">", step, zero))
    return builder.select(is_away, zero, count)


def iterator_of(context: Context, builder: Builder, kind: Kind, value: Value) -> Value:
    """What goes through a range, as Numba's `iternext` takes it."""
    start, stop, step = (builder.extract_value(value, place) for place in range(3))
    iterator = context.make_helper(builder, kind)
    iterator.iter, iterator.stop, iterator.step = alloca_once_value(builder, start), stop, step
    iterator.count = alloca_once(builder, start.type)
    builder.store(length_of(builder, value), iterator.count)
    return iterator._getvalue()


def next_of(context: Context, builder: Builder, result: Kind, kind: Kind, value: Value) -> Value:
    """(The next number of a range, whether there is one). What is left is counted down even where there is none, so that
    a loop has one way through it.
    """
    iterator, pair = context.make_helper(builder, kind, value), context.make_helper(builder, result)
    count, number = builder.load(iterator.count), builder.load(iterator.iter)
    pair.first, pair.second = number, builder.icmp_signed(">", count, llvm.Constant(count.type, 0))
    builder.store(builder.sub(count, llvm.Constant(count.type, 1)), iterator.count)
    builder.store(builder.add(number, iterator.step), iterator.iter)
    return pair._getvalue()


def is_range_iterator(kind: Kind) -> bool:
    """Whether a type is that of what goes through a range."""
    return isinstance(kind, types.RangeIteratorType)


def is_range(kind: Kind) -> bool:
    """Whether a type is that of a range."""
    return isinstance(kind, types.RangeType)
