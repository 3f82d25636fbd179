"""Has a device work through packs that know nothing of each other: evaluations, predictions, gradients, products.

As many packs as it has room for are worked on at once, each by a warp. What a pack is given and what is found of it are
copied in and out each time, and nothing else: through so few bytes of this machine's memory that a thousand warps of a
large network cost it no more than some of them do.
"""

import contextlib
from collections.abc import Sequence

import numpy as np

from gdsim.devices import SHARE, OutOfDeviceMemoryError, Station
from gdsim.kernels.arena import Arena, Region
from gdsim.kernels.cuda import train_packs_words
from gdsim.kernels.cuda_driver import BLOCK_WARPS, Layout, Program, fill, launch
from gdsim.kernels.packs import PackWork
from gdsim.lanes.memory import table_of
from gdsim.words import size_of

HOST_BYTES = 2**28  # of this machine's memory, through which packs are copied in and out; a pack that is larger takes its own size


def memory_of_packs(work: PackWork, warps: int) -> tuple[Layout, Region]:
    """The memory of warps that work on a pack each, and of it what is copied in and out."""
    arena, job = Arena(), work.new_job()
    called, out = arena.hold((np.zeros(warps, np.int64), np.zeros(warps, np.int64)))
    arena.hold(work.shared(job))
    arena.hold(work.moved(job), warps)
    moved = arena.regions[-1]
    table, _ = arena.hold((np.zeros(table_of(job).size, np.int64), work.tables(job)), warps)
    made = arena.hold(job, warps)
    arena.forget_copied()
    return Layout(arena, made, table, called, out), moved


def warps_for_packs(work: PackWork, packs: int, resident_warps: int, room: int) -> int:
    """By how many warps packs are worked on: as many as there are packs, in whole blocks, as the device works on at once, and
    for which so many bytes are room. Raises OutOfDeviceMemoryError where not even a block of them has room.
    """
    regions = memory_of_packs(work, BLOCK_WARPS)[0].arena.regions
    fixed, warp = (sum(region.stride for region in regions if (region.copies > 1) is own) for own in (False, True))
    blocks = min(-(-packs // BLOCK_WARPS), resident_warps // BLOCK_WARPS, (room - fixed) // (BLOCK_WARPS * warp))
    if blocks < 1:
        least = fixed + BLOCK_WARPS * warp
        raise OutOfDeviceMemoryError(f"this takes {size_of(least)} of the device's memory at least, and {size_of(room)} of it can be had")
    return blocks * BLOCK_WARPS


def work_through(program: Program, work: PackWork, firsts: Sequence[int]) -> None:
    """Fills, works on and takes the packs that begin with given lanes.

    Ctrl-C is heard between launches, in each of which a warp works on one pack. Raises OutOfDeviceMemoryError where the device
    has no room.
    """
    room = int(SHARE * program.device.free_memory())
    with contextlib.closing(Station(program.device)) as station:
        while firsts:
            layout, moved = memory_of_packs(work, warps_for_packs(work, len(firsts), program.resident_warps, room))
            try:
                station.memory(layout.arena.size)
            except OutOfDeviceMemoryError:  # it has less than it says
                room = layout.arena.size // 2
                continue
            _work_on_all(station, program, work, layout, moved, firsts)
            return


def _work_on_all(station: Station, program: Program, work: PackWork, layout: Layout, moved: Region, firsts: Sequence[int]) -> None:
    """Works on packs in a station's memory, which has been taken."""
    stream, arena, warps = station.stream, layout.arena, len(layout.called)
    base = station.memory(arena.size)
    fill(stream, layout, work.linked, base)
    stream.wait()
    held = np.tile(moved.image, (min(warps, max(1, HOST_BYTES // moved.stride)), 1))  # of so many packs at a time
    jobs = arena.in_copies(layout.job, moved, held)
    words = train_packs_words(arena.address(layout.called, base), work.argument, arena.address(layout.out, base), warps)
    for begin in range(0, len(firsts), warps):
        some = firsts[begin : begin + warps]
        parts = [(base + moved.first + at * moved.stride, some[at : at + len(jobs)]) for at in range(0, len(some), len(jobs))]
        for there, part in parts:
            for job, first in zip(jobs, part, strict=False):
                work.fill(job, first)
            stream.copy_in(there, held[: len(part)])
            stream.wait()  # before the next are filled in the same memory
        launch(program, stream, len(some), words)
        for there, part in parts:
            stream.copy_out(held[: len(part)], there)
            stream.wait()
            for job, first in zip(jobs, part, strict=False):
                work.take(job, first)
