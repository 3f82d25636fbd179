"""Why code of the user's cannot be part of a kernel, in one line: what was found, where, and what to write in
its place.

A rule's and a schedule's functions see lanes in a kernel and numbers in ordinary Python. Where a kernel
cannot be compiled, they are called with numbers, which finds what is no valid Python and results of the wrong
shape. What numbers can do and lanes cannot, such as an `if`, the compiler has found, with its line.
"""

import builtins
import difflib
import pathlib
import re
import traceback
import types
from typing import Any, NamedTuple

import numpy as np

from gdsim import lanes
from gdsim.lanes.compiler import ScopedPart, below, is_own, reached
from gdsim.words import count_of

# Functions of Python, `math` and NumPy by the names of those that mean the same of lanes.
MEANING_THE_SAME = {
    "abs": "absolute", "fabs": "absolute", "max": "maximum", "fmax": "maximum", "min": "minimum", "fmin": "minimum",
    "arccos": "acos", "arctan2": "atan2", "expit": "sigmoid",
}  # fmt: skip
# What lanes have no function of, by its formula of a lane x, or of two.
WRITTEN_OUT = {
    "round": "floor(x + 0.5)", "rint": "floor(x + 0.5)", "ceil": "-floor(-x)", "trunc": "sign(x) * floor(absolute(x))", "mod": "x - y * floor(x / y)",
    "floordiv": "floor(x / y)",
    "cbrt": "sign(x) * exp(log(absolute(x)) / 3.0)", "square": "x * x", "reciprocal": "1.0 / x", "hypot": "sqrt(x * x + y * y)",
    "clip": "minimum(maximum(x, low), high)", "log10": "0.4342944819032518 * log(x)", "log2": "1.4426950408889634 * log(x)", "log1p": "log(1.0 + x)",
    "exp2": "exp(0.6931471805599453 * x)", "expm1": "exp(x) - 1.0", "tan": "sin(x) / cos(x)", "sinh": "0.5 * (exp(x) - exp(-x))",
    "cosh": "0.5 * (exp(x) + exp(-x))", "sum": "x + y", "mean": "0.5 * (x + y)", "any": "x | y", "all": "x & y", "float": "x, which is a number already",
    **dict.fromkeys(("pow", "power"), "x * x of a square, or pow(x, broadcast(exponent, x))"),
}  # fmt: skip
SYMBOLS = {
    "floordiv": "//", "mod": "%", "truediv": "/", "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "not_": "not",
    "mul": "*", "add": "+", "sub": "-", "imul": "*=", "iadd": "+=", "isub": "-=", "itruediv": "/=",
}  # fmt: skip
CONDITION = "a condition on lanes differs from run to run, so that if, and, or cannot decide by it; write where(condition, this, that) of gdsim.lanes"
HELD = "a list, a dict, a set or an array is made, which kernels cannot hold; write a tuple, or a NamedTuple"
WHOLE = "a number of updates is whole; as_type_of(t, base) of gdsim.lanes makes it a number like the rate"
CHOSEN = "a condition is no number; where(condition, this, that) of gdsim.lanes chooses, as in where(g > 0.0, s, -s)"
NO_LANE = "one of the two that where chooses from must be a lane, as in where(t > 5, 0.1 * base, base)"
RAISING = "try and with cannot be used in kernels, where nothing raises: leave them out"


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
    function, line = _place_in(structure, text)
    place = _place(function, line) if function else ""
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
    found = CodeError(f"{place or structure.title} cannot be {'used' if place else 'compiled'}: {_refused(text, function)}")
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
    rate = _Part(parts["rate"], "the rate, a number")
    if isinstance(rate.number(one, 3, _in_python(parts["schedule_numbers"])(h)), int):
        raise rate.refused(f"a whole number: {WHOLE}")
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
        hint = ": write @staticmethod above it, and no self" if "self" in names[:1] else ""
        return f"{place} takes {count_of(len(names), 'argument')}, ({', '.join(names)}), and is given {len(arguments)}{hint}"
    if isinstance(error, TypeError) and str(error).startswith("numpy boolean"):
        return f"{place} cannot be used: {CHOSEN}"
    if isinstance(error, NameError):
        return f"{place} cannot be used: the name {error.name!r} is not there{_instead(error.name or '', is_misspelt=True)}"
    if isinstance(error, AttributeError) and (fields := getattr(error.obj, "_fields", None)):
        hint = "; a rule names its numbers in defaults, a schedule in ranges" if "penalty_l1" in fields else ""
        return f"{place} cannot be used: there is no {error.name!r} among {', '.join(repr(f) for f in fields if not f.startswith('penalty_'))}{hint}"
    return f"{place} cannot be used: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _instead(name: str, is_misspelt: bool = False) -> str:
    """What to write in the place of a function's name; nothing where no function means the same."""
    meant = MEANING_THE_SAME.get(name, name)
    if name in WRITTEN_OUT and not is_misspelt:
        return f"; write {WRITTEN_OUT[name]}{', with functions of gdsim.lanes' if '(' in WRITTEN_OUT[name] else ''}"
    if is_misspelt:
        meant = next(iter(difflib.get_close_matches(meant, lanes.__all__, 1, 0.75)), meant)
    return f"; write {meant} of gdsim.lanes (from gdsim.lanes import {meant})" if meant in lanes.__all__ else ""


