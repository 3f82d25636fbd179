"""Gossip: every `period` steps workers mix their weights with their neighbours' (Lian et al. 2017,
arXiv:1705.09056).

Worker i goes sum_j W_ij (x_j - x_i) of its way, row i of a matrix without its diagonal, so that equal workers
stay as they are, bit for bit. A topology that changes has several matrices, which exchanges take in turn.
"""

from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.parts import mix_tracked
from gdsim.kernels.teams.workers import keep_where, move_where
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Lane, Mask, Memory, Offset


def turn_of(team: Team, pack: Pack, update: Lane) -> Lane:
    """The number of the matrix by which workers mix after an update, counted from 1."""
    period = as_type_of(hyperparameters_of(pack).distribution_period, update)
    return (update // period - 1) % as_type_of(splat(team.graph.matrices, WIDTH), update)


def way_to_neighbours(team: Team, array: Memory, at: Offset, between: Offset, row: int) -> Lane:
    """sum_j W_ij (x_j - x_i) for a row of the matrices, of the numbers at `at` + worker * `between`."""
    graph, here = team.graph, load(array, at + row % team.workers * between, WIDTH)
    way = splat(ZERO, WIDTH)
    for edge in range(graph.begin[row], graph.begin[row + 1]):
        there = load(array, at + graph.source[edge] * between, WIDTH)
        way = fma_lanes(splat(graph.weight[edge], WIDTH), there - here, way)
    return way


@noinline
def mix_weights(team: Team, row: int, due: Mask) -> None:
    """x_i = sum_j W_ij x_j, by the matrix whose first row is `row`."""
    between = team.size * WIDTH
    for place in range(team.size):
        at = place * WIDTH
        for worker in range(team.workers):
            store(team.terms, worker * WIDTH, way_to_neighbours(team, team.weights, at, between, row + worker))
        for worker in range(team.workers):
            move_where(team.weights, at + worker * between, load(team.terms, worker * WIDTH, WIDTH), due)


@noinline
def keep_ways_of(team: Team, row: int, due: Mask) -> None:
    """Keeps the ways to the neighbours' weights, by the matrix whose first row is `row`."""
    between = team.size * WIDTH
    for worker in range(team.workers):
        for place in range(team.size):
            at = place * WIDTH
            keep_where(team.spare, at + worker * between, due, way_to_neighbours(team, team.weights, at, between, row + worker))


def keep_ways(team: Team, pack: Pack, due: Mask) -> None:
    """Before the step to an exchange: keeps the ways to the neighbours' weights as they are now."""
    turn = turn_of(team, pack, load(pack.step, 0, WIDTH) + 1)
    for matrix in range(team.graph.matrices):
        mixing = due & (turn == matrix)
        if any(mixing):
            keep_ways_of(team, matrix * team.workers, mixing)


def combine(team: Team, pack: Pack, due: Mask) -> None:
    """x_i = sum_j W_ij x_j of before the step, and what the step has added."""
    for at in range(0, team.workers * team.size * WIDTH, WIDTH):
        move_where(team.weights, at, load(team.spare, at, WIDTH), due)
    mix_tracked(team, pack, due)


def adapt(team: Team, pack: Pack, due: Mask) -> None:
    """x_i = sum_j W_ij x_j of after the step."""
    turn = turn_of(team, pack, load(pack.step, 0, WIDTH))
    for matrix in range(team.graph.matrices):
        mixing = due & (turn == matrix)
        if any(mixing):
            mix_weights(team, matrix * team.workers, mixing)
    mix_tracked(team, pack, due)


def mix_tracked_gradients(team: Team, pack: Pack, due: Mask) -> None:
    """Mixes what workers step by, y_i = g_i + c_i: c_i is moved by the way from y_i to the neighbours', so that
    the next y_i is that mean with the change of g_i. The rule keeps c and y behind the slots of its own.
    """
    turn = turn_of(team, pack, load(pack.step, 0, WIDTH))
    between = team.size * team.slot_count * WIDTH
    for matrix in range(team.graph.matrices):
        mixing = due & (turn == matrix)
        if any(mixing):
            for worker in range(team.workers):
                for place in range(1, team.size + 1):
                    at = (place * team.slot_count - 1) * WIDTH
                    way = way_to_neighbours(team, team.slots, at, between, matrix * team.workers + worker)
                    move_where(team.slots, at - WIDTH + worker * between, way, mixing)
