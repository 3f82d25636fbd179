"""Functions given as formulas: values, gradients and Hessians by SymPy, as lane code."""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gdsim.data import Data
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.mapping import mapped
from gdsim.problems.base import Problem
from gdsim.problems.formulas import CONSTANTS, Expr, FormulaError, parsed, symbol, text_of
from gdsim.problems.symbolic import lane_function, value_and_gradient
from gdsim.words import given

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Operations of one elementary function beside those of an addition, about.
CALL_OPERATIONS = 25


class Symbolic(Problem, frozen=True):
    """A problem whose loss is a SymPy expression of its parameters, and of the columns of a sample if it
    has data.
    """

    default_init = "box"

    def formula(self) -> Expr:
        """The SymPy expression."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of the parameter vector."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a sample's columns; none without data."""
        return ()

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return len(self.names)

    def parts(self) -> dict[str, Any]:
        """The function that a kernel is bound with."""
        return {"value_and_gradient": _value_and_gradient(self), "WEIGHTED": self.data is not None and self.data.sample_weight is not None}

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data."""
        return [_text(self), self.names, None if self.data is None else self.data.digest]

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: the formula's and its gradient's, and updates."""
        return _operations(self) * max(samples, 1) + 10.0 * self.parameter_count

    def _at(self, points: "ArrayLike", order: int) -> np.ndarray:
        values = np.asarray(points, np.float64)
        inputs = self.parameter_count + len(self.columns)
        if values.shape[-1:] != (inputs,):
            raise ValueError(f"points must be [..., {inputs}]: {', '.join((*self.names, *self.columns))}; shape {values.shape} was given")
        shape = (self.parameter_count,) * order
        with ieee_mode(), np.errstate(all="ignore"):
            found = mapped(_derivative(self, order), values.reshape(-1, inputs), int(np.prod(shape)))
        return found.reshape((*values.shape[:-1], *shape))

    def value(self, points: "ArrayLike") -> np.ndarray:
        """The function at points[..., parameter], float64; of a formula with data, one sample's loss at
        [..., parameters then columns].
        """
        return self._at(points, 0)

    def gradient(self, points: "ArrayLike") -> np.ndarray:
        """[..., parameter] gradient at the points that `value` takes."""
        return self._at(points, 1)

    def hessian(self, points: "ArrayLike") -> np.ndarray:
        """[..., parameter, parameter] Hessian at the points that `value` takes."""
        return self._at(points, 2)


@functools.lru_cache(maxsize=256)
def _text(problem: Symbolic) -> str:
    return str(problem.formula())


@functools.lru_cache(maxsize=256)
def _value_and_gradient(problem: Symbolic) -> FunctionType:
    return value_and_gradient(problem.formula(), problem.names, problem.columns)


@functools.lru_cache(maxsize=256)
def _operations(problem: Symbolic) -> float:
    code = _value_and_gradient(problem).__code__
    return 0.25 * len(code.co_code) / 2 + CALL_OPERATIONS * sum(name in ("exp", "log", "sin", "cos", "tanh", "pow", "erf") for name in code.co_names)


@functools.lru_cache(maxsize=64)
def _derivative(problem: Symbolic, order: int) -> FunctionType:
    import sympy

    outputs: list[Any] = [problem.formula()]
    for _ in range(order):
        outputs = [sympy.diff(e, symbol(v)) for e in outputs for v in problem.names]
    return lane_function(outputs, (*problem.names, *problem.columns), f"derivative_{order}")


