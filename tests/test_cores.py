"""Processors that a process may use, by files as Linux writes them."""

import os
import subprocess
import sys

import pytest

from gdsim.sweep.cores import usable_cores

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


TWO = "sys/fs/cgroup"
CASES = {
    "no control groups": ({}, ALLOWED),
    "no limit": ({"proc/self/cgroup": "0::/a\n", f"{TWO}/a/cpu.max": "max 100000\n"}, ALLOWED),
    "one processor": ({"proc/self/cgroup": "0::/\n", f"{TWO}/cpu.max": "100000 100000\n"}, 1),
    "half a processor": ({"proc/self/cgroup": "0::/\n", f"{TWO}/cpu.max": "50000 100000\n"}, 1),
    "a limit above": ({"proc/self/cgroup": "0::/slurm/job/step\n", f"{TWO}/slurm/cpu.max": "90000 100000\n", f"{TWO}/slurm/job/cpu.max": "max 100000"}, 1),
    "more than there are": ({"proc/self/cgroup": "0::/\n", f"{TWO}/cpu.max": "102400000 100000\n"}, ALLOWED),
    "version 1": (
        {"proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/a\n", f"{TWO}/cpu,cpuacct/a/cpu.cfs_quota_us": "80000", f"{TWO}/cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 1),
    "version 1 without limit": ({"proc/self/cgroup": "3:cpu:/\n", f"{TWO}/cpu/cpu.cfs_quota_us": "-1", f"{TWO}/cpu/cpu.cfs_period_us": "100000"}, ALLOWED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_quotas_of_control_groups_count(tmp_path, case, monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    files, cores = CASES[case]
    write(tmp_path, files)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("said", "cores"), [("1", 1), ("1000000", ALLOWED), ("0", ALLOWED), ("", ALLOWED), ("many", ALLOWED)])
def test_what_slurm_gives_a_task_counts(tmp_path, said, cores, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert usable_cores(tmp_path) == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_counts():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from gdsim.sweep.cores import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "1"
