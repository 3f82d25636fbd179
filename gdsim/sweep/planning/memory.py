"""Whether a plan fits the memory that this process may have, and with how many threads."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gdsim.kernels.engines import single_run_lanes
from gdsim.kernels.engines.layout import network_layout, single_run_layout
from gdsim.kernels.engines.passes import BLOCK
from gdsim.population import Setting
from gdsim.population.columns import columns_of
from gdsim.population.engine_choice import fits_single_run, for_runs, full_width, lanes_for
from gdsim.population.evaluation import whole_data_setting
from gdsim.population.hyperparameters import number_names
from gdsim.population.teams import during_steps, state_sizes
from gdsim.stops import REASONS, STATUSES
from gdsim.sweep.planning.machine import usable_cores, usable_memory
from gdsim.words import count_of, size_of

# A lane that is refilled so often is hardly ever idle at the end, and what a batch costs beside its runs is
# spread over them.
RUNS_PER_LANE = 512
# Batches of a thread, where its lanes are still refilled often: no thread waits long for another's last.
BATCHES_PER_THREAD, OFTEN = 4, 32
# Bytes of the starts that one thread holds at a time, unless one of them is larger.
BATCH_BYTES = 2**24
# Bytes of the samples of workers that one thread holds at a time, unless one run's are more.
SHARDS_BYTES = 2**27
# Bytes of a sample that a worker of one run has, while samples are shared out: its number as it is drawn, among
# those of all runs, and as kernels read it; and of a worker, its array and its row of the table.
HELD_SAMPLE_BYTES, HOLDER_BYTES = 8 + 8 + 4, 160
# Bytes per parameter of where it lies in a pack, kept and while it is found out; of a start while it is
# drawn: two arrays of float64, their product and the words.
PLACE_BYTES, DRAWN_BYTES = 48, 24
# Parameters of a network up to which it is laid out to be counted, in some hundredths of a second.
MOST_LAID_OUT = 10**6
# Bytes of a run in a result in memory beside those on a disk: its number, the cell's whole, references to its
# label and optimizer, how many parameters, words.
HELD_BYTES = 8 + 4 + 16 + 8 + 4 * (max(map(len, STATUSES)) + max(map(len, REASONS))) - 2
# What a process with gdsim, Numba and its kernels takes beside them, measured: 230 to 310 MB. A worker that
# may have less is killed before it trains.
WORKER_BYTES = 200_000_000


def points_of(setting: Setting) -> int:
    """How many points a thread keeps of each run that it trains: its start, or those whose sharpness is recorded."""
    return len(setting.checkpoints) if setting.record.sharpness else 1


def shard_bytes(setting: Setting) -> int:
    """Bytes of a run's samples while they are shared out among its workers; 0 where all runs of a cell have the same."""
    partition = setting.partition
    if setting.distribution is None or partition is None or not partition.is_drawn:
        return 0
    workers = max(setting.distribution.owners)
    return HELD_SAMPLE_BYTES * partition.samples_held(len(setting.problem.data.X), workers) + HOLDER_BYTES * workers


