"""What kinds of teams have in common: numbers of all workers, given in some lanes, averaged, and how far apart."""

from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.team_memory import Team
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.types import Count, Lane, Mask, Memory, Offset

TERMS = 16  # of a sum of squares, before it is added to the others with compensation


def sum_of_terms(team: Team) -> Lane:
    """The sum of `Team.terms` over workers, in pairs, then pairs of these: the same for any workers beside."""
    between = 1
    while between < team.workers:
        for worker in range(0, team.workers - between, 2 * between):
            there = worker * WIDTH
            store(team.terms, there, load(team.terms, there, WIDTH) + load(team.terms, there + between * WIDTH, WIDTH))
        between *= 2
    return load(team.terms, 0, WIDTH)


def moved_by_terms(team: Team, x: Lane) -> Lane:
    """x + the sum of `Team.terms`, or x itself, bit for bit, where that is 0."""
    way = sum_of_terms(team)
    return where(way == 0.0, x, x + way)


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
    return moved_by_terms(team, first)


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


def squared_distance(array: Memory, begin: Count, center: Memory, places: Memory) -> Lane:
    """|w - c|^2 of the parameters w from a place of an array on, in blocks of `TERMS` parameters, whose sums are added
    with compensation.
    """
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
