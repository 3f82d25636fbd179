"""Workers of a server that compute for random times: whose gradient comes next.

Behind the numbers of an asynchronous run stand, of each worker, how long it still computes, how many steps it
has made, and how many the server had made when it read. Times are those of a law of mean 1: the order of
events is the same for every mean, and times that are multiples of each other stay so.
"""

from typing import NamedTuple

from gdsim.distribution.compute_times import time_of_step
from gdsim.kernels.job import Job
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.teams.asynchronous import FIRST, VERSION, Event, keep_point, seed_of
from gdsim.kernels.teams.averaging import keep_where
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any
from gdsim.lanes.operations import as_type_of, load, minimum, splat, store, where
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Count, Lane, Lanes, Mask, Memory, Offset

LEFT, MADE, READ, EACH = 0, 1, 2, 3  # of each worker, EACH numbers
WAITS = 1e30  # what is left of the time of a worker that waits


class Clock(NamedTuple):
    """What the times of a run's workers are drawn by."""

    start: Lane
    seed: Lanes
    shape: Lane  # of their law, float64
    slowness: Memory  # [worker]: 1 over its speed


def place_of(worker: Count, number: Count) -> Offset:
    """Where a number of a worker lies among a run's."""
    return (FIRST + worker * EACH + number) * WIDTH


def time_left(clock: Clock, worker: Lane, made: Lane, slowness: Lane) -> Lane:
    """How long a worker's next step takes, of the type of `made`."""
    return as_type_of(time_of_step(clock.start, worker, as_type_of(made, clock.start), clock.seed, clock.shape), made) * slowness


@noinline
def begin_queue(numbers: Memory, clock: Clock, fresh: Mask) -> None:
    """Lets all workers of fresh runs begin their first steps."""
    for worker in range(len(clock.slowness)):
        place = place_of(worker, LEFT)
        left = load(numbers, place, WIDTH)
        first = time_left(clock, clock.start * 0 + worker, left * 0.0, splat(clock.slowness[worker], WIDTH))
        store(numbers, place, where(fresh, first, left))


def first_done(numbers: Memory, clock: Clock) -> tuple[Lane, Event]:
    """(how long it takes, the event) of the worker that is done first, of several the one with the lowest number;
    so much time passes.
    """
    fresh = load(numbers, place_of(0, LEFT), WIDTH) < 0.0
    if any(fresh):
        begin_queue(numbers, clock, fresh)
    soonest, who = load(numbers, place_of(0, LEFT), WIDTH), clock.start * 0
    made, read = load(numbers, place_of(0, MADE), WIDTH), load(numbers, place_of(0, READ), WIDTH)
    for worker in range(1, len(clock.slowness)):
        left = load(numbers, place_of(worker, LEFT), WIDTH)
        sooner = left < soonest
        soonest, who = where(sooner, left, soonest), where(sooner, clock.start * 0 + worker, who)
        made = where(sooner, load(numbers, place_of(worker, MADE), WIDTH), made)
        read = where(sooner, load(numbers, place_of(worker, READ), WIDTH), read)
    for worker in range(len(clock.slowness)):
        place = place_of(worker, LEFT)
        store(numbers, place, load(numbers, place, WIDTH) - soonest)
    return soonest, Event(who, made, load(numbers, VERSION * WIDTH, WIDTH) - read, who, who)


def begin_next(numbers: Memory, clock: Clock, event: Event) -> None:
    """The worker of an event begins its next step, at what the server has now."""
    slowness = splat(clock.slowness[0], WIDTH)
    for worker in range(1, len(clock.slowness)):
        slowness = where(event.worker == worker, splat(clock.slowness[worker], WIDTH), slowness)
    made, version = event.made + 1.0, load(numbers, VERSION * WIDTH, WIDTH)
    left = time_left(clock, event.worker, made, slowness)
    for worker in range(len(clock.slowness)):
        mine = event.worker == worker
        keep_where(numbers, place_of(worker, LEFT), mine, left)
        keep_where(numbers, place_of(worker, MADE), mine, made)
        keep_where(numbers, place_of(worker, READ), mine, version)


def stop_worker(numbers: Memory, workers: Count, event: Event) -> Lane:
    """The worker of an event waits; how many steps the slowest worker has made."""
    slowest = event.made + 1.0
    for worker in range(workers):
        mine = event.worker == worker
        keep_where(numbers, place_of(worker, LEFT), mine, event.made * 0.0 + WAITS)
        keep_where(numbers, place_of(worker, MADE), mine, event.made + 1.0)
        slowest = minimum(slowest, load(numbers, place_of(worker, MADE), WIDTH))
    return slowest


def begin_if_near(numbers: Memory, clock: Clock, worker: Count, too_far: Lane) -> Mask:
    """In which lanes a worker that waits begins its next step: where it has made fewer than `too_far` steps."""
    made = load(numbers, place_of(worker, MADE), WIDTH)
    begins = (load(numbers, place_of(worker, LEFT), WIDTH) > 0.5 * WAITS) & (made < too_far)
    if any(begins):
        left = time_left(clock, clock.start * 0 + worker, made, splat(clock.slowness[worker], WIDTH))
        keep_where(numbers, place_of(worker, LEFT), begins, left)
        keep_where(numbers, place_of(worker, READ), begins, load(numbers, VERSION * WIDTH, WIDTH))
    return begins


def clock_of(job: Job) -> Clock:
    """By which the times of a job's runs are drawn."""
    shape = hyperparameters_of(job.pack).distribution_staleness_shape
    return Clock(load(job.pack.start, 0, WIDTH), seed_of(job.team), as_type_of(shape, splat(0.0, WIDTH)), job.team.slowness)


def next_of_queue(job: Job) -> Event:
    """The event of the worker that is done first."""
    return first_done(job.team.numbers, clock_of(job))[1]


def go_on(job: Job, event: Event) -> None:
    """The worker reads the server's weights and goes on."""
    keep_point(job.team, event.goal)
    begin_next(job.team.numbers, clock_of(job), event)


def go_on_if_near(job: Job, event: Event) -> None:
    """Of the worker and those that wait, who is not too far ahead of the slowest reads and goes on."""
    team, clock = job.team, clock_of(job)
    too_far = stop_worker(team.numbers, len(team.slowness), event) + hyperparameters_of(job.pack).distribution_bound
    for worker in range(len(team.slowness)):
        begins = begin_if_near(team.numbers, clock, worker, too_far)
        if any(begins):
            for place in range(team.size):
                keep_where(team.server, (worker * team.size + place) * WIDTH, begins, load(team.weights, place * WIDTH, WIDTH))
