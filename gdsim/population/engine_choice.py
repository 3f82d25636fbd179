"""Which engine trains the runs of a setting, how many of them side by side, and the kernels that it takes."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels import engines
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines import Engine, Monitors, Structure
from gdsim.kernels.engines.layout import Layout
from gdsim.kernels.engines.passes import BLOCK
from gdsim.kernels.engines.written_out import MOST_PARAMETERS
from gdsim.kernels.team_kernels import kernels_of_width
from gdsim.lanes.compiler import below, code_text, globals_read, is_own, reached_with_parts
from gdsim.lanes.machine import vector_bytes
from gdsim.lanes.numbers import Number, near_bytes
from gdsim.lanes.types import Function
from gdsim.lanes.warps import THREADS, block_shared
from gdsim.population.hyperparameters import number_names, numbers_type, schedule_numbers_of, scheduled_hyperparameters_of
from gdsim.population.samples import shuffle_of, table_for
from gdsim.population.setting import Setting, is_of_batches
from gdsim.population.teams import is_alone, local_rule, team_of
from gdsim.stops import SmallGradient, SmallStep, Target


class Costs(NamedTuple):
    """What a step of a run costs in cycles of one core."""

    pack_speed: float  # operations per cycle, in a pack
    single_run_speed: float  # likewise where one run has all lanes
    pack_cycles: float  # beside them
    single_run_cycles: float
    single_run_weight: float  # cycles per weight, of the tiles that its gradients are made in


# By the bytes of a register, fitted to networks of 65 to 100,000 parameters on batches of 1 to 33. Where
# registers are narrow, the sums of a pack's tiles leave them.
COSTS = {64: Costs(33, 33, 1000, 3200, 0.0), 32: Costs(16, 24, 1000, 2500, 0.6), 16: Costs(8, 12, 1000, 2500, 0.6)}


# Operations of a step from which on one run has a warp. A pack reads about a byte for each operation, from memory
# that gives 3e12 of them a second; a warp with one run makes about 9000 instructions and 0.04 for each operation, of
# 9e11 a second that a device of this kind does.
OPERATIONS_WORTH_A_WARP = 4e4

# Steps of runs from which on a kernel is compiled for the widths of one small network; others serve all
# widths.
STEPS_WORTH_WRITING = 10**6
CACHE_SIZE = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index3/size")  # "32768K"
USUAL_CACHE_BYTES = 2**24


@functools.cache
def last_cache_bytes() -> int:
    """Bytes of the processor's last cache; of a usual one where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        return int(CACHE_SIZE.read_text().strip().removesuffix("K")) * 1024
    return USUAL_CACHE_BYTES


def for_runs(setting: Setting, count: int) -> Setting:
    """The setting for so many runs: a small network's steps are written out where many are to be made."""
    problem = setting.problem
    is_plain = problem.family == "network" and not problem.wiring.joins
    is_small = is_plain and problem.parameter_count <= MOST_PARAMETERS and setting.samples_per_step <= BLOCK
    return setting._replace(is_written_out=is_small and count * setting.steps >= STEPS_WORTH_WRITING)


def fits_single_run(setting: Setting) -> bool:
    """Whether one run may have all lanes: networks whose rule uses each gradient as it is made, and looks at
    nothing but the largest weight, on numbers without tangents.
    """
    rule, monitors_step = setting.rule, any(isinstance(s, SmallStep) for s in setting.stops)
    needs_packs = not is_alone(setting) or setting.is_written_out or rule.needs_whole_gradient or rule.perturbs or monitors_step or setting.live_tangents
    return setting.problem.family == "network" and not needs_packs


def engine_of(setting: Setting, width: int) -> Engine:
    """The engine for packs of `width` runs."""
    if setting.problem.family != "network":
        return {"function": engines.FUNCTION, "memory": engines.MEMORY}[setting.problem.family]
    if width == 1 and fits_single_run(setting):
        return engines.SINGLE_RUN
    return engines.WRITTEN_OUT if setting.is_written_out else engines.NETWORK


def pack_bytes(setting: Setting, width: int) -> int:
    """Bytes of a pack's state, which each of its steps goes through: weights and slots."""
    return width * np.dtype(setting.dtype).itemsize * setting.problem.parameter_count * (1 + len(setting.rule.slots))


def full_width(setting: Setting) -> int:
    """Lanes of a full pack.

    One of the processor's registers for networks, whose tiles of 4 x 4 leave none to spare; elsewhere as if
    registers had 512 bits: one for written-out networks, two for the smallest of them and for functions, four
    for small functions.
    """
    size, parameters = np.dtype(setting.dtype).itemsize, setting.problem.parameter_count
    lanes = 64 // size
    if setting.problem.family != "network":
        return 4 * lanes if parameters <= 2 else 2 * lanes
    if not setting.is_written_out:
        return vector_bytes() // size
    return 2 * lanes if parameters <= 20 else lanes


