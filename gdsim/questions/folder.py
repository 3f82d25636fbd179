"""A folder of one question: what was asked, its arrays, and the pieces that were found.

    question.json                    the canonical question, its hash, the version of its kernels' bits, and the
                                     hashes of arrays that follow from it
    data/<hash>.npz                  its arrays and data sets, by their hashes
    pieces/<piece>-<sha256>.npz      finished pieces, whole or not there at all
    then.json                        the sweep that it follows, if its file says so
    failed/, quarantine/, log.jsonl, heartbeat    as in the folder of a sweep

What is done is what good pieces hold: there is no other record of it. Nothing is unpickled.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.canonical import hash_of
from gdsim.data.files import arrays_in
from gdsim.problems import PROBLEMS
from gdsim.questions.files import FOLDER, file_name, piece_bytes, read_piece
from gdsim.questions.pieces import Piece, pieces_of
from gdsim.questions.question import Call, Question, array_digest
from gdsim.store.folder import MOST_EXPERIMENT_BYTES, DamagedFolderError, Store, StoreError
from gdsim.store.places import EXPERIMENT, QUESTION, THEN, File, data_name, failure_name
from gdsim.store.shards import DamagedShardError
from gdsim.sweep.experiment.bit_versions import other_bits
from gdsim.sweep.folder.stored import data_names, problem_arrays, problem_in
from gdsim.version import VERSION

FORMAT = "gdsim question 1"
MEND = "ask the same again, which keeps what is finished"
KINDS = {"question": dict, "sha256": str, "kernels": int, "gdsim": str, "data": dict, "piece": int}


class OtherQuestionError(StoreError):
    """A folder that holds another question: in what it differs, in words."""

    def __init__(self, store: Store, difference: str) -> None:
        super().__init__(f"{store.folder!r} holds another question ({difference}); give another folder (--out, out=)")
        self.difference = difference


class Found(NamedTuple):
    """The pieces of a folder: what good files hold of them, and what is wrong with the others."""

    known: list[tuple[Piece, dict[str, np.ndarray]]]
    damaged: list[DamagedShardError]
    missing: list[Piece]


def is_question(store: Store) -> bool:
    """Whether a folder is one of a question."""
    return store.place.has(QUESTION)


def held_in(store: Store) -> dict[str, Any]:
    """What `question.json` says. Raises StoreError."""
    path = str(store.place.at(QUESTION))
    if store.place.state(QUESTION).size > MOST_EXPERIMENT_BYTES:
        raise StoreError(f"{path!r} is larger than {MOST_EXPERIMENT_BYTES:,} bytes: no question of gdsim's")
    try:
        found = json.loads(store.place.read(QUESTION))
    except (ValueError, RecursionError) as error:
        raise DamagedFolderError(f"{path!r} cannot be read: {error}; remove it and {MEND}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StoreError(f"{store.folder!r} is not in the format {FORMAT!r}")
    wrong = [name for name, kind in KINDS.items() if not isinstance(found.get(name), kind)]
    if wrong or hash_of(found["question"]) != found["sha256"] or found["piece"] < 1:
        raise DamagedFolderError(f"{path!r} is damaged: {'it lacks ' + wrong[0] if wrong else 'the question does not match its hash'}; remove it and {MEND}")
    return found


def admitted(store: Store, question: Question) -> tuple[dict[str, Any], Question]:
    """(what `question.json` says of a question, which is written where there is none; the question, with the
    derived arrays of the folder).

    Raises StoreError for a folder of something else, before anything is written.
    """
    document = question.document()
    if not is_question(store):
        _check_free(store)
        made = {
            "format": FORMAT, "gdsim": VERSION, "question": document, "sha256": hash_of(document), "kernels": question.kernels,
            "data": data_names(_declared(question)), "piece": question.piece,
            "derived": {name: {"sha256": array_digest(question.arrays[name])} for name in question.derived},
        }  # fmt: skip
        store.place.make()
        # First, so that whatever ends the process, the folder is known as ours; another driver may be quicker.
        if store.place.put_first(QUESTION, json.dumps(made, indent=1, sort_keys=True).encode()):
            store.log(question=made["sha256"], kernels=made["kernels"])
    held = held_in(store)
    if held["sha256"] != hash_of(document):
        raise OtherQuestionError(store, _difference(held["question"], document))
    if differing := other_bits([held["kernels"]], [question.kernels], f" (gdsim {held['gdsim']})"):
        raise StoreError(f"{store.folder!r} was {differing}: give another folder")
    store.place.make(FOLDER)
    digests = {name: array_digest(values) for name, values in question.arrays.items()}
    others = {name: one for name, one in _derived(held).items() if one["sha256"] != digests.get(name)}  # another processor's
    arrays = {digest: {"values": question.arrays[name]} for name, digest in digests.items() if name not in others}
    store.write_data({**problem_arrays(_declared(question)), **arrays})
    try:
        return held, question._replace(arrays={**question.arrays, **_arrays(store, others)})
    except (ValueError, OSError) as error:
        raise DamagedFolderError(f"{store.folder!r}: {error}; remove the folder and ask anew") from None


def _derived(held: Mapping[str, Any]) -> dict[str, Any]:
    """The hashes of the arrays that follow from a folder's question, by name."""
    return held.get("derived", {})


