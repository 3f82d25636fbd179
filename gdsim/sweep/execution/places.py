"""Where runs are trained: by processors, or by a device. A place cuts a chunk into batches, makes the kernels of each ready,
and trains it; wherever that is, a run's results are the same bits.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gdsim.devices import Device, Stations
from gdsim.lanes.announcing import announcing
from gdsim.lanes.children import Children, helped_by
from gdsim.lanes.compiler import Bound
from gdsim.lanes.cubins import DeviceKernel
from gdsim.lanes.warps import THREADS
from gdsim.population import Batch, Setting, train_batch
from gdsim.population.device_training import program_for, train_on_device, wanted_kernel
from gdsim.population.engine_choice import for_runs, kernels_for, lanes_for
from gdsim.population.recorded_sharpness import prepare_sharpness
from gdsim.sweep.planning.device_speed import on_device
from gdsim.sweep.planning.memory import DRAWN_BYTES, points_of, row_bytes, runs_together, shard_bytes
from gdsim.sweep.planning.plan import Chunk, Plan

HOST_BYTES = 2**28  # of this machine's memory, for what it keeps of a batch's runs before they are trained, and after

Columns = dict[str, np.ndarray]
# What trains runs of a setting, from their starts, or from their earlier ends where it is given these.
Train = Callable[[Setting, Batch, Columns | None], Columns]


class Work(NamedTuple):
    """Runs of one chunk that one thread trains together: these rows of the chunk's, from the place `first`
    among those that are trained.
    """

    chunk: Chunk
    setting: Setting
    rows: np.ndarray | range
    values: Sequence[Mapping[str, float]]  # the hyperparameters of the chunk's cells
    width: int
    first: int

    def batch(self, plan: Plan) -> Batch:
        """The runs."""
        return plan.batch_of(self.chunk, np.asarray(self.rows), self.values)


# A kernel that other processes may compile.
Wanted = Bound | DeviceKernel
# How the runs of a batch get their columns, by what trains them.
Trainer = Callable[[Train, Work, Batch], Columns]


def train_from_start(train: Train, work: Work, batch: Batch) -> Columns:
    """The columns of a batch's runs, from their starts to their ends."""
    return train(work.setting, batch, None)


class Place(Protocol):
    """Where runs are trained."""

    @property
    def threads(self) -> int:
        """How many threads of this process train batches at a time."""
        ...

    def works_of(self, plan: Plan, chunk: Chunk, chosen: np.ndarray | None = None) -> list[Work]:
        """A chunk's runs, or those that are chosen, in batches."""
        ...

    def wanted(self, work: Work) -> Sequence[Wanted]:
        """The kernels that a batch needs and other processes may compile."""
        ...

    def prepare(self, work: Work) -> None:
        """Makes the kernels of a batch, if they are not there yet."""
        ...

    def training(self, work: Work, stopping: threading.Event | None, say: Callable[[str], object]) -> Train:
        """What trains runs of a batch in this thread, and says what there is to be said of it. Once `stopping` is set, it
        raises InterruptedTrainingError.
        """
        ...

    def close(self) -> None:
        """Gives back what only training needs."""
        ...


class Placed(NamedTuple):
    """Where runs are trained."""

    place: Place
    reason: str = ""  # why there, where nobody has chosen it