def lanes_for(setting: Setting, runs: int, threads: int) -> int:
    """Lanes of a pack where each of `threads` trains `runs`.

    It is 1 where one run at a time has all the lanes and is done sooner.

    That is where they are few, where registers are narrow and layers large, or where the packs of all threads
    would leave the last cache.
    """
    width = full_width(setting)
    if not fits_single_run(setting):
        return width
    costs, step = COSTS[vector_bytes()], setting.problem.step_operations(setting.samples_per_step)
    packed = step / costs.pack_speed + costs.pack_cycles
    single = step / costs.single_run_speed + costs.single_run_cycles + setting.problem.parameter_count * costs.single_run_weight
    is_sooner = runs * single < -(-runs // width) * width * packed
    return 1 if is_sooner or threads * pack_bytes(setting, width) > last_cache_bytes() else width


def _users_texts(function: Function, parts: Mapping[str, Any]) -> Iterator[str]:
    """What functions of the user's that a part reaches are, and read: either may be another at the next sweep."""
    functions = reached_with_parts(function, parts)
    yield from (code_text(f.__code__) for f, _ in functions if not is_own(f))
    yield from globals_read(functions)


def structure_of(setting: Setting, width: int) -> Structure:
    """What decides the kernels of the setting in packs of `width` runs."""
    return structure_with(setting, engine_of(setting, width))


def structure_on_warps(setting: Setting, capability: tuple[int, int] | None = None) -> Structure:
    """What decides the kernels of the setting on a device whose threads run in warps: of packs of 32 runs, or of one
    run at a time where its steps are so large that the memory of packs would be what they wait for.

    What a step of one run touches lies in near memory wherever a block has room for it, on devices of a compute capability;
    nowhere if none is said. A warp waits about 30 cycles for near memory and 200 and more for what all multiprocessors share,
    and for no more than 8 warps, which might work while one waits, has a multiprocessor the registers. So one warp in near
    memory does about as much as all of these do in the other.
    """
    takes_warp = fits_single_run(setting) and setting.problem.step_operations(setting.samples_per_step) > OPERATIONS_WORTH_A_WARP
    if not takes_warp:
        return structure_of(setting, THREADS)
    return structure_with(setting, engines.RUN_ON_WARP, 0 if capability is None else block_shared(capability))


def layout_with(setting: Setting, engine: Engine, near_room: int) -> Layout:
    """How an engine lays a setting's problem out: what its steps touch in near memory where so many bytes are room for it."""
    problem, dtype = setting.problem, np.dtype(setting.dtype)
    table = None if problem.data is None else table_for(problem.data, setting.dtype)
    if near_room and engine.near_layout is not None:
        layout = engine.near_layout(problem, table, dtype, setting.samples_per_step)
        if near_bytes(layout.space(1, Number(dtype), 1)) <= near_room:
            return layout
    return engine.layout(problem, table, dtype)


def structure_with(setting: Setting, engine: Engine, near_room: int = 0) -> Structure:
    """What decides the kernels of the setting where an engine trains it, on a device whose blocks have so many bytes of
    near memory.
    """
    problem, rule, schedule = setting.problem, local_rule(setting), setting.schedule
    names, given = number_names(setting), problem.parts()
    own = {
        **rule.parts(), "rate": schedule.parts()["rate"], "schedule_numbers": schedule_numbers_of(tuple(schedule.hyperparameters())),
        "scheduled_hyperparameters": scheduled_hyperparameters_of(schedule, names),
    }  # fmt: skip
    looked_at = {type(s) for s in setting.stops if setting.lanes_look_at(s)}
    monitors = Monitors(
        Target in looked_at, SmallGradient in looked_at, any(isinstance(s, SmallStep) for s in setting.stops), any(map(is_of_batches, setting.stops))
    )
    parts = {**given, **own}
    reads = tuple(text for part in parts.values() if (found := below(part, parts)) for text in _users_texts(*found))
    return Structure(
        engine, tuple(given.items()), tuple(own.items()), reads, numbers_type(names), len(rule.slots), len(rule.carry),
        shuffle_of(setting), setting.dtype, layout_with(setting, engine, near_room),
        setting.has_penalty, not rule.reports_other_point, rule.needs_whole_gradient, rule.perturbs, setting.samples_per_step > BLOCK, monitors, f"{type(rule).__name__} on {type(problem).__name__}",
        len(setting.live_tangents), team_of(setting),
    )  # fmt: skip


@functools.lru_cache(maxsize=256)
def kernels_of(structure: Structure, width: int) -> Kernels:
    """Structures that differ in sizes alone share compiled code, not layouts."""
    return kernels_of_width(structure, width)


def kernels_for(setting: Setting, width: int) -> Kernels:
    """The kernels of a setting in packs of `width` runs."""
    return kernels_of(structure_of(setting, width), width)
