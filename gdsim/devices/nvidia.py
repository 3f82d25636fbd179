"""NVIDIA's GPUs by the dozen functions of their driver that training takes.

The driver's library comes with the driver, and its functions stay what they are from version to version: a machine
with a GPU runs kernels that were compiled elsewhere without any package more.
"""

import contextlib
import ctypes
import functools
import math
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gdsim.lanes.cubins import Compiled
from gdsim.lanes.types import Address

OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
# Of CU_DEVICE_ATTRIBUTE_: COMPUTE_CAPABILITY_MAJOR and _MINOR, MULTIPROCESSOR_COUNT.
MAJOR, MINOR, MULTIPROCESSORS = 75, 76, 16
# CLOCK_RATE and MEMORY_CLOCK_RATE in kHz, GLOBAL_MEMORY_BUS_WIDTH in bits.
CLOCK, MEMORY_CLOCK, BUS_WIDTH = 13, 36, 37
# MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR and RESERVED_SHARED_MEMORY_PER_BLOCK.
BLOCK_SHARED, MULTIPROCESSOR_SHARED, RESERVED_SHARED = 97, 81, 111
MOST_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
TRANSFERS = 2  # of the memory in a cycle of its clock: both of its edges count
NAME_BYTES = 256
VISIBLE = "CUDA_VISIBLE_DEVICES"  # by which the driver shows a process some of the GPUs
# The CUDA that a driver must know to load what numba-cuda's compiler for CUDA 13 makes, and NVIDIA's own number of the first
# driver that does.
LOWEST_CUDA, LOWEST_DRIVER = (13, 0), 580


class NoDeviceError(RuntimeError):
    """There is no GPU of this number, or no driver of any."""


class DeviceError(RuntimeError):
    """A call of the driver has failed."""


class OutOfDeviceMemoryError(DeviceError):
    """The device has no room for so many bytes."""


class DeviceInfo(NamedTuple):
    """What a device is, and the driver's version, which is that of the newest CUDA that it knows."""

    name: str
    capability: tuple[int, int]  # compute capability, by which kernels are compiled for it
    driver: tuple[int, int]
    memory: int  # bytes
    multiprocessors: int
    clock: float  # Hz
    bandwidth: float  # bytes per second, between the device and its memory at most; inf where the driver does not say
    block_shared: int  # bytes of shared memory that a block can have
    multiprocessor_shared: int  # that the blocks on a multiprocessor share
    reserved_shared: int  # that the system takes of it for each block, which no kernel's count has


