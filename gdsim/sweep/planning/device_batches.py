"""Which chunks a device trains together. A chunk is cut for one processor core, whose runs may be too few to keep a device
busy: it trains several of one structure at once, and each is kept as if it had been trained by itself.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from gdsim.kernels.cuda import kernels_on_warps
from gdsim.lanes.warps import THREADS
from gdsim.population import Setting
from gdsim.population.engine_choice import for_runs, structure_on_warps
from gdsim.sweep.planning.memory import DRAWN_BYTES, points_of, row_bytes, shard_bytes
from gdsim.sweep.planning.plan import Chunk, Group, Plan

RESIDENT_WARPS = 8  # of a multiprocessor, at least, by the registers of most kernels
# Runs for each that a device works on at once: places are taken anew as runs end, and few are idle until the last has ended.
# More would be kept later, and lost by who interrupts them.
TURNS = 4
USUAL_MULTIPROCESSORS = 108  # of a device elsewhere, an A100's
HOST_BYTES = 2**29  # of this machine's memory, for what it keeps of a batch's runs before they are trained, and after


class Size(NamedTuple):
    """How many runs of a structure a device is given at once."""

    enough: int  # to keep it busy
    most: int  # for which this machine has room


def on_device(group: Group, starts: int) -> Setting:
    """What a device trains of a structure, all of whose runs have one kernel."""
    return for_runs(group.setting, len(group.cells) * starts)


def size_for(setting: Setting, multiprocessors: int) -> Size:
    """How many runs of a setting a device of so many multiprocessors is given at once."""
    width = kernels_on_warps(structure_on_warps(setting)).width
    return Size(TURNS * RESIDENT_WARPS * multiprocessors * width, max(1, HOST_BYTES // (host_bytes(setting) * THREADS)) * THREADS)


def host_bytes(setting: Setting) -> int:
    """Bytes of this machine's memory that a run takes which a device trains: its results, its start while that is drawn, the
    points whose sharpness is recorded, and its workers' samples.
    """
    point = DRAWN_BYTES + points_of(setting) * np.dtype(setting.dtype).itemsize
    return row_bytes(setting, len(setting.checkpoints)) + setting.problem.parameter_count * point + shard_bytes(setting)


def together(plan: Plan, chunks: Iterable[Chunk], multiprocessors: int, runs_of: Callable[[Chunk], float] = lambda chunk: chunk.size) -> Iterator[list[Chunk]]:
    """The chunks that a device of so many multiprocessors trains together, of one structure each: as many as
    are enough for it, and not more than this machine has room for, unless one by itself is. `runs_of` says how
    many of a chunk's runs are to be trained.
    """
    sizes, taken, counts = dict[int, Size](), dict[int, list[Chunk]](), dict[int, float]()  # by structure
    for chunk in chunks:
        group, runs = chunk.group, runs_of(chunk)
        if group not in sizes:
            sizes[group] = size_for(on_device(plan.groups[group], plan.starts), multiprocessors)
        if group in taken and counts[group] + runs > sizes[group].most:
            yield taken.pop(group)
        counts[group] = runs + (counts[group] if group in taken else 0.0)
        taken.setdefault(group, []).append(chunk)
        if counts[group] >= sizes[group].enough:
            yield taken.pop(group)
    yield from taken.values()
