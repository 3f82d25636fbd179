"""Training a batch on a device: chunk by chunk, as its memory has room for them."""

import concurrent.futures
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from gdsim.devices import STATIONS, Device, OutOfDeviceMemoryError, Station, Stations
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.cuda import compiled_training, kernels_on_warps, wanted_training
from gdsim.kernels.cuda_driver import Needs, Program, chunk_for, loaded, needs_of, train_job, training_layout
from gdsim.kernels.engines import Structure
from gdsim.kernels.job import Job
from gdsim.kernels.workspace import Workspace
from gdsim.lanes.cubins import DeviceKernel
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.setting import Setting
from gdsim.population.training import Batch, InterruptedTrainingError, Trained, check_of, job_for, prepared_for, trained_from
from gdsim.words import size_of

SAMPLED = (64, 128)  # runs by which it is told what more of them take; of every type whole lines


def program_for(setting: Setting, device: Device) -> Program:
    """A device's program that trains the runs of a setting, loaded once for all settings of one structure."""
    return _training_program(structure_on_warps(setting, device.info.capability), device)


def wanted_kernel(setting: Setting, capability: tuple[int, int]) -> DeviceKernel:
    """The kernel of such a program, for devices of a compute capability."""
    return wanted_training(kernels_on_warps(structure_on_warps(setting, capability)), capability)


@functools.lru_cache(maxsize=256)
def _training_program(structure: Structure, device: Device) -> Program:
    kernels = kernels_on_warps(structure)
    return loaded(device, kernels, compiled_training(kernels, device.info.capability))


def needs_for(setting: Setting, structure: Structure, batch: Batch, earlier: Mapping[str, np.ndarray] | None = None) -> Needs:
    """What training runs like those of a batch takes of a device's memory. It is found out once for new runs of as many cells,
    unless their workers have samples of their own.
    """
    if earlier is None and not setting.has_shards:
        return _needs_of_new_runs(setting, structure, len(batch.values), tuple(batch.values[0].items()))
    return _sampled_needs(setting, structure, batch, earlier)


@functools.lru_cache(maxsize=8)  # each keeps its data
def _needs_of_new_runs(setting: Setting, structure: Structure, cells: int, values: tuple[tuple[str, float], ...]) -> Needs:
    first = np.zeros(1, np.int64)
    return _sampled_needs(setting, structure, Batch(first, first, first, [dict(values)] * cells), None)


def _sampled_needs(setting: Setting, structure: Structure, batch: Batch, earlier: Mapping[str, np.ndarray] | None) -> Needs:
    kernels = kernels_on_warps(structure)
    model = kernels.model(setting.samples_per_step)
    with ieee_mode():
        return needs_of(*(_job_of(setting, kernels, batch, np.arange(count) % len(batch.number), earlier, model) for count in SAMPLED))


def _job_of(setting: Setting, kernels: Kernels, batch: Batch, chosen: np.ndarray, earlier: Mapping[str, np.ndarray] | None, model: Workspace) -> Job:
    """A job of some runs of a batch."""
    ends = None if earlier is None else {name: values[chosen] for name, values in earlier.items()}
    return job_for(setting, kernels, prepared_for(setting, kernels, batch.part(chosen), ends), model)


