"""What all tasks need, sent to a cluster once, and read by each worker process once."""

import functools
import hashlib
import pickle
import sys
from typing import Any, NamedTuple

LARGE = "1 GiB"  # of which Dask warns


class Packed(NamedTuple):
    """A value as bytes, which a worker reads when it can find the user's own modules."""

    digest: str
    data: bytes
    beside: tuple[str, ...]  # their folders


def send(client: Any, value: Any, beside: tuple[str, ...] = ()) -> Any:
    """The future of a value that has been packed; workers that join later get it too."""
    from dask.config import set as settings
    from distributed.protocol.pickle import dumps  # which takes functions of a notebook, too

    data = dumps(value)
    packed = Packed(hashlib.sha256(data).hexdigest(), data, beside)
    with settings({"distributed.admin.large-graph-warning-threshold": LARGE}):
        return client.submit(_itself, packed, key=f"gdsim-{packed.digest}", pure=False)


def received(packed: Packed) -> Any:
    """The value that was packed."""
    return _unpacked(packed.digest, packed)


def _itself(packed: Packed) -> Packed:
    return packed


@functools.lru_cache(maxsize=4)
def _unpacked(digest: str, packed: Packed) -> Any:
    sys.path += [b for b in packed.beside if b not in sys.path]
    return pickle.loads(packed.data)
