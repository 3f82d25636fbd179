"""What a Python function does with lanes, found by calling it once with lanes that write down every operation.

A `Lane` stands for one number of every run. Operators, functions of `gdsim.lanes`, and those of NumPy and
`math` that mean the same are written down in the order in which Python meets them; what cannot be is an error
that says what to write instead.
"""

import math
import numbers
import operator
from collections.abc import Callable
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from gdsim import lanes
from gdsim.lanes import operations
from gdsim.words import given

Operand: TypeAlias = Any  # a lane, or the plain number that stands where the user's function has one

MOST_OPERATIONS = 300_000
# The operations that kernels know by name, with the function of a plain number.
PRIMITIVES: dict[str, Callable[..., Any]] = {
    **{n: getattr(lanes, n) for n in ("exp", "log", "tanh", "sigmoid", "softplus", "sin", "cos", "atan2", "acos", "erf", "pow", "fma")},
    **{n: getattr(operations, n) for n in ("sqrt", "absolute", "minimum", "maximum", "sign", "floor", "where")},
}


class LaneError(TypeError):
    """Something that cannot be done with lanes: what it is, and what to write in its place."""


class OpaqueError(Exception):
    """A function that only a kernel can run, such as `any` over lanes: what comes behind it cannot be traced."""


class Trace:
    """The operations of one call of a function, in their order; each is a name with its arguments."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, tuple[Any, ...]]] = []
        self.is_translated = False  # whether a kernel could not compile the function as it is written

    def inputs(self, count: int) -> "Vector":
        """A lane for each parameter."""
        return Vector(self.add("input", number) for number in range(count))

    def add(self, name: str, *arguments: object, kind: "type[Value] | None" = None) -> Any:
        """The result of one more operation."""
        if len(self.operations) >= MOST_OPERATIONS:
            raise LaneError(f"it takes more than {MOST_OPERATIONS:,} operations: a loop without an end, or a function too large to compile")
        self.operations.append((name, arguments))
        return (kind or Lane)(self, len(self.operations) - 1)

    def code(self, place: int) -> str:
        """The Python of one operation over the results of others, which are called t0, t1, ..."""
        name, arguments = self.operations[place]
        if name == "input":
            return f"x[{arguments[0]}]"
        if name in ("neg", "invert"):
            return f"{'-' if name == 'neg' else '~'}{_named(arguments[0])}"
        if not name.isidentifier():
            return f"{_named(arguments[0])} {name} {_named(arguments[1])}"
        return f"{name}({', '.join(lane_code(a) for a in arguments)})"


def _named(value: Operand) -> str:
    return f"t{value.place}" if isinstance(value, Value) else repr(value)


def lane_code(value: Operand) -> str:
    """The Python of a value as a lane, also where it is a plain number."""
    return f"t{value.place}" if isinstance(value, Value) else f"broadcast({float(value)!r}, t0)"


class Value:
    """The result of an operation: a number, or a condition, of every run."""

    __slots__ = ("place", "trace")

    def __init__(self, trace: Trace, place: int) -> None:
        self.trace, self.place = trace, place

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()}>"

    def __str__(self) -> str:
        raise LaneError("lanes cannot be printed: they have no numbers before runs are trained")

    def __format__(self, form: str) -> str:
        return str(self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> Any:
        function = NUMPY.get(ufunc.__name__)
        if function is None or method != "__call__" or options:
            raise LaneError(f"numpy.{ufunc.__name__} cannot be used on lanes; {ALLOWED}")
        if any(isinstance(i, np.ndarray) and i.ndim for i in inputs):
            held = [np.asarray(i, dtype=object) for i in inputs]
            return np.frompyfunc(function, len(held), 1)(*held)
        return function(*(bool(i) if isinstance(i, np.bool_) else operand(i) if isinstance(i, (np.generic, np.ndarray)) else i for i in inputs))

    def __array_function__(self, function: Callable[..., object], types: object, arguments: tuple[Any, ...], options: object) -> Any:
        if function.__name__ == "where" and len(arguments) == 3:
            return call("where", *arguments)
        raise LaneError(f"numpy.{function.__name__} cannot be used on lanes; {ALLOWED}")

    def _one_number(self) -> Any:
        raise LaneError(
            f"it asks for the one number of a lane, which differs from run to run (functions of math: import them outside of the function); {ALLOWED}"
        )

    __float__ = __int__ = __index__ = __complex__ = _one_number


def operand(value: object) -> Operand:
    """A lane or a plain number, or None for what is neither."""
    if isinstance(value, Mask):
        return call("where", value, 1.0, 0.0)
    if isinstance(value, Lane):
        return value
    if isinstance(value, np.bool_) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if isinstance(value, (numbers.Complex, np.generic)) and not isinstance(value, numbers.Real):
        raise LaneError(f"lanes are real numbers; {given(value)} was given")
    if isinstance(value, numbers.Integral) and abs(int(value)) < 2**53:
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else None


def _infix(symbol: str, reflected: bool = False, mask: bool = False) -> Callable[[Any, Any], Any]:
    """An operator between two values."""

    def apply(one: Value, other: object) -> Any:
        left, right = operand(one), operand(other)
        if right is None:
            return NotImplemented
        return one.trace.add(symbol, *((right, left) if reflected else (left, right)), kind=Mask if mask else Lane)

    return apply


class Lane(Value):
    """One number of every run."""

    __slots__ = ()
    __hash__ = Value.__hash__
    __add__, __radd__ = _infix("+"), _infix("+", True)
    __sub__, __rsub__ = _infix("-"), _infix("-", True)
    __mul__, __rmul__ = _infix("*"), _infix("*", True)
    __truediv__, __rtruediv__ = _infix("/"), _infix("/", True)
    __lt__, __le__, __gt__, __ge__ = (_infix(s, mask=True) for s in ("<", "<=", ">", ">="))
    __eq__, __ne__ = _infix("==", mask=True), _infix("!=", mask=True)  # pyright: ignore[reportAssignmentType]

    def __neg__(self) -> Any:
        return self.trace.add("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return translated(self, "absolute")

    def __pow__(self, exponent: object) -> Any:
        return NotImplemented if operand(exponent) is None else power(self, operand(exponent))

    def __rpow__(self, base: object) -> Any:
        return NotImplemented if operand(base) is None else power(operand(base), self)

    def __bool__(self) -> bool:
        raise LaneError("a lane is neither true nor false; compare it, and choose by where(condition, this, that) of gdsim.lanes")


class Mask(Value):
    """A condition of every run. In arithmetic it is 1 where it holds and 0 elsewhere, as in NumPy."""

    __slots__ = ()
    __add__ = __radd__ = lambda self, other: operand(self) + other
    __mul__ = __rmul__ = lambda self, other: operand(self) * other
    __sub__, __rsub__ = lambda self, other: operand(self) - other, lambda self, other: other - operand(self)

    def _with(self, symbol: str, other: object) -> Any:
        if isinstance(other, (bool, np.bool_)):
            unchanged = bool(other) is (symbol == "&")
            return self if unchanged else ~self if symbol == "^" else self._with(symbol, ~self)
        return self.trace.add(symbol, self, other, kind=Mask) if isinstance(other, Mask) else NotImplemented

    __and__ = __rand__ = lambda self, other: self._with("&", other)
    __or__ = __ror__ = lambda self, other: self._with("|", other)
    __xor__ = __rxor__ = lambda self, other: self._with("^", other)

    def __invert__(self) -> Any:
        return self.trace.add("invert", self, kind=Mask)

    def __bool__(self) -> bool:
        raise LaneError(
            "a condition on lanes differs from run to run, so that if, and, or, min and sorted cannot decide by it; "
            "choose by where(condition, this, that) of gdsim.lanes, and join conditions by & and |"
        )


class Vector(tuple[Any, ...]):
    """The parameters: a tuple, on which what a tuple cannot do is done element by element, as in NumPy."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> Any:
        held = [np.asarray(i, dtype=object) for i in inputs]
        function = NUMPY.get(ufunc.__name__)
        if function is not None and function in EXTREMES.values() and method == "reduce":
            return function(tuple(self))
        if function is None or method != "__call__" or options:
            return getattr(ufunc, method)(*(h if isinstance(i, Vector) else i for h, i in zip(held, inputs, strict=True)), **options)
        return np.frompyfunc(function, len(held), 1)(*held)

    __pow__, __rpow__ = lambda self, other: _each(operator.pow, self, other), lambda self, other: _each(operator.pow, other, self)
    __sub__, __rsub__ = lambda self, other: _each(operator.sub, self, other), lambda self, other: _each(operator.sub, other, self)
    __truediv__, __rtruediv__ = lambda self, other: _each(operator.truediv, self, other), lambda self, other: _each(operator.truediv, other, self)

    def __neg__(self) -> Any:
        return Vector(-v for v in self)

    def __abs__(self) -> Any:
        return Vector(abs(v) for v in self)

    def __matmul__(self, other: object) -> Any:
        return _as_vector(np.asarray(self, dtype=object) @ np.asarray(other, dtype=object))

    def __rmatmul__(self, other: object) -> Any:
        return _as_vector(np.asarray(other, dtype=object) @ np.asarray(self, dtype=object))

    def __add__(self, other: object) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return tuple(self) + other if isinstance(other, tuple) else _each(operator.add, self, other)

    def __radd__(self, other: object) -> Any:
        return other + tuple(self) if isinstance(other, tuple) else _each(operator.add, other, self)

    def __mul__(self, other: object) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _each(operator.mul, self, other)

    __rmul__ = __mul__  # pyright: ignore[reportAssignmentType]

    def __getitem__(self, key: SupportsIndex | slice) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = tuple(self)[key]
        return Vector(found) if isinstance(key, slice) else found


