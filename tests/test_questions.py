"""Answers in folders: the same as in memory, piece by piece, whatever ends the making of them."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import gdsim as gd
from gdsim.questions import ask
from gdsim.questions.files import file_name, piece_bytes
from gdsim.questions.opening import open_answer
from gdsim.store.folder import Store
from gdsim.sweep.execution.executor import FailingError
from tests.helpers import gdsim
from tests.squares import SQUARES, question


def opened(folder):
    return open_answer(Store(folder), {"test.squares": SQUARES}.get)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in pathlib.Path(folder).rglob("*") if p.is_file() and p.name != "log.jsonl"}


def test_memory_and_folder_give_the_same(tmp_path):
    right = np.arange(10.0) ** 2
    for answer in (
        ask(question(), threads=2),
        ask(question(), threads=1),
        ask(question(operations=1.0)),
        ask(question(), out=tmp_path / "a"),
        opened(tmp_path / "a"),
    ):
        np.testing.assert_array_equal(answer.square, right)
        np.testing.assert_array_equal(answer.powers[:, 2], right)
        assert "missing" not in answer.attrs
    other = piece_bytes({"square": np.full(2, 7.0), "powers": np.zeros((2, 3))})  # of another processor, say
    first = min(path.name for path in (tmp_path / "a/pieces").iterdir())
    beside = tmp_path / "a" / file_name(first.partition("-")[0], other)
    beside.write_bytes(other)
    assert (7.0 in opened(tmp_path / "a").square) == (beside.name < first)  # the first by name is taken
    beside.unlink()
    for answer in (ask(question(count=0)), ask(question(count=0), out=tmp_path / "none"), opened(tmp_path / "none")):
        assert answer.powers.shape == (0, 3)
    assert len(list((tmp_path / "a/pieces").iterdir())) == 5
    before = contents(tmp_path / "a")
    ask(question(), out=tmp_path / "a", threads=1)
    assert contents(tmp_path / "a") == before


def test_a_killed_process_is_resumed_to_the_same_bytes(tmp_path):
    ask(question(), out=tmp_path / "whole")
    program = "import sys; from gdsim.questions import ask; from tests.squares import question; ask(question(), out=sys.argv[1])"
    folder, root = tmp_path / "killed", pathlib.Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program, str(folder)], cwd=root, env={**os.environ, "DIE_AT": "4"}, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    part = opened(tmp_path / "killed")
    assert part.attrs["missing"] == 6
    assert np.isnan(part.square[4:]).all()
    np.testing.assert_array_equal(part.square[:4], np.arange(4.0) ** 2)
    ask(question(), out=tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_what_is_there_is_not_made_again(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    ask(question(marks=str(marks)), out=tmp_path / "a")
    made = {p.name for p in marks.iterdir()}
    assert made == {"0", "2", "4", "6", "8"}
    damaged = sorted((tmp_path / "a/pieces").iterdir())[1]
    held = damaged.read_bytes()
    damaged.write_bytes(held[:-1] + b"?")
    for mark in marks.iterdir():
        mark.unlink()
    with pytest.raises(ValueError, match="damaged: its bytes do not match its name; ask the same again"):
        opened(tmp_path / "a")
    ask(question(marks=str(marks)), out=tmp_path / "a")
    assert len(list(marks.iterdir())) == 1
    assert damaged.read_bytes() == held
    assert [p.name for p in (tmp_path / "a/quarantine").iterdir()] == [damaged.name]


def test_arrays_that_follow_from_a_question_are_those_of_who_began_its_folder(tmp_path):
    first = question()._replace(derived=("x",))
    other = first._replace(arrays={"x": first.arrays["x"] * (1.0 + 1e-15)})
    right = ask(first, out=tmp_path / "a")
    next((tmp_path / "a/pieces").iterdir()).unlink()
    assert right.identical(ask(other, out=tmp_path / "a"))
    assert right.identical(opened(tmp_path / "a"))
    next((tmp_path / "a/data").iterdir()).unlink()
    with pytest.raises(ValueError, match="remove the folder and ask anew"):
        ask(other, out=tmp_path / "a")


def test_a_folder_of_something_else_is_refused_before_anything_is_written(tmp_path):
    ask(question(), out=tmp_path / "a")
    ask(question(power=1), out=tmp_path / "one")
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/experiment.json").write_text("{}")
    before = contents(tmp_path)
    for out, message, other in (
        ("a", "holds another question .it differs in power.; give another folder", question(power=2)),
        ("a", "it differs in x", question(count=11)),
        ("one", "it differs in power", question(power=True)),
        ("file", "is a file; give a folder", question()),
        ("file/below", "cannot be a folder of results", question()),
        ("other", "holds other files and no gdsim results", question()),
        ("sweep", "holds the runs of a sweep; give another folder, which may lie in it", question()),
    ):
        with pytest.raises(ValueError, match=message):
            ask(other, out=tmp_path / out)
    assert contents(tmp_path) == before
    with pytest.raises(ValueError, match="holds the answer to a call, and no runs of a sweep; give an empty"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD()).run(out=tmp_path / "a")
    for command in (("export", "a", "a.csv"), ("merge", "b", "a")):
        code, _, errors = gdsim(*command, folder=tmp_path, patched=True)
        assert (code, "/a' holds the answer to a call, and no runs of a sweep; gd.open(" in errors) == (2, True)
    for wrong, message in (
        ({"threads": 0}, "threads"),
        ({"client": object()}, "give out="),
        ({"client": object(), "out": "a", "threads": 2}, "give one of them"),
    ):
        with pytest.raises(ValueError, match=message):
            ask(question(), **wrong)


def test_pieces_that_fail_are_told_of_when_all_others_are_finished(tmp_path):
    with pytest.raises(FailingError, match=r"1 of 5 pieces of gd.test.squares failed.*points 2 to 3 raised ArithmeticError: no such square"):
        ask(question(fails=[2]), out=tmp_path / "a")
    assert opened(tmp_path / "a").attrs["missing"] == 2
    with pytest.raises(ArithmeticError, match="no such square"):
        ask(question(fails=[2]))


def test_a_public_function_keeps_its_answer(tmp_path):
    problem, rng = gd.Quadratic([[2.0, 1.0], [1.0, 2.0]]), np.random.default_rng(0)
    points = rng.normal(size=(5, 2))
    known = gd.curvature.eigenvalues(problem, points, out=tmp_path / "a")
    np.testing.assert_allclose(known.eigenvalue, np.tile([3.0, 1.0], (5, 1)), rtol=1e-12)
    assert known.identical(gd.curvature.eigenvalues(problem, points))
    assert known.identical(gd.open(tmp_path / "a"))
    with pytest.raises(ValueError, match="it differs in k"):
        gd.curvature.eigenvalues(problem, points, k=1, out=tmp_path / "a")
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=[0.1, 0.2]), starts=2, steps=2, record=gd.Record(parameters=True)).run()
    of_runs = gd.curvature.eigenvalues(result, out=tmp_path / "b")
    assert of_runs.identical(gd.open(tmp_path / "b"))
    assert of_runs.lr.values.tolist() == [0.1, 0.2, 0.1, 0.2]
    assert of_runs.label.values.tolist() == result.label.values.tolist()
