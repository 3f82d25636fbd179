"""Asynchronous updates: in every step one worker's gradient, at weights that it read before, moves the server's
(Zhang et al. 2016, arXiv:1511.05950; Mitliagkas et al. 2016, arXiv:1605.09774).

A pack's team has one worker that computes, for each lane in turn another: its weights are the point where the
lane's next gradient is taken, its rule is `rules.stale`, which keeps the server's. What has been read lies in
`Team.server` [point, place, lane]: a point for each worker of a queue (`kernels.teams.queue`), or the last
ones of the server where the staleness is given. The numbers of a run begin with the sum of all ages, the
largest, and how many steps the server has made.
"""

from typing import NamedTuple

import numpy as np

from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.averaging import keep_where
from gdsim.kernels.teams.parts import age_of, end_event, next_event, server_steps
from gdsim.kernels.teams.team import note_divergence
from gdsim.lanes.compiler import noinline
from gdsim.lanes.elementary import log
from gdsim.lanes.masks import any, extract, first_of
from gdsim.lanes.memory import call_kernel
from gdsim.lanes.operations import as_type_of, floor, fma_lanes, load, maximum, minimum, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.philox import COMPUTE_TIME, random_words, unit_interval
from gdsim.lanes.types import Count, Hyperparameters, Lane, Lanes, Mask, Memory

AGES, OLDEST, VERSION, FIRST = 0, 1, 2, 3  # places in a run's numbers; a queue's begin at FIRST


class Event(NamedTuple):
    """Whose gradient is applied next, and where it was taken."""

    worker: Lane  # uint32
    made: Lane  # how many steps the worker has made, of the numbers' type
    age: Lane  # likewise: of its gradient
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
    return Event(step % workers, as_type_of(step // workers, real), age, source, (step + 1) % points)


def keep_last(job: Job, event: Event) -> None:
    """The server's weights are the last of the points."""
    keep_point(job.team, event.goal)


def fixed_age(h: Hyperparameters, u: Lane) -> Lane:
    """The same age for all."""
    return u * 0.0 + h.distribution_staleness_steps


def geometric_age(h: Hyperparameters, u: Lane) -> Lane:
    """P(age) = p (1 - p)^age."""
    return maximum(floor(log(u) * h.distribution_staleness_per_log), 0.0)


def uniform_age(h: Hyperparameters, u: Lane) -> Lane:
    """Each age up to the largest as likely."""
    return minimum(floor(u * (h.distribution_staleness_most + 1.0)), h.distribution_staleness_most)


@noinline
def take_point(team: Team, source: Lane) -> None:
    """Puts the computing worker to the point that each lane has, point by point."""
    left = source == source
    while any(left):
        point = extract(source, first_of(left, 0))
        mine, begin = source == point, np.int64(point) * team.size
        for place in range(team.size):
            keep_where(team.weights, place * WIDTH, mine, load(team.server, (begin + place) * WIDTH, WIDTH))
        left = left & ~mine


@noinline
def keep_point(team: Team, goal: Lane) -> None:
    """Puts the server's weights, which the computing worker has, to the point that each lane has."""
    left = goal == goal
    while any(left):
        point = extract(goal, first_of(left, 0))
        mine, begin = goal == point, np.int64(point) * team.size
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


def count_step(team: Team, age: Lane) -> None:
    """Adds an age to a run's numbers, and the server's step."""
    store(team.numbers, AGES * WIDTH, load(team.numbers, AGES * WIDTH, WIDTH) + age)
    store(team.numbers, OLDEST * WIDTH, maximum(load(team.numbers, OLDEST * WIDTH, WIDTH), age))
    store(team.numbers, VERSION * WIDTH, load(team.numbers, VERSION * WIDTH, WIDTH) + server_steps(team))


def one_step(team: Team) -> Lane:
    """The server makes a step of every gradient."""
    return splat(ZERO, WIDTH) + 1.0


def step_if_full(team: Team) -> Lane:
    """The server has made a step where its buffer is empty again."""
    gathered = load(team.carry, (team.carry_count - 3) * WIDTH, WIDTH)
    return where(gathered == 0.0, gathered + 1.0, gathered * 0.0)


def step_in_turn(job: Job, steps: Count) -> None:
    """Lets the workers whose gradients come next compute them, and the server step."""
    team, pack = job.team, job.pack
    for _ in range(steps):
        event, step, active = next_event(job), load(pack.step, 0, WIDTH), load(pack.monitor.active, 0, WIDTH)
        take_point(team, event.source)
        store(team.step, 0, as_type_of(event.made, step))
        store(team.shard, 0, load(pack.shard, 0, WIDTH) + event.worker)
        store(team.carry, (team.carry_count - 2) * WIDTH, event.age)
        store(team.carry, (team.carry_count - 1) * WIDTH, as_type_of(step, event.age))
        store(team.active, 0, where(load(team.diverged, 0, WIDTH) != 0, active * 0, active))
        made = 0
        while made < 1:
            made += call_kernel(team.advance, team.first_table, 1)
            note_divergence(team)
        count_step(team, event.age)
        end_event(job, event)
        store(pack.step, 0, step + 1)


@noinline
def report_server(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the server's parameters; of what is noted the mean square distance of the points from the stored
    ones, the mean age of gradients and the largest.
    """
    for place in range(0, team.size * WIDTH, WIDTH):
        store(pack.weights, place, load(team.shown, place, WIDTH))
    real = splat(ZERO, WIDTH)
    points, total = len(team.server) // (team.size * WIDTH), real
    for point in range(points):
        for p in range(len(places)):
            server = load(team.slots, ((places[p] + 1) * team.slot_count - 1) * WIDTH, WIDTH)
            way = load(team.server, (point * team.size + places[p]) * WIDTH, WIDTH) - server
            total = fma_lanes(way, way, total)
    store(noted, 0, total / as_type_of(splat(points, WIDTH), real))
    step = as_type_of(load(pack.step, 0, WIDTH), real)
    store(noted, WIDTH, load(team.numbers, AGES * WIDTH, WIDTH) / maximum(step, 1.0))
    store(noted, 2 * WIDTH, load(team.numbers, OLDEST * WIDTH, WIDTH))
