"""How long a device would take for a plan, and how much of its memory: estimates, by what its driver says of it and what is
counted of the plan. They serve to choose; what trains faster has the same bits.

Seconds of n runs that are trained together, each of s steps and f operations, on m multiprocessors of u units at a clock of c:

    max( n f / (PEAK_SHARE 2 u m c r),  f LATENCY / c,  n (b f + 2 s w) / bandwidth )

r is 1 for float32; for float64 a half on capabilities 8.0, 9.0 and 10.0, and a sixteenth where few units have its numbers. The second term is that of one run
whose instructions wait for each other. The third is of networks too large for registers, where a step reads b bytes for an
operation, as tiles of 4 x 4 lanes do, and reads and writes the w bytes of its workers' weights and of what their rule keeps.
"""

import collections

import numpy as np

from gdsim.devices import STATIONS, Device, DeviceError, DeviceInfo, room_on
from gdsim.kernels.cuda_driver import BLOCK_WARPS, busy_warps
from gdsim.population import Setting
from gdsim.population.device_training import SAMPLED, needs_for
from gdsim.population.engine_choice import structure_on_warps
from gdsim.sweep.planning.device_batches import RESIDENT_WARPS, on_device, size_for, together
from gdsim.sweep.planning.devices import UnusableDeviceError, lost_device
from gdsim.sweep.planning.plan import Plan
from gdsim.words import size_of

PEAK_SHARE = 0.1  # of a device's peak that operations as they are counted reach; a tenth to a third by instructions that were counted
LATENCY = 4.0  # cycles until what an instruction gives can be used
FEW_UNITS = {(7, 5): 64, (8, 0): 64}  # of float32, of a multiprocessor; 128 in all others
HALF_AS_MANY = {(8, 0), (9, 0), (10, 0)}  # capabilities with half as many units of float64; others have few
TILE_BYTES = 0.25  # read for an operation, as a share of the bytes of a number
USUAL_CLOCK = 1.5e9  # where a driver does not say it


def training_seconds(plan: Plan, info: DeviceInfo, share: float = 1.0) -> float:
    """How long a device trains a share of each chunk's runs, of which none ends early, by the formula above."""
    settings = [on_device(group, plan.starts) for group in plan.groups]
    operations = [group.counted_operations for group in plan.groups]
    batches = (
        (some[0].group, share * sum(chunk.size for chunk in some))
        for some in together(plan, plan.chunks, info.multiprocessors, lambda chunk: share * chunk.size)
    )
    return sum(_batch_seconds(settings[group], operations[group], runs, info) for group, runs in batches)


def _batch_seconds(setting: Setting, operations: float, runs: float, info: DeviceInfo) -> float:
    units = FEW_UNITS.get(info.capability, 128)
    ratio = 1.0 if setting.dtype == "float32" else 0.5 if info.capability in HALF_AS_MANY else 1 / 16
    clock = info.clock or USUAL_CLOCK
    rate = PEAK_SHARE * 2.0 * units * info.multiprocessors * clock * ratio
    moving = 0.0
    if setting.problem.family == "network" and not setting.is_written_out and info.bandwidth:
        size = np.dtype(setting.dtype).itemsize
        state = size * setting.problem.parameter_count * (1 + len(setting.rule.slots)) * setting.replicas
        moving = (TILE_BYTES * size * operations + 2.0 * (setting.steps - setting.began) * state) / info.bandwidth
    return max(runs * operations / rate, operations * LATENCY / clock, runs * moving)


def device_memory(plan: Plan, device: Device) -> int:
    """Bytes of a device's memory that training a plan takes, about. Raises UnusableDeviceError where a chunk of few runs has no
    room in what is free of it.
    """
    try:
        room = room_on(device)
    except DeviceError as error:
        raise UnusableDeviceError(lost_device(device, error)) from None
    most, batches = 0.0, collections.defaultdict(list)
    for some in together(plan, plan.chunks, device.info.multiprocessors):
        batches[some[0].group].append(some)
    at_once = min(STATIONS, sum(map(len, batches.values())))
    for number, found in batches.items():
        setting, largest = on_device(plan.groups[number], plan.starts), max(found, key=lambda some: sum(chunk.size for chunk in some))
        needs = needs_for(
            setting, structure_on_warps(setting, device.info.capability), plan.batch_of(largest[0], np.arange(min(max(SAMPLED), largest[0].size)))
        )
        least = needs.size(1, BLOCK_WARPS)
        if least > room:
            raise UnusableDeviceError(
                f"training takes {size_of(least)} of a device's memory at least, and {device.info.name} has {size_of(room)} free for it, of {size_of(device.info.memory)}: "
                "end what else has its memory, or train on processors"
            )
        runs = min(sum(chunk.size for chunk in largest), size_for(setting, device.info.multiprocessors).most)
        warps = min(busy_warps(runs, needs.width), RESIDENT_WARPS * device.info.multiprocessors)
        most = max(most, min(STATIONS * room, at_once * needs.size(runs, warps)))
    return int(most)
