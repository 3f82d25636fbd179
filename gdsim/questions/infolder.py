"""What a folder lacks of an answer, made into it. With this module comes pyarrow."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from gdsim.questions.files import FOLDER
from gdsim.questions.folder import admitted, find, keep
from gdsim.questions.here import Here, progress_of
from gdsim.questions.pieces import Piece, joined
from gdsim.questions.question import Question
from gdsim.store.folder import Store
from gdsim.store.places import failure_name
from gdsim.sweep.execution.display import Listener
from gdsim.sweep.execution.executor import Executor, FailingError, running
from gdsim.sweep.execution.heartbeat import beating
from gdsim.sweep.execution.progress import Progress
from gdsim.sweep.results.reading import Dataset
from gdsim.sweep.run.infolder import going, usable
from gdsim.words import count_of


def answer_in(question: Question, out: str | os.PathLike[str], threads: int, listener: Listener) -> Dataset:
    """Makes what a folder lacks of an answer, and opens it."""
    store = Store(out)
    with usable(store):
        held = admitted(store, question)
        state = find(store, held)
        for damage in state.damaged:
            store.quarantine(damage.file)
    progress = progress_of(question, listener, threads, sum(p.size for p in state.missing))
    found = [*state.known]

    def kept(piece: Piece, arrays: Mapping[str, np.ndarray]) -> None:
        keep(store, piece, arrays)
        store.log(wrote=piece.name, items=piece.size)

    with going(), beating(store.place, progress):
        if state.missing:
            found += _made(question, state.missing, store, Here(question, threads, progress, kept), progress)
        store.place.make(FOLDER)  # without what others left that died meanwhile
    return question.call.dataset(question, joined(found, question.items))


def _made(
    question: Question, pieces: Sequence[Piece], store: Store, executor: Executor[Piece], progress: Progress
) -> list[tuple[Piece, Mapping[str, np.ndarray]]]:
    """Makes pieces into a folder. Raises FailingError when all is done that can be."""
    found, failed = [], []
    with store.place.noting(), running(executor, pieces, progress, 1) as outcomes:
        for outcome in outcomes:
            if outcome.failure is None:
                found.append((outcome.chunk, outcome.result))
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
    return found