def _each(operation: Callable[..., object], one: object, other: object) -> Any:
    return _as_vector(operation(*(np.asarray(v, dtype=object) for v in (one, other))))


def _as_vector(value: object) -> Any:
    return Vector(value) if isinstance(value, np.ndarray) and value.ndim == 1 else value


def call(name: str, *arguments: object) -> Operand:
    """A function that kernels know by its name, of lanes and numbers."""
    if name == "where" and not isinstance(arguments[0], Mask):
        if isinstance(arguments[0], Lane):
            raise LaneError("where needs a condition in the first place, as in where(x[0] > 0.0, this, that)")
        return arguments[1] if arguments[0] else arguments[2]
    held: list[Operand] = [a if isinstance(a, Mask) and name == "where" and not k else operand(a) for k, a in enumerate(arguments)]
    if any(h is None for h in held):
        wrong = next(a for a, h in zip(arguments, held, strict=True) if h is None)
        raise LaneError(f"{name} takes lanes and numbers, one by one; {type(wrong).__name__} was given")
    traced = [h for h in held if isinstance(h, Value)]
    return traced[0].trace.add(name, *held) if traced else PRIMITIVES[name](*(float(h) for h in held))


def translated(first: object, name: str, *others: object) -> Operand:
    """The same where a kernel could not compile what the user has written: `abs`, or a function of NumPy's."""
    found = call(name, first, *others)
    if isinstance(found, Value):
        found.trace.is_translated = True
    return found


