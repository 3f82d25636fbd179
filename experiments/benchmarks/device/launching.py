"""Kernels on a device: what is timed there is timed by the device itself."""

import ctypes
from typing import Any

from gdsim.devices import Device, DeviceError
from gdsim.devices.nvidia import find_driver
from gdsim.kernels.cuda import compiled_training, kernels_on_warps
from gdsim.kernels.cuda_driver import Program, loaded
from gdsim.kernels.engines import Structure
from gdsim.lanes.cubins import Compiled


class TimingLibrary:
    """A driver's functions, with an event of the device before each kernel and one behind it."""

    def __init__(self, library: Any = None) -> None:
        self._library = library or find_driver()
        self._spans: list[tuple[ctypes.c_void_p, ctypes.c_void_p]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def cuLaunchKernel(self, *arguments: Any) -> int:  # noqa: N802  as the driver calls it
        """Launches a kernel: its ninth argument is the stream."""
        before = self._event(arguments[8])
        if code := self._library.cuLaunchKernel(*arguments):
            return code
        self._spans.append((before, self._event(arguments[8])))
        return 0

    def _event(self, stream: Any) -> ctypes.c_void_p:
        event = ctypes.c_void_p()
        self._checked("cuEventCreate", ctypes.byref(event), ctypes.c_uint(0))
        self._checked("cuEventRecord", event, stream)
        return event

    def _checked(self, name: str, *arguments: Any) -> None:
        """Calls a function. Raises DeviceError where it fails."""
        if code := getattr(self._library, name)(*arguments):
            raise DeviceError(f"error {code} in {name}")

    def seconds(self) -> float:
        """How long the kernels took that were launched since this was asked last, all of which have ended."""
        found, each, spans = 0.0, ctypes.c_float(), list(self._spans)
        self._spans.clear()
        for before, behind in spans:
            self._checked("cuEventElapsedTime", ctypes.byref(each), before, behind)
            found += each.value / 1e3  # ms
            for event in (before, behind):
                self._checked("cuEventDestroy_v2", event)
        return found


def training_kernel(structure: Structure, capability: tuple[int, int]) -> Compiled:
    """The kernel that trains the runs of a structure on devices of a capability. Needs numba-cuda, and no device."""
    return compiled_training(kernels_on_warps(structure), capability)


def brought(device: Device, structure: Structure, compiled: Compiled) -> Program:
    """A structure's program on a device, from a kernel that was compiled before."""
    return loaded(device, kernels_on_warps(structure), compiled)
