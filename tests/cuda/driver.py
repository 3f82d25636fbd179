"""A stand-in for the library of NVIDIA's driver, whose device is the interpreter."""

import ctypes
import threading

import numpy as np

from tests.cuda.arena import Arena
from tests.cuda.ptx import Program

NAMES = {2: b"CUDA_ERROR_OUT_OF_MEMORY", 100: b"CUDA_ERROR_NO_DEVICE", 200: b"CUDA_ERROR_INVALID_IMAGE", 201: b"CUDA_ERROR_INVALID_CONTEXT"}
NAMES |= {500: b"CUDA_ERROR_NOT_FOUND", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS"}
# An H100's: capability, clocks in kHz, bits of the memory's bus, and bytes of shared memory.
ATTRIBUTES = {75: 9, 76: 0, 13: 1_980_000, 36: 2_619_000, 37: 5120, 97: 232_448, 81: 233_472, 111: 1024}
ANYWHERE = (
    "Init",
    "DriverGetVersion",
    "DeviceGetCount",
    "DeviceGet",
    "DevicePrimaryCtxRetain",
    "DeviceGetName",
    "DeviceTotalMem_v2",
    "DeviceGetAttribute",
    "GetErrorName",
    "CtxSetCurrent",
)


class DriverLibrary:
    """The functions that `gdsim.devices` calls, as ctypes would: PTX stands for machine code, and kernels run when they are
    launched, in an order of threads that `order` draws.

    `fails` has the codes with which functions fail. Memory that is free is damaged. `seconds` go by as steps are made,
    of which the launches' words say how many.
    """

    def __init__(self, memory=2**22, multiprocessors=2, blocks=1, order=None, gpus=1, seconds_per_step=1e-3, largest=None):
        self.arena, self.memory, self.largest = Arena(memory, 2**12), memory, largest or memory
        self.multiprocessors, self.blocks, self.order, self.gpus = multiprocessors, blocks, order, gpus
        self.held, self.modules, self.launches, self.fails, self.current = {}, [], [], {}, set()
        self.seconds, self.seconds_per_step, self.copied_in, self.on_launch = 0.0, seconds_per_step, 0, lambda: None

    def __getattr__(self, name):
        function = getattr(type(self), name.removeprefix("cu"))

        def call(*arguments):
            if name in self.fails:
                return self.fails[name]
            if name[2:] not in ANYWHERE and threading.get_ident() not in self.current:
                return 201
            return function(self, *arguments) or 0

        return call

    def clock(self):
        """Seconds of the device's own time."""
        return self.seconds

    def Init(self, flags):
        assert flags.value == 0

    def DriverGetVersion(self, version):
        version._obj.value = 13_010

    def DeviceGetCount(self, count):
        count._obj.value = self.gpus

    def DeviceGet(self, device, number):
        device._obj.value = number.value

    def DevicePrimaryCtxRetain(self, context, device):
        context._obj.value = 1000 + device.value

    def DeviceGetName(self, name, size, device):
        name.value = b"Interpreter"[: size.value]

    def DeviceTotalMem_v2(self, memory, device):
        memory._obj.value = self.memory

    def DeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {**ATTRIBUTES, 16: self.multiprocessors}[attribute.value]

    def GetErrorName(self, code, text):
        text._obj.value = NAMES.get(code.value)
        return code.value not in NAMES

    def CtxSetCurrent(self, context):
        assert context.value >= 1000
        self.current.add(threading.get_ident())

    def MemGetInfo_v2(self, free, whole):
        free._obj.value, whole._obj.value = self.memory - self.arena.used, self.memory

    def MemAlloc_v2(self, address, size):
        if size.value > min(self.largest, self.memory - self.arena.used):
            return 2
        room = self.arena.put(np.full(size.value, 0xA5, np.uint8))
        self.held[room.ctypes.data], address._obj.value = room, room.ctypes.data
        return 0

    def MemFree_v2(self, address):
        self.held.pop(address.value)[:] = 0xA5
        if not self.held:
            self.arena.used = 0

    def check(self, address, size):
        """Memory that is copied lies within one allocation."""
        assert any(first <= address.value <= address.value + size.value <= first + room.nbytes for first, room in self.held.items())

    def MemcpyHtoD_v2(self, address, host, size):
        self.check(address, size)
        self.copied_in += size.value
        ctypes.memmove(address.value, host.value, size.value)

    def MemcpyDtoH_v2(self, host, address, size):
        self.check(address, size)
        ctypes.memmove(host.value, address.value, size.value)

    def ModuleLoadData(self, module, image):
        try:
            self.modules.append(Program(image.value.decode()))
        except (ValueError, UnicodeDecodeError):
            return 200
        module._obj.value = len(self.modules)
        return 0

    def ModuleGetFunction(self, function, module, name):
        function._obj.value = module.value
        return 0 if self.modules[module.value - 1].entry == name.value.decode() else 500

    def OccupancyMaxActiveBlocksPerMultiprocessor(self, blocks, function, threads, shared):
        blocks._obj.value = self.blocks

    def LaunchKernel(self, function, x, y, z, threads, y_threads, z_threads, shared, stream, arguments, more):
        assert (y.value, z.value, y_threads.value, z_threads.value, shared.value, stream.value, more.value) == (1, 1, 1, 1, 0, None, None)
        words = [ctypes.c_uint64.from_address(place).value for place in arguments]
        self.launches.append((x.value, threads.value, words))
        self.modules[function.value - 1].run(self.arena, words, x.value * threads.value // 32, self.order, threads.value)
        self.seconds += self.seconds_per_step * words[7] if len(words) > 7 else 0
        self.on_launch()

    def CtxSynchronize(self):
        pass
