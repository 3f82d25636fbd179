"""`Sweep.run`: what is missing is trained, on threads of this process or on a cluster, and everything there is comes back as a Dataset."""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.lanes.compiler import check_compiler
from gdsim.rules import RULES
from gdsim.schedules import SCHEDULES
from gdsim.sweep.execution.display import shown
from gdsim.sweep.execution.outcomes import FailingError, Outcome, UnfinishedError, running
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.execution.remaining import remaining_of
from gdsim.sweep.execution.threads import Threads, Trainer, train_from_start
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.cores import usable_cores
from gdsim.sweep.planning.memory import fitting_threads
from gdsim.sweep.planning.parts import Part, chunks_of
from gdsim.sweep.planning.plan import CHUNK_SECONDS, Chunk, Plan, plan_of
from gdsim.sweep.results.dataset import dataset, joined, remembered
from gdsim.words import count_of, given

if TYPE_CHECKING:
    import xarray

    from gdsim.store.folder import Store
    from gdsim.store.shards import Shard
    from gdsim.sweep.execution.continuation import Continuation


def checked_count(count: Any, name: str) -> int | None:
    """How many threads or attempts there may be, or None for the default."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"{name} must be a whole number from 1; {given(count)} was given")
    return count


def checked_runs(runs: Any, plan: Plan) -> np.ndarray | None:
    """The chosen run numbers, ascending, of different numbers or a mask of all runs; None for all."""
    if runs is None or (isinstance(runs, str) and runs == "all"):
        return None
    allowed = f"runs must be whole numbers from 0 to {plan.runs - 1}, a mask of {plan.runs} values, or None for all"
    try:
        numbers = np.atleast_1d(np.asarray(runs))
    except ValueError:
        raise ValueError(f"{allowed}; lists of different lengths were given") from None
    is_mixed = numbers.dtype.kind != "b" and isinstance(runs, (list, tuple)) and any(isinstance(v, bool) for v in runs)  # which would be 0 and 1
    if is_mixed or np.ma.is_masked(runs):
        raise ValueError(f"{allowed}; {'truth values among numbers' if is_mixed else 'a masked array'} was given")
    if numbers.dtype.kind == "b" and numbers.shape == (plan.runs,):
        numbers = np.flatnonzero(numbers)
    elif numbers.size and (numbers.ndim > 1 or numbers.dtype.kind not in "iuf" or (numbers != np.floor(numbers)).any()):
        raise ValueError(f"{allowed}; {' '.join(repr(runs).split())[:80]} was given")
    wrong = numbers[(numbers < 0) | (numbers >= plan.runs)]
    if len(wrong) or not len(numbers):
        raise ValueError(f"{allowed}; {wrong[0] if len(wrong) else 'none'} was given")
    chosen, counts = np.unique(numbers.astype(np.int64), return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{allowed}, each once; {chosen[counts > 1][0]} was given {counts[counts > 1][0]} times")
    return chosen


def check_unedited(sweep: Experiment) -> None:
    """Refuses functions of the user's that are others by now than when the sweep was declared. Raises ValueError."""
    edited = next((p for p in sweep.problem if p.is_edited), None)
    if edited is not None:
        raise ValueError(
            f"the source of {edited.name} has been edited since, or a value that it reads has changed; restore it, or declare the problem anew and give another folder"
        )


def check_stored(sweep: Experiment, by_workers: bool) -> None:
    """Refuses problems, optimizers and schedules that other processes could not make from what a folder says. Raises ValueError."""
    reason = next((r for p in sweep.problem if (r := p.why_not_stored(by_workers))), None)
    if reason:
        raise ValueError(reason)
    known = {"optimizer": {type(one.innermost): RULES for one in sweep.optimizer}, "schedule": {type(one): SCHEDULES for one in sweep.schedule}}
    for what, kinds in known.items():
        foreign = [kind.__name__ for kind, allowed in kinds.items() if kind not in allowed]
        if foreign:
            raise ValueError(
                f"{foreign[0]} is {what} code of your own, which a results folder cannot name and other processes do not find; "
                f"without out= and client= it runs in memory; to keep its results, add it to gdsim/{'rules' if what == 'optimizer' else 'schedules'}/"
            )


