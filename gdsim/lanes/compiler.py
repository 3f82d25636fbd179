"""From plain functions to machine code: `bind` puts chosen parts into a template, and `cache` keeps the result
on disk.

A template is an ordinary Python function some of whose global names (`update`, `rate`, `WIDTH`, ...) are
parts, declared in a room's `parts`. Binding replaces them, in the template and in every function it reaches,
and compiles the whole for one signature. The name of the result in the cache is a hash of everything that
decides its machine code, so that no edit is missed.
"""

import builtins
import functools
import hashlib
import os
import pathlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from gdsim.lanes.announcing import apart
from gdsim.lanes.cache import DiskCache
from gdsim.lanes.children import made_by_child
from gdsim.lanes.collecting import no_collection
from gdsim.lanes.frozen import code_text, constants_of, file_hash, global_names
from gdsim.lanes.machine import machine
from gdsim.lanes.operations import OPERATIONS
from gdsim.lanes.parts import DECLARED, Part, part_name
from gdsim.lanes.types import Function
from gdsim.words import closest

OWN = f"{pathlib.Path(__file__).parent.parent}{os.sep}"  # where the functions lie that are not the user's

# How a function stands in a kernel: what is called need not go inline, as `noinline` says, and of what runs seldom code is
# to be short.
Role = Literal["entry", "called", "inline", "seldom"]

UNSET: Any = object()  # where nothing stands behind a name
NOINLINE: set[Any] = set()
F = TypeVar("F", bound=Callable[..., Any])


def noinline(function: F) -> F:
    """Marks a function that kernels call from several places: it need not go inline.

    All others go where they are called.
    """
    NOINLINE.add(function)
    return function


def body_of(value: Any) -> Any:
    """The function that a kernel compiles where it names `value`, or None if it uses the value as it is."""
    body = getattr(value, "lane_body", value)
    return body if isinstance(body, types.FunctionType) and body not in OPERATIONS else None


class Reference(NamedTuple):
    """A global name that a function uses, with what stands behind it."""

    name: str
    value: Any  # UNSET: nothing
    is_chosen: bool  # whether it is a part that was given


def references(function: Function, parts: Mapping[str, Any]) -> Iterator[Reference]:
    """The global names that a function uses.

    A global of its module is a part by its declaration; a name that none has, by being given.
    """
    space = function.__globals__
    for name in global_names(function.__code__):
        own = space.get(name, UNSET)
        key = name if own is UNSET else part_name(name, own)
        if key is not None and key in parts:
            yield Reference(name, parts[key], True)
        elif own is not UNSET or not hasattr(builtins, name):
            yield Reference(name, own, False)


class ScopedPart(NamedTuple):
    """A part that brings its own parts: below it no others are seen, so that kernels which differ elsewhere
    share it.
    """

    function: Any
    parts: tuple[tuple[str, Any], ...]
    is_seldom: bool = False  # whether it runs once in many steps, and all that it reaches but for such parts


@functools.cache
def _mapping(parts: tuple[tuple[str, Any], ...], kinds: tuple[type, ...]) -> Mapping[str, Any]:
    """The parts of a scoped one by their names.

    It is the same object for the same parts of the same types: 0 of float32 equals that of float64.
    """
    return dict(parts)


