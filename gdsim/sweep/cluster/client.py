"""The client of a cluster: of one that is there, or of one that is started for a sweep; and what all tasks need, sent by it
once, and read by each worker process once.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import pickle
import re
import socket
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

from gdsim.sweep.cluster.dasksettings import quiet
from gdsim.sweep.cluster.deployment import Deployment, Local, started
from gdsim.sweep.execution.executor import UnfinishedError
from gdsim.words import given

LARGE = "1 GiB"  # of which Dask warns
ADDRESS = re.compile(r"inproc://.+|([a-z]+://)?[^\s/:]+:\d+/?|([a-z]+://)?\[[0-9a-fA-F:.%\w]+\]:\d+/?")


@contextlib.contextmanager
def client_of(client: object) -> Iterator[Any]:
    """The `distributed.Client` that is given, or one of the scheduler at an address or of a cluster, closed
    at the end.

    Raises ValueError or TypeError for what no sweep can use.
    """
    import distributed  # which only a cluster needs
    from distributed.deploy.cluster import Cluster as Deployed

    if isinstance(client, str):
        with connected(scheduler=client) as found:
            yield found
        return
    if isinstance(client, distributed.Client | Deployed) and client.asynchronous:
        raise ValueError("client is asynchronous, and a sweep waits for its cluster: give the scheduler's address, or a Client without asynchronous=True")
    if isinstance(client, Deployed):
        with contextlib.closing(distributed.Client(client, set_as_default=False)) as found:
            yield found
        return
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client must be a distributed.Client, a cluster, or a scheduler's address such as 'tcp://10.0.0.5:8786'; {given(client)} was given")
    yield client


def dashboard_of(client: Any) -> str | None:
    """The address of a cluster's dashboard; None where its scheduler has none."""
    try:
        client.run_on_scheduler(importlib.metadata.version, "bokeh")
        return client.dashboard_link or None
    except Exception:  # it has no bokeh, or answers no such question
        return None


@contextlib.contextmanager
def connected(
    *,
    scheduler: str | None = None,
    scheduler_file: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    tls: tuple[Any, Any, Any] | None = None,
    deployment: Deployment | None = None,
    chunk_seconds: float = 10.0,
) -> Iterator[Any]:
    """A `distributed.Client`: of the scheduler at an address or in a file, or of a cluster that is started
    for the block.

    That is a `deployment`'s, or one of `workers` processes here, one thread each, with TLS where it is
    installed. `tls` are the files of the authority's certificate, of one's own and of its key;
    `chunk_seconds` is the sweep's. Raises UnfinishedError where no scheduler answers, ValueError where none
    can.
    """
    if workers is not None:
        deployment = Local(workers=workers, tls=can_encrypt())
    with quiet():
        if deployment is None:
            with _reaching(scheduler, scheduler_file, tls) as client:
                yield client
            return
        import distributed  # which only a cluster needs

        with started(deployment, chunk_seconds) as cluster, distributed.Client(cluster) as client:
            yield client


def can_encrypt() -> bool:
    """Whether what TLS needs is installed."""
    return importlib.util.find_spec("cryptography") is not None


def _address_in(path: pathlib.Path) -> str:
    """The address that a scheduler has left in a file; none where the file is yet to come.

    Raises ValueError for a file that no scheduler has written.
    """
    try:
        found = json.loads(path.read_bytes())["address"] if path.exists() else ""
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise ValueError(f"{str(path)!r} is no file in which a scheduler has left its address, as --scheduler-file of dask scheduler does")
    return found


def _unknown_host(address: str) -> str:
    """What is said of an address whose host has no address of its own, now: of a cluster it may come with its
    machine, so that the same command may go on.
    """
    host = urllib.parse.urlsplit(address if "://" in address else f"tcp://{address}").hostname or ""
    try:
        socket.getaddrinfo(host or None, 0)
    except OSError:
        return f"; no machine {host!r} is known here"
    return ""


@contextlib.contextmanager
def _reaching(scheduler: str | None, scheduler_file: str | os.PathLike[str] | None, tls: tuple[Any, Any, Any] | None) -> Iterator[Any]:
    """The client of a scheduler that is there."""
    import distributed  # which only a cluster needs
    from dask.config import get
    from dask.utils import parse_timedelta

    security = None
    if tls is not None:
        authority, certificate, key = map(str, tls)
        security = distributed.Security(tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)
        try:
            security.get_connection_args("client")
        except OSError as error:
            raise ValueError(f"{authority!r}, {certificate!r} and {key!r} are no certificates and key that TLS can use: {error}") from None
    address = scheduler if scheduler_file is None else _address_in(pathlib.Path(scheduler_file))
    if scheduler is not None and not ADDRESS.fullmatch(scheduler):
        raise ValueError(f"a scheduler's address is like tcp://10.0.0.5:8786, with a host and a port; {given(scheduler)} was given")
    if (address or "").startswith("tls://") and (security or distributed.Security()).get_connection_args("client")["ssl_context"] is None:
        raise ValueError(f"{address} takes certificates: give --tls-ca, --tls-cert and --tls-key, or in Python a distributed.Client with security=")
    place = scheduler or str(scheduler_file)
    timeout = parse_timedelta(get("distributed.comm.timeouts.connect"))  # to reach it at first, and after it was lost
    try:
        client = distributed.Client(scheduler, scheduler_file=scheduler_file and str(scheduler_file), security=security, timeout=timeout)
    except (OSError, ValueError, TypeError) as error:
        kind = UnfinishedError if isinstance(error, OSError) else ValueError
        raise kind(
            f"no scheduler answers at {place!r} within {timeout:g} s: {' '.join(str(error).split()) or type(error).__name__}{_unknown_host(address or '')}"
        ) from None
    with client:
        yield client


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