class Ways(NamedTuple):
    """By what means chunks are trained."""

    threads: int | None  # those of this machine, if not given
    lanes: int | None = None
    client: Any = None
    attempts: int = 1
    chunk_seconds: float = CHUNK_SECONDS
    part: Part | None = None  # of the plan, which alone is trained

    @property
    def thread_count(self) -> int:
        """How many threads of this machine train."""
        return self.threads or usable_cores()


def run_sweep(sweep: Experiment, ways: Ways, *, out: Any, runs: Any, progress: Any, mix: bool) -> "xarray.Dataset":
    """Trains what is not in the folder yet and returns the Dataset of everything."""
    check_compiler()
    check_unedited(sweep)
    if out is not None:
        from gdsim.store.folder import Store
        from gdsim.sweep.planning.admission import in_its_form

        store = Store(out)
        with _usable(store):
            sweep = in_its_form(store, sweep)
    plan = plan_of(sweep, ways.chunk_seconds, ways.lanes)
    chosen = checked_runs(runs, plan)
    checked_count(ways.threads, "threads")
    checked_count(ways.attempts, "attempts")
    if chosen is not None and plan.keep == "summary":
        raise ValueError("keep='summary' keeps no runs that could be chosen; take the sweep with keep='runs' to look at some")
    if out is not None and chosen is not None:
        raise ValueError("runs chooses some runs to look at, and out stores whole chunks of all: give one of them")
    if ways.client is not None and out is None:
        raise ValueError("a cluster's workers write their results into a folder that they share: give out=")
    if ways.part is not None and out is None:
        raise ValueError("part trains a part of the plan into a folder, where the parts come together: give out=")
    if ways.client is not None and ways.threads is not None:
        raise ValueError("threads is of this machine, and client of a cluster: give one of them")
    if out is not None:
        check_stored(sweep, ways.client is not None)
    if out is None:
        beside = plan.held if chosen is None else plan.held * len(chosen) // plan.runs
        ways = ways._replace(threads=fitting_threads(plan, ways.threads, beside))
    with shown(progress) as listener, _reached(ways.client) as client:
        if out is None:
            return run_in_memory(sweep, plan, chosen, ways, listener)
        return run_in_folder(sweep, plan, out, ways._replace(client=client), listener, mix)


@contextlib.contextmanager
def _usable(store: "Store") -> Iterator[None]:
    """What a folder may refuse, as an UnfinishedError where it may be over after a while, else as a StoreError."""
    from gdsim.store.files import OF_THE_DISK
    from gdsim.store.folder import StoreError
    from gdsim.store.places import UnreachableError

    try:
        yield
    except OSError as error:
        for_a_while, is_far = error.errno in OF_THE_DISK, isinstance(error, UnreachableError)
        what = "" if is_far else f"{store.folder!r} cannot be {'written' if for_a_while else 'a folder of results'}: "
        raise (UnfinishedError if for_a_while else StoreError)(f"{what}{error.strerror or error}") from (error if for_a_while else None)


