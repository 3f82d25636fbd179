"""The columns of results: which of them a setting's runs have, of what type and shape, and what the tables of
runs say of each.

A new column is a row of `COLUMNS` (a curve is one of `RECORDERS`), a row of `gdsim.variables`, and its table
in `gdsim.kernels.state.Runs`, which `gdsim.kernels.snapshots` writes. What a folder without runs shows and
what a run takes on a disk follow from these.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from gdsim.distribution import Asynchronous
from gdsim.kernels.recorders import RECORDERS, has_validation
from gdsim.kernels.state import DIVERGED, Runs
from gdsim.lanes.numbers import in_plane
from gdsim.population.looks import epochs_of
from gdsim.population.setting import Setting, is_of_batches
from gdsim.population.teams import is_alone, state_sizes
from gdsim.rules import Rule
from gdsim.stops import BUDGET, REASONS, STATUSES, Cycling, Diverged, SmallStep, Status, Stop, Validation
from gdsim.variables import DIFFERENTIATED, RENAMED, derivative_name


class ColumnSource(NamedTuple):
    """Where a column's values come from, and which settings' runs have it."""

    values: Callable[[Setting, Runs], np.ndarray]
    is_kept: Callable[[Setting], object] = lambda setting: True
    dims: tuple[str, ...] = ()  # beside the run
    dtype: type | None = None  # the setting's own, if not given
    is_inf_missing: bool = False  # whether an infinite value is one that there was none of


class ColumnType(NamedTuple):
    """The type of a column's numbers, and the shape of a run's."""

    dtype: np.dtype
    shape: tuple[int, ...]


def _ended(runs: Runs, words: tuple[str, ...], of_kernels: tuple[str, str], of_stops: Iterable[str]) -> np.ndarray:
    """[run] why it ended, as a place among words, from the kernels' codes: they begin at DIVERGED, and one
    is of runs that go on.
    """
    places = [*map(words.index, of_kernels), -1, *map(words.index, of_stops)]
    return np.array(places, np.int8)[(runs.reason - DIVERGED).astype(np.int8)]


def _anchors(setting: Setting, runs: Runs) -> np.ndarray:
    """The points to which runs may come back; NaN where there is none."""
    return np.where(np.repeat(runs.steps_since_reference < 0, setting.problem.parameter_count), np.nan, runs.references)


def _found_later(setting: Setting, runs: Runs) -> np.ndarray:
    """A number for each checkpoint, not known yet."""
    return np.full(len(runs.start) * len(setting.checkpoints), np.nan, setting.dtype)


def _none_apart(setting: Setting, runs: Runs) -> np.ndarray:
    """0 wherever a loss was recorded: nothing of what is noted of teams is there of one worker."""
    return np.where(np.isnan(runs.curves.loss), np.nan, 0.0).astype(setting.dtype)


def _disagreements(setting: Setting, runs: Runs) -> np.ndarray:
    """How far workers are from their mean; one is its own."""
    return _none_apart(setting, runs) if is_alone(setting) else runs.curves.disagreement


def _staleness(curve: str) -> ColumnSource:
    """How old gradients were; those of a run that is one worker's are not old."""
    found = lambda setting, runs: _none_apart(setting, runs) if is_alone(setting) else getattr(runs.curves, curve)  # noqa: E731
    return ColumnSource(found, lambda s: isinstance(s.distribution, Asynchronous), ("checkpoint",))


def _of_workers(setting: Setting, runs: Runs) -> np.ndarray:
    """[run, slot, parameter] of what is kept [run, parameter, slot]."""
    return runs.end.slots.reshape(len(runs.start), setting.problem.parameter_count, -1).swapaxes(1, 2)


def _has(asks: Callable[[Stop], object]) -> Callable[[Setting], bool]:
    return lambda setting: any(map(asks, setting.stops))


def _recorded(curve: str) -> ColumnSource:
    return ColumnSource(lambda setting, runs: getattr(runs.curves, curve), lambda s: RECORDERS[curve].is_kept(s.record, s.problem), ("checkpoint",))


def _monitored(name: str, asks: Callable[[Stop], object]) -> ColumnSource:
    return ColumnSource(lambda setting, runs: getattr(runs, name), _has(asks))


def _direction_of(setting: Setting) -> str:
    """The name of the first direction among a setting's tangents; "" if there is none."""
    return next((t.name for t in setting.tangents if t.direction is not None), "")


def _is_validated(setting: Setting) -> bool:
    return has_validation(setting.problem)


def _is_classified(setting: Setting) -> bool:
    return _is_validated(setting) and setting.problem.is_classifier