class Expression(Symbolic, tag="expression", frozen=True):
    """A function given as text, or as a Python function of its variables, differentiated by SymPy.

    `variables` names the parameters in their order; if not given, all names of the text as they appear. Text
    may hold numbers, names, pi, e, + - * / **, brackets and the functions exp, log, sqrt, sin, cos, tan,
    sinh, cosh, tanh, asin, acos, atan, atan2, erf, abs, sign, min, max, sigmoid, softplus, relu, pow; nothing
    in it is run. A Python function is called once with SymPy's symbols; its variables are those of its
    signature, in that order. Raises FormulaError, a ValueError, with the place in the formula, for what
    cannot be computed.

    With `data` the expression is the loss of one sample, whose columns are `x` and `y` (`x0`, `x1`, ... or
    `x[0]`, ... where there are several features, `y0`, ... where several targets); batches are drawn from it.

    >>> Expression("(1 - x)**2 + 100*(y - x**2)**2").gradient([-1.0, 1.0]).tolist()
    [-4.0, 0.0]
    """

    meanings = {
        "text": "The formula: a text, or a Python function of the variables.",
        "variables": "The names of the parameters in their order, a list of texts; None for all names as they appear.",
        "data": "The samples, a gd.Data, of each of which the formula is the loss; None for a function of the parameters alone.",
    }

    text: Any
    variables: Any = None
    data: Data | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        if self.data is not None and not isinstance(self.data, Data):
            raise TypeError(f"Expression.data must be a gd.Data; {type(self.data).__name__} was given")
        signature = None
        if callable(self.text):
            text, signature = _traced(self.text)
            put("text", text)
        if not isinstance(self.text, str):
            raise TypeError(f"Expression.text must be a formula as text, or a Python function; {given(self.text)} was given")
        _, found, doubt = parsed(self.text)
        columns = self.columns
        names = tuple(n for n in signature or found if n not in columns) if self.variables is None else _checked_names(self.variables)
        put("variables", names)
        if not names:
            raise FormulaError(f"the expression {self.text!r} has no variables to minimise over")
        taken = [n for n in names if n in columns or n in CONSTANTS]
        if taken:
            raise FormulaError(f"the variable {taken[0]!r} has the name of {'a column of the data' if taken[0] in columns else 'a constant'}; give it another")
        unknown = [n for n in found if n not in names and n not in columns]
        if unknown:
            allowed = f"the variables {', '.join(names)}" + (f" and the data's columns {', '.join(columns)}" if columns else "")
            raise FormulaError(f"the expression {self.text!r} uses {unknown[0]!r}, which is none of {allowed}")
        if columns and not any(n in columns for n in found):
            raise FormulaError(f"data is given, but the expression {self.text!r} uses none of its columns {', '.join(columns)}")
        try:
            _value_and_gradient(self)
        except (ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, FormulaError):
                raise
            reason = " ".join(str(error).split())[:200]
            wrong = FormulaError(f"the expression {self.text[:200]!r} cannot be differentiated or compiled: {reason or type(error).__name__}")
            raise doubt or wrong from None

    def check_anew(self) -> None:
        """Refuses a formula of which a part has no value."""
        doubt = parsed(self.text).doubt
        if doubt is not None:
            raise doubt

    @property
    def names(self) -> tuple[str, ...]:
        """The variables."""
        return self.variables

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the data's columns, features first."""
        if self.data is None:
            return ()
        features, targets = self.data.X.shape[1], 1 if self.data.y.ndim == 1 else self.data.y.shape[1]
        named = lambda letter, n: (letter,) if n == 1 else tuple(f"{letter}{i}" for i in range(n))  # noqa: E731
        return (*named("x", features), *named("y", targets))

    def formula(self) -> Expr:
        """The SymPy expression."""
        return parsed(self.text).expression

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"expression": self.text, **({} if self.data is None else {"data": self.data.name})}


def _checked_names(value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not names or not all(isinstance(n, str) and n.isidentifier() for n in names) or len(set(names)) < len(names):
        raise ValueError(f"Expression.variables must be a list of different names; {given(value)} was given")
    return names


def _traced(function: Callable[..., Any]) -> tuple[str, tuple[str, ...]]:
    """(the text of the expression that a Python function gives for symbols of the names of its parameters,
    these names in their order).
    """
    import sympy

    called = getattr(function, "__name__", "given")
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise FormulaError(f"the function {called} must name its variables, as in lambda x, y: x**2 + y**2; *args and **kwargs name none")
    names = tuple(p.name for p in parameters)
    try:
        arguments = {p.name: symbol(p.name) for p in parameters}
        by_place = [arguments.pop(p.name) for p in parameters if p.kind is not p.KEYWORD_ONLY]
        expression: Any = sympy.sympify(function(*by_place, **arguments))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FormulaError(f"the function {called} cannot be called with symbols ({reason}); it may use sympy's functions, or be a gd.Own") from error
    if not isinstance(expression, sympy.Expr):
        raise FormulaError(f"the function {called} must give the value, one number; it gives {type(expression).__name__}")
    if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I):
        raise FormulaError(f"the function {called} gives {str(expression)[:200]}, which has no real, finite value")
    foreign = sorted(s.name for s in expression.free_symbols - {symbol(n) for n in names})  # pyright: ignore[reportAttributeAccessIssue]
    if foreign:
        raise FormulaError(f"the function {called} gives {foreign[0]!r}, which is none of its variables {', '.join(names)}")
    text = _earlier_text(expression)
    return text or text_of(expression), names


def _earlier_text(expression: Expr) -> str:
    """SymPy's own text, as version 0.1 first wrote it, where it reads as the same expression: experiments
    keep their hashes.
    """
    text = str(expression)
    for theirs, ours in (("Abs(", "abs("), ("Max(", "max("), ("Min(", "min("), ("E**", "e**")):
        text = text.replace(theirs, ours)
    try:
        return text if _exact(parsed(text).expression) == _exact(expression) else ""
    except FormulaError:
        return ""


def _exact(expression: Expr) -> Expr:
    """The expression with its numbers at one precision, which holds every float."""
    import sympy

    return expression.xreplace({f: sympy.Float(float(f), 17) for f in expression.atoms(sympy.Float)})
