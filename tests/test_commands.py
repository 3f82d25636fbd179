"""What can be done with a results folder from the command line: status, verify, export, merge; and the
doctor.
"""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import xarray

import gdsim as gd
from gdsim.cli import watching
from gdsim.store import folder as stores
from gdsim.store.shards import read_footer
from gdsim.sweep.run import compiling
from gdsim.sweep.run.options import RunOptions
from tests.faults.machinery import shards
from tests.helpers import gdsim

CUT = {"chunk_seconds": 1e-5}


@pytest.fixture(scope="module")
def sweep():
    booth = gd.functions.Booth()
    return gd.Sweep(problem=booth, optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam()], starts=50, steps=100, record=gd.Record(every=50, parameters=True))


@pytest.fixture(scope="module")
def stored(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "booth"
    sweep.run(out=folder, **CUT)
    return folder


@pytest.fixture
def partial(stored, tmp_path):
    """A folder that lacks a shard, has one damaged, one in quarantine and a failed chunk."""
    folder = tmp_path / "partial"
    shutil.copytree(stored, folder)
    first, second, *_ = sorted((folder / "shards").iterdir())
    first.unlink()
    second.write_bytes(b"")
    (folder / "quarantine").mkdir()
    (folder / "quarantine" / "bad.parquet").write_bytes(b"x")
    (folder / "failed").mkdir()
    (folder / "failed" / "abc.txt").write_text("Traceback")
    return folder


def test_status(stored, partial, tmp_path):
    code, out, _ = gdsim("status", stored, folder=tmp_path)
    assert code == 0
    assert "150 of 150 runs are finished (100.0%)" in out
    code, out, _ = gdsim("status", partial, "--json", folder=tmp_path)
    assert code == 4
    found = json.loads(out)
    assert 0 < found["finished_runs"] < 150
    assert found["missing_chunks"] == 2
    assert len(found["damaged"]) == 1
    assert found["quarantined"] == ["bad.parquet"]
    assert found["failed_chunks"] == ["abc"]
    code, out, _ = gdsim("status", partial, folder=tmp_path)
    for words in ("failed, failed/ says why", "in quarantine/", "damaged", "runs are missing, in 2 chunks", "run the experiment again"):
        assert words in out


@pytest.mark.parametrize("harm", ["name", "size", "footer"])
def test_status_sees_what_it_can_without_reading_all(stored, tmp_path, harm):
    """A shard that is damaged where it is looked at is told of, and its folder is not finished; of the rest
    it says who looks.
    """
    folder = shutil.copytree(stored, tmp_path / "one")
    assert "gdsim verify checks every byte" in gdsim("status", folder, folder=tmp_path)[1]
    path = next((folder / "shards").iterdir())
    data = path.read_bytes()
    if harm == "name":  # another copy, whose runs the good one has
        shutil.copy(path, path.with_name("copy.parquet"))
    else:
        path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 100 :] if harm == "size" else data[:-40] + b"\0" * 30 + data[-10:])
    code, out, _ = gdsim("status", folder, "--json", folder=tmp_path)
    found = json.loads(out)
    assert code == 4
    assert (found["state"], len(found["damaged"])) == ("stopped", 1)
    assert "run the experiment again" in gdsim("status", folder, folder=tmp_path)[1]


