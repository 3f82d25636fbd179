"""How long a device would take for a plan, and how much of its memory: estimates, by what its driver says of it and what is
counted of the plan. They serve to choose; what trains faster has the same bits.

Seconds of a chunk of n runs, each of s steps and f operations, on m multiprocessors of u units at a clock of c:

    max( n f / (PEAK_SHARE 2 u m c r),  f LATENCY / c,  n (b f + 2 s w) / bandwidth )

r is 1 for float32; for float64 a half on capabilities 8.0, 9.0 and 10.0, and a sixteenth where few units have its numbers. The second term is that of one run
whose instructions wait for each other. The third is of networks too large for registers, where a step reads b bytes for an
operation, as tiles of 4 x 4 lanes do, and reads and writes the w bytes of its workers' weights and of what their rule keeps.
"""

import numpy as np

from gdsim.devices import STATIONS, Device, DeviceError, DeviceInfo, room_on
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.kernels.cuda_driver import BLOCK_WARPS, Needs, needs_of, warps_for
from gdsim.kernels.job import Job
from gdsim.lanes.warps import THREADS
from gdsim.population import Setting
from gdsim.population.engine_choice import for_runs, structure_on_warps
from gdsim.population.training import job_for, prepared_for
from gdsim.sweep.planning.devices import UnusableDeviceError
from gdsim.sweep.planning.plan import Chunk, Group, Plan
from gdsim.words import size_of

PEAK_SHARE = 0.1  # of a device's peak that operations as they are counted reach; a tenth to a third by instructions that were counted
LATENCY = 4.0  # cycles until what an instruction gives can be used
FEW_UNITS = {(7, 5): 64, (8, 0): 64}  # of float32, of a multiprocessor; 128 in all others
HALF_AS_MANY = {(8, 0), (9, 0), (10, 0)}  # capabilities with half as many units of float64; others have few
TILE_BYTES = 0.25  # read for an operation, as a share of the bytes of a number
RESIDENT_WARPS = 8  # of a multiprocessor, at least, by the registers of most kernels
SAMPLED = (2 * THREADS, 4 * THREADS)  # runs by which it is told what more of them take


def on_device(group: Group, starts: int) -> Setting:
    """What a device trains of a structure, all of whose runs have one kernel."""
    return for_runs(group.setting, len(group.cells) * starts)


def training_seconds(plan: Plan, info: DeviceInfo, share: float = 1.0) -> float:
    """How long a device trains a share of each chunk's runs, of which none ends early, by the formula above."""
    settings = [on_device(group, plan.starts) for group in plan.groups]
    operations = [group.counted_operations for group in plan.groups]
    return sum(_chunk_seconds(settings[chunk.group], operations[chunk.group], share * chunk.size, info) for chunk in plan.chunks)


def _chunk_seconds(setting: Setting, operations: float, runs: float, info: DeviceInfo) -> float:
    units = FEW_UNITS.get(info.capability, 128)
    ratio = 1.0 if setting.dtype == "float32" else 0.5 if info.capability in HALF_AS_MANY else 1 / 16
    rate = PEAK_SHARE * 2.0 * units * info.multiprocessors * info.clock * ratio
    moved = 0.0
    if setting.problem.family == "network" and not setting.is_written_out:
        size = np.dtype(setting.dtype).itemsize
        state = size * setting.problem.parameter_count * (1 + len(setting.rule.slots)) * setting.replicas
        moved = TILE_BYTES * size * operations + 2.0 * (setting.steps - setting.began) * state
    return max(runs * operations / rate, operations * LATENCY / info.clock, runs * moved / info.bandwidth)


def device_memory(plan: Plan, device: Device) -> int:
    """Bytes of a device's memory that training a plan takes, about. Raises UnusableDeviceError where a chunk of few runs has no
    room in what is free of it.
    """
    try:
        room = room_on(device)
    except DeviceError as error:
        raise UnusableDeviceError(f"{device.info.name} no longer answers this process ({error}): start another") from None
    most, together = 0.0, STATIONS if len(plan.chunks) > 1 else 1
    for number, group in enumerate(plan.groups):
        chunk = max((chunk for chunk in plan.chunks if chunk.group == number), key=lambda chunk: chunk.size)
        setting = on_device(group, plan.starts)
        kernels = kernels_on_warps(structure_on_warps(setting))
        needs = _needs_of(plan, chunk, setting, kernels)
        least = needs.size(1, BLOCK_WARPS)
        if least > room:
            raise UnusableDeviceError(
                f"training takes {size_of(least)} of a device's memory at least, and {device.info.name} has {size_of(room)} free for it, of {size_of(device.info.memory)}: "
                "end what else has its memory, or train on processors"
            )
        warps = min(warps_for(chunk.size, kernels.width), RESIDENT_WARPS * device.info.multiprocessors)
        most = max(most, min(STATIONS * room, together * needs.size(chunk.size, warps)))
    return int(most)


def _needs_of(plan: Plan, chunk: Chunk, setting: Setting, kernels: Kernels) -> Needs:
    """What training a chunk's runs takes of a device's memory."""

    def job_of(runs: int) -> Job:
        batch = plan.batch_of(chunk, np.arange(runs) % chunk.size)
        return job_for(setting, kernels, prepared_for(setting, kernels, batch), kernels.model(setting.samples_per_step))

    few, more = SAMPLED
    return needs_of(job_of(few), job_of(more))
