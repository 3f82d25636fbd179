"""The canonical form of declarations: the same bytes for the same meaning, hashed into identities."""

import hashlib
import json
from typing import Any

import msgspec

from gdsim.data import Array, Data

# Fields that were added after folders were made without them, by class, each with the value that means what
# there was before: while a field has it, it is left out, so that the hashes of experiments that do not use it
# stay. A row is never taken out or changed.
ADDED: dict[str, dict[str, Any]] = {
    "MLP": {"skip": None},
    "Plateau": {"batches": False},
    "Record": {"parameter_norm": False, "sharpness": False},
    "Experiment": {"tangents": (), "distribution": (), "partition": ()},
    "Sweep": {"tangents": (), "distribution": (), "partition": ()},
    "Queue": {"messages": 0.0},
    "Synchronous": {"compute": None, "speeds": None},
}


def canonical(value: Any) -> Any:
    """A declaration as plain lists, dicts, numbers and strings; data and arrays by their hashes."""
    if isinstance(value, msgspec.Struct):
        kind, added = value.__struct_config__.tag, ADDED.get(type(value).__name__, {})
        given = {name: getattr(value, name) for name in value.__struct_fields__}
        fields = {name: canonical(v) for name, v in given.items() if name not in added or v != added[name]}
        return {"type": kind, **fields} if kind else fields
    if isinstance(value, (Array, Data)):
        return {"sha256": value.digest}
    if callable(value):
        return f"{value.__module__}:{value.__qualname__}"
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    return {k: canonical(v) for k, v in value.items()} if isinstance(value, dict) else value


def _encoded(plain: Any) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def encoded(value: Any) -> bytes:
    """The canonical bytes of a declaration."""
    return _encoded(canonical(value))


def hash_of(plain: Any) -> str:
    """SHA-256 of what `canonical` gave, or of the same read back from a file."""
    return hashlib.sha256(_encoded(plain)).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes."""
    return hash_of(canonical(value))
