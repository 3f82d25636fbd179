"""What a device keeps for chunks of runs that are on their way: while one is trained, the next is copied in, or the last one's
results are copied out.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from gdsim.devices.nvidia import Device, DeviceError
from gdsim.devices.streams import Stream
from gdsim.lanes.types import Address

STATIONS = 2
SHARE = 0.8  # of a device's free memory that chunks take: others may take of it too
LOOK_SECONDS = 0.1  # between looks whether to stop, where another chunk is waited for


def room_on(device: Device) -> int:
    """Bytes of a device's memory that each station may take, of what is free now. Raises DeviceError."""
    return int(SHARE * device.free_memory()) // STATIONS


class Station:
    """What a chunk has of a device: a stream, memory, and memory of the host that is copied to and from. The next chunk
    takes the same.
    """

    def __init__(self, device: Device) -> None:
        self.device, self.stream = device, Stream(device)
        self._address, self._size = 0, 0
        self._pinned: np.ndarray | None = None

    def memory(self, size: int) -> Address:
        """So many bytes of the device's. Raises OutOfDeviceMemoryError."""
        if size > self._size:
            self._free()
            self._address = self.device.allocate(size)
            self._size = size
        return self._address

    def pinned(self, size: int) -> np.ndarray:
        """So many bytes of the host's. Raises OutOfDeviceMemoryError."""
        if self._pinned is None or size > self._pinned.size:
            self._unpin()
            self._pinned = self.device.pinned(size)
        return self._pinned[:size]

    def settle(self) -> None:
        """Waits until nothing is under way, whatever has become of it."""
        with contextlib.suppress(DeviceError):
            self.stream.wait()

    def _free(self) -> None:
        if self._size:
            self._size = 0
            self.device.free(self._address)

    def _unpin(self) -> None:
        if self._pinned is not None:
            pinned, self._pinned = self._pinned, None
            self.device.unpin(pinned)

    def close(self) -> None:
        """Gives all of it back. What fails here has failed before, and been said."""
        self.settle()
        for step in (self._free, self._unpin, self.stream.close):
            with contextlib.suppress(DeviceError):
                step()


class Stations:
    """The stations of a device, for as many chunks as are on their way at once, of which one is trained at a time.

    They are made when first needed, and given back at the end of a `with` block.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.room = room_on(device)  # that each may take
        self._training, self._is_closed = threading.Lock(), False
        self._free: queue.LifoQueue[Station | None] = queue.LifoQueue()  # None: is yet to be made
        for _ in range(STATIONS):
            self._free.put(None)

    @contextlib.contextmanager
    def one(self, check: Callable[[], None]) -> Iterator[Station]:
        """A station for the block, once there is one; what `check` raises ends the waiting. Raises RuntimeError where they have
        been closed.
        """
        station = _waited(self._take, check)
        try:
            station = station or Station(self.device)
            yield station
        except BaseException:
            if station is not None:
                station.settle()  # arrays of the host that are copied to or from are let go of after it
            raise
        finally:
            self._free.put(station)
            if self._is_closed:
                self.close()

    @contextlib.contextmanager
    def turn(self, check: Callable[[], None]) -> Iterator[None]:
        """The device's turn to train for the block, likewise."""
        _waited(self._take_turn, check)
        try:
            yield
        finally:
            self._training.release()

    def _take(self) -> Station | None:
        if self._is_closed:
            raise RuntimeError("these stations are closed: make others to train more")
        return self._free.get(timeout=LOOK_SECONDS)

    def _take_turn(self) -> None:
        if not self._training.acquire(timeout=LOOK_SECONDS):
            raise queue.Empty

    def __enter__(self) -> "Stations":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Gives the stations back, those that somebody has when they are done with."""
        self._is_closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                if (station := self._free.get_nowait()) is not None:
                    station.close()


def _waited(take: Callable[[], Any], check: Callable[[], None]) -> Any:
    """What `take` gives when it no longer raises queue.Empty."""
    while True:
        check()
        with contextlib.suppress(queue.Empty):
            return take()
