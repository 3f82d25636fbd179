"""Training a population: a pure function from a setting and runs to arrays.

`train_batch` is the unit of work: it trains the runs of a batch from their starts to their ends. What it
returns for a run depends on the run's setting, numbers and start alone, not on its neighbours, the lane width
or who calls.
"""

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Keeps, Kernels
from gdsim.kernels.decisions import DIVERGED
from gdsim.kernels.state import LANE_STEPS, PACK_STEPS, Monitor, Runs
from gdsim.kernels.training import DONE
from gdsim.lanes.modes import ieee_mode
from gdsim.population.engines import kernels_for
from gdsim.population.looks import curves_of, epochs_of, has_own_look, spec_of, validated_of
from gdsim.population.numbers import number_names, schedule_values
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting, is_of_batches
from gdsim.rules import Rule
from gdsim.starts import initial_points
from gdsim.stops import REASONS, STATUSES, Cycling, SmallGradient, SmallStep, Target, Validation
from gdsim.variables import RENAMED

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

    `workspaces` keeps a thread's working memory from batch to batch. Once `stopping`, an event, is set, the
    next slice of the training raises `InterruptedTrainingError`.
    """
    kernels = kernels_for(setting, width)
    samples = setting.samples_per_step
    workspaces = {} if workspaces is None else workspaces
    key = (kernels.layout, width, setting.dtype, samples)
    if key not in workspaces:
        workspaces[key] = kernels.model(samples)
    with ieee_mode():
        runs = _new_runs(setting, kernels, batch)
        if earlier is not None:
            runs = _resumed(setting, runs, earlier)
        samplers = samplers_of(setting)
        job = kernels.new_job(setting.record.state, runs, spec_of(setting, kernels), samplers, workspaces[key])
        _set_monitor(setting, job.pack.monitor)
        # Lanes that never get a run compute too, by numbers that are possible.
        job.pack.hyperparameters.reshape(-1, width)[:] = runs.hyperparameters.reshape(len(batch.values), -1)[0][:, None]
        budget = max(1, int(SLICE_OPERATIONS / (setting.problem.step_operations(samples) * width)))
        while kernels.train(job, budget) != DONE:
            if stopping is not None and stopping.is_set():
                raise InterruptedTrainingError
        return Trained(batch, _columns(setting, runs, len(batch.number)), int(runs.progress[PACK_STEPS]) * width, int(runs.progress[LANE_STEPS]))


def _set_monitor(setting: Setting, monitor: Monitor) -> None:
    """Makes lanes monitor what the setting's stops look at in every step."""
    for stop in filter(setting.lanes_look_at, setting.stops):
        if isinstance(stop, SmallGradient):
            monitor.gradient_tolerance[:] = stop.tolerance
        if isinstance(stop, SmallStep):
            monitor.step_tolerance[:] = stop.tolerance
            monitor.small_steps_needed[:] = stop.times


def _new_runs(setting: Setting, kernels: Kernels, batch: Batch) -> Runs:
    """The tables of a batch, with every run at its start."""
    record, count = setting.record, len(batch.number)
    keeps = Keeps(
        curves_of(setting), record.trajectory, record.parameters or record.state, any(isinstance(s, Validation) for s in setting.stops),
        record.state, bool(validated_of(setting)), any(isinstance(s, Cycling) for s in setting.stops),
    )  # fmt: skip
    targets = len(setting.targets)
    runs = kernels.new_runs(count, len(setting.checkpoints), keeps, len(setting.stops), targets, epochs_of(setting))
    points = initial_points(setting.init, setting.problem, setting.seed, batch.start).astype(kernels.dtype)
    runs.start[:], runs.cell[:] = batch.start, batch.cell
    names = number_names(setting)
    values = [{**v, **setting.rule.constants(v)} for v in batch.values]
    numbers = np.array([[v[name] for name in names] for v in values], kernels.dtype)
    first, factor = np.array([setting.schedule.cycle_of(schedule_values(setting.schedule, v)) for v in batch.values], np.int64).T.copy()
    flat = points.ravel()
    return runs._replace(points=flat, shown=flat, hyperparameters=numbers.ravel(), first_cycle=first, cycle_factor=factor)


def _resumed(setting: Setting, runs: Runs, earlier: Mapping[str, np.ndarray]) -> Runs:
    """The tables with every run where it was when it ended."""
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
    kind = runs.points.dtype
    return runs._replace(
        points=earlier["state_weights"].ravel(), shown=earlier["state_reported"].ravel(),
        slots=_state_of(earlier, names[:slots]).astype(kind), carry=_state_of(earlier, names[slots:]).astype(kind),
    )  # fmt: skip


