"""The names of devices, and what is said where one cannot be used; sweeps that a GPU trains are in tests/cuda."""

import ctypes
import json
import os
import re
import sys

import numpy as np
import pytest

import gdsim as gd
from gdsim.devices import SHARE, Device, nvidia
from gdsim.kernels.arena import arrays_of
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.population import device_training
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.training import joined, prepared_for
from gdsim.sweep import doctor
from gdsim.sweep.execution.places import OnDevice
from gdsim.sweep.planning import device_batches, devices
from gdsim.sweep.planning.device_batches import HOST_BYTES, on_device, size_for, together
from gdsim.sweep.planning.device_speed import device_memory, training_seconds
from gdsim.sweep.planning.devices import UnusableDeviceError, checked_device, why_not_usable
from gdsim.sweep.run import placing
from gdsim.sweep.run.options import RunOptions
from tests.cuda.driver import ATTRIBUTES, DriverLibrary
from tests.helpers import gdsim

NO_DRIVER = "no driver of an NVIDIA GPU is installed here (libcuda.so.1: cannot open): install driver 580 or newer"
FILE = "problem = {type = 'booth'}\noptimizer = {type = 'sgd'}\nstarts = 2\nsteps = 5\n"


def booth(**others):
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), **{"starts": 2, "steps": 5, **others})


def put_in(monkeypatch, **options):
    """Gives this process GPUs on which nothing is launched; their driver's library."""
    library = DriverLibrary(**options)
    monkeypatch.setattr(nvidia, "find_driver", lambda: library)
    devices._opened.cache_clear()
    return library


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    devices._opened.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """A machine without a driver."""
    have_no_driver(monkeypatch)


def have_no_driver(monkeypatch):
    def load(name):
        raise OSError(f"{name}: cannot open")

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr("sys.platform", "linux")
    devices._opened.cache_clear()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cuda:-1", "cuda:01", "CUDA", "", 0, None, "cuda:1.0", "cuda:0 "])
def test_what_is_no_device_is_refused(device, tmp_path):
    for run in (lambda: booth().run(device=device), lambda: booth().run(device=device, out=tmp_path / "out")):
        with pytest.raises(ValueError, match=r"device must be 'cpu', 'cuda', 'cuda:1' for the second GPU and so on, or 'auto'; .* was given"):
            run()
    assert list(tmp_path.iterdir()) == []


