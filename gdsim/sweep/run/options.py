"""How a sweep is trained: what a caller has chosen, checked, and what of a sweep could not be kept so."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.axes import checked_whole
from gdsim.rules import RULES
from gdsim.schedules import SCHEDULES
from gdsim.sweep.execution.places import Placed
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.own_code import outer_rules
from gdsim.sweep.planning.devices import AUTO, CPU, CUDA, checked_device
from gdsim.sweep.planning.job_parts import PlanPart
from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.planning.plan import CHUNK_SECONDS, Plan


class RunOptions(NamedTuple):
    """How chunks are trained."""

    threads: int | None  # those of this machine, if not given
    lanes: int | None = None
    client: Any = None
    attempts: int = 1
    chunk_seconds: float = CHUNK_SECONDS
    part: PlanPart | None = None  # of the plan, which alone is trained
    dask_throughout: bool = True  # whether small curves from a folder are Dask arrays, too
    imports: tuple[str, ...] = ()  # modules that the caller needs when training has ended
    device: str = CPU  # what trains: "cpu", "cuda:1" or "auto"
    where: Placed | None = None  # where this process trains, once that is known

    @property
    def thread_count(self) -> int:
        """How many threads of this machine train."""
        return self.threads or usable_cores()


def checked_count(count: object, name: str) -> int | None:
    """How many threads or attempts there may be, or None for the default."""
    return None if count is None else checked_whole(count, name)


def checked_runs(runs: object, plan: Plan) -> np.ndarray | None:
    """The chosen run numbers, ascending, of different numbers or a mask of all runs; None for all."""
    if runs is None or (isinstance(runs, str) and runs == "all"):
        return None
    allowed = f"runs must be whole numbers from 0 to {plan.runs - 1}, a mask of {plan.runs} values, or None for all"
    try:
        numbers = np.atleast_1d(np.asarray(runs))
    except ValueError:
        raise ValueError(f"{allowed}; lists of different lengths were given") from None
    is_mixed = numbers.dtype.kind != "b" and isinstance(runs, (list, tuple)) and any(isinstance(v, bool) for v in runs)  # which would be 0 and 1
    if is_mixed or np.ma.is_masked(runs):
        raise ValueError(f"{allowed}; {'truth values among numbers' if is_mixed else 'a masked array'} was given")
    if numbers.dtype.kind == "b" and numbers.shape == (plan.runs,):
        numbers = np.flatnonzero(numbers)
    elif numbers.size and (numbers.ndim > 1 or numbers.dtype.kind not in "iuf" or (numbers != np.floor(numbers)).any()):
        raise ValueError(f"{allowed}; {' '.join(repr(runs).split())[:80]} was given")
    wrong = numbers[(numbers < 0) | (numbers >= plan.runs)]
    if len(wrong) or not len(numbers):
        raise ValueError(f"{allowed}; {wrong[0] if len(wrong) else 'none'} was given")
    chosen, counts = np.unique(numbers.astype(np.int64), return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{allowed}, each once; {chosen[counts > 1][0]} was given {counts[counts > 1][0]} times")
    return chosen


def check_options(options: RunOptions, plan: Plan, chosen: np.ndarray | None, *, stores: bool) -> None:
    """Refuses options that do not go together; `stores`: whether there is a folder for results.

    Raises ValueError.
    """
    checked_count(options.attempts, "attempts")
    check_device(options.device, options.client is not None)
    check_places(options.client is not None, stores, options.threads)
    for is_wrong, why in (
        (chosen is not None and plan.keep == "summary", "keep='summary' keeps no runs that could be chosen; take the sweep with keep='runs' to look at some"),
        (stores and chosen is not None, "runs chooses some runs to look at, and out stores whole chunks of all: give one of them"),
        (options.part is not None and not stores, "part trains a part of the plan into a folder, where the parts come together: give out="),
    ):
        if is_wrong:
            raise ValueError(why)


def check_device(device: object, is_far: bool) -> None:
    """Refuses what is no name of what trains, and a GPU of this machine for a cluster (`is_far`). Raises ValueError."""
    if checked_device(device) not in (CPU, CUDA, AUTO) and is_far:
        raise ValueError(
            f"device={device!r} is a GPU of this machine, and each worker of a cluster has its own: give device='cuda', or 'auto' for processors too"
        )


def check_places(is_far: bool, stores: bool, threads: object) -> None:
    """Refuses a choice of who computes, a cluster (`is_far`) or so many threads, that does not fit where
    results go. Raises ValueError.
    """
    checked_count(threads, "threads")
    if is_far and not stores:
        raise ValueError("a cluster's workers write their results into a folder that they share: give out=")
    if is_far and threads is not None:
        raise ValueError("threads is of this machine, and client of a cluster: give one of them")


def check_unedited(sweep: Experiment) -> None:
    """Refuses functions of the user's that have changed since the sweep was declared. Raises ValueError."""
    edited = next((p for p in sweep.problem if p.is_edited), None)
    if edited is not None:
        raise ValueError(
            f"the source of {edited.name} has been edited since, or a value that it reads has changed; restore it, or declare the problem anew and give another folder"
        )


def check_stored(sweep: Experiment, by_workers: bool) -> None:
    """Refuses what other processes could not make from what a folder says. Raises ValueError."""
    reason = next((r for p in sweep.problem if (r := p.why_not_stored(by_workers))), None)
    if reason:
        raise ValueError(reason)
    rules = [*sweep.optimizer, *outer_rules(sweep)]
    known = {"optimizer": {type(one.innermost): RULES for one in rules}, "schedule": {type(one): SCHEDULES for one in sweep.schedule}}
    for what, kinds in known.items():
        foreign = [kind.__name__ for kind, allowed in kinds.items() if kind not in allowed]
        if foreign:
            raise ValueError(
                f"{foreign[0]} is {what} code of your own, which a results folder cannot name and other processes do not find; "
                f"without out= and client= it runs in memory; to keep its results, add it to gdsim/{'rules' if what == 'optimizer' else 'schedules'}/"
            )