VECTOR = ("parameter",)
OF_VALIDATION = {
    "best_validation_loss": ColumnSource(lambda s, runs: runs.best_validation_loss, _is_validated, is_inf_missing=True),
    "final_validation_loss": ColumnSource(lambda s, runs: runs.final_validation_loss, _is_validated),
    "best_validation_accuracy": ColumnSource(lambda s, runs: runs.best_validation_accuracy, _is_classified),
    "final_validation_accuracy": ColumnSource(lambda s, runs: runs.final_validation_accuracy, _is_classified),
    "best_validation_step": ColumnSource(lambda s, runs: runs.best_validation_step, _is_validated, dtype=np.int64),
}
COLUMNS = {
    **{curve: _recorded(curve) for curve in RECORDERS},
    "disagreement": ColumnSource(_disagreements, lambda s: s.distribution is not None, ("checkpoint",)),
    "staleness": _staleness("staleness"),
    "largest_staleness": _staleness("largest_staleness"),
    "tangent_norm": ColumnSource(lambda s, runs: runs.curves.tangent_norm, _direction_of, ("checkpoint",)),
    "sharpness": ColumnSource(_found_later, lambda s: s.record.sharpness, ("checkpoint",)),
    "final_loss": ColumnSource(lambda s, runs: runs.final_loss),
    "best_loss": ColumnSource(lambda s, runs: runs.best_loss, is_inf_missing=True),
    "steps_taken": ColumnSource(lambda s, runs: runs.steps_taken, dtype=np.int64),
    **OF_VALIDATION,
    "status": ColumnSource(lambda s, runs: _ended(runs, STATUSES, (Status.DIVERGED, Status.BUDGET), (stop.status for stop in s.stops)), dtype=np.int8),
    "reason": ColumnSource(lambda s, runs: _ended(runs, REASONS, (Diverged.__name__, BUDGET), (type(stop).__name__ for stop in s.stops)), dtype=np.int8),
    "epoch_loss": ColumnSource(lambda s, runs: runs.epoch_losses, _has(is_of_batches), ("epoch",)),
    "target_step": ColumnSource(lambda s, runs: runs.reached, lambda s: s.targets, ("target",), np.int64),
    "parameters": ColumnSource(lambda s, runs: runs.ends, lambda s: s.record.parameters, VECTOR),
    "best_parameters": ColumnSource(lambda s, runs: runs.best_points, _has(lambda stop: isinstance(stop, Validation)), VECTOR),
    "trajectory": ColumnSource(lambda s, runs: runs.trajectory, lambda s: s.record.trajectory, ("checkpoint", "parameter")),
}
# What lanes have seen of their runs: {column: (its name in `Runs`, which stops ask for it)}.
MONITORED: dict[str, tuple[str, Callable[[Stop], object]]] = {
    "state_epoch_total": ("loss_sum", is_of_batches), "state_epoch_seen": ("samples_seen", is_of_batches),
    "state_small_steps": ("small_steps", lambda stop: isinstance(stop, SmallStep) and stop.times > 1),
    "state_since_anchor": ("steps_since_reference", lambda stop: isinstance(stop, Cycling)),
}  # fmt: skip
# What is kept of a state, whatever the rule.
OF_STATES = {
    "state_weights": ColumnSource(lambda s, runs: runs.end.weights, dims=VECTOR),
    "state_reported": ColumnSource(lambda s, runs: runs.ends.copy(), dims=VECTOR),
    "state_bound": ColumnSource(lambda s, runs: runs.loss_bound),
    "state_stops": ColumnSource(lambda s, runs: np.stack([runs.end_stop_best, runs.end_stop_waited], -1), lambda s: s.stops, ("stop_state",)),
    **{column: _monitored(*row) for column, row in MONITORED.items()},
    "state_anchor": ColumnSource(_anchors, _has(lambda stop: isinstance(stop, Cycling)), VECTOR),
}
# What is kept of runs with a team in the place of the rule's slots and carry.
OF_TEAMS = {
    "state_workers": ColumnSource(_of_workers, dims=("team_slot", "parameter")),
    "state_team": ColumnSource(lambda s, runs: runs.end.carry, lambda s: state_sizes(s)[1], ("team_number",)),
}
STATES_DIFFERENTIATED = ("state_weights", "state_reported", "state_epoch_total")  # and those of the rule
OF_STOPS = ("state_stops", "state_anchor", *MONITORED)  # without these stops begin anew


def _of_rule(rule: Rule) -> dict[str, ColumnSource]:
    """The stored slots, a number for each parameter, and then the carry."""
    slot = lambda k: ColumnSource(lambda s, runs: runs.end.slots[k :: len(rule.slots)].copy(), dims=VECTOR)  # noqa: E731
    carry = lambda k: ColumnSource(lambda s, runs: runs.end.carry[k :: len(rule.carry)].copy())  # noqa: E731
    return dict(zip(state_names(rule), [*map(slot, range(len(rule.slots))), *map(carry, range(len(rule.carry)))], strict=True))


