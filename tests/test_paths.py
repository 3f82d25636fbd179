"""Results folders and files as people name them: home folders, another current folder, folders that have
gone, names that no file can have.
"""

import os
import pathlib
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main
from gdsim.filenames import user_path

TINY = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=2, steps=10)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and another current folder."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_for_results_and_data(home):
    TINY.run(out="~/mine")
    assert (home / "mine" / "experiment.json").is_file()
    assert not os.listdir(".")
    assert gd.open(pathlib.Path("~/mine")).sizes["run"] == 2
    assert CliRunner().invoke(main, ["status", "~/mine", "--json"]).exit_code == 0
    np.savez(home / "data.npz", X=[[0.0], [1.0]], y=[0.0, 1.0])
    text = 'steps = 1\n[problem]\ntype = "linear_regression"\ndata = {path = "~/data.npz"}\n[optimizer]\ntype = "sgd"\n'
    (home / "line.toml").write_text(text)
    assert gd.read_experiment("~/line.toml").problem[0].data.X.shape == (2, 1)
    export = CliRunner().invoke(main, ["export", "~/mine", "~/runs.csv"])
    assert (export.exit_code, (home / "runs.csv").is_file()) == (0, True), export.output


def test_a_result_is_read_from_anywhere(home, monkeypatch):
    result, expected = TINY.run(out="res"), TINY.run().final_loss.values
    monkeypatch.chdir("/")
    assert np.array_equal(result.final_loss.values, expected)


@pytest.mark.parametrize("leave", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("elsewhere"))])
def test_a_folder_that_has_gone_is_not_called_damaged(home, leave):
    result = TINY.run(out="res")
    leave(pathlib.Path("res"))
    with pytest.raises(ValueError, match=r"the results folder '/.*res' has gone since it was opened: it was moved or removed") as caught:
        result.loss.values  # noqa: B018
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_results_folder_says_which_may_be_meant(home):
    TINY.run(out="results/booth")
    pathlib.Path("notes.txt").write_text("")
    for path, said in {
        "results": r"holds no gdsim results: there is no experiment.json; '/.*/results/booth' does$",
        "results/boot": "in '/.*/boot': there is no such folder; in '/.*', did you mean 'booth'",
        "nowhere/boot": "in '/.*/boot': neither this folder nor the one around it is there",
        "results/booth/shards": "holds no gdsim results: there is no experiment.json, '/.*/results/booth'$",
        "results/booth/experiment.json": "is a file; give the folder of the results, '/.*/results/booth'$",
        "notes.txt": "'/.*/notes.txt' is a file; give the folder of the results$",
        "notes.txt/x": "in '/.*/x': neither this folder nor the one around it is there",
    }.items():
        with pytest.raises(ValueError, match=said):
            gd.open(path)
        command = CliRunner().invoke(main, ["status", path])
        assert (command.exit_code, len(command.output.splitlines())) == (2, 1)


@pytest.mark.parametrize(("out", "error", "said"), [
    ("caf\udce9", ValueError, r"'caf\\udce9' is not UTF-8"), ("\ud800", ValueError, "is not UTF-8"), (b"caf\xc3", TypeError, "the name of a file or folder"),
    ("", ValueError, "the name of a file or folder"), ("a\0b", ValueError, "the name of a file or folder"), (5, TypeError, "5 was given"),
    ("~no-such-user/x", ValueError, "a home folder that is not known"), ("notes.txt", ValueError, "is a file"),
    ("notes.txt/x", ValueError, "cannot be a folder of results: Not a directory"), ("x" * 300, ValueError, "cannot be a folder of results: File name too long"),
])  # fmt: skip
def test_a_folder_that_cannot_be_is_refused_before_anything_is_trained(home, out, error, said):
    pathlib.Path("notes.txt").write_text("")
    with pytest.raises(error, match=said) as caught:
        TINY.run(out=out)
    assert "\n" not in str(caught.value)
    assert os.listdir(".") == ["notes.txt"]


def test_the_current_folder_may_have_gone(home):
    pathlib.Path("../work").resolve().rmdir()
    with pytest.raises(ValueError, match="the current folder, which has gone"):
        user_path("res")
