"""Figures: each takes any population without complaint, says what is on it, and shows the numbers of the
analysis.
"""

import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest

import gdsim as gd
from gdsim.plots.style import dodged
from tests.analysis.populations import result_of, rosenbrock
from tests.plots.figures import FIGURES as ANY, drawn

FIGURES = {**ANY, "success map": lambda r: gd.plots.heat_map(r, "lr", "optimizer", statistic="probability")}
RATES = {"lr": np.geomspace(1e-4, 1.0, 20)}


@pytest.fixture(scope="module")
def populations():
    """Populations of every odd kind."""
    curves = np.geomspace(1.0, 1e-6, 30)[None] * np.random.default_rng(0).uniform(1, 2, (60, 1))
    lost = np.where(np.arange(30) > 3, np.nan, 1.0) * np.ones((4, 1))
    return {
        "swept": rosenbrock().run(),
        "one run": result_of(curves[:1], coordinates={"lr": [0.1]}),
        "many cells": result_of(curves, cells=20, coordinates=RATES),
        "all diverged": result_of(lost, taken=[3] * 4, status=["diverged"] * 4, final=[1.0] * 4, coordinates={"lr": [0.1]}),
        "ties": result_of(np.ones((8, 5)), cells=2, coordinates={"lr": [0.1, 1.0]}),
        "already there": result_of(np.zeros((8, 5)), cells=2, coordinates={"lr": [0.1, 1.0]}),
    }


@pytest.mark.parametrize("kind", ["swept", "one run", "many cells", "all diverged", "ties", "already there"])
@pytest.mark.parametrize("name", FIGURES)
def test_any_population_has_its_figure(populations, kind, name):
    if name == "compare_tuned" and kind == "one run":
        with pytest.raises(ValueError, match="starts=2 or more"):
            FIGURES[name](populations[kind])
        return
    figure = FIGURES[name](populations[kind])
    assert drawn(figure).startswith(b"\x89PNG")
    assert re.search(r"\d (run|start|step)s?\b", figure.caption), figure.caption  # counts stand on it


def test_bands_show_medians_and_at_most_seven_cells_of_an_optimizer(populations):
    (panel,) = gd.plots.convergence_bands(populations["many cells"]).axes
    assert len(panel.lines) == 7
    assert "best 7 of 20 cells" in panel.get_title()
    first = gd.plots.convergence_bands(populations["swept"]).axes[0]
    value = gd.analysis.bands(populations["swept"], quantiles=[0.5]).value[0, 0].values
    assert np.array_equal(first.lines[0].get_ydata(), value[np.isfinite(value)])


def test_ert_shows_the_best_cell_of_each_rate_with_its_interval(populations):
    found = gd.analysis.expected_running_time(populations["swept"], 0.5).isel(target=0)
    (panel,) = gd.plots.ert(populations["swept"], 0.5).axes
    drawn_y = np.concatenate([c.lines[0].get_ydata() for c in panel.containers])
    assert set(drawn_y[np.isfinite(drawn_y)]) == set(found.ert.values[np.isfinite(found.ert.values)])
    with pytest.raises(ValueError, match="allowed: 'lr'"):
        gd.plots.ert(populations["swept"], hyperparameter="momentum")


def test_the_profile_is_that_of_the_analysis(populations):
    result = populations["swept"]
    profile = gd.analysis.performance_profile(gd.analysis.times_to_decrease(result, 1e-2))
    (panel,) = gd.plots.performance_profile(result, share=1e-2).axes
    curves = [line for line in panel.lines if line.get_drawstyle() == "steps-post"]
    assert [line.get_ydata()[0] for line in curves] == pytest.approx(profile.share.sel(tau=1.0).values.tolist())
    assert len(panel.containers) == sum(line.get_ydata()[-1] > 0 for line in curves)  # each that solves any with its intervals