def _sources(setting: Setting) -> dict[str, ColumnSource]:
    """The columns of a setting's runs."""
    own = _of_rule(setting.rule) if is_alone(setting) else OF_TEAMS
    every = COLUMNS | OF_STATES | own if setting.record.state else COLUMNS
    return {name: source for name, source in every.items() if source.is_kept(setting)}


def _derivatives(setting: Setting) -> dict[str, tuple[str, int | None]]:
    """{column: (the variable that it is a derivative of, the plane of numbers with tangents where it is)}; no
    plane where the runs lack the number.
    """
    planes = {t.name: k for k, t in enumerate(setting.live_tangents, 1)}
    varying = {*DIFFERENTIATED, *STATES_DIFFERENTIATED, *state_names(setting.rule)}
    kept = [name for name in _sources(setting) if name in varying]
    found = {derivative_name(name, t.name): (name, planes.get(t.name)) for t in setting.tangents for name in kept}
    direction = _direction_of(setting)
    return found | ({"tangent_norm": ("tangent_norm", planes[direction])} if direction else {})


def columns_of(setting: Setting, checkpoints: int | None = None) -> dict[str, ColumnType]:
    """The types of the columns of a setting's runs, with curves at so many checkpoints, or at the
    setting's own.
    """
    sizes = {
        "checkpoint": checkpoints or len(setting.checkpoints), "parameter": setting.problem.parameter_count, "target": len(setting.targets),
        "epoch": epochs_of(setting), "stop_state": 2 * len(setting.stops), **dict(zip(("team_slot", "team_number"), state_sizes(setting), strict=True)),
    }  # fmt: skip
    found = {n: ColumnType(np.dtype(source.dtype or setting.dtype), tuple(sizes[d] for d in source.dims)) for n, source in _sources(setting).items()}
    return found | {column: found[name] for column, (name, _) in _derivatives(setting).items()}


def columns_from(setting: Setting, runs: Runs) -> dict[str, np.ndarray]:
    """What the tables of runs say, by the names of variables: [run] or [run, ...]."""
    types, sources, count = columns_of(setting), _sources(setting), len(runs.start)
    planes = [in_plane(runs, k) for k in range(1 + len(setting.live_tangents))]
    columns = {name: source.values(setting, planes[0]).reshape(count, *types[name].shape) for name, source in sources.items()}
    columns |= {name: np.where(np.isinf(columns[name]), np.nan, columns[name]) for name, source in sources.items() if source.is_inf_missing}
    for values in columns.values():
        with_one_nan(values)
    for column, (name, plane) in _derivatives(setting).items():
        values = np.nan if plane is None else sources[name].values(setting, planes[plane]).reshape(columns[name].shape)
        columns[column] = np.where(np.isnan(columns[name]) | np.isnan(values), np.nan, values).astype(types[column].dtype)
    return columns


def with_one_nan(values: np.ndarray) -> np.ndarray:
    """The same array, in which all NaNs have become one quiet NaN: processors and devices make others.

    >>> import numpy as np
    >>> with_one_nan(-np.array([np.nan])).view("u8") == np.array([np.nan]).view("u8")
    array([ True])
    """
    if values.dtype.kind == "f" and (missing := np.isnan(values)).any():
        values[missing] = np.nan
    return values


def curves_of(setting: Setting) -> tuple[str, ...]:
    """The curves that a setting's runs have."""
    return tuple(name for name, source in COLUMNS.items() if source.dims == ("checkpoint",) and source.is_kept(setting))


def validated_of(setting: Setting) -> dict[str, np.dtype]:
    """{variable: dtype} of the best and final validation scores of a setting's runs."""
    return {name: np.dtype(source.dtype or setting.dtype) for name, source in OF_VALIDATION.items() if source.is_kept(setting)}


def with_state_names(rule: Rule, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of runs with their states under today's names.

    Earlier versions kept one column for all of one name, and lacked the others or left NaN there.
    """
    found = {RENAMED.get(name, name): values for name, values in columns.items()}
    for column, name in state_names(rule).items():
        bare = None if f"state_{name}" in (column, *OF_STATES) else found.get(f"state_{name}")
        if bare is not None and bare.shape == found.get(column, bare).shape:
            own = found.get(column, bare)
            found[column] = np.where(np.isnan(own), bare, own)
    return found


def state_names(rule: Rule) -> dict[str, str]:
    """{column: name} of a rule's slots, then of its carry: `state_NAME`, numbered where that column is
    taken.
    """
    found: dict[str, str] = {}
    for name in (*rule.slots, *rule.carry):
        columns = itertools.chain([f"state_{name}"], (f"state_{name}_{k}" for k in itertools.count(2)))
        found[next(c for c in columns if c not in found and c not in OF_STATES)] = name
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
