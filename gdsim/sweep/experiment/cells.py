"""From axes to cells: every combination of hyperparameters, numbered with the axes as written, the last
fastest.
"""

import collections
import itertools
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from gdsim import axes
from gdsim.axes import Axis, Grid
from gdsim.canonical import digest
from gdsim.declarations import Declaration
from gdsim.distribution import Distribution, Part, Partition
from gdsim.distribution.zips import are_zipped, count_together, placed
from gdsim.population.setting import DISTRIBUTION, PARTITION, PENALTY, SCHEDULE
from gdsim.problems import Problem
from gdsim.rules import Rule, Wrapper
from gdsim.rules.base import RootedRule
from gdsim.schedules import Schedule
from gdsim.starts import Init

# More cells than this are more than a table, a figure or a plan can hold.
MOST_CELLS = 1_000_000

SomeDeclaration = TypeVar("SomeDeclaration", bound=Declaration)
RuleOrSchedule = TypeVar("RuleOrSchedule", bound=Rule | Schedule)
SomePart = TypeVar("SomePart", bound=Part)
# Before the names of numbers whose owner stands in front of them: coordinates leave it away where nothing
# else has the name.
OWNERS = (SCHEDULE, DISTRIBUTION, PARTITION)
# What a cell without a distribution or a partition has in their place.
NOBODY = {"distribution": "None", "partition": "shared"}
# Settings that say what they are without their names, and how one that is not there is said.
SPEAKING = {"distribution": "one worker", "compression": "uncompressed", "partition": ""}


class Cell(NamedTuple):
    """One combination: a problem, a rule, a schedule, a batch size, a number type and how workers train it,
    each with single numbers.
    """

    problem: Problem
    rule: Rule
    schedule: Schedule
    batch: int | None
    dtype: str
    distribution: Distribution | None = None
    partition: Partition | None = None

    def numbers(self) -> dict[str, float]:
        """The numbers that kernels read, by name: the rule's as they are, the others with their owner in
        front.
        """
        of_schedule = {SCHEDULE + name: value for name, value in self.schedule.hyperparameters().items()}
        found = {**self.rule.hyperparameters(), **of_schedule, PENALTY + "l1": self.problem.l1, PENALTY + "l2": self.problem.l2}
        for owner, one in ((DISTRIBUTION, self.distribution), (PARTITION, self.partition)):
            found |= {owner + name: value for name, value in one.hyperparameters().items()} if one is not None else {}
        return found


class Declared(Protocol):
    """What makes the cells of an `Experiment`, which stands above, and how their runs begin and end."""

    @property
    def problem(self) -> Sequence[Problem]:
        """What is minimised."""
        ...

    @property
    def optimizer(self) -> Sequence[Rule]:
        """The update rules, with their axes."""
        ...

    @property
    def schedule(self) -> Sequence[Schedule]:
        """The schedules, with their axes."""
        ...

    @property
    def batch(self) -> int | Grid | None:
        """Samples per step, None for all."""
        ...

    @property
    def dtype(self) -> str | Grid | None:
        """The type of numbers, None for the problem's own."""
        ...

    @property
    def distribution(self) -> Sequence[Distribution | None]:
        """How workers train a run's model, None for one without; nothing for none with workers."""
        ...

    @property
    def partition(self) -> Sequence[Partition | None]:
        """How samples are shared out among workers, None for all to all; nothing for no other."""
        ...

    @property
    def seed(self) -> int:
        """Of all random numbers, those of drawn axes among them."""
        ...

    def steps_of(self, cell: Cell) -> int:
        """How many updates the runs of a cell have."""
        ...

    def init_of(self, problem: Problem) -> Init:
        """How a problem's runs start."""
        ...


