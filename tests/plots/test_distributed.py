"""Figures of distributed training: each shows the numbers of its analysis, from results made by hand."""

import itertools

import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.plots.distributed import pareto_front
from tests.analysis.populations import result_of
from tests.plots.figures import drawn

KINDS = [("None", 1, 1), ("Synchronous", 8, 1), ("LocalSGD", 8, 8), ("LocalSGD", 8, 64), ("DiLoCo", 8, 64)]
STEPS = np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])


@pytest.fixture(scope="module")
def teams():
    """Twenty runs of each kind of training, with what they cost and how far workers are apart."""
    rng, cell = np.random.default_rng(0), np.arange(100) % len(KINDS)
    workers, period = (np.array([k[c] for k in KINDS], float)[cell, None] for c in (1, 2))
    rate, floor = (np.array(v)[cell, None] for v in ([0.004, 0.01, 0.0095, 0.008, 0.012], [0.08, 0.01, 0.012, 0.02, 0.011]))
    curves = (2 * np.exp(-rate * STEPS) + floor) * rng.lognormal(0, 0.15, (100, 1))
    names = {"distribution": [k[0] for k in KINDS], "workers": [float(k[1]) for k in KINDS], "period": [float(k[2]) for k in KINDS]}
    rounds = STEPS // period
    columns = {
        "samples": 8.0 * STEPS * workers, "round": rounds, "bytes_sent": 4000.0 * rounds * (workers > 1),
        "seconds": (0.01 * STEPS + 0.05 * rounds * (workers > 1)) * rng.lognormal(0, 0.02, (100, 1)),
        "disagreement": 1e-3 * period * np.exp(-0.002 * STEPS) * ((STEPS > 0) & (period > 1)) * rng.lognormal(0, 0.3, (100, 1)),
    }  # fmt: skip
    return result_of(curves, cells=len(KINDS), steps=STEPS, coordinates=names).assign({n: (("run", "checkpoint"), c) for n, c in columns.items()})


def test_losses_stand_over_what_they_cost(teams):
    figure = gd.plots.training_costs(teams)
    assert drawn(figure).startswith(b"\x89PNG")
    panels = [p for p in figure.axes if p.has_data()]
    assert [p.get_xlabel() for p in panels] == [
        "steps", "samples of all workers", "rounds of communication", "bytes that a worker sent", "simulated seconds",
    ]  # fmt: skip
    for panel, name in zip(panels, ("step", "samples", "round", "bytes_sent", "seconds"), strict=True):
        for cell, line in enumerate(panel.lines):
            mine = teams.isel(run=teams.cell.values == cell)
            cost = np.broadcast_to(mine[name].values, (20, len(STEPS)))
            median, at = (np.sort(v, 0)[9] for v in (mine.loss.values, cost))
            there = at > 0
            assert np.array_equal(line.get_xdata(), at[there])
            assert np.array_equal(line.get_ydata(), median[there])
    assert len(panels[3].lines[0].get_xdata()) == 0  # one worker sends nothing
    (panel,) = gd.plots.training_costs(teams, units="seconds", variable="disagreement").axes
    assert panel.get_ylabel() == "disagreement"


def test_seconds_are_those_of_a_cluster():
    teams = [gd.LocalSGD(workers=4, period=[1, 10])]
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=7, steps=100, distribution=teams)
    cluster = gd.SimulatedCluster(compute=gd.ConstantTime(0.01), latency=0.005)
    result = sweep.run(progress=False)
    seconds = gd.analysis.simulated_seconds(result, cluster).values
    (panel,) = gd.plots.training_costs(result, units="seconds", cluster=cluster).axes
    assert [line.get_xdata()[-1] for line in panel.lines] == [seconds[0, -1], seconds[1, -1]]
    (panel,) = gd.plots.communication_frontier(result, unit="seconds", cluster=cluster).axes
    assert sorted(panel.containers[0].lines[0].get_xdata()) == sorted(seconds[:2, -1])


def test_runs_that_end_cost_nothing_more():
    losses = np.array([[3.0, 0.5, np.nan], [3.0, 2.0, 1.0]] * 7)
    result = result_of(losses, cells=2, steps=[0, 10, 100], taken=[10, 100] * 7, final=[0.5, 1.0] * 7, coordinates={"lr": [0.1, 0.2]})
    (panel,) = gd.plots.communication_frontier(result, unit="steps").axes
    assert sorted(panel.containers[0].lines[0].get_xdata()) == [10, 100]
    (panel,) = gd.plots.training_costs(result, units="steps").axes
    assert [line.get_xdata()[-1] for line in panel.lines] == [10, 100]


