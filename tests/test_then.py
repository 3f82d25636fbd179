"""What follows a sweep by `[[then]]` of its file: done by `gdsim run`, beside the runs, no part of the experiment."""

import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.canonical import digest
from gdsim.then import chosen_runs, steps_of
from tests.helpers import gdsim

SWEEP = """
problem = {type = "booth"}
optimizer = {type = "sgd", lr = [0.01, 1e9, 0.05]}
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


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(SWEEP + THEN)
    return file


def test_a_file_says_what_follows_its_sweep(experiment, tmp_path):
    code, out, errors = gdsim("run", experiment.name, "--out", "out", folder=tmp_path)
    assert code == 0, out + errors
    assert "best: out/best  (gd.open('out/best'))" in out
    whole, best = gd.open(tmp_path / "out/eigenvalues"), gd.open(tmp_path / "out/best")
    np.testing.assert_allclose(whole.eigenvalue, np.tile([18.0, 2.0], (6, 1)), rtol=1e-12)  # of [[10, 8], [8, 10]]
    result = gd.open(tmp_path / "out")
    assert best.run.values.tolist() == [int(np.argmin(result.final_loss.values))]
    np.testing.assert_allclose(best.eigenvalue, [[2.0]], rtol=1e-8)
    alone = tmp_path / "alone.toml"
    alone.write_text(SWEEP)
    assert digest(gd.read_experiment(experiment)) == digest(gd.read_experiment(alone))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/pieces/*")}
    assert len(made) == 2
    code, out, errors = gdsim("run", experiment.name, "--out", "out", folder=tmp_path)
    assert (code, {path: path.stat().st_mtime_ns for path in made}) == (0, made)
    code, out, _ = gdsim("status", "out", folder=tmp_path)
    assert (code, out.splitlines()[-1]) == (0, "eigenvalues: gd.curvature.eigenvalues: 6 of 6 items, finished")
    code, out, _ = gdsim("status", "out/best", folder=tmp_path)
    assert (code, out.splitlines()[0].startswith("gd.curvature.eigenvalues: 1 of 1 items are finished (100.0%), in 1 piece of ")) == (0, True)
    piece = next((tmp_path / "out/best/pieces").iterdir())
    piece.write_bytes(piece.read_bytes()[:-1])
    code, out, _ = gdsim("status", "out", folder=tmp_path)
    assert (code, "best: gd.curvature.eigenvalues: 0 of 1 items, not running; the command that began it goes on with it, 1 piece is damaged" in out) == (
        4,
        True,
    )
    for folder, name in (("out", "best/pieces/"), ("out/best", "pieces/")):
        code, out, _ = gdsim("verify", folder, folder=tmp_path)
        assert (code, f"{name}{piece.name}: its bytes do not match its name" in out) == (4, True)
    code, _, errors = gdsim("run", experiment.name, "--out", "out", "--set", "then.1.k=2", folder=tmp_path)
    assert code == 2
    assert "experiment.toml: then[1] (eigenvalues): 'out/best' is of another call (it differs in k); remove it, or give this one another name" in errors


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
        ('then=[{do="eigenvalues"}, {do="eigenvalues"}]', "then[1]: name 'eigenvalues' is that of a call before it; "),
        ("record.parameters=false", "then: it needs where runs ended; give record = {parameters = true}"),
    ],
)
def test_what_cannot_follow_is_refused_before_anything_runs(experiment, setting, message, tmp_path):
    code, _, errors = gdsim("run", experiment.name, "--out", "out", "--set", setting, folder=tmp_path)
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert f"experiment.toml: {message}" in errors


def test_runs_are_chosen_by_their_losses_or_numbers():
    loss, status = [0.3, 0.1, 0.2, 0.3, 9.0, 0.2], ["budget", "diverged", "budget", "converged", "budget", "budget"]
    result = xarray.Dataset({"final_loss": ("run", loss), "status": ("run", status)}, {"run": range(6)})
    assert [chosen_runs(result, n).run.values.tolist() for n in (1, 2, 3)] == [[2], [2, 5], [0, 2, 5]]
    assert chosen_runs(result, 100).sizes["run"] == 6
    assert chosen_runs(result, (4, 0)).run.values.tolist() == [4, 0]
    with pytest.raises(ValueError, match="there is no run 6; the sweep has 6, numbered from 0"):
        chosen_runs(result, (6,))
    assert steps_of([{"do": "eigenvalues"}])[0].runs == "all"
