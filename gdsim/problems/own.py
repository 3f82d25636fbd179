"""A problem of your own: a function of a tuple of lanes, in your own file or in a notebook.

    from gdsim.lanes import exp

    def value(x):
        return exp(x[0]) + x[1] ** 2

`x` is a tuple of lanes, one per parameter. What comes back is the value, which is then differentiated; or the
value and a tuple of the partial derivatives. Lanes take + - * / **, abs, min, max, comparisons, the functions
of `gdsim.lanes`, and those of NumPy and `math` that mean the same. No `if` on lanes:
`where(condition, this, that)` of `gdsim.lanes`. Loops over numbers are written out.

The function is called once, when the problem is declared, and what it does with lanes is written down and
compiled.
"""

import functools
import importlib
import importlib.machinery
import inspect
import pathlib
import pkgutil
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.declarations import is_kept
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.generated import function_from
from gdsim.lanes.mapping import mapped
from gdsim.problems.base import Problem
from gdsim.problems.reaching import FOREIGN, earlier_source_of, for_lanes, said, source_of
from gdsim.problems.slopes import gradient_of
from gdsim.problems.symbolic import LANE_NAMES
from gdsim.problems.tracing import Lane, LaneError, Mask, OpaqueError, Operand, Trace, Vector, lane_code, operand
from gdsim.words import count_of, given

FINITE = Range(float("-inf"), float("inf"), low_allowed=False)
# Parameters of a function that is held in registers; beyond, compiling takes minutes.
MOST_PARAMETERS = 256
# Operations that are compiled in line; of more, a function that kernels can take as it is written keeps its loops.
MOST_IN_LINE = 20_000


