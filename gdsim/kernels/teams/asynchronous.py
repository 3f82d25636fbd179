"""Asynchronous updates: in every step one worker's gradient, at weights that it read before, moves the server's
(Zhang et al. 2016, arXiv:1511.05950; Mitliagkas et al. 2016, arXiv:1605.09774).

A pack's team has one worker that computes, for each lane in turn another: its weights are the point where the
lane's next gradient is taken, its rule is `rules.stale`, which keeps the server's. What has been read lies in
`Team.server` [point, place, lane]: a point for each worker of a queue (`kernels.teams.queue`), or the last
ones of the server where the staleness is given. The numbers of a run begin with the sum of all ages, as two
numbers, and the largest.
"""

from typing import NamedTuple

import numpy as np

from gdsim.kernels.attendants import one_of, run_worker
from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.parts import age_of, age_or_older, end_event, next_event, share_of_point
from gdsim.kernels.teams.team import note_divergence
from gdsim.kernels.teams.workers import keep_where, squared_distance
from gdsim.lanes.compiler import noinline
from gdsim.lanes.counts import split_count
from gdsim.lanes.elementary import exp, log
from gdsim.lanes.masks import any
from gdsim.lanes.operations import as_type_of, floor, load, maximum, minimum, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.philox import COMPUTE_TIME, random_words, unit_interval
from gdsim.lanes.types import Count, Hyperparameters, Lane, Lanes, Mask, Memory

AGES_HIGH, AGES, OLDEST, FIRST = 0, 1, 2, 3  # places in a run's numbers; a queue's begin at FIRST
MANY_AGES = 2.0**20  # of which the first of the two that sum ages counts how many
OF_SERVER = 3  # numbers at the end of the worker's carry: the age, and two that count updates (`rules.stale`)


class Event(NamedTuple):
    """Whose gradient is applied next, and where it was taken."""

    worker: Lane  # uint32
    made: Lane  # uint32: how many steps the worker has made
    age: Lane  # of its gradient, of the numbers' type
    source: Lane  # uint32: the point at which it is taken
    goal: Lane  # uint32: the point that the server's weights replace after it


def seed_of(team: Team) -> Lanes:
    """Of the runs' random numbers, two words."""
    return team.seed.low, team.seed.high


