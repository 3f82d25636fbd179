"""Training a batch on a device: chunk by chunk, as its memory has room for them."""

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gdsim.devices import Device, OutOfDeviceMemoryError
from gdsim.kernels.cuda import compiled_training, kernels_on_warps
from gdsim.kernels.cuda_driver import Program, chunk_for, laid_out, loaded, needs_of, train_job
from gdsim.kernels.engines import Structure
from gdsim.kernels.job import Job
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.warps import THREADS
from gdsim.population.engine_choice import structure_of
from gdsim.population.setting import Setting
from gdsim.population.teams import is_alone
from gdsim.population.training import Batch, Trained, check_of, job_for, prepared_for, trained_from

SHARE = 0.8  # of a device's free memory that training takes: others may take of it too
SAMPLED = (64, 128)  # runs by which it is told what more of them take; of every type whole lines


def program_for(setting: Setting, device: Device) -> Program:
    """A device's program that trains the runs of a setting, loaded once for all settings of one structure. Raises ValueError
    for runs of which `why_not` says that they cannot be trained there.
    """
    if reason := why_not(setting):
        raise ValueError(reason)
    return _program_of(structure_of(setting, THREADS), device)


@functools.lru_cache(maxsize=256)
def _program_of(structure: Structure, device: Device) -> Program:
    return loaded(device, compiled_training(kernels_on_warps(structure), device.info.capability))


def why_not(setting: Setting) -> str:
    """Why the runs of a setting cannot be trained on a device, in a sentence; "" if they can."""
    if setting.live_tangents:
        return "derivatives by hyperparameters and starts are carried along by processors alone: leave `tangents` out to train on a device"
    if not is_alone(setting):
        return "runs of several workers are trained by processors alone: leave `distribution` out to train on a device"
    return ""


def train_on_device(
    setting: Setting,
    batch: Batch,
    program: Program,
    say: Callable[[str], None],
    stopping: threading.Event | None = None,
    earlier: Mapping[str, np.ndarray] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Trained:
    """`training.train_batch` on a device that has loaded the setting's kernel: the same results, bit for bit.

    `say` gets a sentence where the device gave less memory than it had free. Raises OutOfDeviceMemoryError where there is
    no room even for the fewest runs, and ValueError for runs of which `why_not` says that they cannot be trained there.
    """
    if reason := why_not(setting):
        raise ValueError(reason)
    kernels, check, count = kernels_on_warps(structure_of(setting, THREADS)), check_of(stopping), len(batch.number)
    model = kernels.model(setting.samples_per_step)

    def job_of(chosen: np.ndarray) -> Job:
        ends = None if earlier is None else {name: values[chosen] for name, values in earlier.items()}
        return job_for(setting, kernels, prepared_for(setting, kernels, batch.part(chosen), ends), model)

    done: list[Trained] = []
    first, room = 0, int(SHARE * program.device.free_memory())
    with ieee_mode():
        needs = needs_of(*(job_of(np.arange(few) % count) for few in SAMPLED))
        while first < count:
            chunk = chunk_for(needs, count - first, program.resident_warps, room)
            chosen = np.arange(first, first + chunk.runs)
            layout = laid_out(job_of(chosen), chunk.warps)
            try:
                steps = train_job(program, kernels, layout, check, clock)
            except OutOfDeviceMemoryError as error:
                room = layout.arena.size // 2
                say(f"{program.device.info.name} had no room for {layout.arena.size / 2**20:.3g} MiB ({error}): going on with chunks of half as much")
                continue
            done.append(trained_from(setting, batch.part(chosen), layout.job.runs, check, steps))
            first += chunk.runs
    return _joined(batch, done)


def _joined(batch: Batch, parts: Sequence[Trained]) -> Trained:
    """The results of a batch's chunks."""
    columns = parts[0].columns if len(parts) == 1 else {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Trained(batch, columns, sum(part.lane_steps for part in parts), sum(part.used_steps for part in parts))
