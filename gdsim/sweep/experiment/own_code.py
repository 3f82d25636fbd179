"""What a user's own rules and schedules do: their functions, and the values that these read, which may change
between a sweep's run and the going on of its runs.
"""

import hashlib
import types
from collections.abc import Iterator, Sequence
from typing import Any

from gdsim.declarations import Declaration
from gdsim.lanes.compiler import is_own
from gdsim.lanes.frozen import instructions_text, lasting_repr
from gdsim.problems.reaching import is_foreign, reached_values
from gdsim.rules import Rule
from gdsim.sweep.experiment.declaration import Experiment


def own_code(sweep: Experiment) -> list[str]:
    """A text each, as "Mine.update=<hash>" and "Mine.update K=2.0", for the functions of a sweep's rules and
    schedules that are a user's own, and for the values that they read; none where all are gdsim's.

    >>> import gdsim as gd
    >>> own_code(gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD()))
    []
    """
    kinds = dict.fromkeys(kind for one in (*sweep.optimizer, *sweep.schedule, *outer_rules(sweep)) for kind in _kinds(one))
    texts = set[str]()
    for function, read in _reached([f for kind in kinds for f in _functions(kind)]):
        code = instructions_text(function.__code__, function.__doc__)
        texts.add(f"{function.__qualname__}={hashlib.sha256(code.encode()).hexdigest()[:16]}")
        texts |= {f"{function.__qualname__} {name}={lasting_repr(value) if text is None else text}" for name, value, text in read if text != ""}
    return sorted(texts)


def outer_rules(sweep: Experiment) -> list[Rule]:
    """The rules that stand in a sweep's distributions."""
    variants = (one for given in sweep.distribution if given is not None for one in given.variants())
    return [rule for one in variants for rule in one.held.values() if isinstance(rule, Rule)]


def _reached(waiting: list[types.FunctionType]) -> Iterator[tuple[types.FunctionType, list[tuple[str, Any, str | None]]]]:
    """As `reached_values`, through functions too that the user has compiled with Numba."""
    seen = set[types.FunctionType]()
    while waiting:
        for function, read in reached_values([waiting.pop()]):
            if function not in seen:
                seen.add(function)
                yield function, read
                waiting += [v.py_func for _, v, _ in read if isinstance(getattr(v, "py_func", None), types.FunctionType) and not is_foreign(v.py_func)]


def _kinds(one: Declaration) -> Iterator[type]:
    """The class of a rule or a schedule, and of those that it is put around."""
    yield type(one)
    for field in one.__struct_fields__:
        if isinstance(inner := getattr(one, field), Declaration):
            yield from _kinds(inner)


def _functions(kind: type) -> Iterator[types.FunctionType]:
    """The functions of the user's in a class and those that it inherits from."""
    for value in (v for c in kind.__mro__ for v in vars(c).values()):
        function: Any = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, types.FunctionType) and not is_own(function):
            yield function


def what_changed(before: Sequence[str], now: Sequence[str]) -> str:
    """What of `own_code` is another now, in words; "" where all is as it was.

    >>> what_changed(["Mine.update=1f", "Mine.update K=1.0"], ["Mine.update=1f", "Mine.update K=2.0"])
    'K, which Mine.update reads, was 1.0 and is 2.0 now'
    """
    held, found = ({text.partition("=")[0]: text.partition("=")[2] for text in texts} for texts in (before, now))
    for name in sorted(held.keys() | found.keys(), key=lambda name: (" " not in name, name)):
        if held.get(name) != found.get(name):
            function, _, value = name.partition(" ")
            if value and name in held and name in found:
                return f"{value}, which {function} reads, was {held[name][:40]} and is {found[name][:40]} now"
            return f"{function} is another function now"
    return ""