def test_the_front_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cost, value = rng.integers(0, 6, (2, 12)).astype(float)
        value[rng.random(12) < 0.2] = np.inf
        beaten = [any((c <= a and w <= v) and (c < a or w < v) for c, w in zip(cost, value, strict=True)) for a, v in zip(cost, value, strict=True)]
        front = {(a, v) for a, v, b in zip(cost, value, beaten, strict=True) if not b and np.isfinite(v)}
        found = pareto_front(cost, value)
        assert {(cost[k], value[k]) for k in found} == front
        assert (np.diff(cost[found]) > 0).all()


def test_the_frontier_shows_where_cells_end_and_which_are_not_beaten(teams):
    figure = gd.plots.communication_frontier(teams)
    (panel,) = figure.axes
    assert drawn(figure).startswith(b"\x89PNG")
    ends = np.array([np.sort(teams.final_loss.values[teams.cell.values == c])[9] for c in range(5)])
    points = {tuple(p) for c in panel.containers for p in np.transpose(c.lines[0].get_data())}
    sent = np.array([0.0, 1000, 125, 15, 15]) * 4000
    assert points == set(zip(sent, ends, strict=True))
    front = next(line for line in panel.lines if line.get_label() == "not beaten in both")
    assert np.array_equal(front.get_xdata(), np.unique(sent)[np.unique(sent) != 125 * 4000])  # LocalSGD at period 8 is beaten by DiLoCo
    assert [t.get_text() for t in panel.get_legend().get_texts()] == [
        "not beaten in both", "one worker", "Synchronous", "LocalSGD", "DiLoCo",
        "one worker, workers = 1, period = 1", "DiLoCo, workers = 8, period = 64", "Synchronous, workers = 8, period = 1",
    ]  # fmt: skip
    assert [t.get_text() for t in panel.texts] == ["1", "2", "3"]


def test_an_axis_from_zero_has_no_label_on_another(teams):
    costs = teams.bytes_sent.values * 0.375  # the least end of those that send is 22500, well above its power of ten
    (panel,) = gd.plots.communication_frontier(teams.assign(bytes_sent=(("run", "checkpoint"), costs))).axes
    assert panel.get_xscale() == "symlog"
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0", "10000", "100000", "1e6"]
    drawn(panel.figure)
    boxes = [text.get_window_extent() for text in panel.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_disagreement_is_broken_where_workers_are_together(teams):
    figure = gd.plots.disagreement(teams)
    (panel,) = figure.axes
    lines = [line for line in panel.lines if len(line.get_xdata())]
    assert drawn(figure).startswith(b"\x89PNG")
    assert len(lines) == 3
    for line, cell in zip(lines, (2, 3, 4), strict=True):
        median = np.sort(teams.disagreement.values[teams.cell.values == cell], 0)[9]
        assert np.array_equal(line.get_xdata(), STEPS[1:])
        assert np.array_equal(line.get_ydata(), median[1:])
    assert "Cells whose workers never part are left out" in figure.caption
    with pytest.raises(ValueError, match="never part"):
        gd.plots.disagreement(teams.isel(run=teams.cell.values < 2))


@pytest.fixture(scope="module")
def batches():
    """Runs of two rules at three batch sizes."""
    problem = gd.Quadratic(np.eye(4), 3.0 * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 4), -1).reshape(-1, 4))
    rules = [gd.SGD(lr=gd.logspace(0.01, 1.0, 5)), gd.Momentum(lr=gd.logspace(0.01, 1.0, 5))]
    stop = [gd.Target(18.6, every=1)]
    sweep = gd.Sweep(problem=problem, optimizer=rules, batch=gd.grid(1, 4, 16), shuffle="replacement", starts=32, steps=600, init=8.0, stop=stop)
    return sweep.run(progress=False)


def test_the_speed_up_is_that_of_the_analysis(batches):
    result, found = batches, gd.analysis.critical_batch(batches)
    figure = gd.plots.speed_up(result)
    (panel,) = figure.axes
    assert drawn(figure).startswith(b"\x89PNG")
    for k, container in enumerate(panel.containers):
        assert np.array_equal(container.lines[0].get_ydata(), found.steps[k, 0].values / found.steps[k].values)
        assert container.get_label().startswith(f"{found.optimizer.values[k]}: critical size {float(found.critical_batch[k]):.3g} [")
    curves = [line for line in panel.lines if len(line.get_xdata()) == 100]
    for k, curve in enumerate(curves):
        x = curve.get_xdata()[[0, -1]]
        fitted = float(found.fewest_steps[k]) * (1 + float(found.critical_batch[k]) / x)
        assert curve.get_ydata()[[0, -1]] == pytest.approx(float(found.steps[k, 0]) / fitted)
    assert len(curves) == 2
    in_samples = gd.plots.speed_up(result, unit="samples")
    known = gd.analysis.speed_up(result, unit="samples")
    assert np.array_equal(in_samples.axes[0].containers[1].lines[0].get_ydata(), known.speed_up.values[1])
    assert in_samples.axes[0].get_ylabel() == "times fewer samples than with 1"
    assert drawn(in_samples).startswith(b"\x89PNG")


