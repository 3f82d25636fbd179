"""The options that name a Dask cluster, and the client that they mean."""

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from gdsim.cli.common import PATH
from gdsim.words import installs


def cluster_options(command: Any) -> Any:
    """The options that name a Dask cluster."""
    for option in reversed(
        [
            click.option("--scheduler", metavar="ADDRESS", help="Address of a Dask scheduler, as tcp://10.0.0.5:8786; its workers share the folder."),
            click.option("--scheduler-file", type=PATH, help="File in which a Dask scheduler has left its address."),
            click.option("--tls-ca", type=PATH, help="Certificate of the authority, for tls:// addresses."),
            click.option("--tls-cert", type=PATH, help="This client's certificate."),
            click.option("--tls-key", type=PATH, help="The certificate's key."),
        ]
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def client_of(console: Any, place: dict[str, Any], threads: int | None = None, chunk_seconds: float = 10.0, device: str | None = None) -> Iterator[Any]:
    """The client of the cluster that the options name, whose workers can train on `device` where they are started here; or None."""
    named = [name for name in ("scheduler", "scheduler_file", "workers", "cluster") if place.get(name) is not None]
    certificates = tuple(place[name] for name in ("tls_ca", "tls_cert", "tls_key"))
    if len(named) > 1:
        raise ValueError(f"--{' and --'.join(n.replace('_', '-') for n in named)} were given: give one cluster")
    if named and threads is not None:
        raise ValueError(f"--threads and --{named[0].replace('_', '-')} were given: threads train here, and a cluster's workers in place of them")
    if any(certificates) and (not all(certificates) or not {"scheduler", "scheduler_file"} & {*named}):
        raise ValueError("--tls-ca, --tls-cert and --tls-key go together, with --scheduler or --scheduler-file")
    for path in (*certificates, place.get("scheduler_file")):
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {str(path)!r}")
    if not named:
        yield None
        return
    from gdsim.sweep.cluster.client import can_encrypt, connected, dashboard_of

    given = {n: place[n] for n in named}
    if "cluster" in given:
        from gdsim.sweep.cluster.deployment import read_deployment

        given = {"deployment": read_deployment(place["cluster"]), "chunk_seconds": chunk_seconds}
    _check_device(device, named[0], "workers" not in given and ("deployment" not in given or given["deployment"].offers_gpus))
    what = {"workers": f"starting {place.get('workers')} worker processes", "cluster": f"starting the cluster {place.get('cluster')}"}
    console.say(what.get(named[0], f"connecting to {place[named[0]]}"))
    with connected(**given, tls=certificates if all(certificates) else None) as client:
        if place.get("workers") is not None:
            from gdsim.sweep.cluster.deployment import memory_of

            console.say(f"each has one thread, and at most {memory_of(place['workers']) / 2**30:.1f} GiB of memory")
            if not can_encrypt():
                console.say(f"they speak plain TCP: other users of this machine could run code as you; {installs('cluster')} has TLS")
        if dashboard := dashboard_of(client):
            console.say(f"dashboard: {dashboard}")
        yield client


def _check_device(device: str | None, option: str, may_have_gpus: bool) -> None:
    """Refuses a device that no worker of the cluster of an option will have. Raises ValueError."""
    from gdsim.sweep.planning.devices import CUDA
    from gdsim.sweep.run.options import check_device

    if device is not None:
        check_device(device, is_far=True)
    if device == CUDA and not may_have_gpus:
        raise ValueError(
            f"--{option} starts workers that offer no GPU, and --device cuda would wait for one: leave --{option} out to train on this machine's GPU, "
            "or give a cluster whose workers have GPUs (cluster/README.md)"
        )
