"""Sweeps on a GPU, in whose place is the interpreter: the results, folders and errors of `device=`."""

import json
import os
import signal

import pytest

import gdsim as gd
from gdsim.kernels import cuda_driver
from gdsim.sweep import doctor, known_bits
from gdsim.sweep.execution.executor import FailingError, UnfinishedError
from gdsim.sweep.execution.places import OnDevice
from gdsim.sweep.planning.devices import Choice
from gdsim.sweep.run import placing
from tests.cuda import gpu
from tests.faults.machinery import shards
from tests.helpers import gdsim

FILE = """
problem = {type = "rosenbrock"}
optimizer = {type = "adam", lr = [0.01, 0.1]}
starts = 40
steps = 12
dtype = "float32"
stop = [{type = "target", loss = 0.5}]
record = {parameters = true, state = true}
"""
CUT, FINE = {"chunk_seconds": 1e-6}, {"chunk_seconds": 2e-7}


def sweep(**others):
    given = {"starts": 20, "steps": 12, "record": gd.Record(parameters=True, state=True), "stop": [gd.Target(0.5)], "dtype": "float32"}
    return gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Adam(lr=[0.01, 0.1, 1.0]), **{**given, **others})


def check(found, truth):
    """Results are the same bits."""
    assert found.equals(truth)
    assert found.attrs["planned_runs"] == truth.attrs["planned_runs"]


@pytest.fixture
def library(monkeypatch, compiled):
    return gpu.put_in(monkeypatch, compiled)


def test_a_sweep_on_a_gpu_has_the_processors_results(library):
    truth = sweep().run()
    check(sweep().run(device="cuda"), truth)
    assert library.launches
    assert library.held == {}
    check(sweep().run(device="cuda", runs=[3, 40, 41], threads=1), truth.isel(run=[3, 40, 41]))


def test_a_folder_has_the_same_shards_and_goes_on_from_them(library, tmp_path):
    half = sweep(steps=6)
    half.run(out=tmp_path / "processors", **CUT)
    half.run(out=tmp_path / "gpu", device="cuda", **CUT)
    check(sweep().run(out=tmp_path / "gpu", device="cuda:0", **CUT).compute(), sweep().run(out=tmp_path / "processors", **CUT).compute())
    assert shards(tmp_path / "gpu") == shards(tmp_path / "processors")
    assert len(shards(tmp_path / "gpu")) > 2
    assert len(library.launches) == 2  # as the chunks of each run are trained together
    sweep().run(out=tmp_path / "gpu", device="cuda", **CUT)
    assert len(library.launches) == 2


def failing_at(run):
    """How a GPU trains, but for batches with this run, which fail."""
    training = OnDevice.training

    def failing(place, *options):
        def train(setting, batch, earlier):
            if run in batch.number:
                raise ArithmeticError(f"run {run}")
            return training(place, *options)(setting, batch, earlier)

        return train

    return failing


def test_a_chunk_that_fails_takes_none_with_it_that_are_trained_together_with_it(library, tmp_path, monkeypatch):
    training = OnDevice.training
    sweep().run(out=tmp_path / "processors", **FINE)
    monkeypatch.setattr(OnDevice, "training", failing_at(7))
    with pytest.raises(FailingError, match=r"1 of \d+ chunks failed 3 times each and were set aside; .* raised ArithmeticError: run 7"):
        sweep().run(out=tmp_path / "gpu", device="cuda", **FINE)
    assert len(shards(tmp_path / "gpu")) == len(shards(tmp_path / "processors")) - 1 > 1
    monkeypatch.setattr(OnDevice, "training", training)
    sweep().run(out=tmp_path / "gpu", device="cuda", **FINE)
    assert shards(tmp_path / "gpu") == shards(tmp_path / "processors")


@pytest.mark.full
def test_a_summary_is_that_of_processors(library):
    summary = sweep(keep="summary", record=gd.Record())
    assert summary.run(device="cuda", **CUT).equals(summary.run(**CUT))


@pytest.mark.full
def test_runs_go_on_on_a_gpu(library):
    half = sweep(steps=6).run()
    check(gd.continue_from(half, steps=6, device="cuda"), gd.continue_from(half, steps=6))
    found, truth = (gd.search.successive_halving(sweep(), eta=3, device=device) for device in ("cuda", "cpu"))
    assert found.history.equals(truth.history)


@pytest.mark.full
def test_what_a_gpu_has_to_say_is_told_as_progress(library):
    library.largest, told = 200_000, []
    check(sweep(starts=160, steps=5).run(device="cuda", progress=lambda state: told.append(state.message)), sweep(starts=160, steps=5).run())
    assert any("Interpreter had no room for" in message for message in told)


