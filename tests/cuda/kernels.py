"""Kernels on a warp beside the processor's: small ones of lanes, and whole training."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.devices import Device
from gdsim.kernels import cuda
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.cuda_driver import loaded
from gdsim.kernels.engines import Engine, Structure
from gdsim.kernels.training import DONE
from gdsim.lanes.compiler import bind
from gdsim.lanes.cubins import Compiled
from gdsim.lanes.memory import table_of
from gdsim.lanes.numbers import near_bytes
from gdsim.population.device_training import train_on_device
from gdsim.population.engine_choice import full_width, structure_of, structure_with
from gdsim.population.setting import Setting
from gdsim.population.training import Batch, job_for, prepared_for, train_batch, trained_from
from tests.cuda.arena import WARP, Arena
from tests.cuda.driver import DriverLibrary
from tests.cuda.ptx import Program

MOST_CALLS = 100


def on_warps(
    compiled: Any, template: Any, parts: dict[str, Any], arrays: tuple[np.ndarray, ...], capability: tuple[int, int] = (9, 0)
) -> tuple[np.ndarray, ...]:
    """The arrays after one warp has run a template of them."""
    from numba.cuda import types

    kinds = tuple(types.Array(getattr(types, a.dtype.name), 1, "C") for a in arrays)
    arena = Arena(4 * sum(a.nbytes for a in arrays) + 2**12)
    held = tuple(arena.put(a) for a in arrays)
    Program(compiled(template, parts, kinds, capability)).run(arena, list(held))
    return held


def on_processor(template: Any, parts: dict[str, Any], arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The arrays after the processor has run the template."""
    from numba import types

    kinds = tuple(types.Array(getattr(types, a.dtype.name), 1, "C") for a in arrays)
    held = tuple(a.copy() for a in arrays)
    bind(template, parts, types.void(*kinds))(*held)
    return held


def other_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which numbers have other bits, any NaN those of any other."""
    bits = f"u{a.itemsize}"
    differ = a.view(bits) != b.view(bits)
    return differ & ~(np.isnan(a) & np.isnan(b)) if a.dtype.kind == "f" else differ


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether numbers have the same bits, any NaN those of any other."""
    return not other_bits(a, b).any()


class Jobs(NamedTuple):
    """What the warps of a grid train: a batch of runs in an arena, and where each warp's job lies."""

    setting: Setting
    batch: Batch
    arena: Arena
    tables: np.ndarray
    out: np.ndarray
    jobs: list[Any]


def structure_for(setting: Setting, engine: Engine | None, near_room: int = 0) -> Structure:
    """What decides the kernels of a setting, of packs if no engine is said."""
    return structure_of(setting, WARP) if engine is None else structure_with(setting, engine, near_room)


def jobs_for(setting: Setting, batch: Batch, warps: int, earlier: Any = None, room: int = 2**22, engine: Engine | None = None, near_room: int = 0) -> Jobs:
    """The jobs of some warps, which share the runs of a batch, `earlier` if these go on."""
    kernels = cuda.kernels_on_warps(structure_for(setting, engine, near_room))
    prepared, arena = prepared_for(setting, kernels, batch, earlier), Arena(room, WARP * warps)
    jobs = [arena.hold(job_for(setting, kernels, prepared, kernels.model(setting.samples_per_step))) for _ in range(warps)]
    jobs = [kernels.with_tables(job) for job in jobs]
    tables = [arena.put(table_of(job)) for job in jobs]
    return Jobs(setting, batch, arena, arena.put(np.array([t.ctypes.data for t in tables])), arena.put(np.zeros(warps, np.int64)), jobs)


def training_ptx(compiled: Any, setting: Setting, capability: tuple[int, int] = (9, 0), engine: Engine | None = None, near_room: int = 0) -> str:
    """The kernel that trains packs of a setting; settings of one structure have the same."""
    from numba.cuda import types

    words, template = types.Array(types.int64, 1, "C"), cuda.whole_training(cuda.kernels_on_warps(structure_for(setting, engine, near_room)))
    return compiled(template.function, template.parts, (words, types.int64, words), capability)


