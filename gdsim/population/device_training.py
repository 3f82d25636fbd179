"""Training a batch on a device: chunk by chunk, as its memory has room for them."""

import concurrent.futures
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from gdsim.devices import STATIONS, Device, OutOfDeviceMemoryError, Station, Stations
from gdsim.kernels.cuda import compiled_training, kernels_on_warps, wanted_training
from gdsim.kernels.cuda_driver import Program, chunk_for, laid_out, loaded, needs_of, train_job
from gdsim.kernels.engines import Structure
from gdsim.kernels.job import Job
from gdsim.lanes.cubins import DeviceKernel
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.setting import Setting
from gdsim.population.training import Batch, InterruptedTrainingError, Trained, check_of, job_for, prepared_for, trained_from
from gdsim.words import size_of

SAMPLED = (64, 128)  # runs by which it is told what more of them take; of every type whole lines


def program_for(setting: Setting, device: Device) -> Program:
    """A device's program that trains the runs of a setting, loaded once for all settings of one structure."""
    return _program_of(structure_on_warps(setting), device)


def wanted_kernel(setting: Setting, capability: tuple[int, int]) -> DeviceKernel:
    """The kernel of such a program, for devices of a compute capability."""
    return wanted_training(kernels_on_warps(structure_on_warps(setting)), capability)


@functools.lru_cache(maxsize=256)
def _program_of(structure: Structure, device: Device) -> Program:
    kernels = kernels_on_warps(structure)
    return loaded(device, kernels, compiled_training(kernels, device.info.capability))


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
        with ieee_mode():
            self.needs = needs_of(*(self._job_of(np.arange(few) % len(batch.number)) for few in SAMPLED))

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
            layout = laid_out(self._job_of(chosen), warps, station.pinned)
            steps = train_job(self.program, layout, self.stations, station, self._check, self.clock)
        except OutOfDeviceMemoryError as error:
            self._give_back(runs, self.needs.size(len(runs), warps), error)
            return
        self._put(runs, trained_from(self.setting, self.batch.part(chosen), layout.job.runs, self._check, steps))

    def _job_of(self, chosen: np.ndarray) -> Job:
        """A job of some of the runs."""
        ends = None if self.earlier is None else {name: values[chosen] for name, values in self.earlier.items()}
        kernels = self.program.kernels
        return job_for(self.setting, kernels, prepared_for(self.setting, kernels, self.batch.part(chosen), ends), self.model)

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
