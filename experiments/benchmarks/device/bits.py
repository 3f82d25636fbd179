"""Bits: whole trainings of the gpu table (tests/cuda/table.py) and the elementary functions, on a device and on the
processor that prepared them. Every number of every result must have the same bits, a NaN those of any other.
"""

import pathlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.device import report, sums
from experiments.benchmarks.device.folder import Reading, Writing, check_capabilities, chosen_of
from experiments.benchmarks.device.launching import brought, training_kernel
from gdsim.devices import Device, DeviceError
from gdsim.kernels.engines import RUN_ON_WARP, Structure
from gdsim.lanes.cubins import Compiled
from gdsim.lanes.warps import THREADS, capability_text
from gdsim.population import Batch, train_batch
from gdsim.population.device_training import train_on_device
from gdsim.population.engine_choice import fits_single_run, full_width, structure_of, structure_with
from tests.cuda.kernels import batch_of, other_bits
from tests.cuda.settings import RATES
from tests.cuda.table import TABLE, Row

PART, SUMS = "bits", "sums"
SAME, NOT_RUN = "same bits", "not run"
INPUTS = 2**32  # of float32


class Case(NamedTuple):
    """Runs of a row of the table, and what trains them."""

    name: str
    row: Row
    structure: Structure

    @property
    def batch(self) -> Batch:
        """The runs."""
        return batch_of(self.row.setting, self.row.runs, RATES)


def cases() -> list[Case]:
    """The table's rows by packs of a warp, and those that a warp can train run by run, so as well."""
    found = []
    for row in TABLE:
        found.append(Case(row.name, row, structure_of(row.setting, THREADS)))
        if fits_single_run(row.setting):
            found.append(Case(f"{row.name}, a warp for each run", row, structure_with(row.setting, RUN_ON_WARP)))
    return found


def prepare(folder: pathlib.Path, capabilities: Sequence[tuple[int, int]], names: Sequence[str], functions: Sequence[str], every: int) -> str:
    """Compiles what `run` launches, and keeps what the processor finds. Says how large the folder is. Raises ValueError."""
    blocks = INPUTS // every // sums.BLOCK
    if blocks < 1 or every & (every - 1):
        raise ValueError(f"--every must be a power of two up to {INPUTS // sums.BLOCK}; {every} was given")
    found = {case.name: case for case in cases()}
    chosen = [found[name] for name in chosen_of(list(found), names)]
    check_capabilities(capabilities)
    with Writing(folder, PART) as writing:
        kernels: dict[str, dict[str, str]] = {capability_text(c): {} for c in capabilities}
        for name in functions:
            report.say(f"{name}: {blocks} blocks of {sums.BLOCK:,} inputs")
            for capability in capabilities:
                kernels[capability_text(capability)][name] = writing.keep_kernel(sums.compiled_sums(name, capability))
        writing.keep_arrays(SUMS, {name: sums.sums_by_processor(name, blocks, every) for name in functions})
        for number, case in enumerate(chosen):
            report.say(f"{number + 1} of {len(chosen)}: {case.name}")
            for capability in capabilities:
                kernels[capability_text(capability)][case.name] = writing.keep_kernel(training_kernel(case.structure, capability))
            setting = case.row.setting
            writing.keep_arrays(f"case {number}", train_batch(setting, case.batch, full_width(setting)).columns)
        return writing.finish({"capabilities": kernels, "cases": [case.name for case in chosen], "functions": list(functions), "every": every})