def test_a_profile_goes_by_the_sweeps_own_target(populations):
    """Starts that met the target, counted by the runs' own statuses; where no cell met it, none is solved."""
    result = populations["swept"]
    figure = gd.plots.performance_profile(result)
    assert "met the loss 0.001, the sweep's target" in figure.caption
    assert "of the way" not in figure.caption
    ends = [line.get_ydata()[-1] for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    assert ends == pytest.approx([np.mean(result.status.values[result.cell.values == c] == "converged") for c in range(5)])
    assert "0.99 of the way" in gd.plots.performance_profile(populations["ties"]).caption
    never = populations["ties"].assign_attrs(targets=[0.5])
    assert all(line.get_ydata()[-1] == 0 for line in gd.plots.performance_profile(never).axes[0].lines)


def test_cells_that_met_no_target_are_left_out_and_not_called_the_worse_ones():
    result = result_of(np.tile([[3.0, 0.5], [3.0, 2.0], [3.0, 0.5]], (4, 1)), cells=3, coordinates={"lr": [0.1, 0.2, 0.3]})
    figure = gd.plots.ecdf(result, 1.0)
    assert "the 2 of 3 cells that did" in figure.axes[0].get_title()
    assert "The best are" not in figure.caption
    assert "of 3 cells" not in gd.plots.ecdf(result, 2.5).axes[0].get_title()


def test_points_of_several_optimizers_read_as_their_values():
    rates = np.array([0.01, 0.1, 1.0])
    places = [dodged(rates, rates, k, 5) for k in range(5)]
    assert len(np.unique(places)) == 15
    assert all(np.abs(x / rates - 1).max() < 0.11 for x in places)  # 1 in two digits is read as 0.9 to 1.1


def test_shares_on_maps_have_their_intervals():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=10, steps=50)
    found = gd.analysis.divergence_map(result := sweep.run(), "lr", "momentum")
    panel = gd.plots.divergence_map(result, "lr", "momentum").axes[0]
    low, high = (float(found[n][0, 0]) for n in ("low", "high"))
    assert panel.texts[0].get_text() == f"0%\n{low:.0%} to {high:.0%}"


def test_medians_on_maps_are_those_of_the_best_cell_and_have_their_intervals():
    rules = [rule(lr=[0.01, 0.02], momentum=[0.0, 0.5]) for rule in (gd.Momentum, gd.Nesterov)]
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rules, starts=10, steps=20)
    best = gd.analysis.best_cell(result := sweep.run())
    panel = gd.plots.heat_map(result, "lr", "momentum").axes[0]
    here = [k for k in range(best.sizes["cell"]) if (best.lr[k], best.momentum[k]) == (0.02, 0.5)]
    median, low, high = min([float(best[n][k]) for n in ("median_loss", "low", "high")] for k in here)
    assert panel.texts[-1].get_text() == f"{median:.2g}\n{low:.2g} to {high:.2g}"


def test_tuned_optimizers_are_compared_with_the_analysis_numbers(populations):
    found = gd.analysis.compare_tuned(populations["swept"])
    (panel,) = gd.plots.compare_tuned(populations["swept"]).axes
    order = np.argsort(found["median"].values)
    assert [label.get_text() for label in panel.get_yticklabels()] == found.optimizer.values[order].tolist()
    shown = [float(container.lines[0].get_xdata()[0]) for container in panel.containers]
    assert shown == sorted(found["median"].values[np.isfinite(found["median"].values)].tolist())
    assert any(f"p = {float(found.p_holm[0]):.2g}"[:5] in text.get_text() for text in panel.texts)


def test_none_is_a_value_of_an_axis():
    data = gd.datasets.load("moons", validation=0.25)
    problem = gd.MLP(data, hidden=[2], loss="log_loss")
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=[0.1, 0.5]), batch=gd.grid(None, 8), starts=4, steps=20).run()
    for figure in (gd.plots.ert(result, 1.0, hyperparameter="batch"), gd.plots.sensitivity_curve(result, "batch", variable="final_loss")):
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["None", "8"]
    panel = gd.plots.heat_map(result, "lr", "batch", variable="final_loss").axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["None", "8"]
    for column in (0, 1):  # cells are numbered by rate, then by batch
        losses = np.sort(result.final_loss.values[result.cell.values == 2 * column])
        text = next(t.get_text() for t in panel.texts if t.get_position() == (column, 0))
        assert text == f"{losses[1]:.2g}"  # the lower of two in the middle; of four runs without an interval


def test_times_begin_a_little_before_a_curve_rises():
    """Where no run meets the target before step 400 of 1000, or 1000 of 10^5, the axis does not begin at 0;
    where one does at once, it does.
    """
    for steps, met, scale in (([0, 400, 1000], 1, "linear"), ([0, 1000, 100_000], 1, "log"), ([0, 1, 1000], 1, "symlog")):
        losses = np.tile([3.0, 0.5, 0.5], (6, 1))
        losses[3:, met] = 3.0
        (panel,) = gd.plots.ecdf(result_of(losses, steps=steps), 1.0).axes
        first = panel.get_xlim()[0]
        assert panel.get_xscale() == scale
        assert (0.7 * steps[met] < first < steps[met]) if scale != "symlog" else first == 0
        assert panel.lines[0].get_ydata()[0] == 0
        assert panel.lines[0].get_ydata()[-1] == 1


