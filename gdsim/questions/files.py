"""Files of pieces: arrays [item, ...] in an `.npz` that is named by the hash of its bytes.

These are the same whoever writes it, but for what LAPACK gives (all eigenvalues, and with them a census), whose
last bits differ between processors: then two files of one piece may stand side by side.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gdsim.data.files import arrays_in
from gdsim.store.places import File
from gdsim.store.shards import DamagedShardError, reading

FOLDER = "pieces"
NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{64}\.npz")


def piece_bytes(found: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a piece's arrays."""
    sink = io.BytesIO()
    arrays: dict[str, Any] = {name: np.ascontiguousarray(values) for name, values in sorted(found.items())}
    np.savez(sink, **arrays)
    return sink.getvalue()


def file_name(piece: str, data: bytes) -> str:
    """The file of a piece with these bytes."""
    return f"{FOLDER}/{piece}-{hashlib.sha256(data).hexdigest()}.npz"


def read_piece(file: File, items: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of a piece's file, every byte of which is checked against its name; `items`, if known, against
    theirs.

    Raises DamagedShardError.
    """
    with reading(file):
        if not NAME.fullmatch(file.name):
            raise DamagedShardError(file, "its name is not PIECE-SHA256.npz")
        data = file.place.read(file.path)
        if hashlib.sha256(data).hexdigest() != file.name[33:97]:
            raise DamagedShardError(file, "its bytes do not match its name")
        found = arrays_in(io.BytesIO(data))
        if items is not None and any(values.shape[:1] != (items,) for values in found.values()):
            raise DamagedShardError(file, f"its arrays are not of {items:,} items")
    return found