def run(folder: pathlib.Path, out: pathlib.Path, number: int, budget: float, library: Any = None) -> tuple[int, str]:
    """(exit code, what was found): compares for `budget` seconds, and leaves `bits.json` and `bits.md`."""
    device, reading, began, found = Device(number, library), Reading(folder, PART), time.perf_counter(), list[dict[str, str]]()
    comparing = Comparing(device, reading)
    names = [*reading.facts["functions"], *reading.facts["cases"]]
    for name in names:
        is_due = not comparing.is_lost and time.perf_counter() - began <= budget
        found.append({"name": name, "found": comparing.found(name) if is_due else NOT_RUN})
        report.say(f"{name}: {found[-1]['found']}")
        took, (words, _) = time.perf_counter() - began, verdict(found)
        lines = [f"{report.named(device.info)}: {words}.", "", *report.table(["what", "found"], [[one["name"], one["found"]] for one in found])]
        report.write(out, PART, {"device": device.info._asdict(), "seconds": took, "every": reading.facts["every"], "found": found}, lines)
    words, code = verdict(found)
    return code, f"{device.info.name}: {words}, in {time.perf_counter() - began:.0f} s"


class Comparing:
    """What a device finds, beside what was prepared."""

    def __init__(self, device: Device, reading: Reading) -> None:
        self.device, self.reading, self.facts = device, reading, reading.facts
        self.kernels, self.sums = reading.kernels_for(device.info.capability), reading.arrays(SUMS)
        self.known = {case.name: case for case in cases()}
        self.is_lost = False  # whether the device does nothing more for this process, as after a wrong address

    def found(self, name: str) -> str:
        """What differs of a function or a training, or that nothing does, or what failed."""
        try:
            return (self._blocks(name) if name in self.sums else self._columns(name)) or SAME
        except Exception as error:  # what follows may be right
            self.is_lost = not answers(self.device)
            return f"failed: {type(error).__name__}: {error}"

    def _blocks(self, name: str) -> str:
        blocks = INPUTS // self.facts["every"] // sums.BLOCK
        return differing_blocks(sums.sums_by_device(self.device, self._kernel(name), blocks, self.facts["every"]), self.sums[name])

    def _columns(self, name: str) -> str:
        case, truth = self.known[name], self.reading.arrays(f"case {self.facts['cases'].index(name)}")
        program = brought(self.device, case.structure, self._kernel(name))
        return differing_columns(train_on_device(case.row.setting, case.batch, program, report.say).columns, truth)

    def _kernel(self, name: str) -> Compiled:
        return self.reading.kernel(self.kernels[name])


def answers(device: Device) -> bool:
    """Whether a device still does what it is asked."""
    try:
        return device.free_memory() > 0
    except DeviceError:
        return False


def verdict(found: Sequence[dict[str, str]]) -> tuple[str, int]:
    """What was found of all, and the exit code.

    >>> verdict([{"name": "exp", "found": "same bits"}, {"name": "log", "found": "not run"}])
    ('1 of 2 have the same bits; 1 not run', 0)
    """
    said = [one["found"] for one in found]
    same, skipped = said.count(SAME), said.count(NOT_RUN)
    others = [one["name"] for one in found if one["found"] not in (SAME, NOT_RUN)]
    words = [f"{same} of {len(said)} have the same bits", *([f"{skipped} not run"] if skipped else []), *([f"NOT: {', '.join(others)}"] if others else [])]
    return "; ".join(words), int(bool(others) or not same)


def differing_blocks(found: np.ndarray, truth: np.ndarray) -> str:
    """Which blocks of a function's inputs have other sums; "" if none."""
    others = np.flatnonzero((found != truth).any(1))
    return f"{len(others)} of {len(truth)} blocks differ, the first is {others[0]}" if len(others) else ""


def differing_columns(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> str:
    """Which columns of a training's results have other bits; "" if none."""
    if found.keys() != truth.keys():
        return f"other columns: {', '.join(sorted(found.keys() ^ truth.keys()))}"
    said = []
    for name, values in truth.items():
        where = np.argwhere(other_bits(found[name], values))
        if len(where):
            first = tuple(where[0])
            said.append(f"{name}: {len(where)} of {values.size} differ, at {list(map(int, first))} {found[name][first]!r} in place of {values[first]!r}")
    return "; ".join(said)
