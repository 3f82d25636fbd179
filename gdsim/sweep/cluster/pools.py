"""The workers of a cluster that have a GPU, a process for each: they offer it to Dask as a resource, so that a sweep finds them
among the others, and its tasks go to them alone where it is to be trained on GPUs.

What a worker has is said by who starts it (cluster/gpu/workers.py), not found out by it: on a machine that is shared, a GPU
that can be seen may be another's.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from gdsim.devices import DeviceError, OutOfDeviceMemoryError
from gdsim.sweep.execution.places import OnDevice, Place, Processors
from gdsim.sweep.planning.devices import AUTO, CPU, UnusableDeviceError, usable_device

GPU = "GPU"  # Dask's name of the resource; a worker has one of it
TASKS = 4  # that a GPU takes at a time: one is trained while others are made ready, or are written


def resources_of(device: str) -> dict[str, float]:
    """What a task of a sweep takes of its worker, where the sweep's `device` is this.

    >>> resources_of("cuda"), resources_of("auto"), resources_of("cpu")
    ({'GPU': 0.25}, {}, {})
    """
    return {} if device in (CPU, AUTO) else {GPU: 1 / TASKS}


def offers(worker: Mapping[str, Any], resources: Mapping[str, float]) -> bool:
    """Whether a worker, as a scheduler describes it, has what a task takes."""
    return all((worker.get("resources") or {}).get(name, 0) >= share for name, share in resources.items())


def place_of(device: str, lanes: int | None) -> Place:
    """Where this worker trains runs for a sweep whose `device` is this: on its GPU if it has one, else by one thread of its own.

    With "auto" one of its threads trains too where its GPU cannot be used. Raises UnusableDeviceError otherwise.
    """
    from distributed import get_worker  # which the driver's part of this module does without

    worker = get_worker()
    if device == CPU or GPU not in worker.state.total_resources:
        return _processors(lanes)
    try:
        return _gpu(worker.state.nthreads)
    except UnusableDeviceError as error:
        if device == AUTO:
            return _processors(lanes)
        raise UnusableDeviceError(f"a worker offers a GPU, and cannot train on it: {error}") from None


@contextlib.contextmanager
def leaving_a_lost_gpu() -> Iterator[None]:
    """Has this worker end where its GPU has failed in the block: it answers that process no more, which would fail at one chunk
    after the other. Where a nanny looks after the worker, another takes its place.
    """
    from distributed import get_worker  # as above

    try:
        yield
    except OutOfDeviceMemoryError:
        raise
    except DeviceError:
        worker = get_worker()
        worker.loop.add_callback(worker.close_gracefully, restart=True)
        raise


@functools.lru_cache(maxsize=1)
def _processors(lanes: int | None) -> Processors:
    """Each of a worker's threads has working memory of its own."""
    return Processors(1, lanes)


@functools.lru_cache(maxsize=1)
def _gpu(threads: int) -> OnDevice:
    """The first of the GPUs that the worker's process sees. What memory it takes it keeps for as long as the worker lives."""
    return OnDevice(usable_device(0), threads)