def power(base: Operand, exponent: Operand) -> Operand:
    """`base ** exponent`: by products where the exponent is whole, with a square root where it is half of
    an odd number.
    """
    traced = base if isinstance(base, Lane) else exponent
    traced.trace.is_translated = True
    if isinstance(exponent, Lane) or abs(exponent) > 2**20 or not float(2 * exponent).is_integer():
        return call("pow", base, exponent)
    if exponent < 0:
        return 1.0 / power(base, -exponent)
    whole = _whole_power(base, int(exponent)) if exponent >= 1 else None
    if float(exponent).is_integer():
        return 1.0 if whole is None else whole
    root = call("sqrt", base)
    return root if whole is None else whole * root


def _whole_power(base: Operand, exponent: int) -> Operand:
    if exponent == 1:
        return base
    half = _whole_power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


def _plain(name: str, count: int = 1) -> Callable[..., Any]:
    """A function of NumPy's or of `math` that lanes have too."""

    def apply(*arguments: object) -> Operand:
        if len(arguments) != count:
            raise LaneError(f"{name} takes {count} arguments; {len(arguments)} were given")
        return translated(arguments[0], name, *arguments[1:])

    return apply


def _extreme(name: str) -> Callable[..., Any]:
    def apply(*values: Operand) -> Operand:
        found, *others = values[0] if len(values) == 1 else values
        for other in others:
            found = translated(found, name, other)
        return found

    return apply


