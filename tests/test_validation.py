"""The best and the final validation loss of every run are those that its curve, its weights and its looks
say.
"""

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.results.dataset import sweep_behind
from tests.fixtures.declarations import CLASSES
from tests.helpers import same_bits

NAMES = ("best_validation_loss", "best_validation_step", "best_validation_accuracy", "final_validation_loss", "final_validation_accuracy")
STEPS, RECORDED, LOOKED = 60, 10, 7
PROBLEM = gd.MLP(CLASSES, hidden=[3], activation="tanh")
HELD = gd.MLP(CLASSES.validation, hidden=[3], activation="tanh")
OPTIONS = {"problem": PROBLEM, "optimizer": gd.Momentum(lr=[0.05, 0.6, 3.0, 1e30]), "starts": 6, "steps": STEPS, "batch": 8}
RECORD = gd.Record(every=RECORDED, parameters=True)
STOPS = {
    "none": [],
    "validation": [gd.Validation(patience=3, every=LOOKED)],
    "target": [gd.Target(0.35, every=3)],
    "both": [gd.Target(0.35, every=3), gd.Validation(patience=3, every=LOOKED)],
    "plateau": [gd.Plateau(patience=2, tolerance=0.1, every=3)],
}


@pytest.fixture(scope="module")
def free():
    """The runs without stops, with their validation losses, accuracies and weights after every step."""
    return gd.Sweep(record=gd.Record(every=1, trajectory=True), **OPTIONS).run()


@pytest.fixture(scope="module", params=STOPS)
def result(request):
    return gd.Sweep(stop=STOPS[request.param], record=RECORD, **OPTIONS).run()


def seen(result, run):
    """The steps at which a run's validation loss counts: recorded checkpoints, and Validation's looks, of
    which a run that diverges has none at its end.
    """
    steps = set(result.step.values[~np.isnan(result.validation_loss.values[run])].tolist())
    if "best_parameters" in result:
        taken, gone = int(result.steps_taken[run]), str(result.status[run].values) == "diverged"
        steps |= {s for s in (*range(0, STEPS, LOOKED), STEPS) if s < taken + (not gone)}
    return sorted(steps)


def test_the_best_is_the_lowest_that_was_seen(result, free):
    assert len(set(result.status.values.tolist())) > 1
    for run in range(result.sizes["run"]):
        steps = seen(result, run)
        losses = free.validation_loss.values[run, steps]
        place = np.flatnonzero(losses == np.nanmin(losses))[0]
        assert int(result.best_validation_step[run]) == steps[place]
        assert same_bits(result.best_validation_loss.values[run], losses[place])
        assert same_bits(result.best_validation_accuracy.values[run], free.validation_accuracy.values[run, steps[place]])


def test_weights_have_the_losses_that_are_said_of_them(result, free):
    whole = result.status.values != "diverged"
    ends = gd.evaluate(HELD, result.parameters.values[whole])
    assert same_bits(ends.loss.values, result.final_validation_loss.values[whole])
    assert same_bits(ends.accuracy.values, result.final_validation_accuracy.values[whole])
    if "best_parameters" in result:
        best = gd.evaluate(HELD, result.best_parameters.values)
        assert same_bits(best.loss.values, result.best_validation_loss.values)
        assert same_bits(best.accuracy.values, result.best_validation_accuracy.values)
        for run, step in enumerate(result.best_validation_step.values):
            assert same_bits(result.best_parameters.values[run], free.trajectory.values[run, step])


def test_a_diverged_run_has_its_last_finite_loss(result):
    gone = np.flatnonzero(result.status.values == "diverged")
    assert len(gone) == 6
    assert (result.best_validation_step.values[gone] == 0).all()
    for name in ("loss", "accuracy"):
        first = result[f"validation_{name}"].values[gone, 0]
        assert same_bits(result[f"best_validation_{name}"].values[gone], first)
        assert same_bits(result[f"final_validation_{name}"].values[gone], first)


def test_no_cut_and_no_thread_changes_them(result, tmp_path):
    sweep = sweep_behind(result)
    again = sweep.run(out=tmp_path / "out", chunk_seconds=1e-5, threads=2)
    assert [n for n in NAMES if not same_bits(again[n].values, result[n].values)] == []
    some = sweep.run(runs=[1, 5, 6, 22], threads=1)
    assert [n for n in NAMES if not same_bits(some[n].values, result[n].values[[1, 5, 6, 22]])] == []


@pytest.mark.full
@pytest.mark.parametrize("lanes", [1, 2, 64])
def test_no_width_changes_them(result, lanes):
    again = sweep_behind(result).run(lanes=lanes)
    assert [n for n in (*NAMES, "best_parameters") if n in result and not same_bits(again[n].values, result[n].values)] == []