def trained(ptx: str, jobs: Jobs, budget: int, order: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """The columns of the runs' results, after as many calls as it takes of a kernel that makes so many steps."""
    program = Program(ptx)
    for _ in range(MOST_CALLS):
        program.run(jobs.arena, [jobs.tables, budget, jobs.out], len(jobs.jobs), order, near=near_bytes(jobs.jobs[0].model))
        if (jobs.out == DONE).all():
            return trained_from(jobs.setting, jobs.batch, jobs.jobs[0].runs, lambda: None, (0, 0)).columns
    raise AssertionError(f"not done after {MOST_CALLS} calls")


def loadable(ptx: str) -> Compiled:
    """A kernel as the stand-in for a device loads it."""
    return Compiled(ptx.encode(), Program(ptx).entry, 32, 0, 0)


def fail(said: str) -> None:
    """Raises AssertionError: nothing was to be said."""
    raise AssertionError(said)


def on_device(ptx: str, setting: Setting, batch: Batch) -> dict[str, np.ndarray]:
    """The columns that the driver's stand-in gives, with memory as it is laid out for devices."""
    library, kernels = DriverLibrary(2**25), cuda.kernels_on_warps(structure_of(setting, WARP))
    return train_on_device(setting, batch, loaded(Device(library=library), kernels, loadable(ptx)), fail, clock=library.clock).columns


def expected(setting: Setting, batch: Batch, earlier: Any = None) -> dict[str, np.ndarray]:
    """The columns as the processor's kernels give them."""
    return train_batch(setting, batch, full_width(setting), earlier=earlier).columns


def batch_of(setting: Setting, runs: int, rates: tuple[float, ...]) -> Batch:
    """So many runs of a setting in turn with each of some learning rates."""
    declared = setting.rule.hyperparameters() | {f"schedule_{name}": value for name, value in setting.schedule.hyperparameters().items()}
    declared |= {f"penalty_{name}": getattr(setting.problem, name, 0.0) for name in ("l1", "l2")}
    if setting.distribution is not None:
        declared |= {f"distribution_{name}": value for name, value in setting.distribution.hyperparameters().items()}
    number = np.arange(runs)
    return Batch(number, number // len(rates), number % len(rates), [declared | {"lr": rate} for rate in rates])


def seated(setting: Setting, kernels: Kernels, batch: Batch) -> Any:
    """A job with a run in each lane, in which no event is due."""
    prepared = prepared_for(setting, kernels, batch)
    job = job_for(setting, kernels, prepared, kernels.model(setting.samples_per_step))
    runs, spec = prepared.runs, prepared.spec
    numbers = runs.hyperparameters.reshape(-1, spec.hyperparameters)
    job.pack.weights.reshape(-1, kernels.width)[spec.places] = runs.begin.weights.reshape(kernels.width, -1).T
    job.pack.hyperparameters.reshape(-1, kernels.width)[:] = numbers[batch.cell].T
    job.pack.start[:], job.pack.monitor.active[:], job.pack.monitor.due[:] = batch.start, 1, 2**32 - 1
    return job


def stepping_ptx(compiled: Any, setting: Setting, capability: tuple[int, int] = (9, 0), engine: Engine | None = None, near_room: int = 0) -> str:
    """The kernel that makes steps of a setting; settings of one structure have the same."""
    from numba.cuda import types

    words, template = types.Array(types.int64, 1, "C"), cuda.stepping(cuda.kernels_on_warps(structure_for(setting, engine, near_room)))
    return compiled(template.function, template.parts, (words, types.int64, words), capability)


def seated_on_warp(setting: Setting, batch: Batch, engine: Engine | None = None, near_room: int = 0) -> Any:
    """A job with a run in each of a warp's lanes."""
    return seated(setting, cuda.kernels_on_warps(structure_for(setting, engine, near_room)), batch)


def ran_steps(ptx: str, job: Any, steps: int, order: np.random.Generator, room: int = 2**22) -> Any:
    """The pack of a job after a warp has made so many steps of it."""
    arena = Arena(room)
    held = arena.hold(job)
    table, near = arena.put(table_of(held)), near_bytes(job.model)
    Program(ptx).run(arena, [arena.put(np.array([table.ctypes.data])), steps, arena.put(np.zeros(1, np.int64))], order=order, near=near)
    return held.pack


def stepped(
    compiled: Any, setting: Setting, batch: Batch, steps: int, capability: tuple[int, int] = (9, 0), engine: Engine | None = None, near_room: int = 0
) -> tuple[Any, Any]:
    """The packs of a batch's runs, which fill one, after so many steps, by a warp and by the processor: of slots those of
    parameters, as what lies between them is never used.
    """
    ptx = stepping_ptx(compiled, setting, capability, engine, near_room)
    found = ran_steps(ptx, seated_on_warp(setting, batch, engine, near_room), steps, np.random.default_rng(0))
    plain = Kernels(structure_for(setting, engine), len(batch.number))
    own = seated(setting, plain, batch)
    own_table = table_of(own)
    plain.compiled(plain.bound_steps)(own_table.ctypes.data, steps)
    return tuple(pack._replace(slots=pack.slots.reshape(-1, plain.width)[plain.slot_places.ravel()]) for pack in (found, own.pack))


def differing(found: Any, truth: Any) -> list[str]:
    """The names of a pack's arrays, and of its monitor's, that have other bits."""
    pairs = [(name, getattr(found, name), getattr(truth, name)) for name in ("weights", "slots", "carry", "step")]
    pairs += [(name, a, b) for name, a, b in zip(found.monitor._fields, found.monitor, truth.monitor, strict=True)]
    return [name for name, a, b in pairs if not same_bits(a, b)]
