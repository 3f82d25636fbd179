"""Changes of an experiment file from the command line: `--set steps=500`, `--set optimizer.0.lr=0.1`,
`--set optimizer.lr=0.1`, `--set schedule=`.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gdsim.distribution import DISTRIBUTIONS, PARTITIONS
from gdsim.problems import PROBLEMS
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS, Record
from gdsim.words import nearest

# What the tables of an experiment are, by their keys; inside a wrapper or a warm-up stands another of its
# kind.
CLASSES: dict[str, Sequence[Any]] = {
    "problem": PROBLEMS, "optimizer": (*RULES, *WRAPPERS), "rule": (*RULES, *WRAPPERS), "schedule": SCHEDULES, "stop": STOPS, "record": (Record,),
    "distribution": DISTRIBUTIONS, "partition": PARTITIONS, "outer": (*RULES, *WRAPPERS),
}  # fmt: skip
# A string in the place of a table is this key of it.
SHORT = {"data": "name"}
BARE = re.compile(r"[A-Za-z_][\w-]*")
# The value of a setting that takes its key away.
GONE = object()


def changed(table: dict[str, Any], settings: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """An experiment's table with settings `KEY=VALUE`, whose values are TOML; `fields` are its keys.

    A key's parts are parted by dots; a number chooses among several optimizers, say, and without it all are
    set that have the key. Without a value, `KEY=`, the key is taken away. Raises ValueError.

    >>> changed({"optimizer": [{"type": "sgd"}, {"type": "adam", "lr": 0.1}]}, ["optimizer.lr=[0.1, 1]", "optimizer.1.beta1=0.8"], ["optimizer"])
    {'optimizer': [{'type': 'sgd', 'lr': [0.1, 1]}, {'type': 'adam', 'lr': [0.1, 1], 'beta1': 0.8}]}
    >>> changed({"steps": 5, "schedule": {"type": "cosine", "cycle": 10}}, ["schedule="], ["steps", "schedule"])
    {'steps': 5}
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        parts = [p.strip() for p in key.split(".")]
        if not equals or not all(parts):
            raise ValueError(f"--set {setting}: give KEY=VALUE, as in --set steps=500 or --set optimizer.lr=0.1, or KEY= to take a key away")
        if parts[0] not in fields:
            raise ValueError(f"--set {setting}: unknown key {parts[0]!r}; {nearest(parts[0], list(fields))}")
        try:
            table = _with(table, parts, _value(text) if text.strip() else GONE, "")
        except ValueError as error:
            raise ValueError(f"--set {setting}: {error}") from None
    return table


def _value(text: str) -> Any:
    """A TOML value; a bare word, which is none, can only mean a text."""
    text = text.strip()
    if BARE.fullmatch(text) and text not in ("true", "false", "inf", "nan"):
        return text
    try:
        found = tomllib.loads(f"value = {text}")
    except ValueError:
        found = {}
    if list(found) != ["value"]:
        raise ValueError(f'{text!r} is no TOML value; give a number, true, false, a "text" or a [list]')
    return found["value"]


def _with(held: Any, parts: Sequence[str], value: object, name: str) -> Any:
    """What stands at `name`, with a value at the end of a path below it."""
    if not parts:
        return value
    if isinstance(held, list):
        return _with_in_list(held, parts, value, name)
    if parts[0].isdigit():  # of one
        found = _with_in_list([] if held is None else [held], parts, value, name)
        return found[0] if found else GONE
    if held is not None and not isinstance(held, (dict, str)):
        raise ValueError(f"{name} is {held!r}, which has no {parts[0]!r}")
    held = {} if held is None else _as_table(held, name)
    first, rest = parts[0], parts[1:]
    if first not in held and not _knows(held, name, first):
        inner = _inner(held, name)
        if inner is None:
            raise ValueError(f"no {name} has {first!r}; {nearest(first, _fields(held, name))}")
        return {**held, inner: _with(held[inner], parts, value, inner)}
    if value is GONE and first not in held:
        raise ValueError(f"nothing is taken away: {name or 'the experiment'} has no {first!r} of its own")
    return {n: v for n, v in {**held, first: _with(held.get(first), rest, value, first)}.items() if v is not GONE}


def _with_in_list(held: list[Any], parts: Sequence[str], value: object, name: str) -> list[Any]:
    """A list whose entry of that number, or all entries that have the key, are set or taken away."""
    if parts[0].isdigit():
        number = int(parts[0])
        if number >= len(held):
            raise ValueError(f"there is no {name} {number}; the experiment has {len(held)}, numbered from 0")
        found = [_with(v, parts[1:], value, name) if k == number else v for k, v in enumerate(held)]
        return [v for v in found if v is not GONE]
    if held and not any(isinstance(entry, (dict, str)) for entry in held):
        raise ValueError(f"{name} is {held!r}, which has no {parts[0]!r}")
    takers = [k for k, entry in enumerate(held) if _takes(entry, name, parts[0])]
    if not takers:
        allowed = dict.fromkeys(f for e in held for f in _fields(_as_table(e, name), name) if f != "rule")
        raise ValueError(f"no {name} has {parts[0]!r}; {nearest(parts[0], list(allowed))}")
    if value is GONE:
        takers = [k for k in takers if _holds(held[k], name, parts[0])] or takers[:1]  # of which none has it: the first says so
    return [_with(v, parts, value, name) if k in takers else v for k, v in enumerate(held)]


def _takes(entry: object, name: str, key: str) -> bool:
    """Whether an entry of a list may have a key, itself or in what it is put around."""
    return any(key in table or _knows(table, place, key) for table, place in _layers(entry, name))


def _holds(entry: object, name: str, key: str) -> bool:
    """Whether an entry of a list has a key, itself or in what it is put around."""
    return any(key in table for table, _ in _layers(entry, name))


def _layers(entry: object, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """(table, its name) of an entry, and of what it is put around, the outermost first."""
    table = _as_table(entry, name)
    yield table, name
    inner = _inner(table, name)
    if inner is not None:
        yield from _layers(table[inner], inner)


def _as_table(held: object, name: str) -> dict[str, Any]:
    """The table that stands for what stands at `name`, which may be a string alone.

    Raises ValueError for what is neither.
    """
    if isinstance(held, dict):
        return held
    if isinstance(held, str):
        return {SHORT.get(name, "type"): held}
    raise ValueError(f"{name} is {held!r}, which is no table")


def _inner(table: dict[str, Any], name: str) -> str | None:
    """The key under which a wrapper has its rule, or a warm-up its schedule."""
    return next((k for k in ("rule", "schedule") if name in ("optimizer", "rule", "schedule") and k in table), None)


def _fields(held: dict[str, Any], name: str) -> list[str]:
    """The keys that a table of this name and type may have."""
    of_type: Callable[[Any], bool] = lambda c: name == "record" or c.__struct_config__.tag == held.get("type")  # noqa: E731
    return [f for c in CLASSES.get(name, ()) if of_type(c) for f in c.__struct_fields__]


def _knows(held: dict[str, Any], name: str, key: str) -> bool:
    """Whether a table may have a key; one of a name or type that is not known here may, and is checked where
    it is read.
    """
    fields = _fields(held, name)
    return not fields or key in fields or key == "type"
