"""Trains a job on a device: lays its memory out, and launches its kernel until all runs have ended.

So many warps work as the device has room for at once, and each takes runs as its lanes get free. A launch lasts a
fraction of a second, between two the host looks whether it is to stop.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.devices import Device, OutOfDeviceMemoryError, Station, Stations, Stream
from gdsim.kernels.arena import LINE, Arena, Region, zeros_of
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.cuda import array_words, train_packs_words
from gdsim.kernels.job import Job
from gdsim.kernels.training import DONE
from gdsim.lanes.cubins import Compiled
from gdsim.lanes.memory import table_of
from gdsim.lanes.types import Address
from gdsim.lanes.warps import THREADS
from gdsim.words import size_of

BLOCK_WARPS = 4  # of a block where there are warps for all multiprocessors
LAUNCH_SECONDS = 0.2
FIRST_STEPS = 16  # of the first launch, before anything is known of the kernel's speed
FASTER = 8  # by how much a launch may have more steps than the one before it


class Program(NamedTuple):
    """A kernel that a device has loaded, and the layouts of what it works on."""

    device: Device
    kernels: Kernels
    function: Any
    resident_warps: int  # that it works on at once, a multiple of BLOCK_WARPS


def loaded(device: Device, kernels: Kernels, compiled: Compiled) -> Program:
    """Loads a kernel, `cuda.whole_training` of these."""
    near = kernels.near_bytes
    function = device.load(compiled, near)
    if near:  # each warp is a block, which has near memory of its own
        blocks = device.resident_blocks(function, THREADS, near)
        return Program(device, kernels, function, max(1, blocks // BLOCK_WARPS) * BLOCK_WARPS)
    blocks = device.resident_blocks(function, BLOCK_WARPS * THREADS)
    if kernels.width == 1:
        # What a run's step touches is read again and again: it is to stay in the memory nearest to its multiprocessor,
        # whose size is that of shared memory.
        fitting = device.info.multiprocessor_shared // (BLOCK_WARPS * kernels.step_bytes)
        blocks = min(blocks, device.info.multiprocessors * max(1, fitting))
    return Program(device, kernels, function, BLOCK_WARPS * blocks)


class Layout(NamedTuple):
    """A job with the memory of the warps that train its runs, in an arena."""

    arena: Arena
    job: Any  # of one warp, its arrays those of the arena's images
    table: np.ndarray  # room for its table
    called: np.ndarray  # [warp]: the address of each warp's table
    out: np.ndarray  # [warp]: what the kernel gives

    @property
    def tables(self) -> Region:
        """The tables of the warps, their jobs' and those of their evaluations."""
        return self.arena.place_of(self.table).region


