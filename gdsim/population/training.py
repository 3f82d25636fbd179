"""Training a population: a pure function from a setting and runs to arrays.

`train_batch` is the unit of work: it trains the runs of a batch from their starts to their ends. What it
returns for a run depends on the run's setting, numbers and start alone, not on its neighbours, the lane width
or who calls.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.job import Job
from gdsim.kernels.state import JobSpec, Keeps, Monitor, Runs, RunState
from gdsim.kernels.training import DONE
from gdsim.kernels.workspace import Workspace
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.numbers import Number, constant, in_plane, values_of
from gdsim.population.columns import MONITORED, columns_from, curves_of, state_names, validated_of
from gdsim.population.engine_choice import kernels_for
from gdsim.population.hyperparameters import all_numbers, number_names, schedule_values
from gdsim.population.looks import epochs_of, has_own_look, spec_of
from gdsim.population.partitions import shards_for
from gdsim.population.recorded_sharpness import sharpness_at
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting
from gdsim.population.tangents import number_seeds, start_seeds
from gdsim.population.teams import is_alone
from gdsim.problems.parts import Sampler
from gdsim.starts import initial_points
from gdsim.stops import Cycling, SmallGradient, SmallStep, Target, Validation
from gdsim.variables import derivative_name

# Operations of one call of a kernel, about a third of a second: after it Ctrl-C is heard.
SLICE_OPERATIONS = 2e10


class Batch(NamedTuple):
    """Runs that are trained together: numbers, starts and cells; `values[cell]` are hyperparameters."""

    number: np.ndarray
    start: np.ndarray
    cell: np.ndarray
    values: Sequence[Mapping[str, float]]

    def part(self, chosen: np.ndarray | slice) -> "Batch":
        """Some of the runs."""
        return Batch(self.number[chosen], self.start[chosen], self.cell[chosen], self.values)


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches as one, each behind the one before; those with the same list of hyperparameters share its cells."""
    if len(batches) == 1:
        return batches[0]
    values, first, cells = list[Mapping[str, float]](), dict[int, int](), list[np.ndarray]()
    for batch in batches:
        if id(batch.values) not in first:
            first[id(batch.values)] = len(values)
            values += batch.values
        cells.append(batch.cell + first[id(batch.values)])
    numbers, starts = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("number", "start"))
    return Batch(numbers, starts, np.concatenate(cells), values)


class Trained(NamedTuple):
    """The results of a batch's runs, by the name of the variable: [run] or [run, ...]."""

    batch: Batch
    columns: dict[str, np.ndarray]
    lane_steps: int  # steps of all lanes of the packs, whether or not they held a run
    used_steps: int  # those of lanes that held a run


class InterruptedTrainingError(Exception):
    """The batch was given up because its caller is stopping."""


def train_batch(
    setting: Setting,
    batch: Batch,
    width: int,
    workspaces: dict[Any, Any] | None = None,
    stopping: threading.Event | None = None,
    earlier: Mapping[str, np.ndarray] | None = None,
) -> Trained:
    """Trains runs, `width` of them side by side.

    `earlier`, the columns of their earlier ends with their state, lets them go on from there.

    `workspaces` keeps a thread's working memory from batch to batch of a structure. Once `stopping`, an
    event, is set, the next slice of the training raises `InterruptedTrainingError`.
    """
    kernels = kernels_for(setting, width)
    samples = setting.samples_per_step
    workspaces = {} if workspaces is None else workspaces
    key = (kernels.layout, width, kernels.number, samples)
    if key not in workspaces:
        workspaces.clear()  # before there is more: a thread has that of one structure, as plans count
        workspaces[key] = kernels.model(samples)
    with ieee_mode():
        prepared = prepared_for(setting, kernels, batch, earlier)
        runs, job = prepared.runs, job_for(setting, kernels, prepared, workspaces[key])
        operations = setting.problem.step_operations(samples) * (1 + len(setting.live_tangents))
        budget = max(1, int(SLICE_OPERATIONS / (operations * width)))

        check = check_of(stopping)
        while kernels.train(job, budget) != DONE:
            check()
        return trained_from(setting, batch, runs, check, (int(job.lanes.pack_steps[0]) * width, int(job.lanes.lane_steps[0])))


def check_of(stopping: threading.Event | None) -> Callable[[], None]:
    """What raises InterruptedTrainingError once an event is set."""

    def check() -> None:
        if stopping is not None and stopping.is_set():
            raise InterruptedTrainingError

    return check


