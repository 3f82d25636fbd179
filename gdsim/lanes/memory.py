"""Memory that a job's table names: how kernels take many arrays as one argument.

The host lays the fields of a nested NamedTuple out as a table of int64: an address and a length for an array,
the value for a whole number. A kernel gets the table's address, and a function made for the NamedTuple's
shape gives the same NamedTuple back, its arrays as memory that is indexed, loaded from and stored to. Passing
arrays themselves costs seven values each in every function that they go through, and minutes of compilation.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir

from gdsim.lanes.emit import Code, is_memory
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import _kernel_only, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Address, Kind, Lane, Memory, Offset, Value


def _place_of(code: Code, table: Value, place: Value, kind: Kind) -> Any:
    base = code.builder.inttoptr(table, ir.IntType(64).as_pointer())
    return code.builder.gep(base, [code.index(place, kind)])


def memory(table: Address, place: Offset, like: Lane) -> Memory:
    """The memory whose address and length stand at a place of a table.

    Its elements are of the type of `like`.
    """
    return _kernel_only(table, place, like)


@rule_of(memory)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind = target.Memory(target.unliteral(like))

    def emit(code: Code, t: Value, p: Value, _: Value) -> Any:
        where = _place_of(code, t, p, place)
        form = code.context.get_value_type(kind)
        address, size = code.builder.load(where), code.builder.load(code.builder.gep(where, [ir.Constant(ir.IntType(64), 1)]))
        value = code.builder.insert_value(ir.Constant(form, ir.Undefined), code.builder.inttoptr(address, form.elements[0]), 0)
        return code.builder.insert_value(value, size, 1)

    return kind, emit


def number(table: Address, place: Offset, like: Lane) -> int:
    """The whole number that stands at a place of a table, in the type of `like`."""
    return _kernel_only(table, place, like)


@rule_of(number)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind = target.unliteral(like)

    def emit(code: Code, t: Value, p: Value, _: Value) -> Any:
        value = code.builder.load(_place_of(code, t, p, place))
        return value if kind.bitwidth == 64 else code.builder.trunc(value, ir.IntType(kind.bitwidth))

    return kind, emit


def call_kernel(address: Address, table: Address, value: Lane) -> int:
    """Calls another compiled kernel, of a table's address and a whole number, and gives its result."""
    return _kernel_only(address, table, value)


@rule_of(call_kernel)
def _(target: Target, address: Kind, table: Kind, value: Kind) -> Any:
    def emit(code: Code, a: Value, t: Value, v: Value) -> Any:
        # Numba's convention: (place of the result, place of an exception, arguments) -> status; kernels raise
        # nothing.
        wide, anything = ir.IntType(64), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [wide.as_pointer(), anything.as_pointer(), wide, wide])
        with code.builder.goto_entry_block():
            result, failure = code.builder.alloca(wide), code.builder.alloca(anything)
        code.builder.call(code.builder.inttoptr(a, kind.as_pointer()), [result, failure, t, code.index(v, value)])
        return code.builder.load(result)

    return target.types.int64, emit


@rule_of(len)
def _(target: Target, array: Kind) -> Any:
    return (target.types.int64, lambda code, a: code.builder.extract_value(a, 1)) if is_memory(array) else None


def _element(code: Code, array: Value, index: Value, kind: Kind) -> Any:
    return code.builder.gep(code.builder.extract_value(array, 0), [code.index(index, kind)])


@rule_of(operator.getitem)
def _(target: Target, array: Kind, index: Kind) -> Any:
    if not (is_memory(array) and isinstance(index, target.types.Integer)):
        return None
    return array.dtype, lambda code, a, i: code.builder.load(_element(code, a, i, index))


@rule_of(operator.setitem)
def _(target: Target, array: Kind, index: Kind, value: Kind) -> Any:
    if not (is_memory(array) and isinstance(index, target.types.Integer) and isinstance(value, target.types.Number)):
        return None

    def emit(code: Code, a: Value, i: Value, v: Value) -> Any:
        code.builder.store(code.context.cast(code.builder, v, value, array.dtype), _element(code, a, i, index))
        return code.context.get_dummy_value()

    return target.types.void, emit


LINE = 64  # bytes of a cache line: a register of as many that lies across two costs two accesses


def zeros(count: int, dtype: Any) -> np.ndarray:
    """So many zeros, from the beginning of a cache line on."""
    kind = np.dtype(dtype)
    raw = np.zeros(count * kind.itemsize + LINE, np.uint8)
    first = -raw.ctypes.data % LINE
    return raw[first : first + count * kind.itemsize].view(kind)


def table_of(job: Any) -> np.ndarray:
    """The table of a nested NamedTuple; the arrays must outlive it."""
    entries: list[int] = []

    def put(value: Any) -> None:
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            entries.extend((value.ctypes.data, value.size))
        elif isinstance(value, tuple):
            for member in value:
                put(member)
        else:
            entries.append(int(value))

    put(job)
    return np.array(entries, np.int64)


_readers: dict[str, Any] = {}


class _Writer:
    """Writes the text that reads a value from a table, place by place."""

    def __init__(self) -> None:
        self.place = 0
        self.names: dict[str, Any] = {"memory": memory, "number": number}

    def text_of(self, value: Any) -> str:
        """The expression for a value whose first entry is the next."""
        if isinstance(value, np.ndarray):
            self.names[f"A_{value.dtype}"] = value.dtype.type(0)
            self.place += 2
            return f"memory(table, {self.place - 2}, A_{value.dtype})"
        if isinstance(value, tuple):
            kind = type(value).__name__ if hasattr(value, "_fields") else ""
            if kind:
                self.names[kind] = type(value)
            return f"{kind}({', '.join(self.text_of(member) for member in value)}{'' if kind else ','})"
        kind = "uint32" if type(value) is np.uint32 else "int64"
        self.names[f"N_{kind}"] = np.dtype(kind).type(0)
        self.place += 1
        return f"number(table, {self.place - 1}, N_{kind})"


def readers_of(job: Any) -> dict[str, Any]:
    """For each field of the job's shape, under `job_` and its name, the function of a table's address that
    gives a kernel its value.
    """
    writer, found = _Writer(), {}
    for name in job._fields:
        text = f"def job_{name}(table):\n    return {writer.text_of(getattr(job, name))}"
        if text not in _readers:
            _readers[text] = function_from(text, f"job_{name}", writer.names)
        found[f"job_{name}"] = _readers[text]
    return found
