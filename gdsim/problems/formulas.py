"""Formulas as text: read without running any of it, into SymPy's expressions.

SymPy is imported when a formula is first used.
"""

import ast
import functools
import keyword
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from gdsim.words import nearest

# An expression of SymPy's, which takes a second to import, and does not say of what types its results are.
Expr: TypeAlias = Any
Symbols: TypeAlias = Any  # several of them, which a formula unpacks

LONGEST_TEXT = 10_000
CONSTANTS = ("pi", "e")
# What a formula may call, with the number of its arguments.
FUNCTIONS = {
    "exp": 1, "log": 1, "sqrt": 1, "sin": 1, "cos": 1, "tan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "asin": 1, "acos": 1, "atan": 1, "atan2": 2,
    "erf": 1, "abs": 1, "sign": 1, "min": 2, "max": 2, "sigmoid": 1, "softplus": 1, "relu": 1, "pow": 2,
}  # fmt: skip
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


class FormulaError(ValueError):
    """A formula that cannot be used: what was given, and what is allowed."""


@functools.cache
def own_functions() -> dict[str, Any]:
    """Functions that SymPy does not have, with their derivatives."""
    import sympy

    class sigmoid(sympy.Function):  # noqa: N801
        """1 / (1 + e^-x)."""

        def fdiff(self, argindex: int = 1) -> Expr:
            return self * (1 - self)

    class softplus(sympy.Function):  # noqa: N801
        """log(1 + e^x)."""

        def fdiff(self, argindex: int = 1) -> Expr:
            return sigmoid(self.args[0])

    return {"sigmoid": sigmoid, "softplus": softplus}


def symbolic_function(name: str) -> Callable[..., Expr]:
    """The SymPy function of an allowed name."""
    import sympy

    special = {"abs": sympy.Abs, "min": sympy.Min, "max": sympy.Max, "relu": lambda x: sympy.Max(x, 0), "pow": sympy.Pow, **own_functions()}
    return special[name] if name in special else getattr(sympy, name)


def symbol(name: str) -> Expr:
    """The real variable of this name."""
    import sympy

    return sympy.Symbol(name, real=True)


class Formula(NamedTuple):
    """A formula that has been read."""

    expression: Expr
    names: tuple[str, ...]  # its variables in the order of their first mention
    doubt: FormulaError | None  # a part of it that has no value, which the rest cancels; earlier versions have accepted it


