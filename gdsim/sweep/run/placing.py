"""Where a plan is trained: by threads of this process, or by a device, as was asked for or as takes less time."""

from gdsim.devices import Device, DeviceError
from gdsim.kernels.cuda import kernels_on_warps, wanted_training
from gdsim.lanes.children import is_made
from gdsim.lanes.cubins import is_kept
from gdsim.population.engine_choice import structure_on_warps
from gdsim.sweep.execution.places import OnDevice, Placed, Processors, works_of
from gdsim.sweep.planning.device_batches import HOST_BYTES, on_device
from gdsim.sweep.planning.device_speed import device_memory, training_seconds
from gdsim.sweep.planning.devices import (
    AUTO,
    CPU,
    Choice,
    UnusableDeviceError,
    asked_device,
    check_lanes,
    checked_device,
    lost_device,
    number_of,
    usable_device,
)
from gdsim.sweep.planning.machine import usable_memory
from gdsim.sweep.planning.memory import fitting_threads
from gdsim.sweep.planning.plan import OPERATIONS_PER_SECOND, Plan
from gdsim.sweep.run.options import RunOptions
from gdsim.words import size_of

FEEDING = 4  # threads that make runs ready for a device, and keep what it has found
# What compiling takes, measured on one core: processors' kernels share most of what is compiled; each of a device's has the
# whole of training in it, which is more for networks.
FIRST_SECONDS, NEXT_SECONDS = 4.0, 0.5
DEVICE_SECONDS, DEVICE_NETWORK_SECONDS = 7.0, 20.0


def placed(plan: Plan, options: RunOptions, beside: int = 0, runs: int | None = None) -> Placed:
    """Where the options let all runs of a plan be trained, or so many of them, `beside` so many bytes of results. Raises
    ValueError where that cannot be.
    """
    threads, name, reason = fitting_threads(plan, options.threads, beside), options.device, ""
    if name == AUTO:
        name, *_, reason = choice_of(plan, options, runs)
    if name == CPU:
        return Placed(Processors(threads, options.lanes), reason)
    device = _device_for(options)
    if options.device != AUTO:  # by which it has been chosen, and found to have room
        device_memory(plan, device)
    try:
        return Placed(OnDevice(device, options.threads or _feeding(plan, threads, beside)), reason)
    except DeviceError as error:
        lost = lost_device(device, error)
        if options.device == AUTO:
            return Placed(Processors(threads, options.lanes), f"trained by processors: {lost}")
        raise UnusableDeviceError(lost) from None


def _feeding(plan: Plan, threads: int, beside: int) -> int:
    """How many of this process's threads feed a device: each may keep a batch's runs."""
    return max(1, min(threads, FEEDING, int((usable_memory() - plan.shared - beside) // HOST_BYTES)))


def choice_of(plan: Plan, options: RunOptions, runs: int | None = None) -> Choice:
    """What all runs of a plan, or so many of them, are trained on, how long that would take, and why there. Raises ValueError
    for a device that was asked for and cannot train them.
    """
    threads, share = fitting_threads(plan, options.threads), 1.0 if runs is None else runs / plan.runs
    by_processors = share * plan.operations / OPERATIONS_PER_SECOND / threads + _compiling_seconds(plan, Processors(threads, options.lanes))
    if options.device == CPU:
        return Choice(CPU, by_processors, 0, f"trained by processors, in about {by_processors:.2g} s")
    try:
        device = _device_for(options)
        memory = device_memory(plan, device)
    except UnusableDeviceError as error:
        if options.device != AUTO:
            raise
        return Choice(CPU, by_processors, 0, f"trained by processors, in about {by_processors:.2g} s: {error}")
    name, compiling = f"cuda:{number_of(options.device)}", _device_compiling_seconds(plan, device)
    seconds = training_seconds(plan, device.info, share) + compiling
    there = f"{seconds:.2g} s" + (f", {compiling:.2g} s of them to compile" if compiling else "")
    if options.device == AUTO and by_processors <= seconds:
        return Choice(CPU, by_processors, 0, f"trained by processors, in about {by_processors:.2g} s: {device.info.name} would take {there}")
    room = f"{size_of(memory)} of its {size_of(device.info.memory)} of memory"
    return Choice(name, seconds, memory, f"trained on {device.info.name} ({name}), in about {there}, in {room}: processors would take {by_processors:.2g} s")


def with_choice(plan: Plan, options: RunOptions, runs: int | None = None) -> Plan:
    """The plan that says what it is trained on, or so many of its runs. Raises ValueError as `choice_of` does."""
    return plan._replace(choice=choice_of(plan, options, runs))


def _device_for(options: RunOptions) -> Device:
    """The device that is asked for. Raises UnusableDeviceError where it cannot be used, or not with these options."""
    check_lanes(options.lanes)
    name = checked_device(options.device)
    return usable_device(0) if name == AUTO else asked_device(name)


def _compiling_seconds(plan: Plan, place: Processors) -> float:
    """How long processors' kernels take to compile that are not there yet."""
    works = {work.group: work for work in works_of(plan, plan.chunks, place)}
    missing = sum(not all(is_made(kernel) for kernel in place.wanted(work)) for work in works.values())
    return FIRST_SECONDS + NEXT_SECONDS * (missing - 1) if missing else 0.0


def _device_compiling_seconds(plan: Plan, device: Device) -> float:
    """Likewise a device's."""
    found = {structure_on_warps(setting, device.info.capability): setting for setting in (on_device(group, plan.starts) for group in plan.groups)}
    missing = [found[structure] for structure in found if not is_kept(wanted_training(kernels_on_warps(structure), device.info.capability))]
    return sum(DEVICE_NETWORK_SECONDS if setting.problem.family == "network" else DEVICE_SECONDS for setting in missing)
