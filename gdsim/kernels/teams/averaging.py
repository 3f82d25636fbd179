"""Periodic averaging: every `period` steps all workers go on from the mean of their weights (Stich 2018,
arXiv:1805.09767).
"""

from gdsim.kernels.state import Pack, Sum, added, total_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.parts import exchange_state
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.types import Count, Hyperparameters, Lane, Mask, Memory, Offset

TERMS = 16  # of a sum of squares, before it is added to the others with compensation


def since_after(h: Hyperparameters, step: Lane) -> Lane:
    """Steps since the first `after`, from which periods count."""
    after = as_type_of(h.distribution_after, step)
    return where(step < after, step * 0, step - after)


def steps_to_average(h: Hyperparameters, step: Lane) -> Lane:
    """Means are taken after each of the first `after` steps, then after every `period`."""
    period, after = as_type_of(h.distribution_period, step), as_type_of(h.distribution_after, step)
    return where(step < after, step * 0 + 1, period - since_after(h, step) % period)


def steps_to_period(h: Hyperparameters, step: Lane) -> Lane:
    """After every `period` steps."""
    period = as_type_of(h.distribution_period, step)
    return period - step % period


def every_step(h: Hyperparameters, step: Lane) -> Lane:
    """After each step."""
    return step * 0 + 1


def sum_of_terms(team: Team) -> Lane:
    """The sum of `Team.terms` over workers, in pairs, then pairs of these: the same for any workers beside."""
    between = 1
    while between < team.workers:
        for worker in range(0, team.workers - between, 2 * between):
            there = worker * WIDTH
            store(team.terms, there, load(team.terms, there, WIDTH) + load(team.terms, there + between * WIDTH, WIDTH))
        between *= 2
    return load(team.terms, 0, WIDTH)


def equal_share(team: Team) -> Lane:
    """A worker's share where all count alike."""
    return 1.0 / as_type_of(splat(team.workers, WIDTH), splat(ZERO, WIDTH))


@default_part
def share_of(team: Team, worker: Count) -> Lane:
    """A worker's share in the mean: as large as any other's."""
    return equal_share(team)


def mean_over_workers(team: Team, array: Memory, at: Offset, between: Offset) -> Lane:
    """The mean of the numbers at `at` + worker * `between`: w_0 + the sum of p_k (w_k - w_0) in pairs, which of
    equal numbers is that number, bit for bit.
    """
    first = load(array, at, WIDTH)
    for worker in range(team.workers):
        store(team.terms, worker * WIDTH, (load(array, at + worker * between, WIDTH) - first) * share_of(team, worker))
    way = sum_of_terms(team)
    return where(way == 0.0, first, first + way)


def keep_where(array: Memory, at: Offset, lanes: Mask, value: Lane) -> None:
    """Stores a value in some of the lanes."""
    store(array, at, where(lanes, value, load(array, at, WIDTH)))


def move_where(array: Memory, at: Offset, way: Lane, lanes: Mask) -> None:
    """Moves the number at a place by `way`, in some of the lanes; by no way it keeps its bits."""
    x = load(array, at, WIDTH)
    store(array, at, where(lanes & (way != 0.0), x + way, x))


def give_all(team: Team, array: Memory, at: Offset, between: Offset, due: Mask, value: Lane) -> None:
    """Gives every worker a number, in the lanes that are due."""
    for worker in range(team.workers):
        keep_where(array, at + worker * between, due, value)


def average_array(team: Team, array: Memory, count: int, due: Mask) -> None:
    """Gives all workers the means of an array of theirs of `count` numbers each."""
    for number in range(count):
        at, between = number * WIDTH, count * WIDTH
        give_all(team, array, at, between, due, mean_over_workers(team, array, at, between))


def keep_state(team: Team, due: Mask) -> None:
    """Each worker keeps its slots and carry."""


def average_state(team: Team, due: Mask) -> None:
    """Slots and carry are averaged too; what counts steps is the same in all workers."""
    average_array(team, team.slots, team.size * team.slot_count, due)
    average_array(team, team.carry, team.carry_count, due)


def reset_state(team: Team, due: Mask) -> None:
    """Workers begin anew: slots and carry are 0."""
    zero = splat(ZERO, WIDTH)
    for number in range(team.size * team.slot_count):
        give_all(team, team.slots, number * WIDTH, team.size * team.slot_count * WIDTH, due, zero)
    for number in range(team.carry_count):
        give_all(team, team.carry, number * WIDTH, team.carry_count * WIDTH, due, zero)


def average_weights(team: Team, pack: Pack, due: Mask) -> None:
    """All workers go on from the mean of their weights."""
    average_array(team, team.weights, team.size, due)
    exchange_state(team, due)


def keep_nothing(team: Team, pack: Pack, lanes: Mask) -> None:
    """Where nothing is kept, mixed or told."""


def squared_distance(array: Memory, begin: Count, center: Memory, places: Memory) -> Lane:
    """|w - c|^2 of the parameters w from a place of an array on, in blocks of `TERMS` parameters, the blocks' sums added with compensation."""
    zero = splat(ZERO, WIDTH)
    total = Sum(zero, zero)
    for first in range(0, len(places), TERMS):
        part = zero
        for k in range(first, min(first + TERMS, len(places))):
            way = load(array, (begin + places[k]) * WIDTH, WIDTH) - load(center, places[k] * WIDTH, WIDTH)
            part = fma_lanes(way, way, part)
        total = added(total, part)
    return total_of(total)


def note_disagreement(team: Team, center: Memory, places: Memory, noted: Memory) -> None:
    """The mean over workers of the squared distance from the center, as the first of what is noted."""
    share = equal_share(team)
    for worker in range(team.workers):
        store(team.terms, worker * WIDTH, squared_distance(team.shown, worker * team.size, center, places) * share)
    store(noted, 0, sum_of_terms(team))


def report_mean(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the mean of the workers' weights, and how far they are from it."""
    for place in range(team.size):
        store(pack.weights, place * WIDTH, mean_over_workers(team, team.shown, place * WIDTH, team.size * WIDTH))
    note_disagreement(team, pack.weights, places, noted)
