"""What a worker of a Dask cluster does: trains chunks, writes the shard of each into the shared folder, and
says so in a few numbers.

The experiment and its data are read from the folder, once in a worker's process. Workers and the driver need
the same gdsim, Numba, NumPy and PyArrow: bits depend on them.
"""

import functools
import importlib.metadata
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gdsim.canonical import digest
from gdsim.devices import DeviceError
from gdsim.lanes.machine import gdsim_sources
from gdsim.population.training import joined
from gdsim.store.folder import Store
from gdsim.sweep.cluster.pools import GoneGpuError, on_its_place
from gdsim.sweep.execution.continuation import Continuation, StoredEnds
from gdsim.sweep.execution.executor import FailureKind, SomePiece, failure_of
from gdsim.sweep.execution.places import Place, Trainer, prepare, train_from_start
from gdsim.sweep.execution.progress import Tally, tally_of
from gdsim.sweep.execution.threads import gatherings_of, trained_parts
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.folder.chunks import keep
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.planning.plan import MOST_SECONDS, Chunk, Plan, plan_of
from gdsim.version import VERSION

PACKAGES = ("numba", "numpy", "pyarrow")


class MismatchError(ValueError):
    """Workers that would give other bits, or see another folder, than the driver."""


@functools.cache
def versions() -> dict[str, str]:
    """What a chunk's bytes depend on beside the experiment."""
    return {"gdsim": f"{VERSION} ({gdsim_sources()[:12]})", **{p: importlib.metadata.version(p) for p in PACKAGES}}


def mismatch(worker: dict[str, str], driver: dict[str, str]) -> str:
    """Where two tables of versions differ, in words; nothing if they agree."""
    return "; ".join(f"{p} {worker.get(p, 'missing')} there and {v} here" for p, v in driver.items() if worker.get(p) != v)


class Receipt(NamedTuple):
    """What a worker says of a chunk that it has written."""

    group: int
    tally: Tally
    seconds: float  # of one thread
    said: tuple[str, ...] = ()  # what a device had to say, or why none has trained it, in sentences


class ChunkError(Exception):
    """What went wrong in a task: the receipts of the chunks that were finished before, and a Failure, in
    words, so that any process can read it.
    """


_planning = threading.Lock()


@functools.lru_cache(maxsize=4)
def _plan_in(folder: str, experiment: str, beside: tuple[str, ...]) -> tuple[Experiment, Plan]:
    sys.path += [b for b in beside if b not in sys.path]
    store = Store(folder)
    held = store.experiment()
    if held["sha256"] != experiment:
        raise MismatchError(f"the folder {folder!r} holds another experiment by now, or is another folder on this worker")
    sweep = experiment_in(store, held)
    edited = next((p for p in sweep.problem if p.is_edited), None)
    if edited is not None:
        raise MismatchError(f"{edited.name} has another source on this worker")
    return sweep, plan_of(sweep, MOST_SECONDS)  # as its own chunks are not asked for


class HowTrained(NamedTuple):
    """What a task says of how its chunks are trained."""

    lanes: int | None
    earlier: int | None  # steps that runs had before they were given more
    device: str  # the sweep's


