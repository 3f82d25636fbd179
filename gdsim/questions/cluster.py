"""Pieces of an answer made by the workers of a Dask cluster, which write them into the shared folder."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gdsim.population.workplace import HERE
from gdsim.questions.folder import keep
from gdsim.questions.pieces import Piece
from gdsim.questions.question import Question
from gdsim.store.folder import Store
from gdsim.sweep.cluster.client import Packed, received, send
from gdsim.sweep.cluster.driver import modules_beside
from gdsim.sweep.cluster.worker import Made, Receipt, receipts_of, versions
from gdsim.sweep.execution.progress import Tally


class Answering(NamedTuple):
    """The job of making pieces of an answer into a folder."""

    name: str  # of the call
    address: str  # of the folder
    question: Any  # the future of a `Packed`

    @classmethod
    def of(cls, client: Any, question: Question, store: Store) -> "Answering":
        """That of a question, which is sent to the cluster once."""
        return cls(question.call.name, store.place.address, send(client, question, tuple(modules_beside(question.problems))))

    @property
    def function(self) -> Callable[..., Sequence[Receipt]]:
        """What a worker does."""
        return make_pieces

    def arguments(self, chunks: Sequence[Piece]) -> tuple[Any, ...]:
        """The folder's path and the question."""
        return self.address, self.question, chunks, versions()

    def task_name(self, chunks: Sequence[Piece]) -> str:
        """Of the call."""
        return f"{self.name} · piece"

    @property
    def resources(self) -> dict[str, float]:
        """Nothing that only some workers have."""
        return {}

    def together(self, chunks: Sequence[Piece]) -> int:
        """Each by itself."""
        return 1

    def check_worker(self, limit: int, threads: int) -> None:
        """What a question takes of memory is not counted."""


def make_pieces(folder: str, question: Packed, pieces: Sequence[Piece], expected: dict[str, str]) -> list[Receipt]:
    """What a worker does: makes pieces, writes each, and says so.

    Raises ChunkError, whatever goes wrong.
    """

    def begin() -> Callable[[Sequence[Piece]], Made]:
        asked: Question = received(question)

        def made(pieces: Sequence[Piece]) -> Made:
            for piece in pieces:
                began = time.perf_counter()
                found = asked.call.work(asked, piece.first, piece.last, HERE)
                yield Receipt(0, Tally(runs=piece.size), time.perf_counter() - began), functools.partial(keep, Store(folder), piece, found)

        return made

    return receipts_of(pieces, expected, begin)
