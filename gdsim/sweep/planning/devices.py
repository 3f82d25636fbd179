"""What a sweep may be trained on, by its name: this machine's processors, or one of its GPUs, if it can be used."""

import functools
import re
from typing import NamedTuple

from gdsim.devices import Device, DeviceError, DeviceInfo, Driver, NoDeviceError
from gdsim.devices.nvidia import LOWEST_CUDA, LOWEST_DRIVER
from gdsim.lanes.warps import capability_text
from gdsim.words import given, installs

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
GPU = re.compile(r"cuda(?::(0|[1-9][0-9]{0,5}))?")
LOWEST_CAPABILITY = (7, 5)  # that numba-cuda's compiler for CUDA 13 makes kernels for


class UnusableDeviceError(ValueError):
    """A device that was asked for is not there, or cannot be used, or not for these runs."""


class Choice(NamedTuple):
    """What a plan is trained on, as was asked for or because it takes less time."""

    device: str  # "cpu", or "cuda:1"
    seconds: float  # that it would take, compilation included, by an estimate
    memory: int  # bytes of the device's memory, by an estimate; 0 on processors
    sentence: str  # what it is, and why

    def summary(self) -> dict[str, str | float]:
        """It as a plan says it, for people and programs."""
        return {"device": self.device, "device_seconds": self.seconds, "device_memory_bytes": self.memory, "device_reason": self.sentence}


def checked_device(device: object, or_auto: bool = True) -> str:
    """A name of what trains, or of what answers, where nothing is estimated by which "auto" could choose. Raises ValueError for
    anything else.

    >>> checked_device("cuda:1")
    'cuda:1'
    """
    if device == AUTO and not or_auto:
        raise ValueError("device 'auto' is of runs, whose seconds can be estimated: give 'cpu' or 'cuda' here")
    if not isinstance(device, str) or not (device in (CPU, AUTO) or GPU.fullmatch(device)):
        names = "'cpu', 'cuda', 'cuda:1' for the second GPU and so on, or 'auto'" if or_auto else "'cpu', 'cuda', or 'cuda:1' for the second GPU and so on"
        raise ValueError(f"device must be {names}; {given(device)} was given")
    return device


def number_of(device: str) -> int:
    """The number of the GPU that a name means; the first's where it names none.

    >>> number_of("cuda"), number_of("cuda:1"), number_of("auto")
    (0, 1, 0)
    """
    found = GPU.fullmatch(device)
    return int(found[1] or 0) if found else 0


def asked_device(name: str) -> Device:
    """The GPU that a user asks for by its name. Raises UnusableDeviceError as `usable_device` does, with what can be done."""
    try:
        return usable_device(number_of(name))
    except UnusableDeviceError as error:
        raise UnusableDeviceError(f"device {name!r} cannot be used: {error}; device 'cpu' can, and `gdsim doctor` says what this machine has") from None


def lost_device(device: Device, error: DeviceError) -> str:
    """That a device which was open can be used no more, and what can be done."""
    return f"{device.info.name} no longer answers this process ({error}): start another"


def check_lanes(lanes: int | None) -> None:
    """Refuses lanes for what a device is to train. Raises UnusableDeviceError."""
    if lanes is not None:
        raise UnusableDeviceError("lanes are of processors, and a device's packs have 32 each: leave `lanes` out to train on a device")


def usable_device(number: int) -> Device:
    """The GPU of this number, opened once. Raises UnusableDeviceError where it is not there, or kernels cannot be compiled for
    it.
    """
    try:
        device = _opened(number)
    except (NoDeviceError, DeviceError) as error:
        raise UnusableDeviceError(str(error)) from None
    if reason := why_not_usable(device.info) or why_nothing_compiles():
        raise UnusableDeviceError(reason)
    return device


class Found(NamedTuple):
    """A GPU that the driver sees."""

    info: DeviceInfo | None  # None where the driver does not say
    unusable: str  # why it cannot be used, in a sentence; "" if it can


def found_devices() -> tuple[list[Found], str]:
    """(the GPUs that the driver sees, by their numbers, why there are none, in a sentence)."""
    try:
        driver = Driver()
    except NoDeviceError as error:
        return [], str(error)
    found = [_found(driver, number) for number in range(driver.count)]
    return found, "" if found else "the NVIDIA driver sees no GPU"


def _found(driver: Driver, number: int) -> Found:
    info = None
    try:
        info = driver.info(driver.handle(number))
        usable_device(number)
    except (DeviceError, UnusableDeviceError) as error:
        return Found(info, str(error))
    return Found(info, "")


@functools.cache
def _opened(number: int) -> Device:
    return Device(number)


def why_not_usable(info: DeviceInfo) -> str:
    """Why kernels cannot be loaded on a device, in a sentence; "" if they can."""
    if info.capability < LOWEST_CAPABILITY:
        return f"{info.name} has compute capability {capability_text(info.capability)}, and {capability_text(LOWEST_CAPABILITY)} is the lowest that kernels are compiled for"
    if info.driver < LOWEST_CUDA:
        return f"the driver of {info.name} knows CUDA up to {capability_text(info.driver)}, and kernels need {capability_text(LOWEST_CUDA)}: install driver {LOWEST_DRIVER} or newer"
    return ""


def why_nothing_compiles() -> str:
    """Why kernels cannot be compiled for GPUs here, in a sentence; "" if they can."""
    try:
        from gdsim.lanes import cuda  # noqa: F401  # which needs a package more
    except ModuleNotFoundError as error:
        return f"what compiles for GPUs is not installed ({error.name} is missing): {installs('cuda')}"
    except Exception as error:  # whatever an installation that is half there may raise
        return f"what compiles for GPUs cannot be used ({type(error).__name__}: {' '.join(str(error).split())[:120]}): {installs('cuda')}"
    return ""
