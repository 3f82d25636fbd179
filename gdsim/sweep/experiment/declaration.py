"""An experiment as data, which checks itself: the fields of `gd.Sweep`, which adds what is done with them."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from gdsim.axes import Axis, Grid, checked_axis_of, checked_seed, checked_truth, checked_whole, extremes
from gdsim.data.arrays import check_fits
from gdsim.declarations import Declaration, html_table, is_kept, meant, public_name, shown
from gdsim.distribution import (
    DISTRIBUTIONS,
    PARTITIONS,
    Assigned,
    Distribution,
    Partition,
    Trained,
    check_compressed,
    check_looks,
    check_trainable,
    partitions_of,
    samples_computed,
)
from gdsim.population import DTYPES, Setting
from gdsim.population.partitions import labels_of
from gdsim.population.summary import MOST_CHECKPOINTS as SUMMARY_CHECKPOINTS
from gdsim.population.tangent_names import Parts, checked_tangents, tangents_in
from gdsim.problems import MLP, PROBLEMS, Problem, Quadratic
from gdsim.problems.functions import FUNCTIONS
from gdsim.rules import RULES, Rule
from gdsim.schedules import SCHEDULES, Constant, Schedule
from gdsim.starts import Init, Points, check_fit, checked_init, farthest
from gdsim.stops import STOPS, Diverged, Record, Stop
from gdsim.sweep.experiment.cells import Cell, cell_count
from gdsim.words import checked_word, count_of, given

MOST_CHECKPOINTS = 1_000_000
SMALLEST, LARGEST = 1.5e-45, 3.402e38  # in magnitude, of what float32 holds


class Experiment(Declaration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run, apart from how: `starts` runs in every cell of a grid of problems, optimizers,
    schedules and batch sizes.
    """

    meanings = {
        "problem": "What is minimised, such as gd.MLP(data, hidden=[32]) or gd.functions.Rosenbrock(), or a list of problems.",
        "optimizer": "An update rule such as gd.Adam(lr=0.001), or a list of rules; lists and axes in it are axes of the grid.",
        "schedule": "How the learning rate changes, such as gd.Cosine(cycle=100), or a list of schedules.",
        "init": '"glorot", "he", "orthogonal", "zeros", "box", a number, gd.Normal, gd.Uniform, gd.LatinHypercube, gd.Sobol or an array '
        '[start, parameter]; None for the problem\'s own: "glorot" for MLPs, zeros for linear models, the box for functions.',
        "starts": "Runs in every cell, from as many initial points; if not given, 1, or the rows of an init array.",
        "steps": "Updates of each run, a whole number from 1; 1000 if neither steps nor samples are given.",
        "samples": "In place of steps: samples that each run sees, whatever its batch size.",
        "batch": "Samples per step, None for all; several as gd.grid(8, 32, None).",
        "shuffle": 'The order of samples: "epoch" anew in each, "once", or "replacement" for independent draws.',
        "drop_last": "Whether a last batch that is not full is left out.",
        "distribution": "How several workers train each run's model, such as gd.LocalSGD(workers=4, period=8), or a list of distributions; "
        "None, alone or in the list, for one worker.",
        "partition": "How samples are shared out among workers; None for all to all.",
        "stop": "What ends runs early, such as gd.Target(0.01), or a list of stops, one of each kind. gd.Diverged is always on.",
        "record": "What is recorded on the way, a gd.Record.",
        "seed": "Of all random numbers, a whole number from 0: start i is the same in every cell.",
        "dtype": '"float32", "float64" or gd.grid("float32", "float64"); None for float32 of networks and linear models, else float64.',
        "keep": '"runs", or "summary" for populations whose runs would not fit: per cell and checkpoint counts, exact means and variances, '
        "extremes with their runs, and histograms.",
        "tangents": 'By what results are differentiated: names of hyperparameters, as their coordinates have them, such as "lr" or '
        '"schedule_minimum", and a gd.Direction of the start; loss_d_lr[run, checkpoint] and the like are then in the result.',
    }
    always_shown = ("starts", "steps")

    problem: tuple[Problem, ...]
    optimizer: tuple[Rule, ...]
    schedule: tuple[Schedule, ...] = ()
    init: Init = None
    starts: Any = None
    steps: Any = None
    samples: Any = None
    batch: Any = None
    shuffle: Literal["epoch", "once", "replacement"] = "epoch"
    drop_last: bool = True
    stop: tuple[Stop, ...] = ()
    record: Record = Record()
    seed: int = 0
    dtype: Any = None
    keep: Literal["runs", "summary"] = "runs"
    tangents: tuple[Any, ...] = ()  # names, and a Direction
    distribution: tuple[Distribution | None, ...] = ()
    partition: tuple[Partition | None, ...] = ()

    @classmethod
    def shown_defaults(cls) -> dict[str, Any]:
        """What holds where nothing is said."""
        return {"schedule": Constant(), "starts": 1, "steps": 1000, "stop": [], "tangents": [], "distribution": None, "partition": None}

    def shown_fields(self) -> Iterator[tuple[str, Any]]:
        """The fields that say something; a list of one is the one, and the number of starts and steps is
        always said.
        """
        for name, value in super().shown_fields():
            one = value[0] if name in ("problem", "optimizer", "schedule", "stop", "distribution", "partition") and len(value) == 1 else value
            if value is not None and value != () and not (name == "schedule" and one == Constant()):
                yield name, one

    @property
    def _size(self) -> str:
        cells = cell_count(self)
        return f"{count_of(cells, 'cell')} x {count_of(self.starts, 'start')} = {count_of(cells * self.starts, 'run')}"

    def __repr__(self) -> str:
        lines = "".join(f"    {name}={shown(value)},\n" for name, value in self.shown_fields())
        return f"Sweep(  # {self._size}\n{lines})"

    def _repr_html_(self) -> str:
        return html_table(f"Sweep: {self._size}", list(self.shown_fields()))

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        put("problem", _several(self.problem, Problem, "problem", PROBLEMS))
        put("optimizer", _several(self.optimizer, Rule, "optimizer", RULES))
        put("schedule", _several(self.schedule or Constant(), Schedule, "schedule", SCHEDULES))
        put("distribution", _several_or_none(self.distribution, Distribution, "distribution", DISTRIBUTIONS))
        put("partition", _several_or_none(partitions_of(self.partition), Partition, "partition", PARTITIONS))
        put("init", None if self.init is None else checked_init(self.init))
        rows = len(self.init.values) if isinstance(self.init, Points) else 1
        put("starts", checked_whole(rows if self.starts is None else self.starts, "starts", 1, 2**32))
        put("steps", self._checked_steps())
        put("seed", checked_seed(self.seed))
        put("batch", checked_axis_of(self.batch, "batch", self._checked_batch))
        put("stop", self._checked_stops())
        if not isinstance(self.record, Record):
            raise TypeError(f"record must be a gd.Record; {meant(self.record, ())}")
        most = max(self._steps_with(*chosen) for chosen in self._trained())
        if self.record.count(most) > MOST_CHECKPOINTS:
            raise ValueError(
                f"record.every={self.record.every} makes {self.record.count(most):,} checkpoints in {most:,} steps; "
                f"at most {MOST_CHECKPOINTS:,} fit: record more rarely"
            )
        checked_word(self.shuffle, "shuffle", ("epoch", "once", "replacement"))
        checked_word(self.keep, "keep", ("runs", "summary"))
        if self.dtype is not None:
            put("dtype", checked_axis_of(self.dtype, "dtype", _checked_dtype))
        put("drop_last", checked_truth(self.drop_last, "drop_last"))
        self._check_points()
        self._check_momentum()
        self._check_keep(most)
        self._check_tangents()
        self._check_workers()

    def _check_keep(self, steps: int) -> None:
        if self.keep != "summary":
            return
        asked = [n for n in ("parameters", "trajectory", "state") if getattr(self.record, n)]
        if asked:
            raise ValueError(f"keep='summary' keeps no runs, and so no {asked[0]} of theirs: leave record.{asked[0]} out, or keep='runs'")
        if self.record.count(steps) > SUMMARY_CHECKPOINTS:
            raise ValueError(
                f"keep='summary' takes at most {SUMMARY_CHECKPOINTS:,} checkpoints; record.every={self.record.every!r} makes {self.record.count(steps):,}"
            )

    def _check_tangents(self) -> None:
        msgspec.structs.force_setattr(self, "tangents", checked_tangents(self.tangents, self._parts))
        if self.tangents and self.record.sharpness:
            raise ValueError("record.sharpness=True is of kernels that have no tangents: leave one of the two out")

    @property
    def _parts(self) -> Parts:
        return Parts(self.problem, self.optimizer, self.schedule)

    def _check_workers(self) -> None:
        if any(one is not None for one in self.partition) and (not self.distribution or None in self.distribution):
            remedy = "take None out of distribution" if self.distribution else "give distribution="
            raise ValueError(f"partition shares samples out among workers, and runs without a distribution have one: {remedy}, or leave partition out")
        if any(one is not None for one in self.distribution):
            check_looks(self.stop, self.record, bool(self.tangents))
        for problem, batch, one, shared in self._trained():
            samples = 0 if problem.data is None else len(problem.data.X)
            if one is not None:
                # Any number of workers may draw with replacement, or take all centres of a quadratic.
                draws = shared is None and (isinstance(problem, Quadratic) if batch is None else self.shuffle == "replacement")
                check_trainable(one, shared, Trained(0 if draws else samples, batch, self._steps_with(problem, batch, one, shared)), self.optimizer)
                for each in problem.variants():
                    check_compressed(one, each.parameter_count, [(units, inputs) for inputs, units in each.layers])
            if one is not None and one.is_federated and not samples:
                raise ValueError(f"{type(one).__name__}: clients have samples, and {type(problem).__name__} has none: take gd.LocalSGD, or a problem with data")
            if one is not None and shared is not None:
                for workers in one.owners:
                    shared.check_samples(samples, labels_of(problem), workers, batch)

    def _trained(self) -> Iterator[tuple[Problem, int | None, Distribution | None, Partition | None]]:
        """What is trained, with axes as they are: each problem in each batch size by each distribution."""
        return itertools.product(self.problem, self._batches(), self.distribution or [None], self.partition or [None])

    def _checked_steps(self) -> int | None:
        if self.samples is None:
            return 1000 if self.steps is None else checked_whole(self.steps, "steps", 1, 2**31)
        if self.steps is not None:
            raise ValueError(f"give steps or samples, not both; steps={given(self.steps)} and samples={given(self.samples)} were given")
        msgspec.structs.force_setattr(self, "samples", checked_whole(self.samples, "samples", 1, 2**53))
        return None

    def _batches(self) -> tuple[int | None, ...]:
        return self.batch.values if isinstance(self.batch, Grid) else (self.batch,)

    def _steps_with(self, problem: Problem, batch: int | None, one: Distribution | None, shared: Partition | None) -> int:
        if self.steps is not None:
            return self.steps
        if problem.data is None:
            raise ValueError(f"samples counts samples of data, and {type(problem).__name__} has none; give steps")
        each = samples_computed(one, shared, len(problem.data.X), batch)
        steps = self.samples // each
        if not 1 <= steps < 2**31:
            raise ValueError(f"samples={self.samples} makes {steps} steps of {each} samples; at least 1 is needed")
        return steps

    def steps_of(self, cell: Cell) -> int:
        """How many updates the runs of a cell have, if none ends early: `steps`, or what `samples` and the
        batch size make.
        """
        return self._steps_with(cell.problem, cell.batch, cell.distribution, cell.partition)

    def _checked_batch(self, value: object, name: str) -> int | None:
        if value is None:
            return None
        count = checked_whole(value, name, 1, 2**31)
        for problem in self.problem:
            if problem.data is None:
                raise ValueError(f"{name} goes with problems that have data; {type(problem).__name__} has none, and {given(value)} was given")
        size = min(len(p.data.X) for p in self.problem if p.data is not None)
        if count > size:
            raise ValueError(
                f"{name}={count} is larger than the data, which has {size} samples; give at most {size}, or None for all of them (in a file: no batch)"
            )
        return count

    def _checked_stops(self) -> tuple[Stop, ...]:
        stops = tuple(self.stop) if isinstance(self.stop, (list, tuple)) else (self.stop,)
        for stop in stops:
            if not isinstance(stop, Stop):
                raise TypeError(f"stop must be a list of stops such as gd.Target(loss); {meant(stop, STOPS)}")
        names = [type(s).__name__ for s in stops]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            several = "; give one with a list of losses" if twice == "Target" else ""
            raise ValueError(f"stop has {names.count(twice)} stops of the kind {twice}, and a run takes one of each{several}")
        for problem in self.problem:
            if "Validation" in names and (problem.data is None or problem.data.validation is None):
                raise ValueError(f"gd.Validation needs a validation set, and {type(problem).__name__} has none: load the data with validation=0.2, say")
            if any(getattr(s, "batches", False) for s in stops) and not isinstance(problem, MLP):
                raise ValueError(f"gd.Plateau(batches=True) goes with gd.MLP, and {type(problem).__name__} was given; leave batches out")
        return stops

    def check_anew(self) -> None:
        """Refuses hyperparameters, starts and data that the number type of their runs turns into 0 or
        infinity; an eps may be 0.
        """
        dtypes = self.dtype.values if isinstance(self.dtype, Grid) else (self.dtype,)
        short = [problem for problem in self.problem if any((dtype or problem.default_dtype) == "float32" for dtype in dtypes)]
        if not short:
            return
        for owner, name, axis in self._numbers():
            for number in extremes(axis):
                held = _as_float32(number)
                if number != held and (held == math.inf or (held == 0.0 and name != "eps")):
                    raise ValueError(
                        f"{owner}.{name}={number!r} is {held:g} in float32; take a number between {SMALLEST:.2g} and {LARGEST:.3g}, or dtype='float64'"
                    )
        for problem in short:
            if problem.data is not None:
                problem.data.check_fits("float32")
            constants: Callable[[], np.ndarray] | None = getattr(problem, "constants", None)
            if constants is not None:
                check_fits(constants(), "float32", f"the constants of {type(problem).__name__}", "scale them, or give dtype='float64'")
            far = farthest(self.init_of(problem))
            if far > LARGEST:
                raise ValueError(f"init reaches {far:.3g}, beyond float32, which holds up to {LARGEST:.3g}: begin nearer, or give dtype='float64'")

    def _numbers(self) -> Iterator[tuple[str, str, Axis]]:
        """(owner, name, axis) of all hyperparameters."""
        workers = (one for given in self.distribution if given is not None for one in given.variants())
        for owner in (*self.optimizer, *self.schedule, *workers):
            yield from ((type(owner).__name__, name, axis) for name, axis in owner.hyperparameters().items())
        for problem in self.problem:
            yield from ((type(problem).__name__, name, getattr(problem, name)) for name in problem.axes)

    def _check_momentum(self) -> None:
        for schedule in self.schedule:
            for rule in self.optimizer:
                if schedule.drives_momentum and "momentum" not in rule.hyperparameters():
                    raise ValueError(f"{type(schedule).__name__} drives the momentum, and {type(rule.innermost).__name__} has none; leave `momenta` out")

    def _check_points(self) -> None:
        for problem in (v for p in self.problem for v in p.variants()):
            check_fit(self.init_of(problem), problem, self.starts)

    def init_of(self, problem: Problem) -> Init:
        """How a problem's runs start."""
        return checked_init(problem.default_init) if self.init is None else self.init

    def setting(self, cell: Cell) -> Setting:
        """What the runs of a cell share with those of other cells of its structure."""
        return Setting(
            cell.problem.on_batches(cell.batch if cell.partition is None else cell.batch or 1, cell.dtype), cell.rule, cell.schedule, self.init_of(cell.problem), self.steps_of(cell), cell.batch, self.shuffle, self.drop_last,
            tuple(s for s in self.stop if not isinstance(s, Diverged)), self.record, self.seed, cell.dtype,
            tangents=tangents_in(self.tangents, self._parts, cell.rule, cell.schedule, cell.problem) if self.tangents else (),
            distribution=cell.distribution, partition=cell.partition,
        )  # fmt: skip


