"""What a setting's distribution makes of its kernels: none, where a run is as good as one worker's, or the kind
of its teams.

A new kind of distribution is a row of `KINDS`, and its kernels in `gdsim.kernels.teams`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gdsim.distribution import Asynchronous, DiLoCo, Distribution, ElasticAveraging, FederatedAveraging, Gossip, LocalSGD, Scaffold, Synchronous
from gdsim.kernels.team_memory import TeamKind
from gdsim.kernels.teams import averaging, groups
from gdsim.population.asynchronous_teams import asynchronous_rule, asynchronous_team
from gdsim.population.client_teams import client_rule, corrected_rule, federated_team, scaffold_team
from gdsim.population.messages import WAYS, average_parts, with_messages
from gdsim.population.mixing_teams import elastic_team, gossip_rule, gossip_team
from gdsim.population.outer_rules import outer_parts
from gdsim.population.setting import Setting
from gdsim.population.synchronous_teams import kept_gradient, synchronous_team
from gdsim.rules import Rule

GROUP_STATES = {"keep": groups.keep_group_state, "average": groups.average_group_state, "reset": groups.reset_group_state}
STATES = {"keep": averaging.keep_state, "average": averaging.average_state, "reset": averaging.reset_state}


def _diloco(setting: Setting) -> TeamKind:
    distribution: Any = setting.distribution
    rule = distribution.outer
    parts = {
        "steps_to_exchange": averaging.steps_to_period, "exchange_state": STATES[distribution.state], **outer_parts(rule),
    }  # fmt: skip
    return TeamKind(tuple(parts.items()), distribution.team, server=1 + len(rule.slots), numbers=len(rule.carry))


def _local_sgd(setting: Setting) -> TeamKind:
    distribution: Any = setting.distribution
    parts = {
        "steps_to_exchange": averaging.steps_to_average, "begin_team": averaging.keep_nothing,
        "exchange": averaging.average_weights, "exchange_state": STATES[distribution.state], "report_team": averaging.report_mean,
    }  # fmt: skip
    rule, compression = distribution.outer, distribution.compression
    parts |= {} if rule is None else outer_parts(rule)
    server, numbers = (0, 0) if rule is None else (1 + len(rule.slots), len(rule.carry))
    if distribution.groups:
        parts |= {
            "steps_to_exchange": groups.steps_to_groups, "exchange": groups.exchange_in_groups, "exchange_all": parts["exchange"],
            "exchange_group_state": GROUP_STATES[distribution.state], "GROUPS": distribution.groups,
        }  # fmt: skip
    if compression is not None and rule is None:
        parts, server = parts | average_parts(), 1
    kind = TeamKind(tuple(parts.items()), distribution.team, server, numbers)
    return kind if compression is None else with_messages(kind, compression, setting, WAYS)


def _own_rule(setting: Setting) -> Rule:
    """The optimizer's."""
    return setting.rule


class Kind(NamedTuple):
    """How runs of one kind of distribution are trained."""

    team: Callable[[Setting], TeamKind]
    rule: Callable[[Setting], Rule] = _own_rule  # by which each worker steps


KINDS: Mapping[type[Distribution], Kind] = {
    Synchronous: Kind(synchronous_team, kept_gradient),
    LocalSGD: Kind(_local_sgd),
    DiLoCo: Kind(_diloco),
    ElasticAveraging: Kind(elastic_team),
    Gossip: Kind(gossip_team, gossip_rule),
    Asynchronous: Kind(asynchronous_team, asynchronous_rule),
    FederatedAveraging: Kind(federated_team, client_rule),
    Scaffold: Kind(scaffold_team, corrected_rule),
}


def is_alone(setting: Setting) -> bool:
    """Whether a run's training is that of one worker, bit for bit: whose kernels then train it."""
    return setting.distribution is None or setting.distribution.is_one_workers(setting.partition)


def team_of(setting: Setting) -> TeamKind | None:
    """The kind of a setting's teams; None where its runs are one worker's."""
    distribution = setting.distribution
    if distribution is None or is_alone(setting):
        return None
    kind = KINDS[type(distribution)].team(setting)
    own = {"STANDS_STORED": not local_rule(setting).stands_elsewhere, "EXCHANGES_AFTER_ONE_STEP": "before_exchange" in dict(kind.parts)}
    return kind._replace(parts=(*kind.parts, *own.items()))


def local_rule(setting: Setting) -> Rule:
    """The rule by which a worker of a setting steps."""
    distribution = setting.distribution
    return setting.rule if distribution is None or is_alone(setting) else KINDS[type(distribution)].rule(setting)


def state_sizes(setting: Setting) -> tuple[int, int]:
    """How many numbers of a run with a team go on: (of each parameter beside the reported one, of the run)."""
    kind, rule = team_of(setting), local_rule(setting)
    if kind is None:
        return len(rule.slots), len(rule.carry)
    return kind.workers * (1 + len(rule.slots)) + kind.server, kind.workers * len(rule.carry) + kind.numbers


def during_steps(setting: Setting) -> int:
    """How many numbers of each parameter of a run's team are there beside those that go on."""
    kind = team_of(setting)
    return 0 if kind is None else kind.spare + kind.workers * local_rule(setting).reports_other_point