@contextlib.contextmanager
def _going() -> Iterator[None]:
    """What a folder or a cluster refuses once they were usable, as an UnfinishedError: what is finished is kept."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename!r}: {error.strerror}" if error.filename is not None else str(error) or type(error).__name__
        raise UnfinishedError(" ".join(what.split())) from error


@contextlib.contextmanager
def _reached(client: Any) -> Iterator[Any]:
    """The client of a cluster, None where none was given."""
    if client is None:
        yield None
        return
    from gdsim.sweep.cluster.client import client_of

    with client_of(client) as found:
        yield found


def run_in_memory(sweep: Experiment, plan: Plan, chosen: np.ndarray | None, ways: Ways, listener: Any, trainer: Trainer = train_from_start) -> "xarray.Dataset":
    """Trains all or some runs, and keeps them nowhere."""
    todo = plan.chunks if chosen is None else [c for c in plan.chunks if np.isin(plan.numbers_of(c), chosen).any()]
    progress = Progress(plan.runs if chosen is None else len(chosen), listener, remaining_of(plan, todo, ways.thread_count, chosen))
    progress.add(Tally())
    numbers, parts = [], []
    if plan.keep == "summary":
        return _summarised(sweep, plan, ways, progress)
    with running(Threads(plan, ways.thread_count, ways.lanes, progress, chosen=chosen, trainer=trainer), todo, progress, 1) as outcomes:
        for outcome in outcomes:
            finished, columns = runs_in(plan, outcome, chosen)
            numbers.append(finished)
            parts.append(columns)
    return remembered(sweep, dataset(plan, np.concatenate(numbers), joined(parts)))


def _summarised(sweep: Experiment, plan: Plan, ways: Ways, progress: Progress) -> "xarray.Dataset":
    """The summary of all runs, which are kept nowhere."""
    from gdsim.sweep.results.summaries import merged, summary_dataset

    parts = []
    with running(Threads(plan, ways.thread_count, ways.lanes, progress), plan.chunks, progress, 1) as outcomes:
        for outcome in outcomes:
            cells = [plan.identities[c] for c in outcome.chunk.cells]
            parts.append({k._replace(cell=cells[k.cell]): e for k, e in result_of(outcome).items()})
    return remembered(sweep, summary_dataset(plan, merged(plan, parts)))


def result_of(outcome: Outcome) -> Any:
    """What a finished chunk has left. Raises what its training has raised."""
    if outcome.failure is not None and outcome.failure.error is not None:
        raise outcome.failure.error
    return outcome.result


def runs_in(plan: Plan, outcome: Outcome, chosen: np.ndarray | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The numbers and the columns of a finished chunk's runs. Raises what its training has raised."""
    columns = result_of(outcome)
    numbers = plan.numbers_of(outcome.chunk)
    return numbers if chosen is None else numbers[np.isin(numbers, chosen)], plan.aligned(outcome.chunk, columns)


def run_in_folder(sweep: Experiment, plan: Plan, out: Any, ways: Ways, listener: Any, mix: bool) -> "xarray.Dataset":
    """Trains what a folder lacks, and opens it."""
    from gdsim.store.folder import Store
    from gdsim.sweep.planning.admission import check, create
    from gdsim.sweep.planning.kept import missing_chunks

    store = Store(out)
    with _usable(store):
        check(store, sweep, mix=mix)
        found = store.find(verify=True)
        todo = missing_chunks(plan, found.shards, chunks_of(plan, ways.part))
        if todo and ways.client is None:
            ways = ways._replace(threads=fitting_threads(plan, ways.threads))
        kept = create(store, sweep, mix=mix, chunk_seconds=ways.chunk_seconds)
        for damage in found.damaged:
            store.put_aside(damage.file)
    with _going():
        return _train_missing(sweep, plan, store, kept, found.shards, todo, ways, listener)