class Absent:
    """Stands in a results folder's problem for a function that is not there any more: it has the name, and
    says what is wrong when it is needed.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.__module__, _, self.__qualname__ = name.partition(":")
        self.reason = reason

    def __call__(self, *_: object) -> Any:
        """Raises FunctionError."""
        raise FunctionError(self.reason)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Absent) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.__module__, self.__qualname__))


class Own(Problem, tag="own", frozen=True):
    """A function of your own of a tuple `x` of `dim` parameters: it gives the value, or (value, partial
    derivatives).

    `function`: a Python function, or "module:name"; in an experiment file the module is looked for beside the
    file first. It may use + - * / **, abs, min, max, comparisons with `gd.lanes.where`, the functions of
    `gd.lanes`, and those of NumPy and `math` that mean the same. Without derivatives it is differentiated,
    exactly. `low`, `high`: the box in which runs start. The values of the globals that it reads belong to the
    problem: with other ones it is another problem. Lambdas and functions of a notebook run in memory; results
    in a folder need a function that other processes find, in a file of yours.

    Raises ValueError or TypeError, with the function's line, for what cannot be used.

    >>> Own(lambda x: x[0] ** 2 + np.exp(x[1]), dim=2).check_gradient() < 1e-6
    True
    >>> def bowl(x):
    ...     return 0.5 * (x[0] * x[0] + 4.0 * x[1] * x[1]), (x[0], 4.0 * x[1])
    >>> Own(bowl, dim=2).check_gradient() < 1e-6
    True
    """

    meanings = {
        "function": 'A Python function of a tuple of parameters, or "module:name": it gives the value, or (value, partial derivatives).',
        "dim": f"How many parameters there are, a whole number from 1 to {MOST_PARAMETERS}.",
        "low": "The lowest value of each parameter in the box in which runs start; finite, below `high`.",
        "high": "The highest value of each parameter in the box; finite.",
    }

    function: Any
    dim: int
    low: float = -1.0
    high: float = 1.0
    source: str = ""  # a hash of the function's code, by which a changed function is a different problem; results folders give theirs

    unshown = ("source",)
    default_init = "box"

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        put("dim", checked_whole(self.dim, "Own.dim", 1, MOST_PARAMETERS + 1))
        for name in ("low", "high"):
            put(name, checked_one(getattr(self, name), f"Own.{name}", FINITE))
        if not self.low < self.high:
            raise ValueError(f"Own needs low < high; {given(self.low)} and {given(self.high)} were given")
        if isinstance(self.function, Absent):
            return
        put("function", found(self.function) if isinstance(self.function, str) else self.function)
        if not isinstance(self.function, types.FunctionType):
            raise TypeError(f'Own.function must be a Python function or "module:name"; {given(self.function)} was given')
        put("source", self.source or source_of(self.function))
        try:
            _lanes_of(self.function, self.dim, self.source)
        except FunctionError as error:
            if not is_kept():
                raise
            put("function", Absent(self.name, str(error)))

    @property
    def is_edited(self) -> bool:
        """Whether the function is another by now than the one that the problem was declared with, as in a
        results folder.

        Raises FunctionError where it is not there any more.
        """
        function = self._present()
        return self.source not in (source_of(function), earlier_source_of(function))

    def _present(self) -> types.FunctionType:
        """The function. Raises FunctionError where a results folder's is not there any more."""
        if isinstance(self.function, Absent):
            raise FunctionError(self.function.reason)
        return self.function

    def as_in(self, kept: list[dict[str, Any]]) -> "Own":
        """The function by its hash without values, where a folder has it so."""
        earlier = earlier_source_of(self.function)
        held = any(p.get("type") == "own" and (p["function"], p["source"]) == (self.name, earlier) for p in kept)
        return msgspec.structs.replace(self, source=earlier) if held else self

    def why_not_stored(self, by_workers: bool) -> str:
        """Why other processes cannot find the function by its name; nothing where they can."""
        name, module = self.function.__qualname__, sys.modules.get(self.function.__module__)
        file = getattr(module, "__file__", None)
        # Of two modules of one name, which lie beside two experiments, the first is there no longer, but its
        # function holds what is in it.
        spaces = (vars(module) if module else {}, self.function.__globals__)
        there = any(getattr(space.get(name), "__code__", None) == self.function.__code__ for space in spaces)
        if there and file and not (by_workers and self.function.__module__ == "__main__"):
            return ""
        alone = "a function of this script alone" if file else "a function of a notebook or a terminal"
        kind = "a lambda" if "<lambda>" in name else "a function within another" if "<locals>" in name else alone
        return (
            f"{self.name} is {kind}, which other processes do not find: write it in a file of its own, as def f(x) in mine.py, and give mine.f; "
            f"without {'client=' if by_workers else 'out='} it runs in memory"
        )

    @property
    def name(self) -> str:
        """The function's place, module:name."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def box(self) -> tuple[float, float]:
        """The lowest and highest values at which runs start."""
        return self.low, self.high

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return self.dim

    def parts(self) -> dict[str, Any]:
        """The function that a kernel is bound with."""
        return {"value_and_gradient": _lanes_of(self._present(), self.dim, self.source)}

    def structure(self) -> list[Any]:
        """What decides the kernel's code."""
        return [self.name, self.dim, self.source]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"function": self.name}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step, about."""
        return 40.0 * self.dim

    def check_gradient(self, points: int = 16, *, tolerance: float = 1e-5, seed: int = 0) -> float:
        """The largest error of the gradient beside central differences, at random points of the box, relative
        to 1 + |gradient|.

        Raises ValueError if it is beyond `tolerance`, and says which component is worst, and where.
        """
        text = f"def both(x):\n    value, gradient = own(x)\n    return (value, {', '.join(f'gradient[{i}]' for i in range(self.dim))})"
        both = function_from(text, "both", {"own": self.parts()["value_and_gradient"]})
        at = np.random.default_rng(seed).uniform(self.low, self.high, (points, self.dim))
        with ieee_mode():
            exact = mapped(both, at, self.dim + 1)[:, 1:]
            steps = 6e-6 * (1.0 + abs(at))
            apart = np.stack([at + sign * steps[:, [i]] * np.eye(self.dim)[i] for i in range(self.dim) for sign in (1, -1)], 1)
            values = mapped(both, apart.reshape(-1, self.dim), self.dim + 1)[:, 0].reshape(points, self.dim, 2)
        numeric = (values[..., 0] - values[..., 1]) / (2.0 * steps)
        errors = abs(exact - numeric) / (1.0 + abs(numeric))
        place, worst = np.unravel_index(np.nanargmax(errors) if np.isfinite(errors).any() else 0, errors.shape)
        if not errors.max() <= tolerance:
            raise ValueError(
                f"the gradient of {self.name} is wrong: component {worst} is {exact[place, worst]:.6g}, differences give {numeric[place, worst]:.6g}, "
                f"at x = {np.array2string(at[place], precision=4)}"
            )
        return float(errors.max())


@functools.lru_cache(maxsize=256)
def _lanes_of(function: types.FunctionType, dim: int, source: str) -> types.FunctionType:
    """The function for kernels: what it does with lanes, or itself where only a kernel can run it.

    Raises FunctionError.
    """
    try:
        text, operations, is_translated = _traced(function, dim)
        if text != _traced(function, dim)[0]:
            raise FunctionError(f"{said(function)} does not do the same when it is called again, as with random numbers or a clock: give it none")
    except OpaqueError:
        return function
    if operations <= MOST_IN_LINE:
        return _generated(text)
    if not is_translated:
        return function
    raise FunctionError(f"{said(function)} takes {operations:,} operations; at most {MOST_IN_LINE:,} can be compiled")


@functools.lru_cache(maxsize=256)
def _generated(text: str) -> types.FunctionType:
    return function_from(text, "value_and_gradient", {**LANE_NAMES, "inf": float("inf"), "nan": float("nan")})


class FunctionError(ValueError):
    """An own function that cannot be used: its line, what is wrong, what to write."""


def _traced(function: types.FunctionType, dim: int) -> tuple[str, int, bool]:
    """(the function's operations as lane code that gives value and gradient, their number, whether the
    function itself could not be compiled).
    """
    given = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(given) != 1 or inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise FunctionError(f"{said(function)} must be a plain function of one argument, the tuple of the {dim} parameters")
    trace, made = Trace(), {}
    inputs = trace.inputs(dim)
    try:
        result = for_lanes(function, made)(inputs)
    except OpaqueError:
        raise
    except (Exception, SystemExit) as error:
        raise FunctionError(_what_it_raised(function, made, error, dim)) from None
    value, slopes = _parts(function, result, dim, trace)
    slopes = gradient_of(value, inputs) if slopes is None else slopes
    lines = ["def value_and_gradient(x):", *(f"    t{k} = {trace.code(k)}" for k in range(len(trace.operations)))]
    lines.append(f"    return {lane_code(value)}, ({', '.join(map(lane_code, slopes))},)")
    plain = not isinstance(result, tuple) or not all(isinstance(v, Lane) for v in (value, *slopes))
    return "\n".join(lines), len(trace.operations), trace.is_translated or plain or bool(function.__closure__)


def _what_it_raised(function: types.FunctionType, made: dict[Any, Any], error: BaseException, dim: int) -> str:
    """One line for what a function has raised, with the last of the user's own lines that it went through."""
    own = {f.__code__.co_filename for f in made}
    lines = [(f, n) for f, n in traceback.walk_tb(error.__traceback__) if f.f_code.co_filename in own]
    frame, number = lines[-1] if lines else (None, function.__code__.co_firstlineno)
    name = frame.f_code.co_filename if frame else function.__code__.co_filename
    text = " ".join(str(error).split())[:440]
    kind = "" if isinstance(error, LaneError) else f"{type(error).__name__}: " if text else type(error).__name__
    hint = f" (the parameters are x[0] to x[{dim - 1}], as dim={dim} says)" if isinstance(error, IndexError) else ""
    return f"the function {function.__qualname__} cannot be used, {pathlib.Path(name).name} line {number}: {kind}{text}{hint}"


