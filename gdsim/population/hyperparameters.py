"""The hyperparameters that kernels read of each run: their names, and the functions by which kernels find
a schedule's among them.
"""

import collections
import functools
from collections.abc import Mapping
from typing import Any

from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.generated import function_from
from gdsim.lanes.types import Hyperparameters, Lane
from gdsim.population.setting import DISTRIBUTION, PENALTY, SCHEDULE, Setting
from gdsim.schedules import Schedule
from gdsim.schedules.parts import scheduled_momentum


def number_names(setting: Setting) -> tuple[str, ...]:
    """The names of the numbers that kernels read of each run: the rule's as they are, the others with their
    owner in front.

    Raises ValueError where a rule's own number stands twice.
    """
    rule, schedule = setting.rule, setting.schedule
    constants = rule.constants(dict.fromkeys(rule.hyperparameters(), 0.5))
    others = [*(SCHEDULE + name for name in schedule.hyperparameters()), PENALTY + "l1", PENALTY + "l2", *_team_names(setting)]
    names = [*rule.hyperparameters(), *constants, *others]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        other = "one of its constants" if twice in constants else "a number of the schedule, the penalty or the distribution"
        raise ValueError(f"{type(rule).__name__}: a field and {other} are both called {twice!r}; rename the field")
    return tuple(names)


def _team_names(setting: Setting) -> list[str]:
    """The names of a distribution's numbers and of what follows from them, as kernels read them."""
    if setting.distribution is None:
        return []
    numbers = setting.distribution.hyperparameters()
    constants = setting.distribution.constants(dict.fromkeys(numbers, 0.5), setting.problem.parameter_count)
    return [DISTRIBUTION + name for name in (*numbers, *constants)]


def all_numbers(setting: Setting, values: Mapping[str, float]) -> dict[str, float]:
    """A run's numbers with what follows from them, in float64: the constants of its rule and of its
    distribution.
    """
    found = {**values, **setting.rule.constants(values)}
    if setting.distribution is not None:
        own = {name: values[DISTRIBUTION + name] for name in setting.distribution.hyperparameters()}
        found |= {DISTRIBUTION + name: value for name, value in setting.distribution.constants(own, setting.problem.parameter_count).items()}
    return found


def schedule_values(schedule: Schedule, values: Mapping[str, float]) -> dict[str, float]:
    """A schedule's numbers by its own names, from those of a run."""
    return {name: values[SCHEDULE + name] for name in schedule.hyperparameters()}


@functools.cache
def numbers_type(names: tuple[str, ...]) -> Any:
    """The NamedTuple in which kernels hold a run's numbers; its name tells its fields."""
    return collections.namedtuple("Numbers_" + "_".join(names), names)


@functools.cache
def own_numbers_of(function: str, owner: str, names: tuple[str, ...]) -> Any:
    """`function(h)`: the numbers of an owner by its own names, of those of a run, which have the owner in front; all
    where it has none.
    """
    own = f"numbers({', '.join(f'h.{owner}{n}' for n in names)})" if names else "h"
    return function_from(f"def {function}(h):\n    return {own}", function, {"numbers": numbers_type(names)})


def schedule_numbers_of(names: tuple[str, ...]) -> Any:
    """`schedule_numbers(h)`: a schedule's numbers by its own names."""
    return own_numbers_of("schedule_numbers", SCHEDULE, names)


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