def below(value: Any, parts: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    """(the function that a kernel compiles where it names `value`, the parts that hold in it), or None for
    other values.
    """
    if isinstance(value, ScopedPart):
        return value.function, _mapping(value.parts, tuple(type(v) for _, v in value.parts))
    body = body_of(value)
    return None if body is None else (body, parts)


def reached_with_parts(template: Function, parts: Mapping[str, Any]) -> list[tuple[Any, Mapping[str, Any]]]:
    """The template and every function that it reaches, in the order of the first mention, with the parts that
    hold in each.
    """
    found, waiting = [], [(template, parts)]
    seen: set[tuple[Any, int]] = set()
    while waiting:
        function, own = waiting.pop(0)
        if (function, id(own)) not in seen:
            seen.add((function, id(own)))
            found.append((function, own))
            waiting += [deeper for _, value, _ in references(function, own) if (deeper := below(value, own)) is not None]
    return found


def reached(template: Function, parts: Mapping[str, Any]) -> list[Any]:
    """The template and every function that it reaches, in the order of the first mention."""
    return [function for function, _ in reached_with_parts(template, parts)]


class Bound(NamedTuple):
    """A template with its parts in place, named by a hash of all that decides its machine code."""

    template: Any
    parts: Mapping[str, Any]
    signature: Any
    digest: str
    title: str | None = None  # what is told where it must be compiled

    def leave_in_cache(self) -> None:
        """Compiles it for other processes to find."""
        cache = DiskCache(self.digest)
        with cache.file.made_once(None):
            _compiled(self, cache)


def is_own(function: Function) -> bool:
    """Whether a function is gdsim's, and not the user's."""
    return function.__code__.co_filename.startswith(OWN)


def globals_read(functions: Sequence[tuple[Any, Mapping[str, Any]]]) -> tuple[str, ...]:
    """The values that the user's functions with their parts read: of globals, of modules' names, defaults.

    A kernel has them as constants.
    """
    texts, seen = list[str](), set[Any]()
    for function, parts in functions:
        if not is_own(function):
            names = [name for name, value, is_chosen in references(function, parts) if not is_chosen and below(value, parts) is None]
            texts += constants_of(function, names, seen)
    return tuple(texts)


def digest_of(function: Function, parts: Mapping[str, Any]) -> str:
    """A hash of all that decides what a function with these parts does: every function and constant that it
    reaches.
    """
    functions, scopes = reached_with_parts(function, parts), dict[int, int]()
    for _, own in functions:
        scopes.setdefault(id(own), len(scopes))
    texts = [*(file_hash(f.__code__.co_filename) for f, _ in functions if not is_own(f)), *globals_read(functions)]
    names = [f"{scopes[id(p)]} {f.__module__}.{f.__qualname__}:{code_text(f.__code__)}" for f, p in functions]
    places = {_place_text(n, v, p, scopes) for f, p in functions for n, v, chosen in references(f, p) if chosen}
    return hashlib.sha256("\n".join([machine(), *texts, *names, *sorted(places)]).encode()).hexdigest()


def _place_text(name: str, value: Any, parts: Mapping[str, Any], scopes: Mapping[int, int]) -> str:
    """What stands in the place of a name, in which scope, and the scope of a function's own parts."""
    chosen, scope = below(value, parts), scopes[id(parts)]
    if chosen is None:  # a number, a type, or an instruction, whose repr says where it lies in this process
        is_instruction = isinstance(value, types.FunctionType)
        return f"{scope} {name}={f'{value.__module__}.{value.__qualname__}' if is_instruction else repr(value)}"
    seldom = " seldom" if isinstance(value, ScopedPart) and value.is_seldom else ""
    return f"{scope} {name}:{scopes[id(chosen[1])]} {chosen[0].__module__}.{chosen[0].__qualname__}{seldom}"


def describe(template: Function, parts: Mapping[str, Any], signature: Any, title: str | None = None) -> Bound:
    """The bound kernel before compilation, with its digest."""
    whole = f"{digest_of(template, parts)}\n{signature}"
    return Bound(template, parts, signature, hashlib.sha256(whole.encode()).hexdigest(), title)


def check_parts(template: Function, parts: Mapping[str, Any]) -> None:
    """Refuses a template without one of its parts, and names that are no parts. Raises TypeError."""
    given, unbound = {id(parts): (template, parts)}, {id(parts): set()}
    for function, own in reached_with_parts(template, parts):
        given.setdefault(id(own), (function, own))
        unbound.setdefault(id(own), set()).update(set(global_names(function.__code__)) - set(function.__globals__))
        for name, value, _ in references(function, own):
            if isinstance(value, Part):
                raise TypeError(f"{template.__qualname__}: {function.__qualname__} needs the part {value.name!r}, and no value was given for it")
            if value is UNSET:
                raise TypeError(f"{template.__qualname__}: {function.__qualname__} reads {name!r}, and nothing of this name was defined or given")
    for key, (function, own) in given.items():
        for name in sorted(set(own) - DECLARED - unbound[key]):
            near = closest(name, sorted(DECLARED))
            hint = f"did you mean {near!r}?" if near else "declare it with `part` or `default_part`, or leave it out"
            raise TypeError(f"{function.__qualname__} was given {name!r}, which is no part; {hint}")


def outside(code: types.CodeType) -> str:
    """What a function of the user's does beside giving numbers, which runs of a kernel cannot; "" if nothing."""
    if "random" in code.co_names:
        return "it draws random numbers, which no seed of the sweep decides; runs draw their starts and samples alone"
    return "it prints; look at its numbers by calling it in Python, as update(w, g, slots, s)" if "print" in code.co_names else ""


_linked: dict[tuple[str, str], Any] = {}


def link(bound: Bound, compiler: Callable[[Function, Role], Any], target: str = "") -> Any:
    """The template with every name that it reaches replaced by a function that `compiler` has taken.

    Functions below the entry are shared by all kernels of the process in which they are the same. All names
    carry a hash of what they stand for, and the `target`: Numba's linker keeps the first of two functions of one name.
    Raises TypeError as `check_parts` does.
    """

    def take(function: Function, parts: Mapping[str, Any], is_seldom: bool) -> Any:
        is_entry = function is bound.template
        digest, compiled_as = bound.digest if is_entry else digest_of(function, parts), f"{target}{'_seldom' if is_seldom else ''}"
        key = (compiled_as, digest)
        if key in _linked and not is_entry:
            return _linked[key]
        if function.__code__.co_freevars:
            closed = ", ".join(function.__code__.co_freevars)
            raise TypeError(f"{function.__qualname__} cannot be part of a kernel: it closes over {closed}; give them as parts or globals")
        told = "" if is_own(function) else outside(function.__code__)
        if told:
            place = f"{pathlib.Path(function.__code__.co_filename).name}, line {function.__code__.co_firstlineno}"
            raise TypeError(f"{function.__qualname__} ({place}) cannot be part of a kernel: {told}")
        names = dict(function.__globals__)
        for name, value, _ in references(function, parts):
            deeper = below(value, parts)
            names[name] = value if deeper is None else take(*deeper, value.is_seldom if isinstance(value, ScopedPart) else is_seldom)
        copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        copy.__qualname__ = f"{function.__qualname__}_{digest[:16]}{compiled_as}".replace(".", "_")
        copy.__module__ = function.__module__
        made = compiler(copy, "entry" if is_entry else "seldom" if is_seldom else "called" if function in NOINLINE else "inline")
        if not is_entry:
            _linked[key] = made
        return made

    check_parts(bound.template, bound.parts)
    return take(bound.template, bound.parts, False)


_kernels: dict[str, Any] = {}
compilations: list[str] = []  # digests of what this process compiled, rather than found


class NoCompilerError(RuntimeError):
    """Numba's compiler is switched off, and without it there are no kernels."""


def check_compiler() -> None:
    """Refuses a process in which Numba does not compile. Raises NoCompilerError."""
    from numba.core import config

    if getattr(config, "DISABLE_JIT", 0):
        raise NoCompilerError("NUMBA_DISABLE_JIT is set, and gdsim's kernels are nothing but compiled code: unset it (set it to 0)")


def bind(template: Function, parts: Mapping[str, Any], signature: Any, title: str | None = None) -> Any:
    """The template with its parts in place, compiled for one signature.

    `title` is what `announcing` tells where it must be compiled.

    The same kernel is made once per process, and taken from the cache on disk where another process left it
    or is making it. Raises TypeError for a part that is missing, and for a given name that no room has
    declared as a part.
    """
    return kernel_of(describe(template, parts, signature, title))


def kernel_of(bound: Bound, ask_children: bool = False) -> Any:
    """A described kernel, as `bind` gives it; one of those that `children` may have made, if they are asked.

    They describe what comes next then, and no lock may be held that describing needs.
    """
    from gdsim.lanes import cpu

    check_compiler()
    cpu.register()
    if bound.digest in _kernels:
        return _kernels[bound.digest]
    by_child = ask_children and made_by_child(bound)
    cache = DiskCache(bound.digest)
    with cache.file.made_once(bound.title):
        kernel = apart(lambda: _compiled(bound, cache))
    if by_child or not cache.file.hit:
        compilations.append(bound.digest)
    _kernels[bound.digest] = kernel
    return kernel


def _compiled(bound: Bound, cache: DiskCache) -> Any:
    """The kernel's dispatcher, from the cache or made."""
    with no_collection():
        kernel = _found(bound, cache)
        if kernel is None:
            kernel = link(bound, _taken)
            kernel._cache = cache
            kernel.compile(bound.signature)
    kernel.disable_compile()
    return kernel


def _found(bound: Bound, cache: DiskCache) -> Any:
    """The dispatcher of a kernel that the cache has, or None; what it reaches need not be linked for it."""
    kernel = _taken(bound.template, "entry")
    result = cache.load_overload(bound.signature, kernel.targetctx)
    if result is None:
        return None
    kernel.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
    kernel.add_overload(result)
    return kernel


def _taken(function: Function, role: Role) -> Any:
    """A function as Numba compiles it: a kernel's entry, or a part of one."""
    from numba import njit

    from gdsim.lanes.pipeline import EntryCompiler, part_of

    options = {"error_model": "numpy", "_nrt": False, "debug": False}  # whatever NUMBA_DEBUGINFO says: parts have no lines
    if role == "entry":
        return njit(nogil=True, pipeline_class=EntryCompiler, **options)(function)
    return part_of(function, {**options, "nopython": True, "forceinline": role == "inline"})


def address_of(kernel: Any) -> int:
    """The address of a bound kernel's machine code, by which another kernel calls it."""
    (result,) = kernel.overloads.values()
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def float_mode_parts() -> dict[str, Any]:
    """The parts with which an entry sets the IEEE default mode and restores what there was."""
    from gdsim.lanes import cpu

    return {"set_float_mode": cpu.set_float_mode, "restore_float_mode": cpu.restore_float_mode}
