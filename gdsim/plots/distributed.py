"""What workers cost and what they gain: losses over samples, bytes and seconds, speed-ups, how far workers are
apart, and who computes when.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from gdsim import analysis
from gdsim.analysis import bands, critical_batch, simulated_seconds
from gdsim.analysis.simulated import SimulatedCluster
from gdsim.plots.convergence import limit_values
from gdsim.plots.curves import curve_panels
from gdsim.plots.looks import Looks, show_looks
from gdsim.plots.style import (
    Axes,
    Figure,
    SubFigure,
    best_of,
    dodged,
    finished,
    is_wide,
    label_outer,
    legend,
    line,
    logarithmic,
    new_panel,
    new_panels,
    none_of_few,
    ranked_by,
    said_of,
    with_intervals,
)
from gdsim.statistics.quantiles import median
from gdsim.sweep.ranks.labels import cell_texts, counted, shown_number
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.reading import WORST, Dataset, Result, cells_in, check_curves, check_result
from gdsim.words import checked_word, count_of

SIZE = (8.2, 4.2)
# What training costs, by the name of its unit: the variable, and what stands on the axis.
COSTS = {
    "steps": ("step", "steps"),
    "samples": ("samples", "samples of all workers"),
    "rounds": ("round", "rounds of communication"),
    "bytes": ("bytes_sent", "bytes that a worker sent"),
    "seconds": ("seconds", "simulated seconds"),
}
MOST_NAMED = 8  # cells of a frontier that have their names on it
CLOSE = 4.0  # a factor within which the losses of a frontier stand on a linear axis


def training_costs(
    result: Result, *, units: Sequence[str] | str | None = None, variable: str = "loss", cluster: SimulatedCluster | None = None,
    ax: Axes | None = None, figure: Figure | SubFigure | None = None,
) -> Figure:  # fmt: skip
    """The median of `variable` over the runs of each cell, with the band of the middle half, against what training
    costs: a panel for each of `units`.

    Units are "steps", "samples" (of all workers), "rounds" (of communication), "bytes" (that a worker sent) and
    "seconds", each a curve of the result, in `samples`, `round`, `bytes_sent` and `seconds`; all that it has, if none
    are named; seconds are those of `cluster`, by `gd.analysis.simulated_seconds`. A point's cost is the median over the runs as
    well. Of many cells the seven are shown that rank best. `ax`: Axes to draw on, where there is
    one panel; `figure`: an empty figure to draw in. Returns the figure, a matplotlib Figure. Raises TypeError for what
    is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=9, steps=100)
    >>> len(training_costs(sweep.run(), units="steps").axes)
    1
    """
    result = _with_seconds(result, cluster, "training_costs")
    chosen_units = _checked_units(result, units)
    band, falls = bands(result, variable=variable, quantiles=(0.25, 0.5, 0.75)), variable not in WORST
    ranks = ranked_cells(result, variable=None if variable == "loss" else variable)
    chosen, name = best_of(ranks, np.arange(band.sizes["cell"])), variable.replace("_", " ")
    drawn, panels, spare = new_panels(len(chosen_units), "training_costs", each="unit", ax=ax, figure=figure, shared="y")
    texts, values = cell_texts(band.isel(cell=chosen)), band.value.values[chosen]
    looks = Looks([line(k) for k in range(len(chosen))], [(text, line(k)) for k, text in enumerate(texts)])
    for panel, unit in zip(panels, chosen_units, strict=True):
        cost = cost_of_cells(result, unit)[chosen]
        if is_wide(cost[np.isfinite(cost) & (cost > 0)]):
            logarithmic(panel, "x")
            cost[cost <= 0] = np.nan
        for style, at, curve in zip(looks.lines, cost, values, strict=True):
            _curve(panel, at, curve, style)
        panel.grid(alpha=0.3, which="major")
    limit_values(panels, values, np.zeros(0), falls=falls)
    label_outer(panels, "", name)
    for panel, unit in zip(panels, chosen_units, strict=True):
        panel.set_xlabel(COSTS[unit][1])
    title = f"Median {name}{said_of(len(chosen), band.sizes['cell'])}"
    (panels[0].set_title if len(panels) == 1 else drawn.suptitle)(title, fontsize="medium")
    show_looks(drawn, looks, panels, spare)
    said = ranked_by(ranks.name) if len(chosen) < band.sizes["cell"] else ""
    return finished(drawn, _costs_caption(band, name, chosen_units, falls=falls) + said)


def _with_seconds(result: Result, cluster: SimulatedCluster | None, what: str) -> Dataset:
    """A checked result, with its runs' seconds on a cluster where one is given."""
    checked = check_result(result, what)
    check_curves(checked, what)
    return checked if cluster is None else checked.assign(seconds=simulated_seconds(checked, cluster))