class Processors:
    """So many threads of this process, in packs of so many lanes if they are given."""

    def __init__(self, threads: int, lanes: int | None) -> None:
        self.threads, self.lanes = threads, lanes
        self._local = threading.local()

    def works_of(self, plan: Plan, chunk: Chunk, chosen: np.ndarray | None = None) -> list[Work]:
        """As of `Place`: many runs for each lane, yet some for every thread."""
        rows = rows_of(plan, chunk, chosen)
        setting = for_runs(plan.groups[chunk.group].setting, len(rows))
        width = self.lanes or lanes_for(setting, -(-len(rows) // self.threads), self.threads)
        return batches_of(plan, chunk, setting, rows, width, runs_together(setting, width, len(rows), self.threads))

    def wanted(self, work: Work) -> Sequence[Bound]:
        """As of `Place`."""
        return kernels_for(work.setting, work.width).wanted

    def prepare(self, work: Work) -> None:
        """As of `Place`."""
        kernels_for(work.setting, work.width).prepare()
        if work.setting.record.sharpness:
            prepare_sharpness(work.setting)

    def training(self, work: Work, stopping: threading.Event | None, say: Callable[[str], object]) -> Train:
        """As of `Place`: a thread keeps its working memory from batch to batch."""
        if not hasattr(self._local, "workspaces"):
            self._local.workspaces = {}
        workspaces: dict[Any, Any] = self._local.workspaces
        return lambda setting, batch, earlier: train_batch(setting, batch, work.width, workspaces, stopping, earlier).columns

    def close(self) -> None:
        """As of `Place`: nothing, as a thread's working memory ends with it."""


class OnDevice:
    """A device, as `Place`, which trains for so many threads in turn."""

    def __init__(self, device: Device, threads: int) -> None:
        self.device, self.threads, self._stations = device, threads, Stations(device)

    def works_of(self, plan: Plan, chunk: Chunk, chosen: np.ndarray | None = None) -> list[Work]:
        """As of `Place`: all of the chunk's runs, if this machine has room for them. All chunks of a structure have one kernel."""
        rows, setting = rows_of(plan, chunk, chosen), on_device(plan.groups[chunk.group], plan.starts)
        return batches_of(plan, chunk, setting, rows, THREADS, max(1, HOST_BYTES // (host_bytes(setting) * THREADS)) * THREADS)

    def wanted(self, work: Work) -> Sequence[DeviceKernel]:
        """As of `Place`: one, with the whole of training in it."""
        return (wanted_kernel(work.setting, self.device.info.capability),)

    def prepare(self, work: Work) -> None:
        """As of `Place`."""
        program_for(work.setting, self.device)
        if work.setting.record.sharpness:
            prepare_sharpness(work.setting)

    def training(self, work: Work, stopping: threading.Event | None, say: Callable[[str], object]) -> Train:
        """As of `Place`."""

        def train(setting: Setting, batch: Batch, earlier: Columns | None) -> Columns:
            return train_on_device(setting, batch, program_for(setting, self.device), say, stopping, earlier, self._stations).columns

        return train

    def close(self) -> None:
        """As of `Place`: gives back what training has taken of the device's memory."""
        self._stations.close()


def host_bytes(setting: Setting) -> int:
    """Bytes of this machine's memory that a run takes which a device trains: its results, its start while that is drawn, the
    points whose sharpness is recorded, and its workers' samples.
    """
    point = DRAWN_BYTES + points_of(setting) * np.dtype(setting.dtype).itemsize
    return row_bytes(setting, len(setting.checkpoints)) + setting.problem.parameter_count * point + shard_bytes(setting)


def rows_of(plan: Plan, chunk: Chunk, chosen: np.ndarray | None) -> np.ndarray | range:
    """The rows of a chunk's runs, or of those that are chosen."""
    return range(chunk.size) if chosen is None else np.flatnonzero(np.isin(plan.numbers_of(chunk), chosen))


def batches_of(plan: Plan, chunk: Chunk, setting: Setting, rows: np.ndarray | range, width: int, size: int) -> list[Work]:
    """Rows of a chunk in batches of so many runs."""
    values = [plan.cells[c].numbers() for c in chunk.cells]
    return [Work(chunk, setting, rows[k : k + size], values, width, k) for k in range(0, len(rows), size)]


def works_of(plan: Plan, chunks: Iterable[Chunk], place: Place, chosen: np.ndarray | None = None) -> Iterator[Work]:
    """A batch of the chunks of each structure and size."""
    for chunk in {(c.group, c.size): c for c in chunks}.values():
        yield place.works_of(plan, chunk, chosen)[0]


_compiling = threading.Lock()


def prepare(place: Place, work: Work, announce: Callable[[str], None] | None = None, children: Children | None = None) -> None:
    """Makes the kernels of a batch, if they are not there yet; `announce` is told what is being compiled.

    Meanwhile `children` compile others.
    """
    with _compiling, announcing(announce), helped_by(children):
        place.prepare(work)
