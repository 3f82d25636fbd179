"""What follows a sweep by `[[then]]` of its file: done by `gdsim run`, beside the runs, no part of the experiment."""

import json
import pathlib
import re

import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.canonical import digest
from gdsim.questions import ask
from gdsim.questions.opening import open_answer
from gdsim.store.folder import Store
from gdsim.sweep.sweep import read_file
from gdsim.then import DOES, chosen_runs, steps_of
from tests.helpers import gdsim
from tests.squares import SQUARES, question

PAGE = pathlib.Path(__file__).parents[1] / "docs/how-to/command-line.md"
SWEEP = """
problem = {type = "quadratic", matrix = [[2.0, 1.0], [1.0, 2.0]]}
optimizer = {type = "sgd", lr = [0.1, 1e9, 0.2]}
starts = 2
steps = 5
record = {parameters = true}
"""
THEN = """
[[then]]
do = "eigenvalues"

[[then]]
do = "eigenvalues"
name = "best"
runs = 1
k = 1
which = "smallest"
"""
PLANE = """
[[then]]
do = "plane"
points = 5
normalization = "none"
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(SWEEP + THEN)
    return file


def test_a_file_says_what_follows_its_sweep(experiment, tmp_path):
    code, out, errors = gdsim("run", experiment.name, "--out", "out", folder=tmp_path)
    assert code == 0, out + errors
    held = next((tmp_path / "out/best/pieces").iterdir())
    whole = held.read_bytes()
    for bytes_there, states, right in ((whole, ["finished"] * 2, 0), (whole[:-1], ["stopped", "finished"], 4), (None, ["stopped", "finished"], 3)):
        held.unlink()
        if bytes_there:
            held.write_bytes(bytes_there)
        code, told, _ = gdsim("status", "out", "--json", folder=tmp_path, patched=True)
        assert (code, [answer["state"] for answer in json.loads(told)["answers"]]) == (right, states)
    held.write_bytes(whole)
    assert "best: out/best  (gd.open('out/best'))" in out
    whole, best, result = (gd.open(tmp_path / "out" / name) for name in ("eigenvalues", "best", ""))
    np.testing.assert_allclose(whole.eigenvalue, np.tile([3.0, 1.0], (6, 1)), rtol=1e-12)
    np.testing.assert_allclose(best.eigenvalue, [[1.0]], rtol=1e-8)
    assert best.run.values.tolist() == [int(np.argmin(result.final_loss.values))]
    alone = tmp_path / "alone.toml"
    alone.write_text(SWEEP)
    assert digest(gd.read_experiment(experiment)) == digest(gd.read_experiment(alone))


@pytest.mark.full
def test_what_followed_is_kept_and_told_of(experiment, tmp_path):
    with open(experiment, "a") as file:
        file.write(PLANE)
    command = ("run", experiment.name, "--out", "out")
    assert gdsim(*command, folder=tmp_path, patched=True)[0] == 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/pieces/*")}
    assert len(made) == 3
    assert gdsim(*command, folder=tmp_path, patched=True)[0] == 0
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/pieces/*")}
    plane, result = gd.open(tmp_path / "out/plane"), gd.open(tmp_path / "out")
    assert plane.loss.isel(run=0, x=2, y=2).item() == pytest.approx(result.final_loss.values.min(), rel=1e-12)
    code, out, _ = gdsim("status", "out", folder=tmp_path, patched=True)
    assert (code, out.splitlines()[-2:]) == (
        0,
        ["eigenvalues: gd.curvature.eigenvalues: 6 of 6 items, finished", "plane: gd.landscape.plane: 25 of 25 items, finished"],
    )
    for folder in ("out", "out/plane"):
        code, _, errors = gdsim("report", folder, folder=tmp_path, patched=True)
        assert (code, errors, "gd.open(&#39;out/plane&#39;)" in (tmp_path / folder / "report.html").read_text()) == (0, "", True)
    code, _, errors = gdsim("report", "out/best", folder=tmp_path, patched=True)
    assert (code, "'out/best' is of gd.curvature.eigenvalues, and only planes have a page of their own" in errors) == (2, True)
    grown = tmp_path / "grown.toml"
    grown.write_text(experiment.read_text().replace("starts = 2", "starts = 3"))
    gd.read_experiment(grown).run(out=tmp_path / "out")
    told = gdsim("status", "out", folder=tmp_path, patched=True)[1]
    assert "eigenvalues: gd.curvature.eigenvalues: 6 of 6 items, finished, of the sweep as it was: gdsim run makes it anew" in told
    assert gdsim("run", "grown.toml", "--out", "out", folder=tmp_path, patched=True)[0] == 0
    assert gd.open(tmp_path / "out/eigenvalues").sizes["run"] == 9
    assert len(list((tmp_path / "out/eigenvalues/pieces").iterdir())) == 1
    assert "of the sweep as it was" not in gdsim("status", "out", folder=tmp_path, patched=True)[1]
    experiment.write_text(grown.read_text())
    (tmp_path / "out/convergence.png").unlink()
    code, out, errors = gdsim(*command, "--set", "then.1.k=2", folder=tmp_path, patched=True)
    assert ((tmp_path / "out/convergence.png").exists(), "plot:    out/convergence.png" in out) == (True, True)  # what follows comes last
    assert (
        code,
        "experiment.toml: then[1] (eigenvalues): 'out/best' is of another call (it differs in k); remove it, or give this one another name" in errors,
    ) == (2, True)


def test_status_and_verify_see_damage_of_an_answer(tmp_path):
    folder = tmp_path / "out"
    ask(question(), out=folder)
    code, out, _ = gdsim("status", folder, folder=tmp_path, patched=True)
    assert (code, out.splitlines()[0].startswith("gd.test.squares: 10 of 10 items are finished (100.0%), in 5 pieces of ")) == (0, True)
    piece = next((folder / "pieces").iterdir())
    piece.write_bytes(piece.read_bytes()[:-1])
    code, out, _ = gdsim("status", folder, folder=tmp_path, patched=True)
    assert (code, f"2 items are missing, in 1 piece\nnot running; the command that began it goes on with it\n1 piece is damaged: {piece.name}" in out) == (
        4,
        True,
    )
    code, out, _ = gdsim("verify", folder, folder=tmp_path, patched=True)
    assert (code, f"pieces/{piece.name}: its bytes do not match its name" in out, "or make the call, again" in out) == (4, True, True)
    with pytest.raises(ValueError, match=f"'pieces/{piece.name}' is damaged: its bytes do not match its name; ask the same again"):
        open_answer(Store(folder), {"test.squares": SQUARES}.get)
    code, _, errors = gdsim("status", "--watch", folder, folder=tmp_path, patched=True)
    assert (code, f"--watch is of a sweep's folder, and {str(folder)!r} holds the answer to a call" in errors) == (2, True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('then=[{do="eigenvalue"}]', "then[0]: do = 'eigenvalue' is not known; did you mean 'eigenvalues'?"),
        ("then=[{}]", "then[0]: no do was given; "),
        ("then=5", 'then must be tables, each [[then]] with do = "'),
        ('then=[{do="eigenvalues", kk=1}]', "then[0]: unknown key 'kk'; did you mean 'k'?"),
        ('then=[{do="eigenvalues", out="x"}]', "then[0]: unknown key 'out'; "),
        ('then=[{do="eigenvalues", runs=0}]', "then[0]: runs must"),
        (
            'then=[{do="eigenvalues", runs="best"}]',
            "then[0]: runs must be \"all\", how many of the lowest losses, or a list of their numbers; 'best' was given",
        ),
        ('then=[{do="eigenvalues", name="../x"}]', "then[0]: name must be letters, digits, - and _"),
        ('then=[{do="eigenvalues", name="shards"}]', "then[0]: name must be"),
        ('then=[{do="eigenvalues", name="convergence"}]', "then[0]: name must be"),
        ('then=[{do="eigenvalues"}, {do="eigenvalues"}]', "then[1]: name 'eigenvalues' is that of a call before it; "),
        ("record.parameters=false", "then[0] (eigenvalues): it needs record = {parameters = true}"),
        ('then=[{do="line"}]', "then[0] (line): it needs record = {parameters = true, trajectory = true}"),
        ('then=[{do="trajectory_plane"}]', "then[0] (trajectory_plane): it needs record = {trajectory = true}"),
        ('then=[{do="trajectory_plane", trajectory=[[0.0]]}]', "then[0]: unknown key 'trajectory'"),
        ('then=[{do="plane", points=50}]', "then[0] (plane): points must be odd, so that the centre is one of them; 50 was given"),
        ('then=[{do="plane", span="wide"}]', "then[0] (plane): span must be a positive number, or 'auto'; 'wide' was given"),
        ('then=[{do="eigenvalues", k=3}]', "then[0] (eigenvalues): k must be"),
        ('then=[{do="eigenvalues", matrix="gauss_newton"}]', "then[0] (eigenvalues): matrix='gauss_newton' is of networks and linear models"),
        ('then=[{do="density", steps=1}]', "then[0] (density): steps must be"),
        ('then=[{do="census", merge="function"}]', "then[0] (census): merge"),
        ('then=[{do="barrier_matrix", lowest=1}]', "then[0] (barrier_matrix): lowest must be"),
        ('then=[{do="barrier_matrix", runs=1}]', "then[0] (barrier_matrix): barrier_matrix needs 2 to"),
    ],
)
def test_what_cannot_follow_is_refused_before_anything_runs(experiment, setting, message, tmp_path):
    code, _, errors = gdsim("run", experiment.name, "--out", "out", "--set", setting, folder=tmp_path, patched=True)
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert f"experiment.toml: {message}" in errors


@pytest.mark.skipif(not PAGE.exists(), reason="there is no docs/: run the tests in a clone of the repository")
def test_the_example_of_the_page_is_one(tmp_path):
    text = PAGE.read_text()
    file = tmp_path / "example.toml"
    file.write_text(re.search(r"^```toml\n(.*?)^```$", text, re.M | re.S)[1])
    steps = steps_of(read_file(file)[1])
    assert [(step.do, step.runs, step.arguments) for step in steps] == [("census", "all", {}), ("plane", 3, {"points": 41, "span": "auto"})]
    assert sorted(DOES) == re.findall(r"`(\w+)`", " ".join(text.split()).partition("`do` is ")[2].partition("; `runs` says")[0])


def test_runs_are_chosen_by_their_losses_or_numbers():
    loss, status = [0.3, 0.1, 0.2, 0.3, 9.0, 0.2], ["budget", "diverged", "budget", "converged", "budget", "budget"]
    result = xarray.Dataset({"final_loss": ("run", loss), "status": ("run", status)}, {"run": range(6)})
    assert [chosen_runs(result, n).run.values.tolist() for n in (1, 2, 3)] == [[2], [2, 5], [0, 2, 5]]
    assert chosen_runs(result, 100).sizes["run"] == 6
    assert chosen_runs(result, (4, 0)).run.values.tolist() == [4, 0]
    with pytest.raises(ValueError, match="there is no run 6; the sweep has 6, numbered from 0"):
        chosen_runs(result, (6,))
    assert steps_of([{"do": "eigenvalues"}])[0].runs == "all"
