"""A small kernel of what all kernels are made of, by which a device is tried: it takes 2 s to compile, where a training takes
7 to 20.

Each of 32 lanes draws two normal numbers, takes their products where these lie below the least normal number, and a product
and a sum that must not become one operation; and minimises log cosh w by Adam until no lane is far from 0, which the lanes
vote on: all in float32 and in float64. Of float32 it takes every elementary function of the numbers, of float64 those that
draws and steps are made of.
"""

from typing import NamedTuple

import numpy as np

from gdsim.devices import Device
from gdsim.kernels.cuda_driver import launch_once
from gdsim.lanes.bits import by_precision
from gdsim.lanes.cubins import cubin_of
from gdsim.lanes.elementary import acos, atan2, cos, erf, exp, log, pow, sigmoid, sin, softplus, tanh
from gdsim.lanes.masks import any
from gdsim.lanes.operations import absolute, broadcast, load, where
from gdsim.lanes.philox import PROBE, normal_pair, random_words
from gdsim.lanes.tiles import store_row
from gdsim.lanes.types import Lane, Lanes, Memory
from gdsim.lanes.warps import THREADS
from gdsim.rules import Adam
from gdsim.rules.parts import prepare, update

# What the rows of numbers are, of each precision and of float32 alone: a row has a number of each lane.
BOTH = {"random numbers": slice(0, 2), "rounding": slice(2, 4), "steps of Adam": slice(4, 6)}
SINGLE = {"elementary functions": slice(6, 17)}
BOTH_ROWS, SINGLE_ROWS = 6, 17
FAR, MOST_STEPS = 0.1, 100
PARTS = {name: Adam().parts()[name] for name in ("prepare", "update")}


class Numbers(NamedTuple):
    """What Adam takes of a run."""

    one_minus_beta1: Lane
    one_minus_beta2: Lane
    eps: Lane


def descended(w: Lane) -> Lanes:
    """(where Adam leads from w, until it is near 0, in how many steps)."""
    zero, steps, rate = w * 0.0, w * 0.0, broadcast(0.1, w)
    numbers = Numbers(broadcast(0.1, w), broadcast(0.001, w), broadcast(1e-8, w))
    slots, carry = (zero, zero), (zero, zero)
    for _ in range(MOST_STEPS):
        is_far = absolute(w) > FAR
        if not any(is_far):
            break
        step, carry = prepare(numbers, rate, carry)
        moved, slots = update(w, tanh(w), slots, step)
        w, steps = where(is_far, moved, w), where(is_far, steps + 1.0, steps)
    return w, steps


def fill_rows(lanes: Memory, out: Memory) -> None:
    """Fills the rows of `BOTH` in the precision of `out`; `lanes` has 0, 1, 2, ..."""
    a, b = normal_pair(random_words(load(lanes, 0, THREADS), PROBE, 0, 0, (lanes[1], lanes[2])), load(out, 0, THREADS))
    tiny = by_precision(a, broadcast(1e-20, a), broadcast(1e-160, a))
    w, steps = descended(a)
    store_row(out, 0, THREADS, (a, b, a * tiny * tiny, a * b + 0.3, w, steps), BOTH_ROWS)


def fill_functions(out: Memory) -> None:
    """Fills the rows of `SINGLE`, of the numbers in the first rows."""
    x, y = 4.0 * load(out, 0, THREADS), 0.125 * load(out, THREADS, THREADS)
    size = absolute(x)
    store_row(out, BOTH_ROWS * THREADS, THREADS, (exp(x), log(size), tanh(x), sigmoid(x), softplus(x), sin(x), cos(x)), 7)
    store_row(out, (BOTH_ROWS + 7) * THREADS, THREADS, (atan2(y, x), acos(y), erf(x), pow(size, y)), 4)


def fill_all(lanes: Memory, singles: Memory, doubles: Memory) -> None:
    """The kernel, of one warp."""
    fill_rows(lanes, singles)
    fill_functions(singles)
    fill_rows(lanes, doubles)


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the kernel works on."""
    return np.arange(THREADS, dtype=np.uint32), np.zeros(SINGLE_ROWS * THREADS, np.float32), np.zeros(BOTH_ROWS * THREADS)


def named(singles: np.ndarray, doubles: np.ndarray) -> dict[str, bytes]:
    """What the kernel has left there, by what it is."""
    rows, wide = singles.reshape(SINGLE_ROWS, THREADS), doubles.reshape(BOTH_ROWS, THREADS)
    return {name: rows[where].tobytes() + wide[where].tobytes() for name, where in BOTH.items()} | {
        name: rows[where].tobytes() for name, where in SINGLE.items()
    }


def numbers_of(device: Device) -> dict[str, bytes]:
    """What a device finds, by what it is; `named` has them. Needs numba-cuda. Raises DeviceError where the device fails."""
    from gdsim.lanes.cuda import array_type

    _, singles, doubles = given = arrays()
    types = tuple(array_type(array.dtype.name) for array in given)
    compiled = cubin_of(fill_all, PARTS, types, device.info.capability, title="the self-test for a GPU")
    launch_once(device, compiled, 1, THREADS, given)
    return named(singles, doubles)
