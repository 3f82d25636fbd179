"""The kernels of a sweep, compiled ahead of its runs: for workers that share a home, and for images."""

import contextlib
import threading
import time
from collections.abc import Callable

import msgspec
import numpy as np

from gdsim.lanes.compiler import check_compiler, compilations
from gdsim.lanes.kernel_folder import ENDING, machine_folder, private_folder
from gdsim.population.summary import Table
from gdsim.population.training import InterruptedTrainingError, train_batch
from gdsim.sweep.execution.places import Processors, Work, prepare, works_of
from gdsim.sweep.execution.threads import children_for
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.plan import Plan, plan_of
from gdsim.sweep.run.options import RunOptions, check_unedited, checked_count
from gdsim.words import count_of


class Compiled(msgspec.Struct, frozen=True):
    """What has been compiled for an experiment."""

    structures: int  # of the experiment
    kernels: int  # that were compiled; the others were in the cache
    seconds: float
    folder: str  # of the cache

    def __str__(self) -> str:
        made = f"compiled {count_of(self.kernels, 'kernel')} in {self.seconds:.1f} s" if self.kernels else "nothing to compile"
        return f"{made}: the kernels of {count_of(self.structures, 'structure')} are in {self.folder}"


def compile_kernels(sweep: Experiment, options: RunOptions, by_workers: bool = False, announce: Callable[[str], None] | None = None) -> Compiled:
    """Compiles what training the sweep will need into the cache on disk, and trains nothing to its end.

    The kernels are those of this kind of processor: for `options.threads` threads of a process, or
    `by_workers` for the workers of a cluster. Raises ValueError where there is no cache to keep them.
    """
    check_compiler()
    check_unedited(sweep)
    checked_count(options.threads, "threads")
    folder = private_folder()
    plan, began, before = plan_of(sweep, options.chunk_seconds, options.lanes), time.perf_counter(), len(compilations)
    place = Processors(1 if by_workers else options.thread_count, options.lanes)
    found = works_of(plan, plan.chunks, place)
    works = {(work.chunk.group, work.width, work.setting.is_written_out): work for work in found}
    with contextlib.closing(children_for(works.values(), place, options.thread_count)) as children:
        for work in works.values():
            prepare(place, work, announce, children)
            _begin(plan, work)
    unkept = [digest for digest in compilations[before:] if not (machine_folder(folder) / f"{digest}{ENDING}").exists()]
    if unkept:
        raise ValueError(f"{count_of(len(unkept), 'kernel')} could not be kept in {str(folder)!r}: its disk is full, or it cannot be written")
    return Compiled(len({group for group, *_ in works}), len(compilations) - before, time.perf_counter() - began, str(folder))


def _begin(plan: Plan, work: Work) -> None:
    """Trains the batch's first run for a moment, which needs what else is compiled: of starts, and of
    summaries.
    """
    given_up = threading.Event()
    given_up.set()
    with contextlib.suppress(InterruptedTrainingError):
        train_batch(work.setting, work._replace(rows=work.rows[:1]).batch(plan), work.width, stopping=given_up)
    if plan.keep == "summary":
        Table(1, 1).add(np.zeros((1, 1)), *np.zeros((2, 1), np.int64))
