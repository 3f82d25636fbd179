"""The workers of a cluster that have a GPU, a process for each: they offer it to Dask as a resource, so that a sweep finds them
among the others, and its tasks go to them alone where it is to be trained on GPUs.

What a worker has is said by who starts it (cluster/gpu/workers.py), not found out by it: on a machine that is shared, a GPU
that can be seen may be another's.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gdsim.devices import DeviceError, OutOfDeviceMemoryError
from gdsim.sweep.execution.places import OnDevice, Place, Processors
from gdsim.sweep.planning.devices import AUTO, CPU, UnusableDeviceError, check_lanes, usable_device

GPU = "GPU"  # Dask's name of the resource; a worker has one of it
ANSWER_SECONDS = 30.0
TASKS = 4  # that a GPU takes at a time: one is trained while others are made ready, or are written
Done = TypeVar("Done")


class GoneGpuError(RuntimeError):
    """A worker's GPU trains no more: what it was at is for others."""


def resources_of(device: str) -> dict[str, float]:
    """What a task of a sweep takes of its worker, where the sweep's `device` is this.

    >>> resources_of("cuda"), resources_of("auto"), resources_of("cpu")
    ({'GPU': 0.25}, {}, {})
    """
    return {} if device in (CPU, AUTO) else {GPU: 1 / TASKS}


def offers(worker: Mapping[str, Any], resources: Mapping[str, float]) -> bool:
    """Whether a worker, as a scheduler describes it, has what a task takes."""
    return all((worker.get("resources") or {}).get(name, 0) >= share for name, share in resources.items())


def on_its_place(device: str, lanes: int | None, train: Callable[[Place], Done], say: Callable[[str], object]) -> Done:
    """What `train` gives where this worker trains for a sweep whose `device` is this: on its GPU if it has one, else by one
    thread of its own.

    A GPU that cannot be used, or fails before anything was trained on it, is offered no more; with "auto" the worker's
    processors train in its place, which `say` is told. One that fails later answers the process no more: the worker ends,
    and where a nanny looks after it another begins. Raises GoneGpuError where others are to train, and DeviceError where
    it may be by what is trained that the GPU failed.
    """
    from distributed import get_worker  # which the driver's part of this module does without

    worker = get_worker()
    if device == CPU or GPU not in worker.state.total_resources:
        return train(_processors(lanes))
    gpu = _gpu(worker.state.nthreads)
    try:
        check_lanes(lanes)
        return gpu.train(train)
    except UnusableDeviceError as error:
        reason = str(error)
    except OutOfDeviceMemoryError as error:
        if device != AUTO:
            raise
        reason = str(error)
    except DeviceError as error:
        worker.loop.add_callback(worker.close_gracefully, restart=True)
        if device == AUTO:
            raise GoneGpuError(f"its GPU has failed, and the worker ends: {error}") from None
        raise
    if device == AUTO:
        say(f"processors train in place of a GPU: {reason}")
        return train(_processors(lanes))
    _withdraw(worker)
    raise GoneGpuError(f"a worker offers a GPU, and cannot train on it: {reason}")


class Gpu:
    """The first of the GPUs that the worker's process sees. What memory it takes it keeps for as long as the worker lives."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._opening, self._place, self._has_trained, self._why_not = threading.Lock(), None, False, ""

    def train(self, train: Callable[[Place], Done]) -> Done:
        """What `train` gives on it. Raises UnusableDeviceError where it cannot be used, or has failed before anything was trained
        on it; DeviceError where it fails later, or has no room.
        """
        try:
            done = train(self._opened())
        except DeviceError as error:
            if self._has_trained or isinstance(error, OutOfDeviceMemoryError):
                raise
            self._why_not = str(error)
            raise UnusableDeviceError(self._why_not) from None
        self._has_trained = True
        return done

    def _opened(self) -> OnDevice:
        with self._opening:
            if self._why_not:
                raise UnusableDeviceError(self._why_not)
            if self._place is None:
                self._place = OnDevice(usable_device(0), self.threads)
            return self._place


def _withdraw(worker: Any) -> None:
    """Tells the scheduler that a worker's GPU is offered no more; tasks that it has been given already go on to it."""
    from distributed.utils import sync  # as above

    with contextlib.suppress(OSError, TimeoutError):  # a scheduler that is lost gives it no tasks
        sync(worker.loop, worker.scheduler.set_resources, worker=worker.contact_address, resources={GPU: 0}, callback_timeout=ANSWER_SECONDS)


@functools.lru_cache(maxsize=1)
def _processors(lanes: int | None) -> Processors:
    """Each of a worker's threads has working memory of its own."""
    return Processors(1, lanes)


_gpu = functools.lru_cache(maxsize=1)(Gpu)