def test_a_gpu_that_fails_ends_the_sweep_in_one_sentence_and_auto_goes_on_without_it(library, monkeypatch):
    library.on_launch = lambda: library.fails.update(cuEventSynchronize=700)
    with pytest.raises(UnfinishedError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        sweep().run(device="cuda")
    with pytest.raises(ValueError, match=r"Interpreter no longer answers this process .*: start another"):
        sweep().run(device="cuda")
    monkeypatch.setattr(placing, "choice_of", lambda *asked: Choice("cuda:0", 1.0, 0, "trained on Interpreter"))
    told = []
    check(sweep().run(device="auto", progress=lambda state: told.append(state.message)), sweep().run())
    assert any(message.startswith("trained by processors: Interpreter no longer answers this process") for message in told)


def test_a_gpu_that_loads_no_kernel_sets_no_chunk_aside(library, tmp_path):
    library.fails["cuModuleLoadData"] = 209
    with pytest.raises(UnfinishedError, match="DeviceError: error 209 in cuModuleLoadData"):
        sweep().run(out=tmp_path / "out", device="cuda")
    assert not list(tmp_path.rglob("failed"))
    library.fails.clear()
    check(sweep().run(out=tmp_path / "out", device="cuda").compute(), sweep().run())


@pytest.mark.full
def test_a_gpu_that_fails_leaves_a_folder_that_goes_on(library, tmp_path):
    library.on_launch = lambda: library.fails.update(cuEventSynchronize=700)
    (tmp_path / "sweep.toml").write_text(FILE)
    code, out, errors = gdsim("run", "sweep.toml", "--device", "cuda", folder=tmp_path, patched=True)
    assert code == 3
    assert "not finished: DeviceError: CUDA_ERROR_ILLEGAL_ADDRESS" in out
    assert errors == ""


@pytest.mark.full
def test_ctrl_c_is_heard_between_two_launches(library, tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_driver, "FIRST_STEPS", 1)  # or the first launch would make all
    library.on_launch = lambda: os.kill(os.getpid(), signal.SIGINT)
    (tmp_path / "sweep.toml").write_text(FILE)
    code, out, _ = gdsim("run", "sweep.toml", "--device", "cuda", folder=tmp_path, patched=True)
    assert code == 130
    assert "interrupted" in out
    assert "0 of 80 runs are kept in results/sweep; the runs that the GPU was training together are lost. To go on" in out
    assert library.held == {}
    library.on_launch = lambda: None
    code, _, errors = gdsim("run", "sweep.toml", "--device", "cuda", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    gd.read_experiment(tmp_path / "sweep.toml").run(out=tmp_path / "processors")
    assert shards(tmp_path / "results" / "sweep") == shards(tmp_path / "processors")


@pytest.mark.parametrize(("memory", "free"), [(10_000, "4.0 kB free for it, of 10.0 kB"), (150_000, "60.0 kB free for it, of 150.0 kB")])
def test_a_gpu_with_too_little_memory_is_refused_before_anything_is_written(library, tmp_path, memory, free):
    """Also where all of the memory would be enough, and what two chunks on their way may have of it is not."""
    library.memory = memory
    with pytest.raises(ValueError, match=rf"training takes .* kB of a device's memory at least, and Interpreter has {free}: end what else"):
        sweep().run(out=tmp_path / "out", device="cuda")
    assert list(tmp_path.iterdir()) == []
    assert "at least, and Interpreter has" in sweep(starts=10**7, steps=1000).plan(device="auto", chunk_seconds=100).choice.sentence


def test_the_plan_says_where_it_is_trained_and_why(monkeypatch, compiled, tmp_path):
    gpu.put_in(monkeypatch, compiled, memory=2**24, multiprocessors=132)
    said = str(sweep().plan(device="cuda")).splitlines()[-1]
    assert said.startswith("trained on Interpreter (cuda:0), in about ")
    assert "to compile" in said
    assert "of its 16.8 MB of memory: processors would take" in said
    few, many = sweep(), sweep(starts=10**7, steps=1000)
    chosen = [one.plan(device="auto", chunk_seconds=100) for one in (few, many)]
    assert [plan.device for plan in chosen] == ["cpu", "cuda:0"]
    assert "Interpreter would take" in chosen[0].choice.sentence
    assert chosen[1].summary()["device_seconds"] < many.plan(device="cpu").summary()["device_seconds"]
    (tmp_path / "sweep.toml").write_text(FILE)
    code, out, errors = gdsim("plan", "sweep.toml", "--device", "auto", "--json", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    assert json.loads(out)["device"] == "cpu"


@pytest.mark.full
def test_the_doctor_compares_a_gpus_bits_with_the_known_ones(library, tmp_path, monkeypatch):
    monkeypatch.setattr(known_bits, "ON_DEVICES", ("functions",))
    code, out, errors = gdsim("doctor", "--train-on-gpus", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    assert "GPU 0:        Interpreter (cuda:0), compute capability 9.0, a driver for CUDA 13.1, 16.8 MB of memory: bits right (" in out
    assert len(library.launches) > 1
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: list(device and ["functions"]))
    code, out, _ = gdsim("doctor", "--train-on-gpus", folder=tmp_path, patched=True)
    assert code == 4
    assert "memory: bits WRONG in functions" in out
    assert "problem: the bits of functions on cuda:0 are not the known ones: train on processors" in out