def test_values_without_a_point_keep_their_place_on_the_axis():
    losses = np.tile([[3.0, 0.1], [3.0, 2.0]], (8, 1))
    result = result_of(losses, cells=2, coordinates={"lr": [0.1, 100.0]})
    for figure in (gd.plots.ert(result, 1.0), gd.plots.sensitivity_curve(result, target=1.0)):
        low, high = figure.axes[0].get_xlim()
        assert low < 0.1
        assert high > 100.0


def test_negative_losses_that_leave_the_picture_do_not_press_the_others_flat():
    losses = np.tile([[-1.0, -5.0, -9.0], [-1.0, 1e12, 1e15]], (8, 1))
    (panel,) = gd.plots.convergence_bands(result_of(losses, cells=2, coordinates={"lr": [0.1, 0.2]})).axes
    low, high = panel.get_ylim()
    assert low < -9.0
    assert -1.0 < high < 10.0


def test_ticks_of_logarithmic_axes_are_plain_numbers_that_do_not_meet():
    losses = np.geomspace(0.1, 30.0, 60)
    figure = gd.plots.final_losses(result_of(np.stack([np.full(60, 50.0), losses], 1), cells=2, coordinates={"lr": [0.1, 0.2]}))
    figure.canvas.draw()
    (panel,) = figure.axes
    drawn_ticks = [t.label1 for t in (*panel.xaxis.get_major_ticks(), *panel.xaxis.get_minor_ticks()) if t.label1.get_text()]
    boxes = sorted((t.get_window_extent() for t in drawn_ticks), key=lambda box: box.x0)
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes) if a.x0 < b.x0 - 1)
    assert {"1", "10"} <= {t.get_text() for t in drawn_ticks}
    assert all(re.fullmatch(r"[\d.]+", t.get_text()) for t in drawn_ticks)


def test_long_logarithmic_axes_have_few_ticks_and_no_label_between_powers_of_ten():
    losses = np.stack([np.geomspace(1e-4, 30.0, 60)] * 2, 1)
    (panel,) = gd.plots.final_losses(result_of(losses, cells=1, coordinates={"lr": [0.1]})).axes
    panel.set_xlim(1e-4, 30.0)
    panel.figure.canvas.draw()
    between = panel.xaxis.get_minor_ticks()
    shares = {round(t.get_loc() / 10.0 ** np.floor(np.log10(t.get_loc()) + 1e-9), 6) for t in between}
    assert shares == {2.0, 5.0}
    assert {t.label1.get_text() for t in between} == {""}
    assert {t.label1.get_text() for t in panel.xaxis.get_major_ticks()} >= {"0.001", "0.01", "0.1", "1", "10"}


def test_maps_have_no_column_that_no_cell_lies_in():
    """A rate that only an optimizer without the other hyperparameter has tried stands on no map of the
    two.
    """
    result = result_of(np.tile([3.0, 0.5], (9, 1)), cells=3, coordinates={"lr": [0.1, 0.2, 7.0], "momentum": [0.0, 0.9, np.nan]})
    for figure in (gd.plots.heat_map(result, "lr", "momentum"), gd.plots.divergence_map(result, "lr", "momentum")):
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.1", "0.2"]


def test_minima_are_marked_by_their_counts():
    sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=0.01), starts=300, steps=500)
    (panel,) = gd.plots.final_losses(sweep.run()).axes
    assert sorted(round(float(line.get_xdata()[0]), 2) for line in panel.lines) == [-78.33, -64.2, -50.06]


