"""Rows: populations on a device, beside JAX and PyTorch on the same device; seconds of whole trainings once all is
compiled and warm, and of them those of gdsim's kernels.
"""

import json
import math
import pathlib
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.device import report
from experiments.benchmarks.device.folder import ROOT, Reading, Writing, check_capabilities, chosen_of
from experiments.benchmarks.device.launching import TimingLibrary, brought, training_kernel
from experiments.benchmarks.peak import CHAINS_AT_ONCE, chains
from experiments.benchmarks.processes import answer, seconds
from experiments.benchmarks.works import WORKS, Row, sweep_of
from gdsim.devices import Device
from gdsim.kernels.cuda_driver import launch_once
from gdsim.lanes.cubins import Compiled, cubin_of
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Count, Memory
from gdsim.lanes.warps import THREADS, capability_text, warp_number
from gdsim.population import Batch, Setting
from gdsim.population.device_training import train_on_device
from gdsim.population.engine_choice import for_runs, structure_on_warps
from gdsim.sweep.experiment.cells import cells_of

PART = "rows"
SYSTEMS = {"jax": "JAX vmap", "torch": "PyTorch bmm"}
SHOWN = 64  # runs whose final losses are compared, as systems.py does
AGREEMENT = 0.02  # of the medians of these: rounding drives single runs apart, not populations
LEAST_SECONDS = 15.0  # without which another system is not begun
ROWS = (
    Row("rosenbrock", "adam", 1_000_000, 1000, ("jax",), 2.0),
    Row("digits", "adam", 4096, 200, ("jax", "torch"), 2.0),
    Row("xor", "momentum", 1_000_000, 500, ("jax", "torch"), 2.0),
    Row("moons", "momentum", 100_000, 200, ("jax", "torch"), 2.0),
    Row("digits", "momentum", 4096, 200, ("jax", "torch"), 2.0),
    Row("rosenbrock", "adam", 10_000_000, 1000, ("jax",), 2.0),
    Row("mnist", "adam", 512, 100, ("jax", "torch"), 1.0),
    Row("digits", "adam", 32_768, 100, ("jax", "torch"), 2.0),
)
PEAK, CHAINS, BLOCK_WARPS, PEAK_STEPS = "peak", 32, 4, 100_000


def chains_of_warps(values: Memory, steps: Count) -> None:
    """The kernel of the device's peak: `peak.chains` of each warp."""
    chains(values, warp_number() * CHAINS_AT_ONCE * WIDTH, steps)


def compiled_peak(capability: tuple[int, int]) -> Compiled:
    """That kernel for devices of a compute capability. Needs numba-cuda, and no device."""
    from gdsim.lanes.cuda import NUMBER, array_type

    return cubin_of(chains_of_warps, {"WIDTH": THREADS, "CHAINS_AT_ONCE": CHAINS}, (array_type("float32"), NUMBER), capability)


def setting_of(row: Row) -> tuple[Setting, Batch]:
    """What the runs of a row share, and the runs."""
    sweep, number = sweep_of(row.work, row.rule, row.runs, row.steps), np.arange(row.runs)
    (cell,) = cells_of(sweep)
    return for_runs(sweep.setting(cell), row.runs), Batch(number, number, np.zeros_like(number), [cell.numbers()])


