"""Parts: the names in a template in whose places `bind` puts what was chosen. Each room declares its own in
its `parts`.

A template imports the parts that it is written with, so that its imports say which of its names are parts,
and where each is declared: a function with its signature and a sentence, or a value with its type.

    @part
    def update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
        \"\"\"(the new weight, its new slots).\"\"\"

    WIDTH: int = part("WIDTH")

A template's global is a part if it is such a declaration, or a function that `default_part` marks; every
other global of a module is its own, whatever its name. Text made for a kernel (`lanes.generated`) may name
parts that it does not import.
"""

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar, overload

from gdsim.lanes.types import Lane, Lanes, Memory

F = TypeVar("F", bound=Callable[..., Any])

DECLARED: set[str] = set()  # the names of all parts
DEFAULTS: set[Any] = set()  # functions that are parts, and stand where no other is chosen


class Part:
    """A declared name; alone it is nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        DECLARED.add(name)

    def __repr__(self) -> str:
        return f"part({self.name!r})"

    def __call__(self, *_: Any) -> Any:
        """Raises TypeError: outside a kernel there is nothing to call."""
        raise TypeError(f"the part {self.name!r} was called outside a kernel, where `bind` puts a function in its place")


@overload
def part(declared: str) -> Any: ...
@overload
def part(declared: F) -> F: ...
def part(declared: Any) -> Any:
    """Declares a part that a template cannot do without: by its name, or as a function of its signature that
    has no body.
    """
    if isinstance(declared, str):
        return Part(declared)
    return functools.update_wrapper(Part(declared.__name__), declared)


def default_part(function: F) -> F:
    """Declares a function as a part: it stands where `bind` is given no other of its name."""
    DEFAULTS.add(function)
    DECLARED.add(function.__name__)
    return function


def part_name(name: str, value: Any) -> str | None:
    """The name of the part that a global with this value is, or None if it is no part."""
    if isinstance(value, Part):
        return value.name
    return name if isinstance(value, types.FunctionType) and value in DEFAULTS else None


WIDTH: int = part("WIDTH")  # lanes that are worked on together
ZERO: Any = part("ZERO")  # 0 in the kernel's precision, a NumPy scalar
INPUT_COUNT: int = part("INPUT_COUNT")  # of a function that is mapped over points


@part
def set_float_mode() -> int:
    """Sets the IEEE default mode of the processor's arithmetic; gives the mode that there was."""
    ...


@part
def restore_float_mode(mode: int) -> None:
    """Sets the mode that `set_float_mode` found."""
    ...


@part
def function(*arguments: Lane) -> Any:
    """What is applied to lanes, or mapped over points."""
    ...


@part
def call(arguments: Memory) -> Lane:
    """`function` of the numbers in a memory, one or several."""
    ...


@part
def pair(*words: Lane) -> Lanes:
    """Two random numbers from random words."""
    ...
