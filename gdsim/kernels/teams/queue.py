"""Workers of a server that compute for random times: whose gradient comes next.

Behind the numbers of an asynchronous run stand, of each worker, how long it is still under way, how many steps
it has made, as two numbers, and how many the server had made when it read, modulo 2^24, which ages below that do
not notice. Times are those of a law of mean 1, and messages take so many of its means:
the order of events is the same for every mean, and times that are multiples of each other stay so.
"""

from typing import NamedTuple

from gdsim.distribution.compute_times import time_of_step
from gdsim.kernels.job import Job
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.teams.asynchronous import FIRST, Event, keep_point, seed_of
from gdsim.kernels.teams.parts import server_version
from gdsim.kernels.teams.workers import keep_where
from gdsim.lanes.compiler import noinline
from gdsim.lanes.counts import joined_count, split_count
from gdsim.lanes.masks import any
from gdsim.lanes.operations import as_type_of, load, splat, store, where
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Count, Lane, Lanes, Mask, Memory, Offset

LEFT, MADE_HIGH, MADE, READ, EACH = 0, 1, 2, 3, 4  # of each worker, EACH numbers
VERSIONS = 2**24  # of the server, that READ tells apart
WAITS = 1e30  # what is left of the time of a worker that waits


class Clock(NamedTuple):
    """What the times of a run's workers are drawn by."""

    start: Lane
    seed: Lanes
    shape: Lane  # of their law, float64
    slowness: Memory  # [worker]: 1 over its speed
    messages: Lane  # mean times that a step's messages take, of the numbers' type


def place_of(worker: Count, number: Count) -> Offset:
    """Where a number of a worker lies among a run's."""
    return (FIRST + worker * EACH + number) * WIDTH


def made_by(numbers: Memory, worker: Count, clock: Clock) -> Lane:
    """How many steps a worker has made, a uint32 lane."""
    return joined_count(load(numbers, place_of(worker, MADE_HIGH), WIDTH), load(numbers, place_of(worker, MADE), WIDTH), clock.start)


def keep_made(numbers: Memory, worker: Count, lanes: Mask, made: Lane) -> None:
    """Keeps how many steps a worker has made, in some of the lanes."""
    high, low = split_count(made, load(numbers, place_of(worker, MADE), WIDTH))
    keep_where(numbers, place_of(worker, MADE_HIGH), lanes, high)
    keep_where(numbers, place_of(worker, MADE), lanes, low)


def keep_read(numbers: Memory, worker: Count, lanes: Mask, version: Lane) -> None:
    """Keeps which of the server's steps a worker has read, in some of the lanes."""
    place = place_of(worker, READ)
    keep_where(numbers, place, lanes, as_type_of(version % VERSIONS, load(numbers, place, WIDTH)))


def time_left(clock: Clock, worker: Lane, made: Lane, slowness: Lane) -> Lane:
    """How long a worker's next step takes, with its messages, of the type of `slowness`."""
    return as_type_of(time_of_step(clock.start, worker, made, clock.seed, clock.shape), slowness) * slowness + clock.messages


@noinline
def begin_queue(numbers: Memory, clock: Clock, fresh: Mask) -> None:
    """Lets all workers of fresh runs begin their first steps."""
    for worker in range(len(clock.slowness)):
        first = time_left(clock, clock.start * 0 + worker, clock.start * 0, splat(clock.slowness[worker], WIDTH))
        keep_where(numbers, place_of(worker, LEFT), fresh, first)


def first_done(numbers: Memory, clock: Clock, version: Lane) -> tuple[Lane, Event]:
    """(how long it takes, the event) of the worker that is done first, of several the one with the lowest number;
    so much time passes. The server has made `version` steps.
    """
    fresh = load(numbers, place_of(0, LEFT), WIDTH) < 0.0
    if any(fresh):
        begin_queue(numbers, clock, fresh)
    soonest, who = load(numbers, place_of(0, LEFT), WIDTH), clock.start * 0
    made, read = made_by(numbers, 0, clock), load(numbers, place_of(0, READ), WIDTH)
    for worker in range(1, len(clock.slowness)):
        left = load(numbers, place_of(worker, LEFT), WIDTH)
        sooner = left < soonest
        soonest, who = where(sooner, left, soonest), where(sooner, clock.start * 0 + worker, who)
        made = where(sooner, made_by(numbers, worker, clock), made)
        read = where(sooner, load(numbers, place_of(worker, READ), WIDTH), read)
    for worker in range(len(clock.slowness)):
        place = place_of(worker, LEFT)
        store(numbers, place, load(numbers, place, WIDTH) - soonest)
    age = as_type_of((version - as_type_of(read, version)) % VERSIONS, soonest)
    return soonest, Event(who, made, age, who, who)


