"""The memory of a device, laid out on the host: arrays that all warps share, and those of which each has its own.

All of it is one block. What warps have of their own is made once on the host, in an image, and repeated on the device, a
`stride` apart, so that a thousand warps cost the host what one does.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

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


Key: TypeAlias = tuple[Address, int]  # where an array lies on the host, and its bytes


def key_of(array: np.ndarray) -> Key:
    """By what an array is known."""
    return array.ctypes.data, array.nbytes


def owners_of(arrays: Mapping[Key, np.ndarray]) -> dict[Key, Key]:
    """Of each array the one that it is a part of, which may be itself, and is of those that `constant` makes."""
    owners, last = dict(zip(arrays, arrays, strict=True)), (0, 0)
    for first, size in sorted((key for key, array in arrays.items() if array.flags.c_contiguous), key=lambda key: (key[0], -key[1])):
        if first + size > sum(last):
            assert first >= sum(last), "arrays that overlap, neither of which is a part of the other"
            last = first, size
        owners[first, size] = last
    return owners


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
        self._copied: dict[Key, tuple[np.ndarray, Place]] = {}  # the arrays that images were copied from, which stay, and where they lie

    @property
    def size(self) -> int:
        """Bytes of all copies of all regions."""
        return sum(region.stride * region.copies for region in self.regions)

    def hold(self, value: Any, copies: int = 1, memory: Callable[[int], np.ndarray] = zeros_of) -> Any:
        """A nested tuple with its arrays as they lie in the images: an array once, however often it stands there or was
        held before, and a part of another one in that; those that are new in a region of their own, whose image `memory`
        gives so many bytes for.
        """
        new = {key: array for array in arrays_of(value) if (key := key_of(array)) not in self._copied and self._in_image(array) is None}
        if new:
            self._place(new, copies, memory)
        return with_arrays(value, lambda array: self.place_of(array).view)

    def _place(self, new: dict[Key, np.ndarray], copies: int, memory: Callable[[int], np.ndarray]) -> None:
        """Copies arrays into a region behind all others."""
        owners = owners_of(new)
        whole = [key for key in new if owners[key] == key]
        *offsets, size = np.cumsum([0] + [-(-count // LINE) * LINE for _, count in whole]).tolist()
        begin = dict(zip(whole, offsets, strict=True))
        filled = {key: found for key in whole if (found := _filled(new[key], begin[key]))}
        region = Region(self.size, copies, memory(size), tuple(filled.values()))
        self.regions.append(region)
        for key, array in new.items():
            offset = begin[owners[key]] + key[0] - owners[key][0]
            view = region.image[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
            if key not in filled:
                view[...] = array
            self._copied[key] = array, Place(region, offset, view)

    def forget_copied(self) -> None:
        """Lets go of the arrays that were copied into the images."""
        self._copied.clear()

    def place_of(self, array: np.ndarray) -> Place:
        """Where an array lies that is held, or one of an image, or a part of one."""
        return self._in_image(array) or self._copied[key_of(array)][1]

    def _in_image(self, array: np.ndarray) -> Place | None:
        """Where an array of an image lies; None of others."""
        for region in self.regions:
            offset = array.ctypes.data - region.image.ctypes.data
            if 0 <= offset <= region.image.nbytes - array.nbytes:
                return Place(region, offset, array)
        return None

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
