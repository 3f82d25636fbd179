"""A stand-in for the library of NVIDIA's driver, whose device is the interpreter."""

import collections
import ctypes
import threading
from typing import Any, NamedTuple

import numpy as np

from tests.cuda.arena import Arena
from tests.cuda.ptx import Program

NAMES = {
    1: b"CUDA_ERROR_INVALID_VALUE",
    2: b"CUDA_ERROR_OUT_OF_MEMORY",
    100: b"CUDA_ERROR_NO_DEVICE",
    200: b"CUDA_ERROR_INVALID_IMAGE",
    201: b"CUDA_ERROR_INVALID_CONTEXT",
}
NAMES |= {46: b"CUDA_ERROR_DEVICE_UNAVAILABLE", 500: b"CUDA_ERROR_NOT_FOUND", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS"}
# An H100's: capability, clocks in kHz, bits of the memory's bus, and bytes of shared memory.
ATTRIBUTES = {75: 9, 76: 0, 13: 1_980_000, 36: 2_619_000, 37: 5120, 97: 232_448, 81: 233_472, 111: 1024}
WITHOUT_ASKING = 48 * 1024  # bytes of shared memory that any function's blocks may have
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


class Asked(NamedTuple):
    """What a stream is asked to do, and the memory of the device and the host that it does it with."""

    kind: str  # "in", "out", "repeat" or "kernel"
    do: Any
    addresses: tuple[int, ...]


class Queue:
    """A stream: what it is asked to do, and how much of it is done."""

    def __init__(self, number):
        self.number, self.asked, self.done, self.given = number, collections.deque(), 0, 0


class DriverLibrary:
    """The functions that `gdsim.devices` calls, as ctypes would: PTX stands for machine code, whose threads run in an order
    that `order` draws.

    A stream does nothing before it is waited for, as late as a device may: what is copied from is read then, and what is
    copied to has damaged numbers until then, so that a wait that is missing is seen. `log` has what was done, with
    the stream. Memory that is free is damaged. `fails` has the codes with which functions fail, after 700 all; `busy` are
    the GPUs that another process has. `seconds` go by as steps are made, of which the launches' words say how many.
    """

    def __init__(self, memory=2**22, multiprocessors=2, blocks=1, order=None, gpus=1, seconds_per_step=1e-3, largest=None, attributes=ATTRIBUTES, busy=()):
        self.arena, self.memory, self.largest = Arena(memory, 2**12), memory, largest or memory
        self.multiprocessors, self.blocks, self.order, self.gpus = multiprocessors, blocks, order, gpus
        self.held, self.modules, self.launches, self.fails, self.current = {}, [], [], {}, set()
        self.near = {}  # of functions: the bytes of near memory that they may have, where more than usual was asked for
        self.seconds, self.seconds_per_step, self.on_launch, self.copied_in = 0.0, seconds_per_step, lambda: None, 0
        self.streams, self.events, self.pinned, self.gone, self.log = {}, {}, {}, [], []
        self.dead, self.attributes, self.busy, self.version = 0, attributes, busy, 13_010
        self.changing, self.computing = threading.Lock(), threading.Lock()

    def __getattr__(self, name):
        function = getattr(type(self), name.removeprefix("cu"))

        def call(*arguments):
            if name in self.fails:
                self.dead = self.fails[name] if self.fails[name] == 700 else 0
                return self.fails[name]
            if self.dead and name[2:] not in ANYWHERE:
                return self.dead
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
        version._obj.value = self.version

    def DeviceGetCount(self, count):
        count._obj.value = self.gpus

    def DeviceGet(self, device, number):
        device._obj.value = number.value

    def DevicePrimaryCtxRetain(self, context, device):
        context._obj.value = 1000 + device.value
        return 46 if device.value in self.busy else 0

    def DeviceGetName(self, name, size, device):
        name.value = b"Interpreter"[: size.value]

    def DeviceTotalMem_v2(self, memory, device):
        memory._obj.value = self.memory

    def DeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {**self.attributes, 16: self.multiprocessors}[attribute.value]

    def GetErrorName(self, code, text):
        text._obj.value = NAMES.get(code.value)
        return code.value not in NAMES

    def CtxSetCurrent(self, context):
        assert context.value >= 1000
        self.current.add(threading.get_ident())

    def MemGetInfo_v2(self, free, whole):
        free._obj.value, whole._obj.value = self.memory - self.taken(), self.memory

    def taken(self):
        """Bytes that are not free."""
        return sum(room.nbytes for room in self.held.values())

    def MemAlloc_v2(self, address, size):
        with self.changing:
            first = self.room_for(size.value)
            if first is None or size.value > self.largest:
                return 2
            room = self.arena.bytes[first : first + size.value]
            room[:], self.arena.used = 0xA5, max(self.arena.used, first + size.value)
            self.held[room.ctypes.data], address._obj.value = room, room.ctypes.data
        return 0

    def room_for(self, size):
        """Where so many bytes fit between those that are taken."""
        first = 0
        for room in sorted(self.held.values(), key=lambda room: room.ctypes.data):
            at = room.ctypes.data - self.arena.base
            if first + size <= at:
                break
            first = -(-(at + room.nbytes) // 256) * 256
        return first if first + size <= self.memory else None

    def MemFree_v2(self, address):
        self.let_go(address.value, self.held)

    def MemHostAlloc(self, address, size, flags):
        assert flags.value == 0
        room = np.full(size.value, 0xA5, np.uint8)
        self.pinned[room.ctypes.data], address._obj.value = room, room.ctypes.data
        return 0

    def MemFreeHost(self, address):
        self.let_go(address.value, self.pinned)

    def let_go(self, address, held):
        """Memory with which nothing is yet to be done is damaged; it is not used again, so that who still reads it is seen."""
        with self.changing:
            room = held.pop(address)
            asked = [one for queue in self.streams.values() if queue for one in queue.asked]
            assert not any(address <= used < address + room.nbytes for one in asked for used in one.addresses), "memory is freed with which work is to be done"
            room[:] = 0xA5
            self.gone.append(room)

    def StreamCreate(self, stream, flags):
        assert flags.value == 1
        with self.changing:
            stream._obj.value = 10 + len(self.streams)
            self.streams[stream._obj.value] = Queue(stream._obj.value)

    def StreamDestroy_v2(self, stream):
        assert not self.streams[stream.value].asked
        self.streams[stream.value] = None

    def EventCreate(self, event, flags):
        assert flags.value == 3
        with self.changing:
            event._obj.value = 100 + len(self.events)
            self.events[event._obj.value] = None

    def EventDestroy_v2(self, event):
        self.events[event.value] = None

    def EventRecord(self, event, stream):
        queue = self.streams[stream.value]
        self.events[event.value] = queue, queue.given

    def EventSynchronize(self, event):
        queue, given = self.events[event.value]
        while queue.done < given:
            one, queue.done = queue.asked.popleft(), queue.done + 1
            one.do()
            self.log.append((one.kind, queue.number))

    def ask(self, stream, kind, do, *addresses):
        """Puts something at a stream's end."""
        queue = self.streams[stream.value]
        queue.asked.append(Asked(kind, do, addresses))
        queue.given += 1

    def check(self, address, size):
        """Memory that is copied lies within one allocation."""
        assert any(first <= address <= address + size <= first + room.nbytes for first, room in self.held.items())

    def MemcpyHtoDAsync_v2(self, address, host, size, stream):
        def do():
            self.check(address.value, size.value)
            self.copied_in += size.value
            ctypes.memmove(address.value, host.value, size.value)

        self.ask(stream, "in", do, address.value, host.value)

    def MemcpyDtoHAsync_v2(self, host, address, size, stream):
        def do():
            self.check(address.value, size.value)
            ctypes.memmove(host.value, address.value, size.value)

        ctypes.memset(host.value, 0xA5, size.value)
        self.ask(stream, "out", do, address.value, host.value)

    def MemcpyDtoDAsync_v2(self, to, address, size, stream):
        def do():
            assert abs(to.value - address.value) >= size.value, "what is copied lies over where it is copied to"
            self.check(address.value, size.value)
            self.check(to.value, size.value)
            ctypes.memmove(to.value, address.value, size.value)

        self.ask(stream, "repeat", do, to.value, address.value)

    def ModuleLoadData(self, module, image):
        try:
            self.modules.append(Program(image.value.decode()))
        except (ValueError, UnicodeDecodeError):
            return 200
        module._obj.value = len(self.modules)
        return 0

    def ModuleUnload(self, module):
        self.modules[module.value - 1] = None

    def ModuleGetFunction(self, function, module, name):
        function._obj.value = module.value
        return 0 if self.modules[module.value - 1].entry == name.value.decode() else 500

    def FuncSetAttribute(self, function, attribute, value):
        assert attribute.value == 8
        is_had = value.value <= ATTRIBUTES[97]
        self.near |= {function.value: value.value} if is_had else {}
        return 0 if is_had else 1

    def OccupancyMaxActiveBlocksPerMultiprocessor(self, blocks, function, threads, shared):
        assert shared.value <= self.near.get(function.value, WITHOUT_ASKING)
        fitting = ATTRIBUTES[81] // (shared.value + ATTRIBUTES[111])
        blocks._obj.value = min(self.blocks, fitting) if shared.value else self.blocks

    def LaunchKernel(self, function, x, y, z, threads, y_threads, z_threads, shared, stream, arguments, more):
        assert (y.value, z.value, y_threads.value, z_threads.value, more.value) == (1, 1, 1, 1, None)
        assert shared.value <= self.near.get(function.value, WITHOUT_ASKING)
        words = [ctypes.c_uint64.from_address(place).value for place in arguments]

        def do():
            with self.computing:
                self.launches.append((x.value, threads.value, words))
                self.modules[function.value - 1].run(self.arena, words, x.value * threads.value // 32, self.order, threads.value, shared.value)
                self.seconds += self.seconds_per_step * words[7] if len(words) > 7 else 0
                self.on_launch()

        self.ask(stream, "kernel", do, *words)