def begin_next(numbers: Memory, clock: Clock, event: Event, version: Lane) -> None:
    """The worker of an event begins its next step, at what the server has now."""
    slowness = splat(clock.slowness[0], WIDTH)
    for worker in range(1, len(clock.slowness)):
        slowness = where(event.worker == worker, splat(clock.slowness[worker], WIDTH), slowness)
    left = time_left(clock, event.worker, event.made + 1, slowness)
    for worker in range(len(clock.slowness)):
        mine = event.worker == worker
        keep_where(numbers, place_of(worker, LEFT), mine, left)
        keep_made(numbers, worker, mine, event.made + 1)
        keep_read(numbers, worker, mine, version)


def stop_worker(numbers: Memory, clock: Clock, event: Event) -> Lane:
    """The worker of an event waits; how many steps the slowest worker has made."""
    slowest = event.made + 1
    for worker in range(len(clock.slowness)):
        mine = event.worker == worker
        keep_where(numbers, place_of(worker, LEFT), mine, event.age * 0.0 + WAITS)
        keep_made(numbers, worker, mine, event.made + 1)
        made = made_by(numbers, worker, clock)
        slowest = where(made < slowest, made, slowest)
    return slowest


def begin_if_near(numbers: Memory, clock: Clock, worker: Count, too_far: Lane, version: Lane) -> Mask:
    """In which lanes a worker that waits begins its next step, at what the server has now: where it has made fewer
    than `too_far` steps.
    """
    made = made_by(numbers, worker, clock)
    begins = (load(numbers, place_of(worker, LEFT), WIDTH) > 0.5 * WAITS) & (made < too_far)
    if any(begins):
        left = time_left(clock, clock.start * 0 + worker, made, splat(clock.slowness[worker], WIDTH))
        keep_where(numbers, place_of(worker, LEFT), begins, left)
        keep_read(numbers, worker, begins, version)
    return begins


def clock_of(job: Job) -> Clock:
    """By which the times of a job's runs are drawn."""
    h = hyperparameters_of(job.pack)
    shape = as_type_of(h.distribution_staleness_shape, splat(0.0, WIDTH))
    return Clock(load(job.pack.start, 0, WIDTH), seed_of(job.team), shape, job.team.slowness, h.distribution_staleness_messages_of_mean)


def version_after(job: Job, gradients: Lane) -> Lane:
    """How many steps the server of each run has made of so many gradients."""
    return server_version(hyperparameters_of(job.pack), gradients)


def next_of_queue(job: Job) -> Event:
    """The event of the worker that is done first."""
    return first_done(job.team.numbers, clock_of(job), version_after(job, load(job.pack.step, 0, WIDTH)))[1]


def go_on(job: Job, event: Event) -> None:
    """The worker reads the server's weights and goes on."""
    keep_point(job.team, event.goal)
    begin_next(job.team.numbers, clock_of(job), event, version_after(job, load(job.pack.step, 0, WIDTH) + 1))


def go_on_if_near(job: Job, event: Event) -> None:
    """Of the worker and those that wait, who is not too far ahead of the slowest reads and goes on."""
    team, clock, version = job.team, clock_of(job), version_after(job, load(job.pack.step, 0, WIDTH) + 1)
    too_far = stop_worker(team.numbers, clock, event) + as_type_of(hyperparameters_of(job.pack).distribution_bound, version)
    for worker in range(len(team.slowness)):
        begins = begin_if_near(team.numbers, clock, worker, too_far, version)
        if any(begins):
            for place in range(team.size):
                keep_where(team.server, (worker * team.size + place) * WIDTH, begins, load(team.weights, place * WIDTH, WIDTH))