def hide(monkeypatch, shown, **options):
    """GPUs of which the driver shows some; to the interpreter's driver it is not said."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    put_in(monkeypatch, **options)


def fail(monkeypatch, name, code):
    put_in(monkeypatch).fails[name] = code


def have_old_driver(monkeypatch):
    put_in(monkeypatch).version = 12_090


def compile_nothing(monkeypatch):
    put_in(monkeypatch)
    monkeypatch.setitem(sys.modules, "gdsim.lanes.cuda", None)
    monkeypatch.delattr("gdsim.lanes.cuda", raising=False)


def hide_all(monkeypatch):
    fail(monkeypatch, "cuInit", 100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


NO_GPU = "the NVIDIA driver finds no GPU that it can use: CUDA_ERROR_NO_DEVICE in cuInit"
# What is wrong, the device that is asked for, and the sentence that says so.
SITUATIONS = {
    "no driver": (have_no_driver, "cuda", NO_DRIVER),
    "no GPU": (lambda patch: fail(patch, "cuInit", 100), "cuda", NO_GPU),
    "all are hidden": (hide_all, "cuda", f"{NO_GPU} (CUDA_VISIBLE_DEVICES is '', and shows this process those alone)"),
    "beyond the GPUs": (lambda patch: put_in(patch, gpus=2), "cuda:2", "there is no GPU 2: the driver sees GPUs 0 to 1"),
    "beyond those that are shown": (
        lambda patch: hide(patch, "3", gpus=1), "cuda:1",
        "there is no GPU 1: the driver sees GPU 0 alone (CUDA_VISIBLE_DEVICES is '3', and shows this process those alone)",
    ),
    "another process has it": (
        lambda patch: put_in(patch, gpus=2, busy=[1]), "cuda:1",
        "Interpreter cannot be opened (CUDA_ERROR_DEVICE_UNAVAILABLE in cuDevicePrimaryCtxRetain): another process may have its memory, or have it alone",
    ),
    "an old driver": (have_old_driver, "cuda", "the driver of Interpreter knows CUDA up to 12.9, and kernels need 13.0: install driver 580 or newer"),
    "an old GPU": (
        lambda patch: put_in(patch, attributes={**ATTRIBUTES, 75: 6, 76: 1}), "cuda",
        "Interpreter has compute capability 6.1, and 7.5 is the lowest that kernels are compiled for",
    ),
    "nothing compiles": (compile_nothing, "cuda", "what compiles for GPUs is not installed (gdsim.lanes.cuda is missing): pip install "),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_wrong_with_a_gpu_is_one_sentence_for_all_who_ask_for_it(situation, monkeypatch, tmp_path):
    """What was asked for, what is wrong with it, and what can be done; of `auto` and the doctor, what is wrong."""
    arrange, device, sentence = SITUATIONS[situation]
    arrange(monkeypatch)
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    with pytest.raises(UnusableDeviceError) as refused:
        booth().run(device=device)
    said = str(refused.value)
    assert said.startswith(f"device {device!r} cannot be used: {sentence}")
    assert said.endswith("; device 'cpu' can, and `gdsim doctor` says what this machine has")
    assert "\n" not in said
    (tmp_path / "e.toml").write_text(FILE)
    for command in ("run", "plan"):
        assert gdsim(command, "e.toml", "--device", device, folder=tmp_path, patched=True)[::2] == (2, f"Error: {said}\n")
    assert not (tmp_path / "results").exists()
    with pytest.raises(UnusableDeviceError, match=re.escape(said)):
        gd.evaluate(gd.functions.Booth(), [0.0, 0.0], device=device)
    if device == "cuda":  # by which, and not by another number, "auto" goes
        assert f" s: {sentence}" in booth().plan(device="auto").choice.sentence
    code, out, errors = gdsim("doctor", "--json", folder=tmp_path, patched=True)
    found = json.loads(out)
    assert (code, errors) == (0, "")
    if "beyond" not in situation:
        assert any(one.startswith(sentence) for one in [found["no_gpu"], *(gpu["unusable"] for gpu in found["gpus"])])
    assert found["visible_gpus"] == os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.usefixtures("without")
def test_without_a_gpu_auto_trains_on_processors(tmp_path):
    (tmp_path / "e.toml").write_text(FILE)
    assert booth().run(device="auto").equals(booth().run())
    code, out, _ = gdsim("run", "e.toml", "--device", "auto", folder=tmp_path, patched=True)
    assert code == 0
    assert f"s: {NO_DRIVER}" in out
    told = []
    booth().run(device="auto", progress=lambda state: told.append(state.message))
    assert any(message.startswith("trained by processors, in about") for message in told)


@pytest.mark.usefixtures("without")
def test_auto_is_estimated_for_the_threads_that_a_command_has(tmp_path, monkeypatch):
    asked, choice_of = [], placing.choice_of

    def noted(plan, options, *others):
        asked.append(options.threads)
        return choice_of(plan, options, *others)

    monkeypatch.setattr(placing, "choice_of", noted)
    (tmp_path / "e.toml").write_text(FILE)
    assert gdsim("run", "e.toml", "--device", "auto", "--threads", "1", folder=tmp_path, patched=True)[0] == 0
    assert set(asked) == {1}


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
def test_auto_is_estimated_for_the_runs_that_a_command_trains(tmp_path, monkeypatch):
    """Those of its part that its folder lacks; where it lacks none, nothing is said of where they would be trained."""
    asked, said, choice_of = [], [], placing.choice_of

    def noted(plan, options, runs):
        asked.append(runs)
        return choice_of(plan, options, runs)

    monkeypatch.setattr(placing, "choice_of", noted)
    (tmp_path / "e.toml").write_text(FILE.replace("starts = 2", "starts = 6"))
    for part in (("--part", "1/3"), (), ()):
        code, out, _ = gdsim("run", "e.toml", "--device", "auto", "--chunk-seconds", "1e-9", *part, folder=tmp_path, patched=True)
        assert code == 0
        said.append("trained by processors" in out)
    first, rest = asked
    assert 0 < first < 6
    assert first + rest == 6
    assert said == [True, True, False]


@pytest.mark.usefixtures("without")
def test_what_goes_with_no_device_is_refused(tmp_path):
    for options, said in (
        ({"lanes": 8}, "leave `lanes` out to train on a device"),
        ({"out": tmp_path / "out", "client": "tcp://10.0.0.5:1", "device": "cuda:1"}, "each worker of a cluster has its own"),
    ):
        with pytest.raises(ValueError, match=said):
            booth().run(**{"device": "cuda", **options})
    assert booth().plan(device="auto", lanes=8).choice.sentence.endswith("leave `lanes` out to train on a device")


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
    assert said("--device", "auto").endswith("device 'auto' is of runs, whose seconds can be estimated: give 'cpu' or 'cuda' here")
    assert "device must be 'cpu', 'cuda', or 'cuda:1' for the second GPU and so on; 'gpu' was given" in said("--device", "gpu")
    assert said("--device", "cuda", "--lanes", 8).endswith("leave `lanes` out to train on a device")
    assert said("--device", "cuda").endswith(f"{NO_DRIVER}; to compile for a GPU that is elsewhere, say its compute capability, as in --capability 9.0")
    monkeypatch.setattr("gdsim.sweep.run.compiling.why_nothing_compiles", lambda: "it is not installed")
    assert said("--device", "cuda", "--capability", "9.0").endswith("it is not installed")


def test_the_oldest_gpus_and_drivers_that_can_be_used_are():
    info = nvidia.Device(library=DriverLibrary()).info
    assert why_not_usable(info) == why_not_usable(info._replace(capability=(7, 5), driver=(13, 0))) == ""


def test_the_doctor_has_a_line_for_each_gpu_that_cannot_be_used_too(monkeypatch, tmp_path):
    hide(monkeypatch, "2,0,1", gpus=3, busy=[1])
    monkeypatch.setattr(devices, "why_nothing_compiles", lambda: "")
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    monkeypatch.setattr(doctor, "wrong_numbers", lambda device: [])
    code, out, errors = gdsim("doctor", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    first, second, third, shown = (line for line in out.splitlines() if line.startswith("GPU"))
    assert first.endswith("bits right (0.0 s)")
    assert second.startswith("GPU 1:        Interpreter (cuda:1), compute capability 9.0")
    assert "of memory: cannot be used: Interpreter cannot be opened (CUDA_ERROR_DEVICE_UNAVAILABLE" in second
    assert third.endswith("bits right (0.0 s)")
    assert shown == "GPUs shown:   CUDA_VISIBLE_DEVICES is '2,0,1', by whose order they are numbered here; others are hidden"


def test_a_gpu_of_which_the_driver_says_nothing_has_its_line(monkeypatch, tmp_path):
    fail(monkeypatch, "cuDeviceGetName", 999)
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    code, out, _ = gdsim("doctor", folder=tmp_path, patched=True)
    assert code == 0
    assert "GPU 0:        cuda:0 cannot be used: error 999 in cuDeviceGetName\n" in out


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
    work = OnDevice(Device(library=DriverLibrary()), 1).works_of(plan, plan.chunks[:1])[0]
    kernels = kernels_on_warps(structure_on_warps(work.setting))

    def held(runs):
        prepared = prepared_for(work.setting, kernels, work.parts[0]._replace(rows=np.arange(runs)).batch(plan))
        return sum({array.ctypes.data: array.nbytes for array in arrays_of(prepared)}.values())

    of_a_run = (held(128) - held(64)) / 64
    taken = work.runs * of_a_run
    assert taken < 1.1 * HOST_BYTES
    assert work.runs == work.parts[0].chunk.size or taken > HOST_BYTES / 10


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


def two_structures(seconds):
    """A plan of two structures, the chunks of which take so long."""
    functions = [gd.functions.Booth(), gd.functions.Ackley(dim=3)]
    return gd.Sweep(problem=functions, optimizer=gd.SGD(lr=[0.01, 0.1, 1.0]), starts=1700, steps=50).plan(chunk_seconds=seconds)


def info_of(**others):
    return nvidia.Device(library=DriverLibrary()).info._replace(**{"multiprocessors": 1, **others})


@pytest.mark.parametrize("most", [HOST_BYTES, 200_000])
@pytest.mark.parametrize("seconds", [1e-8, 3e-6, 1e-4])
def test_a_device_trains_as_many_chunks_of_a_structure_together_as_it_takes_to_keep_it_busy(seconds, most, monkeypatch):
    monkeypatch.setattr(device_batches, "HOST_BYTES", most)
    plan = two_structures(seconds)
    found = list(together(plan, plan.chunks, 1))
    assert sorted(chunk.name for some in found for chunk in some) == sorted(chunk.name for chunk in plan.chunks)
    place, whole = OnDevice(Device(library=DriverLibrary(multiprocessors=1)), 1), 0
    for number, group in enumerate(plan.groups):
        own = [some for some in found if some[0].group == number]
        assert [chunk for some in own for chunk in some] == [chunk for chunk in plan.chunks if chunk.group == number]
        size, counts = size_for(on_device(group, plan.starts), 1), [sum(chunk.size for chunk in some) for some in own]
        for some, count in zip(own, counts, strict=True):
            assert len(some) == 1 or count <= size.most
            assert count - some[-1].size < size.enough  # it was not busy without the last
        assert all(count >= size.enough or count + later[0].size > size.most for count, later in zip(counts, own[1:], strict=False))
        for some in own:
            works = place.works_of(plan, some)
            assert [work.runs for work in works[:-1]] == [size.most] * (len(works) - 1)
            rows = [(part.chunk.name, row) for work in works for part in work.parts for row in part.rows]
            assert rows == [(chunk.name, row) for chunk in some for row in range(chunk.size)]
            whole += len(rows)
    assert whole == plan.runs


def test_chosen_runs_of_many_chunks_are_trained_together():
    plan, place = two_structures(3e-6), OnDevice(Device(library=DriverLibrary(multiprocessors=1)), 1)
    chosen = np.arange(0, plan.runs, 40)
    assert [len({chunk.group for chunk in some}) for some in place.together(plan, plan.chunks, chosen)] == [1, 1]
    works = [work for some in place.together(plan, plan.chunks, chosen) for work in place.works_of(plan, some, chosen)]
    batches = [joined([part.batch(plan) for part in work.parts]) for work in works]
    assert np.array_equal(np.sort(np.concatenate([batch.number for batch in batches])), chosen)
    for batch in batches:
        assert [batch.values[cell] for cell in batch.cell] == [plan.cells[number % len(plan.cells)].numbers() for number in batch.number]
        assert np.array_equal(batch.start, batch.number // len(plan.cells))
        assert len(batch.values) == 3


def test_a_device_takes_as_long_however_chunks_are_cut():
    info = info_of(multiprocessors=132)
    assert training_seconds(two_structures(3e-6), info) == training_seconds(two_structures(1.0), info) > 0


@pytest.mark.parametrize("unsaid", [{"clock": 0.0}, {"bandwidth": 0.0}])
def test_what_a_driver_does_not_say_is_taken_as_usual(unsaid):
    plan = gd.Sweep(problem=gd.MLP(gd.datasets.load("digits"), hidden=[16]), optimizer=gd.SGD(), starts=10, steps=5).plan()
    assert training_seconds(plan, info_of(**unsaid)) == pytest.approx(training_seconds(plan, info_of()), rel=0.5)


def test_what_runs_take_of_a_devices_memory_is_found_out_once(monkeypatch):
    asked, needs_of = [], device_training.needs_of
    monkeypatch.setattr(device_training, "needs_of", lambda *jobs: asked.append(jobs) or needs_of(*jobs))
    for _ in range(2):
        device_memory(booth(steps=7, starts=11).plan(), Device(library=DriverLibrary(2**22)))
    assert len(asked) == 1


@pytest.mark.parametrize(("room", "threads"), [(0.5, 1), (2.5, 2), (100, 4)])
def test_a_gpu_is_fed_by_as_many_threads_as_have_room_for_a_batch_each(monkeypatch, room, threads):
    plan = booth().plan()
    monkeypatch.setattr(placing, "usable_memory", lambda: plan.shared + int(room * HOST_BYTES))
    monkeypatch.setattr(placing, "fitting_threads", lambda *given: 8)
    monkeypatch.setattr(placing, "_device_for", lambda options: Device(library=DriverLibrary(2**30)))
    assert placing.placed(plan, RunOptions(None, device="cuda")).place.threads == threads
    assert placing.placed(plan, RunOptions(3, device="cuda")).place.threads == 3