def _parts(function: types.FunctionType, result: object, dim: int, trace: Trace) -> tuple[Any, list[Any] | None]:
    """(value, partial derivatives) of what a function gave; None for derivatives that it has not given."""
    gives = f"{said(function)} must give the value, or (value, ({dim} partial derivatives)); it gives "
    if isinstance(result, np.ndarray):
        result = result.tolist()
    if not isinstance(result, (tuple, list)):
        return _number(result, gives, "the value"), None
    if len(result) != 2:
        raise FunctionError(f"{gives}{len(result)} things")
    value, slopes = result
    slopes = slopes.tolist() if isinstance(slopes, np.ndarray) else slopes
    slopes = list(slopes) if isinstance(slopes, (tuple, list)) else [slopes]
    if len(slopes) != dim:
        raise FunctionError(f"{gives}{count_of(len(slopes), 'partial derivative')}")
    return _number(value, gives, "the value"), [_number(s, gives, f"derivative {k}") for k, s in enumerate(slopes)]


def _number(value: object, gives: str, what: str) -> Operand:
    """A lane or a plain number that a function gave."""
    try:
        held = None if isinstance(value, (bool, np.bool_, Mask, Vector)) else operand(value)
    except (LaneError, OverflowError):
        held = None
    if held is None:
        kind = "a condition" if isinstance(value, Mask) else "nothing (is there a return?)" if value is None else type(value).__name__
        raise FunctionError(f"{gives}{kind} as {what}")
    return held


