"""Periodic averaging: every `period` steps all workers go on from the mean of their weights (Stich 2018,
arXiv:1805.09767).
"""

from gdsim.kernels.state import Pack
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.parts import exchange_state
from gdsim.kernels.teams.workers import give_all, mean_over_workers, note_disagreement
from gdsim.lanes.operations import as_type_of, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Hyperparameters, Lane, Mask, Memory


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


def report_mean(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the mean of the workers' weights, and how far they are from it."""
    for place in range(team.size):
        store(pack.weights, place * WIDTH, mean_over_workers(team, team.shown, place * WIDTH, team.size * WIDTH))
    note_disagreement(team, pack.weights, places, noted)
