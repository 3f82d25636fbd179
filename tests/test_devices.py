"""The names of devices, and what is said where one cannot be used; sweeps that a GPU trains are in tests/cuda."""

import json
import sys

import numpy as np
import pytest

import gdsim as gd
from gdsim.devices import SHARE, Device, nvidia
from gdsim.kernels.arena import arrays_of
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.training import prepared_for
from gdsim.sweep import doctor
from gdsim.sweep.execution.places import HOST_BYTES, OnDevice
from gdsim.sweep.planning import devices
from gdsim.sweep.planning.device_speed import device_memory, training_seconds
from gdsim.sweep.planning.devices import UnusableDeviceError, checked_device, why_not_usable
from gdsim.sweep.run import placing
from tests.cuda.driver import DriverLibrary
from tests.helpers import gdsim

NO_DRIVER = "no driver of an NVIDIA GPU is installed here"
FILE = "problem = {type = 'booth'}\noptimizer = {type = 'sgd'}\nstarts = 2\nsteps = 5\n"


def booth(**others):
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), **{"starts": 2, "steps": 5, **others})


def put_in(monkeypatch, **options):
    """Gives this process GPUs on which nothing is launched."""
    monkeypatch.setattr(nvidia, "find_driver", lambda: DriverLibrary(**options))
    devices._opened.cache_clear()


@pytest.fixture(autouse=True)
def closed():
    yield
    devices._opened.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """A machine without a driver."""

    def missing():
        raise nvidia.NoDeviceError(NO_DRIVER)

    monkeypatch.setattr(nvidia, "find_driver", missing)
    devices._opened.cache_clear()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cuda:-1", "CUDA", "", 0, None, "cuda:1.0", "cuda:0 "])
def test_what_is_no_device_is_refused(device, tmp_path):
    for run in (lambda: booth().run(device=device), lambda: booth().run(device=device, out=tmp_path / "out")):
        with pytest.raises(ValueError, match=r"device must be 'cpu', 'cuda', 'cuda:1' for the second GPU and so on, or 'auto'; .* was given"):
            run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without")
def test_without_a_gpu_it_is_said_in_one_line_and_auto_trains_on_processors(tmp_path):
    with pytest.raises(ValueError, match=NO_DRIVER):
        booth().plan(device="cuda")
    (tmp_path / "e.toml").write_text(FILE)
    for command in ("run", "plan"):
        assert gdsim(command, "e.toml", "--device", "cuda", folder=tmp_path, patched=True)[::2] == (2, f"Error: e.toml: {NO_DRIVER}\n")
    assert not (tmp_path / "results").exists()
    assert booth().run(device="auto").equals(booth().run())
    code, out, _ = gdsim("run", "e.toml", "--device", "auto", folder=tmp_path, patched=True)
    assert code == 0
    assert f"s: {NO_DRIVER}" in out
    told = []
    booth().run(device="auto", progress=lambda state: told.append(state.message))
    assert any(message.startswith("trained by processors, in about") for message in told)


@pytest.mark.usefixtures("without")
def test_auto_estimates_the_runs_that_a_folder_lacks(tmp_path, monkeypatch):
    asked, choice_of = [], placing.choice_of

    def noted(plan, options, runs):
        asked.append(runs)
        return choice_of(plan, options, runs)

    monkeypatch.setattr(placing, "choice_of", noted)
    for starts in (2, 5, 5):
        booth(starts=starts).run(out=tmp_path / "out", device="auto")
    assert asked == [2, 3]


@pytest.mark.usefixtures("without")
def test_what_goes_with_no_device_is_refused(tmp_path):
    for options, said in (
        ({"lanes": 8}, "leave `lanes` out to train on a device"),
        ({"out": tmp_path / "out", "client": "tcp://10.0.0.5:1", "device": "cuda:1"}, "each worker of a cluster has its own"),
    ):
        with pytest.raises(ValueError, match=said):
            booth().run(**{"device": "cuda", **options})
    assert booth().plan(device="auto", lanes=8).choice.sentence.endswith("leave `lanes` out to train on a device")


def test_a_number_beyond_the_gpus_is_refused(monkeypatch):
    put_in(monkeypatch, gpus=2)
    with pytest.raises(ValueError, match=r"there is no GPU 2: the driver sees GPUs 0 to 1 \(CUDA_VISIBLE_DEVICES chooses which it sees\)"):
        booth().run(device="cuda:2")


def test_where_nothing_compiles_for_gpus_it_is_said_what_to_install(monkeypatch):
    put_in(monkeypatch)
    monkeypatch.setitem(sys.modules, "gdsim.lanes.cuda", None)
    monkeypatch.delattr("gdsim.lanes.cuda", raising=False)
    with pytest.raises(ValueError, match=r"what compiles for GPUs is not installed .*: pip install 'numba-cuda"):
        booth().run(device="cuda")
    assert "what compiles for GPUs is not installed" in booth().plan(device="auto").choice.sentence


