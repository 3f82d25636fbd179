"""The types of a function's variables, found by going through its statements once: the types of the arguments
are known, and nearly every statement has its type by those before it.

Numba makes a network of constraints of each function and goes through it until nothing changes, twice at
least, with a context for messages and one for warnings around each constraint. Here a loop is gone through
again only if its variables turn out to have other types than at first. What is not understood here, or is
wrong, is left to Numba, whose messages tell what is wrong.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from numba.core import ir, types
from numba.core.errors import NumbaError

from gdsim.lanes.lowering import Called, field_of
from gdsim.lanes.types import Context, Kind, Node

MOST_ROUNDS = 4  # through loops; types that still change then are left to Numba


class NotUnderstoodError(Exception):
    """Something that Numba must type."""


class Typed(NamedTuple):
    """What lowering asks for: the variables' types, the result's, and the signatures of calls."""

    variables: dict[str, Any]
    result: Any
    calls: dict[Any, Any]


def is_scalar(kind: Kind) -> bool:
    """Whether a type is that of one number or truth value, or stands for a constant of such a type."""
    return isinstance(types.unliteral(kind), (types.Number, types.Boolean))


def members_of(kind: Kind) -> list[Any] | None:
    """The types of a tuple's members; None for other types."""
    return list(getattr(kind, "types", ())) if isinstance(kind, types.BaseTuple) else None


def typed(context: Context, func_ir: Node, arguments: Any) -> Typed | None:
    """The types in a function of arguments of some types; None if Numba must find them."""
    try:
        assumed: dict[str, Any] = {}
        for _ in range(MOST_ROUNDS):
            found = Inference(context, func_ir, arguments, assumed)
            if not found.changed:
                return found.finished()
            assumed = found.changed | {name: kind for name, kind in assumed.items() if name not in found.changed}
    except (NotUnderstoodError, NumbaError, KeyError, ValueError, TypeError, IndexError, AttributeError):
        pass
    return None


