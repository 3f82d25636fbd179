"""`python -m experiments.benchmarks.device` whole, with the interpreter in the device's place: what is prepared is run, and
wrong answers are found.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.benchmarks.device import bits, folder, rows, sums
from experiments.benchmarks.device.__main__ import main
from experiments.benchmarks.works import Row
from gdsim.kernels import cuda as cuda_kernels
from gdsim.lanes.cubins import Compiled
from tests.cuda.driver import DriverLibrary
from tests.cuda.kernels import loadable
from tests.cuda.table import TABLE

TRAINING = next(row for row in TABLE if row.tier == "full")
ROSENBROCK = Row("rosenbrock", "adam", 40, 20, ("jax",), 2.0)
MILLISECONDS = 2.0  # between two events


class Timed(DriverLibrary):
    """A driver that has events which tell times, too."""

    def EventCreate(self, event, flags):
        if flags.value:
            return super().EventCreate(event, flags)
        event._obj.value = 1
        return 0

    def EventRecord(self, event, stream):
        return 0 if event.value == 1 else super().EventRecord(event, stream)

    def EventElapsedTime(self, milliseconds, before, behind):
        assert before.value == behind.value == 1
        milliseconds._obj.value = MILLISECONDS


@pytest.fixture
def small(compiled, monkeypatch):
    """Few inputs, one training and one row; PTX stands for machine code."""

    def as_ptx(template, parts, arguments, capability, title=None):
        return loadable(compiled(template, parts, arguments, capability))

    for module in (cuda_kernels, sums, rows):
        monkeypatch.setattr(module, "cubin_of", as_ptx)
    monkeypatch.setattr(sums, "BLOCK", 64)
    monkeypatch.setattr(bits, "TABLE", (TRAINING,))
    monkeypatch.setattr(rows, "ROWS", (ROSENBROCK,))
    monkeypatch.setattr(rows, "PEAK_STEPS", 2)


@pytest.mark.parametrize("part", ["bits", "rows"])
@pytest.mark.usefixtures("cuda")
def test_a_capability_for_which_nothing_is_compiled_is_refused_before_anything_is_made(part, tmp_path, capsys):
    assert main([part, "prepare", "--capability", "9.0", "1.0", "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("no code is made for compute capability 1.0: the CUDA compiler that is installed knows 7.5")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_bits_are_compared_and_wrong_ones_are_found(small, tmp_path, monkeypatch, capsys):
    place = ["--folder", str(tmp_path)]
    assert main(["bits", "prepare", *place, "--functions", "exp", "--every", str(2**24)]) == 0
    assert "of at most 64" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "gdsim.lanes.cuda", None)  # what compiles is not there
    run = ["bits", "run", *place, "--out", str(tmp_path / "out")]
    assert main(run, Timed(2**23)) == 0
    assert "Interpreter: 2 of 2 have the same bits, in " in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "bits.json").read_text())
    assert found["found"] == [{"name": name, "found": "same bits"} for name in ("exp", TRAINING.name)]

    assert main([*run, "--seconds", "-1"], Timed(2**23)) == 1  # nothing was found
    assert "0 of 2 have the same bits; 2 not run" in capsys.readouterr().out

    for file, name in (("sums", "exp"), ("case 0", "final_loss")):
        with np.load(tmp_path / "bits" / f"{file}.npz") as kept:
            arrays = dict(kept)
        arrays[name][-1:].view(np.uint32)[...] ^= 1
        np.savez(tmp_path / "bits" / f"{file}.npz", **arrays)
    assert main(run, Timed(2**23)) == 1
    assert f"0 of 2 have the same bits; NOT: exp, {TRAINING.name}" in capsys.readouterr().out
    said = (tmp_path / "out" / "bits.md").read_text()
    assert "| exp | 1 of 4 blocks differ, the first is 3 |" in said
    assert f"| {TRAINING.name} | final_loss: 1 of {TRAINING.runs} differ, at [{TRAINING.runs - 1}] " in said


@pytest.mark.slow
def test_rows_are_measured_beside_what_the_others_say(small, tmp_path, monkeypatch, capsys):
    place = ["--folder", str(tmp_path)]
    assert main(["rows", "prepare", *place]) == 0
    run = ["rows", "run", *place, "--out", str(tmp_path)]
    monkeypatch.setattr(rows, "answer", lambda *words, **others: json.dumps({"us": 1e6, "loss": loss}))
    for loss in (np.inf, 0.0):  # noqa: B007  what a peer says
        assert main(run, Timed(2**23)) == 1
        assert "WRONG: rosenbrock-adam-40" in capsys.readouterr().out
    loss = json.loads((tmp_path / "rows.json").read_text())["found"][0]["gdsim"]["loss"]
    assert main(run, Timed(2**23)) == 0
    assert "1 of 1 rows run; of 1 with a peer kernels are ahead in 1, as far as aimed at in 1, the whole in 1" in capsys.readouterr().out
    found = json.loads((tmp_path / "rows.json").read_text())
    (one,) = found["found"]
    assert one["gdsim"]["kernels_us"] * 40 * 20 % (MILLISECONDS * 1e3) == pytest.approx(0.0, abs=1e-6)
    assert one["ratio"] == pytest.approx(1e6 / one["gdsim"]["us"])
    assert found["peak"] == pytest.approx(2 * 2 * 4 * 32 * rows.CHAINS * 2 / (MILLISECONDS / 1e3) / 1e9)
    assert f"| {ROSENBROCK.work}, Adam, 40, 20 | " in (tmp_path / "rows.md").read_text()


def test_what_fails_is_named_and_after_a_lost_device_nothing_is_tried(small, tmp_path, monkeypatch, capsys):
    place = ["--folder", str(tmp_path)]
    monkeypatch.setattr(bits, "TABLE", ())
    assert main(["bits", "prepare", *place, "--functions", "exp", "log", "--every", str(2**24)]) == 0
    for function, code, said in (
        ("cuModuleLoadData", 200, "NOT: exp, log"),
        ("cuMemAlloc_v2", 2, "NOT: exp, log"),
        ("cuLaunchKernel", 700, "1 not run; NOT: exp"),
    ):
        library = Timed()
        library.fails[function] = code
        assert main(["bits", "run", *place, "--out", str(tmp_path)], library) == 1
        assert said in capsys.readouterr().out


def test_a_machine_with_a_device_needs_neither_compiler_nor_test_tools():
    script = "import sys, experiments.benchmarks.device.__main__; print(*{'pytest', 'hypothesis', 'numba_cuda', 'gdsim.lanes.cuda'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], cwd=folder.ROOT, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_peer_that_fails_is_named_and_one_without_time_is_not_begun():
    said = rows.of_peer("jax", ROSENBROCK, 60.0)
    assert said["why"].startswith("failed: ")
    assert rows.of_peer("jax", ROSENBROCK, 1.0) == {"why": "not run"}


@pytest.mark.parametrize("part", ["bits", "rows"])
def test_without_a_device_or_a_folder_one_line_is_said(part, tmp_path, capsys):
    words = [part, "run", "--folder", str(tmp_path)]
    library = Timed()
    assert main(words, library) == 2
    assert f"prepared in {tmp_path / part}: make it, on any machine, by python -m experiments.benchmarks.device {part} prepare" in capsys.readouterr().err
    library.fails["cuInit"] = 100
    assert main(words, library) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("the NVIDIA driver finds no GPU")


@pytest.mark.parametrize("words", [("--every", "3"), ("--every", "8192")])
def test_a_spacing_of_inputs_that_cannot_be_is_refused(words, tmp_path, capsys):
    assert main(["bits", "prepare", "--folder", str(tmp_path), *words]) == 2
    assert "--every must be a power of two up to 4096" in capsys.readouterr().err


def test_a_device_that_fails_where_nothing_can_be_measured_without_it_is_said(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rows, "ROWS", ())
    assert main(["rows", "prepare", "--folder", str(tmp_path)]) == 0
    library = Timed()
    library.fails["cuLaunchKernel"] = 700
    assert main(["rows", "run", "--folder", str(tmp_path)], library) == 1
    assert "the device failed: CUDA_ERROR_ILLEGAL_ADDRESS in cuLaunchKernel" in capsys.readouterr().err


def test_a_folder_of_another_tree_or_for_other_devices_is_refused(tmp_path, monkeypatch, capsys):
    writing = folder.Writing(tmp_path, "rows")
    writing.finish({"capabilities": {"7.5": {}, "8.0": {}, "8.9": {}}})
    assert main(["rows", "run", "--folder", str(tmp_path)], Timed()) == 2
    assert "has kernels for 7.5, 8.0 and 8.9, and this device is of capability 9.0: prepare with --capability 9.0" in capsys.readouterr().err
    assert folder.Reading(tmp_path, "rows").kernels_for((8, 6)) == {}
    monkeypatch.setattr(folder, "tree_digest", lambda: "other")
    assert main(["rows", "run", "--folder", str(tmp_path)], Timed()) == 2
    assert "was prepared by another tree than this" in capsys.readouterr().err


def test_a_folder_beyond_64_mebibytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MOST_BYTES", 2**20)
    writing = folder.Writing(tmp_path, "bits")
    name = writing.keep_kernel(Compiled(np.random.default_rng(0).bytes(2**20), "k", 32, 0, 0))
    assert writing.keep_kernel(Compiled(np.random.default_rng(0).bytes(2**20), "k", 32, 0, 0)) == name
    with pytest.raises(ValueError, match=r"has 1\.0 MiB, more than the 1 that are carried"):
        writing.finish({})
