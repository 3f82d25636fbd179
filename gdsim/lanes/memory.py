"""Memory that a job's table names: how kernels take many arrays as one argument.

The host lays the fields of a nested NamedTuple out as a table of int64: an address and a length for an array,
the value for a whole number. A kernel gets the table's address, and a function made for the NamedTuple's
shape gives the same NamedTuple back, its arrays as memory that is indexed, loaded from and stored to. Passing
arrays themselves costs seven values each in every function that they go through, and minutes of compilation.
"""

import operator
from typing import Any

import numpy as np

from gdsim.lanes.emit import Code, is_memory
from gdsim.lanes.generated import function_from
from gdsim.lanes.numbers import Number
from gdsim.lanes.operations import kernel_only, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Address, Kind, Lane, Memory, Offset, Value


def memory(table: Address, place: Offset, like: Lane) -> Memory:
    """The memory whose address and length stand at a place of a table.

    Its elements are of the type of `like`.
    """
    return kernel_only(table, place, like)


@rule_of(memory)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind, word = target.Memory(target.unliteral(like)), target.Lane(target.types.int64, 1)

    def emit(code: Code, t: Value, p: Value, _: Value) -> Any:
        words, first = code.words(t), code.index(p, place)
        second = code.add(first, code.constant(first.type, 1))
        return code.memory_at(code.load(words, first, word), code.load(words, second, word), kind)

    return kind, emit


def number(table: Address, place: Offset, like: Lane) -> int:
    """The whole number that stands at a place of a table, in the type of `like`."""
    return kernel_only(table, place, like)


@rule_of(number)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind, word = target.unliteral(like), target.Lane(target.types.int64, 1)
    return kind, lambda code, t, p, _: code.resized(code.load(code.words(t), code.index(p, place), word), kind.bitwidth)


def call_kernel(address: Address, table: Address, value: Lane) -> int:
    """Calls another compiled kernel, of a table's address and a whole number, and gives its result."""
    return kernel_only(address, table, value)


@rule_of(call_kernel)
def _(target: Target, address: Kind, table: Kind, value: Kind) -> Any:
    return target.types.int64, lambda code, a, t, v: code.call_kernel(a, t, code.index(v, value))


@rule_of(len)
def _(target: Target, array: Kind) -> Any:
    return (target.types.int64, lambda code, a: code.members(a, 2)[1]) if is_memory(array) else None


@rule_of(operator.getitem)
def _(target: Target, array: Kind, index: Kind) -> Any:
    if not (is_memory(array) and isinstance(index, target.types.Integer)):
        return None
    lane = target.Lane(array.dtype, 1)
    return array.dtype, lambda code, a, i: code.load(code.data(a, array), code.index(i, index), lane)


@rule_of(operator.setitem)
def _(target: Target, array: Kind, index: Kind, value: Kind) -> Any:
    if not (is_memory(array) and isinstance(index, target.types.Integer) and target.is_number(value)):
        return None
    lane = target.Lane(array.dtype, 1)
    return target.types.void, lambda code, a, i, v: code.store(code.data(a, array), code.index(i, index), code.broadcast(v, value, lane), lane)


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
            self.names[f"A_{value.dtype}"] = Number(value.dtype).zero
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
