"""What a results folder lacks of a sweep, trained into it by threads or by a cluster's workers.

With this module comes pyarrow, which runs without a folder do not need.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gdsim.store.files import OF_THE_DISK
from gdsim.store.folder import Store, StoreError
from gdsim.store.places import UnreachableError, failure_name
from gdsim.store.shards import Shard
from gdsim.sweep.cluster.driver import Cluster, Training
from gdsim.sweep.cluster.worker import HowTrained
from gdsim.sweep.execution.continuation import Continuation, StoredEnds
from gdsim.sweep.execution.display import Listener
from gdsim.sweep.execution.executor import Executor, FailingError, Outcome, UnfinishedError, running
from gdsim.sweep.execution.heartbeat import beating
from gdsim.sweep.execution.places import in_order, train_from_start
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.execution.threads import Threads
from gdsim.sweep.execution.time_left import remaining_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.from_table import SomeExperiment
from gdsim.sweep.folder.admission import check, create, in_its_form
from gdsim.sweep.folder.chunks import keep, missing_chunks, record_failure
from gdsim.sweep.folder.larger import placed_in
from gdsim.sweep.planning.device_batches import USUAL_MULTIPROCESSORS, together
from gdsim.sweep.planning.devices import CUDA, check_lanes
from gdsim.sweep.planning.job_parts import PlanPart, chunks_of
from gdsim.sweep.planning.plan import Chunk, Plan, plan_of
from gdsim.sweep.results.opening import open_results
from gdsim.sweep.run.options import RunOptions
from gdsim.sweep.run.placing import placed
from gdsim.words import count_of

if TYPE_CHECKING:
    import xarray


def as_in_folder(store: Store, sweep: SomeExperiment) -> SomeExperiment:
    """The sweep in the form in which a folder holds it."""
    with usable(store):
        return in_its_form(store, sweep)


def runs_lacking(plan: Plan, out: str | os.PathLike[str], part: PlanPart | None) -> int:
    """How many runs of a plan, or of a part of it, a folder lacks: all of them where there is none."""
    store = Store(out)
    with usable(store):
        return sum(chunk.size for chunk in missing_chunks(plan, store.find().shards, chunks_of(plan, part)))


def run_in_folder(sweep: Experiment, plan: Plan, store: Store, options: RunOptions, listener: Listener, mix: bool) -> "xarray.Dataset":
    """Trains what a folder lacks, and opens it."""
    with usable(store):
        check(store, sweep, mix=mix)
        found = store.find(verify=True)
        todo = missing_chunks(plan, found.shards, chunks_of(plan, options.part))
        if todo and options.client is None:
            options = options._replace(where=placed(plan, options, runs=sum(chunk.size for chunk in todo)))
        elif todo and options.device == CUDA:
            check_lanes(options.lanes)
        kept = create(store, sweep, mix=mix, chunk_seconds=options.chunk_seconds)
        for damage in found.damaged:
            store.quarantine(damage.file)
    with going():
        return _train_missing(sweep, plan, store, kept, found.shards, todo, options, listener)


@contextlib.contextmanager
def usable(store: Store) -> Iterator[None]:
    """What a folder refuses, as an UnfinishedError where it may be over after a while, else as a
    StoreError.
    """
    try:
        yield
    except OSError as error:
        for_a_while, is_far = error.errno in OF_THE_DISK, isinstance(error, UnreachableError)
        what = "" if is_far else f"{store.folder!r} cannot be {'written' if for_a_while else 'a folder of results'}: "
        raise (UnfinishedError if for_a_while else StoreError)(f"{what}{error.strerror or error}") from (error if for_a_while else None)


@contextlib.contextmanager
def going() -> Iterator[None]:
    """What a folder or a cluster refuses later, as an UnfinishedError: what is finished is kept."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename!r}: {error.strerror}" if error.filename is not None else str(error) or type(error).__name__
        raise UnfinishedError(" ".join(what.split())) from error


