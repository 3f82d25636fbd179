"""Elastic averaging: every `period` steps each worker and a centre draw each other (Zhang, Choromanska
and LeCun 2015, arXiv:1412.6651).

The force d_k = moving_rate (w_k - c) is of the weights and the centre before the step. Taken together, all are of
the same centre, which moves by their sum; in turn, worker by worker, each finds the centre as the last has left
it.
"""

from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.workers import keep_where, mean_over_workers, move_where, note_disagreement, sum_of_terms
from gdsim.lanes.operations import load, store
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Lane, Mask, Memory, Offset


def begin_centre(team: Team, pack: Pack, fresh: Mask) -> None:
    """The centre begins where the workers do."""
    for at in range(0, team.size * WIDTH, WIDTH):
        keep_where(team.server, at, fresh, load(pack.weights, at, WIDTH))


def keep_force(team: Team, place: Offset, worker: int, centre: Lane, rate: Lane, due: Mask) -> Lane:
    """Keeps what a worker is drawn away by, and gives it."""
    at = (worker * team.size + place) * WIDTH
    force = rate * (load(team.weights, at, WIDTH) - centre)
    keep_where(team.spare, at, due, -force)
    return force


def draw_together(team: Team, pack: Pack, due: Mask) -> None:
    """Before the step to an exchange: keeps the forces of all workers, and moves the centre by their sum."""
    rate = hyperparameters_of(pack).distribution_moving_rate
    for place in range(team.size):
        centre = load(team.server, place * WIDTH, WIDTH)
        for worker in range(team.workers):
            store(team.terms, worker * WIDTH, keep_force(team, place, worker, centre, rate, due))
        move_where(team.server, place * WIDTH, sum_of_terms(team), due)


def draw_in_turn(team: Team, pack: Pack, due: Mask) -> None:
    """Before the step to an exchange: keeps the force of one worker after the other, each of which moves the
    centre.
    """
    rate = hyperparameters_of(pack).distribution_moving_rate
    for place in range(team.size):
        for worker in range(team.workers):
            move_where(team.server, place * WIDTH, keep_force(team, place, worker, load(team.server, place * WIDTH, WIDTH), rate, due), due)


def give_way(team: Team, pack: Pack, due: Mask) -> None:
    """Draws the workers by the forces that were kept."""
    for at in range(0, team.workers * team.size * WIDTH, WIDTH):
        move_where(team.weights, at, load(team.spare, at, WIDTH), due)


def report_centre(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the centre, and how far the workers are from their mean."""
    for at in range(0, team.size * WIDTH, WIDTH):
        store(pack.weights, at, load(team.server, at, WIDTH))
        store(team.spare, at, mean_over_workers(team, team.shown, at, team.size * WIDTH))
    note_disagreement(team, team.spare, places, noted)
