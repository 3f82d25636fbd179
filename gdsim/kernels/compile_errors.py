"""Why code of the user's cannot be part of a kernel, in one line: what was found, where, and what to write in
its place.

A rule's and a schedule's functions see lanes in a kernel and numbers in ordinary Python. Where a kernel
cannot be compiled, they are called with numbers, which finds what is no valid Python and results of the wrong
shape. What numbers can do and lanes cannot, such as an `if`, the compiler has found, with its line.
"""

import difflib
import pathlib
import re
import traceback
import types
from typing import Any, NamedTuple

import numpy as np

from gdsim import lanes
from gdsim.lanes.compiler import ScopedPart, below, reached
from gdsim.words import count_of

# Functions of Python, `math` and NumPy by the names of those that mean the same of lanes.
MEANING_THE_SAME = {
    "abs": "absolute", "fabs": "absolute", "max": "maximum", "fmax": "maximum", "min": "minimum", "fmin": "minimum",
    "arccos": "acos", "arctan2": "atan2", "power": "pow", "expit": "sigmoid",
}  # fmt: skip
SYMBOLS = {"floordiv": "//", "mod": "%", "truediv": "/", "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "not_": "not"}
CONDITION = "a condition on lanes differs from run to run, so that if, and, or cannot decide by it; write where(condition, this, that) of gdsim.lanes"
HELD = "a list, a dict, a set or an array is made, which kernels cannot hold; write a tuple, or a NamedTuple"
WHOLE = "a number of updates is whole; as_type_of(t, base) of gdsim.lanes.operations makes it a number like the rate"


class CodeError(ValueError):
    """Code of a rule, a schedule or a problem that kernels cannot be made of: its place, what is wrong, what
    to write.
    """

    is_known = True  # whether a line of the user's was found; else the compiler's own words are worth reading


class _UndecidedError(Exception):
    """Numbers do not tell what a function does with lanes."""


class _Part(NamedTuple):
    """A part of a kernel that users write, and in words what it gives."""

    part: Any
    gives: str

    @property
    def function(self) -> types.FunctionType:
        """The function itself."""
        return self.part.function if isinstance(self.part, ScopedPart) else self.part

    def __call__(self, *arguments: Any) -> Any:
        """What the part gives, called with numbers. Raises CodeError for what it raises."""
        try:
            with np.errstate(all="ignore"):
                return _in_python(self.part)(*arguments)
        except NotImplementedError:
            raise
        except ArithmeticError:
            raise _UndecidedError from None
        except Exception as error:
            if "for kernels only" in str(error):
                raise _UndecidedError from None
            raise CodeError(_what_it_raised(self.function, arguments, error)) from None

    def refused(self, what: str) -> CodeError:
        """The error for a result of the wrong shape."""
        return CodeError(f"{_place(self.function)} must give {self.gives}; it gives {what}")

    def number(self, *arguments: Any) -> Any:
        """The number that it must give. Raises CodeError for anything else."""
        result = self(*arguments)
        if not _is_number(result):
            raise self.refused(_kind(result))
        return result

    def pair(self, count: int, state: str, *arguments: Any) -> tuple[Any, Any]:
        """The two things that it must give, of which the second is a tuple of `count` numbers.

        Raises CodeError for anything else.
        """
        result = self(*arguments)
        if not isinstance(result, tuple) or len(result) != 2:
            raise self.refused(_kind(result))
        first, second = result
        if not isinstance(second, tuple):
            raise self.refused(f"{_kind(second)} as {state}: write a tuple, as in return ..., (a, b)")
        if len(second) != count:
            raise self.refused(f"{count_of(len(second), 'number')} as {state}, and the class names {count} in {state.rpartition(' ')[2]}")
        if not all(map(_is_number, second)):
            raise self.refused(f"{_kind(next(v for v in second if not _is_number(v)))} among {state}")
        return first, second


def explained(structure: Any, error: Exception) -> CodeError:
    """The error that says in one line why a structure's kernel could not be compiled, from what the compiler
    has raised.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    place = _place_in(structure, text)
    try:
        _try_with_numbers(structure)
    except CodeError as found:
        if not place or str(found).startswith(place):
            return found
    except NotImplementedError as missing:
        name = traceback.extract_tb(missing.__traceback__)[-1].name
        return CodeError(f"{structure.title}: {name} is missing; a rule gives prepare(h, rate, carry) and update(w, g, slots, s), a schedule rate(base, t, p)")
    except _UndecidedError:
        pass
    found = CodeError(f"{place or structure.title} cannot be {'used' if place else 'compiled'}: {_refused(text)}")
    found.is_known = bool(place)
    return found


def _in_python(part: Any) -> Any:
    """A part as a Python function, with the parts that it brings in their places."""
    if not isinstance(part, ScopedPart):
        return part
    names = {**part.function.__globals__, **{name: _in_python(value) for name, value in part.parts}}
    return types.FunctionType(part.function.__code__, names, part.function.__name__, part.function.__defaults__)


def _try_with_numbers(structure: Any) -> None:
    """Calls the functions of a structure's rule and schedule with numbers.

    Raises CodeError for the first that is wrong.
    """
    parts, one = dict(structure.step_parts), np.float64(0.5)
    h, carry, slots = structure.hyperparameters(*[one] * len(structure.hyperparameters._fields)), (one,) * structure.carry, (one,) * structure.slots
    _Part(parts["rate"], "the rate, a number").number(one, 3, _in_python(parts["schedule_numbers"])(h))
    s, _ = _Part(parts["prepare"], "two things, what update needs and the new carry").pair(structure.carry, "the new carry", h, one, carry)
    s = _Part(parts["with_gradient"], "what update needs")(s, one, one)
    weight, _ = _Part(parts["update"], "two things, the new weight and its new slots").pair(structure.slots, "the new slots", one, one, slots, s)
    if not _is_number(weight):
        raise _Part(parts["update"], "two things, the new weight and its new slots").refused(f"{_kind(weight)} as the new weight")
    _Part(parts["reported"], "the reported weight, a number").number(one, slots, s)


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int, np.number)) and not isinstance(value, (bool, np.bool_))


def _kind(value: Any) -> str:
    """What a function gave, in words."""
    if value is None:
        return "nothing (is there a return?)"
    if isinstance(value, tuple):
        return f"{len(value)} things"
    return "a condition" if isinstance(value, (bool, np.bool_)) else "one number" if _is_number(value) else f"a {type(value).__name__}"


def _place(function: types.FunctionType, line: int | None = None) -> str:
    """A function with its line, the first if none is given."""
    return f"{function.__qualname__} ({pathlib.Path(function.__code__.co_filename).name}, line {line or function.__code__.co_firstlineno})"


def _what_it_raised(function: types.FunctionType, arguments: tuple[Any, ...], error: Exception) -> str:
    """One line for what a function has raised, called with numbers."""
    lines = [n for f, n in traceback.walk_tb(error.__traceback__) if f.f_code.co_filename == function.__code__.co_filename]
    place = _place(function, lines[-1] if lines else None)
    if not lines and isinstance(error, TypeError):
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        return f"{place} takes {count_of(len(names), 'argument')}, ({', '.join(names)}), and is given {len(arguments)}"
    if isinstance(error, NameError):
        return f"{place} cannot be used: the name {error.name!r} is not there{_instead(error.name or '', is_misspelt=True)}"
    if isinstance(error, AttributeError) and (fields := getattr(error.obj, "_fields", None)):
        return f"{place} cannot be used: there is no {error.name!r} among {', '.join(map(repr, fields))}"
    return f"{place} cannot be used: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _instead(name: str, is_misspelt: bool = False) -> str:
    """What to write in the place of a function's name; nothing where no function means the same."""
    meant = MEANING_THE_SAME.get(name, name)
    if is_misspelt:
        meant = next(iter(difflib.get_close_matches(meant, lanes.__all__, 1, 0.75)), meant)
    if meant in lanes.__all__:
        return f"; write {meant} of gdsim.lanes (from gdsim.lanes import {meant})"
    return f"; write {name} of gdsim.lanes.operations" if name in ("sign", "floor") else ""


def _place_in(structure: Any, text: str) -> str:
    """The innermost of a rule's, a schedule's or a problem's own lines that the compiler names.

    "" if it names none.
    """
    own = [f for _, part in (*structure.step_parts, *structure.problem_parts) if (code := below(part, {})) for f in reached(*code)]
    for file, line in re.findall(r"at (\S.*) \((\d+)\)$", text, re.MULTILINE):
        for function in own:
            if function.__code__.co_filename == file and int(line) in {n for _, _, n in function.__code__.co_lines()}:
                return _place(function, int(line))
    return ""


def _refused(text: str) -> str:
    """The compiler's reason in words of lanes."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("Failed in", "- Resolution"))]
    name = re.search(r"^No implementation of function Function\(<(?:built-in function|function|class|ufunc) '?(?:\w+\.)*(\w+)", lines[0])
    if name and name[1] in ("bool", "truth"):
        return CONDITION
    if "NRT required" in lines[0] or "typeddict" in lines[0] or "list(" in lines[0]:
        return HELD
    call = next((line[3:].strip() for line in lines if line.startswith(">>>")), "") if name else ""
    call = re.sub(r"Lane\(u?int\d+ x \d+\)", "whole lane", re.sub(r"Lane\(float\d+ x \d+\)", "lane", call))
    call = re.sub(r"Mask\(\d+\)", "condition", re.sub(r"Literal\[\w+\]\((.*?)\)|\bu?(int|float)\d+\b", lambda m: m[1] or "number", call))
    if not name:
        return re.sub(r"Lane\([^)]*\)", "a lane", lines[0])
    if name[1] in SYMBOLS:
        return f"{SYMBOLS[name[1]]} cannot be used here, as in {call}{f'; {WHOLE}' if 'whole lane' in call else ''}"
    return f"{name[1]} of Python or NumPy cannot be used on lanes, as in {call}{_instead(name[1])}"
