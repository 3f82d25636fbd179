"""Floating-point operations of functions of lanes, counted by calling them once with numbers that know
nothing but how they were made.

An operation is an addition, subtraction, product, quotient or square root; a fused multiply-add is two. What
compares, chooses, negates, or works on bits and whole numbers is none; elementary functions are what their
bodies do. As a compiler leaves them: what is computed twice alike counts once, what nothing depends on never.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gdsim.lanes import bits, masks, operations, tangents
from gdsim.lanes.compiler import below, references
from gdsim.lanes.operations import OPERATIONS


class UncountableError(Exception):
    """A function that only a compiled kernel can run."""


class Node:
    """A number of every run, or a condition, bits or a whole number (`is_real` false)."""

    __slots__ = ("cost", "graph", "is_real", "sources")

    def __init__(self, graph: "Graph", cost: int, sources: tuple[Any, ...], is_real: bool) -> None:
        self.graph, self.cost, self.is_real = graph, cost, is_real
        self.sources = [s for s in sources if isinstance(s, Node)]

    def __bool__(self) -> bool:
        raise UncountableError("whether a condition holds differs from run to run")

    @staticmethod
    def operator(name: str, cost: int = 0, reflected: bool = False, compares: bool = False) -> Callable[..., Any]:
        """A method that makes the result of an operator."""

        def apply(self: "Node", *others: Any) -> "Node":
            ordered = (*others, self) if reflected else (self, *others)
            return self.graph.node(name, cost if self.is_real else 0, *ordered, is_real=self.is_real and not compares)

        return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "lshift", "rshift", "and", "or", "xor"):
    setattr(Node, f"__{_name}__", Node.operator(_name, 1))
    setattr(Node, f"__r{_name}__", Node.operator(_name, 1, reflected=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Node, f"__{_name}__", Node.operator(_name, compares=True))
for _name in ("neg", "invert"):
    setattr(Node, f"__{_name}__", Node.operator(_name))


class Graph:
    """The numbers that calls have made, each once; `dtype` is that of kernels."""

    def __init__(self, dtype: str) -> None:
        self.is_double = dtype == "float64"
        self.made: dict[tuple[Any, ...], Node] = {}
        self.memory: dict[tuple[Any, Any], Any] = {}  # what was stored, by array and place
        self.functions: dict[tuple[Any, int], Any] = {}

    def node(self, name: str, cost: int, *sources: Any, is_real: bool = True) -> Node:
        """The result of an operation."""
        key = (name, *(id(s) if isinstance(s, Node) else (type(s), s) for s in sources))
        if key not in self.made:
            self.made[key] = Node(self, cost, sources, is_real)
        return self.made[key]

    def inputs(self, count: int, is_real: bool = True) -> tuple[Node, ...]:
        """Numbers that are given."""
        return tuple(self.node("input", 0, len(self.made), is_real=is_real) for _ in range(count))

    def load(self, array: Any, place: Any, _: Any) -> Any:
        """What was stored there, or a number that is given."""
        return self.memory[array, place] if (array, place) in self.memory else self.node("load", 0, array, place)

    def store(self, array: Any, place: Any, value: Any) -> None:
        """Keeps a number."""
        self.memory[array, place] = value

    def handles(self) -> dict[Any, Callable[..., Any]]:
        """What stands for the operations that kernels know by name; those that are not here count nothing."""

        def free(handle: Any) -> Callable[..., Any]:
            return lambda *given: self.node(handle.__name__, 0, *given)

        return {
            **{handle: free(handle) for handle in OPERATIONS},
            operations.sqrt: lambda x: self.node("sqrt", 1, x),
            operations.fma_lanes: lambda a, b, c: self.node("fma", 2, a, b, c),
            operations.polynomial: lambda x, coefficients: self.node("polynomial", 2 * len(coefficients) - 2, x, coefficients),
            bits.by_precision: lambda _, single, double: double if self.is_double else single,
            bits.to_bits: lambda x: self.node("to_bits", 0, x, is_real=False),
            operations.as_type_of: lambda x, like: self.node("as_type_of", 0, x, is_real=getattr(like, "is_real", True)),
            tangents.value_of: lambda x: x,
            tangents.derived: lambda x, value, slope: value,
            tangents.derived_with_poles: lambda x, value, slope: value,
            operations.load: self.load,
            operations.store: self.store,
            masks.any: lambda _: False,  # what is seldom done
            masks.all: lambda _: False,
        }  # fmt: skip

    def call(self, function: Any, parts: Mapping[str, Any], *arguments: Any) -> Any:
        """What a function of lanes gives, with the parts that it names. Raises UncountableError."""
        handles = self.handles()

        def counting(function: Any, parts: Mapping[str, Any]) -> Any:
            """The function with all that it reaches replaced by what makes nodes."""
            key = function, id(parts)
            if key not in self.functions:
                names = dict(function.__globals__)
                self.functions[key] = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
                for name, value, _ in references(function, parts):
                    deeper = below(value, parts)
                    is_known = isinstance(value, types.FunctionType) and value in handles
                    names[name] = handles[value] if is_known else value if deeper is None else counting(*deeper)
            return self.functions[key]

        own = below(function, parts)
        assert own is not None
        try:
            return counting(*own)(*arguments)
        except Exception as error:  # an own function may do what Numba compiles and nodes cannot
            raise UncountableError from error

    def cost(self, *results: Any, but: Iterable[Any] = ()) -> int:
        """Operations that results take, tuples of them too, but for what others take."""
        return sum(node.cost for node in _behind(results) - _behind(but))


def _behind(results: Iterable[Any]) -> set[Node]:
    """The nodes that some are made from, themselves too."""
    found: set[Node] = set()
    waiting = list(results)
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += value
        elif isinstance(value, Node) and value not in found:
            found.add(value)
            waiting += value.sources
    return found
