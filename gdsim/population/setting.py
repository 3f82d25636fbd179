"""What the runs of one structure share, and what follows from it: kernels, tables of samples, samplers,
looks.
"""

import collections
import contextlib
import functools
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.kernels import decisions, state
from gdsim.kernels.cpu import Kernels, Monitors, StopRow, Structure
from gdsim.kernels.layout import Table, function_layout, memory_layout, network_layout, sampler_of, table_of
from gdsim.kernels.network import BLOCK
from gdsim.kernels.recorders import RECORDERS
from gdsim.kernels.sampling import SHUFFLES, list_samples
from gdsim.kernels.small import MOST_PARAMETERS
from gdsim.lanes.compiler import ScopedPart, bind, float_mode_parts, vector_bytes
from gdsim.lanes.generated import function_from
from gdsim.lanes.modes import ieee_mode
from gdsim.lanes.types import Hyperparameters, Lane
from gdsim.problems import Network
from gdsim.problems.moments import Moments
from gdsim.problems.parts import Sampler
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.schedules.parts import scheduled_momentum
from gdsim.starts import Init
from gdsim.stops import Cycling, Plateau, Record, SmallGradient, SmallStep, Stop, Target


class Costs(NamedTuple):
    """What a step of a run costs in cycles of one core."""

    pack_speed: float  # operations per cycle, in a pack
    single_run_speed: float  # likewise where one run has all lanes
    pack_cycles: float  # beside them
    single_run_cycles: float
    single_run_weight: float  # cycles per weight, of the tiles that its gradients are made in


# By the bytes of a register, fitted to networks of 65 to 100,000 parameters on batches of 1 to 33. Where
# registers are narrow, the sums of a pack's tiles leave them.
COSTS = {64: Costs(33, 33, 1000, 3200, 0.0), 32: Costs(16, 24, 1000, 2500, 0.6), 16: Costs(8, 12, 1000, 2500, 0.6)}


# Steps of runs from which on a kernel is compiled for the widths of one small network; others serve all
# widths.
STEPS_WORTH_WRITING = 10**6
CACHE_SIZE = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index3/size")  # "32768K"
USUAL_CACHE_BYTES = 2**24