def find_driver() -> Any:
    """The driver's library. Raises NoDeviceError."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)  # of functions of 64 bits, which have one calling convention on Windows too
    except OSError as error:
        raise NoDeviceError(f"no driver of an NVIDIA GPU is installed here ({error}): install driver {LOWEST_DRIVER} or newer") from None


class Driver:
    """The driver, and how many GPUs it sees. A failed call raises DeviceError with the driver's name for what failed; where
    there is no driver, or it can use no GPU, NoDeviceError is raised. `library` has the driver's functions.
    """

    def __init__(self, library: Any = None) -> None:
        self._library, count = library or find_driver(), ctypes.c_int()
        try:
            self.call("cuInit", ctypes.c_uint(0))
            self.call("cuDeviceGetCount", ctypes.byref(count))
        except DeviceError as error:
            raise NoDeviceError(f"the NVIDIA driver finds no GPU that it can use: {error}{_hidden()}") from None
        self.count = count.value

    def call(self, name: str, *arguments: Any) -> None:
        """Calls one of the driver's functions."""
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            is_known = self._library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(text)) == 0
            kind = OutOfDeviceMemoryError if code == OUT_OF_MEMORY else DeviceError
            raise kind(f"{(text.value or b'').decode() if is_known else f'error {code}'} in {name}")

    def handle(self, number: int) -> ctypes.c_int:
        """A GPU as the driver's functions take it. Raises NoDeviceError for a number that none has."""
        if not 0 <= number < self.count:
            seen = f"GPUs 0 to {self.count - 1}" if self.count > 1 else "GPU 0 alone" if self.count else "none"
            raise NoDeviceError(f"there is no GPU {number}: the driver sees {seen}{_hidden()}")
        device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
        return device

    def info(self, device: ctypes.c_int) -> DeviceInfo:
        """What a GPU is, which is known also of one that cannot be used."""
        name, memory, driver = ctypes.create_string_buffer(NAME_BYTES), ctypes.c_size_t(), ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(driver))
        self.call("cuDeviceGetName", name, ctypes.c_int(NAME_BYTES), device)
        self.call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        get = functools.partial(self._attribute, device)
        return DeviceInfo(
            name.value.decode(), (get(MAJOR), get(MINOR)), (driver.value // 1000, driver.value % 1000 // 10), memory.value, get(MULTIPROCESSORS),
            1e3 * get(CLOCK), 1e3 * get(MEMORY_CLOCK) * TRANSFERS * get(BUS_WIDTH) / 8 or math.inf, get(BLOCK_SHARED), get(MULTIPROCESSOR_SHARED), get(RESERVED_SHARED),
        )  # fmt: skip

    def _attribute(self, device: ctypes.c_int, attribute: int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
        return value.value


def _hidden() -> str:
    """That the driver was told which GPUs to show, if it was."""
    shown = os.environ.get(VISIBLE)
    return "" if shown is None else f" ({VISIBLE} is {shown!r}, and shows this process those alone)"


class Device:
    """A GPU by its number among those that the driver sees, which CUDA_VISIBLE_DEVICES may choose.

    Any thread may call it. A failed call raises DeviceError with the driver's name for what failed. `library` has
    the driver's functions. Raises NoDeviceError where there is none of this number.
    """

    def __init__(self, number: int = 0, library: Any = None) -> None:
        self._driver, self._context = Driver(library), ctypes.c_void_p()
        handle = self._driver.handle(number)
        self.info = self._driver.info(handle)
        try:
            self._driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), handle)
        except DeviceError as error:
            busy = "another process may have its memory, or have it alone, as nvidia-smi says"
            raise type(error)(f"{self.info.name} cannot be opened ({error}): {busy}") from None

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that works on the device that is the thread's current one, as which others may have set theirs."""
        self._driver.call("cuCtxSetCurrent", self._context)
        self._driver.call(name, *arguments)

    def free_memory(self) -> int:
        """Bytes that nobody has."""
        free, whole = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(whole))
        return free.value

    def allocate(self, size: int) -> Address:
        """Memory of so many bytes, from a multiple of 256 on. Raises OutOfDeviceMemoryError."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def free(self, address: Address) -> None:
        """Gives memory back, when kernels that work on it have ended."""
        self.call("cuMemFree_v2", ctypes.c_uint64(address))

    def pinned(self, size: int) -> np.ndarray:
        """So many bytes of the host's memory, which copies go to and from at full speed, beside kernels. Raises
        OutOfDeviceMemoryError.
        """
        address = ctypes.c_void_p()
        self.call("cuMemHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), ctypes.c_uint(0))
        return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (size,))

    def unpin(self, pinned: np.ndarray) -> None:
        """Gives such memory back, when nothing is copied to or from it any more. It is not there then."""
        self.call("cuMemFreeHost", ctypes.c_void_p(pinned.ctypes.data))

    def load(self, compiled: Compiled, shared: int = 0) -> Any:
        """A kernel as `resident_blocks` and `Stream.launch` take it, which may have so many bytes of shared memory for a
        block beside its own; it stays loaded for as long as the process lives.
        """
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(compiled.cubin))
        with giving_back(self, "cuModuleUnload", module):
            self.call("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(compiled.entry.encode()))
            if shared:
                self.call("cuFuncSetAttribute", function, ctypes.c_int(MOST_SHARED), ctypes.c_int(shared))
        return function

    def resident_blocks(self, function: Any, threads: int, shared: int = 0) -> int:
        """How many blocks of so many threads, with so many bytes of shared memory beside the kernel's own, the device
        works on at once, as many as each multiprocessor has registers and shared memory for.
        """
        blocks = ctypes.c_int()
        self.call("cuOccupancyMaxActiveBlocksPerMultiprocessor", ctypes.byref(blocks), function, ctypes.c_int(threads), ctypes.c_size_t(shared))
        return blocks.value * self.info.multiprocessors


@contextlib.contextmanager
def giving_back(device: Device, name: str, made: Any) -> Iterator[None]:
    """A block that what was made needs to be of use: where it fails, a function of the driver gives that back."""
    try:
        yield
    except DeviceError:
        with contextlib.suppress(DeviceError):  # it fails too where the device has failed, and the process with it
            device.call(name, made)
        raise