class Inference:
    """One way through a function's statements."""

    def __init__(self, context: Context, func_ir: Node, arguments: Any, assumed: dict[str, Kind]) -> None:
        self.context, self.assumed = context, assumed
        self.types = {f"arg.{name}": kind for name, kind in zip(func_ir.arg_names, arguments, strict=True)}
        self.calls: dict[Any, Any] = {}
        self.joined: list[tuple[str, list[str]]] = []  # variables that have their value from one of several others
        self.returned: list[str] = []
        for _, block in sorted(func_ir.blocks.items()):
            for statement in block.body:
                self.take(statement)
        self.changed = self.differing()

    def take(self, statement: Node) -> None:
        """Goes on by a statement."""
        if isinstance(statement, ir.Assign):
            name, value = statement.target.name, statement.value
            kind = EXPRESSIONS[value.op](self, value, name) if isinstance(value, ir.Expr) else VALUES[type(value)](self, value)
            if kind is None or not kind.is_precise() or isinstance(kind, types.BoundFunction):
                raise NotUnderstoodError(name)
            if self.types.setdefault(name, kind) != kind:
                raise NotUnderstoodError(name)  # assigned twice, with two types
        elif isinstance(statement, ir.Return):
            self.returned.append(statement.value.name)
        elif isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
            self.calls[statement] = self.assignment(statement)
        elif not isinstance(statement, (ir.Jump, ir.Branch)):
            raise NotUnderstoodError(statement)

    def of(self, variable: Node) -> Any:
        """The type of a variable that was assigned. Raises KeyError if it was not."""
        return self.types[variable.name]

    def differing(self) -> dict[str, Any]:
        """The variables of loops whose types were assumed too narrow, with those that fit all their values."""
        found = {}
        for name, sources in self.joined:
            kind = self.unified([self.types[source] for source in sources])
            if kind != self.types[name]:
                found[name] = kind
        return found

    def unified(self, kinds: list[Kind]) -> Any:
        """The type that all values of some types can have."""
        kind = kinds[0] if all(k == kinds[0] for k in kinds) else self.context.unify_types(*kinds)
        if kind is None or not kind.is_precise():
            raise NotUnderstoodError(kinds)
        return kind

    def finished(self) -> Typed:
        """All types, when none changes any more. What Numba refuses to return is left to it."""
        result = self.unified(list({self.types[name] for name in self.returned}) or [types.none])
        if isinstance(result, (types.Array, types.Function, types.Phantom, types.Optional, types.FunctionType)):
            raise NotUnderstoodError(result)
        return Typed(self.types | dict.fromkeys(self.returned, result), result, self.calls)

    def constant(self, value: Node) -> Any:
        """The type of a literal."""
        return (types.maybe_literal(value.value) if value.use_literal_type else None) or self.context.resolve_value_type(value.value)

    def named(self, value: Node) -> Any:
        """The type of a global: of a function or a number that stands for itself; Numba types others."""
        held = value.value
        own = getattr(held, "_numba_type_", None)
        if own is not None:
            if isinstance(own, types.Dispatcher):
                raise NotUnderstoodError(value.name)  # which may be under way
            return own
        if value.name in BUILTINS and held is not BUILTINS[value.name]:
            raise NotUnderstoodError(value.name)
        kind = self.context.resolve_value_type(held)
        if isinstance(kind, types.BaseAnonymousTuple):
            literals = [types.maybe_literal(member) for member in held]
            kind = types.Tuple(literals) if all(literals) else kind
        if isinstance(kind, (types.Array, types.Dispatcher)) or not all(map(is_scalar, members_of(kind) or ())):
            raise NotUnderstoodError(value.name)
        return types.maybe_literal(held) or kind

    def argument(self, value: Node) -> Any:
        """The type of a parameter; of one that was not given, that of its default."""
        kind = self.types[f"arg.{value.name}"]
        return self.context.resolve_value_type_prefer_literal(kind.value) if isinstance(kind, types.Omitted) else kind

    def signature(self, kind: Kind, arguments: Any, names: Any = ()) -> Any:
        """The signature of a call."""
        if not all(a.is_precise() for a in arguments):
            raise NotUnderstoodError(kind)
        if isinstance(kind, (types.Function, Called)):
            found = kind.get_call_type(self.context, tuple(arguments), dict(names))
        else:
            found = self.context.resolve_function_type(kind, tuple(arguments), dict(names))
        if found is None or not found.return_type.is_precise():
            raise NotUnderstoodError(kind)
        return found

    def call(self, expr: Node, _: str) -> Any:
        """The type of a call's result."""
        kind, arguments = self.of(expr.func), [self.of(a) for a in expr.args]
        if isinstance(kind, (types.TypeRef, types.BoundFunction, types.FunctionType, types.RecursiveCall)) or expr.target is not None:
            raise NotUnderstoodError(kind)
        if expr.vararg is not None:
            rest = members_of(self.of(expr.vararg))
            if rest is None:
                raise NotUnderstoodError(expr.vararg)
            arguments += rest
        found = self.calls[expr] = self.signature(kind, arguments, {name: self.of(a) for name, a in expr.kws})
        return found.return_type

    def operation(self, expr: Node, _: str) -> Any:
        """The type of an operator's result."""
        operands = [expr.value] if expr.op == "unary" else [expr.lhs, expr.rhs]
        found = self.calls[expr] = self.signature(self.context.resolve_value_type(expr.fn), [self.of(o) for o in operands])
        return found.return_type

    def attribute(self, expr: Node, _: str) -> Any:
        """The type of an attribute."""
        kind = self.of(expr.value)
        place = field_of(kind, expr.attr)
        return kind[place] if place is not None else self.context.resolve_getattr(kind, expr.attr)

    def static_item(self, expr: Node, _: str) -> Any:
        """The type of a member whose place is known."""
        kind = self.of(expr.value)
        members = members_of(kind)
        if members is not None and isinstance(expr.index, int):
            self.calls[expr] = None
            return members[expr.index]
        found = self.context.resolve_static_getitem(value=kind, index=expr.index)
        if found is not None:
            self.calls[expr] = None
            return found.return_type
        return self.item(expr, expr.index_var)

    def item(self, expr: Node, index: Any) -> Any:
        """The type of a member."""
        place = expr.index if isinstance(index, str) else index
        found = self.calls[expr] = self.signature(self.context.resolve_value_type(operator.getitem), [self.of(expr.value), self.of(place)])
        return found.return_type

    def step(self, expr: Node, _: str) -> Any:
        """The type of an iterator, or of its next step."""
        found = self.calls[expr] = self.signature(expr.op, [self.of(expr.value)])
        return found.return_type

    def half(self, expr: Node, _: str) -> Any:
        """The type of one half of a pair."""
        kind = self.of(expr.value)
        return kind.first_type if expr.op == "pair_first" else kind.second_type

    def unpacked(self, expr: Node, _: str) -> Any:
        """The type of a tuple that is unpacked."""
        kind = self.of(expr.value)
        if not isinstance(kind, types.BaseTuple) or len(kind) != expr.count:
            raise NotUnderstoodError(kind)
        return kind

    def tuple_of(self, expr: Node, _: str) -> Any:
        """The type of a tuple that is put together."""
        kinds = [self.of(item) for item in expr.items]
        return types.UniTuple(kinds[0], len(kinds)) if kinds and all(k == kinds[0] for k in kinds) else types.Tuple(kinds)

    def join(self, expr: Node, name: str) -> Any:
        """The type of a variable that has its value from one of several; of some of them, those of later
        statements, the type is not known yet.
        """
        sources = [source.name for source in expr.incoming_values if source is not ir.UNDEFINED]
        self.joined.append((name, sources))
        known = [self.types[source] for source in sources if source in self.types]
        if name in self.assumed:
            return self.assumed[name]
        kind = self.unified(known)
        return kind if len(known) == len(sources) else types.unliteral(kind)

    def assignment(self, statement: Node) -> Any:
        """The signature of an assignment to a member."""
        target, value = self.of(statement.target), self.of(statement.value)
        found = None
        if isinstance(statement, ir.StaticSetItem):
            found = self.context.resolve_static_setitem(target, statement.index, value)
            found = found or self.context.resolve_setitem(target, self.of(statement.index_var), value)
        else:
            found = self.context.resolve_setitem(target, self.of(statement.index), value)
        if found is None or not target.is_precise():
            raise NotUnderstoodError(target)
        return found


Rule = Callable[[Inference, Any, str], Any]
BUILTINS = {"range": range, "slice": slice, "len": len}
VALUES: dict[type, Callable[[Inference, Any], Any]] = {
    ir.Const: Inference.constant, ir.Global: Inference.named, ir.FreeVar: Inference.named, ir.Arg: Inference.argument, ir.Var: Inference.of,
}  # fmt: skip
EXPRESSIONS: dict[str, Rule] = {
    "call": Inference.call, "binop": Inference.operation, "inplace_binop": Inference.operation, "unary": Inference.operation,
    "getattr": Inference.attribute, "static_getitem": Inference.static_item, "getitem": Inference.item, "getiter": Inference.step,
    "iternext": Inference.step, "pair_first": Inference.half, "pair_second": Inference.half, "exhaust_iter": Inference.unpacked,
    "build_tuple": Inference.tuple_of, "phi": Inference.join, "cast": lambda inference, expr, _: inference.of(expr.value),
}  # fmt: skip