def prepare(folder: pathlib.Path, capabilities: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """Compiles what `run` launches. Says how large the folder is. Raises ValueError."""
    chosen, kernels = chosen_of([row.name for row in ROWS], names), dict[str, dict[str, str]]()
    check_capabilities(capabilities)
    with Writing(folder, PART) as writing:
        for capability in capabilities:
            found = kernels[capability_text(capability)] = {PEAK: writing.keep_kernel(compiled_peak(capability))}
            for row in (row for row in ROWS if row.name in chosen):
                report.say(f"{row.name} for capability {capability_text(capability)}")
                found[row.name] = writing.keep_kernel(training_kernel(structure_on_warps(setting_of(row)[0], capability), capability))
        return writing.finish({"capabilities": kernels})


def peak_of(device: Device, timing: TimingLibrary, compiled: Compiled, steps: int) -> float:
    """GFLOP/s of the device: fused multiply-adds in independent chains of all threads that it works on at once."""
    blocks = device.resident_blocks(device.load(compiled), BLOCK_WARPS * THREADS)
    values = np.full(blocks * BLOCK_WARPS * CHAINS * THREADS, 0.5, np.float32)
    speeds = []
    for _ in range(5):
        timing.seconds()
        launch_once(device, compiled, blocks, BLOCK_WARPS * THREADS, [values, steps])
        speeds.append(2.0 * values.size * steps / timing.seconds() / 1e9)
    return max(speeds)


def measured(row: Row, device: Device, timing: TimingLibrary, compiled: Compiled) -> dict[str, Any]:
    """gdsim's figures of a row: from starts to results, and of that the seconds of kernels."""
    setting, batch = setting_of(row)
    program, kernels = brought(device, structure_on_warps(setting, device.info.capability), compiled), list[float]()

    def train() -> np.ndarray:
        timing.seconds()
        columns = train_on_device(setting, batch, program, report.say).columns
        kernels.append(timing.seconds())
        return columns["final_loss"][:SHOWN]

    took, losses = seconds(train)
    steps = row.runs * row.steps
    return {"us": took / steps * 1e6, "kernels_us": min(kernels[1:]) / steps * 1e6, "loss": float(np.nanmedian(losses)), "registers": compiled.registers}


def of_peer(system: str, row: Row, left: float) -> dict[str, Any]:
    """Another system's figures of a row on the GPU, or why there are none."""
    if left < LEAST_SECONDS:
        return {"why": "not run"}
    program = ROOT / "experiments" / "benchmarks" / "systems.py"
    try:
        return json.loads(answer(program, system, row.work, row.rule, row.runs, row.steps, "gpu", environment={"PYTHONPATH": str(ROOT)}, timeout=left))
    except subprocess.TimeoutExpired:
        return {"why": f"not run: not done in {left:.0f} s"}
    except SystemExit as error:
        return {"why": f"failed: {error}"}


def run(folder: pathlib.Path, out: pathlib.Path, number: int, budget: float, library: Any = None) -> tuple[int, str]:
    """(exit code, what was found): measures for `budget` seconds, and leaves `rows.json` and `rows.md`."""
    timing = TimingLibrary(library)
    device, reading, began = Device(number, timing), Reading(folder, PART), time.perf_counter()
    kernels = reading.kernels_for(device.info.capability)
    peak = peak_of(device, timing, reading.kernel(kernels[PEAK]), PEAK_STEPS)
    rows, found = [row for row in ROWS if row.name in kernels], list[dict[str, Any]]()
    for row in rows:
        result: dict[str, Any] = {"name": row.name, "target": row.target, "steps": row.steps}
        found.append(result)
        for system in ("gdsim", *row.peers):
            left = budget - (time.perf_counter() - began)
            if system != "gdsim":
                result[system] = of_peer(system, row, left)
            elif left > 0:
                result[system] = own_figures(row, device, timing, reading.kernel(kernels[row.name]))
            else:
                result[system] = {"why": "not run"}
            report.say(f"{row.name}, {system}: {result[system]}")
        result |= judged(row, result, peak)
        lines = [f"{report.named(device.info)}; measured peak {peak / 1e3:.3g} TFLOP/s of float32.", "", *table(rows, found)]
        report.write(out, PART, {"device": device.info._asdict(), "peak": peak, "found": found}, lines)
    bad = [one["name"] for one in found if not one["agrees"]]
    return int(bool(bad)), f"{device.info.name}: {summary(found)}{f'; WRONG: {chr(44).join(bad)}' if bad else ''}"


def own_figures(row: Row, device: Device, timing: TimingLibrary, compiled: Compiled) -> dict[str, Any]:
    """gdsim's figures of a row, or why there are none."""
    try:
        return measured(row, device, timing, compiled)
    except Exception as error:  # the other systems are measured all the same
        return {"why": f"failed: {type(error).__name__}: {error}"}


def judged(row: Row, result: dict[str, Any], peak: float) -> dict[str, Any]:
    """What follows from the figures of a row: ratios to the fastest peer, the share of peak, and whether all have trained
    the same; it is not said of what was not run, and never of what failed here.
    """
    own, peers = result["gdsim"], [result[system] for system in row.peers if "us" in result[system]]
    if "us" not in own:
        return {"ratio": None, "kernels_ratio": None, "share": None, "agrees": own["why"] == "not run"}
    fastest = min((peer["us"] for peer in peers), default=None)
    operations = WORKS[row.work].operations() if row.work in WORKS else 0
    return {
        "ratio": fastest and fastest / own["us"],
        "kernels_ratio": fastest and fastest / own["kernels_us"],
        "share": operations / own["kernels_us"] / 1e3 / peak if operations else None,
        "agrees": all(math.isclose(peer["loss"], own["loss"], rel_tol=AGREEMENT) for peer in peers),
    }


def table(rows: Sequence[Row], found: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the Markdown table."""
    head = [
        "work, rule, runs, steps",
        "gdsim, whole",
        "its kernels",
        *SYSTEMS.values(),
        "whole over the faster",
        "kernels over it",
        "aimed at",
        "share of peak",
    ]
    lines = []
    for row, one in zip(rows, found, strict=False):  # the rows so far
        times = [time_text(one["gdsim"]), time_text(one["gdsim"], "kernels_us"), *(time_text(one[system]) if system in one else "" for system in SYSTEMS)]
        ratios = ["" if one[name] is None else f"{one[name]:.2f}x" for name in ("ratio", "kernels_ratio")]
        share = "" if one["share"] is None else f"{one['share']:.0%}"
        lines.append([f"{row.work}, {row.rule.capitalize()}, {row.runs:,}, {row.steps:,}", *times, *ratios, f"{row.target:g}x", share])
    return report.table(head, lines)


def time_text(figures: dict[str, Any], name: str = "us") -> str:
    """Time per step of a run, in picoseconds or nanoseconds, or why there is none.

    >>> time_text({"us": 5.5e-6}), time_text({"us": 0.0251}), time_text({"why": "not run"})
    ('5.5 ps', '25.1 ns', 'not run')
    """
    if name not in figures:
        return figures["why"]
    return f"{figures[name] * 1e6:.3g} ps" if figures[name] < 1e-3 else f"{figures[name] * 1e3:.3g} ns"


def summary(found: Sequence[dict[str, Any]]) -> str:
    """How many rows were run, and in how many gdsim is ahead: by its kernels, which like the others' trainings begin at
    starts that are there and leave results there, and by the whole.
    """
    peered = [one for one in found if one["ratio"] is not None]
    kernels, whole = (sum(one[name] > 1 for one in peered) for name in ("kernels_ratio", "ratio"))
    aimed = sum(one["kernels_ratio"] >= one["target"] for one in peered)
    run_here = sum("us" in one["gdsim"] for one in found)
    return (
        f"{run_here} of {len(found)} rows run; of {len(peered)} with a peer kernels are ahead in {kernels}, as far as aimed at in {aimed}, the whole in {whole}"
    )
