"""Gradients that workers send to a server, whose rule makes the steps, and which of them arrive: not those that
are lost on their way, and not those of the slowest workers, for whom the server does not wait (Chen et al. 2016,
arXiv:1604.00981).

Where some may not arrive, Team.numbers has behind the outer rule's carry, of each worker, 1 if its gradient of
the last step has arrived or 0, and then 1 over how many have, 0 for none.
"""

from typing import Any

from gdsim.distribution.compute_times import time_of_step
from gdsim.kernels.parts import SLOT_COUNT, schedule_numbers, scheduled_hyperparameters
from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.outer import step_server
from gdsim.kernels.teams.parts import OUTER_CARRY, outer_prepare
from gdsim.kernels.teams.workers import equal_share, keep_where, share_of, sum_of_terms
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import as_type_of, load, maximum, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.philox import ARRIVAL, purpose_of, random_words, unit_interval
from gdsim.lanes.types import Count, Lane, Lanes, Mask, Offset
from gdsim.schedules.parts import rate


def gradient_taken(team: Team, worker: int, place: int) -> Lane:
    """The gradient that a worker's rule has kept."""
    return load(team.slots, (worker * team.size + place) * SLOT_COUNT * WIDTH, WIDTH)


def scheduled_step(pack: Pack, t: Lane, carry: Lanes) -> tuple[Any, Lanes]:
    """`outer.outer_step` of the run's own rule, by its schedule."""
    h = hyperparameters_of(pack)
    return outer_prepare(scheduled_hyperparameters(h, t), rate(h.lr, t, schedule_numbers(h)), carry)


@default_part
def note_arrivals(team: Team, pack: Pack, due: Mask) -> None:
    """Notes whose gradients of the last step arrive, where some may not."""


@default_part
def lanes_that_step(team: Team, due: Mask) -> Mask:
    """In which of the lanes that are due the server makes a step: in all."""
    return due


@default_part
def share_in_mean(team: Team, worker: Count) -> Lane:
    """A worker's share in the mean of what arrives."""
    return equal_share(team)


@default_part
def is_lost(team: Team, pack: Pack, worker: Count) -> Mask:
    """Whether a worker's gradient of the last step is lost: none is."""
    step = load(pack.step, 0, WIDTH)
    return step != step


def lost_by_chance(team: Team, pack: Pack, worker: Count) -> Mask:
    """With the probability `dropped`, drawn by the seed, the start, the worker and its step (from 0)."""
    words = random_words(load(pack.start, 0, WIDTH), purpose_of(ARRIVAL, worker), load(pack.step, 0, WIDTH) - 1, 0, (team.seed.low, team.seed.high))
    u = unit_interval(words[0], words[1], splat(0.0, WIDTH))
    return u < as_type_of(hyperparameters_of(pack).distribution_dropped, u)


def arrival_at(number: Count) -> Offset:
    """Where a worker's arrival lies in Team.numbers; of the one behind the last, 1 over how many arrive."""
    return (OUTER_CARRY + number) * WIDTH


def count_arrivals(team: Team, due: Mask) -> None:
    """Keeps 1 over how many gradients have arrived."""
    count = splat(ZERO, WIDTH)
    for worker in range(team.workers):
        count = count + load(team.numbers, arrival_at(worker), WIDTH)
    keep_where(team.numbers, arrival_at(team.workers), due, where(count == 0.0, count, 1.0 / maximum(count, 1.0)))


@noinline
def note_arrived(team: Team, pack: Pack, due: Mask) -> None:
    """All gradients arrive that are not lost."""
    zero = splat(ZERO, WIDTH)
    for worker in range(team.workers):
        keep_where(team.numbers, arrival_at(worker), due, where(is_lost(team, pack, worker), zero, zero + 1.0))
    count_arrivals(team, due)


@noinline
def note_first(team: Team, pack: Pack, due: Mask) -> None:
    """Those arrive, if they are not lost, of the workers that are done first, as many as are awaited; of two that
    are done at the same time the one with the lower number is the first.
    """
    zero, start, step = splat(ZERO, WIDTH), load(pack.start, 0, WIDTH), load(pack.step, 0, WIDTH) - 1
    shape = as_type_of(hyperparameters_of(pack).distribution_shape, splat(0.0, WIDTH))
    for worker in range(team.workers):
        time = as_type_of(time_of_step(start, worker, step, (team.seed.low, team.seed.high), shape), zero)
        store(team.terms, worker * WIDTH, time * splat(team.slowness[worker], WIDTH))
    for worker in range(team.workers):
        time, before = load(team.terms, worker * WIDTH, WIDTH), step * 0
        for other in range(team.workers):
            theirs = load(team.terms, other * WIDTH, WIDTH)
            is_before = theirs <= time if other < worker else theirs < time
            before = where(is_before, before + 1, before)
        arrives = (before < team.awaited) & ~is_lost(team, pack, worker)
        keep_where(team.numbers, arrival_at(worker), due, where(arrives, zero + 1.0, zero))
    count_arrivals(team, due)


def lanes_with_arrivals(team: Team, due: Mask) -> Mask:
    """The server steps where any gradient has arrived."""
    return due & (load(team.numbers, arrival_at(team.workers), WIDTH) != 0.0)


def share_of_arrived(team: Team, worker: Count) -> Lane:
    """1 over how many gradients have arrived, of those that have."""
    return load(team.numbers, arrival_at(worker), WIDTH) * load(team.numbers, arrival_at(team.workers), WIDTH)


def share_of_awaited(team: Team, worker: Count) -> Lane:
    """1 over how many gradients are awaited, of those that have arrived."""
    awaited = as_type_of(splat(team.awaited, WIDTH), splat(ZERO, WIDTH))
    return load(team.numbers, arrival_at(worker), WIDTH) / awaited


def mean_gradient(team: Team, place: int, theta: Lane) -> Lane:
    """The workers' gradients by their shares, a sum in pairs, in the place of `outer.pseudo_gradient`."""
    for worker in range(team.workers):
        store(team.terms, worker * WIDTH, gradient_taken(team, worker, place) * share_of(team, worker))
    return sum_of_terms(team)


def exchange_gradients(team: Team, pack: Pack, due: Mask) -> None:
    """The server makes a step of the gradients that have arrived, and all workers go on from there."""
    note_arrivals(team, pack, due)
    step_server(team, pack, lanes_that_step(team, due))
