"""A GPU for sweeps, which is the interpreter."""

import functools

from gdsim.devices import nvidia
from gdsim.kernels import cuda as cuda_kernels, self_test
from gdsim.lanes.cubins import Compiled
from gdsim.sweep.planning import devices
from tests.cuda.driver import DriverLibrary
from tests.cuda.ptx import Program


def put_in(monkeypatch, compiled, **options):
    """Gives this process a GPU that takes PTX for machine code; its driver's library."""
    library = DriverLibrary(**{"memory": 2**24, **options})

    def made(template, parts, arguments, capability, title):
        ptx = compiled(template, parts, arguments, capability)
        return Compiled(ptx.encode(), Program(ptx).entry, 32, 0, 0)

    monkeypatch.setattr(nvidia, "find_driver", lambda: library)
    for module in (cuda_kernels, self_test):
        monkeypatch.setattr(module, "cubin_of", made)
    monkeypatch.setattr(devices, "_opened", functools.cache(devices._opened.__wrapped__))
    return library
