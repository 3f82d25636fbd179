"""Outer optimizers: each round a rule steps from the server's weights theta by the pseudo-gradient, by how much
the workers have gone away from them on average, and all go on from there (Reddi et al. 2020, arXiv:2003.00295;
Douillard et al. 2023, arXiv:2311.08105).

Team.server has theta, as the rule stores it, and then its slots, Team.numbers its carry.
"""

from typing import Any

import numpy as np

from gdsim.kernels.state import Pack, Sum, added, total_of
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.averaging import report_mean
from gdsim.kernels.teams.parts import (
    OUTER_CARRY,
    OUTER_NEEDS_WHOLE_GRADIENT,
    OUTER_SLOTS,
    exchange_state,
    outer_numbers,
    outer_prepare,
    outer_reported,
    outer_update,
    outer_with_gradient,
)
from gdsim.kernels.teams.workers import TERMS, give_all, keep_where, share_of, sum_of_terms
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import fma_lanes, load, splat, sqrt, store
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.tiles import load_row, select_row, store_row
from gdsim.lanes.types import Lane, Lanes, Mask, Memory

NO_LOSS = np.float32(np.nan)  # of which no outer rule asks


def begin_server(team: Team, pack: Pack, fresh: Mask) -> None:
    """The server begins at the start, as the workers do, its rule's state and the team's numbers at 0."""
    zero = splat(ZERO, WIDTH)
    for place in range(team.size):
        keep_where(team.server, place * WIDTH, fresh, load(team.weights, place * WIDTH, WIDTH))
    for number in range(team.size * OUTER_SLOTS):
        keep_where(team.server, (team.size + number) * WIDTH, fresh, zero)
    for number in range(len(team.numbers) // WIDTH):
        keep_where(team.numbers, number * WIDTH, fresh, zero)


def slots_at(team: Team, place: int) -> Lanes:
    """The outer rule's slots of one place."""
    return load_row(team.server, (team.size + place) * WIDTH, team.size * WIDTH, OUTER_SLOTS, WIDTH)


@default_part
def pseudo_gradient(team: Team, place: int, theta: Lane) -> Lane:
    """The mean of theta - w_k over workers, by their shares, a sum in pairs."""
    for worker in range(team.workers):
        way = theta - load(team.weights, (worker * team.size + place) * WIDTH, WIDTH)
        store(team.terms, worker * WIDTH, way * share_of(team, worker))
    return sum_of_terms(team)


@noinline
def length_of_pseudo_gradient(team: Team) -> Lane:
    """Its Euclidean length, the squares summed in blocks of `TERMS` parameters."""
    zero = splat(ZERO, WIDTH)
    total = Sum(zero, zero)
    for first in range(0, len(team.places), TERMS):
        part = zero
        for k in range(first, min(first + TERMS, len(team.places))):
            way = pseudo_gradient(team, team.places[k], load(team.server, team.places[k] * WIDTH, WIDTH))
            part = fma_lanes(way, way, part)
        total = added(total, part)
    return sqrt(total_of(total))


@default_part
def outer_step(pack: Pack, t: Lane, carry: Lanes) -> tuple[Any, Lanes]:
    """(what the outer rule's update needs after update t of the workers, its new carry)."""
    h = outer_numbers(hyperparameters_of(pack))
    return outer_prepare(h, h.lr, carry)


def step_server(team: Team, pack: Pack, due: Mask) -> None:
    """The outer rule makes a step, and all workers go on from where it stores its weights."""
    step, carry = outer_step(pack, load(pack.step, 0, WIDTH), load_row(team.numbers, 0, WIDTH, OUTER_CARRY, WIDTH))
    if OUTER_NEEDS_WHOLE_GRADIENT:
        step = outer_with_gradient(step, length_of_pseudo_gradient(team), splat(ZERO, WIDTH) + NO_LOSS)
    store_row(team.numbers, 0, WIDTH, select_row(due, carry, load_row(team.numbers, 0, WIDTH, OUTER_CARRY, WIDTH)), OUTER_CARRY)
    for place in range(team.size):
        theta = load(team.server, place * WIDTH, WIDTH)
        slots = slots_at(team, place)
        new, new_slots = outer_update(theta, pseudo_gradient(team, place, theta), slots, step)
        keep_where(team.server, place * WIDTH, due, new)
        store_row(team.server, (team.size + place) * WIDTH, team.size * WIDTH, select_row(due, new_slots, slots), OUTER_SLOTS)
        give_all(team, team.weights, place * WIDTH, team.size * WIDTH, due, new)
    exchange_state(team, due)


def report_server(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports what the outer rule does, and how far the workers are from their mean."""
    report_mean(team, pack, places, noted)
    step = outer_step(pack, load(pack.step, 0, WIDTH) + 1, load_row(team.numbers, 0, WIDTH, OUTER_CARRY, WIDTH))[0]
    for place in range(team.size):
        store(pack.weights, place * WIDTH, outer_reported(load(team.server, place * WIDTH, WIDTH), slots_at(team, place), step))
