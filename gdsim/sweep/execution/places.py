"""Where runs are trained: by processors, or by a device. A place cuts chunks into batches, makes the kernels of each ready,
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
from gdsim.sweep.planning.device_batches import on_device, size_for, together
from gdsim.sweep.planning.memory import runs_together
from gdsim.sweep.planning.plan import Chunk, Plan

Columns = dict[str, np.ndarray]
# What trains runs of a setting, from their starts, or from their earlier ends where it is given these.
Train = Callable[[Setting, Batch, Columns | None], Columns]


class ChunkRows(NamedTuple):
    """Runs of one chunk: these rows of the chunk's, from the place `first` among those that are trained."""

    chunk: Chunk
    rows: np.ndarray | range
    values: Sequence[Mapping[str, float]]  # the hyperparameters of the chunk's cells
    first: int

    def batch(self, plan: Plan) -> Batch:
        """The runs."""
        return plan.batch_of(self.chunk, np.asarray(self.rows), self.values)


class Work(NamedTuple):
    """Runs of one structure that one thread trains together, of one chunk or of several."""

    setting: Setting
    width: int
    parts: Sequence[ChunkRows]

    @property
    def group(self) -> int:
        """The number of the structure."""
        return self.parts[0].chunk.group

    @property
    def runs(self) -> int:
        """How many runs."""
        return sum(len(part.rows) for part in self.parts)


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

    def together(self, plan: Plan, chunks: Iterable[Chunk], chosen: np.ndarray | None = None) -> Iterator[list[Chunk]]:
        """The chunks, those of one structure that are to be trained at once together."""
        ...

    def works_of(self, plan: Plan, chunks: Sequence[Chunk], chosen: np.ndarray | None = None) -> list[Work]:
        """The runs of chunks of one structure, or those that are chosen, in batches."""
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

    def together(self, plan: Plan, chunks: Iterable[Chunk], chosen: np.ndarray | None = None) -> Iterator[list[Chunk]]:
        """As of `Place`: each by itself."""
        return ([chunk] for chunk in chunks)

    def works_of(self, plan: Plan, chunks: Sequence[Chunk], chosen: np.ndarray | None = None) -> list[Work]:
        """As of `Place`: many runs for each lane, yet some for every thread."""
        count = sum(len(rows_of(plan, chunk, chosen)) for chunk in chunks)
        setting = for_runs(plan.groups[chunks[0].group].setting, count)
        width = self.lanes or lanes_for(setting, -(-count // self.threads), self.threads)
        return works_in(plan, chunks, chosen, Work(setting, width, ()), runs_together(setting, width, count, self.threads))

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

    def together(self, plan: Plan, chunks: Iterable[Chunk], chosen: np.ndarray | None = None) -> Iterator[list[Chunk]]:
        """As of `Place`: as many as keep the device busy."""
        return together(plan, chunks, self.device.info.multiprocessors, lambda chunk: len(rows_of(plan, chunk, chosen)))

    def works_of(self, plan: Plan, chunks: Sequence[Chunk], chosen: np.ndarray | None = None) -> list[Work]:
        """As of `Place`: all of the runs, if this machine has room for them. All chunks of a structure have one kernel."""
        setting = on_device(plan.groups[chunks[0].group], plan.starts)
        return works_in(plan, chunks, chosen, Work(setting, THREADS, ()), size_for(setting, self.device.info.multiprocessors).most)

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


def rows_of(plan: Plan, chunk: Chunk, chosen: np.ndarray | None) -> np.ndarray | range:
    """The rows of a chunk's runs, or of those that are chosen."""
    return range(chunk.size) if chosen is None else np.flatnonzero(np.isin(plan.numbers_of(chunk), chosen))


def works_in(plan: Plan, chunks: Iterable[Chunk], chosen: np.ndarray | None, work: Work, most: int) -> list[Work]:
    """Chunks' rows in batches like `work`, of at most so many runs."""
    works, values, room = list[list[ChunkRows]](), dict[tuple[int, ...], list[dict[str, float]]](), 0
    for chunk in chunks:
        if chunk.cells not in values:
            values[chunk.cells] = [plan.cells[c].numbers() for c in chunk.cells]
        rows, first = rows_of(plan, chunk, chosen), 0
        while first < len(rows):
            if not room:
                works.append([])
                room = most
            some = rows[first : first + room]
            works[-1].append(ChunkRows(chunk, some, values[chunk.cells], first))
            first, room = first + len(some), room - len(some)
    return [work._replace(parts=parts) for parts in works]


def in_order(plan: Plan, chunks: Iterable[Chunk], place: Place, chosen: np.ndarray | None = None) -> list[Chunk]:
    """Chunks in the order in which a place trains them."""
    return [chunk for some in place.together(plan, chunks, chosen) for chunk in some]


def works_of(plan: Plan, chunks: Iterable[Chunk], place: Place, chosen: np.ndarray | None = None) -> Iterator[Work]:
    """A batch of the chunks of each structure and size."""
    for chunk in {(c.group, c.size): c for c in chunks}.values():
        yield place.works_of(plan, [chunk], chosen)[0]


_compiling = threading.Lock()


def prepare(place: Place, work: Work, announce: Callable[[str], None] | None = None, children: Children | None = None) -> None:
    """Makes the kernels of a batch, if they are not there yet; `announce` is told what is being compiled.

    Meanwhile `children` compile others.
    """
    with _compiling, announcing(announce), helped_by(children):
        place.prepare(work)