def test_schedules_are_drawn_as_runs_see_them():
    (panel,) = gd.plots.schedule([gd.InverseTime(), gd.Cosine(cycle=10)], steps=20, lr=0.5).axes
    assert np.allclose(panel.lines[0].get_ydata(), 0.5 / np.arange(1, 21))
    assert panel.lines[1].get_ydata()[10] == pytest.approx(0.5)
    assert panel.get_legend().get_texts()[1].get_text().startswith("Cosine cycle=10")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: gd.plots.schedule("cosine"), r"'cosine' was given: write gd\.Cosine\("),
        (lambda r: gd.plots.schedule([gd.Cosine(cycle=5), 3]), r"3 was given: there are gd\."),
        (lambda r: gd.plots.ert(r, [0.1, 0.01]), r"\[0\.1, 0\.01\] was given.*gd\.plots\.ecdf"),
        (lambda r: gd.plots.ert(r, float("nan")), "nan was given"),
        (lambda r: gd.plots.convergence_bands(r, variable="los"), "loss"),
        (lambda r: gd.plots.convergence_bands(r.isel(checkpoint=0)), "one checkpoint alone"),
        (lambda r: gd.plots.divergence_map(r, "lr", "lr"), "'lr' was given twice"),
        (lambda r: gd.plots.heat_map(r, "lr", "optimizer", statistic="mean"), "statistic='mean' is not known"),
        (lambda r: gd.plots.schedule([]), "schedules is an empty list"),
        (lambda r: gd.plots.schedule(gd.Cosine(10), lr=[0.1, 1.0]), "lr must be one number"),
        (lambda r: gd.plots.schedule(gd.Cosine(10), lr=-1), "lr must be a finite number"),
        (lambda r: gd.plots.race_animation(r, "x.html", frames=0), "frames must be a whole number from 2"),
        (lambda r: gd.plots.race_animation(r, "x.html", seconds=float("nan")), "seconds must be a finite number"),
        (lambda r: gd.analysis.wilson(5, 3), "from 0 to n"),
        (lambda r: gd.analysis.clopper_pearson(5, 3), "from 0 to n"),
        (lambda r: gd.analysis.mcnemar(-1, 2), "-1 and 2 were given"),
        (lambda r: gd.analysis.holm([2, -1]), "from 0 to 1"),
        (lambda r: gd.analysis.expected_best(3, 4), "must be a list of losses"),
    ],
)
def test_mistakes_are_one_line(populations, call, words):
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        call(populations["one run"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [*FIGURES, "table", "best_cell"])
def test_a_selection_of_no_runs_is_one_line(populations, name):
    nothing = populations["ties"].where(populations["ties"].status == "converged", drop=True)
    call = FIGURES.get(name) or {"table": gd.table, "best_cell": gd.analysis.best_cell}[name]
    with pytest.raises(ValueError, match="a result that has no runs: nothing was selected"):
        call(nothing)


def test_a_colour_is_a_value_in_all_panels():
    """Rates that both optimizers tried have one colour, in both panels and in the one legend; all others have
    others.
    """
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Momentum(lr=[0.01, 0.02], momentum=0.5)], starts=3, steps=20)
    left, right, *_ = (figure := gd.plots.convergence_bands(sweep.run())).axes
    colours = [[mpl.colors.to_hex(line.get_color()) for line in panel.lines] for panel in (left, right)]
    assert colours[0][1] == colours[1][0]
    assert len({*colours[0], *colours[1]}) == 3
    (legend,) = [panel.get_legend() for panel in figure.axes if panel.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["lr = 0.001", "lr = 0.01", "lr = 0.02"]
    assert [mpl.colors.to_hex(line.get_color()) for line in legend.get_lines()] == [*colours[0], colours[1][1]]


def test_accuracies_are_not_logarithmic_and_targets_are_drawn():
    data = gd.datasets.load("xor")
    sweep = gd.Sweep(problem=gd.MLP(data, hidden=[2], loss="log_loss"), optimizer=gd.SGD(lr=1.0), starts=5, steps=20, stop=[gd.Target(0.3)])
    result = sweep.run()
    (panel,) = gd.plots.convergence_bands(result, variable="accuracy").axes
    assert panel.get_yscale() == "linear"
    (panel,) = gd.plots.convergence_bands(result).axes
    assert 0.3 in [float(line.get_ydata()[0]) for line in panel.lines]


@pytest.mark.parametrize("count", range(1, 15))
@pytest.mark.parametrize("spare", [True, False])
def test_no_place_of_a_grid_is_empty(count, spare):
    from gdsim.plots.style import new_panels

    _, panels, place = new_panels(count, "a figure", spare=spare)
    cells = [panel.get_subplotspec() for panel in [*panels, *([place] if place else [])]]
    grid = cells[0].get_gridspec()
    assert sum(len(c.rowspan) * len(c.colspan) for c in cells) == grid.nrows * grid.ncols
    assert len(panels) == count
    assert all(label.get_visible() for panel in panels for axis in (panel.xaxis, panel.yaxis) for label in axis.get_majorticklabels())


@pytest.fixture(scope="module")
def timed():
    """Two optimizers of which the first never meets the sweep's target, and of the second one cell of two."""
    return met_by([gd.SGD(lr=[1e-4, 2e-4]), gd.Momentum(lr=[1e-4, 0.05])])


def met_by(rules):
    """Runs of some optimizers to one target."""
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=rules, starts=5, steps=200, stop=[gd.Target(1e-5)]).run(progress=False)


