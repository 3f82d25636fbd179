"""Kernels on a device: what is timed there is timed by the device itself."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.device import report
from gdsim.devices import Device, Stream
from gdsim.devices.nvidia import find_driver
from gdsim.kernels.cuda import array_words, compiled_training, kernels_on_warps
from gdsim.kernels.cuda_driver import loaded
from gdsim.kernels.engines import Structure
from gdsim.lanes.cubins import Compiled
from gdsim.lanes.types import Address
from gdsim.population import Batch, Setting
from gdsim.population.device_training import train_on_device


class TimingLibrary:
    """A driver's functions, with an event of the device before each kernel and one behind it."""

    def __init__(self, library: Any = None) -> None:
        self._library = library or find_driver()
        self._spans: list[tuple[ctypes.c_void_p, ctypes.c_void_p]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def cuLaunchKernel(self, *arguments: Any) -> int:  # noqa: N802  as the driver calls it
        """Launches a kernel: its ninth argument is the stream."""
        before, behind = self._event(arguments[8]), ctypes.c_void_p()
        code = self._library.cuLaunchKernel(*arguments)
        behind = self._event(arguments[8])
        self._spans.append((before, behind))
        return code

    def _event(self, stream: Any) -> ctypes.c_void_p:
        event = ctypes.c_void_p()
        self._library.cuEventCreate(ctypes.byref(event), ctypes.c_uint(0))
        self._library.cuEventRecord(event, stream)
        return event

    def seconds(self) -> float:
        """How long the kernels took that were launched since this was asked last, all of which have ended."""
        found, each = 0.0, ctypes.c_float()
        for before, behind in self._spans:
            self._library.cuEventElapsedTime(ctypes.byref(each), before, behind)
            found += each.value / 1e3  # ms
            for event in (before, behind):
                self._library.cuEventDestroy_v2(event)
        self._spans.clear()
        return found


def training_kernel(structure: Structure, capability: tuple[int, int]) -> Compiled:
    """The kernel that trains the runs of a structure on devices of a capability. Needs numba-cuda, and no device."""
    return compiled_training(kernels_on_warps(structure), capability)


def trained(setting: Setting, batch: Batch, structure: Structure, device: Device, compiled: Compiled) -> dict[str, np.ndarray]:
    """The columns of a batch's results, by a kernel that was compiled before."""
    return train_on_device(setting, batch, loaded(device, kernels_on_warps(structure), compiled), report.say).columns


def launch(device: Device, compiled: Compiled, blocks: int, threads: int, given: Sequence[np.ndarray | int]) -> None:
    """Runs a kernel of flat arrays and whole numbers once; the arrays have then what it left in them."""
    function, stream, held = device.load(compiled), Stream(device), list[Address]()
    arrays = [one for one in given if isinstance(one, np.ndarray)]
    try:
        for array in arrays:
            held.append(device.allocate(array.nbytes))
            stream.copy_in(held[-1], array)
        places = iter(held)
        words = [word for one in given for word in (array_words(next(places), one.size, one.itemsize) if isinstance(one, np.ndarray) else [one])]
        stream.launch(function, blocks, threads, words)
        stream.wait()
        for array, address in zip(arrays, held, strict=True):
            stream.copy_out(array, address)
        stream.wait()
    finally:
        for address in held:
            device.free(address)
        stream.close()