def train_on_device(
    setting: Setting,
    batch: Batch,
    program: Program,
    say: Callable[[str], object],
    stopping: threading.Event | None = None,
    earlier: Mapping[str, np.ndarray] | None = None,
    stations: Stations | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Trained:
    """`training.train_batch` on a device, by the setting's program there: the same results, bit for bit.

    Where a device's memory takes a part of the runs at a time, the next part is made ready while one is trained, and the
    results of the last copied out. So are those of batches that several threads train with the same `stations`.

    `say` gets a sentence where the device gave less memory than it had free; it may be called from other threads. Raises
    OutOfDeviceMemoryError where there is no room even for the fewest runs.
    """
    with contextlib.ExitStack() as stack:
        stations = stations or stack.enter_context(Stations(program.device))
        return _Training(setting, batch, program, stations, earlier, say, stopping, clock).finish()


class _Training:
    """The training of a batch's runs in chunks, which threads take in turn."""

    def __init__(
        self,
        setting: Setting,
        batch: Batch,
        program: Program,
        stations: Stations,
        earlier: Mapping[str, np.ndarray] | None,
        say: Callable[[str], object],
        stopping: threading.Event | None,
        clock: Callable[[], float],
    ) -> None:
        self.setting, self.batch, self.program, self.stations, self.earlier, self.say, self.clock = setting, batch, program, stations, earlier, say, clock
        self.asked, self.ending, self.changing = check_of(stopping), threading.Event(), threading.Lock()
        self.model = program.kernels.model(setting.samples_per_step)
        self.left = [range(len(batch.number))]
        self.columns: dict[str, np.ndarray] | None = None
        self.steps = np.zeros(2, np.int64)
        self.needs = needs_for(setting, program.kernels.structure, batch, earlier)

    def finish(self) -> Trained:
        """The results, when all runs are trained."""
        with concurrent.futures.ThreadPoolExecutor(STATIONS, thread_name_prefix="gdsim-device") as pool:
            working = [pool.submit(self._work) for _ in range(STATIONS)]
            try:
                ended, _ = concurrent.futures.wait(working, return_when=concurrent.futures.FIRST_EXCEPTION)
            finally:
                self.ending.set()
        for thread in (*ended, *working):  # what failed first, as the others are interrupted by that
            thread.result()
        return Trained(self.batch, self.columns or {}, *self.steps.tolist())

    def _check(self) -> None:
        """Raises InterruptedTrainingError once this is to stop, or another thread has failed."""
        self.asked()
        if self.ending.is_set():
            raise InterruptedTrainingError

    def _work(self) -> None:
        """Trains chunks until none is left."""
        with ieee_mode():
            while (taken := self._take()) is not None:
                with self.stations.one(self._check) as station:
                    self._train(*taken, station)

    def _take(self) -> tuple[range, int] | None:
        """The next runs to train, and by how many warps."""
        with self.changing:
            if not self.left:
                return None
            runs = self.left.pop()
            chunk = chunk_for(self.needs, len(runs), self.program.resident_warps, self.stations.room)
            if chunk.runs < len(runs):
                self.left.append(runs[chunk.runs :])
            return runs[: chunk.runs], chunk.warps

    def _train(self, runs: range, warps: int, station: Station) -> None:
        """Trains a chunk, or gives it back to be cut where the device has no room for it."""
        chosen = np.asarray(runs)
        try:
            job = _job_of(self.setting, self.program.kernels, self.batch, chosen, self.earlier, self.model)
            layout = training_layout(job, warps, station.pinned)
            steps = train_job(self.program, layout, self.stations, station, self._check, self.clock)
        except OutOfDeviceMemoryError as error:
            self._give_back(runs, self.needs.size(len(runs), warps), error)
            return
        self._put(runs, trained_from(self.setting, self.batch.part(chosen), layout.job.runs, self._check, steps))

    def _give_back(self, runs: range, size: float, error: OutOfDeviceMemoryError) -> None:
        with self.changing:
            self.left.append(runs)
            self.stations.room = min(self.stations.room, int(size / 2))
        self.say(f"{self.program.device.info.name} had no room for {size_of(size)} ({error}): going on with chunks of half as much")

    def _put(self, runs: range, trained: Trained) -> None:
        """Copies the results of a chunk out of memory that the next will have."""
        with self.changing:
            if self.columns is None:
                self.columns = {name: np.empty((len(self.batch.number), *values.shape[1:]), values.dtype) for name, values in trained.columns.items()}
            self.steps += (trained.lane_steps, trained.used_steps)
        for name, values in trained.columns.items():
            self.columns[name][runs.start : runs.stop] = values
