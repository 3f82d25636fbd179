"""What every worker process imports and finds out, done once in the process from which those of this machine
are forked.
"""

import distributed.nanny  # noqa: F401
import numba  # noqa: F401

from gdsim.lanes import cpu
from gdsim.lanes.machine import machine
from gdsim.sweep.cluster.worker import versions

cpu.register()
machine()
versions()
