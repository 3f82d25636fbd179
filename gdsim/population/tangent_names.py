"""By what a sweep's results are differentiated: names of hyperparameters, found in each cell, and a direction of
the start.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gdsim.axes import values
from gdsim.directions import Direction, is_direction
from gdsim.population.setting import PENALTY, SCHEDULE, Tangent
from gdsim.population.tangents import slopes_of
from gdsim.problems import Problem
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.words import given, nearest

DIRECTION = "direction"  # the name of a direction among columns


class Parts(NamedTuple):
    """The objects of a sweep whose numbers runs have."""

    problem: Sequence[Problem]
    optimizer: Sequence[Rule]
    schedule: Sequence[Schedule]

    @property
    def rule_names(self) -> dict[str, None]:
        """The numbers of all rules."""
        return dict.fromkeys(n for rule in self.optimizer for n in rule.hyperparameters())

    @property
    def problem_names(self) -> dict[str, None]:
        """Those of all problems."""
        return dict.fromkeys(n for problem in self.problem for n in problem.axes)

    @property
    def schedule_names(self) -> dict[str, None]:
        """Those of all schedules that are no counts of steps."""
        return dict.fromkeys(n for schedule in self.schedule for n in _real_numbers(schedule))


def checked_tangents(value: object, parts: Parts) -> tuple[str | Direction, ...]:
    """What is asked for, each once. Raises ValueError or TypeError for what no run of the sweep has."""
    entries = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    found = tuple(_checked(entry, parts) for entry in entries)
    names = [name_of(entry) for entry in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f"tangents has {'a direction' if twice == DIRECTION else repr(twice)} {names.count(twice)} times; give it once")
    return found


def name_of(entry: str | Direction) -> str:
    """What stands behind `_d_` in the names of columns."""
    return entry if isinstance(entry, str) else DIRECTION


def _checked(entry: object, parts: Parts) -> str | Direction:
    if is_direction(entry):
        entry = Direction(**entry)  # pyright: ignore[reportCallIssue]
    if isinstance(entry, Direction):
        _check_length(entry, parts.problem)
        return entry
    if not isinstance(entry, str):
        raise TypeError(f"tangents must be a list of names of hyperparameters and a gd.Direction; {given(entry)} was given")
    allowed = [*parts.rule_names, *parts.problem_names, *(SCHEDULE + n for n in parts.schedule_names)]
    if not any(number_of(entry, parts, rule, schedule, problem) for rule in parts.optimizer for schedule in parts.schedule for problem in parts.problem):
        raise ValueError(f"tangents: {_why_not(entry, parts) or f'no run has a number {given(entry)}; {nearest(entry, allowed)}'}")
    for rule in parts.optimizer:
        if entry in rule.hyperparameters():
            slopes_of(rule, entry, dict.fromkeys(rule.hyperparameters(), 0.5))  # refused here, not once runs are trained
    return entry


def _check_length(direction: Direction, problems: Sequence[Problem]) -> None:
    """Refuses a vector that is not as long as those of the parameters."""
    if direction.numbers is None:
        return
    for problem in (v for p in problems for v in p.variants()):
        if len(direction.numbers) != problem.parameter_count:
            raise ValueError(
                f"Direction must have a number for each of the {problem.parameter_count} parameters of {type(problem).__name__}; "
                f"{len(direction.numbers)} were given"
            )


def _why_not(name: str, parts: Parts) -> str:
    """Why a number that there is has no tangent; nothing of one that there is not."""
    driver = next((s for s in parts.schedule if s.drives_momentum), None)
    if name == "momentum" and driver is not None and name in parts.rule_names:
        return f"{type(driver).__name__} drives the momentum, which is no number of the run there; leave {name!r} out, or `momenta`"
    if name in parts.problem_names and name not in parts.rule_names:
        return f"l1 and l2 are 0, and such runs have no penalty to differentiate; give {name} a small number, such as 1e-9"
    own = name.removeprefix(SCHEDULE)
    counting = next((s for s in parts.schedule if own in s.hyperparameters()), None)
    if counting is not None:
        return f"{type(counting).__name__}.{own} counts steps, and there is no derivative by it"
    return ""


def _real_numbers(schedule: Schedule) -> list[str]:
    """The numbers of a schedule, and of those in it, that are no counts of steps."""
    inner = getattr(schedule, "schedule", None)
    of_inner = _real_numbers(inner) if isinstance(inner, Schedule) else []
    return [n for n in schedule.hyperparameters() if n in of_inner or (n in schedule.ranges and n not in schedule.whole)]


def number_of(name: str, parts: Parts, rule: Rule, schedule: Schedule, problem: Problem) -> str:
    """The name among the numbers of a cell's runs of the hyperparameter that a sweep calls `name`, as its
    coordinate does; "" where they have none.
    """
    if name in parts.rule_names:
        is_driven = name == "momentum" and schedule.drives_momentum
        return name if name in rule.hyperparameters() and not is_driven else ""
    if name in parts.problem_names:
        return PENALTY + name if name in problem.axes and _has_penalty(problem) else ""
    own = name.removeprefix(SCHEDULE)
    return SCHEDULE + own if own in _real_numbers(schedule) else ""


def _has_penalty(problem: Problem) -> bool:
    """Whether the kernels of a problem, or of one of its variants, have a penalty: where l1 and l2 are both 0
    they do without.
    """
    return any(value != 0.0 for axis in (problem.l1, problem.l2) for value in values(axis))


def tangents_in(entries: Sequence[str | Direction], parts: Parts, rule: Rule, schedule: Schedule, problem: Problem) -> tuple[Tangent, ...]:
    """What is asked for, as the runs of a cell have it."""
    return tuple(
        Tangent(entry, number_of(entry, parts, rule, schedule, problem)) if isinstance(entry, str) else Tangent(DIRECTION, direction=entry) for entry in entries
    )