@functools.cache
def last_cache_bytes() -> int:
    """Bytes of the processor's last cache; of a usual one where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        return int(CACHE_SIZE.read_text().strip().removesuffix("K")) * 1024
    return USUAL_CACHE_BYTES


class Setting(NamedTuple):
    """What the runs of one structure share."""

    problem: Any
    rule: Rule
    schedule: Schedule
    init: Init
    steps: int
    batch: int | None
    shuffle: str
    drop_last: bool
    stops: tuple[Any, ...]
    record: Record
    seed: int
    dtype: str
    began: int = 0  # updates that runs have behind them when they begin here
    is_written_out: bool = False  # whether the kernel of a small network is made for its widths

    @property
    def checkpoints(self) -> list[int]:
        """The steps at which runs are recorded, from where they begin."""
        return sorted({self.began, *(s for s in self.record.steps(self.steps) if s > self.began)})

    @property
    def samples_per_step(self) -> int:
        """Samples of a step's batch; of a function without samples one."""
        return self.batch or (1 if self.problem.data is None else len(self.problem.data.X))

    @property
    def width(self) -> int:
        """Lanes of a full pack.

        One of the processor's registers for networks, whose tiles of 4 x 4 leave none to spare; elsewhere as
        if registers had 512 bits: one for written-out networks, two for the smallest of them and for
        functions, four for small functions.
        """
        size, parameters = np.dtype(self.dtype).itemsize, self.problem.parameter_count
        lanes = 64 // size
        if isinstance(self.problem, Network):
            if not self.is_written_out:
                return vector_bytes() // size
            return 2 * lanes if parameters <= 20 else lanes
        return 4 * lanes if parameters <= 2 else 2 * lanes

    def for_runs(self, count: int) -> "Setting":
        """The setting for so many runs: a small network's steps are written out where many are to be made."""
        is_small = isinstance(self.problem, Network) and self.problem.parameter_count <= MOST_PARAMETERS and self.samples_per_step <= BLOCK
        return self._replace(is_written_out=is_small and count * self.steps >= STEPS_WORTH_WRITING)

    def pack_bytes(self, width: int) -> int:
        """Bytes of a pack's state, which each of its steps goes through: weights and slots."""
        return width * np.dtype(self.dtype).itemsize * self.problem.parameter_count * (1 + len(self.rule.slots))

    @property
    def fits_single_run(self) -> bool:
        """Whether one run may have all lanes: `cpu.fits_single_run` of the structure, which need not be made
        for this.
        """
        monitors_step = any(isinstance(s, SmallStep) for s in self.stops)
        return isinstance(self.problem, Network) and not (self.is_written_out or self.rule.needs_whole_gradient or self.rule.perturbs or monitors_step)

    def lanes_for(self, runs: int, threads: int) -> int:
        """Lanes of a pack where each of `threads` trains `runs`.

        It is 1 where one run at a time has all the lanes and is done sooner.

        That is where they are few, where registers are narrow and layers large, or where the packs of all
        threads would leave the last cache.
        """
        width = self.width
        if not self.fits_single_run:
            return width
        costs, step = COSTS[vector_bytes()], self.problem.step_operations(self.samples_per_step)
        packed = step / costs.pack_speed + costs.pack_cycles
        single = step / costs.single_run_speed + costs.single_run_cycles + self.problem.parameter_count * costs.single_run_weight
        is_sooner = runs * single < -(-runs // width) * width * packed
        return 1 if is_sooner or threads * self.pack_bytes(width) > last_cache_bytes() else width

    @property
    def targets(self) -> tuple[float, ...]:
        """The losses to reach, the highest first."""
        return next((s.losses for s in self.stops if isinstance(s, Target)), ())

    @property
    def sees_loss(self) -> bool:
        """Whether the loss of a step's batch is that of the whole data at the reported parameters."""
        return self.batch is None and not self.rule.reports_other_point and not has_penalty(self)

    def lanes_look_at(self, stop: Stop) -> bool:
        """Whether lanes look at a stop in every step, by what the step computes anyway."""
        if isinstance(stop, SmallStep):
            return not self.schedule.is_cyclic
        if isinstance(stop, (Target, SmallGradient)) and stop.every in (None, 1) and self.sees_loss:
            return isinstance(stop, Target) or not isinstance(self.problem, Network)  # a network's gradient is used as it is made
        return False


def is_of_batches(stop: Stop) -> bool:
    """Whether a stop looks at the means of the losses of batches."""
    return isinstance(stop, Plateau) and stop.batches


def epoch_of(setting: Setting) -> int:
    """The steps of an epoch."""
    return 1 if setting.batch is None else int(samplers_of(setting)[0].steps_per_epoch)


def epochs_of(setting: Setting) -> int:
    """Epochs whose mean loss is recorded, begun ones counted; 0 where no stop looks at them."""
    if not any(map(is_of_batches, setting.stops)):
        return 0
    epoch = epoch_of(setting)
    return -(-setting.steps // epoch) - setting.began // epoch


def number_names(setting: Setting) -> tuple[str, ...]:
    """The names of the numbers that kernels read of each run: the rule's as they are, the others with their
    owner in front.

    Raises ValueError where a rule's own number stands twice.
    """
    rule, schedule = setting.rule, setting.schedule
    constants = rule.constants(dict.fromkeys(rule.hyperparameters(), 0.5))
    others = [*(f"schedule_{name}" for name in schedule.hyperparameters()), "penalty_l1", "penalty_l2"]
    names = [*rule.hyperparameters(), *constants, *others]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        other = "one of its constants" if twice in constants else "a number of the schedule or the penalty"
        raise ValueError(f"{type(rule).__name__}: a field and {other} are both called {twice!r}; rename the field")
    return tuple(names)


def schedule_values(schedule: Schedule, values: Mapping[str, float]) -> dict[str, float]:
    """A schedule's numbers by its own names, from those of a run."""
    return {name: values[f"schedule_{name}"] for name in schedule.hyperparameters()}


@functools.cache
def numbers_type(names: tuple[str, ...]) -> Any:
    """The NamedTuple in which kernels hold a run's numbers; its name tells its fields."""
    return collections.namedtuple("Numbers_" + "_".join(names), names)


@functools.cache
def schedule_numbers_of(names: tuple[str, ...]) -> Any:
    """`schedule_numbers(h)`: a schedule's numbers by its own names, of those of a run; all where it has none."""
    own = f"numbers({', '.join(f'h.schedule_{n}' for n in names)})" if names else "h"
    return function_from(f"def schedule_numbers(h):\n    return {own}", "schedule_numbers", {"numbers": numbers_type(names)})


def as_they_are(h: Hyperparameters, t: Lane) -> Hyperparameters:
    """The numbers of a run whose momentum is its own."""
    return h


@functools.cache
def scheduled_hyperparameters_of(schedule: Schedule, names: tuple[str, ...]) -> Any:
    """`scheduled_hyperparameters(h, t)`: a run's numbers at update t, with the momentum that its schedule
    gives, and that of t + 1.
    """
    if not schedule.drives_momentum:
        return as_they_are
    places = {"momentum": "scheduled_momentum(h.momentum, t, p)", "next_momentum": "scheduled_momentum(h.momentum, t + 1, p)"}
    made = f"numbers({', '.join(places.get(n, f'h.{n}') for n in names)})"
    text = f"def scheduled_hyperparameters(h, t):\n    p = schedule_numbers(h)\n    return {made}"
    own = schedule_numbers_of(tuple(schedule.hyperparameters()))
    known = {"numbers": numbers_type(names), "scheduled_momentum": scheduled_momentum, "schedule_numbers": own}
    function = function_from(text, "scheduled_hyperparameters", known)
    return ScopedPart(function, (("scheduled_momentum", schedule.parts()["scheduled_momentum"]),))


def has_penalty(setting: Setting) -> bool:
    """Whether any run of the setting may have a penalty."""
    return setting.problem.l1 != 0.0 or setting.problem.l2 != 0.0


def layout_for(problem: Any, dtype: str) -> Any:
    """Where a problem's parameters lie in a pack."""
    if isinstance(problem, Network):
        return network_layout(problem.widths, table_for(problem.data, dtype).pitch, problem.intercept, problem.keeps_slopes)
    if hasattr(problem, "constants"):
        return memory_layout(problem, 0 if problem.data is None or isinstance(problem, Moments) else table_for(problem.data, dtype).columns)
    return function_layout(problem.parameter_count, 0 if problem.data is None else table_for(problem.data, dtype).columns)


def structure_of(setting: Setting) -> Structure:
    """What decides the setting's kernels."""
    problem, rule = setting.problem, setting.rule
    names = number_names(setting)
    schedule = setting.schedule
    parts = {
        **rule.parts(), **problem.parts(), "rate": schedule.parts()["rate"], "schedule_numbers": schedule_numbers_of(tuple(schedule.hyperparameters())),
        "scheduled_hyperparameters": scheduled_hyperparameters_of(schedule, names),
    }  # fmt: skip
    looked_at = {type(s) for s in setting.stops if setting.lanes_look_at(s)}
    title = f"{type(rule).__name__} on {type(problem).__name__}"
    return Structure(
        tuple(parts.items()), numbers_type(names), len(rule.slots), len(rule.carry),
        "whole" if setting.batch is None else setting.shuffle, setting.dtype, layout_for(problem, setting.dtype), setting.is_written_out,
        has_penalty(setting), not rule.reports_other_point, rule.needs_whole_gradient, rule.perturbs,
        Monitors(Target in looked_at, SmallGradient in looked_at, any(isinstance(s, SmallStep) for s in setting.stops), any(map(is_of_batches, setting.stops))), title,
    )  # fmt: skip


# Bytes of tables that are kept for the next that needs them; those in use stay anyhow.
KEPT_TABLE_BYTES = 2**30
_tables: dict[tuple[str, str, bool], Table] = {}
_making_tables = threading.Lock()


def table_for(data: Data, dtype: str, weighted: bool | None = None) -> Table:
    """The data as kernels read them, cached.

    They have a column of sample weights if `weighted`, or if there are some.
    """
    weighted = data.sample_weight is not None if weighted is None else weighted
    key = (data.digest, dtype, weighted)
    with _making_tables:
        if key in _tables:
            _tables[key] = _tables.pop(key)  # the last that was used
        else:
            targets = data.y.reshape(len(data.y), -1)
            if weighted:
                weights = np.ones(len(data.y)) if data.sample_weight is None else data.sample_weight
                targets = np.concatenate([targets, weights[:, None]], 1)
            with ieee_mode():
                _tables[key] = table_of(data.X, targets, np.dtype(dtype))
            while len(_tables) > 2 and sum(t.matrix.nbytes for t in _tables.values()) > KEPT_TABLE_BYTES:
                del _tables[next(iter(_tables))]
        return _tables[key]


@functools.cache
def kernels_for(structure: Structure, width: int) -> Kernels:
    """The kernels of a structure; structures that differ in sizes alone share compiled code, not layouts."""
    return Kernels(structure, width)


def samplers_of(setting: Setting) -> tuple[Sampler, Sampler, Sampler]:
    """(how steps draw samples, the training set and the validation set as evaluations read them)."""
    data, kind = setting.problem.data, np.dtype(setting.dtype)
    table = None if data is None else table_for(data, setting.dtype)
    validation = None if data is None or data.validation is None else table_for(data.validation, setting.dtype, data.sample_weight is not None)
    training = sampler_of(table, setting.batch, setting.drop_last, setting.seed, kind)
    return training, sampler_of(table, None, True, 0, kind), sampler_of(validation, None, True, 0, kind)


def looks_of(setting: Setting, stop: Stop) -> tuple[int, bool]:
    """(every how many steps a stop looks, whether at the ends of cycles instead).

    0 steps where lanes test it in every step, or where it looks at the ends of cycles alone.
    """
    every = getattr(stop, "every", None)
    at_cycle_ends = isinstance(stop, (SmallStep, Plateau)) and not is_of_batches(stop) and every is None and setting.schedule.is_cyclic
    return 0 if setting.lanes_look_at(stop) or isinstance(stop, SmallStep) else every or epoch_of(setting), at_cycle_ends


def has_own_look(setting: Setting, stop: Stop, step: int, values: Mapping[str, float]) -> bool:
    """Whether a stop looks after `step` updates, whether or not they are the last; Cycling may after any.

    `values` are the hyperparameters of the run's cell.
    """
    every, at_cycle_ends = looks_of(setting, stop)
    first, factor = setting.schedule.cycle_of(schedule_values(setting.schedule, values)) if at_cycle_ends else (0, 1)
    if first > 0:
        return decisions.cycle_end(first, factor, step - 1) == step
    return setting.lanes_look_at(stop) or isinstance(stop, Cycling) or (every > 0 and step % every == 0)


def spec_of(setting: Setting, kernels: Kernels) -> state.JobSpec:
    """What the setting's runs share: when they are looked at, and what ends them."""
    rows = [StopRow(decisions.kind_of(s), *looks_of(setting, s), *s.tolerances) for s in setting.stops]
    in_lanes = {decisions.test_of(s).lane_stop: number + 1 for number, s in enumerate(setting.stops) if setting.lanes_look_at(s)}
    tests = [decisions.test_of(s) for s in setting.stops]
    needs = (setting.record.gradient_norm, any(t.needs_gradient for t in tests), any(t.needs_validation for t in tests))
    return kernels.new_spec(setting.steps, setting.checkpoints, rows, setting.targets, in_lanes, needs)


def curves_of(setting: Setting) -> tuple[str, ...]:
    """The curves that a setting's runs have."""
    return tuple(name for name, recorder in RECORDERS.items() if recorder.is_kept(setting.record, setting.problem))


def validated_of(setting: Setting) -> dict[str, np.dtype]:
    """{variable: dtype} of the best and final validation scores of a setting's runs."""
    data = setting.problem.data
    if data is None or data.validation is None:
        return {}
    names = ["best_validation_loss", "final_validation_loss"]
    if setting.problem.is_classifier:
        names += ["best_validation_accuracy", "final_validation_accuracy"]
    return {**dict.fromkeys(names, np.dtype(setting.dtype)), "best_validation_step": np.dtype(np.int64)}


def sample_order(setting: Setting, start: int) -> np.ndarray:
    """[step, batch] sample indices of one start; -1 beyond the end of a short batch."""
    from numba import typeof, types

    sampler = samplers_of(setting)[0]
    shuffle = SHUFFLES["whole" if setting.batch is None else setting.shuffle]
    parts = {**shuffle._asdict(), "WIDTH": 1, **float_mode_parts()}
    kernel: Any = bind(list_samples, parts, types.void(typeof(sampler), types.uint32, types.int64, types.uint32[::1]))
    out = np.zeros((setting.steps, sampler.batch), np.uint32)
    kernel(sampler, np.uint32(start), setting.steps, out.ravel())
    return np.where(out == sampler.sample_count, -1, out.astype(np.int64))