def _train_missing(
    sweep: Experiment, plan: Plan, store: "Store", kept: Experiment, shards: "list[Shard]", todo: list[Chunk], ways: Ways, listener: Any
) -> "xarray.Dataset":
    """Trains the chunks that a usable folder lacks, which holds the sweep `kept` and these good shards, and opens it."""
    from gdsim.store.places import failure_name
    from gdsim.sweep.execution.continuation import Continuation, StoredEnds
    from gdsim.sweep.execution.heartbeat import beating
    from gdsim.sweep.planning.kept import missing_chunks
    from gdsim.sweep.planning.larger import placed_in
    from gdsim.sweep.results.opening import open_results  # and with it Dask and pyarrow, which runs without a folder do not need

    chunks = chunks_of(plan, ways.part)
    runs, whole = sum(c.size for c in chunks), plan
    if kept is not sweep:  # the workers of a cluster know the folder's own plan
        whole = plan_of(kept, ways.chunk_seconds, ways.lanes)
        todo = placed_in(whole, plan, todo)
    progress = Progress(runs, listener, remaining_of(whole, todo, ways.thread_count))
    progress.add(Tally(runs=runs - sum(c.size for c in todo)))
    progress.chunks, progress.chunks_missing = len(chunks), len(todo)
    steps = store.earlier_steps()
    earlier = Continuation(StoredEnds(kept, whole, shards, steps), steps) if todo and steps else None
    going, beginning = earlier.split(whole, todo) if earlier else ([], todo)
    failed = []
    with beating(store.place, progress, ways.part), _observed(ways, store, progress):
        for source, some in ((earlier, going), (None, beginning)):
            if some:
                failed += _train(whole, some, _executor(kept, whole, store, ways, progress, source), store, progress, ways.attempts)
    store.place.make("shards")  # without what workers left that died meanwhile
    if failed:
        first = failed[0]
        raise FailingError(
            f"{len(failed)} of {count_of(len(todo), 'chunk')} failed {count_of(ways.attempts, 'time')} each and were set aside; all others{f' of {ways.part}' if ways.part else ''} are finished. "
            f"Chunk {first.chunk.name} raised {first.failure.reason}; {store.place.at(failure_name(first.chunk.name))} has the traceback"
        )
    result = open_results(store.folder) if kept is sweep else open_results(store.folder, sweep)
    gone = plan.runs - result.attrs["finished_runs"]  # of all that the folder should hold by now
    if gone and ways.part is not None:
        gone = sum(c.size for c in missing_chunks(plan, store.find().shards, chunks))
    if gone:
        raise UnfinishedError(f"{gone:,} runs have gone from {store.folder!r} while others were trained")
    return result


@contextlib.contextmanager
def _observed(ways: Ways, store: "Store", progress: Progress) -> Iterator[None]:
    """On a cluster the sweep's tasks and numbers are seen at its scheduler."""
    if ways.client is None:
        yield
        return
    from gdsim.sweep.cluster.metrics import observed

    with observed(ways.client, store.folder, "" if ways.part is None else f"{ways.part.number}/{ways.part.of}", progress):
        yield


def _executor(sweep: Experiment, plan: Plan, store: "Store", ways: Ways, progress: Progress, earlier: "Continuation | None") -> Any:
    """What trains chunks into a folder: from the start, or from where earlier runs ended."""
    if ways.client is None:
        from gdsim.sweep.planning.kept import keep

        keeping = functools.partial(keep, store, plan)
        return Threads(plan, ways.thread_count, ways.lanes, progress, keep=keeping, trainer=earlier.train if earlier else train_from_start)
    from gdsim.sweep.cluster.driver import Cluster

    return Cluster(ways.client, sweep, plan, store, ways.lanes, progress, earlier.steps if earlier else None)


def _train(plan: Plan, chunks: list[Chunk], executor: Any, store: "Store", progress: Progress, attempts: int) -> list[Outcome]:
    """Trains chunks into a folder; the outcomes of those that fail, which are set aside."""
    from gdsim.sweep.planning.kept import give_up

    failed = []
    with store.place.noting(), running(executor, chunks, progress, attempts) as outcomes:
        for outcome in outcomes:
            if outcome.failure is None:
                store.log(wrote=outcome.chunk.name, runs=outcome.chunk.size)
                progress.chunks_missing -= 1
                continue
            give_up(store, plan, outcome.chunk, outcome.failure.text)
            progress.fail(outcome.chunk)
            failed.append(outcome)
    return failed
