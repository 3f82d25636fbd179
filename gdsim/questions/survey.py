"""What a folder of one question holds: how much is done, what is missing or was set aside; and whether every byte
is right.
"""

import pathlib
from collections.abc import Callable

import msgspec

from gdsim.questions.files import FOLDER
from gdsim.questions.folder import MEND, find, held_in, question_in
from gdsim.questions.following import is_outgrown
from gdsim.questions.question import Call
from gdsim.store.folder import Store, StoreError
from gdsim.store.places import QUESTION, Place
from gdsim.sweep.execution.heartbeat import Driver, driver_of
from gdsim.sweep.survey import Activity, Verdict, activity_text
from gdsim.words import are, count_of, size_of


class AnswerSurvey(msgspec.Struct, frozen=True):
    """The state of a folder of one question."""

    folder: str
    call: str
    planned_items: int
    finished_items: int
    pieces: int
    missing_pieces: int
    failed_pieces: list[str]
    quarantined: list[str]
    damaged: list[str]
    bytes: int
    state: Activity
    driver: Driver | None
    is_outgrown: bool = False  # of a sweep that has grown since

    @property
    def missing_items(self) -> int:
        """How many items are not finished."""
        return self.planned_items - self.finished_items

    def __str__(self) -> str:
        share = self.finished_items / max(1, self.planned_items)
        pieces = f"in {count_of(self.pieces, 'piece')} of {size_of(self.bytes)}"
        lines = [f"gd.{self.call}: {self.finished_items:,} of {self.planned_items:,} items are finished ({share:.1%}), {pieces}"]
        lines += [f"{are(self.missing_items, 'item')} missing, in {count_of(self.missing_pieces, 'piece')}", activity_text(self.state, self.driver)]
        for names, what in (
            (self.failed_pieces, f"{count_of(len(self.failed_pieces), 'piece')} failed, failed/ says why"),
            (self.quarantined, f"{are(len(self.quarantined), 'file')} in quarantine/"),
            (self.damaged, f"{are(len(self.damaged), 'piece')} damaged"),
        ):
            if names:
                lines.append(f"{what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}")
        return "\n".join([*lines, *([MEND] if self.damaged else [])])

    def line(self) -> str:
        """The state in one line."""
        parts = [f"gd.{self.call}: {self.finished_items:,} of {self.planned_items:,} items", activity_text(self.state, self.driver)]
        parts += ["of the sweep as it was: gdsim run makes it anew"] if self.is_outgrown else []
        return ", ".join([*parts, *([f"{are(len(self.damaged), 'piece')} damaged"] if self.damaged else [])])


def survey_answer(folder: str | pathlib.Path, sweep: str = "") -> AnswerSurvey:
    """How far a folder of one question is, every byte of its pieces read; `sweep` is the hash of that in whose
    folder it lies.
    """
    store = Store(folder)
    held = held_in(store)
    found, driver = find(store, held), driver_of(store.place)
    missing = sum(piece.size for piece in found.missing)
    is_running = driver is not None and driver.is_alive
    whole = not missing and not found.damaged
    state = Activity.RUNNING if is_running else Activity.FINISHED if whole else Activity.STOPPED if driver is None else Activity.DIED
    size, items = sum(s.size for s in store.place.states(FOLDER).values()), held["question"]["items"]
    return AnswerSurvey(
        store.folder, held["question"]["call"], items, items - missing, len(found.known), len(found.missing), store.failures(), store.quarantined(),
        [damage.file.name for damage in found.damaged], size, state, driver, bool(sweep) and is_outgrown(store, sweep),
    )  # fmt: skip


def verify_answer(folder: str | pathlib.Path, call_of: Callable[[str], Call | None]) -> Verdict:
    """Checks every byte of a folder of one question: of its pieces, its arrays and its data."""
    store = Store(folder)
    held = held_in(store)
    found = find(store, held)
    damaged = {damage.file.path: damage.reason for damage in found.damaged}
    try:
        question_in(store, held, call_of)
    except StoreError as error:
        damaged["data"] = str(error)
    size = sum(state.size for state in store.place.states(FOLDER).values())
    return Verdict(store.folder, len(found.known) + len(found.damaged), size, damaged)


def answers_in(place: Place) -> list[str]:
    """The names of the folders of questions that lie in the folder of a sweep."""
    return [name for name in place.names() if place.has(f"{name}/{QUESTION}")]
