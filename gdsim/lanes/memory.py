"""Memory that a job's table names: how kernels take many arrays as one argument.

The host lays the fields of a nested NamedTuple out as a table of int64: an address and a length for an array,
the value for a whole number. A kernel gets the table's address, and a function made for the NamedTuple's
shape gives the same NamedTuple back, its arrays as memory that is indexed, loaded from and stored to. Passing
arrays themselves costs seven values each in every function that they go through, and minutes of compilation.

Where many functions read a few fields each, a kernel is given views instead, of which a field is read where
it is named: a view is one address, however many fields it has.
"""

import hashlib
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from gdsim.lanes.emit import Code
from gdsim.lanes.generated import function_from
from gdsim.lanes.kinds import is_dual, is_memory
from gdsim.lanes.numbers import Duals, Near, Number
from gdsim.lanes.operations import kernel_only, literal_of, rule_of
from gdsim.lanes.parts import DECLARED
from gdsim.lanes.target import Target
from gdsim.lanes.types import Address, Builder, Context, Kind, Lane, Memory, Offset, Value


def memory(table: Address, place: Offset, like: Lane) -> Memory:
    """The memory whose address and length stand at a place of a table.

    Its elements are of the type of `like`.
    """
    return kernel_only(table, place, like)


@rule_of(memory)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind = target.Memory(target.unliteral(like))
    return kind, lambda code, t, p, _: _memory_in(code, t, code.index(p, place), kind)


def near_memory(table: Address, place: Offset, like: Lane) -> Memory:
    """Likewise memory that lies near a block of threads (`numbers.Near`)."""
    return kernel_only(table, place, like)


@rule_of(near_memory)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    if not target.by_thread:
        return None
    kind = target.Memory(target.unliteral(like), True)
    return kind, lambda code, t, p, _: _memory_in(code, t, code.index(p, place), kind)


def _memory_in(code: Code, table: Value, first: Value, kind: Kind) -> Value:
    second = code.add(first, code.constant(first.type, 1))
    return code.memory_at(code.word(table, first), code.word(table, second), kind)


def number(table: Address, place: Offset, like: Lane) -> int:
    """The whole number that stands at a place of a table, in the type of `like`."""
    return kernel_only(table, place, like)


@rule_of(number)
def _(target: Target, table: Kind, place: Kind, like: Kind) -> Any:
    kind = target.unliteral(like)
    return kind, lambda code, t, p, _: _number_in(code, t, code.index(p, place), kind)


def _number_in(code: Code, table: Value, place: Value, kind: Kind) -> Value:
    return code.resized(code.word(table, place), kind.bitwidth)


def call_kernel(address: Address, table: Address, value: Lane) -> int:
    """Calls another compiled kernel, of a table's address and a whole number, and gives its result."""
    return kernel_only(address, table, value)


@rule_of(call_kernel)
def _(target: Target, address: Kind, table: Kind, value: Kind) -> Any:
    return target.types.int64, lambda code, a, t, v: code.call_kernel(a, t, code.index(v, value))


def stack_table(job: Any) -> Address:
    """The address of a table of a nested NamedTuple, as `table_of` makes it on the host: for a kernel that this
    one calls.
    """
    return kernel_only(job)


@rule_of(stack_table)
def _(target: Target, job: Kind) -> Any:
    def words_of(code: Code, value: Value, kind: Kind) -> list[Value]:
        if is_memory(kind):
            return code.address_and_length(value)
        if isinstance(kind, target.types.BaseTuple):
            return [word for member, one in zip(code.members(value, len(kind)), kind, strict=True) for word in words_of(code, member, one)]
        return [code.index(value, kind)]

    return (target.types.int64, lambda code, value: code.on_stack(words_of(code, value, job))) if isinstance(job, target.types.BaseTuple) else None


def plane(array: Memory, number: int) -> Memory:
    """Memory of the values (number 0) or of one of the tangents (1, 2, ...) in memory of numbers with
    tangents.
    """
    return kernel_only(array, number)


@rule_of(plane)
def _(target: Target, array: Kind, number: Kind) -> Any:
    if not (is_memory(array) and is_dual(array)):
        return None
    return target.Memory(array.dtype.value), lambda code, a, n: code.plane(a, code.index(n, number))


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


def host_address(array: np.ndarray) -> Address:
    """Where an array lies in the host's memory."""
    return array.ctypes.data


def table_of(job: Any, address: Callable[[np.ndarray], Address] = host_address) -> np.ndarray:
    """The table of a nested NamedTuple; the arrays must outlive it, in the memory in which `address` says where
    each lies.
    """
    entries: list[int] = []

    def put(value: Any) -> None:
        if isinstance(value, Duals):
            entries.extend((address(value.whole), value.values.size))  # from which their tangents are found
        elif isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            entries.extend((address(value), value.size))
        elif isinstance(value, Near):
            entries.extend((value.first, value.count))
        elif isinstance(value, tuple):
            for member in value:
                put(member)
        else:
            entries.append(int(value))

    put(job)
    return np.array(entries, np.int64)


class Field(NamedTuple):
    """Where a field of a NamedTuple stands in its table, from the NamedTuple's first entry on, and what."""

    place: int
    holds: "Layout | str"  # the type of an array's elements, or of the number, by its name
    is_array: bool
    is_near: bool = False  # of an array, as `Near` says


