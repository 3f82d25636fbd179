"""Teams of clients: what federated averaging and SCAFFOLD make of their kernels, and of the optimizer."""

from typing import Any

from gdsim.kernels.team_memory import TeamKind
from gdsim.kernels.teams import averaging, federated, outer
from gdsim.population.setting import Setting
from gdsim.population.teams.outer_rules import outer_parts
from gdsim.rules import Rule
from gdsim.rules.clients import ClientSteps, CorrectedSteps, ProximalSteps

EXCHANGES = {"samples": federated.average_clients, "uniform": federated.average_clients, "nova": federated.step_by_shares}
SHARES = {"samples": federated.shares_of_samples, "uniform": federated.equal_shares, "nova": federated.shares_of_steps}


def _of_clients(**own: Any) -> dict[str, Any]:
    """The parts of rounds of clients."""
    return {
        "exchange_state": averaging.reset_state, "OUTER_SLOTS": 0, "OUTER_CARRY": 0, "wait_of": federated.wait_of_round,
        "place_worker": federated.place_client, "step_worker": federated.step_client, "share_of": federated.share_of_client,
        "begin_team": outer.begin_server, "report_team": federated.report_theta, **own,
    }  # fmt: skip


def _numbers_of_clients(setting: Setting) -> int:
    return federated.OF_ROUND + federated.OF_CLIENT * setting.workers


def federated_team(setting: Setting) -> TeamKind:
    """Federated averaging's."""
    distribution: Any = setting.distribution
    rule, weighting = distribution.server, distribution.weighting
    parts = _of_clients(
        client_steps=federated.steps_of_epochs, set_shares=SHARES[weighting], exchange=EXCHANGES[weighting],
        give_start=federated.start_anchored if distribution.is_proximal else federated.start_alone,
    )  # fmt: skip
    if rule is None:
        return TeamKind(tuple(parts.items()), setting.workers, server=1, numbers=_numbers_of_clients(setting))
    parts |= {**outer_parts(rule, "server"), "exchange": federated.step_of_server}
    return TeamKind(tuple(parts.items()), setting.workers, server=1 + len(rule.slots), numbers=len(rule.carry) + _numbers_of_clients(setting))


def scaffold_team(setting: Setting) -> TeamKind:
    """SCAFFOLD's."""
    distribution: Any = setting.distribution
    parts = _of_clients(
        client_steps=federated.steps_of_period, set_shares=federated.equal_shares, give_start=federated.start_corrected,
        exchange=federated.average_and_correct, begin_team=federated.begin_controls,
    )  # fmt: skip
    return TeamKind(tuple(parts.items()), setting.workers, server=federated.OF_CLIENTS + distribution.clients, numbers=_numbers_of_clients(setting))


def client_rule(setting: Setting) -> Rule:
    """The optimizer's, for as many steps as a client makes."""
    distribution: Any = setting.distribution
    return (ProximalSteps if distribution.is_proximal else ClientSteps)(setting.rule)


def corrected_rule(setting: Setting) -> Rule:
    """The optimizer's, with corrected gradients."""
    return CorrectedSteps(setting.rule)
