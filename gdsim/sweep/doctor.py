"""What this machine and a cluster offer to gdsim, and whether the bits are right: what to look at first when
something is odd.
"""

import importlib.metadata
import os
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any

import msgspec

from gdsim.devices.nvidia import VISIBLE
from gdsim.lanes.kernel_folder import NOTHING, Held, NoCacheError, held, is_writable, machine_folder, private_folder, remove
from gdsim.lanes.machine import vector_bytes
from gdsim.lanes.warps import capability_text
from gdsim.population.engine_choice import last_cache_bytes
from gdsim.sweep.cluster.driver import workers_of
from gdsim.sweep.cluster.worker import versions
from gdsim.sweep.execution.executor import UnfinishedError
from gdsim.sweep.known_bits import wrong_answers, wrong_numbers
from gdsim.sweep.planning.devices import Found, found_devices, usable_device
from gdsim.sweep.planning.machine import usable_cores
from gdsim.words import size_of

CPU_FACTS = pathlib.Path("/proc/cpuinfo")


class Gpu(msgspec.Struct, frozen=True):
    """A GPU of this machine, and whether it gives the known bits."""

    device: str  # as `device=` takes it
    name: str  # "" where the driver does not say what it is, and all below is empty or 0
    capability: str
    cuda: str  # the newest that its driver knows
    memory_bytes: int
    multiprocessors: int
    unusable: str  # why it cannot train, in a sentence; "" if it can
    self_test_seconds: float
    wrong_bits: list[str]

    def __str__(self) -> str:
        state = f"cannot be used: {self.unusable}" if self.unusable else f"bits {_sound(self.wrong_bits)} ({self.self_test_seconds:.1f} s)"
        if not self.name:
            return f"{self.device} {state}"
        return (
            f"{self.name} ({self.device}), compute capability {self.capability}, a driver for CUDA {self.cuda}, {size_of(self.memory_bytes)} of memory: {state}"
        )


class Report(msgspec.Struct, frozen=True):
    """What was found; `problems` are in words, and there are none on a sound machine."""

    processor: str
    vector_bits: int
    threads: int
    last_cache_bytes: int
    kernel_cache: str | None
    cached_kernels: int  # of this gdsim, for this processor
    cached_bytes: int
    other_kernels: int  # of other versions, or for other processors
    other_bytes: int
    versions: dict[str, str]
    gpus: list[Gpu]
    no_gpu: str  # why there is none, in a sentence
    visible_gpus: str | None  # what CUDA_VISIBLE_DEVICES says, if it is set: the driver shows no others
    workers: dict[str, str]  # by the address, what is wrong with a cluster's worker
    self_test_seconds: float
    wrong_bits: list[str]
    problems: list[str]

    def __str__(self) -> str:
        rows = {
            "processor": f"{self.processor}, vectors of {self.vector_bits} bits, {self.threads} threads, last cache {self.last_cache_bytes / 2**20:.0f} MiB",
            "versions": ", ".join(f"{k} {v}" for k, v in self.versions.items()),
            "kernel cache": self._cache(),
            "bits": f"{_sound(self.wrong_bits)} ({self.self_test_seconds:.1f} s)",
        }  # fmt: skip
        rows |= {f"GPU {number}": str(gpu) for number, gpu in enumerate(self.gpus)} or {"GPU": f"none: {self.no_gpu}"}
        if self.gpus and self.visible_gpus is not None:
            rows["GPUs shown"] = f"{VISIBLE} is {self.visible_gpus!r}, by whose order they are numbered here; others are hidden"
        if self.workers:
            rows["workers"] = f"{len(self.workers)}, {sum(not w for w in self.workers.values())} of them with the versions of this process"
        lines = [f"{name + ':':<14}{text}" for name, text in rows.items()]
        return "\n".join([*lines, *(f"problem: {p}" for p in self.problems)])

    def _cache(self) -> str:
        if self.kernel_cache is None:
            return "none: kernels are compiled anew in every process"
        others = f"; {Held(self.other_kernels, self.other_bytes)} of others, which gdsim doctor --clean-cache removes" if self.other_kernels else ""
        return f"{self.kernel_cache}, {Held(self.cached_kernels, self.cached_bytes)} of this gdsim for this processor{others}"