def busy_warps(runs: int, width: int) -> int:
    """Warps that so many runs keep busy, `width` of them each, in whole blocks."""
    return -(-runs // (BLOCK_WARPS * width)) * BLOCK_WARPS


def training_layout(job: Job, warps: int, memory: Callable[[int], np.ndarray] = zeros_of) -> Layout:
    """The memory of some warps that train a job's runs. What they find out lies in regions of its own, which are copied back,
    that of the runs into the host's memory that `memory` gives.
    """
    arena, whole = Arena(), functools.partial(np.zeros, dtype=np.int64)
    runs = arena.hold(job.runs, memory=memory)
    called, out = arena.hold((whole(warps), whole(warps)))
    arena.hold((job.spec, job.training_sampler, job.samplers))
    arena.hold((job.lanes.pack_steps, job.lanes.lane_steps), warps)
    table, *_ = arena.hold((whole(table_of(job._replace(runs=runs)).size), job.tables, job.team.tables), warps)
    made = arena.hold(job._replace(runs=runs), warps)
    arena.forget_copied()
    return Layout(arena, made, table, called, out)


class Needs(NamedTuple):
    """Bytes of a device's memory that training takes."""

    fixed: int  # whatever is trained
    run: float  # for each run
    warp: int
    width: int = THREADS  # runs that a warp trains at a time

    def size(self, runs: int, warps: int) -> float:
        """Those of some runs and warps."""
        return self.fixed + runs * self.run + warps * self.warp


def needs_of(few: Job, more: Job) -> Needs:
    """What jobs take, from two of the same setting with different numbers of runs."""
    counts = [len(job.runs.reason) for job in (few, more)]
    regions = [training_layout(job, BLOCK_WARPS).arena.regions for job in (few, more)]
    shared = [sum(region.stride for region in found if region.copies == 1) for found in regions]
    run = (shared[1] - shared[0]) / (counts[1] - counts[0])
    return Needs(round(shared[0] - run * counts[0]), run, sum(region.stride for region in regions[0] if region.copies > 1), len(few.lanes.run))


class Chunk(NamedTuple):
    """How many runs are trained together, and by how many warps."""

    runs: int
    warps: int


def chunk_for(needs: Needs, runs: int, resident_warps: int, room: int) -> Chunk:
    """The largest chunk of some runs for which so many bytes are room. Where these are few, all warps that the device works on
    at once take half of them at most, or what one block takes. Raises OutOfDeviceMemoryError where there is no room for that.
    """
    wanted, free = min(busy_warps(runs, needs.width), resident_warps), room - needs.fixed
    for_warps = min(wanted * needs.warp, max(free / 2, BLOCK_WARPS * needs.warp))
    taken = max(1, min(runs, int((free - for_warps) / needs.run)))
    blocks = int((free - taken * needs.run) / (BLOCK_WARPS * needs.warp))
    if blocks < 1:
        least = needs.size(1, BLOCK_WARPS)
        raise OutOfDeviceMemoryError(f"training takes {size_of(least)} of the device's memory at least, and {size_of(room)} of it can be had")
    return Chunk(taken, min(busy_warps(taken, needs.width), resident_warps, blocks * BLOCK_WARPS))


def train_job(
    program: Program, layout: Layout, stations: Stations, station: Station, check: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> tuple[int, int]:
    """Trains the runs of a job: `layout.job.runs` has then what was found out about each. Gives the steps of all lanes, and
    those of lanes that held a run.

    What `check` raises between two launches ends the training. Raises OutOfDeviceMemoryError where there is no room for it.
    """
    arena, job, stream = layout.arena, layout.job, station.stream
    base = station.memory(arena.size)
    fill(stream, layout, program.kernels.with_tables, base)
    stream.wait()
    with stations.turn(check):
        _launch_until_done(program, layout, stream, base, check, clock)
    runs = arena.place_of(job.runs.reason).region
    stream.copy_out(runs.image, base + runs.first)
    pack_steps, lane_steps = (arena.place_of(steps) for steps in (job.lanes.pack_steps, job.lanes.lane_steps))
    counted = np.empty((pack_steps.region.copies, pack_steps.region.stride // 8), np.int64)
    stream.copy_out(counted, base + pack_steps.region.first)
    stream.wait()
    return int(counted[:, pack_steps.offset // 8].sum()) * program.kernels.width, int(counted[:, lane_steps.offset // 8].sum())


# A job with the tables of what its kernel calls, in the memory in which the second argument says where arrays lie.
Linked = Callable[[Any, Callable[[np.ndarray], Address]], Any]


def fill(stream: Stream, layout: Layout, linked: Linked, base: Address) -> None:
    """Fills a device's memory, from `base` on, with all that warps begin with."""
    tables, called = layout.tables, layout.arena.place_of(layout.called)
    first, second = (_tables_of(layout, linked, base, warp) for warp in (0, 1))
    warps = np.arange(tables.copies)
    # What a table has of a warp's own lies in the next warp's always as far behind; nothing else in them differs.
    every = first + warps[:, None] * (second - first)
    called.view[:] = base + tables.first + layout.arena.place_of(layout.table).offset + tables.stride * warps
    for region in layout.arena.regions:
        if region is not tables:
            _fill_region(stream, region, base + region.first)
    stream.copy_in(base + tables.first, every)


def _fill_region(stream: Stream, region: Region, first: Address) -> None:
    """Fills all copies of a region, the first of which begins at `first`."""
    for begin, span in region.spans():
        stream.copy_in(first + begin, span)
    for filled in region.filled:
        stream.copy_in(first + filled.first, filled.line)
        stream.repeat(first + filled.first, LINE, filled.lines)
    stream.repeat(first, region.stride, region.copies)


def _tables_of(layout: Layout, linked: Linked, base: Address, warp: int) -> np.ndarray:
    """The words of a warp's tables."""
    address = functools.partial(layout.arena.address, base=base, copy=warp)
    layout.table[:] = table_of(linked(layout.job, address), address)
    return layout.tables.image.view(np.int64).copy()


def _launch_until_done(program: Program, layout: Layout, stream: Stream, base: Address, check: Callable[[], None], clock: Callable[[], float]) -> None:
    """Launches the kernel for some steps, and for more, until no warp has runs left."""
    arena, warps = layout.arena, len(layout.out)
    called, out = (arena.address(array, base) for array in (layout.called, layout.out))
    steps = FIRST_STEPS
    while True:
        began = clock()
        launch(program, stream, warps, train_packs_words(called, steps, out, warps))
        stream.copy_out(layout.out, out)
        stream.wait()
        if (layout.out == DONE).all():
            return
        check()
        steps = next_steps(steps, clock() - began)


def launch(program: Program, stream: Stream, warps: int, words: Sequence[int]) -> None:
    """Has so many warps work, or a few more; these are in whole blocks only where every multiprocessor has warps."""
    each, near = -(-warps // program.device.info.multiprocessors), program.kernels.near_bytes
    block_warps = 1 if near else each if each < 3 else BLOCK_WARPS
    stream.launch(program.function, -(-warps // block_warps), block_warps * THREADS, words, near)


def launch_once(device: Device, compiled: Compiled, blocks: int, threads: int, given: Sequence[np.ndarray | int]) -> None:
    """Runs a kernel of flat arrays and whole numbers once; the arrays have then what it left in them."""
    arrays = [one for one in given if isinstance(one, np.ndarray)]
    *offsets, size = np.cumsum([0] + [-(-array.nbytes // LINE) * LINE for array in arrays]).tolist()
    with contextlib.closing(Station(device)) as station:
        function, stream, base = device.load(compiled), station.stream, station.memory(size)
        places = [base + offset for offset in offsets]
        for array, place in zip(arrays, places, strict=True):
            stream.copy_in(place, array)
        left = iter(places)
        words = [word for one in given for word in (array_words(next(left), one.size, one.itemsize) if isinstance(one, np.ndarray) else [one])]
        stream.launch(function, blocks, threads, words)
        stream.wait()
        for array, place in zip(arrays, places, strict=True):
            stream.copy_out(array, place)
        stream.wait()


def next_steps(steps: int, seconds: float) -> int:
    """How many steps the next launch makes, where the last made so many in these seconds.

    >>> next_steps(1000, seconds=0.4), next_steps(1000, seconds=1e-3), next_steps(1, seconds=60.0)
    (500, 8000, 1)
    """
    return max(1, min(FASTER * steps, int(steps * LAUNCH_SECONDS / max(seconds, 1e-9))))
