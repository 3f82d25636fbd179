"""Where packs that know nothing of each other are worked on: by threads of this process, or on a device."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from gdsim.devices import Device
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.cuda import compiled_for_packs, kernels_on_warps
from gdsim.kernels.cuda_driver import Program, loaded
from gdsim.kernels.cuda_packs import work_through
from gdsim.kernels.engines import Structure
from gdsim.kernels.packs import PackKernel, PackWork
from gdsim.lanes.memory import host_address, table_of
from gdsim.lanes.warps import THREADS
from gdsim.population.engine_choice import full_width, kernels_of, structure_of
from gdsim.population.setting import Setting
from gdsim.population.sharing import over_packs


class Workplace(NamedTuple):
    """So many threads of this process, or a device."""

    threads: int = 1
    device: Device | None = None

    def width(self, setting: Setting) -> int:
        """Lanes of a full pack."""
        return full_width(setting) if self.device is None else THREADS

    def structure(self, setting: Setting) -> Structure:
        """What decides the kernels of full packs."""
        return structure_of(setting, self.width(setting))

    def kernels(self, setting: Setting) -> Kernels:
        """The kernels of full packs."""
        return self.kernels_of(self.structure(setting), self.width(setting))

    def kernels_of(self, structure: Structure, width: int) -> Kernels:
        """The kernels of a structure."""
        return kernels_of(structure, width) if self.device is None else _on_warps(structure)

    def work(self, work: PackWork, lanes: int, together: int | None = None) -> None:
        """Works on so many lanes, a pack at a time, or as many as a job has room for. Raises OutOfDeviceMemoryError where a
        device has no room for any.
        """
        width = together or work.kernel.kernels.width
        if self.device is None:
            over_packs(lanes, width, self.threads, functools.partial(_work_here, work))
        else:
            program = _program_of(work.kernel, self.device)
            work_through(program, work, range(0, lanes, width))


HERE = Workplace()  # one thread


def _work_here(work: PackWork, firsts: Iterator[int]) -> None:
    """Works on packs one after the other, in a thread of this process."""
    kernel: Any = work.kernel.compiled
    job = work.linked(work.new_job(), host_address)
    table = table_of(job)
    for first in firsts:
        work.fill(job, first)
        kernel(table.ctypes.data, work.argument)
        work.take(job, first)


_on_warps = functools.lru_cache(maxsize=64)(kernels_on_warps)


@functools.lru_cache(maxsize=256)
def _program_of(kernel: PackKernel, device: Device) -> Program:
    return loaded(device, kernel.kernels, compiled_for_packs(kernel, device.info.capability))