@pytest.mark.usefixtures("without")
def test_what_cannot_be_compiled_for_a_gpu_is_refused_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "e.toml").write_text(FILE)
    monkeypatch.setattr("gdsim.sweep.run.compiling.why_nothing_compiles", lambda: "")

    def said(*options):
        code, _, errors = gdsim("compile", "e.toml", *options, folder=tmp_path, patched=True)
        assert code == 2
        return errors.splitlines()[-1]

    assert said("--capability", "9.0").endswith("a compute capability (9.0) is a GPU's: give --device cuda with it")
    assert said("--device", "cuda", "--capability", "9").endswith("a compute capability is two numbers, such as 9.0; '9' was given")
    assert said("--device", "auto").endswith("device='auto' is of runs: kernels are compiled for 'cpu' or for 'cuda'")
    assert "device must be 'cpu', 'cuda', or 'cuda:1' for the second GPU and so on; 'gpu' was given" in said("--device", "gpu")
    assert said("--device", "cuda", "--lanes", 8).endswith("leave `lanes` out to train on a device")
    assert said("--device", "cuda").endswith(f"{NO_DRIVER}; to compile for a GPU that is elsewhere, say its compute capability, as in --capability 9.0")
    monkeypatch.setattr("gdsim.sweep.run.compiling.why_nothing_compiles", lambda: "it is not installed")
    assert said("--device", "cuda", "--capability", "9.0").endswith("it is not installed")


def test_old_gpus_and_drivers_are_refused():
    info = nvidia.Device(library=DriverLibrary()).info
    assert why_not_usable(info) == why_not_usable(info._replace(capability=(7, 5), driver=(13, 0))) == ""
    assert why_not_usable(info._replace(capability=(6, 1))) == "Interpreter has compute capability 6.1, and 7.5 is the lowest that kernels are compiled for"
    assert (
        why_not_usable(info._replace(driver=(12, 9))) == "the driver of Interpreter knows CUDA up to 12.9, and kernels need 13.0: install driver 580 or newer"
    )


def test_the_doctor_says_what_is_missing_of_each_gpu(monkeypatch, tmp_path):
    put_in(monkeypatch, gpus=2)
    monkeypatch.setattr(devices, "LOWEST_CUDA", (99, 0))
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    code, out, _ = gdsim("doctor", "--json", folder=tmp_path, patched=True)
    found = json.loads(out)
    assert code == 0
    assert [gpu["device"] for gpu in found["gpus"]] == ["cuda:0", "cuda:1"]
    assert {gpu["unusable"] for gpu in found["gpus"]} == {"the driver of Interpreter knows CUDA up to 13.1, and kernels need 99.0: install driver 580 or newer"}


@pytest.mark.usefixtures("without")
def test_the_doctor_says_why_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    assert f"GPU:          none: {NO_DRIVER}\n" in gdsim("doctor", folder=tmp_path, patched=True)[1]


def test_names_of_devices():
    assert [checked_device(name) for name in ("cpu", "cuda", "cuda:12", "auto")] == ["cpu", "cuda", "cuda:12", "auto"]


def populations():
    """(what most of a run's memory is, a sweep)."""
    digits, rounds = gd.datasets.load("digits"), gd.FederatedAveraging(clients=20, sampled=2)
    yield "results", {"problem": gd.functions.Rosenbrock(), "record": gd.Record(every=1, trajectory=True)}
    yield "points of sharpness", {"problem": gd.MLP(digits, hidden=[16]), "batch": 32, "record": gd.Record(every=1, sharpness=True)}
    yield "samples of workers", {"problem": gd.LogisticRegression(digits), "batch": 8, "distribution": rounds, "partition": gd.Overlap(0.3)}


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in populations()])
def test_this_machine_has_room_for_what_it_keeps_of_a_batch_that_a_gpu_trains(given):
    plan = gd.Sweep(optimizer=gd.SGD(), starts=10**6, steps=50, **given).plan(chunk_seconds=1e6)
    work = OnDevice(Device(library=DriverLibrary()), 1).works_of(plan, plan.chunks[0])[0]
    kernels = kernels_on_warps(structure_on_warps(work.setting))

    def held(runs):
        prepared = prepared_for(work.setting, kernels, plan.batch_of(work.chunk, np.arange(runs), work.values))
        return sum({array.ctypes.data: array.nbytes for array in arrays_of(prepared)}.values())

    of_a_run = (held(128) - held(64)) / 64
    taken = len(work.rows) * of_a_run
    assert taken < 1.1 * HOST_BYTES
    assert len(work.rows) == work.chunk.size or taken > HOST_BYTES / 10


@pytest.mark.parametrize(("capability", "ratio"), [((7, 5), 16), ((8, 0), 2), ((8, 9), 16), ((9, 0), 2), ((10, 0), 2), ((12, 0), 16)])
def test_float64_is_estimated_by_the_units_that_a_gpu_has_of_it(capability, ratio):
    info = nvidia.Device(library=DriverLibrary()).info._replace(capability=capability)
    single, double = (training_seconds(booth(dtype=dtype, starts=10**7).plan(), info) for dtype in ("float32", "float64"))
    assert double == pytest.approx(ratio * single)


def test_a_plan_is_refused_where_a_chunk_would_have_no_room():
    plan = booth().plan()
    taken = device_memory(plan, Device(library=DriverLibrary(2**30)))
    enough, too_little = (int(share * 2 * taken / SHARE) // 256 * 256 for share in (1.05, 0.95))  # as a chunk has half of that share
    assert device_memory(plan, Device(library=DriverLibrary(enough))) == taken
    with pytest.raises(UnusableDeviceError, match=r"training takes .* at least, and Interpreter has .* free for it, of .*: end what else"):
        device_memory(plan, Device(library=DriverLibrary(too_little)))
