"""The teams of asynchronous runs: one worker that computes, in turn as each of all."""

from typing import Any

from gdsim.distribution import FixedStaleness, GeometricStaleness, Queue, UniformStaleness
from gdsim.kernels.team_memory import TeamKind
from gdsim.kernels.teams import asynchronous, averaging, queue
from gdsim.population.setting import Setting
from gdsim.rules import Rule
from gdsim.rules.stale import Gathered, Stale

# Of each law how old a gradient is, and how likely it is as old as that or older.
AGES = {
    FixedStaleness: (asynchronous.fixed_age, asynchronous.fixed_or_older),
    GeometricStaleness: (asynchronous.geometric_age, asynchronous.geometric_or_older),
    UniformStaleness: (asynchronous.uniform_age, asynchronous.uniform_or_older),
}


def asynchronous_team(setting: Setting) -> TeamKind:
    """A server, and what its workers have read."""
    distribution: Any = setting.distribution
    staleness, workers = distribution.staleness, distribution.team
    parts: dict[str, Any] = {
        "steps_to_exchange": averaging.every_step, "begin_team": asynchronous.begin_at_start, "exchange": averaging.keep_nothing,
        "report_team": asynchronous.report_updated, "step_workers": asynchronous.step_in_turn,
    }  # fmt: skip
    if not isinstance(staleness, Queue):
        age_of, age_or_older = AGES[type(staleness)]
        parts |= {
            "next_event": asynchronous.next_of_given, "end_event": asynchronous.keep_last, "age_of": age_of, "age_or_older": age_or_older,
            "share_of_point": asynchronous.share_of_age,
        }  # fmt: skip
        return TeamKind(tuple(parts.items()), 1, server=staleness.points, numbers=asynchronous.FIRST, slowness=(1.0,) * workers)
    go_on = queue.go_on if distribution.bound is None else queue.go_on_if_near
    parts |= {
        "next_event": queue.next_of_queue, "end_event": go_on, "time_of_mean_one": type(staleness.compute).of_mean_one, "share_of_point": asynchronous.share_of_worker,
        "server_version": asynchronous.every_full_buffer if distribution.is_buffered else asynchronous.every_gradient,
    }  # fmt: skip
    slowness = tuple(1.0 / v for v in staleness.speeds or (1.0,) * workers)
    return TeamKind(tuple(parts.items()), 1, server=workers, numbers=asynchronous.FIRST + queue.EACH * workers, slowness=slowness)


def asynchronous_rule(setting: Setting) -> Rule:
    """By which the server steps: the optimizer, from its own weights."""
    distribution: Any = setting.distribution
    kind = Gathered if distribution.is_buffered else Stale
    return kind(setting.rule, aware=distribution.aware == "inverse")
