"""The experiments of experiments/: every one can be planned as it is, and runs in its short form to the end
that its first comment names.
"""

import importlib
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

import gdsim as gd

FOLDER = Path(__file__).parent.parent / "experiments"
NAMES = sorted(p.stem for p in FOLDER.glob("*.py") if "def sweeps(" in p.read_text() and p.name != "__main__.py")


@pytest.fixture
def runner(monkeypatch):
    """experiments/__main__.py, as `python experiments` finds it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("experiments_main", FOLDER / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_knows_every_experiment(runner, monkeypatch, capsys):
    assert sorted(runner.NAMES) == NAMES
    monkeypatch.setattr("sys.argv", ["experiments"])
    runner.main()
    printed = capsys.readouterr().out
    assert all(f"{name}\n" in printed for name in NAMES)
    assert printed.count("?") >= len(NAMES)  # each begins with its question


def test_the_short_form_has_a_folder_of_its_own(runner, monkeypatch):
    """A folder holds one experiment: the long form refuses what the short one has trained."""
    folders = []
    monkeypatch.setattr(runner, "run", lambda name, out, short: folders.append((out, short)))
    for words in ([], ["--short"], ["--short", "--out", "own"]):
        monkeypatch.setattr("sys.argv", ["experiments", "xor_basins", *words])
        runner.main()
    assert folders == [(Path("results/xor_basins"), False), (Path("results/xor_basins_short"), True), (Path("own"), True)]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_can_be_planned(runner, name):
    experiment = importlib.import_module(name)
    short = experiment.sweeps(short=True)
    for part, sweep in experiment.sweeps().items():
        plan = sweep.plan()
        assert part not in short or plan.runs >= short[part].plan().runs
        assert plan.memory < 4e9


def test_every_cycle_of_cyclic_rates_ends_with_the_last_step(runner):
    cyclic = importlib.import_module("cyclic_rates")
    for steps in (cyclic.STEPS, cyclic.FEW):
        cosine, sgdr, triangular = (s for s in cyclic.schedules(steps) if isinstance(s, gd.Cosine | gd.SGDR | gd.Triangular))
        assert sgdr.cycle * (1 + sgdr.mult + sgdr.mult**2) == steps
        assert steps % cosine.cycle == steps % (2 * triangular.half_cycle) == 0


def test_experiment_files_can_be_planned():
    runs = {"digits": 448, "edge_of_stability": 256, "safran_shamir": 4500, "skip_connections": 192}
    assert {file.stem: gd.read_experiment(file).plan().runs for file in FOLDER.glob("*.toml")} == runs


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_the_short_form_runs_and_its_figure_shows_something(runner, name, tmp_path):
    file = runner.run(name, tmp_path, short=True)
    assert file == tmp_path / f"{name}.png"
    assert file.stat().st_size > 10_000
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == set(importlib.import_module(name).sweeps(short=True))


@pytest.mark.full
def test_a_resnet_8_is_trained_and_its_landscape_drawn_and_what_is_there_is_not_made_again(torch, runner, tmp_path, capsys):
    deep = importlib.import_module("resnet_densenet")
    depths = {"resnet110": 110, "resnet110_without": 110, "densenet121": 121}
    for name, plan in deep.LONG.items():
        kinds = torch.nn.Conv2d, torch.nn.Linear
        assert sum(isinstance(part, kinds) for part in plan.made().modules()) == depths[name]
    file = deep.slide(deep.SHORT, tmp_path)
    first = capsys.readouterr().out
    assert [f"epoch {n}" in first for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert file.stat().st_size > 10_000
    plane = gd.open(tmp_path / "resnet8" / "plane")
    assert plane.loss.shape == (5, 5)
    assert float(plane.loss.min()) == float(plane.loss.sel(x=0, y=0)) < 1.0
    assert float(plane.accuracy.sel(x=0, y=0)) > 0.7
    file.unlink()
    deep.slide(deep.SHORT, tmp_path)
    assert "epoch" not in capsys.readouterr().out
    assert file.exists()


@pytest.mark.full
def test_the_border_of_divergence_on_a_quadratic_is_the_formula(runner):
    """Momentum a on curvature 1 converges below 2 (1 + a); a hundred steps cannot tell at rates within 30% of
    it.
    """
    stability = importlib.import_module("learning_rate_stability")
    result = stability.sweeps(short=True)["quadratic"].run(progress=False)
    limit = 2 * (1 + result.momentum.values)
    clear = np.abs(np.log(result.lr.values / limit)) > np.log(1.3)
    diverging = result.final_loss.values > result.loss.values[:, 0]
    assert clear.mean() > 0.5
    assert (diverging == (result.lr.values > limit))[clear].all()


@pytest.mark.full
def test_sharpness_rises_to_the_edge_of_stability_and_stays_there():
    """2 / lr of gradient descent, as Cohen et al. (2021) have found; the figure has a line there."""
    sweep = gd.read_experiment(FOLDER / "edge_of_stability.toml")
    result = msgspec.structs.replace(sweep, starts=8, steps=2500, optimizer=[gd.SGD([0.25, 0.3])]).run(progress=False)
    edge = 2.0 / result.lr.values
    last = result.sharpness.values[:, -5:]
    assert np.median(last / edge[:, None]) == pytest.approx(1.0, abs=0.02)
    assert (last < 1.1 * edge[:, None]).all()
    assert (result.final_loss.values < result.loss.values[:, 5]).all()
    (panel,) = gd.plots.sharpness(result).axes
    dashed = [line.get_ydata()[0] for line in panel.lines if line.get_linestyle() == "--"]
    assert sorted(dashed) == pytest.approx(sorted(set(edge)))
    assert len(panel.lines) == 4


def test_the_table_has_every_experiment_with_its_time_and_its_end():
    table = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+?) \|$", table, flags=re.M)
    assert sorted(name for name, *_ in rows) == sorted([*NAMES, "resnet_densenet.py", *(file.name for file in FOLDER.glob("*.toml"))])
    for name, question, took, _ in rows:
        if name not in NAMES:
            begins = (FOLDER / name).read_text().replace("#", " ")
            assert begins.replace('"', " ").split()[:6] == question.split()[:6]
            continue
        text = (FOLDER / f"{name}.py").read_text().split('"""')[1]
        assert text.splitlines()[0] == question
        assert f"Takes {took}" in " ".join(text.split())
        assert f"Ends in results/{name}/{name}.png" in " ".join(text.split())
