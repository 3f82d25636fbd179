"""What a function of the user's reaches: functions that are called with lanes in its stead, and values
that decide what it computes.
"""

import builtins
import dis
import hashlib
import math
import numbers
import pathlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from gdsim.lanes import operations
from gdsim.lanes.compiler import is_own, reached
from gdsim.lanes.frozen import FOREIGN, array_text, code_text, file_hash
from gdsim.problems.tracing import EXTREMES, MATH, PRIMITIVES, LaneError, OpaqueError, Operand, Value, call


def _primitive(name: str) -> Callable[..., Operand]:
    return lambda *arguments: call(name, *arguments)


def _unknown(*_: object, **__: object) -> NoReturn:
    raise OpaqueError


# What stands in the place of functions of numbers, while a function is traced.
_OURS: dict[Any, Any] = {f: _primitive(n) for n, f in PRIMITIVES.items()}
STAND_INS: dict[Any, Any] = {
    **_OURS,
    **{getattr(math, n): f for n, f in MATH.items()},
    **{getattr(builtins, n): f for n, f in EXTREMES.items()},
    builtins.pow: lambda base, exponent: base**exponent,
}


def is_foreign(function: types.FunctionType) -> bool:
    """Whether a function is a library's, and not the user's."""
    package = (function.__module__ or "").partition(".")[0]
    return is_own(function) or (package in FOREIGN and package != "gdsim")


class _Module:
    """A module whose functions have stand-ins."""

    def __init__(self, module: types.ModuleType, made: dict[Any, Any]) -> None:
        self._module, self._made = module, made

    def __getattr__(self, name: str) -> Any:
        return for_lanes(getattr(self._module, name), self._made)


def for_lanes(value: object, made: dict[Any, Any]) -> Any:
    """What stands in the place of a value while a function is traced; `made` holds the functions that
    there are already.
    """
    if isinstance(value, types.ModuleType):
        package = value.__name__.partition(".")[0]
        return value if package in FOREIGN - {"math", "gdsim"} else _Module(value, made)
    try:
        known = STAND_INS.get(value)
    except TypeError:  # an array, a list: nothing that is called
        return value
    if known is not None:
        return known if value in _OURS else _for_both(value, known)
    if value in operations.OPERATIONS or hasattr(value, "lane_body") or hasattr(value, "py_func"):
        return _unknown
    if not isinstance(value, types.FunctionType) or is_foreign(value):
        return value
    if value not in made:
        space = dict(value.__globals__)
        made[value] = types.FunctionType(value.__code__, space, value.__name__, value.__defaults__, _cells(value, made))
        made[value].__kwdefaults__ = value.__kwdefaults__
        for name in _global_names(value.__code__):
            if name in space or hasattr(builtins, name):
                space[name] = for_lanes(space[name] if name in space else getattr(builtins, name), made)
    return made[value]


def _for_both(function: Any, of_lanes: Callable[..., object]) -> Callable[..., object]:
    """The function of plain numbers, and of lanes what stands in its place."""

    def apply(*arguments: object, **options: Any) -> Any:
        if len(arguments) == 1 and isinstance(arguments[0], Iterable):
            arguments = tuple(arguments[0])
        return (of_lanes if any(isinstance(v, Value) for v in arguments) else function)(*arguments, **options)

    return apply


def _cells(function: types.FunctionType, made: dict[Any, Any]) -> Any:
    """The variables that a function closes over, likewise."""
    return tuple(types.CellType(for_lanes(value, made)) for _, value in _closed_over(function)) or None