def train_chunks(folder: str, experiment: str, chunks: Sequence[Chunk], how: HowTrained, expected: dict[str, str], beside: tuple[str, ...]) -> list[Receipt]:
    """What a worker does: trains chunks, writes the shard of each, and says so.

    Raises ChunkError, whatever goes wrong.
    """
    from distributed import get_worker  # the driver needs the rest of this module without it

    def begin() -> Callable[[Sequence[Chunk]], Made]:
        with _planning:
            sweep, plan = _plan_in(folder, experiment, beside)
            trainer = train_from_start if how.earlier is None else _earlier_in(folder, sweep, plan, how.earlier).train

        def trained(chunks: Sequence[Chunk]) -> Made:
            address, left, alone = get_worker().address, list(chunks), 0
            said = list[str]()
            say = lambda sentence: said.append(f"{address}: {sentence}")  # noqa: E731

            def train(place: Place) -> list[tuple[Chunk, Receipt, Any]]:
                """The next chunks. Where they fail together, each is trained by itself, and fails by itself."""
                nonlocal alone
                some = [left[0]] if alone else next(place.together(plan, itertools.takewhile(lambda chunk: chunk.group == left[0].group, left)))
                try:
                    return _trained(plan, some, place, trainer, say)
                except Exception as error:
                    if len(some) == 1 or isinstance(error, DeviceError):
                        raise
                    alone = len(some)
                    return _trained(plan, some[:1], place, trainer, say)

            while left:
                said.clear()
                found = on_its_place(how.device, how.lanes, train, say)
                left, alone = left[len(found) :], max(0, alone - len(found))
                for chunk, receipt, result in found:
                    yield receipt._replace(said=tuple(said)), functools.partial(keep, Store(folder), plan, chunk, result)

        return trained

    return receipts_of(chunks, expected, begin)


# What is said of each chunk or piece of a task, in their order, and what writes it, which is called before the next is asked for.
Made = Iterator[tuple[Receipt, Callable[[], object]]]


def receipts_of(chunks: Sequence[SomePiece], expected: dict[str, str], begin: Callable[[], Callable[[Sequence[SomePiece]], Made]]) -> list[Receipt]:
    """What a task says of its chunks, one after the other: `begin` gives what makes them.

    Raises ChunkError, whatever goes wrong.
    """
    from distributed import get_worker  # as above

    kind, receipts = FailureKind.REFUSED, list[Receipt]()
    try:
        wrong = mismatch(versions(), expected)
        if wrong:
            raise MismatchError(f"a worker cannot give the same bits: {wrong}")
        made = begin()(chunks)
        for _ in chunks:
            kind = FailureKind.RAISED
            receipt, write = next(made)
            kind = FailureKind.UNWRITTEN
            write()
            receipts.append(receipt)
    except Exception as error:
        if kind == FailureKind.REFUSED and isinstance(error, OSError):
            kind = FailureKind.UNREAD
        elif isinstance(error, DeviceError):
            kind = FailureKind.DEVICE
        elif isinstance(error, GoneGpuError):
            kind = FailureKind.LOST
        raise ChunkError(receipts, failure_of(kind, error)._replace(where=get_worker().address, error=None)) from None
    return receipts


_earlier: dict[tuple[str, str, int], Continuation] = {}


def _earlier_in(folder: str, sweep: Experiment, plan: Plan, steps: int) -> Continuation:
    """The ends of the folder's runs after fewer steps, found once in a worker's process."""
    key = (folder, digest(sweep), steps)
    if key not in _earlier:
        _earlier[key] = Continuation(StoredEnds(sweep, plan, Store(folder).find().shards, steps), steps)
    return _earlier[key]


def _trained(plan: Plan, chunks: Sequence[Chunk], place: Place, trainer: Trainer, say: Callable[[str], object]) -> list[tuple[Chunk, Receipt, Any]]:
    """Chunks, what is said of them and their results, trained batch by batch in this thread; `say` is told what a device has to say."""
    works = place.works_of(plan, chunks)
    gatherings, seconds = gatherings_of(plan, works), dict.fromkeys([chunk.name for chunk in chunks], 0.0)
    for work in works:
        prepare(place, work)
        batches, began = [part.batch(plan) for part in work.parts], time.perf_counter()
        columns = trainer(place.training(work, None, say), work, joined(batches))
        took = time.perf_counter() - began
        for part, batch, own in trained_parts(work.parts, batches, columns):
            gathering = gatherings[part.chunk.name]
            seconds[part.chunk.name] += took * len(part.rows) / work.runs
            gathering.count_in(tally_of(own))
            gathering.put(part, batch, own)
    return [(chunk, Receipt(chunk.group, gatherings[chunk.name].tally, seconds[chunk.name]), gatherings[chunk.name].result()) for chunk in chunks]
