"""What rules, schedules, problems, stops, starts and sweeps have in common: how they are called, and how they
are shown.
"""

import contextlib
import contextvars
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from gdsim.axes import Range
from gdsim.words import closest, given, nearest, unknown_name

_is_kept: contextvars.ContextVar[bool] = contextvars.ContextVar("is_kept", default=False)


@contextlib.contextmanager
def as_kept() -> Iterator[None]:
    """In the block declarations are made as results folders keep them: what an earlier version has accepted
    stays readable.
    """
    held = _is_kept.set(True)
    try:
        yield
    finally:
        _is_kept.reset(held)


def is_kept() -> bool:
    """Whether declarations are being made as a results folder keeps them."""
    return _is_kept.get()


def misuse(kind: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """What is wrong with a call of a class or method, in one line, or None where its arguments fit its
    signature.
    """
    parameters = inspect.signature(kind).parameters
    name = kind.__name__
    kinds = {p.kind for p in parameters.values()}
    parameters = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    unknown = next((n for n in named if n not in parameters and inspect.Parameter.VAR_KEYWORD not in kinds), None)
    if unknown is not None:
        return f"{name} has no {unknown!r}; {nearest(unknown, list(parameters)) if parameters else 'it takes nothing'}"
    if len(args) > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        rest = [n for n in parameters if n not in positional]
        taken = f"at most {len(positional)} by position ({', '.join(positional)})" if positional else "nothing by position"
        return f"{name} takes {taken}; {len(args)} were given" + (f"; by name it takes {', '.join(rest)}" if rest else "")
    twice = next((n for n in positional[: len(args)] if n in named), None)
    if twice is not None:
        return f"{name}.{twice} was given twice: {given(args[positional.index(twice)])} by position and {given(named[twice])} by name"
    needed = [n for n, p in parameters.items() if p.default is p.empty]
    missing = [n for n in needed if n not in named and n not in positional[: len(args)]]
    if missing:
        rest = [n for n in parameters if n not in needed]
        return f"{name}.{missing[0]} is missing; {name} needs {' and '.join(needed)}" + (f", and may have {', '.join(rest)}" if rest else "")
    return None


P = typing.ParamSpec("P")
R = typing.TypeVar("R")


def hinting_calls(function: Callable[P, R]) -> Callable[P, R]:
    """A function, or a method of a class that is no declaration: calls that do not fit are refused in words,
    as of declarations.
    """
    explained = functools.partial(_explained, function)

    def checked(*args: P.args, **named: P.kwargs) -> R:
        try:
            return function(*args, **named)
        except TypeError:  # Python's own, or a check's, which says enough
            wrong = explained(args, named)
            if wrong is None:
                raise
        raise TypeError(wrong)

    # Doctest takes a function for its module's by its globals, of which `checked` needs none.
    placed = types.FunctionType(checked.__code__, function.__globals__, function.__name__, None, checked.__closure__)
    return functools.update_wrapper(placed, function)  # pyright: ignore[reportReturnType]


def _explained(function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """What is wrong with a call of a function, of a method, or of a constructor."""
    owner = args[0] if args and next(iter(inspect.signature(function).parameters), "") in ("self", "cls") else None
    if owner is None:
        return misuse(function, args, named)
    return misuse(type(owner) if function.__name__ == "__init__" else types.MethodType(function, owner), args[1:], named)


def hinting_from(module: str, function: Callable[P, R]) -> Callable[P, R]:
    """A public function that answers in words calls that do not fit, as one of `module`, where pickles
    find it.
    """
    found = hinting_calls(function)
    found.__module__ = module
    return found


def hint_in(room: dict[str, Any], module: str) -> None:
    """Makes a module answer in words for names that it lacks, and its functions for calls that do not fit.

    `room` are its globals, `module` is its name as users write it.
    """

    def missing(name: str) -> Any:
        raise unknown_name(module, name, room["__all__"])

    functions = {name: room[name] for name in room["__all__"] if inspect.isfunction(room[name])}
    room.update({"__getattr__": missing, **{name: hinting_from(room["__name__"], function) for name, function in functions.items()}})


@typing.dataclass_transform(field_specifiers=(msgspec.field,))
class DeclarationMeta(msgspec.StructMeta):
    """The type of declarations: calls that do not fit are refused in words, and signatures show the defaults
    that hold.
    """

    if not typing.TYPE_CHECKING:  # for type checkers a call is the constructor

        def __call__(cls, *args: Any, **named: Any) -> Any:  # noqa: D102, N805
            try:
                made = super().__call__(*args, **named)
            except TypeError:  # msgspec's own, or a check's, which says enough
                wrong = misuse(cls, args, named)
                if wrong is None:
                    raise
            else:
                if not is_kept():
                    made.check_anew()
                return made
            raise TypeError(wrong)

    def __init__(cls, *args: Any, **settings: Any) -> None:  # noqa: N805
        super().__init__(*args, **settings)
        said = inspect.cleandoc(vars(cls).get("__doc__") or "")
        if said:
            fields = cls.documented_fields()  # pyright: ignore[reportAttributeAccessIssue]
            values = ["ValueError", "    For a value that is not allowed; the message says which are."] if fields else []
            calls = ["TypeError", "    For a call that does not fit, and for a value of another kind." if fields else "    For a call with anything in it."]
            raises = [] if "Raises" in said else ["Raises", "------", *values, *calls, ""]
            cls.__doc__ = "\n".join([said, "", *(["Parameters", "----------", *fields, ""] if fields else []), *raises])

    @property
    def __signature__(cls) -> inspect.Signature:  # noqa: N805
        shown = cls.shown_defaults()  # pyright: ignore[reportAttributeAccessIssue]
        parameters = []
        for field in msgspec.structs.fields(cls):  # pyright: ignore[reportArgumentType]
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if field.name in cls.__match_args__ else inspect.Parameter.KEYWORD_ONLY
            default = inspect.Parameter.empty if field.required else field.default
            parameters.append(inspect.Parameter(field.name, kind, default=shown.get(field.name, default)))
        return inspect.Signature(parameters)


class Declaration(msgspec.Struct, metaclass=DeclarationMeta, frozen=True):
    """A frozen, checked declaration. Equal ones are those whose fields are equal."""

    unshown: ClassVar[tuple[str, ...]] = ()  # fields that are for machines
    always_shown: ClassVar[tuple[str, ...]] = ()  # fields that are read even where they are the default
    meanings: ClassVar[Mapping[str, str]] = {}  # what fields mean, in a few words

    def check_anew(self) -> None:
        """Raises ValueError for what earlier versions have accepted; asked where something is declared, not
        where a folder is read.
        """

    @classmethod
    def documented_fields(cls) -> list[str]:
        """Lines that say of each field what it is, its default, and what it may be."""
        lines = []
        for name, parameter in inspect.signature(cls).parameters.items():
            if name in cls.meanings:
                default = [] if parameter.default is parameter.empty else [f"default {shown(parameter.default)}"]
                lines += [
                    " : ".join([name, ", ".join([*default, *cls.documented_values(name)])]).removesuffix(" : "),
                    *textwrap.wrap(cls.meanings[name], 100, initial_indent="    ", subsequent_indent="    "),
                ]
        return lines

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """What else there is to say of a field's values: their range, other defaults."""
        allowed = getattr(cls, "ranges", {}).get(name)
        return [] if allowed is None else [f"in {allowed}"]

    @classmethod
    def shown_defaults(cls) -> dict[str, Any]:
        """The defaults that signatures show, where they are not the fields' own."""
        return {}

    def defaults_here(self) -> dict[str, Any]:
        """The fields' defaults, given the others."""
        return {n: p.default for n, p in inspect.signature(type(self)).parameters.items() if p.default is not p.empty}

    def shown_fields(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of the fields that say something: those without a default, and those that differ from
        it.
        """
        defaults = self.defaults_here()
        for name in inspect.signature(type(self)).parameters:
            value = getattr(self, name)
            if name not in self.unshown and (name in self.always_shown or name not in defaults or not _same(value, defaults[name])):
                yield name, value

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, list(self.shown_fields()))

    def __repr__(self) -> str:
        needed = {n for n, p in inspect.signature(type(self)).parameters.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
        return f"{type(self).__name__}({', '.join(shown(v) if n in needed else f'{n}={shown(v)}' for n, v in self.shown_fields())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.shown_fields())


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, tuple) and isinstance(default, (tuple, list)):
        return list(value) == list(default)
    return type(value) is type(default) and value == default


def shown(value: Any) -> str:
    """A field's value as a reader writes it: lists in square brackets, whole numbers without a point,
    functions by their names.
    """
    if isinstance(value, tuple):
        return f"[{', '.join(shown(v) for v in value)}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return getattr(value, "__qualname__", None) or repr(value)


def html_table(title: str, rows: Sequence[tuple[str, Any]]) -> str:
    """A small table for a notebook: a title, then a name and a value in each row."""
    from html import escape

    body = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(v if isinstance(v, str) else shown(v))}</td></tr>'
        for name, v in rows
    )
    return f"<table><caption>{escape(title)}</caption><tbody>{body}</tbody></table>"


def public_name(kind: type) -> str:
    """How users write a class of gdsim."""
    return f"gd.{'functions.' if kind.__module__.startswith('gdsim.problems.functions') else ''}{kind.__name__}"


def meant(value: Any, classes: Sequence[type]) -> str:
    """What was given in the place of an object of one of `classes`, and what may have been meant: a class is
    to be called, a name is a class's.
    """
    if isinstance(value, type):
        return f"{given(value)} was given, not an object of it: write {public_name(value)}(...)"
    if isinstance(value, str):
        names = {c.__name__: c for c in classes}
        close = closest(value, list(names))
        return f"{given(value)} was given" + (f"; did you mean {public_name(names[close])}()?" if close else "")
    return f"{given(value)} was given"


@functools.cache
def check_own(kind: type, base: type) -> None:
    """Refuses a class of rules or schedules whose names clash with those of `base`, or whose ranges are none.

    Raises TypeError.
    """
    name, what, declared = kind.__name__, base.__name__, typing.cast("Any", kind)
    for field in declared.__struct_fields__:
        if field not in typing.cast("Any", base).__struct_fields__ and hasattr(base, field):
            raise TypeError(f"{name} cannot have a field {field!r}, which is a name that each {what} has for something else: call it otherwise")
    for field, allowed in declared.ranges.items():
        if field not in declared.__struct_fields__:
            raise TypeError(f"{name}.ranges has {field!r}, which is no field: write {field}: Axis, with a default, or leave it out")
        if not isinstance(allowed, Range):
            raise TypeError(f"{name}.ranges[{field!r}] must be a Range, as RATE, SHARE or Range(0.0, 1.0); {given(allowed)} was given")
    tag = declared.__struct_config__.tag
    taken = next((k for k in _heirs(base) if k.__module__.startswith("gdsim.") and k.__struct_config__.tag == tag), kind)
    if not kind.__module__.startswith("gdsim.") and taken is not kind:
        raise TypeError(f"{name} has the tag {tag!r}, which is {taken.__name__}'s: give it another, as in class {name}({what}, tag='my_{tag}', frozen=True)")


def _heirs(base: type) -> Iterator[Any]:
    """The classes that inherit from one, and from these."""
    for kind in base.__subclasses__():
        yield kind
        yield from _heirs(kind)