def combinations(value: SomeDeclaration, names: Sequence[str], seed: int) -> Iterator[SomeDeclaration]:
    """An object with every combination of its axes `names`; draws of one object advance together, as one
    axis.
    """
    choices = []
    for group in joint_names(value, names).values():
        columns = [axes.values(getattr(value, n), seed, f"{type(value).__name__}.{n}") for n in group]
        if len({len(c) for c in columns}) > 1:
            sizes = ", ".join(f"{n} has {len(c)}" for n, c in zip(group, columns, strict=True))
            raise ValueError(f"{type(value).__name__}: axes that advance together must be as long as each other; {sizes} values")
        choices.append([dict(zip(group, row, strict=True)) for row in zip(*columns, strict=True)])
    for chosen in itertools.product(*choices):
        yield msgspec.structs.replace(value, **{k: v for part in chosen for k, v in part.items()})


def joint_names(value: Declaration, names: Sequence[str]) -> dict[str, list[str]]:
    """Which of an object's axes advance together: those that are drawn, those that are zipped, and each of
    the others alone.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(axes.joint_kind(getattr(value, name)) or name, []).append(name)
    return groups


def count_combinations(value: Declaration, names: Sequence[str]) -> int:
    """How many combinations an object's axes make."""
    return math.prod(axes.length(getattr(value, group[0])) for group in joint_names(value, names).values())


def inside(value: Rule | Schedule) -> str | None:
    """The field in which a rule or a schedule holds another, or None."""
    return next((f for f in ("rule", "schedule") if isinstance(getattr(value, f, None), (Rule, Schedule))), None)


def with_value(owner: RuleOrSchedule, name: str, value: Axis) -> RuleOrSchedule:
    """A rule or a schedule with another value or axis of one hyperparameter, however it is wrapped. Raises
    ValueError.
    """
    field = inside(owner)
    if name in owner.__struct_fields__ and name != field:
        return msgspec.structs.replace(owner, **{name: value})
    if field is None:
        raise ValueError(f"{type(owner).__name__} has no {name!r}; it has {', '.join(owner.hyperparameters())}")
    return msgspec.structs.replace(owner, **{field: with_value(getattr(owner, field), name, value)})


def own_names(value: Rule | Schedule) -> list[str]:
    """The numbers of a rule or a schedule that are its own fields, not those of another in it."""
    field = inside(value)
    inner = getattr(value, field).hyperparameters() if field else {}
    return [n for n in value.hyperparameters() if n not in inner]


def expanded(value: RuleOrSchedule, seed: int) -> Iterator[RuleOrSchedule]:
    """A rule or a schedule with every combination of its axes and those of what is in it, the outermost's the
    last.
    """
    field = inside(value)
    for chosen in expanded(getattr(value, field), seed) if field else [None]:
        yield from combinations(msgspec.structs.replace(value, **{field: chosen}) if field else value, own_names(value), seed)


def expanded_part(value: SomePart, seed: int) -> Iterator[SomePart]:
    """A distribution, or what stands in one, with one of each alternative and every combination of its axes
    and those of what it holds, its own the last.
    """
    for one in value.variants():
        fields = one.held
        for chosen in itertools.product(*(expanded_part(v, seed) if isinstance(v, Part) else expanded(v, seed) for v in fields.values())):
            yield from combinations(msgspec.structs.replace(one, **dict(zip(fields, chosen, strict=True))), one.axes, seed)


def count_part(value: Part) -> int:
    """How many combinations the alternatives and axes of a distribution make, with those of what it holds."""
    counts = (
        count_combinations(v, v.axes) * math.prod(count_part(h) if isinstance(h, Part) else count_expanded(h) for h in v.held.values())
        for v in value.variants()
    )
    return sum(counts)


def count_or_one(value: Part | None) -> int:
    """`count_part`, where None stands for one alternative too."""
    return 1 if value is None else count_part(value)


def alternatives_of(parts: Sequence[SomePart | None]) -> list[SomePart | None]:
    """Distributions or partitions with one of each structural alternative; None where there are none."""
    return [variant for one in parts or [None] for variant in ([None] if one is None else one.variants())]


