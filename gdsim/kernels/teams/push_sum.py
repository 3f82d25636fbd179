"""Push-sum: gossip by a directed matrix, whose columns sum to 1 and whose rows do not (Assran et al. 2019,
arXiv:1811.10792; Kempe, Dobra and Gehrke 2003).

Worker i has x_i and a share u_i, which starts at 1; both are mixed by the same matrix P, x_i = sum_j P_ij x_j,
and gradients are taken at z_i = x_i / u_i. What is stored is z, which mixing makes a mean of the z_j by weights
P_ij u_j / u_i' and which equal workers keep; a step of the rule is one of x. The mean of the x_i, reported, is
that of the z_i by shares.
"""

from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.workers import keep_where, note_disagreement, sum_of_terms
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Lane, Mask, Memory, Offset


def begin_shares(team: Team, pack: Pack, fresh: Mask) -> None:
    """All shares are 1."""
    for worker in range(team.workers):
        keep_where(team.numbers, worker * WIDTH, fresh, splat(ZERO, WIDTH) + 1.0)


def keep_weights(team: Team, pack: Pack, due: Mask) -> None:
    """Before a step: keeps the weights."""
    for at in range(0, team.workers * team.size * WIDTH, WIDTH):
        store(team.spare, at, load(team.weights, at, WIDTH))


def mix_shares(team: Team, mixing: Mask) -> None:
    """u_i' = sum_j P_ij u_j, behind the shares of now."""
    graph = team.graph
    for worker in range(team.workers):
        here = load(team.numbers, worker * WIDTH, WIDTH)
        share = here * splat(graph.own[worker], WIDTH)
        for edge in range(graph.begin[worker], graph.begin[worker + 1]):
            share = fma_lanes(splat(graph.weight[edge], WIDTH), load(team.numbers, graph.source[edge] * WIDTH, WIDTH), share)
        store(team.numbers, (team.workers + worker) * WIDTH, where(mixing, share, here))


def take_new_shares(team: Team, due: Mask) -> None:
    """The shares of after the exchange are those of now."""
    for worker in range(team.workers):
        keep_where(team.numbers, worker * WIDTH, due, load(team.numbers, (team.workers + worker) * WIDTH, WIDTH))


def pushed_way(team: Team, at: Offset, worker: int, mixing: Mask) -> Lane:
    """u_i' (sum_j R_ij z_j - z_i) of the kept weights, where R_ij = P_ij u_j / u_i'."""
    graph, between = team.graph, team.size * WIDTH
    here, way = load(team.spare, at + worker * between, WIDTH), splat(ZERO, WIDTH)
    for edge in range(graph.begin[worker], graph.begin[worker + 1]):
        source = graph.source[edge]
        share = splat(graph.weight[edge], WIDTH) * load(team.numbers, source * WIDTH, WIDTH)
        way = fma_lanes(share, load(team.spare, at + source * between, WIDTH) - here, way)
    return where(mixing, way, way * 0.0)


def mixing_of(pack: Pack, due: Mask) -> Mask:
    """The lanes whose workers mix after this step."""
    step = load(pack.step, 0, WIDTH)
    return due & (step % as_type_of(hyperparameters_of(pack).distribution_period, step) == 0)


def push_and_combine(team: Team, pack: Pack, due: Mask) -> None:
    """x_i = sum_j P_ij x_j of before the step, and the step."""
    mixing = mixing_of(pack, due)
    mix_shares(team, mixing)
    for worker in range(team.workers):
        share = load(team.numbers, (team.workers + worker) * WIDTH, WIDTH)
        for place in range(team.size):
            there = (worker * team.size + place) * WIDTH
            old, new = load(team.spare, there, WIDTH), load(team.weights, there, WIDTH)
            way = (pushed_way(team, place * WIDTH, worker, mixing) + (new - old)) / share
            keep_where(team.weights, there, due, old + way)
    take_new_shares(team, due)


def push_and_adapt(team: Team, pack: Pack, due: Mask) -> None:
    """x_i = sum_j P_ij x_j of after the step."""
    mixing = mixing_of(pack, due)
    mix_shares(team, mixing)
    for worker in range(team.workers):
        share = load(team.numbers, worker * WIDTH, WIDTH)
        for place in range(team.size):
            there = (worker * team.size + place) * WIDTH
            old = load(team.spare, there, WIDTH)
            store(team.spare, there, old + (load(team.weights, there, WIDTH) - old) / share)
    for worker in range(team.workers):
        share = load(team.numbers, (team.workers + worker) * WIDTH, WIDTH)
        for place in range(team.size):
            there = (worker * team.size + place) * WIDTH
            way = pushed_way(team, place * WIDTH, worker, mixing) / share
            keep_where(team.weights, there, due, load(team.spare, there, WIDTH) + way)
    take_new_shares(team, due)


def report_by_shares(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the mean of the x_i = u_i z_i, and how far the z_i are from it."""
    between, count = team.size * WIDTH, as_type_of(splat(team.workers, WIDTH), splat(ZERO, WIDTH))
    for at in range(0, between, WIDTH):
        first = load(team.shown, at, WIDTH)
        for worker in range(team.workers):
            way = load(team.shown, at + worker * between, WIDTH) - first
            store(team.terms, worker * WIDTH, load(team.numbers, worker * WIDTH, WIDTH) / count * way)
        store(pack.weights, at, first + sum_of_terms(team))
    note_disagreement(team, pack.weights, places, noted)