def test_exit_codes_tell_what_is_missing_from_what_is_damaged(stored, tmp_path):
    shutil.copytree(stored, tmp_path / "out")
    next((tmp_path / "out" / "shards").iterdir()).unlink()
    assert gdsim("status", "out", folder=tmp_path)[0] == 3
    assert gdsim("verify", "out", folder=tmp_path)[0] == 0
    experiment = tmp_path / "out" / "experiment.json"
    experiment.write_text(experiment.read_text().replace("50", "51", 1))
    for command in ("status", "verify", "report"):
        code, _, errors = gdsim(command, "out", folder=tmp_path)
        assert (code, len(errors.splitlines())) == (4, 1), command
    experiment.unlink()
    assert gdsim("status", "out", folder=tmp_path)[0] == 2


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_folder_is_watched_until_it_lacks_nothing(stored, tmp_path, monkeypatch):
    """A line for each change, none where nothing has changed; Ctrl-C ends it with the code of the last
    state.
    """
    shutil.copytree(stored, tmp_path / "out")
    first, second, *_ = sorted((tmp_path / "out" / "shards").iterdir())
    kept = {path: path.read_bytes() for path in (first, second)}
    first.unlink()
    second.unlink()
    runs = gd.open(stored).sizes["run"]
    read, whole = [], len(kept) + len(list((tmp_path / "out" / "shards").iterdir()))
    monkeypatch.setattr(stores, "read_footer", lambda file: read.append(file.name) or read_footer(file))
    events = iter([lambda: None, lambda: first.write_bytes(kept[first]), lambda: second.write_bytes(kept[second])])
    monkeypatch.setattr(watching.time, "sleep", lambda _: next(events)())
    code, out, errors = gdsim("status", "out", "--watch", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert [line.split(" of ")[0] for line in lines] == sorted({line.split(" of ")[0] for line in lines}, key=int)
    assert len(lines) == 3
    assert lines[-1].startswith(f"{runs} of {runs} runs, 0 chunks missing, finished")
    assert len(read) == whole  # each footer once, in four looks
    first.unlink()
    monkeypatch.setattr(watching.time, "sleep", interrupt)
    code, out, _ = gdsim("status", "out", "--watch", "--json", folder=tmp_path, patched=True)
    assert code == 3
    assert json.loads(out)["missing_chunks"] == 1


def test_a_folder_that_is_yet_to_come_is_waited_for(stored, tmp_path, monkeypatch):
    events = iter([lambda: None, lambda: shutil.copytree(stored, tmp_path / "out")])
    monkeypatch.setattr(watching.time, "sleep", lambda _: next(events)())
    code, out, errors = gdsim("status", "out", "--watch", folder=tmp_path, patched=True)
    assert (code, out.count("\n")) == (0, 1)
    assert "finished" in out
    assert errors.endswith("out': there is no such folder\nwaiting for results there, until Ctrl-C\n")
    monkeypatch.setattr(watching.time, "sleep", interrupt)
    code, _, errors = gdsim("status", "ouf", "--watch", folder=tmp_path, patched=True)
    assert code == 130
    assert "ouf': there is no such folder; in " in errors
    assert "did you mean 'out'?" in errors
    (tmp_path / "file").touch()
    code, _, errors = gdsim("status", "file", "--watch", folder=tmp_path)
    assert (code, "file' is a file; give the folder of the results" in errors) == (2, True)


def test_a_terminal_shows_one_state_in_place(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which Rich takes any stream for a terminal
    code, out, _ = gdsim("status", stored, "--watch", folder=tmp_path)
    assert code == 0
    assert out.count("\x1b[2K") >= out.count("runs are finished (100.0%)") - 1  # each but the first writes over the one before
    assert "150 of 150 runs are finished" in out


def test_verify(stored, partial, tmp_path):
    code, out, errors = gdsim("verify", stored, folder=tmp_path)
    assert (code, errors) == (0, "")
    assert "0 files are damaged" in out
    code, out, _ = gdsim("verify", partial, "--json", folder=tmp_path)
    assert code == 4
    assert list(json.loads(out)["damaged"].values()) == ["its bytes do not match its name"]


def test_exports_hold_what_the_folder_holds(stored, tmp_path):
    truth = gd.open(stored).load()
    for name in ("a.parquet", "a.csv", "a.nc", "a.zarr"):
        code, out, errors = gdsim("export", stored, name, folder=tmp_path)
        assert code == 0, errors
        assert f"written: {name}" in out
    assert xarray.open_dataset(tmp_path / "a.nc").load().equals(truth)
    assert xarray.open_zarr(tmp_path / "a.zarr", consolidated=False).load().equals(truth)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["final_loss"].to_numpy().tolist() == truth.final_loss.values.tolist()
    assert np.array_equal(np.stack(table["loss"].to_pylist()), truth.loss.values)
    frame = pandas.read_csv(tmp_path / "a.csv")
    assert frame["loss@50"].to_numpy() == pytest.approx(truth.loss.values[:, 1], rel=1e-12)
    assert frame["parameters@1"].to_numpy() == pytest.approx(truth.parameters.values[:, 1], rel=1e-12)
    assert frame["optimizer"].tolist() == truth.optimizer.values.tolist()


def test_exports_that_cannot_be(stored, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    for target, message in (("a.xls", "which is no known format"), ("there.csv", "is there already"), ("none/a.csv", "there is no folder 'none'")):
        code, _, errors = gdsim("export", stored, target, folder=tmp_path)
        assert code == 2
        assert message in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.csv"]
    assert (tmp_path / "there.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.nc", "a.zarr"])
def test_a_folder_without_a_finished_run_is_not_exported(stored, tmp_path, name):
    shutil.copytree(stored, tmp_path / "begun")
    for shard in (tmp_path / "begun" / "shards").iterdir():
        shard.unlink()
    code, _, errors = gdsim("export", "begun", name, folder=tmp_path)
    assert (code, errors) == (2, "Error: no run of 'begun' is finished yet: there is nothing to export\n")
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


@pytest.mark.parametrize(("command", "name"), [("export", "a.csv"), ("export", "a.zarr"), ("new", "a.toml")])
def test_where_nothing_may_be_written_the_error_names_what_was_asked_for(stored, tmp_path, monkeypatch, command, name):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", f"{tmp_path}/.writing-host-1234")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    code, _, errors = gdsim(command, *((stored, name) if command == "export" else ("mlp", name)), folder=tmp_path, patched=True)
    assert (code, errors) == (2, f"Error: {name!r}: Permission denied\n")


def test_merge_brings_folders_of_one_experiment_together(sweep, stored, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(stored, tmp_path / name)
    for number, path in enumerate(sorted((tmp_path / "a" / "shards").iterdir())):
        (tmp_path / "ab"[number % 2] / "shards" / path.name).unlink()
    code, out, errors = gdsim("merge", "whole", "a", "b", folder=tmp_path)
    assert code == 0, errors
    assert f"{len(shards(stored))} shards are new in whole" in out
    assert shards(tmp_path / "whole") == shards(stored)
    assert "0 shards are new" in gdsim("merge", "whole", "a", "b", folder=tmp_path)[1]
    gd.Sweep(problem=gd.functions.Beale(), optimizer=gd.SGD(), steps=5).run(out=tmp_path / "other")
    code, _, errors = gdsim("merge", "mixed", "a", "other", folder=tmp_path)
    assert code == 2
    assert "holds another experiment" in errors
    assert not (tmp_path / "mixed").exists()
    path = next((tmp_path / "a" / "shards").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    code, _, errors = gdsim("merge", "damaged", "a", folder=tmp_path)
    assert code == 4
    assert "its bytes do not match its name" in errors


def test_the_doctor_knows_the_bits(tmp_path):
    code, out, errors = gdsim("doctor", "--json", folder=tmp_path)
    assert code == 0, out + errors
    found = json.loads(out)
    assert found["wrong_bits"] == []
    assert found["problems"] == []
    assert found["threads"] >= 1
    code, out, _ = gdsim("doctor", folder=tmp_path)
    assert "bits:         right" in out
    assert found["cached_kernels"] >= 3
    assert re.search(r"/kernels, [\d,]+ kernels in [\d.]+ .B of this gdsim for this processor", out)


@pytest.mark.full
def test_after_compile_a_run_compiles_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path / "cache"))
    text = "starts = 40\nsteps = 50\nkeep = {keep!r}\nproblem = {{type = 'booth'}}\noptimizer = [{{type = 'sgd', lr = [0.01, 0.02]}}, {{type = 'momentum'}}]\n"
    kernels = set[str]()
    for keep in ("runs", "summary"):
        (tmp_path / "e.toml").write_text(text.format(keep=keep))
        code, out, errors = gdsim("compile", "e.toml", "--threads", 2, "--json", folder=tmp_path)
        assert code == 0, out + errors
        found = json.loads(out)
        before, kernels = kernels, {p.name for p in (tmp_path / "cache").rglob("*.kernel")}
        assert (found["structures"], found["kernels"]) == (2, len(kernels - before))  # those that children have made too
        assert not (tmp_path / "results").exists()
        assert gdsim("run", "e.toml", "--threads", 2, "--out", keep, folder=tmp_path)[0] == 0
        trained = {p.name for p in (tmp_path / "cache").rglob("*.kernel")}
        assert kernels == trained
    for experiment in ("e.toml", "summary"):  # its file, or the folder that it has filled
        code, out, _ = gdsim("compile", experiment, "--threads", 2, folder=tmp_path)
        assert code == 0
        assert "nothing to compile: the kernels of 2 structures are in " in out


def test_a_short_last_chunk_has_kernels_of_its_own(monkeypatch):
    prepared = []
    monkeypatch.setattr(compiling, "prepare", lambda place, work, *_: prepared.append(work.setting.is_written_out))
    monkeypatch.setattr(compiling, "_begin", lambda plan, work: None)
    problem = gd.MLP(gd.datasets.load("moons"), hidden=[6])
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), starts=1300, steps=1000, batch=16)
    assert [c.size for c in sweep.plan(chunk_seconds=0.1).chunks] == [1115, 185]
    assert compiling.compile_kernels(sweep, RunOptions(1, chunk_seconds=0.1)).structures == 1
    assert prepared == [True, False]