def _log(x: Operand, base: float = math.e) -> Operand:
    return translated(x, "log") / (1.0 if base == math.e else math.log(base))


def _hyperbolic(x: Operand, sign: float) -> Operand:
    """sinh x (sign -1) or cosh x: by t = tanh(x / 2) where the difference of two exponentials, or the
    slope, would lose digits.
    """
    t = translated(0.5 * x, "tanh")
    near = (2.0 * t if sign < 0 else 1.0 + t * t) / (1.0 - t * t)
    return call("where", abs(x) < 1.0, near, 0.5 * (call("exp", x) + sign * call("exp", -x)))


def _asin(x: Operand) -> Operand:
    """asin x = atan2(x, sqrt(1 - x^2)), which loses no digits near 0, and near 1 by its factors."""
    return translated(x, "atan2", call("sqrt", (1.0 - x) * (1.0 + x)))


EXTREMES = {"min": _extreme("minimum"), "max": _extreme("maximum")}
# Functions of NumPy and of `math`, by the names that either has for them.
SHARED: dict[str, Callable[..., Any]] = {
    **{n: _plain(n) for n in ("exp", "sin", "cos", "tanh", "sqrt", "floor")}, "log": _log,
    "tan": lambda x: translated(x, "sin") / call("cos", x), "sinh": lambda x: _hyperbolic(x, -1.0),
    "cosh": lambda x: _hyperbolic(x, 1.0), "log2": lambda x: _log(x, 2.0), "log10": lambda x: _log(x, 10.0),
    "fabs": _plain("absolute"), "hypot": lambda x, y: translated(x * x + y * y, "sqrt"), "ceil": lambda x: -translated(-x, "floor"),
}  # fmt: skip
_INVERSE = {
    "sin": _asin, "cos": _plain("acos"),
    "tan": lambda x: translated(x, "atan2", 1.0), "tan2": _plain("atan2", 2),
}  # fmt: skip
MATH: dict[str, Callable[..., Any]] = {
    **SHARED, **{f"a{n}": f for n, f in _INVERSE.items()}, "pow": lambda x, y: x**y, "erf": _plain("erf"),
}  # fmt: skip
NUMPY: dict[str, Callable[..., Any]] = {
    **SHARED, **{f"arc{n}": f for n, f in _INVERSE.items()}, "absolute": abs, "sign": _plain("sign"), "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x, "minimum": EXTREMES["min"], "maximum": EXTREMES["max"], "power": operator.pow, "float_power": operator.pow,
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv, "negative": operator.neg, "positive": operator.pos,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq, "not_equal": operator.ne,
    **dict.fromkeys(("logical_and", "bitwise_and"), operator.and_), **dict.fromkeys(("logical_or", "bitwise_or"), operator.or_),
    **dict.fromkeys(("logical_xor", "bitwise_xor"), operator.xor), **dict.fromkeys(("logical_not", "invert"), operator.invert),
}  # fmt: skip
for _name in ("exp", "log", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "floor", "ceil", "fabs", "arcsin", "arccos", "arctan"):
    setattr(Lane, _name, NUMPY[_name])  # which NumPy asks the elements of an array for
ALLOWED = f"lanes take + - * / ** abs min max, and the functions {', '.join(PRIMITIVES)} of gdsim.lanes, or those of NumPy and math that mean the same"
