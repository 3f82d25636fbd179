"""Kernels for GPUs that are compiled before a GPU waits for them: side by side, or for one that is elsewhere."""

import functools
import json
import subprocess
import sys

import pytest

import gdsim as gd
from gdsim.devices import Device, nvidia
from gdsim.lanes import compiler, cubins
from gdsim.lanes.cubins import read_cubin
from gdsim.lanes.kept_files import KeptFile
from gdsim.population import device_training
from gdsim.sweep.execution.places import OnDevice, prepare, works_of
from gdsim.sweep.execution.threads import children_for, wanted_by
from gdsim.sweep.planning import devices
from tests.cuda.driver import DriverLibrary
from tests.cuda.test_cubins import BY_HAND
from tests.helpers import gdsim

FILE = """
problem = {type = "rosenbrock"}
optimizer = [{type = "adam", lr = [0.01, 0.1]}, {type = "momentum"}]
starts = 40
steps = 12
dtype = "float32"
"""


@pytest.fixture
def asked(cuda, tmp_path, monkeypatch):
    """What this process asks NVIDIA's first compiler for, of which some text by hand takes the place, in a new cache."""
    found = []
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cubins, "_cubins", {})
    monkeypatch.setattr(cuda, "ptx_of", lambda bound, capability: found.append((bound.title, capability)) or BY_HAND)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")
def test_kernels_of_a_plan_are_compiled_side_by_side(asked, monkeypatch):
    monkeypatch.setattr(device_training, "loaded", lambda device, kernels, compiled: compiled)
    monkeypatch.setattr("gdsim.sweep.execution.threads.usable_cores", lambda: 2)
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.Adam(), gd.Momentum(), gd.SGD()], starts=40, steps=5)
    place, before, told = OnDevice(Device(library=DriverLibrary(2**20)), 2), len(compiler.compilations), []
    plan = sweep.plan()
    works = list(works_of(plan, plan.chunks, place))
    children = children_for(wanted_by(works, place), place.threads)
    for work in works:
        prepare(place, work, told.append, children)
    children.close()
    assert asked == [("Adam on Booth for a GPU", (9, 0))]  # others by children
    assert told[0] == "compiling Adam on Booth for a GPU"
    digests = [place.wanted(work)[0].digest for work in works]
    assert [digest for digest in compiler.compilations[before:] if digest in digests] == digests


DIGESTS = """
import gdsim as gd
from gdsim.kernels.cuda import kernels_on_warps, wanted_training
from gdsim.population.engine_choice import structure_on_warps
for problem, rule in ((gd.functions.Booth(), gd.Adam()), (gd.MLP(gd.datasets.load("digits"), hidden=[32]), gd.Momentum())):
    sweep = gd.Sweep(problem=problem, optimizer=rule, starts=40, steps=5)
    setting = sweep.plan().groups[0].setting
    print(wanted_training(kernels_on_warps(structure_on_warps(setting, (9, 0))), (9, 0)).digest)
"""


def test_what_one_process_has_compiled_the_next_one_finds(cuda):
    """A function's repr has its address in this process: with one in its digest a kernel was compiled anew by each."""
    first, second = (subprocess.run([sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert len(first.split()) == 2
    assert first == second


def test_kernels_are_compiled_for_gpus_that_are_elsewhere(asked, tmp_path, monkeypatch):
    (tmp_path / "sweep.toml").write_text(FILE)
    command = ["compile", "sweep.toml", "--device", "cuda", "--threads", 1]
    code, out, errors = gdsim(*command, "--capability", "8.0", "--capability", "9.0", "--json", folder=tmp_path, patched=True)
    assert code == 0, out + errors
    said = json.loads(out)
    titles = [f"{rule} on Rosenbrock for a GPU" for rule in ("Adam", "Momentum")]
    assert asked == [(title, capability) for title in titles for capability in ((8, 0), (9, 0))]
    assert said["structures"] == 2
    assert said["kernels"] >= 4
    for group in gd.read_experiment(tmp_path / "sweep.toml").plan().groups:
        kernels = [device_training.wanted_kernel(group.setting, capability) for capability in ((8, 0), (9, 0))]
        assert {read_cubin(KeptFile(kernel.digest).take()).entry for kernel in kernels} == {"by_hand"}

    monkeypatch.setattr(nvidia, "find_driver", lambda: DriverLibrary(2**24))  # of 9.0, whose kernels are there
    monkeypatch.setattr(devices, "_opened", functools.cache(devices._opened.__wrapped__))
    code, out, errors = gdsim("plan", "sweep.toml", "--device", "cuda", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    assert "trained on Interpreter" in out
    assert "to compile" not in out
    code, out, errors = gdsim(*command, folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    assert "nothing to compile: the kernels of 2 structures are in " in out


def test_a_capability_that_nothing_is_compiled_for_is_refused(cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "sweep.toml").write_text(FILE)
    code, _, errors = gdsim("compile", "sweep.toml", "--device", "cuda", "--capability", "6.1", folder=tmp_path, patched=True)
    assert code == 2
    assert "no code is made for compute capability 6.1: the CUDA compiler that is installed knows " in errors.splitlines()[-1]