@pytest.mark.parametrize("stop", ["none", "both"])
def test_runs_that_go_on_have_the_best_of_the_whole(stop, tmp_path):
    options = {**OPTIONS, "optimizer": gd.Momentum(lr=[0.003, 0.6, 1e30]), "stop": STOPS[stop], "record": gd.Record(every=RECORDED, state=True)}
    half, whole = gd.Sweep(**{**options, "steps": STEPS // 2}), gd.Sweep(**options)
    wanted = whole.run()
    rest = gd.continue_from(half.run(), steps=STEPS // 2)
    half.run(out=tmp_path / "out")
    longer = whole.run(out=tmp_path / "out")
    assert (wanted.best_validation_step.values < STEPS // 2).any()
    assert (wanted.best_validation_step.values > STEPS // 2).any()
    for other in (rest, longer):
        assert [n for n in (*NAMES, "best_parameters") if n in wanted and not same_bits(other[n].values, wanted[n].values)] == []


@pytest.mark.parametrize("stop", ["none", "both"])
def test_a_summary_counts_those_of_the_runs(stop):
    runs = gd.Sweep(stop=STOPS[stop], record=gd.Record(every=RECORDED), **OPTIONS).run()
    summary = gd.Sweep(stop=STOPS[stop], record=gd.Record(every=RECORDED), keep="summary", **OPTIONS).run()
    diverged = runs.status.values == "diverged"
    for name in NAMES:
        values = runs[name].values.astype(float)
        if name != "best_validation_step":  # what ranks is the worst where a run diverged
            values[diverged] = 0.0 if "accuracy" in name else np.inf
        for cell in range(4):
            mine = values[runs.cell.values == cell]
            finite = mine[np.isfinite(mine)]
            assert int(summary[f"{name}_count"][cell]) == 6
            assert float(summary[f"{name}_min"][cell]) == mine.min()
            assert float(summary[f"{name}_max"][cell]) == mine.max()
            assert float(summary[f"{name}_mean"][cell]) == (pytest.approx(finite.mean(), rel=1e-14) if len(finite) else pytest.approx(np.nan, nan_ok=True))
    worse = ~diverged & (runs.final_loss.values > runs.loss.values[:, 0])
    assert summary.worse_than_start.values.tolist() == [int(worse[runs.cell.values == cell].sum()) for cell in range(4)]


def test_runs_and_their_summary_rank_cells_alike_where_runs_dip_and_diverge():
    """Rates above 2 / curvature of least squares diverge, however low the validation loss was on the way."""
    data = gd.datasets.load("diabetes", validation=0.25)
    options = {"problem": gd.LinearRegression(data), "optimizer": gd.SGD(lr=[1e-5, 0.26, 0.3]), "starts": 4, "steps": 400}
    runs, summary = (gd.Sweep(keep=keep, **options).run() for keep in ("runs", "summary"))
    lost = runs.status.values == "diverged"
    assert not lost[runs.cell.values == 0].any()
    for name in ("best_validation_loss", "final_validation_loss"):
        of_runs, of_summary = (gd.table(r, variable=name) for r in (runs, summary))
        assert of_runs.index.tolist() == of_summary.index.tolist()
        assert np.isinf(of_summary["median"].to_numpy()).tolist() == np.isinf(of_runs["median"].to_numpy()).tolist()
    dipped = runs.best_validation_loss.values[lost].min()
    assert dipped < np.median(runs.best_validation_loss.values[~lost])  # which would have come first
    assert gd.table(summary).index[0] == 0


def test_some_runs_end_above_their_start():
    options = {"problem": gd.functions.Himmelblau(), "optimizer": gd.SGD(lr=[0.001, 0.02, 0.1]), "starts": 50, "steps": 3}
    runs = gd.Sweep(**options).run()
    worse = (runs.status.values != "diverged") & (runs.final_loss.values > runs.loss.values[:, 0])
    assert worse.any()
    assert gd.Sweep(keep="summary", **options).run().worse_than_start.values.tolist() == [int(worse[runs.cell.values == c].sum()) for c in range(3)]


@pytest.fixture(scope="module")
def beyond():
    """A line through two points whose validation loss is beyond all numbers."""
    return gd.Expression("(a*x + b - y)**2", data=gd.Data([[0.0], [1.0]], [1.0, 3.0], validation=([[1.0]], [1e200])))


def test_a_loss_that_was_never_finite_is_no_best(beyond):
    options = {"problem": beyond, "optimizer": gd.SGD(lr=0.1), "starts": 3, "steps": 20, "record": gd.Record(parameters=True)}
    result = gd.Sweep(stop=[gd.Validation(patience=5)], **options).run()
    assert set(result.reason.values.tolist()) == {"Validation"}
    assert np.isnan(result.best_validation_loss.values).all()
    assert (result.best_validation_step.values == -1).all()
    assert not np.isfinite(result.final_validation_loss.values).any()
    assert same_bits(result.best_parameters.values, result.parameters.values)
    assert "best_validation_accuracy" not in result


def test_without_a_validation_set_there_are_none():
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), steps=5).run()
    assert not any(n in result for n in NAMES)


def test_where_some_cells_have_no_validation_set_theirs_are_missing(tmp_path):
    several = msgspec.structs.replace(gd.Sweep(**OPTIONS), problem=(PROBLEM, HELD), steps=20)
    result = several.run()
    held = result.isel(run=result.cell.values >= 4)
    assert (held.best_validation_step.values == -1).all()
    assert np.isnan(held.best_validation_loss.values).all()
    assert (result.best_validation_step.values[result.cell.values < 4] >= 0).all()
    several.run(out=tmp_path / "out")
    assert gd.open(tmp_path / "out").load().identical(result)
