"""Kernels for CUDA devices as they load them: machine code, which unlike PTX any driver of its major version takes.

It is kept like processors' kernels, in the same folder, by all that decides it: the functions and parts, the compute
capability, and NVIDIA's compiler.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gdsim.lanes import elf
from gdsim.lanes.announcing import apart
from gdsim.lanes.children import made_by_child
from gdsim.lanes.collecting import no_collection
from gdsim.lanes.compiler import Bound, compilations, describe
from gdsim.lanes.kept_files import KeptFile
from gdsim.lanes.types import Function


class Compiled(NamedTuple):
    """A kernel's machine code for one compute capability, and what a thread and a block of it take of a device.

    A multiprocessor has room for so many blocks as its registers and shared memory allow.
    """

    cubin: bytes  # an ELF file
    entry: str  # the kernel's name in it
    registers: int  # of 32 bits, for a thread
    shared_bytes: int  # for a block, beside what the system takes
    local_bytes: int  # for a thread; 0 if its values are all in registers


class DeviceKernel(NamedTuple):
    """A kernel for devices of one compute capability, named by a hash of all that decides its machine code."""

    bound: Bound
    capability: tuple[int, int]
    most_registers: int | None  # that a thread may take
    digest: str

    @property
    def title(self) -> str | None:
        """What is told where it must be compiled."""
        return self.bound.title

    def make(self) -> bytes:
        """Its machine code, compiled."""
        from gdsim.lanes import cuda

        return cuda.linked(cuda.ptx_of(self.bound, self.capability), self.capability, self.most_registers)

    def leave_in_cache(self) -> None:
        """Compiles it for other processes to find, in this thread, by which it is known that a child has not hung."""
        file = KeptFile(self.digest)
        with file.made_once(None):
            if _found(file) is None:
                _made(file, self.make)


# Of section .nv.info, as cuobjdump names them: the attributes that hold a number for a symbol.
SIZED, REGISTERS, STACK = 4, 0x2F, 0x12  # EIFMT_SVAL, EIATTR_REGCOUNT, EIATTR_MIN_STACK_SIZE
ENTRY = 0x10  # STO_CUDA_ENTRY: the bit of a symbol that is a kernel
RESERVED = ".nv.reservedSmem.cap"  # the symbol that says how much of shared memory's section is the system's, from 9.0 on


def read_cubin(cubin: bytes) -> Compiled:
    """What a cubin with one kernel says of it. Raises ValueError for anything else."""
    found = elf.sections(memoryview(cubin))
    known = elf.symbols(found)
    entries = [symbol for symbol in known if symbol.kind == elf.FUNCTION and symbol.other & ENTRY]
    if len(entries) != 1:
        raise ValueError(f"a cubin of one kernel is needed, and this has {len(entries)}")
    (entry,) = entries
    numbers = _numbers_of(elf.named(found, ".nv.info"), entry.place)
    if REGISTERS not in numbers:
        raise ValueError(f"this cubin does not say how many registers {entry.name!r} takes")
    shared = elf.named(found, f".nv.shared.{entry.name}")
    reserved = sum(symbol.value for symbol in known if symbol.name == RESERVED)
    return Compiled(cubin, entry.name, numbers[REGISTERS], max(shared.size - reserved, 0) if shared else 0, numbers.get(STACK, 0))


def _numbers_of(info: elf.Section | None, symbol: int) -> dict[int, int]:
    """The attributes of a symbol, which stand in .nv.info one after the other: a byte for the form, a byte for the
    attribute, and either two bytes or the length of what follows.
    """
    at, found = 0, dict[int, int]()
    try:
        while info is not None and at < len(info.content):
            form, attribute, size = struct.unpack_from("<BBH", info.content, at)
            if form == SIZED and attribute in (REGISTERS, STACK):
                place, number = struct.unpack_from("<II", info.content, at + 4)
                found |= {attribute: number} if place == symbol else {}
            at += 4 + (size if form == SIZED else 0)
    except struct.error as error:
        raise ValueError(f"this cubin is not whole: {error}") from None
    return found


def cubin_of(
    template: Function,
    parts: Mapping[str, Any],
    arguments: tuple[Any, ...],
    capability: tuple[int, int],
    *,
    most_registers: int | None = None,
    title: str | None = None,
) -> Compiled:
    """A template with its parts in place as machine code for devices of a compute capability, for arguments of
    numba-cuda's types.

    A thread takes at most `most_registers`, if they are given, and keeps in local memory what has no place. `title`
    is what `announcing` tells where it must be compiled. The same kernel is made once per process, and taken from
    the cache on disk where another process left it or is making it, a child that `children` has forked among them. Needs
    numba-cuda, and no device. Raises TypeError as `compiler.link` does, and ValueError for a capability that NVIDIA's
    compiler has no code for.
    """
    kernel = device_kernel(template, parts, arguments, capability, most_registers=most_registers, title=title)
    by_child = kernel.digest not in _cubins and made_by_child(kernel)
    return kept_cubin(kernel.digest, title, kernel.make, by_child)


def device_kernel(
    template: Function,
    parts: Mapping[str, Any],
    arguments: tuple[Any, ...],
    capability: tuple[int, int],
    *,
    most_registers: int | None = None,
    title: str | None = None,
) -> DeviceKernel:
    """What `cubin_of` makes of the same. Needs numba-cuda, and no device."""
    from gdsim.lanes import cuda

    bound = describe(template, parts, arguments, title)
    key = "\n".join([bound.digest, f"cuda {capability} {most_registers}", *cuda.versions()])
    return DeviceKernel(bound, capability, most_registers, hashlib.sha256(key.encode()).hexdigest())


def is_kept(kernel: DeviceKernel) -> bool:
    """Whether `cubin_of` would find a kernel made."""
    return kernel.digest in _cubins or KeptFile(kernel.digest).exists()


_cubins: dict[str, Compiled] = {}


def kept_cubin(digest: str, title: str | None, make: Callable[[], bytes], by_child: bool = False) -> Compiled:
    """The kernel of a digest, of this process, or from the cache, where a child may just have left it, or made."""
    if digest not in _cubins:
        file = KeptFile(digest)
        with file.made_once(title):
            _cubins[digest] = _found(file) or apart(lambda: _made(file, make))
        if by_child or not file.hit:
            compilations.append(digest)
    return _cubins[digest]


def _found(file: KeptFile) -> Compiled | None:
    """What the cache has, or None."""
    cubin = file.take()
    try:
        return None if cubin is None else read_cubin(cubin)
    except ValueError:
        file.discard()
        return None


def _made(file: KeptFile, make: Callable[[], bytes]) -> Compiled:
    """What is made, and left in the cache."""
    with no_collection():
        compiled = read_cubin(make())
    file.keep(compiled.cubin)
    return compiled
