"""Hierarchical averaging: neighbours are averaged in groups at shorter periods than all workers, the largest
period that divides a step acting alone (Lin et al. 2018, arXiv:1808.07217).

GROUPS has pairs (workers of a group, period), the smallest first.
"""

from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.averaging import reset_state, since_after, steps_to_average
from gdsim.kernels.teams.parts import GROUPS, exchange_all, exchange_group_state
from gdsim.kernels.teams.workers import keep_where, moved_by_terms
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any
from gdsim.lanes.operations import as_type_of, load, minimum, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Count, Hyperparameters, Lane, Mask, Memory, Offset


def steps_to_groups(h: Hyperparameters, step: Lane) -> Lane:
    """To the next mean of a group or of all; after each of the first `after` steps."""
    since, wait = since_after(h, step), steps_to_average(h, step)
    for _, every in GROUPS:
        wait = minimum(wait, every - since % every)
    return wait


def mean_in_group(team: Team, array: Memory, at: Offset, between: Offset, members: tuple[Count, Count]) -> Lane:
    """`workers.mean_over_workers` of the workers from the first to before the second of `members`."""
    begin, end = members
    zero = splat(ZERO, WIDTH)
    first, share = load(array, at + begin * between, WIDTH), 1.0 / as_type_of(splat(end - begin, WIDTH), zero)
    for worker in range(team.workers):
        store(team.terms, worker * WIDTH, zero)
    for worker in range(begin, end):
        store(team.terms, worker * WIDTH, (load(array, at + worker * between, WIDTH) - first) * share)
    return moved_by_terms(team, first)


@noinline
def average_groups(team: Team, array: Memory, count: Count, size: Count, due: Mask) -> None:
    """Gives the workers of each group the means of an array of `count` numbers a worker."""
    between = count * WIDTH
    for begin in range(0, team.workers, size):
        for number in range(count):
            mean = mean_in_group(team, array, number * WIDTH, between, (begin, begin + size))
            for worker in range(begin, begin + size):
                keep_where(array, number * WIDTH + worker * between, due, mean)


def keep_group_state(team: Team, size: Count, due: Mask) -> None:
    """Each worker keeps its slots and carry."""


def average_group_state(team: Team, size: Count, due: Mask) -> None:
    """Slots and carry are averaged in groups too."""
    average_groups(team, team.slots, team.size * team.slot_count, size, due)
    average_groups(team, team.carry, team.carry_count, size, due)


def reset_group_state(team: Team, size: Count, due: Mask) -> None:
    """Workers begin anew, those of all groups at once."""
    reset_state(team, due)


def exchange_in_groups(team: Team, pack: Pack, due: Mask) -> None:
    """The workers of a group, or all, go on from their mean: by the largest period that divides the step."""
    h, step = hyperparameters_of(pack), load(pack.step, 0, WIDTH)
    since = since_after(h, step)
    of_all = due & ((step <= as_type_of(h.distribution_after, step)) | (since % as_type_of(h.distribution_period, step) == 0))
    left = due & ~of_all
    for level in range(len(GROUPS) - 1, -1, -1):
        size, every = GROUPS[level]
        mine = left & (since % every == 0)
        if any(mine):
            average_groups(team, team.weights, team.size, size, mine)
            exchange_group_state(team, size, mine)
        left = left & ~mine
    if any(of_all):
        exchange_all(team, pack, of_all)
