"""What a setting's distribution makes of its kernels: none, where a run is as good as one worker's, or the kind
of its teams.

A new kind of distribution is a row of `KINDS`, a module here that chooses its kernels' parts, and these in
`gdsim.kernels.teams`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gdsim.distribution import Asynchronous, DiLoCo, Distribution, ElasticAveraging, FederatedAveraging, Gossip, LocalSGD, Scaffold, Synchronous
from gdsim.kernels.team_memory import TeamKind
from gdsim.population.setting import Setting
from gdsim.population.teams.asynchronous import asynchronous_rule, asynchronous_team
from gdsim.population.teams.averaging import diloco_team, local_sgd_team
from gdsim.population.teams.clients import client_rule, corrected_rule, federated_team, scaffold_team
from gdsim.population.teams.mixing import elastic_team, gossip_rule, gossip_team
from gdsim.population.teams.synchronous import kept_gradient, synchronous_team
from gdsim.rules import Rule


def _own_rule(setting: Setting) -> Rule:
    """The optimizer's."""
    return setting.rule


class Kind(NamedTuple):
    """How runs of one kind of distribution are trained."""

    team: Callable[[Setting], TeamKind]
    rule: Callable[[Setting], Rule] = _own_rule  # by which each worker steps


KINDS: Mapping[type[Distribution], Kind] = {
    Synchronous: Kind(synchronous_team, kept_gradient),
    LocalSGD: Kind(local_sgd_team),
    DiLoCo: Kind(diloco_team),
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
