"""What it takes to tune an optimizer: losses over a hyperparameter, and over the number of trials."""

from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.plots.style import (
    Axes,
    Figure,
    dodged,
    finished,
    legend,
    line,
    log_scale,
    marked_line,
    new_panel,
    none_of_few,
    number_axis,
    share_axis,
    with_intervals,
)
from gdsim.sweep.ranks.labels import counted, shown_number
from gdsim.sweep.results.reading import Result, cells_in, check_result
from gdsim.words import count_of

SIZE = (8.2, 4.2)


def sensitivity_curve(
    result: Result, hyperparameter: str = "lr", *, variable: str | None = None, target: float | None = None, factor: float = 2.0, ax: Axes | None = None
) -> Figure:
    """The best median at each value of a hyperparameter, a line per optimizer; the range within `factor` of
    its best is drawn below.

    The median is of what ranks: `variable` or the time to `target`, or else as `gd.table` says. An arrow at
    the range's end says that it reaches the end of the grid, and may go on. `ax`: Axes to draw on. Returns
    the figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for one without what
    is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-3, 1, 7)), starts=9, steps=20)
    >>> len(sensitivity_curve(sweep.run()).axes)
    1
    """
    result = check_result(result, "sensitivity_curve")
    found = analysis.sensitivity(result, hyperparameter, variable=variable, target=target, factor=factor)
    runs = np.bincount(cells_in(result).place)
    name = f"median {found.ranked_by}"
    figure, panel = new_panel(f"The best cell at each {hyperparameter}, by its {name}", hyperparameter, name, ax=ax, size=SIZE)
    names, places = found.optimizer.values.tolist(), number_axis(panel, found.value.values)
    for k, optimizer in enumerate(names):
        its = found.isel(optimizer=k)
        known = np.isfinite(its.curve.values)
        panel.plot(places[known], its.curve.values[known], label=_named(optimizer, its), **marked_line(k))
        _range(panel, its, places, k)
    panel.tick_params(axis="x", pad=6 + 0.03 * panel.bbox.height * 72 / panel.figure.dpi * len(names))
    log_scale(panel, "y", found.curve.values)
    legend(panel, outside=ax is None)
    return finished(
        figure,
        f"{counted(runs, 'run')} per cell; at each value the best cell over all other hyperparameters, which flatters optimizers with more cells. Bars below: where "
        f"the median stays within {shown_number(factor)} times the optimizer's best, in decades beside its name; an arrow: up to the end of the grid, and perhaps "
        "beyond. Values of which the median is infinite, half of the runs or more having diverged or never met the target, have no point.",
    )


def _range(panel: Any, found: Any, places: np.ndarray, k: int) -> None:
    """The bar of the range within the factor, below the panel."""
    ends = [places[[v == end for v in found.value.values.tolist()]] for end in (found.low.item(), found.high.item())]
    if not all(map(len, ends)):
        return
    low, high, height = float(ends[0][0]), float(ends[1][0]), -0.02 - 0.03 * k
    below = {"transform": panel.get_xaxis_transform(), "clip_on": False, "color": line(k)["color"]}
    panel.plot([low, high], [height, height], linewidth=3, solid_capstyle="butt", marker="|", markersize=5, **below)
    for end, is_open, marker in ((low, found.low_open, "<"), (high, found.high_open, ">")):
        if is_open:
            panel.plot([end], [height], marker, markersize=6, **below)


def _named(name: str, found: Any) -> str:
    if not np.isfinite(found.curve.values).any():
        return f"{name} (infinite everywhere)"
    text = f"{float(found.decades):.2g}"
    return name if text in ("nan", "0") else f"{name}: {text} decade{'' if text == '1' else 's'}"


def budget_curve(result: Result, *, variable: str | None = None, target: float | None = None, by: str = "optimizer", ax: Axes | None = None) -> Figure:
    """The expected best median of n random trials, a line per optimizer with its 95% interval.

    The median is of what ranks: `variable` or the time to `target`, or else as `gd.table` says. `ax`: Axes to
    draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for
    one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.01, 0.1])], starts=9, steps=100)
    >>> len(budget_curve(sweep.run()).axes)
    1
    """
    result = check_result(result, "budget_curve")
    found = analysis.budget_curve(result, variable=variable, target=target, by=by)
    figure, panel = new_panel(
        "What tuning is worth: the best of so many random cells", "random cells tried", f"median {found.ranked_by}, expected", ax=ax, size=SIZE
    )
    names = found[by].values
    for k, name in enumerate(names):
        known, lost, cells = np.isfinite(found.loss.values[k]), int(found.infinite_cells[k]), int(found.cells[k])
        said = f"{count_of(cells, 'cell')}, {'all' if lost == cells else lost} infinite" if lost else count_of(cells, "cell")
        trials = dodged(found.trials.values[known].astype(float), np.arange(1.0, 3.0), k, len(names))
        with_intervals(panel, trials, [found[n].values[k][known] for n in ("loss", "low", "high")], k, label=f"{name} ({said})")
    log_scale(panel, "y", found.loss.values)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_xlim(0.5, found.sizes["trials"] + 0.5)
    if "accuracy" in found.ranked_by:
        share_axis(panel.yaxis)
    legend(panel, outside=ax is None)
    runs = np.bincount(cells_in(result).place)
    return finished(
        figure,
        f"What the best of so many cells, drawn from an optimizer's own grid, is worth: the median {found.ranked_by} of {counted(runs, 'run')}. A wider grid "
        "costs trials, a well chosen one saves them. A cell is infinite where half of its runs or more diverged or never met the target, and a line begins where so many "
        "trials cannot all be such cells. Whiskers: 95% intervals over starts"
        f"{none_of_few(runs)}; an arrow: up to infinity.",
    )