def _sound(wrong_bits: list[str]) -> str:
    return f"WRONG in {', '.join(wrong_bits)}" if wrong_bits else "right"


def examine(client: Any = None, announce: Callable[[str], None] | None = None, trains_on_gpus: bool = False) -> Report:
    """Looks at this machine, its GPUs, and the workers of a `distributed.Client` if one is given; trains three small
    sweeps, and has each GPU find numbers that are known (`kernels.self_test`), or train some of the sweeps too.
    """
    workers = {} if client is None else workers_of(client)
    if announce is not None:
        announce("training three small sweeps whose bits are known; compiling their kernels takes some seconds the first time")
    began = time.perf_counter()
    wrong = wrong_answers()
    seconds = time.perf_counter() - began
    gpus, no_gpu = _gpus(announce, trains_on_gpus)
    problems = [f"the bits of {name} are not the known ones: results of this machine differ from those of others" for name in wrong]
    problems += [f"the bits of {name} on {gpu.device} are not the known ones: train on processors" for gpu in gpus for name in gpu.wrong_bits]
    folder, cached, others = None, NOTHING, NOTHING
    try:
        folder = private_folder()
        cached, others = held(folder)
        if not is_writable(folder) and not cached.kernels:
            problems.append(
                f"the kernel cache {str(folder)!r} cannot be written, and holds no kernels for this machine; set GDSIM_CACHE_DIR to a folder of yours"
            )
    except NoCacheError as error:
        problems.append(str(error))
    problems += [f"worker {address}: {text}" for address, text in workers.items() if text]
    if client is not None and not workers:
        problems.append("the cluster has no workers")
    return Report(
        processor_name(), 8 * vector_bytes(), usable_cores(), last_cache_bytes(), folder and str(folder), *cached, *others, {**_frame(), **versions()}, gpus, no_gpu, os.environ.get(VISIBLE), workers,
        seconds, wrong, problems,
    )  # fmt: skip


class Cleaned(msgspec.Struct, frozen=True):
    """What has been removed from the cache of kernels, and what is left."""

    kernel_cache: str
    removed_kernels: int
    removed_bytes: int
    cached_kernels: int
    cached_bytes: int

    def __str__(self) -> str:
        removed, left = Held(self.removed_kernels, self.removed_bytes), Held(self.cached_kernels, self.cached_bytes)
        return f"removed {removed}; {left} of this gdsim for this processor are in {self.kernel_cache}"


def clean_cache() -> Cleaned:
    """Removes the compiled kernels that this gdsim cannot use on this processor. Raises NoCacheError."""
    folder = private_folder()
    removed = remove(folder, time.time(), spared=machine_folder(folder))
    return Cleaned(str(folder), *removed, *held(folder)[0])


def _frame() -> dict[str, str]:
    return {"Python": platform.python_version(), "distributed": importlib.metadata.version("distributed")}


def processor_name() -> str:
    """The processor of this machine, as it calls itself."""
    if CPU_FACTS.exists():
        names = [line.split(":", 1)[1].strip() for line in CPU_FACTS.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _gpus(announce: Callable[[str], None] | None, trains: bool) -> tuple[list[Gpu], str]:
    """(the GPUs of this machine, why there are none)."""
    found, none = found_devices()
    return [_gpu(number, gpu, announce, trains) for number, gpu in enumerate(found)], none


def _gpu(number: int, gpu: Found, announce: Callable[[str], None] | None, trains: bool) -> Gpu:
    name, info, unusable, wrong, began = f"cuda:{number}", gpu.info, gpu.unusable, list[str](), time.perf_counter()
    if info is None:
        return Gpu(name, "", "", "", 0, 0, unusable, 0.0, wrong)
    if not unusable:
        if announce is not None and trains:
            announce(f"training small sweeps on {info.name}; compiling their kernels takes about half a minute the first time")
        try:
            wrong = wrong_numbers(usable_device(number)) + (wrong_answers(name) if trains else [])
        except (UnfinishedError, ValueError, RuntimeError) as error:
            unusable = f"it fails at small work: {' '.join(str(error).split())}"
    cuda, capability = capability_text(info.driver), capability_text(info.capability)
    return Gpu(name, info.name, capability, cuda, info.memory, info.multiprocessors, unusable, time.perf_counter() - began, wrong)
