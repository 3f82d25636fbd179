"""Experiments from tables: a TOML file mirrors the call of `gd.Sweep`, key by key; a results folder holds the
same as JSON.
"""

import pathlib
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from gdsim.data import DATASETS, Data, load, read
from gdsim.declarations import is_kept
from gdsim.distribution import DISTRIBUTIONS, PARTITIONS, Part, partitions_of
from gdsim.filenames import user_path
from gdsim.problems import PROBLEMS, Problem
from gdsim.problems.own import found, kept_function
from gdsim.rules import RULES, WRAPPERS, Rule
from gdsim.schedules import SCHEDULES, Schedule
from gdsim.stops import STOPS, Record
from gdsim.sweep.experiment.cells import SomeDeclaration
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.words import given, nearest

FILE_KEYS = ("path", "target", "drop", "features", "standardize", "validation", "test", "stratify", "seed", "class_names")
NAME_KEYS = ("name", "validation", "test", "stratify", "seed")

SomeExperiment = TypeVar("SomeExperiment", bound=Experiment)


class ExperimentError(ValueError):
    """An experiment file that cannot be used: where it is wrong, what was given, what is allowed."""


def experiment_from(table: dict[str, Any], folder: pathlib.Path, kind: type[SomeExperiment]) -> SomeExperiment:
    """The experiment of a table with the keys of `gd.Sweep`; `folder` is where its files are.

    Raises ExperimentError.
    """
    _check_keys(table, kind.__struct_fields__, "")
    for key in ("problem", "optimizer"):
        if key not in table:
            raise ExperimentError(f"[{key}] is missing")
    given = dict(table)
    given["problem"] = [problem_from(p, f"problem{w}", folder) for p, w in _listed(table["problem"])]
    given["optimizer"] = [_rule(o, f"optimizer{w}") for o, w in _listed(table["optimizer"])]
    if "schedule" in table:
        given["schedule"] = [_schedule(s, f"schedule{w}") for s, w in _listed(table["schedule"])]
    for key, classes in (("distribution", DISTRIBUTIONS), ("partition", PARTITIONS)):
        if key in table:
            written = partitions_of(table[key]) if key == "partition" else table[key]
            given[key] = [one if isinstance(one, Part) else None if one in (None, "none") else _part(one, classes, f"{key}{w}") for one, w in _listed(written)]
    if "stop" in table:
        given["stop"] = [_tagged(s, STOPS, f"stop{w}") for s, w in _listed(table["stop"])]
    if "record" in table:
        given["record"] = _made(Record, _table(table["record"], "record"), "record")
    return _made(kind, given, "")


def _listed(value: object) -> list[tuple[Any, str]]:
    """One table or a list of them, each with its place for messages."""
    return [(v, f"[{i}]") for i, v in enumerate(value)] if isinstance(value, list) else [(value, "")]


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExperimentError(f"{where} must be a table; {given(value)} was given")
    return value


def _check_keys(table: dict[str, Any], allowed: Collection[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise ExperimentError(f"{where + ': ' if where else ''}unknown key {key!r}; {nearest(key, list(allowed))}")


def _tagged(value: object, classes: Sequence[type[SomeDeclaration]], where: str) -> SomeDeclaration:
    """An object of the class whose tag `type` names; a string alone is a table with that type."""
    table = {"type": value} if isinstance(value, str) else dict(_table(value, where))
    tags = {str(c.__struct_config__.tag): c for c in classes}
    kind = table.pop("type", None)
    if not isinstance(kind, str) or kind not in tags:
        given = "no type was given" if kind is None else f"type {kind!r} is not known"
        raise ExperimentError(f"{where}: {given}; {nearest(str(kind), list(tags))}")
    return _made(tags[kind], table, where)


def _rule(value: object, where: str) -> Rule:
    """An update rule; a wrapper has the rule that it is around under `rule`."""
    if isinstance(value, dict) and "rule" in value:
        value = {**value, "rule": _rule(value["rule"], f"{where}.rule")}
    return _tagged(value, (*RULES, *WRAPPERS), where)


def _schedule(value: object, where: str) -> Schedule:
    """A schedule; a warm-up has the one that follows it under `schedule`."""
    if isinstance(value, dict) and "schedule" in value:
        value = {**value, "schedule": _schedule(value["schedule"], f"{where}.schedule")}
    return _tagged(value, SCHEDULES, where)


def _part(value: object, classes: Sequence[type[SomeDeclaration]], where: str) -> SomeDeclaration:
    """A distribution, or what stands in one; what it holds, a rule or another part, is a table too, or several
    as {grid = [...]}.
    """
    table: dict[str, Any] = {"type": value} if isinstance(value, str) else dict(_table(value, where))
    kind: Any = next((c for c in classes if c.__struct_config__.tag == table.get("type")), None)
    for field, held in kind.holds.items() if kind is not None and issubclass(kind, Part) else ():
        made = lambda one, place, held=held: one if one is None or not isinstance(one, (str, dict)) else _held(one, held.classes, place)  # noqa: E731
        one = table.get(field)
        if isinstance(one, dict) and set(one) == {"grid"}:
            table[field] = {"grid": [made(v, f"{where}.{field}[{i}]") for i, v in enumerate(one["grid"])]}
        elif field in table:
            table[field] = made(one, f"{where}.{field}")
    return _tagged(table, classes, where)


def _held(value: object, classes: Sequence[type[Any]], where: str) -> object:
    if value == "none":
        return None
    return _rule(value, where) if issubclass(classes[0], Rule) else _part(value, classes, where)


def _made(kind: type[SomeDeclaration], fields: dict[str, Any], where: str) -> SomeDeclaration:
    _check_keys(fields, kind.__struct_fields__, where)
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise ExperimentError(f"{where + ': ' if where else ''}{error}") from None


def problem_from(value: object, where: str, folder: pathlib.Path) -> Problem:
    """The problem of a table, which stands at `where` in its file; `folder` as of `experiment_from`."""
    table = dict(_table(value, where))
    takes_data = {c.__struct_config__.tag: "data" in c.__struct_fields__ for c in PROBLEMS}.get(table.get("type"), False)
    if table.get("type") == "own" and isinstance(table.get("function"), str):
        try:
            table["function"] = (kept_function if is_kept() else found)(table["function"], folder)
        except ValueError as error:
            raise ExperimentError(f"{where}.function: {error}") from None
    if not takes_data or (table.get("type") == "expression" and "data" not in table):
        return _tagged(table, PROBLEMS, where)
    if "data" not in table:
        raise ExperimentError(f'{where}: data is missing; give a name ({", ".join(DATASETS)}) or {{path = "file"}}')
    if not isinstance(table["data"], Data):
        table["data"] = _data(table["data"], f"{where}.data", folder)
    return _tagged(table, PROBLEMS, where)


def _data(value: object, where: str, folder: pathlib.Path) -> Data:
    table: dict[str, Any] = {"name": value} if isinstance(value, str) else dict(_table(value, where))
    by_path = "path" in table
    _check_keys(table, FILE_KEYS if by_path else NAME_KEYS, where)
    try:
        if by_path and not isinstance(table["path"], str):
            raise ValueError(f"path must be a file's name in quotes; {table['path']!r} was given")
        if by_path:
            return read(folder / user_path(table.pop("path")), **table)
        if "name" not in table:
            raise ValueError(f"give a name ({', '.join(DATASETS)}) or a path")
        return load(table.pop("name"), **table)
    except (ValueError, TypeError) as error:
        raise ExperimentError(f"{where}: {error}") from None