def next_of_given(job: Job) -> Event:
    """The event of the next worker in turn, at a point that is as old as the law says, or the start."""
    team, pack = job.team, job.pack
    step, points, workers = load(pack.step, 0, WIDTH), len(team.server) // (team.size * WIDTH), len(team.slowness)
    words = random_words(load(pack.start, 0, WIDTH), COMPUTE_TIME, step, 1, seed_of(team))
    real = splat(ZERO, WIDTH)
    u = as_type_of(unit_interval(words[0], words[1], splat(0.0, WIDTH)), real)
    age = minimum(minimum(age_of(hyperparameters_of(pack), u), as_type_of(step, real)), as_type_of(step * 0 + (points - 1), real))
    source = (step - as_type_of(age, step)) % points
    return Event(step % workers, step // workers, age, source, (step + 1) % points)


def keep_last(job: Job, event: Event) -> None:
    """The server's weights are the last of the points."""
    keep_point(job.team, event.goal)


def fixed_age(h: Hyperparameters, u: Lane) -> Lane:
    """The same age for all."""
    return u * 0.0 + h.distribution_staleness_steps


def geometric_age(h: Hyperparameters, u: Lane) -> Lane:
    """P(age) = p (1 - p)^age."""
    return maximum(floor(log(u) * h.distribution_staleness_per_log), 0.0)


def fixed_or_older(h: Hyperparameters, age: Lane) -> Lane:
    """1 up to the age of all."""
    return where(age <= h.distribution_staleness_steps, age * 0.0 + 1.0, age * 0.0)


def geometric_or_older(h: Hyperparameters, age: Lane) -> Lane:
    """(1 - p)^age."""
    return exp(age * h.distribution_staleness_log_older)


def uniform_or_older(h: Hyperparameters, age: Lane) -> Lane:
    """The share of ages up to the largest that are not below it."""
    return maximum(h.distribution_staleness_most + 1.0 - age, 0.0) / (h.distribution_staleness_most + 1.0)


def uniform_age(h: Hyperparameters, u: Lane) -> Lane:
    """Each age up to the largest as likely."""
    return minimum(floor(u * (h.distribution_staleness_most + 1.0)), h.distribution_staleness_most)


def next_point(team: Team, points: Lane, left: Mask) -> tuple[Count, Mask]:
    """(where the point of one of the lanes that are left begins in `Team.server`, the lanes that have it)."""
    point = one_of(points, left)
    return np.int64(point) * team.size, points == point


@noinline
def take_point(team: Team, source: Lane) -> None:
    """Puts the computing worker to the point that each lane has, point by point."""
    left = source == source
    while any(left):
        begin, mine = next_point(team, source, left)
        for place in range(team.size):
            keep_where(team.weights, place * WIDTH, mine, load(team.server, (begin + place) * WIDTH, WIDTH))
        left = left & ~mine


@noinline
def keep_point(team: Team, goal: Lane) -> None:
    """Puts the server's weights, which the computing worker has, to the point that each lane has."""
    left = goal == goal
    while any(left):
        begin, mine = next_point(team, goal, left)
        for place in range(team.size):
            keep_where(team.server, (begin + place) * WIDTH, mine, load(team.weights, place * WIDTH, WIDTH))
        left = left & ~mine


@noinline
def begin_at_start(team: Team, pack: Pack, fresh: Mask) -> None:
    """All points and the server's weights are the start, and no worker has begun: its time is negative."""
    for number in range(len(team.numbers) // WIDTH):
        keep_where(team.numbers, number * WIDTH, fresh, splat(ZERO, WIDTH))
    if len(team.numbers) > FIRST * WIDTH:
        keep_where(team.numbers, FIRST * WIDTH, fresh, splat(ZERO, WIDTH) - 1.0)
    for place in range(team.size):
        w = load(team.weights, place * WIDTH, WIDTH)
        keep_where(team.slots, ((place + 1) * team.slot_count - 1) * WIDTH, fresh, w)
        for point in range(place, len(team.server) // WIDTH, team.size):
            keep_where(team.server, point * WIDTH, fresh, w)


def count_age(team: Team, age: Lane) -> None:
    """Adds an age to a run's numbers."""
    total = load(team.numbers, AGES * WIDTH, WIDTH) + age
    many = floor(total / MANY_AGES)
    store(team.numbers, AGES * WIDTH, total - many * MANY_AGES)
    store(team.numbers, AGES_HIGH * WIDTH, load(team.numbers, AGES_HIGH * WIDTH, WIDTH) + many)
    store(team.numbers, OLDEST * WIDTH, maximum(load(team.numbers, OLDEST * WIDTH, WIDTH), age))


def every_gradient(h: Hyperparameters, gradients: Lane) -> Lane:
    """The server makes a step of every gradient."""
    return gradients


def every_full_buffer(h: Hyperparameters, gradients: Lane) -> Lane:
    """The server makes a step of each buffer of gradients."""
    return gradients // as_type_of(h.distribution_buffer, gradients)


def tell_server(team: Team, age: Lane, updates: Lane) -> None:
    """Says to the rule of the next step how old its gradient is, and how many updates there have been."""
    high, low = split_count(updates, age)
    first = (team.carry_count - OF_SERVER) * WIDTH
    store(team.carry, first, age)
    store(team.carry, first + WIDTH, high)
    store(team.carry, first + 2 * WIDTH, low)


def step_in_turn(job: Job, steps: Count) -> None:
    """Lets the workers whose gradients come next compute them, and the server step."""
    team, pack = job.team, job.pack
    for _ in range(steps):
        event, step, active = next_event(job), load(pack.step, 0, WIDTH), load(pack.monitor.active, 0, WIDTH)
        take_point(team, event.source)
        store(team.step, 0, event.made)
        store(team.shard, 0, load(pack.shard, 0, WIDTH) + event.worker)
        tell_server(team, event.age, step)
        store(team.active, 0, where(load(team.diverged, 0, WIDTH) != 0, active * 0, active))
        made = 0
        while made < 1:
            made += run_worker(team, 0, 1)
            note_divergence(team)
        count_age(team, event.age)
        end_event(job, event)
        store(pack.step, 0, step + 1)


def share_of_worker(team: Team, pack: Pack, point: Count) -> Lane:
    """Each worker of a queue has a point of its own."""
    return 1.0 / as_type_of(splat(len(team.slowness), WIDTH), splat(ZERO, WIDTH))


def share_of_age(team: Team, pack: Pack, point: Count) -> Lane:
    """How likely the next gradient is as old as a point is; the oldest point stands for all ages from its own on."""
    h, step, points = hyperparameters_of(pack), load(pack.step, 0, WIDTH), len(team.server) // (team.size * WIDTH)
    oldest = as_type_of(splat(points - 1, WIDTH), splat(ZERO, WIDTH))
    age = as_type_of((step + (points - point)) % points, oldest)
    return age_or_older(h, age) - where(age < oldest, age_or_older(h, age + 1.0), age * 0.0)


@noinline
def distance_of_points(team: Team, pack: Pack, places: Memory) -> Lane:
    """The mean square distance of the points at which gradients are taken from the server's stored weights; what lies
    at others does not count, be it infinite.
    """
    total = splat(ZERO, WIDTH)
    for point in range(len(team.server) // (team.size * WIDTH)):
        share = share_of_point(team, pack, point)
        off = share * squared_distance(team.server, point * team.size, team.weights, places)
        total = where(share > 0.0, total + off, total)
    return total


def mean_age(team: Team, pack: Pack) -> Lane:
    """How old gradients have been, the mean so far."""
    total = load(team.numbers, AGES_HIGH * WIDTH, WIDTH) * MANY_AGES + load(team.numbers, AGES * WIDTH, WIDTH)
    return total / maximum(as_type_of(load(pack.step, 0, WIDTH), total), 1.0)


def report_updated(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the server's parameters, and notes how far off and how old gradients are."""
    for place in range(0, team.size * WIDTH, WIDTH):
        store(pack.weights, place, load(team.shown, place, WIDTH))
    store(noted, 0, distance_of_points(team, pack, places))
    store(noted, WIDTH, mean_age(team, pack))
    store(noted, 2 * WIDTH, load(team.numbers, OLDEST * WIDTH, WIDTH))