def _state_of(earlier: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """The kept columns of a rule's slots or carry, flat, the last index that of the name."""
    return np.stack([earlier[name] for name in names], -1).ravel() if names else np.zeros(0)


def with_state_names(rule: Rule, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of runs with their states under today's names.

    Earlier versions kept one column for all of one name, and lacked the others or left NaN there.
    """
    found = {RENAMED.get(name, name): values for name, values in columns.items()}
    for column, name in state_names(rule).items():
        bare = None if f"state_{name}" in (column, *NOT_OF_RULES) else found.get(f"state_{name}")
        if bare is not None and bare.shape == found.get(column, bare).shape:
            own = found.get(column, bare)
            found[column] = np.where(np.isnan(own), bare, own)
    return found


# What lanes have seen of their runs: {column: (its name in `Runs`, which stops ask for it)}.
MONITORED = {
    "state_epoch_total": ("loss_sum", is_of_batches), "state_epoch_seen": ("samples_seen", is_of_batches),
    "state_small_steps": ("small_steps", lambda stop: isinstance(stop, SmallStep) and stop.times > 1),
    "state_since_anchor": ("steps_since_reference", lambda stop: isinstance(stop, Cycling)),
}  # fmt: skip


OF_STOPS = ("state_stops", "state_anchor", *MONITORED)  # without these stops begin anew
NOT_OF_RULES = ("state_weights", "state_reported", "state_bound", *OF_STOPS)  # of a saved state, whatever the rule


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


def _columns(setting: Setting, runs: Runs, count: int) -> dict[str, np.ndarray]:
    """What a batch's tables say, by the names of variables."""
    checkpoints = len(setting.checkpoints)
    columns = {name: getattr(runs.curves, name).reshape(count, checkpoints) for name in curves_of(setting)}
    columns |= {"final_loss": runs.final_loss, "best_loss": _finite(runs.best_loss), "steps_taken": runs.steps_taken}
    columns |= _validated_columns(setting, runs)
    columns |= _endings(setting, runs.reason)
    if len(runs.epoch_losses):
        columns["epoch_loss"] = runs.epoch_losses.reshape(count, -1)
    parameters = setting.problem.parameter_count
    if setting.targets:
        columns["target_step"] = runs.reached.reshape(count, -1)
    for name, table, kept in (("parameters", runs.ends, setting.record.parameters), ("best_parameters", runs.best_points, True)):
        if len(table) and kept:
            columns[name] = table.reshape(count, parameters)
    if len(runs.trajectory):
        columns["trajectory"] = runs.trajectory.reshape(count, checkpoints, parameters)
    if len(runs.end_weights):
        columns |= _state_columns(setting, runs, count)
    for values in columns.values():
        if values.dtype.kind == "f" and (missing := np.isnan(values)).any():
            values[missing] = np.nan  # one quiet NaN, whatever the processor made
    return columns


def _finite(best: np.ndarray) -> np.ndarray:
    """The lowest values; NaN where there was none."""
    return np.where(np.isinf(best), np.nan, best)


def _validated_columns(setting: Setting, runs: Runs) -> dict[str, np.ndarray]:
    """What is known of the runs on the validation set."""
    columns = {name: getattr(runs, name) for name in validated_of(setting)}
    if columns:
        columns["best_validation_loss"] = _finite(columns["best_validation_loss"])
    return columns


def _endings(setting: Setting, why: np.ndarray) -> dict[str, np.ndarray]:
    """{status, reason} of every run as places in `STATUSES` and `REASONS`, from the kernels' codes of why it
    ended.
    """
    statuses = ["diverged", "budget", "", *(s.status for s in setting.stops)]  # the codes begin at DIVERGED, and one is of runs that go on
    reasons = ["Diverged", "budget", "", *(type(s).__name__ for s in setting.stops)]
    place = (why - DIVERGED).astype(np.int8)
    places = lambda names, words: np.array([names.index(w) if w else -1 for w in words], np.int8)  # noqa: E731
    return {"status": places(STATUSES, statuses)[place], "reason": places(REASONS, reasons)[place]}


def state_names(rule: Rule) -> dict[str, str]:
    """{column: name} of a rule's slots, then of its carry: `state_NAME`, numbered where that column is taken."""
    found: dict[str, str] = {}
    for name in (*rule.slots, *rule.carry):
        columns = itertools.chain([f"state_{name}"], (f"state_{name}_{k}" for k in itertools.count(2)))
        found[next(c for c in columns if c not in found and c not in NOT_OF_RULES)] = name
    return found


def check_states(rules: Iterable[Rule]) -> None:
    """Refuses rules one of which keeps for each weight what another keeps once, under one name: a result has
    one column of it.

    Raises ValueError.
    """
    owners: dict[str, tuple[Rule, bool]] = {}
    for rule in rules:
        for place, (column, name) in enumerate(state_names(rule).items()):
            is_slot = place < len(rule.slots)
            other, was_slot = owners.setdefault(column, (rule, is_slot))
            if was_slot != is_slot:
                slot, carry = (type(r).__name__ for r in ((rule, other) if is_slot else (other, rule)))
                raise ValueError(
                    f"{slot} has a slot {name!r} and {carry} a carry of that name, which a result cannot tell apart: rename that of your own class"
                )


def _state_columns(setting: Setting, runs: Runs, count: int) -> dict[str, np.ndarray]:
    """The runs' state at their ends: stored weights and slots [run, parameter], carry [run]."""
    rule, parameters = setting.rule, setting.problem.parameter_count
    found = {
        "state_weights": runs.end_weights.reshape(count, parameters), "state_reported": runs.ends.reshape(count, parameters).copy(),
        "state_bound": runs.loss_bound,
    }  # fmt: skip
    if setting.stops:
        found["state_stops"] = np.stack([runs.end_stop_best, runs.end_stop_waited], -1).reshape(count, -1)
    found |= {column: getattr(runs, name) for column, (name, asks) in MONITORED.items() if any(map(asks, setting.stops))}
    if len(runs.references):
        references = runs.references.reshape(count, parameters).copy()
        references[runs.steps_since_reference < 0] = np.nan
        found["state_anchor"] = references
    slots = runs.end_slots.reshape(count, parameters, len(rule.slots))
    carry = runs.end_carry.reshape(count, len(rule.carry))
    values = [*(slots[:, :, k] for k in range(len(rule.slots))), *(carry[:, k] for k in range(len(rule.carry)))]
    return found | {column: value.copy() for column, value in zip(state_names(rule), values, strict=True)}
