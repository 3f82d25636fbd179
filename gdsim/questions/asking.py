"""`ask`: makes what is missing of an answer, and gives the Dataset of all of it; and calls that are checked alone."""

import contextvars
import os
from collections.abc import Callable, Mapping

import numpy as np

from gdsim.population.workplace import Workplace
from gdsim.questions.here import Here, progress_of
from gdsim.questions.pieces import joined, pieces_of
from gdsim.questions.question import Question
from gdsim.sweep.execution.display import Listener, Wish, shown
from gdsim.sweep.execution.executor import running
from gdsim.sweep.points import workplace
from gdsim.sweep.results.reading import Dataset
from gdsim.sweep.run.entry import reached
from gdsim.sweep.run.options import check_places

_is_checked_alone = contextvars.ContextVar("is_checked_alone", default=False)


class _CheckedError(Exception):
    """Nothing was wrong until something would have been computed."""


def check_alone(call: Callable[[], object]) -> None:
    """Makes a call that asks a question, up to where it would compute anything. Raises what it raises until then."""
    token = _is_checked_alone.set(True)
    try:
        call()
    except _CheckedError:
        return
    finally:
        _is_checked_alone.reset(token)


def end_of_checks() -> None:
    """Where a call begins to compute: it ends here if it is checked alone."""
    if _is_checked_alone.get():
        raise _CheckedError


def ask(
    question: Question,
    *,
    out: str | os.PathLike[str] | None = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """The answer to a question, as a Dataset; `out`, `client`, `threads` and `progress` are those of
    `Sweep.run`, `device` that of `gd.evaluate`.

    In memory, or with `out` in a folder, where finished pieces stay: the same call goes on from there. Raises
    ValueError for a folder of something else, and FailingError for pieces that cannot be made; in memory what
    their making raises.
    """
    end_of_checks()
    check_places(client is not None, out is not None, threads)
    if client is not None and device != "cpu":
        raise ValueError(f"device={device!r} is one of this process, and client= has others make the answer: leave one of them out")
    place = workplace(threads, device)
    _check_problems(question, out is not None, client is not None)
    if out is None:
        with shown(progress) as listener:
            found = _in_memory(question, place, listener)
        return question.call.dataset(question, found)
    from gdsim.questions.infolder import answer_in  # and with it pyarrow, which memory does not need

    with shown(progress) as listener, reached(client) as found:
        return answer_in(question, out, place, found, listener)


def _check_problems(question: Question, is_stored: bool, by_workers: bool) -> None:
    """Refuses functions of the user's that have changed since they were declared, or that a folder or a
    worker cannot name. Raises ValueError.
    """
    for problem in question.problems:
        if getattr(problem, "is_edited", False):
            raise ValueError(f"the source of {problem.name} has been edited since, or a value that it reads has changed; declare the problem anew")
        if is_stored and (reason := problem.why_not_stored(by_workers)):
            raise ValueError(reason)


def _in_memory(question: Question, place: Workplace, listener: Listener) -> Mapping[str, np.ndarray]:
    """What is found of all items, kept nowhere."""
    pieces = pieces_of("", question.items, question.piece)
    if len(pieces) == 1:
        return question.call.work(question, 0, question.items, place)
    progress = progress_of(question, listener, question.items)
    found = []
    with running(Here(question, place, progress), pieces, progress, 1) as outcomes:
        for outcome in outcomes:
            if outcome.failure is not None and outcome.failure.error is not None:
                raise outcome.failure.error
            found.append((outcome.chunk, outcome.result))
    return joined(found, question.items)
