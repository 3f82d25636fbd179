"""From an expression to lane code: differentiates with SymPy, and writes straight-line code."""

import collections
import math
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

from gdsim import lanes
from gdsim.lanes import operations
from gdsim.lanes.generated import function_from
from gdsim.problems.formulas import FUNCTIONS, Expr, FormulaError, symbol


def _split(term: Expr) -> tuple[Expr, list[Expr]]:
    """(the product of the numbers in a product, the other factors)."""
    import sympy

    factors = term.args if term.is_Mul else (term,)
    number = sympy.Integer(1)
    for factor in factors:
        number = number * factor if factor.is_number else number
    return number, [f for f in factors if not f.is_number]


def _whole(parts: list[Expr]) -> Expr:
    """The product of some factors, as it stands."""
    import sympy

    return parts[0] if len(parts) == 1 else sympy.Mul(*parts, evaluate=False)


def _is_power_of_two(number: Expr) -> bool:
    return math.frexp(abs(float(number)))[0] == 0.5


class Writer:
    """Writes SymPy expressions as Python over lanes, each inner result under a name of its own; products
    that are added are fused.
    """

    def __init__(self, like: str) -> None:
        self.like = like  # a lane, for numbers that must be lanes
        self.lines: list[str] = []
        self.names: dict[str, str] = {}
        self.multiples: dict[tuple[float, str], tuple[float, str]] = {}

    def named(self, code: str) -> str:
        """A name for the value of a piece of code, the same for the same code."""
        if code not in self.names:
            self.names[code] = f"t{len(self.lines)}"
            self.lines.append(f"    {self.names[code]} = {code}")
        return self.names[code]

    def multiple(self, factor: float, name: str) -> str:
        """A name for a number times a value: from a multiple that there is if they differ by a power of 2,
        which rounds nothing.
        """
        if factor in (1.0, -1.0):
            return name if factor == 1.0 else self.named(f"-{name}")
        known, there = self.multiples.setdefault((math.frexp(abs(factor))[0], name), (factor, ""))
        if there:
            return self.multiple(factor / known, there)
        made = self.named(f"{factor!r} * {name}")
        if not _is_power_of_two(factor):
            self.multiples[math.frexp(abs(factor))[0], name] = factor, made
        return made

    def lane(self, expression: Expr) -> str:
        """Code for an expression as a lane, constants too."""
        return f"broadcast({float(expression)!r}, {self.like})" if expression.is_number else self.code(expression)

    def code(self, expression: Expr) -> str:
        """A name or a number for the value of an expression."""
        import sympy

        if expression.is_number:
            return repr(float(expression))
        if expression.is_Symbol:
            return expression.name
        if expression.is_Add:
            return self._sum(expression)
        if expression.is_Mul:
            return self._product(*_split(expression))
        if isinstance(expression, sympy.exp):
            return self.named(f"exp({self.code(expression.args[0])})")
        if expression.is_Pow:
            return self._power(expression.base, expression.exp)
        return self._function(expression)

    def _sum(self, expression: Expr) -> str:
        import sympy

        terms = [_split(t) for t in expression.args]
        constant = sum((factor for factor, parts in terms if not parts), sympy.Integer(0))
        rest = sorted((t for t in terms if t[1]), key=lambda t: (abs(t[0]) != 1, t[0].could_extract_minus_sign()))
        least = min((factor for factor, _ in rest), key=abs)
        if constant != 0 or abs(least) == 1 or not _is_power_of_two(least):
            return self._total(constant, rest)
        # A power of 2 is taken out: what remains is more often there already.
        rest = sorted(((factor / least, parts) for factor, parts in rest), key=lambda t: abs(t[0]) != 1)
        return self.multiple(float(least), self._total(constant, rest))

    def _total(self, constant: Expr, terms: Sequence[tuple[Expr, list[Expr]]]) -> str:
        """A sum of products, the first as it comes and the others added to it one by one."""
        total = repr(float(constant)) if constant != 0 else ""
        for factor, parts in terms:
            total = self._added(total, factor, parts) if total else self._product(factor, parts)
        return total

    def _added(self, total: str, factor: Expr, parts: list[Expr]) -> str:
        """A sum with one more product: fused where the product has two factors."""
        if any(p.is_Pow and p.exp.could_extract_minus_sign() for p in parts):
            parts = [_whole(parts)]
        if len(parts) == 1 and parts[0].is_Pow and parts[0].exp == 2:
            base = self.code(parts[0].base)
            known = self.names.get(f"{base} * {base}")
            first, *others = [known] if known else [base, base]
        else:
            first, *others = [self.code(p) for p in parts]
        if not others and abs(factor) == 1:
            return self.named(f"{total} {'+' if factor == 1 else '-'} {first}")
        if not others:
            return self.named(f"fma({float(factor)!r}, {first}, {total})")
        scale = self.multiple(float(factor), first)
        for other in others[:-1]:
            scale = self.named(f"{scale} * {other}")
        return self.named(f"fma({scale}, {others[-1]}, {total})")

    def _product(self, factor: Expr, parts: list[Expr]) -> str:
        above, below = [], []
        for part in parts:
            inverse = part.is_Pow and part.exp.could_extract_minus_sign()
            (below if inverse else above).append(part.base**-part.exp if inverse else part)
        total = self.multiple(float(factor), self.code(above.pop(0))) if above else repr(float(factor))
        for part in above:
            total = self.named(f"{total} * {self.code(part)}")
        for part in below:
            total = self.named(f"{total} / {self.code(part)}")
        return total

    def _power(self, base: Expr, exponent: Expr) -> str:
        import sympy

        if exponent.could_extract_minus_sign() and exponent.is_number:
            return self.named(f"1.0 / {self.code(base**-exponent)}")
        if exponent == sympy.Rational(1, 2):
            return self.named(f"sqrt({self.code(base)})")
        if exponent.is_Integer and exponent <= 2**20:
            return self._whole_power(self.code(base), int(exponent))
        if exponent.is_Rational and exponent.q == 2:
            return self.named(f"{self._whole_power(self.code(base), int(exponent.p) // 2)} * sqrt({self.code(base)})")
        return self.named(f"pow({self.lane(base)}, {self.lane(exponent)})")

    def _whole_power(self, base: str, exponent: int) -> str:
        if exponent == 1:
            return base
        half = self._whole_power(base, exponent // 2)
        square = self.named(f"{half} * {half}")
        return self.named(f"{square} * {base}") if exponent % 2 else square

    def _function(self, expression: Expr) -> str:
        name = type(expression).__name__
        arguments = [self.lane(a) for a in expression.args]
        if name in ("Max", "Min"):
            total = arguments[0]
            for other in arguments[1:]:
                total = self.named(f"{'maximum' if name == 'Max' else 'minimum'}({total}, {other})")
            return total
        x = arguments[0]
        codes = {
            "Abs": f"absolute({x})",
            "Heaviside": f"where({x} > 0.0, broadcast(1.0, {x}), 0.0)", "tan": f"sin({x}) / cos({x})", "atan": f"atan2({x}, broadcast(1.0, {x}))",
            "asin": f"{1.5707963267948966!r} - acos({x})", "sinh": f"0.5 * (exp({x}) - exp(-{x}))", "cosh": f"0.5 * (exp({x}) + exp(-{x}))",
            "DiracDelta": f"0.0 * {x}",
        }  # fmt: skip
        known = ("log", "sin", "cos", "tanh", "acos", "atan2", "erf", "sigmoid", "softplus", "sign")
        if name not in codes and name not in known:
            raise FormulaError(f"lanes have no function {name!r}, which {expression} needs; allowed: {', '.join(FUNCTIONS)}")
        return self.named(codes.get(name) or f"{name}({', '.join(arguments)})")


LANE_NAMES: Mapping[str, Any] = {
    **{n: getattr(lanes, n) for n in ("exp", "log", "tanh", "sigmoid", "softplus", "sin", "cos", "atan2", "acos", "erf", "pow", "fma")},
    **{n: getattr(operations, n) for n in ("sqrt", "absolute", "minimum", "maximum", "sign", "floor", "where", "broadcast")},
}


def lane_function(outputs: Sequence[Expr], names: Sequence[str], name: str) -> FunctionType:
    """A function of a tuple of lanes, `names` in order, that gives a tuple of outputs; common
    subexpressions are computed once.
    """
    import sympy

    groups = {"x": names}
    own = _own_names(groups)
    writer = Writer(own[names[0]].name)
    renamed = [sympy.sympify(o).xreplace({symbol(n): s for n, s in own.items()}) for o in outputs]
    shared, reduced = sympy.cse(renamed, symbols=sympy.numbered_symbols("s", real=True), list=True)
    numbers: dict[Any, Any] = {}
    for s, made in shared:
        expression: Any = sympy.sympify(made).xreplace(numbers)
        if expression.is_number:
            numbers[s] = sympy.Float(float(expression), 17)
        else:
            writer.lines.append(f"    {s.name} = {writer.code(expression)}")
    reduced = [sympy.sympify(e).xreplace(numbers) for e in reduced]
    return _function_of(groups, own, writer, f"({''.join(f'{writer.lane(e)}, ' for e in reduced)})", name)


def _own_names(groups: Mapping[str, Sequence[str]]) -> dict[str, Expr]:
    """A symbol of our own for each of the user's names, whatever they are."""
    return {n: symbol(f"v{i}") for i, n in enumerate(n for group in groups.values() for n in group)}


def value_and_gradient(expression: Expr, variables: Sequence[str], columns: Sequence[str]) -> FunctionType:
    """The function of a tuple of parameters, and of a tuple of a sample's columns if there are any, that
    gives (value, gradient).

    The gradient is made backward through the operations of the value, which it shares (reverse accumulation).
    """
    import sympy

    groups = {"x": variables, "d": columns} if columns else {"x": variables}
    own = _own_names(groups)
    writer = Writer(own[variables[0]].name)
    root = sympy.sympify(expression).xreplace({symbol(n): s for n, s in own.items()})
    nodes: dict[Any, Any] = {}  # each operation of the value, by its expression: the symbol of its result
    order: list[tuple[Any, Any]] = []  # (symbol, operation on symbols)

    uses = collections.Counter(a for node in sympy.preorder_traversal(root) for a in node.args)

    def visit(node: Expr) -> Expr:
        if node.is_Symbol or node.is_number:
            return node
        if node not in nodes:
            operation = rebuilt(node)
            nodes[node] = sympy.Symbol(f"n{len(nodes)}", real=True)
            order.append((nodes[node], operation))
        return nodes[node]

    def rebuilt(node: Expr, is_term: bool = False) -> Expr:
        """The operation on the results of others; a product or a square that is only a term of this sum
        stays in it, to be fused.
        """
        is_square = lambda a: a.is_Pow and a.exp == 2  # noqa: E731
        inside = lambda a: uses[a] == 1 and ((node.is_Add and a.is_Mul) or ((node.is_Add or is_term) and is_square(a)))  # noqa: E731
        arguments = [rebuilt(a, node.is_Add) if inside(a) else visit(a) for a in node.args]
        return node.func(*arguments, evaluate=False) if node.is_Add or node.is_Mul else node.func(*arguments)

    value = visit(root)
    adjoint: dict[Any, Any] = {value: sympy.Integer(1)}
    backward: list[tuple[Any, Any]] = []  # (symbol, sum of what reaches it)
    for result, operation in reversed(order):
        reaching = adjoint.get(result, sympy.Integer(0))
        if reaching.is_Add:
            name = sympy.Symbol(f"a{result.name}", real=True)
            backward.append((name, reaching))
            reaching = name
        for argument, parts in sorted(_parts_by_symbol(operation).items(), key=lambda item: item[0].name):
            slope = sympy.Add(*(sympy.diff(part, argument) for part in parts))
            if slope.is_Add:
                name = sympy.Symbol(f"d{result.name}{argument.name}", real=True)
                backward.append((name, slope))
                slope = name
            adjoint[argument] = adjoint.get(argument, sympy.Integer(0)) + reaching * slope
    for result, operation in order + backward:
        writer.lines.append(f"    {result.name} = {writer.code(operation)}")
    found = [writer.lane(value), *(writer.lane(adjoint.get(own[n], sympy.Integer(0))) for n in variables)]
    return _function_of(groups, own, writer, f"{found[0]}, ({', '.join(found[1:])},)", "value_and_gradient")


def _parts_by_symbol(operation: Expr) -> dict[Expr, list[Expr]]:
    """The terms of a sum that hold each of its symbols; of other operations the whole.

    Not all terms are differentiated by all symbols.
    """
    found: dict[Any, list[Any]] = {}
    for part in operation.args if operation.is_Add else (operation,):
        for name in part.free_symbols:
            found.setdefault(name, []).append(part)
    return found


def _function_of(groups: Mapping[str, Sequence[str]], own: Mapping[str, Expr], writer: Writer, result: str, name: str) -> FunctionType:
    """The function whose body a writer has written."""
    lines = [f"def {name}({', '.join(groups)}):"]
    lines += [f"    {own[n].name} = {group}[{i}]" for group, members in groups.items() for i, n in enumerate(members)]
    return function_from("\n".join([*lines, *writer.lines, f"    return {result}"]), name, LANE_NAMES)