def found(name: str, folder: pathlib.Path | None = None) -> Callable[..., Any]:
    """The function "module:name", its module beside an experiment file or where Python finds it."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise ValueError(f'a function is named as "module:name"; {given(name)} was given')
    try:
        value = getattr(_imported(module, folder), attribute, None)
    except (Exception, SystemExit) as error:
        lines = [n for f, n in traceback.walk_tb(error.__traceback__) if f.f_globals.get("__name__") == module]
        place = f" (line {lines[-1]} of it)" if lines else ""
        raise ValueError(f"the module of {name!r} cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}{place}") from None
    if value is None and module == "__main__":
        raise ValueError(f"{name!r} is a function of a script: open the results in it, or move the function into a file of its own and train again")
    if value is None:
        raise ValueError(f"the module {module!r} has no {attribute!r}")
    return value


def kept_function(name: str, folder: pathlib.Path | None = None) -> types.FunctionType | Absent:
    """The function of a results folder, which is opened without it where it is not there any more."""
    try:
        value = found(name, folder)
    except ValueError as error:
        return Absent(name, str(error))
    return value if isinstance(value, types.FunctionType) else Absent(name, f"{name} is no Python function any more")


_beside: dict[str, pathlib.Path] = {}  # the folders of modules that were imported from beside experiments


def _imported(name: str, folder: pathlib.Path | None) -> types.ModuleType:
    """The module of this name beside an experiment file, or where Python finds it; two experiments may
    each have one of a name.
    """
    if folder is None:
        return importlib.import_module(name)
    folder, first = folder.resolve(), name.partition(".")[0]
    importlib.invalidate_caches()
    if (
        importlib.machinery.PathFinder.find_spec(first, [str(folder)]) is None
    ):  # as where results are opened: it is that of the experiment that was read, or on Python's path
        return importlib.import_module(name)
    for module in [m for m, place in _beside.items() if place != folder]:
        sys.modules.pop(module, None)
        del _beside[module]
    names = {m.name for m in pkgutil.iter_modules([str(folder)])}
    # Modules of these names that are another's, as of a script that has its own.
    taken, before = {n for n in names & sys.modules.keys() if _folder_of(n) != folder}, set(sys.modules)
    if first in taken:
        raise _taken(first)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        new = [m for m in sys.modules.keys() - before if m.partition(".")[0] not in FOREIGN and _folder_of(m.partition(".")[0]) == folder]
        _beside.update(dict.fromkeys(new, folder))
    for value in [v for m in new for v in vars(sys.modules[m]).values()]:
        home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if str(home).partition(".")[0] in taken - FOREIGN:
            for one in new:
                del sys.modules[one], _beside[one]
            raise _taken(str(home).partition(".")[0])
    return module


def _folder_of(name: str) -> pathlib.Path | None:
    """The folder in which a module's file lies, or a package's folder."""
    module = sys.modules.get(name)
    file, places = getattr(module, "__file__", None), list(getattr(module, "__path__", ()))
    place = pathlib.Path(places[0]) if places else pathlib.Path(file) if file else None
    return None if place is None else place.parent.resolve()


def _taken(name: str) -> ImportError:
    present = getattr(sys.modules[name], "__file__", None) or "a part of Python"
    return ImportError(f"another module is called {name!r} ({present}): give the one beside the experiment another name")
