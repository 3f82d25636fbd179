"""`python -m experiments.benchmarks.device`: what waits for a machine with a GPU runs whole on less."""

import doctest
import json
import sys

import numpy as np
import pytest

from experiments.benchmarks.device import bits, folder, report, rows, threads
from experiments.benchmarks.device.__main__ import main


@pytest.mark.parametrize("module", [bits, folder, report, rows], ids=lambda m: m.__name__.rpartition(".")[2])
def test_examples_are_true(module):
    failed, tried = doctest.testmod(module)
    assert failed == 0 < tried


def test_what_was_prepared_stays_until_its_successor_is_whole(tmp_path):
    folder.Writing(tmp_path, "rows").finish({"capabilities": {"8.0": {}}})
    with pytest.raises(ValueError, match="Object arrays"), folder.Writing(tmp_path, "rows") as writing:
        writing.keep_arrays("sums", {"a": np.array([object()])})
    assert folder.Reading(tmp_path, "rows").kernels_for((8, 0)) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_threads_are_measured_and_must_give_the_same_bits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(threads, "LINES", (threads.Line("xor", "momentum", 64, 20),))
    assert main(["threads", "run", "--most", "2", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "threads.json").read_text())["found"]
    assert [(one["work"], one["threads"]) for one in found] == [("xor", 1), ("xor", 2)]
    assert all(one["seconds"] > 0 for one in found)
    assert all(len(one["times"]) == threads.ROUNDS for one in found)
    assert "| 2 | " in (tmp_path / "threads.md").read_text()
    assert "all threads give the same bits" in capsys.readouterr().out


def test_threads_that_give_other_bits_are_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(threads, "LINES", (threads.Line("xor", "momentum", 64, 20),))
    monkeypatch.setattr(threads, "measured", lambda sweep, count: (1.0 / count, f"bits of {count}"))
    assert main(["threads", "run", "--most", "3", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "3 threads over one: xor 3.00x; THREADS GIVE OTHER BITS" in said
    assert "| 3 | 0.333 s, 3.00x (3.00 to 3.00), 100% |" in (tmp_path / "threads.md").read_text()


def test_what_there_is_no_time_for_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(threads, "LINES", (threads.Line("xor", "momentum", 64, 20),))
    assert main(["threads", "run", "--most", "2", "--seconds", "0", "--out", str(tmp_path)]) == 0
    assert "xor not run" in capsys.readouterr().out


@pytest.mark.parametrize("most", ["0", "x"])
def test_a_number_of_threads_that_cannot_be_is_refused(most, capsys):
    with pytest.raises(SystemExit):
        main(["threads", "run", "--most", most])
    assert "--most" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["bits", "rows"])
def test_nothing_is_prepared_where_nothing_compiles_for_gpus(part, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gdsim.lanes.cuda", None)
    monkeypatch.delattr("gdsim.lanes.cuda", raising=False)
    assert main([part, "prepare", "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "what compiles for GPUs is not installed" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["bits", "rows"])
def test_rows_that_there_are_none_of_are_refused(part, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("experiments.benchmarks.device.__main__.why_nothing_compiles", lambda: "")
    assert main([part, "prepare", "--rows", "nonsense", "--folder", str(tmp_path)]) == 2
    assert "no training's name begins with 'nonsense'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