def _place_in(structure: Any, text: str) -> tuple[types.FunctionType | None, int]:
    """The innermost line of a rule's, a schedule's or a problem's own functions that the compiler names, and
    the function; (None, 0) if it names none.
    """
    own = [f for _, part in (*structure.step_parts, *structure.problem_parts) if (code := below(part, {})) for f in reached(*code) if not _is_ours(f)]
    for file, line in re.findall(r"(?:at |File \")(\S.*?)(?: \(|\", line )(\d+)\)?:?$", text, re.MULTILINE):
        for function in own:
            is_there = pathlib.Path(function.__code__.co_filename).name == pathlib.Path(file).name
            if is_there and int(line) in {n for _, _, n in function.__code__.co_lines()}:
                return function, int(line)
    return None, 0


def _is_ours(function: types.FunctionType) -> bool:
    """Whether a function is gdsim's, or one that gdsim has made from text."""
    return is_own(function) or (function.__module__ or "").startswith("gdsim.")


def _refused(text: str, function: types.FunctionType | None) -> str:
    """The compiler's reason in words of lanes; `function` is the user's that it names."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("Failed in", "- Resolution"))]
    if "exception_match" in lines[0] or "enter_with" in lines[0]:
        return RAISING
    if module := re.search(r"^Unknown attribute '(\w+)' of type Module\(<module '([\w.]+)'", lines[0]):
        return f"kernels find no function in a module; write from {module[2]} import {module[1]}, and {module[1]} alone"
    if held := re.search(r"^Untyped global name '(\w+)'|= global\((\w+): ", text, re.MULTILINE):
        return _global(held[1] or held[2], function)
    name = re.search(r"^No implementation of function Function\(<(?:built-in function|function|class|ufunc) '?(?:\w+\.)*(\w+)", lines[0])
    if name and name[1] in ("bool", "truth"):
        return CONDITION
    if "NRT required" in lines[0] or "typeddict" in lines[0] or "list(" in lines[0]:
        return HELD
    if not name:
        return re.sub(r"Lane\([^)]*\)", "a lane", lines[0])
    call = next((line[3:].strip() for line in lines if line.startswith(">>>")), "")
    call = re.sub(r"Lane\(u?int\d+ x \d+\)", "whole lane", re.sub(r"Lane\(float\d+ x \d+\)", "lane", call))
    call = re.sub(r"Mask\(\d+\)", "condition", re.sub(r"Literal\[\w+\]\((.*?)\)|\bu?(int|float)\d+\b", lambda m: m[1] or "number", call))
    file = re.escape(function.__code__.co_filename) if function else "<none>"
    inside = re.search(rf"resolving callee type: gdsim\.\S*?(\w+?)_[0-9a-f]{{16}}\s+During: typing of call at {file} \(", text)
    return _call_refused(name[1], call, inside[1].strip("_") if inside else "")


def _call_refused(name: str, call: str, inside: str) -> str:
    """Why a call that the compiler has refused cannot be, and what to write; `inside` is the function of
    gdsim's that the user's calls and this call stands in, if any.
    """
    shown = SYMBOLS.get(name, name)
    if name == "where" and "lane" not in call:
        return NO_LANE
    reason = WHOLE if "whole lane" in call else CHOSEN if "condition" in call else ""
    if reason:
        known = name in SYMBOLS or name in lanes.__all__ or not inside
        return f"{shown} cannot be used here, as in {call}; {reason}" if known else f"{inside} cannot be used here; {reason}"
    if inside and "number" in call:
        return f"{inside} cannot be used on a number and lanes; broadcast(number, x) of gdsim.lanes makes a lane of it, like x"
    if name in SYMBOLS:
        return f"{shown} cannot be used here, as in {call}{_instead(name)}"
    return f"{name} of Python or NumPy cannot be used on lanes, as in {call}{_instead(name)}"


def _global(name: str, function: types.FunctionType | None) -> str:
    """Why a value that a function reads by its name cannot be in a kernel."""
    value = getattr(builtins, name, None) if function is None else function.__globals__.get(name, getattr(builtins, name, None))
    if callable(value):
        return f"{name} of Python or NumPy cannot be used on lanes{_instead(name)}"
    held = "numbers, tuples and NamedTuples of them, arrays"
    return f"it reads {name}, of type {type(value).__name__}, which kernels cannot hold; allowed: {held}"