def trained_from(setting: Setting, batch: Batch, runs: Runs, check: Callable[[], None], steps: tuple[int, int]) -> Trained:
    """The results of a batch from the tables of its runs; `steps` are those of all lanes, and of lanes that held a run."""
    columns = columns_from(setting, runs)
    if setting.record.sharpness:
        columns["sharpness"][:] = _sharpness_of(setting, in_plane(runs, 0), check)
    return Trained(batch, columns, *steps)


class Prepared(NamedTuple):
    """What the jobs of a batch share: the tables of its runs, when these are looked at, and how samples are drawn."""

    runs: Runs
    spec: JobSpec
    samplers: tuple[Sampler, Sampler, Sampler]  # for steps, for the training set and for the validation set


def prepared_for(setting: Setting, kernels: Kernels, batch: Batch, earlier: Mapping[str, np.ndarray] | None = None) -> Prepared:
    """The tables of a batch, with every run at its start, or at its earlier end."""
    # What a device fills is not filled here before it, unless runs go on from other numbers.
    runs = _new_runs(setting, kernels, batch, constant if kernels.attendants > 1 and earlier is None else np.full)
    if earlier is not None:
        runs = _resumed(setting, kernels.number, runs, earlier)
    shards = None
    if setting.has_shards:
        shards, row = shards_for(setting, batch.start, batch.cell, batch.values)
        runs = runs._replace(shard=np.asarray(row, np.int64))
    return Prepared(runs, spec_of(setting, kernels), samplers_of(setting, shards, len(batch.number)))


def job_for(setting: Setting, kernels: Kernels, prepared: Prepared, model: Workspace) -> Job:
    """A job of a batch: a pack without runs, which takes those that no other job has taken."""
    runs = prepared.runs
    job = kernels.new_job(setting.record.state, runs, prepared.spec, prepared.samplers, model)
    _set_monitor(setting, job.pack.monitor)
    # Lanes that never get a run compute too, by numbers that are possible.
    first = values_of(runs.hyperparameters).reshape(-1, len(kernels.structure.hyperparameters._fields))[0]
    values_of(job.pack.hyperparameters).reshape(-1, kernels.width)[:] = first[:, None]
    return job


def _sharpness_of(setting: Setting, runs: Runs, check: Callable[[], None]) -> np.ndarray:
    """[run, checkpoint] at the points of the runs' trajectories."""
    count, checkpoints = len(runs.start), len(setting.checkpoints)
    names = number_names(setting)
    places = [names.index("penalty_l1"), names.index("penalty_l2")]
    penalties = runs.hyperparameters.reshape(-1, len(names))[runs.cell][:, places]
    points = runs.trajectory.reshape(count * checkpoints, -1)
    return sharpness_at(setting, points, penalties.repeat(checkpoints, 0), check).reshape(count, checkpoints)


def _set_monitor(setting: Setting, monitor: Monitor) -> None:
    """Makes lanes monitor what the setting's stops look at in every step."""
    for stop in filter(setting.lanes_look_at, setting.stops):
        if isinstance(stop, SmallGradient):
            values_of(monitor.gradient_tolerance)[:] = stop.tolerance
        if isinstance(stop, SmallStep):
            values_of(monitor.step_tolerance)[:] = stop.tolerance
            monitor.small_steps_needed[:] = stop.times


def _new_runs(setting: Setting, kernels: Kernels, batch: Batch, full: Callable[..., np.ndarray]) -> Runs:
    """The tables of a batch, with every run at its start, and what is full of one number as `full` makes it."""
    record = setting.record
    keeps = Keeps(
        curves_of(setting), record.trajectory or record.sharpness, record.parameters or record.state, any(isinstance(s, Validation) for s in setting.stops),
        record.state, bool(validated_of(setting)), record.state and any(isinstance(s, Cycling) for s in setting.stops),
    )  # fmt: skip
    sizes = {"checkpoint": len(setting.checkpoints), "stop": len(setting.stops), "target": len(setting.targets), "epoch": epochs_of(setting)}
    runs = kernels.new_runs(len(batch.number), keeps, sizes, full)
    points = initial_points(setting.init, setting.problem, setting.seed, batch.start).astype(kernels.dtype)
    start, cell = np.array(batch.start, np.int64), np.array(batch.cell, np.int64)
    names = number_names(setting)
    values = [all_numbers(setting, v) for v in batch.values]
    numbers = np.array([[v[name] for name in names] for v in values], kernels.dtype)
    first, factor = np.array([setting.schedule.cycle_of(schedule_values(setting.schedule, v)) for v in batch.values], np.int64).T.copy()
    flat = kernels.number.holding(points, start_seeds(setting, batch.start))
    flat_numbers = kernels.number.holding(numbers, number_seeds(setting, names, batch.values))
    return runs._replace(
        begin=runs.begin._replace(weights=flat), shown=flat, hyperparameters=flat_numbers, first_cycle=first, cycle_factor=factor, start=start, cell=cell
    )