def _declared(question: Question) -> list[Any]:
    """The problems that a folder can make anew."""
    return [p for p in question.problems if isinstance(p, PROBLEMS)]


def _check_free(store: Store) -> None:
    """Refuses a folder that holds something else. Raises StoreError."""
    try:
        names = store.place.names()
    except NotADirectoryError:
        raise StoreError(f"{store.folder!r} is a file; give a folder for the results") from None
    if {EXPERIMENT, "shards"} & {*names}:
        raise StoreError(f"{store.folder!r} holds the runs of a sweep; give another folder, which may lie in it (--out, out=)")
    if names and not {FOLDER, QUESTION, THEN} & {*names}:
        raise StoreError(f"{store.folder!r} holds other files and no gdsim results; give an empty or a new folder (--out, out=)")


def _difference(held: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """In what two questions differ, in words."""
    if held["call"] != asked["call"]:
        return f"gd.{held['call']}"
    is_other = lambda part, name: hash_of(held[part].get(name)) != hash_of(asked[part].get(name))  # noqa: E731  as 1 and true, equal in Python
    differing = [n for part in ("arguments", "arrays") for n in sorted({**held[part], **asked[part]}) if is_other(part, n)]
    return "it differs in " + ", ".join(differing or _in_problems(held["problems"], asked["problems"]) or ["items"])


def _in_problems(held: list[Any], asked: list[Any]) -> list[str]:
    """Where problems differ: PyTorch's version, if in nothing else."""
    versions = [{p.get("version") for p in problems} for problems in (held, asked)]
    if versions[0] != versions[1] and [{**p, "version": ""} for p in held] == [{**p, "version": ""} for p in asked]:
        return [f"PyTorch, {' and '.join(sorted(map(str, versions[0])))} there and {' and '.join(sorted(map(str, versions[1])))} here"]
    return ["problems"] if held != asked else []


def question_in(store: Store, held: Mapping[str, Any], call_of: Callable[[str], Call | None]) -> Question:
    """The question of a folder, made anew from what it `held`; a problem of which that cannot be is None.

    Raises StoreError.
    """
    asked = held["question"]
    call = call_of(asked["call"])
    if call is None:
        raise StoreError(f"{store.folder!r} was made by gd.{asked['call']} of gdsim {held['gdsim']}, which gdsim {VERSION} cannot open")
    tags = {str(kind.__struct_config__.tag) for kind in PROBLEMS}
    try:
        problems = tuple(problem_in(store.place, p, held["data"]) if p.get("type") in tags else None for p in asked["problems"])
        arrays = _arrays(store, {**asked["arrays"], **_derived(held)})
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise DamagedFolderError(f"{store.folder!r}: its question cannot be read: {error}; {MEND}") from None
    return Question(call, asked["arguments"], problems, arrays, asked["items"], 1.0)


def _arrays(store: Store, wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of these hashes, by name."""
    return {name: _array(File(store.place, data_name(one["sha256"])), one["sha256"]) for name, one in wanted.items()}


def _array(file: File, digest: str) -> np.ndarray:
    """An array of a folder. Raises ValueError where it is not that of its name."""
    try:
        values = arrays_in(file.source())["values"]
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{str(file)!r}: {' '.join(str(error).split())}") from None
    if array_digest(values) != digest:
        raise ValueError(f"{str(file)!r}: its numbers do not match its name")
    return values


def find(store: Store, held: Mapping[str, Any]) -> Found:
    """What a folder holds of its question's pieces, every byte checked; of two good files of a piece, the first
    by name.
    """
    files: dict[str, list[File]] = {}
    for name in store.place.names(FOLDER):
        files.setdefault(name.partition("-")[0], []).append(File(store.place, f"{FOLDER}/{name}"))
    known, damaged, missing = [], list[DamagedShardError](), []
    for piece in pieces_of(held["sha256"], held["question"]["items"], held["piece"]):
        found = None
        for file in files.pop(piece.name, []):
            try:
                read = read_piece(file, piece.size)
                found = found or read
            except DamagedShardError as damage:
                damaged.append(damage)
        if found is None:
            missing.append(piece)
        else:
            known.append((piece, found))
    strange = [DamagedShardError(file, "it is no piece of this question") for some in files.values() for file in some]
    return Found(known, damaged + strange, missing)


def keep(store: Store, piece: Piece, found: Mapping[str, np.ndarray]) -> None:
    """Adds a finished piece to a folder."""
    data = piece_bytes(found)
    store.place.put(file_name(piece.name, data), data)
    store.place.remove(failure_name(piece.name))