def count_expanded(value: Rule | Schedule) -> int:
    """How many combinations the axes of a rule or a schedule make, with those of what is in it."""
    field = inside(value)
    return count_combinations(value, own_names(value)) * (count_expanded(getattr(value, field)) if field else 1)


def form_of(rule: Rule) -> dict[str, Any]:
    """What decides a rule's code, by the names of coordinates: its convention, where eps stands, what it is
    wrapped in.
    """
    found: dict[str, Any] = {"convention": rule.innermost.convention}
    if isinstance(rule.innermost, RootedRule):
        found["eps_mode"] = rule.innermost.eps_mode
    names, inner = [], rule
    while isinstance(inner, Wrapper):
        kinds = [f"{f}={getattr(inner, f)}" for f in inner.__struct_fields__ if isinstance(getattr(inner, f), bool)]
        names.append(" ".join([type(inner).__name__, *kinds]))
        inner = inner.rule
    return {**found, "wrapped_in": ", ".join(names)}


def cell_count(sweep: Declared) -> int:
    """How many cells a sweep has."""
    partitions, distributions = alternatives_of(sweep.partition), alternatives_of(sweep.distribution)
    apart = are_zipped(sweep.optimizer, partitions, distributions)
    counts = [
        sum(count_combinations(p, p.axes) * len(p.variants()) for p in sweep.problem),
        count_together([(sweep.optimizer, count_expanded), (partitions, count_or_one), (distributions, count_or_one)], apart=apart),
        sum(count_expanded(s) for s in sweep.schedule),
        axes.length(sweep.batch) if isinstance(sweep.batch, Grid) else 1,
        axes.length(sweep.dtype) if isinstance(sweep.dtype, Grid) else 1,
    ]
    return math.prod(counts)


def cells_of(sweep: Declared) -> list[Cell]:
    """The cells of a sweep, in the order of their numbers. Raises ValueError for more than MOST_CELLS."""
    count = cell_count(sweep)
    if count > MOST_CELLS:
        raise ValueError(f"the grid has {count:,} cells; at most {MOST_CELLS:,} fit one sweep: take fewer values, or draws in place of a grid")
    problems = [p for given in sweep.problem for v in given.variants() for p in combinations(v, v.axes, sweep.seed)]
    partitions, distributions = alternatives_of(sweep.partition), alternatives_of(sweep.distribution)
    apart = are_zipped(sweep.optimizer, partitions, distributions)
    each_part = lambda given: [None] if given is None else expanded_part(given, sweep.seed)  # noqa: E731
    rules = placed(sweep.optimizer, lambda given: expanded(given, sweep.seed), apart=apart)
    shares, teams = placed(partitions, each_part, apart=apart), placed(distributions, each_part, apart=apart)
    schedules = [s for given in sweep.schedule for s in expanded(given, sweep.seed)]
    batches = sweep.batch.values if isinstance(sweep.batch, Grid) else (sweep.batch,)
    dtypes = sweep.dtype.values if isinstance(sweep.dtype, Grid) else (sweep.dtype,)
    return [
        Cell(p, rule, schedule, batch, dtype or p.default_dtype, team, shared)
        for p, (rule, place), schedule, batch, dtype in itertools.product(problems, rules.at(None), schedules, batches, dtypes)
        for shared, there in shares.at(place)
        for team, _ in teams.at(there)
    ]


def identity_of(cell: Cell, sweep: Declared) -> str:
    """The hash of all that decides a cell's runs, apart from their starts."""
    shared = {"steps": sweep.steps_of(cell), **{n: getattr(sweep, n) for n in ("shuffle", "drop_last", "stop", "seed")}}
    workers = {n: v for n, v in (("distribution", cell.distribution), ("partition", cell.partition)) if v is not None}
    return digest({"cell": list(cell[:4]), "dtype": cell.dtype, "init": sweep.init_of(cell.problem), **shared, **workers})


def identities_of(sweep: Declared) -> list[str]:
    """The hashes of a sweep's cells, in the order of their numbers."""
    return [identity_of(cell, sweep) for cell in cells_of(sweep)]


