"""How long runs take to reach a loss: shares of targets met by a time, expected times by rate, profiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.analysis.targets import chosen_targets, one_target
from gdsim.plots.looks import looks_together
from gdsim.plots.style import (
    MOST_BANDS,
    MOST_LINES,
    Axes,
    Figure,
    best_of,
    dodged,
    finished,
    is_wide,
    legend,
    log_scale,
    logarithmic,
    new_panel,
    none_of_few,
    number_axis,
    ranked_by,
    said_of,
    share_axis,
    whiskers,
    with_intervals,
)
from gdsim.sweep.ranks.hits import Targets, checked_targets, own_targets
from gdsim.sweep.ranks.labels import counted, shown_number
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.reading import Result, axis_of, cell_coordinates, check_result, varied
from gdsim.words import given

SIZE = (8.2, 4.2)
NEARLY = 1e-2  # of the way to the lowest loss that is known, at which a start counts as solved where the sweep has no target
LITTLE = 1.25  # what an axis of times begins before the first, as a factor
TIMES = "Times are as fine as the looks: a target of the sweep is met at a step, with mini-batches at a look of its stop, any other at a checkpoint."


def ecdf(result: Result, targets: Targets = None, *, unit: str = "steps", ax: Axes | None = None) -> Figure:
    """The share of runs and targets that are met by each time, a line per cell with its interval; the seven
    best cells.

    Without `targets`, those of the sweep, or `gd.analysis.default_targets`. `ax`: Axes to draw on. Returns
    the figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for one without what
    is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> len(ecdf(sweep.run()).axes)
    1
    """
    result = check_result(result, "ecdf")
    own = own_targets(result)
    losses = checked_targets(targets) if targets is not None else chosen_targets(result)
    found = analysis.ecdf(result, losses, unit=unit)
    mean = found.share.mean("time").values if found.sizes["time"] else np.zeros(found.sizes["cell"])
    ranks = ranked_cells(result)
    reached, count = np.flatnonzero(mean > 0), found.sizes["cell"]
    chosen = best_of(ranks, reached)
    of = said_of(len(chosen), count) if len(chosen) < len(reached) else f"; the {len(chosen)} of {count:,} cells that did" if len(chosen) < count else ""
    several = found.attrs["targets"]
    what = f"loss {shown_number(float(losses[0]))}" if several == 1 else f"{several} targets"
    title = f"Share of runs that have met {what}{of}" if len(chosen) else f"No run has met {what}"
    figure, panel = new_panel(title, unit, "share met", ax=ax, size=SIZE)
    curves, time = [found[n].values[chosen] for n in ("share", "low", "high")], found.time.values
    begin = _time_scale(panel, time, curves[0])
    if len(time):  # to a little beyond the last
        shown = time >= begin
        time = np.concatenate([[begin], time[shown], [1.02 * time[-1] + 1e-9]])
        curves = [np.concatenate([np.zeros((len(c), 1)), c[:, shown], c[:, -1:]], 1) for c in curves]
    _steps(panel, time, curves, looks_together(found, chosen))
    legend(panel, outside=ax is None)
    which = (
        "given" if targets is not None else "of the sweep" if len(own) else "chosen between this sweep's own first and lowest losses: another sweep's differ"
    )
    best = ranked_by(ranks.name) if len(chosen) < len(reached) else ""
    before = f" Before {shown_number(begin, 2)} {unit}, where the axis begins, none is met." if begin else ""
    return finished(figure, f"{counted(found.runs.values, 'run')} per cell; targets {which}.{before} {_intervals(len(chosen))} {TIMES}{best}")


def _time_scale(panel: Any, time: np.ndarray, shares: np.ndarray) -> float:
    """Times from a little before the first at which one of the curves, shares[cell, time], rises; logarithmic
    where they lie far apart. Returns where they begin.
    """
    risen = time[(shares > 0).any(0)] if len(time) else time
    first, last = (float(risen[0]), float(time[-1])) if len(risen) else (0.0, 0.0)
    begin = 0.0
    if is_wide([max(first, 1.0), last]):
        begin = first / LITTLE if first > 1 else 0.0
        logarithmic(panel, "x", from_zero=0.0 if begin else 1.0)
    elif first > last / 4:
        begin = max(0.0, first - (last - first) / 20 - 1e-3 * last)
    panel.set_xlim(begin, 1.02 * last if last > 0 else 1.0)
    return begin


def _intervals(count: int) -> str:
    return f"{'Bands' if count <= MOST_BANDS else 'Whiskers, a little apart for the eye'}: 95% intervals over starts."


def _steps(panel: Any, x: np.ndarray, curves: Sequence[np.ndarray], looks: Any) -> None:
    """Shares that rise in steps, [share, low, high][cell, place], with their intervals."""
    count = len(looks.lines)
    for k, ((label, style), share, low, high) in enumerate(zip(looks.entries, *curves, strict=True)):
        panel.step(x, share, where="post", label=label, **style)
        if count <= MOST_BANDS:
            panel.fill_between(x, low, high, step="post", color=style["color"], alpha=0.15, linewidth=0)
        else:
            whiskers(panel, x, (share, low, high), style["color"], k, count)
    share_axis(panel.yaxis)
    panel.set_ylim(0, 1.02)


def ert(result: Result, target: float | None = None, *, hyperparameter: str = "lr", unit: str = "steps", ax: Axes | None = None) -> Figure:
    """The expected time to a target with restarts against a hyperparameter, a line per optimizer with 95%
    intervals.

    At each value the best cell over all other hyperparameters counts; where no run of any met the target, the
    line is broken. Without `target`, the lowest of the sweep's, or the median of
    `gd.analysis.default_targets`. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises
    ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=20, steps=500)
    >>> len(ert(sweep.run()).axes)
    1
    """
    result = check_result(result, "ert")
    if target is not None and np.size(target) > 1:
        raise ValueError(f"ert draws one target, a loss such as 0.1; {given(target)} was given: draw a figure for each, or gd.plots.ecdf, which takes several")
    loss = one_target(result, target, "ert")
    found = analysis.expected_running_time(result, loss, unit=unit).isel(target=0)
    axis, place = axis_of(varied(cell_coordinates(found), hyperparameter, numbers=True))
    figure, panel = new_panel(f"Expected {unit} to loss {shown_number(loss)}, with restarts", hyperparameter, f"expected {unit}", ax=ax, size=SIZE)
    names, places = list(dict.fromkeys(found.optimizer.values.tolist())), number_axis(panel, axis)
    for k, name in enumerate(names):
        mine = found.optimizer.values == name
        at, *curve = _best_of_each(found.isel(cell=mine), place[mine])
        text = str(name) if np.isfinite(curve[0]).any() else f"{name} (never met)"
        with_intervals(panel, dodged(places[at.astype(int)], places, k, len(names)), curve, k, label=text)
    log_scale(panel, "y", found.ert.values)
    legend(panel, outside=ax is None)
    aside = " Points of several optimizers stand a little aside of their value, so that none hides another." if len(names) > 1 else ""
    return finished(
        figure,
        f"The time that all runs spend over the number that met the target, {counted(found.runs.values, 'run')} per cell; at each {hyperparameter} the best "
        f"cell over all else, which flatters optimizers with more cells. Whiskers: 95% intervals, the bootstrap's over starts, an arrow: up to infinity{none_of_few(found.runs.values)}; a line is broken "
        f"where no run met the target.{aside} {TIMES}",
    )


def _best_of_each(found: Any, place: np.ndarray) -> np.ndarray:
    """[place of a value, time, low, high] of the best cell at each; NaN where none met the target."""
    at = np.unique(place[place >= 0])
    best = [mine[np.argmin(found.ert.values[mine])] for mine in (np.flatnonzero(place == k) for k in at)]
    curves = np.array([found[n].values[best] for n in ("ert", "low", "high")], float)
    return np.vstack([at, np.where(np.isfinite(curves[0]), curves, np.nan)])


def performance_profile(result: Result, *, share: float | None = None, unit: str = "steps", over: str | None = None, ax: Axes | None = None) -> Figure:
    """The performance profile of the cells, each start a problem: solved within tau times the best cell's
    time, with intervals. The seven best cells.

    A start counts as solved once a run has met the sweep's lowest `gd.Target`; where it has none, or with
    `share`, once a run has made all but `share` (0.01) of the way to the lowest loss that any cell reached
    from it. In a sweep of several problems `over="problem"` makes each start of each problem one, and
    compares what cells have else. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises
    TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=20, steps=500)
    >>> len(performance_profile(sweep.run()).axes)
    1
    """
    result = check_result(result, "performance_profile")
    own = own_targets(result)
    if share is None and len(own):
        times = analysis.times_by_start(result, float(own[-1]), unit=unit, over=over)
        solved = f"once it has met the loss {shown_number(float(own[-1]))}, the sweep's target"
    else:
        share = NEARLY if share is None else share
        times = analysis.times_to_decrease(result, share, unit=unit, over=over)
        solved = f"at {1 - share:.4g} of the way from its first loss to the lowest that any cell reached from it"
    solver = str(times.dims[-1])
    found, scores = analysis.performance_profile(times, solver=solver), analysis.algoperf_score(times, solver=solver).values
    place = ranked_cells(result).rank if over is None else np.arange(len(scores))  # by which cells of one area are chosen
    chosen = np.sort(np.lexsort((place, -scores))[:MOST_LINES])
    title = f"Starts solved within a multiple of the best cell's {unit}{said_of(len(chosen), len(scores))}"
    figure, panel = new_panel(title, f"{unit} over the best cell's", "share of starts solved", ax=ax, size=SIZE)
    tau = np.append(found.tau.values, max(1.5, 1.1 * found.tau.values[-1]))
    curves = [np.concatenate([v, v[:, -1:]], 1) for v in (found[n].values[chosen] for n in ("share", "low", "high"))]
    log_scale(panel, "x", tau)
    _steps(panel, tau, curves, looks_together(found.rename({solver: "cell"}) if solver != "cell" else found, chosen))
    legend(panel, outside=ax is None)
    return finished(
        figure,
        f"{found.attrs['problems']:,} {'starts' if over is None else f'starts of each {over}'}; one is solved {solved}. "
        f"{_intervals(len(chosen))} A profile compares with the best, and does not rank the others among "
        f"themselves; the cells shown have the largest areas under theirs, of equal ones the first by rank. {TIMES}",
    )
