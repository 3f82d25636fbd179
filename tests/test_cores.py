"""Processors that a process may use, by files as Linux writes them."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.population.sharing import over_packs
from gdsim.sweep.planning import memory
from gdsim.sweep.planning.machine import usable_cores, usable_memory
from tests.helpers import gdsim

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
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from gdsim.sweep.planning.machine import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "1"


TOTAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
LIMITS = {
    "no limit": ({"proc/self/cgroup": "0::/a\n", f"{TWO}/a/memory.max": "max\n"}, TOTAL),
    "version 2": ({"proc/self/cgroup": "0::/a\n", f"{TWO}/a/memory.max": "1048576\n", f"{TWO}/memory.max": "max\n"}, 2**20),
    "a limit above": ({"proc/self/cgroup": "0::/a/b\n", f"{TWO}/a/memory.max": "1048576\n", f"{TWO}/a/b/memory.max": "2097152\n"}, 2**20),
    "version 1": ({"proc/self/cgroup": "4:memory:/a\n3:cpu:/a\n", f"{TWO}/memory/a/memory.limit_in_bytes": "1048576\n"}, 2**20),
    "version 1 without limit": ({"proc/self/cgroup": "4:memory:/a\n", f"{TWO}/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, TOTAL),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_memory_count(tmp_path, case):
    files, count = LIMITS[case]
    write(tmp_path, files)
    assert usable_memory(tmp_path) == count


def test_the_limit_of_the_address_space_counts():
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); from gdsim.sweep.planning.machine import usable_memory; print(usable_memory())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == str(min(2**31, TOTAL))


def wide(hidden):
    return gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[hidden]), optimizer=gd.Adam())


def test_a_network_that_no_machine_holds_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"^one thread needs [\d.]+ PB of memory, and this process may have [\d.]+ .B: take smaller networks, or a machine with more$"
    ):
        wide(10**12).run(out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "TOO MUCH for one thread" in str(wide(10**12).plan())
    (tmp_path / "f.toml").write_text('[problem]\ntype = "mlp"\ndata = "xor"\nhidden = [1000000000000]\n[optimizer]\ntype = "sgd"\n')
    code, _, errors = gdsim("run", "f.toml", folder=tmp_path)
    assert (code, errors.count("\n")) == (2, 1)
    assert not (tmp_path / "results").exists()


TAKEN = {
    "many inputs": (100_000, [], 1, gd.SGD(lr=1e-9), gd.Record()),
    "one wide network": (2, [30_000], 1, gd.SGD(lr=1e-9), gd.Record()),
    "networks in turns": (2, gd.grid([30_000], [29_000], [28_000]), 1, gd.SGD(lr=1e-9), gd.Record()),
    "few runs": (2, [1000], 64, gd.SGD(lr=1e-9), gd.Record()),
    "many starts": (32, [64, 64], 512, gd.SGD(lr=1e-9), gd.Record()),
    "states and points": (2, [100], 2000, gd.Adam(), gd.Record(parameters=True, state=True)),
}


@pytest.mark.full
@pytest.mark.parametrize("case", TAKEN)
def test_what_a_sweep_is_said_to_need_is_what_it_takes(case):
    """By the memory that Python counts, in a second run, which compiles nothing; few runs of large networks
    need no whole packs.
    """
    inputs, hidden, starts, rule, record = TAKEN[case]
    data = gd.Data(np.random.default_rng(0).normal(size=(8, inputs)), np.arange(8.0))
    problem = gd.MLP(data, hidden=hidden) if hidden else gd.LinearRegression(data)
    sweep = gd.Sweep(problem=problem, optimizer=rule, steps=20, starts=starts, batch=2, record=record, stop=[gd.Target([1e-9, 0.0])])
    sweep.run(threads=1)
    tracemalloc.start()
    result = sweep.run(threads=1)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    plan = sweep.plan()
    assert plan.memory + plan.result_bytes == pytest.approx(taken, rel=0.2)
    assert plan.result_bytes == pytest.approx(sum(v.nbytes for v in result.variables.values()), rel=0.1, abs=1000)


def test_what_threads_share_is_what_the_samples_take():
    """The samples as they are given, and as kernels read them."""
    from gdsim.population.samples import table_for

    table_for(gd.Data(np.ones((2, 1)), np.ones(2), validation=0.5), "float32")  # so that nothing is imported meanwhile
    tracemalloc.start()
    data = gd.Data(np.random.default_rng(1).normal(size=(5000, 40)), np.arange(5000.0), validation=0.2)
    tables = [table_for(data, "float32"), table_for(data.validation, "float32")]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    plan = gd.Sweep(problem=gd.MLP(data, hidden=[2]), optimizer=gd.SGD()).plan()
    assert len(tables) == 2
    assert plan.shared == pytest.approx(taken, rel=0.2)


def test_what_is_finished_needs_no_memory(tmp_path, monkeypatch):
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), starts=8, steps=3)
    whole = sweep.run(out=tmp_path / "out").load()
    monkeypatch.setattr(memory, "usable_memory", lambda: 1)
    assert sweep.run(out=tmp_path / "out").load().identical(whole)
    before = sorted(tmp_path.rglob("*"))
    for out in ("out", "new"):
        with pytest.raises(ValueError, match="one thread needs"):
            msgspec.structs.replace(sweep, starts=9).run(out=tmp_path / out)
    assert sorted(tmp_path.rglob("*")) == before
    assert gd.open(tmp_path / "out").attrs["planned_runs"] == 8


def test_as_many_threads_train_as_fit(monkeypatch):
    plan = wide(8).plan()
    monkeypatch.setattr(memory, "usable_cores", lambda: 4)
    for fit, words in ((9, "kB$"), (3, r"\(so 3 of 4 threads train\)$"), (0, r"\(TOO MUCH for one thread\)$")):
        room = plan.shared + fit * plan.memory + plan.memory // 2
        monkeypatch.setattr(memory, "usable_memory", lambda room=room: room)
        assert memory.threads_that_fit(plan) == fit
        assert re.search(words, memory.memory_text(plan))
        if fit:
            assert memory.fitting_threads(plan, None) == min(fit, 4)
            with pytest.raises(ValueError, match=f"{fit + 1} threads need .* give threads={fit} at most"):
                memory.fitting_threads(plan, fit + 1)
    monkeypatch.setattr(memory, "usable_memory", lambda: 10**9)
    with pytest.raises(ValueError, match=r"the results take 1\.0 GB of memory, and this process may have 1\.0 GB: give a folder for them, out="):
        memory.fitting_threads(plan, None, 10**9)
    with pytest.raises(ValueError, match=r"a worker of 2 threads needs 20\d\.\d MB of memory, and may have 10\.0 MB"):
        memory.check_worker(plan, 10**7, 2)


def _fail():
    raise OSError


def _interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.mark.parametrize(("ending", "raised"), [(_fail, OSError), (_interrupt, KeyboardInterrupt)], ids=["an error", "Ctrl-C"])
def test_threads_that_share_work_end_with_their_pack_where_one_fails_or_ctrl_c_is_pressed(ending, raised):
    lock, made = threading.Lock(), []

    def work(packs):
        for pack in packs:
            with lock:
                made.append(pack)
            if pack == 8:
                ending()
            time.sleep(0.001)

    with pytest.raises(raised):
        over_packs(60_000, 2, 3, work)
    assert len(made) < 20_000
    made.clear()
    over_packs(7, 2, 3, made.extend)
    assert sorted(made) == [0, 2, 4, 6]
