"""Kernels that are called once for each pack: of the table of a job that is filled before, and read after."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.lanes.compiler import Bound, address_of
from gdsim.lanes.types import Address


class PackKernel:
    """A kernel of a structure, a function of a table's address and a whole number: on processors as it is compiled
    for them, on devices in each warp.
    """

    def __init__(self, kernels: Kernels, bound: Bound, called: "PackKernel | None" = None) -> None:
        self.kernels, self.bound = kernels, bound
        self.called = called  # what it calls in turn, of another table, as `lanczos.run_products`

    @property
    def address(self) -> Address:
        """Where the kernel for this machine's processor is."""
        return address_of(self.compiled)

    @functools.cached_property
    def compiled(self) -> Any:
        """The kernel for this machine's processor."""
        return self.kernels.compiled(self.bound)


class PackWork(NamedTuple):
    """What is done with packs of lanes that know nothing of each other. A job is a nested NamedTuple as the kernel reads it."""

    kernel: PackKernel
    argument: int
    new_job: Callable[[], Any]  # room for a pack
    fill: Callable[[Any, int], object]  # puts the pack that begins with lane number so and so into a job
    take: Callable[[Any, int], object]  # takes what the kernel has left there of that pack
    moved: Callable[[Any], Any]  # those arrays of a job that these two touch, in a nested tuple
    shared: Callable[[Any], Any]  # those that are the same for all packs, and only read
    # Those that are tables of what the kernel calls; and a job with these filled, in the memory in which the second
    # argument says where arrays lie.
    tables: Callable[[Any], Any] = lambda job: ()
    linked: Callable[[Any, Callable[[np.ndarray], Address]], Any] = lambda job, address: job


@functools.lru_cache(maxsize=256)
def evaluating(kernels: Kernels) -> PackKernel:
    """The kernel `evaluation.evaluate` of a structure."""
    return PackKernel(kernels, kernels.bound_evaluation)


@functools.lru_cache(maxsize=256)
def predicting(kernels: Kernels) -> PackKernel:
    """The kernel `engines.network.predict` of a structure."""
    return PackKernel(kernels, kernels.bound_prediction)
