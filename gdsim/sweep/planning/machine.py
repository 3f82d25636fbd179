"""How many processors and how much memory this process may use: neither a batch system's share nor a
container's is the whole machine.
"""

import math
import os
import pathlib
import resource

from gdsim.axes import checked_whole


def cores_for(threads: int | None) -> int:
    """As many as are asked for, or all. Raises ValueError."""
    return usable_cores() if threads is None else checked_whole(threads, "threads")


def usable_cores(root: pathlib.Path = pathlib.Path("/")) -> int:
    """How many threads of this process can run at once: by its CPU affinity, by the quotas of its control
    groups, and by SLURM.

    SLURM's share of a job stands in `SLURM_CPUS_PER_TASK`, which says it also where SLURM does not enforce
    it. `root` is where the system's files lie. A share of a processor counts as one.

    >>> usable_cores() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has no affinity
    share = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min([allowed, *(math.ceil(quota) for quota in _quotas(root)), *([int(share)] if share.isdecimal() and int(share) else [])])


def _quotas(root: pathlib.Path) -> list[float]:
    """The processors that each of the process's control groups may use, where it has a limit: those of
    version 2, and of version 1.
    """
    found = []
    for folder in _groups(root, "cpu"):
        limit = _numbers(folder / "cpu.max") or [*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us")]
        if len(limit) == 2 and min(limit) > 0:
            found.append(limit[0] / limit[1])
    return found


def usable_memory(root: pathlib.Path = pathlib.Path("/")) -> int:
    """How many bytes of memory this process may have: the machine's, or less by the limits of its control
    groups or of its address space.

    `root` is as of `usable_cores`.

    >>> usable_memory() > 2**20
    True
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _groups(root, "memory"):
        limits += [int(n) for file in ("memory.max", "memory.limit_in_bytes") for n in _numbers(folder / file)[:1] if n > 0]
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min([*limits, *([] if space == resource.RLIM_INFINITY else [space])])


def _groups(root: pathlib.Path, controller: str) -> list[pathlib.Path]:
    """The folders of the process's control groups that may limit what a controller shares out, and of those
    above them.
    """
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        for base in [mount] if not controllers else [mount / controllers, mount / controller] if controller in controllers.split(",") else []:
            own = base / path.lstrip("/")
            found += [own, *(p for p in own.parents if p == base or base in p.parents)]
    return found


def _numbers(file: pathlib.Path) -> list[float]:
    """The numbers in a file; none where there is no such file, or no limit."""
    try:
        return [float(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []
