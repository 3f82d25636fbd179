"""Whether a plan fits the memory that this process may have, and with how many threads."""

from typing import Any

import numpy as np

from gdsim.kernels.network import BLOCK
from gdsim.population import Setting
from gdsim.population.setting import number_names
from gdsim.problems import Network
from gdsim.sweep.planning.cores import usable_cores, usable_memory
from gdsim.words import count_of, size_of

# A lane that is refilled so often is hardly ever idle at the end, and what a batch costs beside its runs is spread over them.
RUNS_PER_LANE = 512
# Bytes of the starts that one thread holds at a time, unless one of them is larger.
BATCH_BYTES = 2**24
# Bytes per parameter of where it lies in a pack, kept and while it is found out; of a start while it is drawn.
PLACE_BYTES, DRAWN_BYTES = 48, 16
# What a process with gdsim, Numba and its kernels takes beside them, measured: 230 to 310 MB. A worker that may have less is killed before it trains.
WORKER_BYTES = 200_000_000


def runs_at_once(setting: Setting, width: int) -> int:
    """How many runs one thread holds at a time, at most: many for each lane, as far as their starts fit."""
    fit = BATCH_BYTES // (setting.problem.parameter_count * np.dtype(setting.dtype).itemsize)
    return max(1, min(RUNS_PER_LANE * width, fit))


def thread_bytes(setting: Setting, lanes: int | None, runs: int) -> int:
    """Bytes of a thread that trains so many runs: weights, slots, gradients, snapshots of a pack, activations and deltas of a block, and starts."""
    setting = setting.for_runs(runs)
    problem, size, width = setting.problem, np.dtype(setting.dtype).itemsize, lanes or setting.lanes_for(runs, 1)
    weights = problem.parameter_count * (6 + len(setting.rule.slots)) + len(number_names(setting))
    alone = width == 1 and setting.may_be_alone  # whose inputs are kept turned too, and have deltas
    rows = sum(3 * inputs + units if alone else inputs + 2 * units for inputs, units in problem.layers) if isinstance(problem, Network) else 0
    starts = problem.parameter_count * min(runs, runs_at_once(setting, width))
    return width * size * (weights + (BLOCK + 1) * rows) + starts * (size + DRAWN_BYTES)


def shared_bytes(setting: Setting) -> int:
    """Bytes that all threads share: where parameters lie, and the samples, as they are given and as kernels read them."""
    problem, size = setting.problem, np.dtype(setting.dtype).itemsize
    sets = [] if problem.data is None else [problem.data.X, *([] if problem.data.validation is None else [problem.data.validation.X])]
    return PLACE_BYTES * problem.parameter_count + sum(X.nbytes + len(X) * size * (-(-(X.shape[1] + 1) // 16) * 16) for X in sets)


def threads_that_fit(plan: Any, beside: int = 0) -> int:
    """How many threads of a plan fit the memory of this process, `beside` so many bytes of results."""
    return max(0, int((usable_memory() - plan.shared - beside) // plan.memory))


def fitting_threads(plan: Any, wished: int | None, beside: int = 0) -> int:
    """The threads that train a plan: those that are wished, or, of as many as there are processors, those that fit.

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


def check_worker(plan: Any, limit: int, threads: int) -> None:
    """Refuses a worker process of so many threads that may not have the memory that a plan takes. Raises ValueError."""
    needed = WORKER_BYTES + plan.shared + threads * plan.memory
    if 0 < limit < needed:
        raise ValueError(
            f"a worker of {count_of(threads, 'thread')} needs {size_of(needed)} of memory, and may have {size_of(limit)}: "
            "give workers more memory, or start fewer"
        )


def memory_text(plan: Any) -> str:
    """What a plan needs of the memory that this process may have."""
    fit, wished = threads_that_fit(plan), usable_cores()
    text = f"{size_of(plan.memory)} of memory per thread and {size_of(plan.shared)} for all, of {size_of(usable_memory())}"
    return text if fit >= wished else f"{text} (TOO MUCH for one thread)" if not fit else f"{text} (so {fit} of {wished} threads train)"
