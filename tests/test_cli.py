"""The command line as a user meets it: runs, plans, mistakes, Ctrl-C."""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.cluster import client
from gdsim.sweep.execution.executor import UnfinishedError
from tests.helpers import gdsim

ROOT = pathlib.Path(__file__).parent.parent
GOOD = """
starts = 3
steps = 20
batch = 16

[problem]
type = "mlp"
data = { name = "moons", validation = 0.25 }
hidden = { grid = [[4], [3, 3]] }
activation = "tanh"

[[optimizer]]
type = "adam"
lr = { logspace = [0.001, 0.1, 3] }

[[optimizer]]
type = "sgd"
lr = [0.1, 1e9]

[schedule]
type = "cosine"
cycle = 10

[[stop]]
type = "target"
loss = 0.3

[record]
every = "log"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "moons.toml"
    path.write_text(GOOD)
    return path


def test_run_does_what_the_call_does(file):
    code, out, errors = gdsim("run", file.name, "--threads", 2, folder=file.parent)
    assert code == 0, errors
    assert "results: results/moons" in out
    assert "by steps to loss 0.3" in out
    assert "validation" in out
    result = gd.open(file.parent / "results" / "moons")
    assert result.sizes["run"] == 30
    assert (file.parent / "results" / "moons" / "convergence.png").stat().st_size > 10_000
    assert set(result.status.values.tolist()) >= {"diverged"}
    problem = gd.MLP(gd.datasets.load("moons", validation=0.25), hidden=gd.grid([4], [3, 3]), activation="tanh")
    sweep = gd.Sweep(
        problem=problem, optimizer=[gd.Adam(lr=gd.logspace(0.001, 0.1, 3)), gd.SGD(lr=[0.1, 1e9])], schedule=gd.Cosine(10),
        starts=3, steps=20, batch=16, stop=[gd.Target(0.3)], record=gd.Record(every="log"),
    )  # fmt: skip
    assert sweep.run().identical(result)
    again, out, _ = gdsim("run", file.name, folder=file.parent)
    assert again == 0
    assert "30 of 30 runs" in out


def test_plan_runs_nothing(file):
    code, out, _ = gdsim("plan", file.name, folder=file.parent)
    assert code == 0
    assert "30 runs: 3 starts in 10 cells of 4 structures" in out
    code, out, _ = gdsim("plan", file.name, "--json", folder=file.parent)
    whole = json.loads(out)
    assert whole["runs"] == 30
    code, out, _ = gdsim("plan", file.name, "--json", "--chunk-seconds", 1e-9, folder=file.parent)
    small = json.loads(out)
    assert small["memory_bytes_per_thread"] < whole["memory_bytes_per_thread"]  # of fewer runs at a time
    assert {n: v for n, v in small.items() if v != whole[n]}.keys() == {"chunks", "memory_bytes_per_thread", "threads_that_fit"}
    assert small["chunks"] == 30
    assert [p.name for p in file.parent.iterdir()] == ["moons.toml"]


BAD = [
    ('type = "adam"', 'type = "adm"', r"optimizer[0]: type 'adm' is not known; did you mean 'adam'?"),
    ('type = "mlp"', 'type = "mpl"', r"problem: type 'mpl' is not known; did you mean 'mlp'?"),
    ("starts = 3", "strats = 3", "unknown key 'strats'; did you mean 'starts'?"),
    ("lr = [0.1, 1e9]", "rl = [0.1, 1e9]", "optimizer[1]: unknown key 'rl'; did you mean 'lr'?"),
    ("lr = [0.1, 1e9]", "lr = []", "optimizer[1]: SGD.lr is an empty list"),
    ("lr = [0.1, 1e9]", "lr = [-0.1]", "optimizer[1]: SGD.lr must be a finite number in [0, inf); -0.1 was given"),
    ("lr = [0.1, 1e9]", 'lr = "0.1"', "optimizer[1]: SGD.lr must be a number; '0.1' was given"),
    ("batch = 16", "batch = 1000", "batch=1000 is larger than the data, which has 192 samples"),
    ("steps = 20", "steps = 0", "steps must be a whole number from 1; 0 was given"),
    ('"moons"', '"moon"', "problem.data: there is no data set 'moon'; did you mean 'moons'?"),
    ('{ name = "moons", validation = 0.25 }', '{ path = "none.npz" }', "problem.data: there is no data file"),
    ('{ name = "moons", validation = 0.25 }', '{ path = "bad.csv" }', "data file"),
    ('{ name = "moons", validation = 0.25 }', "{ path = 3 }", "problem.data: path must be a file's name in quotes; 3 was given"),
    ('type = "adam"', 'type = ["adam"]', "optimizer[0]: type ['adam'] is not known"),
    ('type = "adam"', 'type = "adam"\nconvention = ["torch"]', "convention=['torch'] is not defined for this rule"),
    ('activation = "tanh"', 'activation = "tan"', "problem: MLP.activation='tan' is not known; did you mean 'tanh'?"),
    ("[[optimizer]]", "[optimizer", "not valid TOML"),
    ('every = "log"', "evry = 5", "record: unknown key 'evry'; did you mean 'every'?"),
    ("loss = 0.3", 'loss = "low"', "stop[0]: Target.loss must be a number; 'low' was given"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[m[:30] for *_, m in BAD])
def test_a_mistake_is_one_line_and_exit_code_2(file, old, new, message):
    (file.parent / "bad.csv").write_text("a,y\n1,2\nx,3\n")
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    code, out, errors = gdsim("run", file.name, folder=file.parent, patched=message != BAD[0][-1])  # the first in a process of its own
    assert code == 2
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert message in lines[0]
    assert "moons.toml" in lines[0]
    assert "Traceback" not in out + errors
    assert not (file.parent / "results").exists()


def test_files_and_folders_that_cannot_be_used(file):
    for arguments, message in (
        (("run", "nothing.toml"), "there is no experiment file 'nothing.toml'"),
        (("run", "."), "cannot be read"),
        (("run", file.name, "--out", file.name), "is a file"),
        (("run", file.name, "--threads", "0"), "threads must be a whole number from 1"),
        (("run", file.name, "--lanes", "3"), "lanes must be a power of two"),
        (("run", file.name, "--threads", "many"), "not a valid integer"),
        (("rum", file.name), "No such command"),
        (("run",), "Missing argument"),
    ):
        code, out, errors = gdsim(*arguments, folder=file.parent, patched=arguments != ("run", "nothing.toml"))  # one in a process of its own
        assert code == 2, arguments
        assert message in errors, errors
        assert "Traceback" not in out + errors


def test_data_comes_from_files_beside_the_experiment(file):
    data = gd.datasets.load("moons", validation=0.25)
    np.savez(file.parent / "own.npz", X=data.X, y=data.y, X_validation=data.validation.X, y_validation=data.validation.y)
    file.write_text(GOOD.replace('{ name = "moons", validation = 0.25 }', '{ path = "own.npz" }'))
    from gdsim.sweep.sweep import read_experiment

    assert read_experiment(file).problem[0].data.digest == data.digest
    table = "x1,x2,y\n" + "\n".join(f"{a},{b},{c}" for (a, b), c in zip(data.X.tolist(), data.y.tolist(), strict=True))
    (file.parent / "own.csv").write_text(table)
    file.write_text(GOOD.replace('{ name = "moons", validation = 0.25 }', '{ path = "own.csv" }'))
    read = read_experiment(file).problem[0].data
    assert (read.X == data.X).all()
    assert (read.y == data.y).all()


def test_another_experiment_in_the_folder_is_refused(file):
    assert gdsim("run", file.name, folder=file.parent)[0] == 0
    file.write_text(GOOD.replace("steps = 20", "steps = 21"))
    code, _, errors = gdsim("run", file.name, folder=file.parent)
    assert code == 2
    assert "holds another experiment (it differs in steps); give another folder (--out, out=)" in errors


def test_ctrl_c_keeps_what_is_finished(file):
    file.write_text('steps = 2000000000\n[problem]\ntype = "rosenbrock"\ndim = 50\n[optimizer]\ntype = "sgd"\nlr = 1e-12\n[record]\nevery = "ends"\n')
    command = [sys.executable, "-m", "gdsim.cli", "run", file.name]
    process = subprocess.Popen(command, cwd=file.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = file.parent / "results" / "moons" / "experiment.json"
    while not folder.exists():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=300)  # a guard against hanging, not a measurement
    assert process.returncode == 130, errors
    assert "To go on: gdsim run moons.toml" in out
    assert "0 of 1 runs are kept in results/moons; chunks of --chunk-seconds 10 that were on the way are lost: fewer seconds keep more of them" in out
    assert "Traceback" not in out + errors


@pytest.mark.full
def test_a_second_ctrl_c_ends_at_once_also_while_a_kernel_compiles_and_the_same_command_goes_on(file):
    command = [sys.executable, "-m", "gdsim", "run", file.name]
    told = {**os.environ, "GDSIM_CACHE_DIR": str(file.parent / "kernels")}
    with subprocess.Popen(command, cwd=file.parent, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        before = "".join(itertools.takewhile(lambda line: not line.startswith("compiling"), process.stdout))
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)  # unless it has ended
        out = process.stdout.read()
    assert process.returncode == 130, before + out
    assert "(again to end at once)" in out
    assert out.count("To go on: gdsim run moons.toml") == 1
    assert "Traceback" not in out
    assert not list((file.parent / "results" / "moons").glob("heartbeat*"))  # which would say elsewhere that it goes on
    assert gd.open(file.parent / "results" / "moons").attrs["planned_runs"] == 3 * (3 + 2) * 2
    done = subprocess.run(command, check=False, cwd=file.parent, env=told, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_and_version():
    code, out, _ = gdsim("--help", folder=ROOT)
    assert code == 0
    assert "plan" in out
    assert "run" in out
    assert gdsim("--version", folder=ROOT)[1].strip() == gd.__version__


def test_every_experiment_of_the_house_can_be_planned():
    files = sorted((ROOT / "experiments").glob("*.toml"))
    assert files
    for path in files:
        code, out, errors = gdsim("plan", path, folder=ROOT)
        assert code == 0, errors
        assert "runs:" in out


def test_where_nothing_was_begun_nothing_is_said_to_be_kept(file, monkeypatch):
    """A scheduler out of reach, before there is a folder; and with what an earlier command has left."""

    def unreachable(**_):
        raise UnfinishedError("no scheduler answers")

    monkeypatch.setattr(client, "connected", unreachable)
    for said in ("\nNothing was begun. To go on: ", "\nWhat was finished before, if anything, is in out. To go on: "):
        code, out, _ = gdsim("run", file.name, "--out", "out", "--scheduler", "tcp://127.0.0.1:1", folder=file.parent, patched=True)
        assert code == 3
        assert said in out
        (file.parent / "out").mkdir(exist_ok=True)
        (file.parent / "out" / "experiment.json").write_text("{}")
