"""The kernels of a sweep, compiled ahead of its runs: for workers that share a home, and for images."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from gdsim.kernels.cuda import compiled_training, kernels_on_warps
from gdsim.lanes.announcing import announcing
from gdsim.lanes.children import helped_by
from gdsim.lanes.compiler import check_compiler, compilations
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.kernel_folder import ENDING, machine_folder, private_folder
from gdsim.lanes.warps import capability_text
from gdsim.population.device_training import wanted_kernel
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.recorded_sharpness import prepare_sharpness
from gdsim.population.summary import Table
from gdsim.population.training import InterruptedTrainingError, prepared_for, train_batch
from gdsim.sweep.execution.places import Processors, Work, prepare, works_of
from gdsim.sweep.execution.threads import children_for, wanted_by
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.device_batches import on_device
from gdsim.sweep.planning.devices import CPU, UnusableDeviceError, check_lanes, checked_device, number_of, usable_device, why_nothing_compiles
from gdsim.sweep.planning.plan import Plan, plan_of
from gdsim.sweep.run.options import RunOptions, check_unedited, checked_count
from gdsim.words import count_of

Capabilities = Sequence[tuple[int, int]]
Announce = Callable[[str], None] | None


class Compiled(msgspec.Struct, frozen=True):
    """What has been compiled for an experiment."""

    structures: int  # of the experiment
    kernels: int  # that were compiled; the others were in the cache
    seconds: float
    folder: str  # of the cache

    def __str__(self) -> str:
        made = f"compiled {count_of(self.kernels, 'kernel')} in {self.seconds:.1f} s" if self.kernels else "nothing to compile"
        return f"{made}: the kernels of {count_of(self.structures, 'structure')} are in {self.folder}"


def compile_kernels(sweep: Experiment, options: RunOptions, by_workers: bool = False, announce: Announce = None, capabilities: Capabilities = ()) -> Compiled:
    """Compiles what training the sweep will need into the cache on disk, and trains nothing to its end.

    The kernels are those of this kind of processor: for `options.threads` threads of a process, or
    `by_workers` for the workers of a cluster. Where `options.device` is a GPU, they are those of its compute capability, or
    of the given ones, for which no GPU is needed. Raises ValueError where there is no cache to keep them, and for a GPU that
    is not there or cannot be used, or for which nothing can be compiled.
    """
    check_compiler()
    check_unedited(sweep)
    checked_count(options.threads, "threads")
    capabilities = _compiled_for(options, capabilities)
    folder = private_folder()
    plan, began, before = plan_of(sweep, options.chunk_seconds, options.lanes), time.perf_counter(), len(compilations)
    if capabilities:
        _compile_for_gpus(plan, options, capabilities, announce)
    else:
        _compile_for_processors(plan, options, by_workers, announce)
    if plan.keep == "summary":
        Table(1, 1).add(np.zeros((1, 1)), *np.zeros((2, 1), np.int64))
    unkept = [digest for digest in compilations[before:] if not (machine_folder(folder) / f"{digest}{ENDING}").exists()]
    if unkept:
        raise ValueError(f"{count_of(len(unkept), 'kernel')} could not be kept in {str(folder)!r}: its disk is full, or it cannot be written")
    return Compiled(len(plan.groups), len(compilations) - before, time.perf_counter() - began, str(folder))


def _compiled_for(options: RunOptions, capabilities: Capabilities) -> Capabilities:
    """The compute capabilities that are compiled for: those given, or the chosen GPU's; none for processors. Raises ValueError."""
    device = checked_device(options.device, or_auto=False)
    if device == CPU:
        if capabilities:
            raise ValueError(f"a compute capability ({capability_text(capabilities[0])}) is a GPU's: give --device cuda with it")
        return ()
    check_lanes(options.lanes)
    if reason := why_nothing_compiles():
        raise UnusableDeviceError(reason)
    if capabilities:
        return tuple(dict.fromkeys(capabilities))
    try:
        return (usable_device(number_of(device)).info.capability,)
    except UnusableDeviceError as error:
        raise UnusableDeviceError(f"{error}; to compile for a GPU that is elsewhere, say its compute capability, as in --capability 9.0") from None


def _compile_for_processors(plan: Plan, options: RunOptions, by_workers: bool, announce: Announce) -> None:
    place = Processors(1 if by_workers else options.thread_count, options.lanes)
    found = works_of(plan, plan.chunks, place)
    works = {(work.group, work.width, work.setting.is_written_out): work for work in found}.values()
    with contextlib.closing(children_for(wanted_by(works, place), options.thread_count)) as children:
        for work in works:
            prepare(place, work, announce, children)
            _begin(plan, work)


def _compile_for_gpus(plan: Plan, options: RunOptions, capabilities: Capabilities, announce: Announce) -> None:
    """For each structure and capability a kernel, and what processors do where a GPU trains: they draw starts, and find how
    sharp recorded points are.
    """
    settings = [on_device(group, plan.starts) for group in plan.groups]
    wanted = ([wanted_kernel(setting, capability)] for setting in settings for capability in capabilities)
    with contextlib.closing(children_for(wanted, options.thread_count)) as children, announcing(announce), helped_by(children):
        for number, setting in enumerate(settings):
            for capability in capabilities:
                compiled_training(kernels_on_warps(structure_on_warps(setting, capability)), capability)
            kernels = kernels_on_warps(structure_on_warps(setting))
            chunk = next(chunk for chunk in plan.chunks if chunk.group == number)
            with ieee_mode():
                prepared_for(setting, kernels, plan.batch_of(chunk, np.arange(1), [plan.cells[c].numbers() for c in chunk.cells]))
            if setting.record.sharpness:
                prepare_sharpness(setting)


def _begin(plan: Plan, work: Work) -> None:
    """Trains the batch's first run for a moment, which needs what else is compiled, of starts."""
    given_up = threading.Event()
    given_up.set()
    with contextlib.suppress(InterruptedTrainingError):
        train_batch(work.setting, work.parts[0]._replace(rows=work.parts[0].rows[:1]).batch(plan), work.width, stopping=given_up)