def test_what_cannot_be_compiled_ahead(tmp_path):
    (tmp_path / "e.toml").write_text("problem = {type = 'booth'}\noptimizer = {type = 'sgd'}\n")
    for options, message in (
        (("--threads", 2, "--for-workers"), "--threads is of a process, and --for-workers of a cluster: give one of them"),
        (("--threads", 0), "threads must be a whole number from 1; 0 was given"),
        (("--lanes", 3), "lanes"),
    ):
        code, _, errors = gdsim("compile", "e.toml", *options, folder=tmp_path)
        assert code == 2
        assert message in errors
        assert len(errors.splitlines()) <= 4
    (tmp_path / "empty").mkdir()
    for options, message in (((), "no gdsim results"), (("--set", "steps=3"), "whose experiment is as it is: leave --set out")):
        code, _, errors = gdsim("compile", "empty", *options, folder=tmp_path)
        assert code == 2
        assert message in errors
        assert len(errors.splitlines()) == 1


def test_clusters_that_cannot_be(tmp_path):
    (tmp_path / "e.toml").write_text('[problem]\ntype = "booth"\n[optimizer]\ntype = "sgd"\n')
    (tmp_path / "left.json").write_text('{"address": "tls://127.0.0.1:1"}')
    (tmp_path / "other.json").write_text('{"address": 3}')
    tls = [text for name in ("ca", "cert", "key") for text in (f"--tls-{name}", "e.toml")]
    for options, message in (
        (("--workers", 2, "--scheduler", "tcp://127.0.0.1:1"), "give one cluster"),
        (("--scheduler-file", "none.json"), "there is no file 'none.json'"),
        (("--tls-ca", "e.toml"), "go together"),
        (("--scheduler", "tcp"), "address is like tcp://10.0.0.5:8786, with a host and a port; 'tcp' was given"),
        (("--scheduler", "tcp://10.0.0.5"), "with a host and a port"),
        (("--workers", 0), "0 is not in the range x>=1"),
        (("--scheduler-file", "e.toml"), "'e.toml' is no file in which a scheduler has left its address"),
        (("--scheduler", "tls://127.0.0.1:1", *tls), "'e.toml', 'e.toml' and 'e.toml' are no certificates and key that TLS can use"),
        (("--scheduler", "tls://127.0.0.1:1"), "tls://127.0.0.1:1 takes certificates: give --tls-ca, --tls-cert and --tls-key"),
        (("--scheduler-file", "other.json"), "'other.json' is no file in which a scheduler has left its address"),
        (("--scheduler-file", "left.json"), "tls://127.0.0.1:1 takes certificates"),
        (("--chunk-seconds", -1), "chunk_seconds must be a positive number"),
        (("--chunk-seconds", "inf"), "chunk_seconds must be a positive number of at most 1e+09; inf was given"),
        (("--attempts", 0), "attempts must be a whole number from 1"),
    ):
        code, out, errors = gdsim("run", "e.toml", *options, folder=tmp_path, patched="left.json" not in options)  # one in a process of its own
        assert code == 2, options
        assert message in errors
        assert "Traceback" not in out + errors
        assert not (tmp_path / "results").exists()


def test_an_interrupt_while_a_text_is_evaluated_has_the_exit_code_of_interrupts(tmp_path):
    """Python itself remembers such an interrupt, caught or not, and ends what `-m` has run by SIGINT."""
    (tmp_path / "command.py").write_text(
        "from gdsim.cli.common import leave_interrupted\n"
        "def interrupted(): raise KeyboardInterrupt\n"
        "try:\n    eval('interrupted()')\nexcept KeyboardInterrupt:\n    leave_interrupted()\n"
    )
    assert subprocess.run([sys.executable, "-m", "command"], cwd=tmp_path, check=False).returncode == 130