def runs_at_once(setting: Setting, width: int) -> int:
    """How many runs one thread holds at a time, at most: many for each lane, as far as their starts fit, and their
    workers' samples.
    """
    starts = BATCH_BYTES // (points_of(setting) * setting.problem.parameter_count * np.dtype(setting.dtype).itemsize)
    return max(1, min(RUNS_PER_LANE * width, starts, SHARDS_BYTES // max(1, shard_bytes(setting))))


def runs_together(setting: Setting, width: int, count: int, threads: int) -> int:
    """How many of `count` runs each of some threads trains in a batch: as many batches for every thread."""
    fewest = min(BATCHES_PER_THREAD, count // (threads * width * OFTEN))
    rounds = max(1, fewest, -(-count // (threads * runs_at_once(setting, width))))
    return -(-count // (threads * rounds * width)) * width


class Room(NamedTuple):
    """Numbers of a lane that training takes: places of parameters, and working memory for a block of
    samples.
    """

    places: int
    working: int


def room_of(setting: Setting, width: int) -> Room:
    """The room of a setting's kernels, as their layouts have it; of larger networks than are laid out only to
    be counted about what it is at least.
    """
    problem, data = setting.problem, setting.problem.data
    parameters, columns = problem.parameter_count, 0
    if data is not None:
        columns = data.X.shape[1] + data.y[0].size + (data.sample_weight is not None)
    pitch = -(-columns // 16) * 16
    if problem.family != "network":
        return Room(parameters, pitch * (BLOCK + 1) + (3 * parameters + max(pitch, parameters)) * (problem.family == "memory"))
    kept = 3 if problem.keeps_slopes else 2  # activations, deltas, slopes
    is_single_run = width == 1 and fits_single_run(setting)
    if parameters > MOST_LAID_OUT:
        rows = sum((3 if is_single_run else 1) * inputs + (1 if is_single_run else kept) * units for inputs, units in problem.layers)
        return Room(parameters, (BLOCK + 1) * rows + 2 * parameters)
    sizes = problem.wiring, pitch, problem.intercept, problem.keeps_slopes
    if is_single_run:
        single_run = single_run_layout(*sizes, single_run_lanes(np.dtype(setting.dtype)))
        return Room(single_run.size, kept * single_run.activations + single_run.row_major + single_run.size)
    layout = network_layout(*sizes)
    return Room(layout.size, kept * layout.rows * (BLOCK + 1) + 2 * layout.size)


def thread_bytes(setting: Setting, lanes: int | None, runs: int) -> int:
    """Bytes of a thread that trains so many runs: working memory, the samples of their workers, then starts while
    they are drawn, or a pack's state, two snapshots and the starts.
    """
    setting = for_runs(setting, runs)
    parameters, width = setting.problem.parameter_count, lanes or lanes_for(setting, runs, 1)
    size = np.dtype(setting.dtype).itemsize * (1 + len(setting.live_tangents))
    room, rule = room_of(setting, width), setting.rule
    kept = state_sizes(setting)[0]
    snapshots = 2 * (1 + (1 + kept) * setting.record.state)
    pack = width * size * (room.places * (1 + kept + during_steps(setting) + snapshots + 1 + rule.reports_other_point) + len(number_names(setting)))
    together = min(runs, runs_together(setting, width, runs, 1))
    starts = parameters * together
    trained = width * size * room.working + together * shard_bytes(setting) + max(starts * DRAWN_BYTES, pack + points_of(setting) * starts * size)
    return trained + curvature_bytes(setting) * setting.record.sharpness


def curvature_bytes(setting: Setting) -> int:
    """Bytes of a search for the largest eigenvalues of second derivatives: numbers with a tangent, and three
    vectors.
    """
    whole = whole_data_setting(setting.problem, setting.dtype)
    width, size = full_width(whole), np.dtype(setting.dtype).itemsize
    room = room_of(whole, width)
    return width * (2 * size * (room.working + room.places) + 3 * 8 * setting.problem.parameter_count)


def row_bytes(setting: Setting, checkpoints: int) -> int:
    """Bytes of one run's results at so many checkpoints, before compression: its columns, its start and its
    cell.
    """
    return sum(column.dtype.itemsize * math.prod(column.shape) for column in columns_of(setting, checkpoints).values()) + 8 + 4


def shared_bytes(setting: Setting) -> int:
    """Bytes that all threads share: where parameters lie, and the samples, as they are given and as kernels
    read them.
    """
    problem, size = setting.problem, np.dtype(setting.dtype).itemsize
    sets = [] if problem.data is None else [problem.data.X, *([] if problem.data.validation is None else [problem.data.validation.X])]
    return PLACE_BYTES * problem.parameter_count + sum(X.nbytes + len(X) * size * (-(-(X.shape[1] + 1) // 16) * 16) for X in sets)


class Shared(Protocol):
    """What a plan says of the cells of one structure."""

    @property
    def setting(self) -> Setting:
        """What their runs share."""
        ...


class Needs(Protocol):
    """What a plan, which stands above, needs of memory."""

    @property
    def memory(self) -> int:
        """Bytes of a pack's state and of starts, per thread."""
        ...

    @property
    def shared(self) -> int:
        """Bytes that all threads share."""
        ...

    @property
    def groups(self) -> Sequence[Shared]:
        """The cells by their structures."""
        ...


def threads_that_fit(plan: Needs, beside: int = 0) -> int:
    """How many threads of a plan fit the memory of this process, `beside` so many bytes of results."""
    return max(0, int((usable_memory() - plan.shared - beside) // plan.memory))


def fitting_threads(plan: Needs, wished: int | None, beside: int = 0) -> int:
    """The threads that train a plan: those that are wished, or, of as many as there are processors, those
    that fit.

    Raises ValueError where not even one fits, or not those that are wished.
    """
    fit, had = threads_that_fit(plan, beside), size_of(usable_memory())
    if fit >= (wished or 1):
        return wished or min(fit, usable_cores())
    needed = size_of((wished or 1) * plan.memory + plan.shared + beside)
    if beside and threads_that_fit(plan) >= (wished or 1):
        raise ValueError(f"the results take {size_of(beside)} of memory, and this process may have {had}: give a folder for them, out=, or record less")
    if fit:
        raise ValueError(f"{wished} threads need {needed} of memory, and this process may have {had}: give threads={fit} at most")
    what = "smaller networks" if plan.memory > plan.shared or plan.groups[0].setting.problem.data is None else "less data or smaller networks"
    raise ValueError(f"one thread needs {needed} of memory, and this process may have {had}: take {what}, or a machine with more")


def check_worker(plan: Needs, limit: int, threads: int) -> None:
    """Refuses a worker process of so many threads that may not have the memory that a plan takes.

    Raises ValueError.
    """
    needed = WORKER_BYTES + plan.shared + threads * plan.memory
    if 0 < limit < needed:
        raise ValueError(
            f"a worker of {count_of(threads, 'thread')} needs {size_of(needed)} of memory, and may have {size_of(limit)}: "
            "give workers more memory, or start fewer"
        )


def memory_text(plan: Needs) -> str:
    """What a plan needs of the memory that this process may have."""
    fit, wished = threads_that_fit(plan), usable_cores()
    text = f"{size_of(plan.memory)} of memory per thread and {size_of(plan.shared)} for all, of {size_of(usable_memory())}"
    return text if fit >= wished else f"{text} (TOO MUCH for one thread)" if not fit else f"{text} (so {fit} of {wished} threads train)"