def _closed_over(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """(name, value) of the variables that a function closes over. Raises LaneError for one that has no value."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            raise LaneError(f"{said(function)} reads the variable {name!r}, which has no value yet: assign it before") from None
        yield name, value


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those written within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _global_names(code: types.CodeType) -> list[str]:
    return list(dict.fromkeys(i.argval for c in _codes(code) for i in dis.get_instructions(c) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")))


def _values(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The values that a function reaches by name: globals, attributes of modules, variables that it closes
    over, defaults.
    """
    space = function.__globals__
    for code in _codes(function.__code__):
        steps = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "PRECALL", "PUSH_NULL", "NOP")]
        for k, step in enumerate(steps):
            if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or step.argval not in space:
                continue
            name, value = step.argval, space[step.argval]
            for further in steps[k + 1 :]:
                if not isinstance(value, types.ModuleType) or further.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                    break
                if value.__name__.partition(".")[0] in FOREIGN or not hasattr(value, further.argval):
                    value = math  # whose numbers are no user's
                    break
                name, value = f"{name}.{further.argval}", getattr(value, further.argval)
            yield name, value
    yield from _closed_over(function)
    yield from ((f"default {k}", v) for k, v in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()


def source_of(function: types.FunctionType) -> str:
    """A hash of a function's code and file, of those of the functions that it calls, and of the values that
    they read.

    Raises TypeError for a value that has no lasting identity, such as an open file.
    """
    named = reached(function, {})
    known, values = set(named), set()
    for one, read in reached_values(f for f in named if f is function or not is_foreign(f)):
        if one not in known:
            values.add(f"{one.__qualname__}: {code_text(one.__code__)}{file_hash(one.__code__.co_filename)}")
        for name, value, text in read:
            if text is None:
                raise TypeError(
                    f"{said(function)} reads {name!r}, of type {type(value).__name__}, whose value cannot be part of the problem's identity; "
                    f"allowed: numbers, text, tuples, lists, dicts, arrays, and functions"
                )
            if text:
                values.add(f"{one.__qualname__} {name}={text}")
    return _hash_of(named, values)


def reached_values(functions: Iterable[types.FunctionType]) -> Iterator[tuple[types.FunctionType, list[tuple[str, Any, str | None]]]]:
    """Functions and those of the user's that they reach, each once, with the values that they read: (name,
    value, its text as of `_value_text`) each.
    """
    waiting, seen = list(functions), set[Any]()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            yield one, [(name, value, _value_text(value, waiting)) for name, value in _values(one)]


def earlier_source_of(function: types.FunctionType) -> str:
    """The hash that was a function's at version e4b61fc: without the values that it reads, which it is
    still if there are none.
    """
    return _hash_of(reached(function, {}), ())


def _hash_of(functions: Iterable[types.FunctionType], values: Iterable[str]) -> str:
    texts = [code_text(f.__code__) + file_hash(f.__code__.co_filename) for f in functions]
    return hashlib.sha256("\n".join([*texts, *sorted(values)]).encode()).hexdigest()


def _value_text(value: object, functions: list[Any]) -> str | None:
    """What tells a value from others; "" for what has its identity elsewhere, None for what has none.

    Functions are added to the list.
    """
    if isinstance(value, types.FunctionType):
        if not is_foreign(value):
            functions.append(value)
        return ""
    if isinstance(value, (types.ModuleType, types.BuiltinFunctionType, type, np.ufunc)) or hasattr(value, "py_func") or hasattr(value, "lane_body"):
        return ""
    if value is None or (isinstance(value, (numbers.Number, str, bytes)) and not isinstance(value, np.generic)):
        return repr(value)
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcSU":
        return array_text(value)
    if isinstance(value, (tuple, list)):
        parts = [_value_text(v, functions) for v in value]
        return None if None in parts else f"{type(value).__name__}({', '.join(map(str, parts))})"
    if isinstance(value, Mapping):
        items = [(_value_text(k, functions), _value_text(v, functions)) for k, v in value.items()]
        return None if any(None in item for item in items) else f"{{{', '.join(f'{k}: {v}' for k, v in sorted(items))}}}"
    return None


def said(function: types.FunctionType) -> str:
    """A function with its place, for messages."""
    return f"{function.__qualname__} ({pathlib.Path(function.__code__.co_filename).name}, line {function.__code__.co_firstlineno})"