class _Reader:
    """Turns a parsed formula into a SymPy expression, node by node; what is not on the list is refused."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, Expr] = {}  # variables in the order of their first mention
        self.beyond: Any = None  # the first number that no float holds, which may still cancel
        self.doubt: FormulaError | None = None  # of the first part that has no real value

    def refuse(self, node: ast.AST, why: str) -> FormulaError:
        """The error for a part of the formula."""
        part = ast.get_source_segment(self.text, node)  # pyright: ignore[reportArgumentType]
        return FormulaError(f"the expression {self.text[:200]!r} cannot be used: {why}" + (f", in {part[:200]!r}" if part and part != self.text else ""))

    def read(self, node: ast.AST) -> Expr:
        """The expression of one node; it is in doubt if a number in it is not real, or not finite."""
        import sympy

        found = self._read(node)
        if self.doubt is None and found.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            self.doubt = self.refuse(node, "this has no real value, as it is not finite")
        if self.doubt is None and found.is_number and (found.has(sympy.I) or found.is_real is False):
            self.doubt = self.refuse(node, "this has no real value")
        if found.is_number and self.beyond is None and not _is_in_range(found):
            self.beyond = node
        return found

    def _read(self, node: ast.AST) -> Expr:
        import sympy

        if isinstance(node, ast.Constant) and isinstance(node.value, complex):
            raise self.refuse(node, "complex numbers are not allowed; real ones are")
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            return sympy.Integer(node.value) if isinstance(node.value, int) and abs(node.value) < 2**53 else sympy.Float(node.value, 17)
        if isinstance(node, ast.Name):
            return {"pi": sympy.pi, "e": sympy.E}.get(node.id) or self.names.setdefault(node.id, symbol(node.id))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            name = f"{node.value.id}{node.slice.value}"
            return self.names.setdefault(name, symbol(name))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            value = self.read(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self.refuse(node, f"{type(node).__name__} is not allowed; numbers, variables, + - * / **, brackets and functions are")

    def _operation(self, node: ast.BinOp) -> Expr:
        if isinstance(node.op, ast.BitXor):
            raise self.refuse(node, "^ is not a power in Python; write **")
        if type(node.op) not in _OPERATORS:
            raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed; + - * / ** are")
        left, right = self.read(node.left), self.read(node.right)
        if isinstance(node.op, ast.Pow):
            if left.is_number and right.is_number and not (abs(float(left)) < 1e6 and abs(float(right)) < 1e3):
                raise self.refuse(node, "the power of these numbers is too large")
            return left**right
        return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[_OPERATORS[type(node.op)]]()

    def _call(self, node: ast.Call) -> Expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS:
            raise self.refuse(node, f"lanes have no function {name!r}; {nearest(name, list(FUNCTIONS))}")
        fits = len(node.args) >= 2 if name in ("min", "max") else len(node.args) == FUNCTIONS[name]
        if not fits or node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            few = "2 or more" if name in ("min", "max") else FUNCTIONS[name]
            raise self.refuse(node, f"{name} takes {few} arguments; {len(node.args) + len(node.keywords)} were given")
        return symbolic_function(name)(*(self.read(a) for a in node.args))


@functools.cache
def parsed(text: str) -> Formula:
    """A formula that has been read; nothing in its text is run. Raises FormulaError."""
    if len(text) > LONGEST_TEXT:
        raise FormulaError(f"the expression has {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        word = next((f"; {w!r} is a word of Python's, give the variable another name" for w in keyword.kwlist if re.search(rf"\b{w}\b", text)), "")
        raise FormulaError(f"the expression {text[:200]!r} is not valid: {getattr(error, 'msg', None) or error or type(error).__name__}{word}") from None
    reader = _Reader(text.strip())
    try:
        expression = reader.read(tree.body)
        lost = _without_value(expression, reader)
        too_large = _beyond(expression, reader)
    except FormulaError:
        raise
    except (RecursionError, OverflowError, ZeroDivisionError, TypeError, ValueError) as error:  # SymPy compares no complex numbers
        raise reader.doubt or FormulaError(f"the expression {text[:200]!r} cannot be used: {error}") from None
    if lost is not None:
        raise reader.doubt or lost
    return Formula(expression, tuple(reader.names), reader.doubt or too_large)


def _is_in_range(number: Expr) -> bool:
    """Whether a float holds a number: it is not too large, and 0 only if it is 0."""
    try:
        value = abs(float(number))
    except (OverflowError, TypeError, ValueError):
        return False
    return value < float("inf") and (value > 0 or number.is_zero is not False)


def _without_value(expression: Expr, reader: _Reader) -> FormulaError | None:
    """What to say of an expression that has no real value."""
    import sympy

    if not expression.has(sympy.zoo, sympy.nan, sympy.I, sympy.oo):
        return None
    return FormulaError(f"the expression {reader.text[:200]!r} has no real value: it is {str(expression)[:200]}")


def _beyond(expression: Expr, reader: _Reader) -> FormulaError | None:
    """What to say of an expression in which numbers are left that no float holds."""
    import sympy

    parts = (p for p in sympy.preorder_traversal(expression) if p.is_number and not _is_in_range(p))
    return None if next(parts, None) is None else reader.refuse(reader.beyond, "this number is too large or too small to be held")


def text_of(expression: Expr) -> str:
    """A formula that reads as a SymPy expression of real variables, its numbers to their last bit.

    Raises FormulaError.
    """
    from sympy.printing.str import StrPrinter

    class Printer(StrPrinter):
        def _print_Float(self, expr: Expr) -> str:  # noqa: N802
            return repr(float(expr)) if expr >= 0 else f"({float(expr)!r})"

        def _print_Exp1(self, expr: Expr) -> Any:  # noqa: N802
            return "exp(1)"

        def _print_Function(self, expr: Expr) -> str:  # noqa: N802
            name = "abs" if expr.func.__name__ == "Abs" else str(expr.func.__name__)
            if name not in FUNCTIONS:
                raise FormulaError(f"lanes have no function {name!r}; {nearest(name, list(FUNCTIONS))}")
            return f"{name}({', '.join(self._print(a) for a in expr.args)})"

        _print_Abs = _print_Function  # noqa: N815

        def _print_LatticeOp(self, expr: Expr) -> str:  # noqa: N802
            return f"{expr.func.__name__.lower()}({', '.join(self._print(a) for a in sorted(expr.args, key=str))})"

        def emptyPrinter(self, expr: Expr) -> str:  # noqa: N802
            raise FormulaError(f"lanes have no {type(expr).__name__}; allowed: {', '.join(FUNCTIONS)}")

    return Printer().doprint(expression)
