"""What a folder lacks of an answer, made into it. With this module comes pyarrow."""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence

from gdsim.population.workplace import Workplace
from gdsim.questions.files import FOLDER
from gdsim.questions.folder import admitted, find, keep
from gdsim.questions.here import Here, progress_of
from gdsim.questions.pieces import Piece, joined
from gdsim.questions.question import Question
from gdsim.store.folder import Store
from gdsim.store.places import failure_name
from gdsim.sweep.execution.display import Listener
from gdsim.sweep.execution.executor import Executor, FailingError, UnfinishedError, running
from gdsim.sweep.execution.heartbeat import beating
from gdsim.sweep.execution.progress import Progress
from gdsim.sweep.results.reading import Dataset
from gdsim.sweep.run.infolder import going, usable
from gdsim.words import count_of


def answer_in(question: Question, out: str | os.PathLike[str], place: Workplace, client: object, listener: Listener) -> Dataset:
    """Makes what a folder lacks of an answer, and opens it."""
    store = Store(out)
    with usable(store):
        held, question = admitted(store, question)
        state = find(store, held)
        for damage in state.damaged:
            store.quarantine(damage.file)
    progress = progress_of(question, listener, sum(p.size for p in state.missing))
    if state.missing:
        with going(), beating(store.place, progress), _executor(question, store, place, client, progress) as executor:
            _make(question, state.missing, store, executor, progress)
            store.place.make(FOLDER)  # without what others left that died meanwhile
            state = find(store, held)
    if state.missing or state.damaged:
        raise UnfinishedError(f"{count_of(len(state.missing), 'piece has', 'pieces have')} gone from {store.folder!r} while others were made")
    return question.call.dataset(question, joined(state.known, question.items))


@contextlib.contextmanager
def _executor(question: Question, store: Store, place: Workplace, client: object, progress: Progress) -> Iterator[Executor[Piece]]:
    """What makes pieces into a folder: this process, or a cluster's workers."""
    if client is None:
        yield Here(question, place, progress, functools.partial(keep, store))
        return
    from gdsim.questions.cluster import Answering  # and with it distributed
    from gdsim.sweep.cluster.driver import Cluster
    from gdsim.sweep.cluster.metrics import observed

    with observed(client, store.folder, "", progress):
        yield Cluster(client, Answering.of(client, question, store), progress)


def _make(question: Question, pieces: Sequence[Piece], store: Store, executor: Executor[Piece], progress: Progress) -> None:
    """Makes pieces into a folder. Raises FailingError when all is done that can be."""
    failed = []
    with store.place.noting(), running(executor, pieces, progress, 1) as outcomes:
        for outcome in outcomes:
            if outcome.failure is None:
                store.log(wrote=outcome.chunk.name, items=outcome.chunk.size)
                continue
            store.record_failure(
                outcome.chunk.name, f"{question.call.name}, {question.call.item}s {outcome.chunk.first} to {outcome.chunk.last - 1}\n\n{outcome.failure.text}"
            )
            progress.fail(outcome.chunk)
            failed.append(outcome)
    if failed:
        first = failed[0]
        raise FailingError(
            f"{len(failed)} of {count_of(len(pieces), 'piece')} of gd.{question.call.name} failed; all others are finished. "
            f"{question.call.item}s {first.chunk.first} to {first.chunk.last - 1} raised {first.failure.reason}; {store.place.at(failure_name(first.chunk.name))} has the traceback"
        )
