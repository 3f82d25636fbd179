"""What the folder of an answer says of the sweep that it follows: `then.json`, written when it is finished."""

import json
from collections.abc import Mapping
from typing import Any

from gdsim.questions.files import FOLDER
from gdsim.store.folder import Store
from gdsim.store.places import QUESTION, THEN


def remember(store: Store, step: Mapping[str, Any], sweep: str) -> None:
    """Keeps which call an answer is of, as an experiment's file lists it, and the hash of the sweep."""
    data = _text({"step": step, "sweep": sweep}).encode()
    if not store.place.has(THEN) or store.place.read(THEN) != data:
        store.place.put(THEN, data)


def is_outgrown(store: Store, sweep: str, step: Mapping[str, Any] | None = None) -> bool:
    """Whether an answer is of another state of its sweep; given a call of the file, whether it is of that, too."""
    try:
        held = json.loads(store.place.read(THEN))
        return held["sweep"] != sweep and (step is None or _text(held["step"]) == _text(step))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none that followed a sweep, or it was not finished
        return False


def forget(store: Store) -> None:
    """Removes an answer, so that it is made anew; whatever ends the removal, the same again goes on with it."""
    for folder in (FOLDER, "data"):
        for name in store.place.names(folder):
            store.place.remove(f"{folder}/{name}")
    store.place.remove(QUESTION)
    store.log(removed="the answer, as its sweep has grown")


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
