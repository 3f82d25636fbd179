"""The teams of distributions whose workers mix their weights with others': gossip, and elastic averaging."""

from typing import Any

import numpy as np

from gdsim.distribution.topologies import is_directed, neighbours_of
from gdsim.kernels.team_memory import Graph, TeamKind
from gdsim.kernels.teams import averaging, elastic, gossip, push_sum
from gdsim.population.setting import Setting
from gdsim.rules import Rule
from gdsim.rules.tracking import Tracked


def elastic_team(setting: Setting) -> TeamKind:
    """Workers that a centre draws."""
    distribution: Any = setting.distribution
    parts = {
        "steps_to_exchange": averaging.steps_to_period, "begin_team": elastic.begin_centre, "exchange": elastic.give_way,
        "before_exchange": elastic.draw_together if distribution.turns == "together" else elastic.draw_in_turn, "report_team": elastic.report_centre,
    }  # fmt: skip
    return TeamKind(tuple(parts.items()), distribution.team, server=1, spare=distribution.team)


def gossip_team(setting: Setting) -> TeamKind:
    """Workers that mix their weights with their neighbours'."""
    distribution: Any = setting.distribution
    matrices, workers, combines = distribution.matrices, distribution.team, distribution.order == "combine"
    if is_directed(matrices):
        return _pushing_team(matrices, combines)
    parts = {"before_exchange": gossip.keep_ways} if combines else {}
    parts |= {
        "steps_to_exchange": averaging.steps_to_period, "begin_team": averaging.keep_nothing, "exchange": gossip.combine if combines else gossip.adapt,
        "mix_tracked": gossip.mix_tracked_gradients if distribution.tracking else averaging.keep_nothing, "report_team": averaging.report_mean,
    }  # fmt: skip
    return TeamKind(tuple(parts.items()), workers, spare=workers if combines else 0, graph=_graph_of(matrices))


def _pushing_team(matrices: np.ndarray, combines: bool) -> TeamKind:
    """Workers that mix by a directed matrix, and count the shares that they have got."""
    workers = len(matrices[0])
    parts = {
        "steps_to_exchange": averaging.every_step, "begin_team": push_sum.begin_shares, "before_exchange": push_sum.keep_weights,
        "exchange": push_sum.push_and_combine if combines else push_sum.push_and_adapt, "report_team": push_sum.report_by_shares,
    }  # fmt: skip
    return TeamKind(tuple(parts.items()), workers, numbers=2 * workers, spare=workers, graph=_graph_of(matrices))


def _graph_of(matrices: np.ndarray) -> Graph:
    """Mixing matrices as a kind has them."""
    own = np.diagonal(matrices, axis1=1, axis2=2).ravel()
    return Graph(len(matrices), *(tuple(numbers.tolist()) for numbers in (*neighbours_of(matrices), own)))


def gossip_rule(setting: Setting) -> Rule:
    """By which a worker steps: the optimizer, by tracked gradients if these are asked for."""
    distribution: Any = setting.distribution
    return Tracked(setting.rule) if distribution.tracking else setting.rule
