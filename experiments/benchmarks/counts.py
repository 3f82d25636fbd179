"""How large gdsim is, room by room: files, lines, statements, parameters that may be anything, the longest,
circles of imports.

    python experiments/benchmarks/counts.py [COMMIT ...]

Of this tree, and of commits before it. Statements are nodes of `ast.stmt` but for docstrings; parameters
those of functions and of methods, but for self and cls, "Any" those annotated so; lines of a function begin
at its `def`, but for its docstring. A circle is a strongly connected component of modules, by all imports,
those inside functions too, but for those that only type checkers see.
"""

import ast
import pathlib
import sys
import tempfile
from typing import NamedTuple

from against import ROOT, UnmeasurableError, commit_files, copied

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TOP = "(top)"


def is_documented(node: ast.AST) -> bool:
    """Whether it begins with a docstring."""
    return isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node, clean=False) is not None


class Module(NamedTuple):
    """One file."""

    name: str
    is_package: bool
    lines: int
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder that it lies in."""
        _, *inside = self.name.split(".")
        return inside[0] if len(inside) > 1 or (inside and self.is_package) else TOP

    def statements(self) -> int:
        """Statements but for docstrings."""
        return sum(isinstance(node, ast.stmt) - is_documented(node) for node in ast.walk(self.tree))

    def annotations(self) -> list[str]:
        """What its parameters are annotated with; "" where they are not."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTIONS):
                a = node.args
                every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
                found += [ast.unparse(p.annotation) if p.annotation else "" for p in every if p.arg not in ("self", "cls")]
        return found

    def functions(self) -> list[tuple[int, str]]:
        """(lines, name) of its functions."""
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)]
        return [(_span(node) - (_span(node.body[0]) if is_documented(node) else 0), f"{self.name}.{node.name}") for node in nodes]

    def imports(self, modules: set[str]) -> set[str]:
        """Which of these modules it imports."""
        found: set[str] = set()
        for node in _seen(self.tree):
            if isinstance(node, ast.Import):
                found |= {a.name for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                parts = self.name.split(".")
                above = parts[: len(parts) - node.level + self.is_package] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                found |= {full if (full := f"{base}.{a.name}") in modules else base for a in node.names}
        return (found & modules) - {self.name}


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _seen(node: ast.AST) -> list[ast.AST]:
    """The nodes below one, but for what stands under `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return [n for child in node.orelse for n in _seen(child)]
    return [node, *(n for child in ast.iter_child_nodes(node) for n in _seen(child))]


def modules_of(tree: pathlib.Path) -> list[Module]:
    """The modules of a tree's gdsim."""
    found = []
    for file in sorted((tree / "gdsim").rglob("*.py")):
        text, parts = file.read_text(encoding="utf-8"), file.relative_to(tree).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), is_package, len(text.splitlines()), ast.parse(text)))
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module, the largest first."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {frozenset({name, *(n for n in reached[name] if name in reached[n])}) for name in graph}
    return sorted((sorted(g) for g in groups if len(g) > 1), key=lambda g: (-len(g), g))


def _reached(graph: dict[str, set[str]], name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def report(title: str, modules: list[Module]) -> str:
    """The table of a tree, and below it the longest and the circles."""
    lines = [f"{title}\n", "| room | files | lines | statements | parameters | Any | not annotated |", "|---|---|---|---|---|---|---|"]
    rooms = sorted({m.room for m in modules})
    for room, those in [*((r, [m for m in modules if m.room == r]) for r in rooms), ("all", modules)]:
        given = [a for m in those for a in m.annotations()]
        share = given.count("Any") / max(1, len(given))
        sizes = f"{len(those)} | {sum(m.lines for m in those):,} | {sum(m.statements() for m in those):,}"
        lines.append(f"| {room} | {sizes} | {len(given):,} | {share:.1%} | {given.count('')} |")
    longest = max(modules, key=lambda m: m.lines)
    size, function = max((f for m in modules for f in m.functions()), default=(0, "none"))
    found = circles({m.name: m.imports({m.name for m in modules}) for m in modules})
    lines += [f"\nlongest file: {longest.name}, {longest.lines} lines; longest function: {function}, {size} lines"]
    lines += [f"circle of {len(c)}: {', '.join(c)}" for c in found] or ["no circle of imports"]
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    with tempfile.TemporaryDirectory(prefix="gdsim-counts-") as place:
        for number, commit in enumerate(sys.argv[1:]):
            try:
                tree = copied(commit, commit_files(commit), pathlib.Path(place, str(number)))
            except UnmeasurableError as error:
                raise SystemExit(str(error)) from None
            print(report(commit, modules_of(tree.folder)), end="\n\n")
    print(report("this tree", modules_of(ROOT)))


if __name__ == "__main__":
    main()
