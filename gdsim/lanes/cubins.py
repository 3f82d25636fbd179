"""Kernels for CUDA devices as they load them: machine code, which unlike PTX any driver of its major version takes."""

from typing import NamedTuple


class Compiled(NamedTuple):
    """A kernel's machine code for one compute capability, and what a thread and a block of it take of a device.

    A multiprocessor has room for so many blocks as its registers and shared memory allow.
    """

    cubin: bytes  # an ELF file
    entry: str  # the kernel's name in it
    registers: int  # of 32 bits, for a thread
    shared_bytes: int  # for a block
    local_bytes: int  # for a thread; 0 if its values are all in registers
