"""The kernels of teams: their workers' steps between exchanges, whatever the kind."""

import numpy as np

from gdsim.kernels.attendants import attended, run_worker
from gdsim.kernels.job import Job
from gdsim.kernels.parts import CARRY_COUNT, SLOT_COUNT, job_of
from gdsim.kernels.snapshots import FOREVER
from gdsim.kernels.state import Pack, StepInputs
from gdsim.kernels.steps import LOSS_BEYOND_BOUND, hyperparameters_of, step_at
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.parts import (
    EXCHANGES_AFTER_ONE_STEP,
    SHOWS_STORED,
    STANDS_STORED,
    before_exchange,
    begin_team,
    exchange,
    report_team,
    steps_to_exchange,
)
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import any, smallest
from gdsim.lanes.operations import load, store, where
from gdsim.lanes.parts import WIDTH, default_part
from gdsim.lanes.tiles import load_row
from gdsim.lanes.types import Address, Count, Hyperparameters, Lane, Lanes, Mask
from gdsim.rules.parts import reported, standing


def begin_runs(job: Job) -> None:
    """Makes teams of the runs that have come into lanes since the last steps: every worker has the start's
    weights and no slots, unless the run goes on from a state, which has all.
    """
    team, is_resumed = job.team, len(job.runs.begin.slots) > 0
    for lane in attended():
        team.fresh[lane] = 0
        if team.run[lane] != job.lanes.run[lane]:
            team.run[lane] = job.lanes.run[lane]
            team.diverged[lane] = 0
            team.fresh[lane] = 0 if is_resumed else 1
    fresh = load(team.fresh, 0, WIDTH) != 0
    if any(fresh):
        copy_start(job, fresh)
        begin_team(team, job.pack, fresh)


@noinline
def copy_start(job: Job, fresh: Mask) -> None:
    """Gives every worker of fresh runs the pack's weights."""
    team, weights = job.team, job.pack.weights
    for place in range(team.size):
        w = load(weights, place * WIDTH, WIDTH)
        for worker in range(team.workers):
            there = (worker * team.size + place) * WIDTH
            store(team.weights, there, where(fresh, w, load(team.weights, there, WIDTH)))


def note_divergence(team: Team) -> None:
    """Notes the lanes in which the worker that steps has diverged, which then step on unwatched."""
    flagged = load(team.flags, 0, WIDTH) != 0
    for_none = load(team.flags, 0, WIDTH) * 0
    store(team.diverged, 0, where(flagged, for_none + 1, load(team.diverged, 0, WIDTH)))
    store(team.active, 0, where(flagged, for_none, load(team.active, 0, WIDTH)))
    store(team.flags, 0, for_none)


@default_part
def wait_of(table: Address, h: Hyperparameters, step: Lane) -> Lane:
    """How many steps runs make to their next exchange: what their numbers say."""
    return steps_to_exchange(h, step)


@default_part
def place_worker(job: Job, worker: Count) -> None:
    """Says whose samples a worker's steps draw: of workers with samples of their own the k-th shard of its run."""
    store(job.team.shard, 0, load(job.pack.shard, 0, WIDTH) + worker)


@default_part
def step_worker(job: Job, worker: int, steps: Count) -> None:
    """Lets a worker make so many steps, of all lanes."""
    team, made = job.team, 0
    while made < steps:
        made += run_worker(team, worker, steps - made)
        note_divergence(team)


@default_part
def step_workers(job: Job, steps: Count) -> None:
    """Lets every worker of every lane make so many steps."""
    team, pack = job.team, job.pack
    begin, active = load(pack.step, 0, WIDTH), load(pack.monitor.active, 0, WIDTH)
    store(team.active, 0, where(load(team.diverged, 0, WIDTH) != 0, active * 0, active))
    for worker in range(team.workers):
        place_worker(job, worker)
        store(team.step, 0, begin)
        step_worker(job, worker, steps)
    store(pack.step, 0, begin + steps)