def test_points_and_whiskers_of_speed_ups_stand_where_they_belong(batches):
    found = gd.analysis.speed_up(batches, 18.5)
    figure = gd.plots.speed_up(batches, 18.5)
    (panel,) = figure.axes
    lowest = (found.speed_up * found.time / found.high).min()
    assert lowest < 0.5  # of 149 steps in the place of 26
    assert panel.get_ylim()[0] < lowest
    for container in panel.containers:
        aside = container.lines[0].get_xdata() / [1, 4, 16]
        assert (abs(np.log(aside)) <= np.log(4) / 25 + 1e-12).all()
    assert "Each line is relative to its own steps with 1." in figure.caption


def test_a_line_without_speed_ups_says_why(batches):
    there = batches.isel(run=(batches.optimizer != "Momentum") | (batches.batch != 1))
    (panel,) = gd.plots.speed_up(there).axes
    assert panel.containers[0].get_label().startswith("SGD: critical size")
    assert panel.containers[1].get_label() == "Momentum: nothing with 1 met the target"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (18.01, "loss 18 is not met with 1 sample in a step, to which speed-ups are relative: give target= a higher loss"),
        (1000.0, "the starts meet loss 1000 already, which takes no time: give target= a lower loss"),
    ],
)
@pytest.mark.parametrize("unit", ["steps", "samples"])
def test_speed_ups_to_targets_that_nothing_or_everything_meets_are_refused(batches, target, said, unit):
    with pytest.raises(ValueError, match=said) as raised:
        gd.plots.speed_up(batches, target, unit=unit)
    assert "\n" not in str(raised.value)


def test_a_time_line_has_a_bar_for_each_update_coloured_by_its_staleness():
    rows = {"worker": [0, 1, 0, 1], "begin": [0.0, 0.0, 1.0, 1.5], "end": [1.0, 1.5, 2.0, 4.0], "staleness": [0, 1, 1, 1]}
    updates = xarray.Dataset({name: ("update", np.array(values)) for name, values in rows.items()})
    figure = gd.plots.time_line(updates)
    panel, bar = figure.axes
    assert drawn(figure).startswith(b"\x89PNG")
    assert bar.get_title(loc="left") == "staleness"
    assert "computing and messages together" in figure.caption
    spans = [[(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in bars.get_paths()] for bars in panel.collections]
    assert spans == [[(0.0, 1.0), (1.0, 2.0)], [(0.0, 1.5), (1.5, 4.0)]]
    assert len(np.unique(panel.collections[0].get_facecolors(), axis=0)) == 2
    assert len(np.unique(panel.collections[1].get_facecolors(), axis=0)) == 1
    first = gd.plots.time_line(updates, seconds=1.6)
    assert "the first 2 of 4 updates" in first.caption
    with pytest.raises(ValueError, match=r"none of the 4 updates is applied within seconds=0\.5"):
        gd.plots.time_line(updates, seconds=0.5)
    said = "Dataset over `update` with worker, begin, end, staleness, as gd.analysis.worker_updates gives; a Dataset over update was given"
    with pytest.raises(TypeError, match=said):
        gd.plots.time_line(updates.drop_vars("staleness"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: gd.plots.training_costs(r, units="hours"), "units='hours' is not known"),
        (lambda r: gd.plots.communication_frontier(r, unit="minutes"), "^unit='minutes' is not known"),
        (lambda r: gd.plots.training_costs(r, units=[]), "units is an empty list; this result has steps, samples"),
        (
            lambda r: gd.plots.training_costs(r.drop_vars("samples"), units="samples"),
            "has no 'samples' to draw samples by; results of sweeps with a distribution=",
        ),
        (lambda r: gd.plots.communication_frontier(r.drop_vars("seconds"), unit="seconds"), r"has no 'seconds' .*give cluster=gd\.SimulatedCluster"),
        (lambda r: gd.plots.disagreement(r.drop_vars("disagreement")), "this result has no disagreement"),
    ],
)
def test_mistakes_are_one_line(teams, call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call(teams)
    assert "\n" not in str(raised.value)
