"""The memory of a device, laid out on the host: arrays that all warps share, and those of which each has its own.

All of it is one block. What warps have of their own is made once on the host, in an image, and repeated on the device, a
`stride` apart, so that a thousand warps cost the host what one does.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gdsim.lanes.numbers import Duals, zeros
from gdsim.lanes.types import Address

LINE = 256  # bytes: arrays begin at multiples of so many, as a warp's lanes of float64 fill
FILLED_BYTES = 2**16  # of an array full of one number from which on the device fills it: it takes ten copies or more


class Filled(NamedTuple):
    """Lines that are all alike, which an image has only room for."""

    first: int  # bytes behind the beginning of a copy
    line: np.ndarray
    lines: int


class Region(NamedTuple):
    """Arrays one behind the other, of which there are some copies."""

    first: int  # where its first copy begins in the arena
    copies: int
    image: np.ndarray  # uint8: the bytes of a copy
    filled: tuple[Filled, ...]

    @property
    def stride(self) -> int:
        """Bytes from one copy to the next."""
        return self.image.size

    def spans(self) -> Iterator[tuple[int, np.ndarray]]:
        """The parts of the image that are not to be filled, by where they begin in it."""
        begin = 0
        for filled in (*self.filled, Filled(self.stride, self.image, 0)):
            if filled.first > begin:
                yield begin, self.image[begin : filled.first]
            begin = filled.first + filled.lines * LINE


class Place(NamedTuple):
    """Where an array lies: its region, how far behind the beginning of a copy, and the array in the region's image."""

    region: Region
    offset: int
    view: np.ndarray


def _key(array: np.ndarray) -> tuple[Address, int]:
    return array.ctypes.data, array.nbytes


def arrays_of(value: Any) -> Iterator[np.ndarray]:
    """The arrays of a nested tuple that have any numbers."""
    if isinstance(value, tuple):
        for member in value:
            yield from arrays_of(member)
    elif isinstance(value, Duals):
        yield from arrays_of(value.whole)
    elif isinstance(value, np.ndarray) and value.nbytes:
        yield value


def zeros_of(size: int) -> np.ndarray:
    """So many bytes."""
    return zeros(size, np.uint8)


def _filled(array: np.ndarray, offset: int) -> Filled | None:
    """The lines of an array that is full of one number, as `constant` makes it, if they are many."""
    if any(array.strides) or array.nbytes < FILLED_BYTES:
        return None
    return Filled(offset, np.full(LINE // array.itemsize, array.flat[0]), -(-array.nbytes // LINE))


def with_arrays(value: Any, chosen: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A nested tuple in which another array stands for each that has any numbers."""
    if isinstance(value, tuple):
        members = [with_arrays(member, chosen) for member in value]
        return type(value)(*members) if hasattr(value, "_fields") else tuple(members)
    if isinstance(value, Duals):
        return value.moved(with_arrays(value.whole, chosen))
    return chosen(value) if isinstance(value, np.ndarray) and value.nbytes else value


class Arena:
    """A block of a device's memory as it will be.

    >>> from gdsim.kernels.arena import Arena
    >>> arena, table = Arena(), np.arange(3)
    >>> table = arena.hold(table)
    >>> own, _ = arena.hold((np.zeros(40, np.float32), table), copies=2)
    >>> arena.size, arena.address(table, 10**6), arena.address(own, 10**6), arena.address(own, 10**6, copy=1)
    (768, 1000000, 1000256, 1000512)
    """

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self._places: dict[tuple[Address, int], Place] = {}  # by where an array of an image lies on the host, and its bytes
        self._copied: dict[tuple[Address, int], tuple[np.ndarray, Place]] = {}  # likewise those that it was copied from, which stay

    @property
    def size(self) -> int:
        """Bytes of all copies of all regions."""
        return sum(region.stride * region.copies for region in self.regions)

    def hold(self, value: Any, copies: int = 1, memory: Callable[[int], np.ndarray] = zeros_of) -> Any:
        """A nested tuple with its arrays as they lie in the images: an array once, however often it stands there or was
        held before, and those that are new in a region of their own, whose image `memory` gives so many bytes for.
        """
        new = {key: array for array in arrays_of(value) if (key := _key(array)) not in self._copied and key not in self._places}
        if new:
            self._place(new, copies, memory)
        return with_arrays(value, lambda array: self.place_of(array).view)

    def _place(self, new: dict[tuple[Address, int], np.ndarray], copies: int, memory: Callable[[int], np.ndarray]) -> None:
        """Copies arrays into a region behind all others."""
        *offsets, size = np.cumsum([0] + [-(-array.nbytes // LINE) * LINE for array in new.values()]).tolist()
        filled = [_filled(array, offset) for array, offset in zip(new.values(), offsets, strict=True)]
        region = Region(self.size, copies, memory(size), tuple(filter(None, filled)))
        self.regions.append(region)
        for (key, array), offset, lines in zip(new.items(), offsets, filled, strict=True):
            view = region.image[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
            if lines is None:
                view[...] = array
            self._places[_key(view)] = place = Place(region, offset, view)
            self._copied[key] = array, place

    def forget_copied(self) -> None:
        """Lets go of the arrays that were copied into the images."""
        self._copied.clear()

    def place_of(self, array: np.ndarray) -> Place:
        """Where an array lies that is held, or one of an image."""
        key = _key(array)
        return self._places[key] if key in self._places else self._copied[key][1]

    def in_copies(self, value: Any, region: Region, copies: np.ndarray) -> list[Any]:
        """For each row of bytes that are a copy of a region, a nested tuple that is held with the arrays of the region as they
        lie there.
        """

        def there(row: np.ndarray, array: np.ndarray) -> np.ndarray:
            place = self.place_of(array)
            own = row[place.offset : place.offset + array.nbytes]
            return own.view(array.dtype).reshape(array.shape) if place.region is region else array

        return [with_arrays(value, functools.partial(there, row)) for row in copies]

    def address(self, array: np.ndarray, base: Address, copy: int = 0) -> Address:
        """Where one of its copies lies on a device, on which the arena begins at `base`. What has no numbers lies anywhere."""
        if not array.nbytes:
            return base
        region, offset, _ = self.place_of(array)
        return base + region.first + (copy if region.copies > 1 else 0) * region.stride + offset