def test_no_optimizer_is_credited_with_another_ones_time(timed):
    found = gd.analysis.budget_curve(timed)
    met = np.sort(timed.steps_taken.values[timed.cell.values == 3])
    assert found.loss.values.tolist() == [[np.inf, np.inf], [np.inf, met[2]]]
    (panel,) = (figure := gd.plots.budget_curve(timed)).axes
    assert [t.get_text() for t in panel.get_legend().get_texts()] == ["SGD (2 cells, all infinite)", "Momentum (2 cells, 1 infinite)"]
    assert [len(c.lines[0].get_xdata()) for c in panel.containers] == [0, 1]
    assert "infinite where half of its runs" in figure.caption


@pytest.mark.parametrize("order", [1, -1])
def test_limits_are_those_of_all_panels_and_hold_the_target(order):
    figure = gd.plots.convergence_bands(met_by([gd.SGD(lr=[1e-4, 2e-4]), gd.Momentum(lr=[1e-4, 0.05])][::order]))
    low, high = figure.axes[0].get_ylim()
    assert low < 1e-5
    for panel in figure.axes[:2]:
        assert panel.get_ylim() == (low, high)
        assert all(low < min(line.get_ydata()) and max(line.get_ydata()) < high for line in panel.lines)


def test_an_interval_that_is_open_has_an_arrow():
    from gdsim.plots.style import new_panel, with_intervals

    _, panel = new_panel("", "", "")
    with_intervals(panel, np.arange(3.0), [[1.0, 2.0, np.nan], [0.5, 1.0, np.nan], [2.0, np.inf, np.nan]], 0)
    (arrow,) = panel.texts
    assert tuple(arrow.xy) == (1.0, 2.0)
    assert arrow.get_position()[1] > 0


def test_runs_that_a_target_stopped_are_at_no_minimum(timed):
    for panel in gd.plots.final_losses(timed).axes:
        met = [line for line in panel.lines if line.get_xdata()[0] <= 1e-5]
        assert not met


def test_zeros_and_infinite_medians_have_their_place_on_a_map():
    """Losses of 0, 1e-20, 1e-8 and 1; a field of runs that diverged, and one without a cell."""
    finals = np.array([[0.0, 1e-20, 1e-8, 1.0, np.inf]] * 3)
    names = {"lr": [0.1, 0.2, 0.3, 0.1, 0.2], "momentum": [0.0, 0.0, 0.0, 0.9, 0.9]}
    status = np.where(np.isinf(finals), "diverged", "budget").ravel()
    result = result_of(np.ones((15, 1)), cells=5, final=finals.ravel(), status=status, coordinates=names)
    panel = (figure := gd.plots.heat_map(result, "lr", "momentum")).axes[0]
    (image,), (hatched,) = panel.images, panel.patches
    assert isinstance(image.norm, mpl.colors.LogNorm)
    assert image.norm(image.get_array()).filled(-1).ravel().tolist() == pytest.approx([0.0, 0.0, 0.6, 1.0, -1, -1])
    assert (hatched.get_x(), hatched.get_y()) == (0.5, 0.5)
    assert "Light grey: no cell there; hatched: an infinite median" in figure.caption


def test_an_optimizer_without_a_line_says_so(timed):
    panel = gd.plots.sensitivity_curve(timed).axes[0]
    assert panel.get_legend().get_texts()[0].get_text() == "SGD (infinite everywhere)"


def test_of_cells_with_equal_profiles_those_that_rank_first_are_drawn():
    """Nine cells that solve every start at the first look, the later the lower their final loss."""
    ends = np.tile(1e-3 * np.arange(9, 0, -1), 6)
    result = result_of(np.stack([np.ones(54), ends], 1), cells=9, coordinates={"lr": np.arange(9.0)})
    panel = gd.plots.performance_profile(result).axes[0]
    shown = " ".join(text.get_text() for text in panel.get_legend().get_texts())
    assert sorted(map(float, re.findall(r"lr = (\d+)", shown))) == [2, 3, 4, 5, 6, 7, 8], shown
