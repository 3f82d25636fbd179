"""The teams of distributions whose workers step alone and are averaged now and then: local SGD, DiLoCo."""

from typing import Any

from gdsim.kernels.team_memory import TeamKind
from gdsim.kernels.teams import averaging, groups
from gdsim.population.setting import Setting
from gdsim.population.teams.messages import WAYS, average_parts, with_messages
from gdsim.population.teams.outer_rules import outer_parts

STATES = {"keep": averaging.keep_state, "average": averaging.average_state, "reset": averaging.reset_state}
GROUP_STATES = {"keep": groups.keep_group_state, "average": groups.average_group_state, "reset": groups.reset_group_state}


def diloco_team(setting: Setting) -> TeamKind:
    """Workers from whose ways an outer Nesterov step is made."""
    distribution: Any = setting.distribution
    rule = distribution.outer
    parts = {"steps_to_exchange": averaging.steps_to_period, "exchange_state": STATES[distribution.state], **outer_parts(rule)}
    return TeamKind(tuple(parts.items()), distribution.team, server=1 + len(rule.slots), numbers=len(rule.carry))


def local_sgd_team(setting: Setting) -> TeamKind:
    """Workers that go on from their mean, or from what a server makes of it: by an outer rule, or by messages."""
    distribution: Any = setting.distribution
    rule, compression = distribution.outer, distribution.compression
    parts, server, numbers = {"steps_to_exchange": averaging.steps_to_average, "exchange_state": STATES[distribution.state]}, 0, 0
    if rule is not None:
        parts |= outer_parts(rule)
        server, numbers = 1 + len(rule.slots), len(rule.carry)
    elif compression is not None:
        parts |= average_parts()
        server = 1
    else:
        parts |= {"begin_team": averaging.keep_nothing, "exchange": averaging.average_weights, "report_team": averaging.report_mean}
    if distribution.groups:
        parts |= {
            "steps_to_exchange": groups.steps_to_groups, "exchange": groups.exchange_in_groups, "exchange_all": parts["exchange"],
            "exchange_group_state": GROUP_STATES[distribution.state], "GROUPS": distribution.groups,
        }  # fmt: skip
    kind = TeamKind(tuple(parts.items()), distribution.team, server, numbers)
    return kind if compression is None else with_messages(kind, compression, setting, WAYS)