def _resumed(setting: Setting, number: Number, runs: Runs, earlier: Mapping[str, np.ndarray]) -> Runs:
    """The tables with every run where it was when it ended, tangents too.

    Values come last: what has no tangents has one table for all.
    """
    every = [(k, _derivatives(earlier, tangent.name)) for k, tangent in enumerate(setting.live_tangents, 1)]
    *tangents, values = [_resumed_plane(setting, in_plane(runs, k), columns) for k, columns in [*every, (0, earlier)]]
    held = [number.holding(value, [t[place] for t in tangents] or 0.0) for place, value in enumerate(values)]
    return runs._replace(begin=RunState(*held[:3]), shown=held[3])


def _derivatives(earlier: Mapping[str, np.ndarray], tangent: str) -> dict[str, np.ndarray]:
    """The columns' derivatives by a tangent, of those without any zeros."""
    if derivative_name("state_weights", tangent) not in earlier:
        raise ValueError(f"the earlier runs kept no derivatives by {tangent} to go on with: run them with this tangent and Record(state=True)")
    return {name: earlier.get(derivative_name(name, tangent), np.zeros_like(values)) for name, values in earlier.items()}


def _resumed_plane(setting: Setting, runs: Runs, earlier: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Puts earlier columns into the tables; gives weights, slots, carry and reported weights of the beginning."""
    runs.first_step[:] = setting.began
    runs.loss_bound[:], runs.best_loss[:], runs.last_finite_loss[:] = earlier["state_bound"], earlier["best_loss"], earlier["final_loss"]
    names, slots = list(state_names(setting.rule)), len(setting.rule.slots)
    if setting.stops and "state_stops" in earlier:
        runs.stop_best[:], runs.stop_waited[:] = earlier["state_stops"].reshape(-1, 2).T
    if setting.targets:
        runs.reached[:] = earlier["target_step"].ravel()
        if not any(has_own_look(setting, s, setting.began, {}) for s in setting.stops if isinstance(s, Target)):
            runs.reached[runs.reached == setting.began] = -1  # met at a look that was there because the steps were used up
    _resume_monitors(runs, earlier)
    if len(runs.best_validation_loss):
        _resume_validation(setting, runs, earlier)
    if len(runs.best_points):
        runs.best_points[:] = earlier["best_parameters"].ravel()
    if is_alone(setting):
        kept, carry = _state_of(earlier, names[:slots]), _state_of(earlier, names[slots:])
    else:
        kept, carry = earlier["state_workers"].swapaxes(1, 2).ravel(), earlier["state_team"].ravel() if "state_team" in earlier else np.zeros(0)
    return earlier["state_weights"].ravel(), kept, carry, earlier["state_reported"].ravel()


def _state_of(earlier: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """The kept columns of a rule's slots or carry, flat, the last index that of the name."""
    return np.stack([earlier[name] for name in names], -1).ravel() if names else np.zeros(0)


def _resume_monitors(runs: Runs, earlier: Mapping[str, np.ndarray]) -> None:
    """Goes on from what lanes had seen; states of the versions that did not keep it have nothing seen."""
    for column, (name, _) in MONITORED.items():
        if len(runs.loss_sum) and column in earlier:
            getattr(runs, name)[:] = earlier[column]
    if len(runs.references) and "state_anchor" in earlier:
        runs.references[:] = earlier["state_anchor"].ravel()


def _resume_validation(setting: Setting, runs: Runs, earlier: Mapping[str, np.ndarray]) -> None:
    """Goes on from the lowest validation losses before.

    Results of the versions that did not keep them have NaN: the lowest of the whole is then what Validation
    remembers, and without it unknown.
    """
    runs.best_validation_step[:], best = earlier["best_validation_step"], earlier["best_validation_loss"].copy()
    unknown = np.isnan(best) & np.isnan(earlier["final_validation_loss"])
    best[np.isnan(best) & ~unknown] = np.inf
    place = next((k for k, s in enumerate(setting.stops) if isinstance(s, Validation)), None)
    if place is not None:
        best[unknown] = runs.stop_best.reshape(len(best), -1)[unknown, place]
    runs.best_validation_loss[:] = best
    if setting.problem.is_classifier:
        runs.best_validation_accuracy[:] = earlier["best_validation_accuracy"]
