"""The memory that kernels may touch while `ptx` runs them, and nothing beside it."""

from typing import Any

import numpy as np

from gdsim.kernels.arena import Key, arrays_of, key_of, owners_of, with_arrays

WARP = 32
LINE = 64
SEVERAL = -2


class RaceError(AssertionError):
    """Threads touch a word in an order that nothing decides."""


class Arena:
    """Arrays at their real addresses, in one block; with who touched which word since its warp's last barrier.

    Threads that store one word together must store the same. A word that a thread stores differently from what
    it was, while another thread of the warp has read or stored it since the last barrier, is a race, and so is a
    word that a thread reads after another has stored it.
    """

    def __init__(self, size: int, threads: int = WARP) -> None:
        room = np.zeros(size + LINE, np.uint8)
        first = -room.ctypes.data % LINE
        self.bytes, self.used = room[first : first + size], 0
        self.held: dict[Key, tuple[np.ndarray, np.ndarray]] = {}
        self.base = self.bytes.ctypes.data
        self.views = {np.dtype(kind): self.bytes.view(kind) for kind in ("u1", "u2", "u4", "u8", "f4", "f8")}
        words = size // 4
        self.epochs = np.ones(-(-threads // WARP), np.int32)  # of warps: how many barriers they have met, and 1
        self.is_constant, self.is_stored = np.zeros((2, words), np.bool_)  # since the kernel's beginning
        self.reader, self.writer = np.full((2, words), -1, np.int32)  # the last thread to touch a word, or SEVERAL of its warp
        self.read_epoch, self.write_epoch = np.zeros((2, words), np.int32)

    def hold(self, value: Any) -> Any:
        """A nested tuple with copies of its arrays in the arena, one of each array, however often it stands there or
        was held before; a part of another array is a part of its copy.
        """
        new = {key: array for array in arrays_of(value) if (key := key_of(array)) not in self.held}
        owners = owners_of(new)
        for key, array in sorted(new.items(), key=lambda one: owners[one[0]] != one[0]):
            owner = owners[key]
            there = self.put(array) if owner == key else self.held[owner][1].reshape(-1).view(np.uint8)[key[0] - owner[0] :][: key[1]]
            self.held[key] = array, there.view(array.dtype).reshape(array.shape)  # the array stays, so that none other gets its address
        return with_arrays(value, lambda array: self.held[key_of(array)][1])

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy of an array in the arena."""
        first, self.used = self.used, self.used + -(-max(array.nbytes, 1) // LINE) * LINE
        assert self.used <= len(self.bytes), "the arena is too small"
        copy = self.bytes[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    def places(self, address: np.ndarray, size: int) -> np.ndarray:
        """Where numbers of so many bytes lie in the block. Raises AssertionError outside of it."""
        at = address.view(np.int64) - self.base
        assert ((at >= 0) & (at + size <= self.used)).all(), f"an address outside the arena: {at[(at < 0) | (at + size > self.used)][0]} of {self.used}"
        assert (at % size == 0).all(), f"an address that is no multiple of {size}"
        return at

    def load(self, address: np.ndarray, kind: np.dtype, threads: np.ndarray) -> np.ndarray:
        """A number for each of some threads."""
        at = self.places(address, kind.itemsize)
        for word in range(0, kind.itemsize, 4):
            self.note_read((at + word) // 4, threads)
        return self.views[kind][at // kind.itemsize]

    def load_constant(self, address: np.ndarray, kind: np.dtype, threads: np.ndarray) -> np.ndarray:
        """A number for each of some threads, of memory in which a kernel stores nothing. Raises RaceError where it does."""
        at = self.places(address, kind.itemsize)
        for word in range(0, kind.itemsize, 4):
            place = (at + word) // 4
            if self.is_stored[place].any():
                raise RaceError("a thread reads as constant what the kernel has stored")
            self.is_constant[place] = True
        return self.views[kind][at // kind.itemsize]

    def store(self, address: np.ndarray, value: np.ndarray, threads: np.ndarray) -> None:
        """Stores a number of each of some threads. Raises RaceError where they store different ones at one place."""
        kind = value.dtype
        at = self.places(address, kind.itemsize)
        place, bits = at // kind.itemsize, f"u{kind.itemsize}"
        held, given = self.views[kind], value.view(bits)
        changes = held[place].view(bits) != given
        for word in range(0, kind.itemsize, 4):
            self.note_write((at + word) // 4, threads, changes)
        held[place] = value
        if (held[place].view(bits) != given).any():
            raise RaceError("threads store different numbers at one place")

    def add(self, address: np.ndarray, value: np.ndarray, threads: np.ndarray) -> np.ndarray:
        """What was at each thread's address before it added to it, one thread after the other."""
        at, held = self.places(address, value.itemsize) // value.itemsize, self.views[value.dtype]
        before = np.empty_like(value)
        for number, (place, more) in enumerate(zip(at, value, strict=True)):
            before[number] = held[place]
            held[place] += more
        return before

    def begin(self, warps: int) -> None:
        """A kernel is launched, and sees what was stored before, by whichever warps."""
        self.is_constant[:], self.is_stored[:], self.read_epoch[:], self.write_epoch[:] = False, False, 0, 0
        self.meet(np.arange(warps))

    def meet(self, warps: np.ndarray) -> None:
        """All threads of some warps have come to a barrier."""
        self.epochs[warps] += 1

    def note_read(self, word: np.ndarray, threads: np.ndarray) -> None:
        """Notes who reads which words."""
        epoch = self.epochs[threads // WARP]
        is_late = self.write_epoch[word] == epoch
        if is_late.any() and (is_late := is_late & is_other(self.writer[word], threads)).any():
            raise RaceError(f"thread {threads[is_late][0]} reads what another has stored since the last barrier")
        note(self.reader, self.read_epoch, word, threads, epoch)

    def note_write(self, word: np.ndarray, threads: np.ndarray, changes: np.ndarray) -> None:
        """Notes who stores which words."""
        epoch = self.epochs[threads // WARP]
        if self.is_constant[word].any():
            raise RaceError("a thread stores what the kernel reads as constant")
        self.is_stored[word] = True
        for last, when, done in ((self.reader, self.read_epoch, "read"), (self.writer, self.write_epoch, "stored")):
            is_late = changes & (when[word] == epoch)
            if is_late.any() and (is_late := is_late & is_other(last[word], threads)).any():
                raise RaceError(f"thread {threads[is_late][0]} stores what another has {done} since the last barrier")
        note(self.writer, self.write_epoch, word, threads, epoch)


def note(last: np.ndarray, when: np.ndarray, word: np.ndarray, threads: np.ndarray, epoch: np.ndarray) -> None:
    """Notes which threads touch which words in which epoch of theirs."""
    last[word] = np.where((when[word] != epoch) | (last[word] == threads), threads, SEVERAL)
    last[word[last[word] != threads]] = SEVERAL  # where several touch one word here
    when[word] = epoch


def is_other(last: np.ndarray, threads: np.ndarray) -> np.ndarray:
    """Whether the last who touched a word is another thread of the same warp, or several were."""
    return (last == SEVERAL) | ((last >= 0) & (last != threads) & (last // WARP == threads // WARP))
