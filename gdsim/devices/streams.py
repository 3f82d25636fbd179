"""Work that a device does in the order in which it is given, beside that of other streams: copies beside kernels."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.devices.nvidia import Device, giving_back
from gdsim.lanes.types import Address

APART = 1  # CU_STREAM_NON_BLOCKING: waits for no other stream, and none waits for it
ASLEEP = 1 | 2  # CU_EVENT_BLOCKING_SYNC, _DISABLE_TIMING: who waits leaves the processor to others


class Stream:
    """A queue of a device's work. What is asked of it is done later, at the latest when `wait` returns; until then arrays
    that are copied from must stay as they are, and those that are copied to have nothing yet. All of them are kept until then.

    A failed call raises DeviceError, as it may for what failed before.
    """

    def __init__(self, device: Device) -> None:
        self.device, self._stream, self._event = device, ctypes.c_void_p(), ctypes.c_void_p()
        self._copied: list[np.ndarray] = []  # from or to, since all was done
        device.call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(APART))
        with giving_back(device, "cuStreamDestroy_v2", self._stream):
            device.call("cuEventCreate", ctypes.byref(self._event), ctypes.c_uint(ASLEEP))

    def copy_in(self, address: Address, array: np.ndarray) -> None:
        """Copies a contiguous array into the device's memory."""
        self._copied.append(array)
        self._do("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes))

    def copy_out(self, array: np.ndarray, address: Address) -> None:
        """Copies the device's memory into a contiguous array."""
        self._copied.append(array)
        self._do("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))

    def repeat(self, address: Address, size: int, copies: int) -> None:
        """Copies so many bytes of the device's memory behind themselves, until they stand there so many times."""
        done = 1
        while done < copies:
            more = min(done, copies - done)
            self._do("cuMemcpyDtoDAsync_v2", ctypes.c_uint64(address + done * size), ctypes.c_uint64(address), ctypes.c_size_t(more * size))
            done += more

    def launch(self, function: Any, blocks: int, threads: int, words: Sequence[int], shared: int = 0) -> None:
        """Runs a kernel with arguments of 64 bits each, whose blocks have so many bytes of shared memory beside its own."""
        values = [ctypes.c_uint64(word) for word in words]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        grid = [ctypes.c_uint(count) for count in (blocks, 1, 1, threads, 1, 1)]
        self.device.call("cuLaunchKernel", function, *grid, ctypes.c_uint(shared), self._stream, arguments, ctypes.c_void_p(0))

    def wait(self) -> None:
        """Waits until all is done. Raises DeviceError where a kernel failed."""
        self.device.call("cuEventRecord", self._event, self._stream)
        self.device.call("cuEventSynchronize", self._event)
        self._copied.clear()

    def close(self) -> None:
        """Gives the stream back, when all is done."""
        try:
            self.device.call("cuEventDestroy_v2", self._event)
        finally:
            self.device.call("cuStreamDestroy_v2", self._stream)

    def _do(self, name: str, *arguments: Any) -> None:
        self.device.call(name, *arguments, self._stream)