class Layout(NamedTuple):
    """How a tuple lies in a table; its number is a hash of all that follows."""

    number: int
    kind: type  # of the tuple
    fields: dict[str, Field]  # by name, or by place
    size: int  # in entries


_layouts: dict[int, Layout] = {}  # by their numbers


def layout_of(value: tuple[Any, ...], leaving_out: tuple[str, ...] = ()) -> Layout:
    """How a nested NamedTuple lies in its table; some fields may be left out of the description."""
    size, fields = 0, {}
    for name, member in zip(getattr(value, "_fields", map(str, range(len(value)))), value, strict=True):
        if isinstance(member, tuple):
            field, entries = Field(size, below := layout_of(member), False), below.size
        elif isinstance(member, (np.ndarray, Duals, Near)):
            number = member.number if isinstance(member, Duals) else Number(member.dtype)
            field, entries = Field(size, number.name, True, isinstance(member, Near)), 2
        else:
            field, entries = Field(size, "uint32" if type(member) is np.uint32 else "int64", False), 1
        fields[name], size = field, size + entries
    fields = {name: field for name, field in fields.items() if name not in leaving_out}
    told = [(name, f.place, "near" if f.is_near else f.is_array, f.holds.number if isinstance(f.holds, Layout) else f.holds) for name, f in fields.items()]
    digest = int(hashlib.sha256(repr((type(value).__qualname__, told)).encode()).hexdigest()[:15], 16)
    return _layouts.setdefault(digest, Layout(digest, type(value), fields, size))


def view(table: Address, layout: int) -> Any:
    """The NamedTuple of a table, given its layout's number: its fields are read where they are named."""
    return kernel_only(table, layout)


@rule_of(view)
def _(target: Target, table: Kind, layout: Kind) -> Any:
    number = literal_of(target, layout)
    return None if number is None else (target.View(number), lambda code, t, _: t)


def field_of(target: Target, kind: Kind, name: str) -> tuple[Kind, Callable[[Code, Value], Value]] | None:
    """(the type of a view's field, what reads it), or None if it has none of this name."""
    field = _layouts[kind.layout].fields.get(name)
    if field is None:
        return None
    place = ir.Constant(ir.IntType(64), field.place)
    if isinstance(field.holds, Layout):
        return target.View(field.holds.number), lambda code, table: code.add(table, ir.Constant(table.type, 8 * field.place))
    dtype = target.number(Number.named(field.holds))
    if field.is_array:
        array = target.Memory(dtype, field.is_near)
        return array, lambda code, table: _memory_in(code, table, place, array)
    return dtype, lambda code, table: _number_in(code, table, place, dtype)


def register_fields(target: Target, template: Any, infer_getattr: Any, lower_getattr_generic: Any) -> None:
    """Has a compiler read the fields of views: by its template of attributes, and how it registers one and what
    reads them.
    """
    view_type: Any = target.View.__wrapped__

    def resolve(_: Any, kind: Kind, name: str) -> Any:
        found = field_of(target, kind, name)
        return None if found is None else found[0]

    def read(context: Context, emitter: Builder, kind: Kind, value: Value, name: str) -> Any:
        found = field_of(target, kind, name)
        assert found is not None
        return found[1](target.code(context, emitter), value)

    infer_getattr(type("Fields", (template,), {"key": view_type, "generic_resolve": resolve}))
    lower_getattr_generic(view_type)(read)


_readers: dict[str, Any] = {}


def _text_of(field: Field, first: int, names: dict[str, Any]) -> str:
    """The expression for a field of a tuple that begins at an entry of a table; `names` are those in it."""
    if isinstance(field.holds, str):
        names[field.holds] = Number.named(field.holds).zero
        return f"{'near_memory' if field.is_near else 'memory' if field.is_array else 'number'}(table, {first + field.place}, {field.holds})"
    kind, members = field.holds.kind, [_text_of(member, first + field.place, names) for member in field.holds.fields.values()]
    names[kind.__name__] = kind
    return f"{kind.__name__}({', '.join(members)})" if kind is not tuple else f"({', '.join(members)},)"


def readers_of(job: tuple[object, ...]) -> dict[str, Any]:
    """For each field of the job's shape that is declared as a part, under `job_` and its name, the function of
    a table's address that gives a kernel its value.
    """
    found: dict[str, Any] = {}
    for name, field in layout_of(job).fields.items():
        if f"job_{name}" not in DECLARED:
            continue
        names: dict[str, Any] = {"memory": memory, "near_memory": near_memory, "number": number}
        text = f"def job_{name}(table):\n    return {_text_of(field, 0, names)}"
        if text not in _readers:
            _readers[text] = function_from(text, f"job_{name}", names)
        found[f"job_{name}"] = _readers[text]
    return found


def view_of(job: tuple[object, ...], leaving_out: tuple[str, ...] = ()) -> Any:
    """The function of a table's address that gives a kernel a view of the job, without some fields."""
    text = f"def job_of(table):\n    return view(table, {layout_of(job, leaving_out).number})"
    if text not in _readers:
        _readers[text] = function_from(text, "job_of", {"view": view})
    return _readers[text]
