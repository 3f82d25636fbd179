"""Every elementary function of float32 inputs, as sums of a mix of each input's and its value's bits.

A block of 2^20 inputs gives two numbers of 32 bits: the sum and the XOR of its mixes. They are the same whoever
computes them, in whatever order, if all values have the same bits; NaNs count as one. One function makes them, in
processors' lanes and by the threads of a warp.

Input k of `every` from each other is k every + (a mix of k) mod every, as the bits of a float32: all 2^32 if `every` is 1.
The second argument of a function of two is a mix of the first: random bits, or a number between 2^-5 and 2^3 of either
sign.
"""

import concurrent.futures
from typing import Any

import numpy as np

from gdsim.devices import Device
from gdsim.kernels.cuda_driver import launch_once
from gdsim.lanes.bits import from_bits, to_bits
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.cubins import Compiled, cubin_of
from gdsim.lanes.elementary import ELEMENTARY
from gdsim.lanes.operations import load, store, where
from gdsim.lanes.parts import WIDTH, function, part, restore_float_mode, set_float_mode
from gdsim.lanes.types import Count, Lane, Memory, Offset
from gdsim.lanes.warps import THREADS, warp_number
from gdsim.sweep.planning.machine import usable_cores

BLOCK = 2**20  # inputs
LANES = 16  # of processors
NAN_BITS = 0x7FC00000
FUNCTIONS = {body.__name__: body for body in ELEMENTARY}


def mixed(x: Lane) -> Lane:
    """Each bit of 32 by all others: the end of MurmurHash3 (Appleby 2008)."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


@part
def value_of(bits: Lane) -> Lane:
    """The value at inputs whose bits these are."""
    raise NotImplementedError


def value_of_one(bits: Lane) -> Lane:
    """A function of one argument."""
    return function(from_bits(bits))


def value_of_two(bits: Lane) -> Lane:
    """A function of two."""
    other = mixed(bits + 0x9E3779B9)
    moderate = (other & 0x83FFFFFF) + 0x3D000000
    return function(from_bits(bits), from_bits(where((other >> 8) % 2 == 0, other, moderate)))


def add_mixes(own: Memory, first: Count, every: Count, turns: Count, out: Memory, place: Offset) -> None:
    """Puts the sums and XORs of the mixes of inputs `first` to `first` + `turns` WIDTH, lane by lane, at `place`; `own` has
    0, 1, 2, ...
    """
    lane = load(own, 0, WIDTH)
    total, crossed = lane * 0, lane * 0
    for turn in range(turns):
        k = lane + (first + turn * WIDTH)
        bits = k * every + mixed(k) % every
        value = value_of(bits)
        mix = mixed(where(value == value, to_bits(value), lane * 0 + NAN_BITS) ^ (bits * 0x9E3779B1))
        total, crossed = total + mix, crossed ^ (mix * (mix | 1))
    store(out, place, total)
    store(out, place + WIDTH, crossed)


def block_of_processor(own: Memory, first: Count, every: Count, turns: Count, out: Memory) -> None:
    """One block, by a processor."""
    mode = set_float_mode()
    add_mixes(own, first, every, turns, out, 0)
    restore_float_mode(mode)


def blocks_of_warps(own: Memory, every: Count, turns: Count, out: Memory) -> None:
    """The kernel: a block for each warp."""
    warp = warp_number()
    add_mixes(own, warp * turns * WIDTH, every, turns, out, warp * 2 * WIDTH)


def parts_of(name: str, width: int) -> dict[str, Any]:
    """The parts of a function's kernel."""
    body = FUNCTIONS[name]
    return {"function": body, "value_of": value_of_two if body.__code__.co_argcount == 2 else value_of_one, "WIDTH": width}


def folded(out: np.ndarray, width: int) -> np.ndarray:
    """[block, (sum, XOR)] of all lanes from [block * 2 * width]."""
    lanes = out.reshape(-1, 2, width)
    return np.stack([np.add.reduce(lanes[:, 0], 1, np.uint32), np.bitwise_xor.reduce(lanes[:, 1], 1)], 1)


def sums_by_processor(name: str, blocks: int, every: int) -> np.ndarray:
    """[block, (sum, XOR)] of a function, by all cores."""
    from numba import types

    words = types.Array(types.uint32, 1, "C")
    signature = types.void(words, types.int64, types.int64, types.int64, words)
    kernel: Any = bind(block_of_processor, {**parts_of(name, LANES), **float_mode_parts()}, signature)
    own, found = np.arange(LANES, dtype=np.uint32), np.zeros((blocks, 2 * LANES), np.uint32)
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(lambda k: kernel(own, k * BLOCK, every, BLOCK // LANES, found[k]), range(blocks)))
    return folded(found, LANES)


def compiled_sums(name: str, capability: tuple[int, int]) -> Compiled:
    """A function's kernel for devices of a compute capability. Needs numba-cuda, and no device."""
    from gdsim.lanes.cuda import NUMBER, array_type

    words = array_type("uint32")
    return cubin_of(blocks_of_warps, parts_of(name, THREADS), (words, NUMBER, NUMBER, words), capability)


def sums_by_device(device: Device, compiled: Compiled, blocks: int, every: int) -> np.ndarray:
    """[block, (sum, XOR)] of a function, by a device."""
    found = np.zeros(blocks * 2 * THREADS, np.uint32)
    launch_once(device, compiled, blocks, THREADS, [np.arange(THREADS, dtype=np.uint32), every, BLOCK // THREADS, found])
    return folded(found, THREADS)