def _checked_units(result: Dataset, units: Sequence[str] | str | None, name: str = "units") -> list[str]:
    """The units that are asked for in the argument `name`, or all that a result has. Raises ValueError."""
    there = [unit for unit, (name, _) in COSTS.items() if name in result.variables]
    asked = there if units is None else [units] if isinstance(units, str) else [*units]
    if not asked:
        raise ValueError(f"units is an empty list; this result has {', '.join(there)}")
    for unit in asked:
        checked_word(unit, name, COSTS)
        if unit not in there:
            remedy = "give cluster=gd.SimulatedCluster(...)" if unit == "seconds" else "results of sweeps with a distribution= have them"
            raise ValueError(f"this result has no {COSTS[unit][0]!r} to draw {unit} by; {remedy}")
    return asked


def cost_of_cells(result: Dataset, unit: str) -> np.ndarray:
    """[cell, checkpoint] what training had cost in a unit of `COSTS`, the median over a cell's runs, which cost
    nothing more after their ends; infinite from where half of them had diverged.
    """
    if unit != "steps":
        return bands(result, variable=COSTS[unit][0], quantiles=(0.5,)).value.values[:, 0]
    cells, taken = cells_in(result), result.steps_taken.values
    return np.stack([np.minimum(result.step.values, float(median(taken[cells.place == c]))) for c in range(len(cells.numbers))])


def _curve(panel: Any, cost: np.ndarray, curve: np.ndarray, style: dict[str, Any]) -> None:
    """The middle of curve[quantile, checkpoint] against its cost, and the others as its band."""
    low, middle, high = curve
    known = np.isfinite(middle) & np.isfinite(cost)
    panel.plot(cost[known], middle[known], **style)
    there = known & ~np.isnan(low)
    panel.fill_between(cost[there], low[there], np.where(np.isfinite(high), high, np.nan)[there], color=style["color"], alpha=0.15, linewidth=0)


def _costs_caption(band: Dataset, name: str, units: Sequence[str], *, falls: bool) -> str:
    silent = " One worker alone sends nothing, and has no line over bytes." if "bytes" in units else ""
    return (
        f"Lines: the median {name} of {counted(band.runs.values, 'run')} per cell at each checkpoint, where its runs' median cost lies; bands: the middle half "
        f"of the runs. On a logarithmic axis the start, which costs nothing, is left out. Runs that ended keep their last value; diverged runs count as {'infinite' if falls else '0'} from "
        f"their end.{silent}"
    )