def ends_here(job: Job, due: Mask) -> bool:
    """Whether runs end of which a worker has diverged: they have come to an exchange or an event."""
    team, monitor = job.team, job.pack.monitor
    diverged = load(team.diverged, 0, WIDTH)
    known = due | (load(job.pack.step, 0, WIDTH) == load(monitor.due, 0, WIDTH))
    ended = (diverged != 0) & (load(monitor.active, 0, WIDTH) != 0) & known
    if any(ended):
        flags = load(monitor.flags, 0, WIDTH)
        store(monitor.flags, 0, where(ended, flags * 0 + LOSS_BEYOND_BOUND, flags))
        store(team.diverged, 0, where(ended, diverged * 0, diverged))
        return True
    return False


def advance(table: Address, steps: Count) -> Count:
    """The kernel: up to `steps` steps of every worker of every lane; fewer if a run ends. How many were
    made.
    """
    job = job_of(table)
    team, pack = job.team, job.pack
    begin_runs(job)
    done = 0
    while done < steps:
        active = load(pack.monitor.active, 0, WIDTH) != 0
        wait = wait_of(table, hyperparameters_of(pack), load(pack.step, 0, WIDTH))
        count = min(steps - done, np.int64(smallest(where(active, wait, FOREVER))))
        if EXCHANGES_AFTER_ONE_STEP:
            if count > 1:
                count -= 1
            elif any(active & (wait == 1)):
                if not STANDS_STORED:
                    stand_up(team, pack)
                before_exchange(team, pack, active & (wait == 1))
                if not STANDS_STORED:
                    put_back(team)
        step_workers(job, count)
        done += count
        due = active & (wait == count)
        if any(due):
            if not STANDS_STORED:
                stand_up(team, pack)
            exchange(team, pack, due)
            if not STANDS_STORED:
                step_back(team, pack, due)
        if ends_here(job, due):
            break
    return done


def next_step(team: Team, pack: Pack, worker: Count) -> StepInputs:
    """The numbers of a worker's next step."""
    carry = load_row(team.carry, worker * CARRY_COUNT * WIDTH, WIDTH, CARRY_COUNT, WIDTH)
    return step_at(hyperparameters_of(pack), load(pack.step, 0, WIDTH) + 1, carry)[0]


def slots_at(team: Team, place: Count) -> Lanes:
    """The slots at a place of all workers' weights."""
    return load_row(team.slots, place * SLOT_COUNT * WIDTH, WIDTH, SLOT_COUNT, WIDTH)


@noinline
def stand_up(team: Team, pack: Pack) -> None:
    """Puts into the weights of all workers where their models stand; what was stored is kept in `shown`."""
    for worker in range(team.workers):
        step = next_step(team, pack, worker)
        for place in range(worker * team.size, (worker + 1) * team.size):
            w, slots = load(team.weights, place * WIDTH, WIDTH), slots_at(team, place)
            store(team.shown, place * WIDTH, w)
            store(team.weights, place * WIDTH, standing(w, slots, step.rule))


@noinline
def put_back(team: Team) -> None:
    """Stores again what was stored before `stand_up`, of workers that have not moved."""
    for at in range(0, team.workers * team.size * WIDTH, WIDTH):
        store(team.weights, at, load(team.shown, at, WIDTH))


@noinline
def step_back(team: Team, pack: Pack, moved: Mask) -> None:
    """Stores again what belongs to where models stand: what was, bit for bit, where they have not moved."""
    for worker in range(team.workers):
        step = next_step(team, pack, worker)
        for place in range(worker * team.size, (worker + 1) * team.size):
            w, slots = load(team.weights, place * WIDTH, WIDTH), slots_at(team, place)
            kept = load(team.shown, place * WIDTH, WIDTH)
            is_there = standing(kept, slots, step.rule) == w
            store(team.weights, place * WIDTH, where(moved & ~is_there, w - standing(w * 0.0, slots, step.rule), kept))


@noinline
def show_workers(team: Team, pack: Pack) -> None:
    """Writes the parameters that every worker's rule reports."""
    for worker in range(team.workers):
        step = next_step(team, pack, worker)
        for place in range(worker * team.size, (worker + 1) * team.size):
            store(team.shown, place * WIDTH, reported(load(team.weights, place * WIDTH, WIDTH), slots_at(team, place), step.rule))


def report(table: Address, steps: Count) -> Count:
    """The kernel: the reported parameters of every lane, and what is recorded of its team."""
    job = job_of(table)
    if not SHOWS_STORED:
        show_workers(job.team, job.pack)
    report_team(job.team, job.pack, job.spec.places, job.noted)
    return steps