def _several(value: object, kind: type[Any], name: str, classes: tuple[Any, ...]) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    allowed = ", ".join(dict.fromkeys(map(_named, classes)))
    if not values:
        raise ValueError(f"{name} is an empty list; give at least one of {allowed}")
    for v in values:
        if not isinstance(v, kind):
            raise TypeError(f"{name} must be one of {allowed}, or a list of them; {meant(v, classes)}")
    tags: dict[Any, type] = {}
    for v in values:
        found: Any = type(getattr(v, "innermost", v))
        tag = found.__struct_config__.tag
        if (first := tags.setdefault(tag, found)) is not found:
            raise ValueError(
                f"{first.__name__} and {found.__name__} have one tag, {tag!r}: give each class its own, as in class {found.__name__}(..., tag='another')"
            )
    return values


def _named(kind: type) -> str:
    """What users write for an object of a class."""
    if kind in FUNCTIONS:
        return "any of gd.functions"
    if kind is Assigned:
        return "an array [sample] of workers"
    return repr(kind.word) if issubclass(kind, Partition) and kind.word else public_name(kind)


def _several_or_none(value: object, kind: type[Any], name: str, classes: tuple[Any, ...]) -> tuple[Any, ...]:
    """As `_several`, where None may stand among the values; nothing for None alone."""
    if isinstance(value, list) and not value and not is_kept():
        raise ValueError(f"{name} is an empty list; give at least one, or None")
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if any(v is not None for v in values):
        _several([v for v in values if v is not None], kind, name, classes)
        return values
    return ()


def _as_float32(number: float) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return abs(float(np.float32(number)))


def _checked_dtype(value: object, name: str) -> str:
    return checked_word(value, name, DTYPES)