def _train_missing(
    sweep: Experiment, plan: Plan, store: Store, kept: Experiment, shards: list[Shard], todo: list[Chunk], options: RunOptions, listener: Listener
) -> "xarray.Dataset":
    """Trains what a usable folder lacks, which holds the sweep `kept` and these good shards, and opens it."""
    chunks = chunks_of(plan, options.part)
    runs, whole = sum(c.size for c in chunks), plan
    if kept is not sweep:  # the workers of a cluster know the folder's own plan
        whole = plan_of(kept, options.chunk_seconds, options.lanes)
        todo = placed_in(whole, plan, todo)
    progress = Progress(runs, listener, remaining_of(whole, todo, options.where.place.threads if options.where else options.thread_count))
    progress.add(Tally(runs=runs - sum(c.size for c in todo)))
    if options.where is not None and options.where.reason:
        progress.say(options.where.reason)
    progress.chunks, progress.chunks_missing = len(chunks), len(todo)
    steps = store.earlier_steps()
    earlier = Continuation(StoredEnds(kept, whole, shards, steps), steps) if todo and steps else None
    going, beginning = earlier.split(whole, todo) if earlier else ([], todo)
    failed = []
    here = contextlib.nullcontext() if options.where is None else contextlib.closing(options.where.place)
    with here, beating(store.place, progress, options.part), _observed(options, store, progress):
        for source, some in ((earlier, going), (None, beginning)):
            if some:
                ordered = _in_order(whole, some, options)
                failed += _train(whole, ordered, _executor(kept, whole, ordered, store, options, progress, source), store, progress, options)
    store.place.make("shards")  # without what workers left that died meanwhile
    if failed:
        first = failed[0]
        raise FailingError(
            f"{len(failed)} of {count_of(len(todo), 'chunk')} failed {count_of(options.attempts, 'time')} each and were set aside; all others{f' of {options.part}' if options.part else ''} are finished. "
            f"Chunk {first.chunk.name} raised {first.failure.reason}; {store.place.at(failure_name(first.chunk.name))} has the traceback"
        )
    result = open_results(store.folder, None if kept is sweep else sweep, dask_throughout=options.dask_throughout)
    gone = plan.runs - result.attrs["finished_runs"]  # of all that the folder should hold by now
    if gone and options.part is not None:
        gone = sum(c.size for c in missing_chunks(plan, store.find().shards, chunks))
    if gone:
        raise UnfinishedError(f"{gone:,} runs have gone from {store.folder!r} while others were trained")
    return result


def _in_order(plan: Plan, chunks: list[Chunk], options: RunOptions) -> list[Chunk]:
    """Chunks in the order in which they are trained: those that a GPU trains together behind one another."""
    if options.where is not None:
        return in_order(plan, chunks, options.where.place)
    return chunks if options.device != CUDA else [chunk for some in together(plan, chunks, USUAL_MULTIPROCESSORS) for chunk in some]


def _observed(options: RunOptions, store: Store, progress: Progress) -> contextlib.AbstractContextManager[None]:
    """On a cluster the sweep's tasks and numbers are seen at its scheduler."""
    if options.client is None:
        return contextlib.nullcontext()
    from gdsim.sweep.cluster.metrics import observed  # and with it distributed

    return observed(options.client, store.folder, "" if options.part is None else f"{options.part.number}/{options.part.of}", progress)


def _executor(
    sweep: Experiment, plan: Plan, todo: list[Chunk], store: Store, options: RunOptions, progress: Progress, earlier: Continuation | None
) -> Executor:
    """What trains chunks into a folder: from the start, or from where earlier runs ended."""
    if options.where is not None:
        keeping = functools.partial(keep, store, plan)
        return Threads(plan, options.where.place, progress, todo, keep=keeping, trainer=earlier.train if earlier else train_from_start)
    job = Training.of(sweep, plan, store, HowTrained(options.lanes, earlier.steps if earlier else None, options.device))
    return Cluster(options.client, job, progress)


def _train(plan: Plan, chunks: list[Chunk], executor: Executor, store: Store, progress: Progress, options: RunOptions) -> list[Outcome]:
    """Trains chunks into a folder; the outcomes of those that fail, which are set aside."""
    failed = []
    with store.place.noting(), running(executor, chunks, progress, options.attempts, options.imports) as outcomes:
        for outcome in outcomes:
            if outcome.failure is None:
                store.log(wrote=outcome.chunk.name, runs=outcome.chunk.size)
                progress.chunks_missing -= 1
                continue
            record_failure(store, plan, outcome.chunk, outcome.failure.text)
            progress.fail(outcome.chunk)
            failed.append(outcome)
    return failed
