"""The Dataset of a folder of one question, also of one that is not finished."""

from collections.abc import Callable

from gdsim.questions.folder import MEND, find, held_in, question_in
from gdsim.questions.pieces import joined
from gdsim.questions.question import Call
from gdsim.store.folder import DamagedFolderError, Store
from gdsim.sweep.results.reading import Dataset
from gdsim.words import are


def open_answer(store: Store, call_of: Callable[[str], Call | None]) -> Dataset:
    """The Dataset of a folder; of items that it lacks numbers are NaN or -1, and `attrs["missing"]` counts them.

    Raises ValueError for a folder with damage, and for one that lacks what its Dataset needs.
    """
    held = held_in(store)
    question, found = question_in(store, held, call_of), find(store, held)
    if found.damaged:
        raise DamagedFolderError(f"{found.damaged[0]}; {MEND}")
    missing = sum(piece.size for piece in found.missing)
    if missing and (not found.known or not question.call.is_partial):
        raise ValueError(f"{are(missing, question.call.item)} of {question.items:,} missing in {store.folder!r}: {MEND}")
    made = question.call.dataset(question, joined(found.known, question.items))
    return made.assign_attrs(missing=missing) if missing else made
