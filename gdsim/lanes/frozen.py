"""What a kernel has as constants of the functions that it is made of: values of globals and of modules' names,
and defaults.

They may change without an edit of the function's source, as in a notebook or in another module.
"""

import dis
import enum
import functools
import hashlib
import pathlib
import re
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gdsim.lanes.types import Function

# Packages of which no name is the user's.
FOREIGN = {*sys.stdlib_module_names, "gdsim", "numba", "numpy", "scipy", "sympy"} - {"__main__"}
LOAD_GLOBAL = dis.opmap["LOAD_GLOBAL"]


@functools.cache
def file_hash(path: str) -> str:
    """A hash of a source file's bytes; of its name where there is no such file."""
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError:
        return hashlib.sha256(path.encode()).hexdigest()


@functools.cache
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """The global names that a function uses; attributes, which may have the same names, are none.

    They are read from its bytes, for `dis` takes twenty times as long, a tenth of a second for a kernel.
    """
    names, argument = dict[str, None](), 0
    for operation, byte in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = argument << 8 | byte
        if operation == LOAD_GLOBAL:
            names[code.co_names[argument >> 1]] = None  # the lowest bit says whether it is called
        if operation != dis.EXTENDED_ARG:
            argument = 0
    return tuple(names)


def code_text(code: types.CodeType) -> str:
    """What tells two functions of one name in one file apart: where it begins, its instructions and
    constants.
    """
    constants = [code_text(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_firstlineno} {code.co_code.hex()} {constants} {code.co_names}"


def instructions_text(code: types.CodeType, doc: str | None = None) -> str:
    """What a function does, wherever it stands: its instructions and constants, but for its docstring `doc`."""
    constants = []
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            constants.append(instructions_text(value))
        elif isinstance(value, frozenset):  # whose order differs between processes
            constants.append(str(sorted(map(repr, value))))
        else:
            constants.append(repr(None if value == doc else value))
    return f"{code.co_code.hex()} {constants} {code.co_names}"


def array_text(value: Any) -> str:
    """What tells an array's or a NumPy scalar's values from others."""
    return f"{value.dtype.str}{np.shape(value)}{hashlib.sha256(value.tobytes()).hexdigest()}"


def lasting_repr(value: object) -> str:
    """A value as Python writes it, without addresses, which are others in every process.

    >>> lasting_repr(object())
    '<object object>'
    """
    return repr(value) if isinstance(value, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def constants_of(function: Function, names: Iterable[str], seen: set[Any]) -> Iterator[str]:
    """The values that machine code of a function holds: of its defaults, of what it closes over, and of the
    globals with these names; `seen` are functions and modules that were asked already.
    """
    code, space = function.__code__, function.__globals__
    for name in names:
        if isinstance(value := space.get(name), types.ModuleType):
            yield from _constants_of_module(value, code.co_names, seen)
        elif name in space:
            yield f"{name}={_value_text(value, seen)}"
    yield from (f"default {k}={_value_text(v, seen)}" for k, v in enumerate(function.__defaults__ or ()))
    yield from (f"default {name}={_value_text(v, seen)}" for name, v in sorted((function.__kwdefaults__ or {}).items()))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield f"{name}={lasting_repr(cell) if cell == types.CellType() else _value_text(cell.cell_contents, seen)}"


def _constants_of_module(module: types.ModuleType, names: tuple[str, ...], seen: set[Any]) -> Iterator[str]:
    """The values of a module's, and of modules' in it, that have one of the names."""
    if module.__name__.partition(".")[0] in FOREIGN or (module, names) in seen:
        return
    seen.add((module, names))
    for name in names:
        value = getattr(module, name, None)
        if isinstance(value, types.ModuleType):
            yield from _constants_of_module(value, names, seen)
        elif hasattr(module, name):
            yield f"{module.__name__}.{name}={_value_text(value, seen)}"


def _value_text(value: Any, seen: set[Any]) -> str:
    """What tells a value that a kernel may hold from others: an array by its bytes, a compiled function by all
    that it is made of.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype}{array_text(value)}"
    if isinstance(value, tuple):
        kind = type(value)
        return f"{kind.__name__}{getattr(kind, '_fields', '')}({', '.join(_value_text(v, seen) for v in value)})"
    if isinstance(value, enum.Enum):
        return f"{value!s}={_value_text(value.value, seen)}"
    if isinstance(value, enum.EnumMeta):
        return f"{value.__name__}({', '.join(_value_text(v, seen) for v in value)})"
    function = getattr(value, "py_func", value)
    return _function_text(function, seen) if isinstance(function, types.FunctionType) else lasting_repr(value)


def _function_text(function: types.FunctionType, seen: set[Any]) -> str:
    """A function's name, and of a user's its source and values, when it is met first."""
    name, code = f"{function.__module__}.{function.__qualname__}", function.__code__
    if name.partition(".")[0] in FOREIGN or function in seen:
        return name
    seen.add(function)
    return f"{name}: {file_hash(code.co_filename)} {code_text(code)} {[*constants_of(function, global_names(code), seen)]}"
