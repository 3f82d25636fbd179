"""The teams of synchronous runs whose gradients do not make one batch: workers that keep theirs, and a server that
steps by what arrives of them, by the optimizer.
"""

from typing import Any

from gdsim.kernels.team_memory import TeamKind
from gdsim.kernels.teams import averaging, gradients
from gdsim.population.setting import Setting
from gdsim.population.teams.messages import gradients_of, with_messages
from gdsim.population.teams.outer_rules import outer_parts
from gdsim.rules import Rule
from gdsim.rules.kept import KeptGradient

SHARES = {"arrived": gradients.share_of_arrived, "workers": gradients.share_of_awaited}


def synchronous_team(setting: Setting) -> TeamKind:
    """Workers whose gradients or messages make the steps of a server."""
    distribution: Any = setting.distribution
    parts = {
        **outer_parts(setting.rule), "outer_step": gradients.scheduled_step, "steps_to_exchange": averaging.every_step,
        "exchange_state": averaging.keep_state, "pseudo_gradient": gradients.mean_gradient, "exchange": gradients.exchange_gradients,
    }  # fmt: skip
    kind = TeamKind(tuple(parts.items()), setting.workers, server=1 + len(setting.rule.slots), numbers=len(setting.rule.carry))
    if distribution.compression is not None:
        kind = with_messages(kind, distribution.compression, setting, gradients_of(distribution.compression))
    is_late, is_lossy = distribution.leaves_out(setting.partition), distribution.dropped != 0.0
    if not is_late and not is_lossy:
        return kind
    parts = {
        "note_arrivals": gradients.note_first if is_late else gradients.note_arrived, "lanes_that_step": gradients.lanes_with_arrivals,
        "share_of": SHARES[distribution.mean_over], "share_in_mean": gradients.share_of_arrived,
    }  # fmt: skip
    parts |= {"is_lost": gradients.lost_by_chance} if is_lossy else {}
    parts |= {"time_of_mean_one": type(distribution.law).of_mean_one} if is_late else {}
    return kind._replace(
        parts=(*kind.parts, *parts.items()), numbers=kind.numbers + kind.workers + 1, awaited=distribution.team,
        slowness=tuple(1.0 / v for v in distribution.speeds or (1.0,) * kind.workers) if is_late else (),
    )  # fmt: skip


def kept_gradient(setting: Setting) -> Rule:
    """Workers keep their gradients, and step not at all."""
    return KeptGradient()
