"""Kernels on a device: what is timed there is timed by the device itself."""

import contextlib
import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.devices import Device, DeviceError, Station
from gdsim.devices.nvidia import find_driver
from gdsim.kernels.arena import LINE
from gdsim.kernels.cuda import array_words, compiled_training, kernels_on_warps
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


def launch(device: Device, compiled: Compiled, blocks: int, threads: int, given: Sequence[np.ndarray | int]) -> None:
    """Runs a kernel of flat arrays and whole numbers once; the arrays have then what it left in them."""
    arrays = [one for one in given if isinstance(one, np.ndarray)]
    *offsets, size = np.cumsum([0] + [-(-array.nbytes // LINE) * LINE for array in arrays]).tolist()
    with contextlib.closing(Station(device)) as station:
        function, stream, base = device.load(compiled), station.stream, station.memory(size)
        places = [base + offset for offset in offsets]
        for array, place in zip(arrays, places, strict=True):
            stream.copy_in(place, array)
        left = iter(places)
        words = [word for one in given for word in (array_words(next(left), one.size, one.itemsize) if isinstance(one, np.ndarray) else [one])]
        stream.launch(function, blocks, threads, words)
        stream.wait()
        for array, place in zip(arrays, places, strict=True):
            stream.copy_out(array, place)
        stream.wait()