def communication_frontier(
    result: Result, *, unit: str = "bytes", variable: str | None = None, cluster: SimulatedCluster | None = None, ax: Axes | None = None
) -> Figure:
    """Where each cell ends: the median of what ranks, with its 95% interval, against the median of what its runs cost;
    the cells that no other beats in both are joined by a line, and numbered and named.

    `unit` is "bytes" (that a worker sent), "rounds", "samples", "steps" or "seconds" (of `cluster`), as in `gd.plots.training_costs`;
    `variable` as `gd.table` takes it, the final loss say. Each kind of distribution has a colour and a mark. `ax`: Axes
    to draw on. Returns the figure, a matplotlib Figure. Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=9, steps=100)
    >>> len(communication_frontier(sweep.run(), unit="steps", variable="final_loss").axes)
    1
    """
    result = _with_seconds(result, cluster, "communication_frontier")
    (unit,) = _checked_units(result, [unit], "unit")
    ranks, found = ranked_cells(result, variable=variable), cells_in(result)
    cost, runs = cost_of_cells(result, unit)[:, -1], np.bincount(found.place)
    sign = -1.0 if "accuracy" in ranks.name else 1.0
    name = f"median {ranks.name}"
    figure, panel = new_panel(f"Where cells end: {name} against {COSTS[unit][1]}", COSTS[unit][1], name, ax=ax, size=SIZE)
    least = cost[np.isfinite(cost) & (cost > 0)]
    if is_wide(least):
        logarithmic(panel, "x", from_zero=10.0 ** np.floor(np.log10(least.min())) if (cost == 0).any() else 0.0)
    known = ranks.median[np.isfinite(ranks.median)]
    if sign > 0 and known.min(initial=np.inf) > 0 and known.max(initial=0.0) > CLOSE * known.min(initial=np.inf):
        logarithmic(panel, "y")
    texts, kinds = cell_texts(found.dataset({})), _kinds(found.dataset({}))
    has_point = np.isfinite(ranks.median) & np.isfinite(cost)
    for k, kind in enumerate(dict.fromkeys(kinds)):
        mine = np.flatnonzero((np.array(kinds) == kind) & has_point)
        with_intervals(panel, cost[mine], (ranks.median[mine], ranks.low[mine], ranks.high[mine]), k, label=kind, linestyle="none")
    front = pareto_front(cost, sign * ranks.median)
    panel.step(cost[front], ranks.median[front], where="post", color="#444444", linewidth=1.0, zorder=0, label="not beaten in both")
    names = _numbered(panel, front[:: max(1, -(-len(front) // MOST_NAMED))], texts, cost, ranks.median)
    legend(panel, given=[*panel.get_legend_handles_labels()[0], *names], outside=ax is None)
    infinite = int((~has_point).sum())
    left_out = f" {infinite:,} of {len(cost):,} cells, half of whose runs or more diverged or have no such number, have no point." if infinite else ""
    return finished(
        figure,
        f"{counted(runs, 'run')} per cell; whiskers: 95% intervals of the median{none_of_few(runs)}. The line joins the cells that no other beats in both; they were chosen by the "
        f"same runs, which flatters them.{left_out}",
    )


def _numbered(panel: Any, front: np.ndarray, texts: Sequence[str], cost: np.ndarray, value: np.ndarray) -> list[Any]:
    """Writes numbers beside the points of a front, and returns what says in the legend which cells they are."""
    named = []
    for number, cell in enumerate(front, 1):
        panel.annotate(str(number), (cost[cell], value[cell]), (-4, -4), textcoords="offset points", ha="right", va="top", fontsize="x-small")
        named.append(Line2D([], [], linestyle="none", marker=f"${number}$", color="black", markersize=5, markeredgewidth=0, label=texts[cell]))
    return named


def _kinds(found: Dataset) -> list[str]:
    """The distribution of each cell of a Dataset, or its optimizer where none is varied."""
    if "distribution" not in found.coords:
        return [str(name) for name in found.optimizer.values]
    return ["one worker" if kind == "None" else str(kind) for kind in found.distribution.values]


def pareto_front(cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The places that none beats in both, by ascending cost: lower is better. What is not finite is never there.

    >>> pareto_front(np.array([1.0, 2.0, 3.0, 2.0]), np.array([5.0, 4.0, 4.0, 3.0])).tolist()
    [0, 3]
    """
    order = np.lexsort((value, cost))
    order = order[(np.isfinite(cost) & np.isfinite(value))[order]]
    before = np.minimum.accumulate(np.append(np.inf, value[order]))[:-1]
    return order[value[order] < before]


def speed_up(
    result: Result, target: float | None = None, *, by: str = "optimizer", unit: str = "steps", cluster: SimulatedCluster | None = None, ax: Axes | None = None
) -> Figure:
    """How many times less a target takes with more samples in a step, of more workers or larger batches, a line for
    each value of `by`, beside the line of perfect speed-up.

    What `gd.analysis.speed_up` finds in a `unit`, with 95% intervals: "steps", "samples" (of all workers) or "seconds"
    (of `cluster`, a `gd.SimulatedCluster`). At each size the best cell over all else, against that at the smallest of
    the same line. In steps the curves are the fits
    of `gd.analysis.critical_batch`, and a dotted line stands at each critical batch size, at which half of the samples are wasted. `ax`: Axes to draw on.
    Returns the figure, a matplotlib Figure. Raises ValueError, also where no line meets the target at the smallest
    size, or the starts meet it.

    >>> import gdsim as gd
    >>> problem = gd.LinearRegression(gd.Data([[1.0], [2.0], [3.0], [4.0]], [2.5, 3.5, 6.5, 7.5]))
    >>> rates, stop = gd.logspace(1e-3, 1e-1, 9), [gd.Target(0.3, every=1)]
    >>> sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=rates), batch=gd.grid(1, 2, 4), starts=9, steps=300, stop=stop)
    >>> len(speed_up(sweep.run()).axes)
    1
    """
    result = check_result(result, "speed_up")
    found = analysis.speed_up(result, target, by=by, unit=unit, cluster=cluster)
    _check_target(found)
    critical = critical_batch(result, target, by=by) if unit == "steps" else None
    sizes, names = found.batch.values, found[by].values.tolist()
    figure, panel = new_panel(
        f"Speed-up in {unit} to loss {shown_number(found.target)}",
        "samples in a step, of all workers",
        f"times fewer {unit} than with {sizes[0]:g}",
        ax=ax,
        size=SIZE,
    )
    logarithmic(panel, "x")
    logarithmic(panel, "y")
    panel.plot(sizes, found.perfect.values, color="#444444", linewidth=1.0, label="perfect", zorder=0)
    low, high = (found.speed_up.values * found.time.values / np.where(np.isfinite(found[n].values), found[n].values, np.nan) for n in ("high", "low"))
    for k, name in enumerate(names):
        its, text = found.isel({by: k}), str(name) if by == "optimizer" else f"{by} = {name}"
        fit = None if critical is None else critical.isel({by: k})
        label = text if fit is None else _with_critical(text, fit)
        if not np.isfinite(its.speed_up.values[0]):
            label, fit = f"{text}: {'met by the starts' if its.time.values[0] == 0 else f'nothing with {sizes[0]:g} met the target'}", None
        joined = line(k)["linestyle"] if critical is None else "none"
        with_intervals(panel, dodged(sizes, sizes, k, len(names), wide=True), (its.speed_up.values, low[k], high[k]), k, label=label, linestyle=joined)
        if fit is not None:
            _draw_fit(panel, fit, sizes, k)
    if unit != "samples":
        panel.set_ylim(bottom=0.8 * np.nanmin([found.speed_up.values, low], initial=1.0))
    legend(panel, outside=ax is None)
    runs = np.bincount(cells_in(result).place)
    fits = "Curves: steps = fewest (1 + critical / size); dotted: critical sizes, at which a target takes twice the fewest steps. " if unit == "steps" else ""
    return finished(
        figure,
        f"{counted(runs, 'run')} per cell; at each size the cell with the lowest median {unit} over all else, which flatters sizes of many cells. Each line is relative to its own "
        f"{unit} with {sizes[0]:g}. {fits}"
        f"Whiskers: 95% intervals over starts of the {unit} at that size{none_of_few(runs)}; none where half of the resamples or more never met the target.",
    )


def _check_target(found: Dataset) -> None:
    """Refuses to draw speed-ups of which no line has any. Raises ValueError."""
    if np.isfinite(found.speed_up.values[:, 0]).any():
        return
    first, loss = int(found.batch[0]), shown_number(found.target)
    if (found.time.values[:, 0] == 0).any():
        raise ValueError(f"speed_up: the starts meet loss {loss} already, which takes no time: give target= a lower loss")
    raise ValueError(
        f"speed_up: loss {loss} is not met with {count_of(first, 'sample')} in a step, to which speed-ups are relative: give target= a higher loss, or more steps"
    )


def _draw_fit(panel: Any, fit: Dataset, sizes: np.ndarray, k: int) -> None:
    """The k-th line's curve of the speed-up in steps, and its end."""
    critical, first = float(fit.critical_batch), next((float(s) for s in fit.steps.values[:1] if np.isfinite(s)), np.nan)
    if not np.isfinite(critical):
        return
    smooth = np.geomspace(sizes[0], sizes[-1], 100)
    panel.plot(smooth, first / (float(fit.fewest_steps) * (1.0 + critical / smooth)), **line(k))
    if critical <= sizes[-1]:
        panel.axvline(critical, color=line(k)["color"], linestyle=":", linewidth=1.0, zorder=0)


def _with_critical(text: str, its: Dataset) -> str:
    critical, low, high = (float(its[n]) for n in ("critical_batch", "critical_low", "critical_high"))
    if not np.isfinite(critical):
        return f"{text}: {'no end' if np.isinf(critical) else 'too few sizes met the target'}"
    ends = f" [{shown_number(low)}, {shown_number(high)}]" if np.isfinite(low) else ""
    return f"{text}: critical size {shown_number(critical)}{ends}"


def disagreement(result: Result, *, ax: Axes | None = None, figure: Figure | SubFigure | None = None) -> Figure:
    """How far the workers are apart over training: the median of the mean square distance from their mean over the runs
    of each cell, with the band of the middle half, a panel per optimizer.

    The sweep must be one with a distribution whose workers have weights of their own. Cells whose workers never part are left
    out; of many cells of an optimizer the seven are shown that rank best. `ax`: Axes to draw on, where there is one
    panel; `figure`: an empty figure to draw in. Returns the figure, a matplotlib Figure. Raises TypeError for what is
    no result, ValueError for one without `disagreement`.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=9, steps=20, record=gd.Record(every=1))
    >>> result = sweep.run()
    >>> disagreement(result.assign(disagreement=0.1 * result.loss)).axes[0].get_ylabel()
    'mean square distance from the mean'
    """
    result = check_result(result, "disagreement")
    if "disagreement" not in result:
        raise ValueError("this result has no disagreement: its sweep had no distribution= of workers with weights of their own")
    band, ranks = bands(result, variable="disagreement", quantiles=(0.25, 0.5, 0.75)), ranked_cells(result)
    there = np.flatnonzero((band.value.values[:, 2] > 0).any(1))
    if not len(there):
        raise ValueError("the workers of this result never part: their disagreement is 0 throughout")
    band, ranks = band.isel(cell=there), ranks._replace(order=np.array([np.flatnonzero(there == k)[0] for k in ranks.order if k in there]))
    band["value"] = band.value.where(band.value > 0)  # 0 has no place on a logarithmic axis
    shown = curve_panels(band, ranks, "disagreement", ax=ax, figure=figure)
    shown.draw(band)
    for panel in shown.panels:
        panel.set_xlim(0, max(1, band.step.values[-1]))
    limit_values(shown.panels, band.value.values[shown.chosen], np.zeros(0), falls=True)
    shown.show_looks()
    label_outer(shown.panels, "step", "mean square distance from the mean")
    said = ranked_by(ranks.name) if len(shown.chosen) < band.sizes["cell"] else ""
    left_out = " Cells whose workers never part are left out." if len(there) < len(cells_in(result).numbers) else ""
    return finished(
        shown.figure,
        f"Lines: the median, over {counted(band.runs.values, 'run')} per cell, of the mean square distance of the workers from their mean at each checkpoint; bands: the middle "
        f"half of the runs. A line is broken where the workers are together, as at the start and at a checkpoint that falls on an exchange of all.{left_out}{said}",
    )
