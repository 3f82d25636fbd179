"""From axes to cells: every combination of hyperparameters, numbered with the axes as written, the last fastest."""

import collections
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gdsim import axes
from gdsim.axes import Grid
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.sweep.canonical import digest

# More cells than this are more than a table, a figure or a plan can hold.
MOST_CELLS = 1_000_000


class Cell(NamedTuple):
    """One combination: a problem, a rule, a schedule and a batch size, each with single numbers."""

    problem: Any
    rule: Rule
    schedule: Schedule
    batch: int | None

    def numbers(self) -> dict[str, float]:
        """The hyperparameters that kernels read, by name."""
        found = {n: getattr(self.rule, n) for n in self.rule.hyperparameters()}
        found |= {n: getattr(self.schedule, n) for n in self.schedule.hyperparameters()}
        return {**found, "l2": self.problem.l2}


def combinations(value: Any, names: Sequence[str], seed: int) -> Iterator[Any]:
    """An object with every combination of its axes `names`; draws of one object advance together, as one axis."""
    groups: list[list[str]] = []
    for name in names:
        axis = getattr(value, name)
        joint = next((g for g in groups if axes.is_joint(axis) and axes.is_joint(getattr(value, g[0]))), None)
        if joint is not None:
            joint.append(name)
        else:
            groups.append([name])
    choices = []
    for group in groups:
        columns = [axes.values(getattr(value, n), seed, f"{type(value).__name__}.{n}") for n in group]
        choices.append([dict(zip(group, row, strict=True)) for row in zip(*columns, strict=True)])
    for chosen in itertools.product(*choices):
        yield msgspec.structs.replace(value, **{k: v for part in chosen for k, v in part.items()})


def count_of(value: Any, names: Sequence[str]) -> int:
    """How many combinations an object's axes make."""
    lengths = {n: axes.length(getattr(value, n)) for n in names}
    joint = [lengths.pop(n) for n in names if axes.is_joint(getattr(value, n))]
    return math.prod(lengths.values()) * (min(joint) if joint else 1)


def cells_of(sweep: Any) -> list[Cell]:
    """The cells of a sweep, in the order of their numbers. Raises ValueError for more than MOST_CELLS."""
    counts = [
        sum(count_of(p, p.axes) * len(p.variants()) for p in sweep.problem),
        sum(count_of(r, r.hyperparameters()) for r in sweep.optimizer),
        sum(count_of(s, s.hyperparameters()) for s in sweep.schedule),
        axes.length(sweep.batch) if isinstance(sweep.batch, Grid) else 1,
    ]
    if math.prod(counts) > MOST_CELLS:
        raise ValueError(f"the grid has {math.prod(counts):,} cells; at most {MOST_CELLS:,} fit one sweep: take fewer values, or draws in place of a grid")
    problems = [p for given in sweep.problem for v in given.variants() for p in combinations(v, v.axes, sweep.seed)]
    rules = [r for given in sweep.optimizer for r in combinations(given, given.hyperparameters(), sweep.seed)]
    schedules = [s for given in sweep.schedule for s in combinations(given, given.hyperparameters(), sweep.seed)]
    batches = sweep.batch.values if isinstance(sweep.batch, Grid) else (sweep.batch,)
    return [Cell(*chosen) for chosen in itertools.product(problems, rules, schedules, batches)]


def identity(cell: Cell, sweep: Any) -> str:
    """The hash of all that decides a cell's runs, apart from their starts."""
    shared = {n: getattr(sweep, n) for n in ("steps", "shuffle", "drop_last", "stop", "seed")}
    return digest({"cell": list(cell), "dtype": sweep.dtype_of(cell.problem), "init": sweep.init_of(cell.problem), **shared})


def settings(cell: Cell) -> dict[str, Any]:
    """A cell's hyperparameters by the names of their coordinates, the optimizer's first."""
    rule, schedule, problem = cell.rule, cell.schedule, cell.problem
    found: dict[str, Any] = {n: getattr(rule, n) for n in rule.hyperparameters()}
    found["convention"] = rule.convention
    found["schedule"] = type(schedule).__name__
    for name in schedule.hyperparameters():
        found[f"schedule_{name}"] = getattr(schedule, name)
    return {**found, "problem": type(problem).__name__, **problem.settings(), "batch": cell.batch}


def varied(cells: Sequence[Cell]) -> list[str]:
    """The names of the hyperparameters that differ between cells of one optimizer, in order; all of a schedule or problem."""
    tables = [settings(c) for c in cells]
    names = dict.fromkeys(n for t in tables for n in t)
    found = []
    for name in names:
        by_rule: dict[str, set[str]] = {}
        for cell, table in zip(cells, tables, strict=True):
            if name in table:
                by_rule.setdefault(type(cell.rule).__name__ if name in cell.rule.hyperparameters() else "", set()).add(repr(table[name]))
        if any(len(values) > 1 for values in by_rule.values()):
            found.append(name)
    return found


def coordinate_names(cells: Sequence[Cell]) -> dict[str, str]:
    """For each varied hyperparameter the name of its coordinate: a schedule's own loses its prefix where nothing else has the name."""
    names = varied(cells)
    taken = {n for c in cells for n in c.rule.hyperparameters()} | {n for n in names if not n.startswith("schedule_")}
    return {n: n.removeprefix("schedule_") if n.startswith("schedule_") and n.removeprefix("schedule_") not in taken else n for n in names}


def shown(value: Any) -> str:
    """A setting as it stands in labels."""
    if isinstance(value, list):
        return "-".join(str(v) for v in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def labels(cells: Sequence[Cell]) -> list[str]:
    """A readable name of every cell, unique: the optimizer and what is varied."""
    names = coordinate_names(cells)
    found = []
    for cell in cells:
        table: Mapping[str, Any] = settings(cell)
        words = [f"{name}={shown(table[n])}" for n, name in names.items() if n in table]
        found.append(" ".join([type(cell.rule).__name__, *words]))
    counts = collections.Counter(found)
    return [f"{text} #{i}" if counts[text] > 1 else text for i, text in enumerate(found)]