def schedule_name(schedule: Schedule) -> str:
    """A schedule in words: its class, what is in it, and what is no number of a run."""
    words = [type(schedule).__name__]
    for name in schedule.__struct_fields__:
        value = getattr(schedule, name)
        if isinstance(value, Schedule):
            words.append(schedule_name(value))
        elif name not in schedule.ranges and value is not None:
            words.append(f"{name}={value}")
    return " ".join(words)


def settings(cell: Cell) -> dict[str, Any]:
    """A cell's hyperparameters by the names of their coordinates, the optimizer's first."""
    rule, schedule, problem = cell.rule, cell.schedule, cell.problem
    found: dict[str, Any] = {**rule.hyperparameters(), **form_of(rule)}
    found["schedule"] = schedule_name(schedule)
    found |= {SCHEDULE + name: value for name, value in schedule.hyperparameters().items()}
    found |= {"problem": type(problem).__name__, **problem.settings(), "batch": cell.batch, "dtype": cell.dtype}
    for name, prefix, one in (("distribution", DISTRIBUTION, cell.distribution), ("partition", PARTITION, cell.partition)):
        found[name] = NOBODY[name] if one is None else one.called
        found |= {} if one is None else {prefix + n: v for n, v in one.settings().items()}
    return found


def varied_names(cells: Sequence[Cell]) -> list[str]:
    """The names of the hyperparameters that differ between cells of one optimizer, in order; all of a
    schedule or problem.
    """
    tables = [settings(c) for c in cells]
    names = dict.fromkeys(n for t in tables for n in t)
    found = []
    for name in names:
        by_rule: dict[str, set[str]] = {}
        for cell, table in zip(cells, tables, strict=True):
            if name in table:
                by_rule.setdefault(type(cell.rule.innermost).__name__ if name in cell.rule.hyperparameters() else "", set()).add(repr(table[name]))
        if any(len(values) > 1 for values in by_rule.values()):
            found.append(name)
    return sorted(found, key=_place)


def _place(name: str) -> int:
    """Where a name stands: those of a distribution after all others, and those of a partition after these."""
    return next((place for place, owner in ((1, DISTRIBUTION), (2, PARTITION)) if f"{name}_".startswith(owner)), 0)


def coordinate_names(cells: Sequence[Cell]) -> dict[str, str]:
    """For each varied hyperparameter the name of its coordinate: those of a schedule, a distribution or a
    partition lose its prefix where nothing else has the name.
    """
    names = varied_names(cells)
    bare = {n: next((n.removeprefix(owner) for owner in OWNERS if n.startswith(owner)), n) for n in names}
    taken = {*(n for c in cells for n in c.rule.hyperparameters()), *(n for n, short in bare.items() if n == short)}
    counts = collections.Counter(bare.values())
    return {n: short if short not in taken and counts[short] == 1 else n for n, short in bare.items()}


def shown_setting(value: object) -> str:
    """A setting as it stands in labels."""
    if isinstance(value, list):
        return "-".join(str(v) for v in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def said(name: str, value: str, equals: str = "=") -> str:
    """A setting in words, such as "lr=0.1"; a kind of distribution, compression or partition speaks for itself."""
    if not value or name not in SPEAKING:
        return f"{name}{equals}{value}" if value else ""
    return SPEAKING[name] if value == "None" else value


def labels(cells: Sequence[Cell], left_out: Container[str] = ()) -> list[str]:
    """A readable name of every cell, unique: the optimizer and what is varied, but for coordinates left out."""
    names = {key: name for key, name in coordinate_names(cells).items() if name not in left_out}
    found = []
    for cell in cells:
        table: Mapping[str, Any] = settings(cell)
        words = [said(name, shown_setting(table[n])) for n, name in names.items() if n in table]
        found.append(" ".join(filter(None, [type(cell.rule.innermost).__name__, *words])))
    counts = collections.Counter(found)
    return [f"{text} #{i}" if counts[text] > 1 else text for i, text in enumerate(found)]
