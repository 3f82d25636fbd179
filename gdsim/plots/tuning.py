"""What it takes to tune an optimizer: losses over a hyperparameter, and over the number of trials."""

from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.plots.style import dodged, finished, legend, line, log_scale, marked_line, new_panel
from gdsim.plots.words import counted, shown_number
from gdsim.sweep.reading import check_result

SIZE = (8.2, 4.2)


def sensitivity_curve(result: Any, hyperparameter: str = "lr", *, factor: float = 2.0, ax: Any = None) -> Any:
    """The best median loss at each value of a hyperparameter, a line per optimizer; the range within `factor` of its best is drawn below.

    An arrow at the range's end says that it reaches the end of the grid, and may go on. `ax`: Axes to draw on. Returns the figure, a
    matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-3, 1, 7)), starts=9, steps=20)
    >>> len(sensitivity_curve(sweep.run()).axes)
    1
    """
    result = check_result(result, "sensitivity_curve")
    found = analysis.sensitivity(result, hyperparameter, factor=factor)
    runs = np.bincount(np.unique(result.cell.values, return_inverse=True)[1].reshape(-1))
    figure, panel = new_panel(f"Best median final loss at each {hyperparameter}", hyperparameter, "median final loss", ax=ax, size=SIZE)
    names = found.optimizer.values
    for k, name in enumerate(names):
        curve = found.curve.values[k]
        known = np.isfinite(curve)
        panel.plot(found.value.values[known], curve[known], label=_named(str(name), found.isel(optimizer=k)), **marked_line(k))
        _range(panel, found.isel(optimizer=k), k)
    panel.tick_params(axis="x", pad=6 + 0.03 * panel.bbox.height * 72 / panel.figure.dpi * len(names))
    log_scale(panel.set_xscale, found.value.values)
    log_scale(panel.set_yscale, found.curve.values)
    legend(panel, outside=ax is None)
    return finished(
        figure,
        f"{counted(runs, 'run')} per cell; at each value the best cell over all other hyperparameters, which flatters optimizers with more cells. Bars below: where "
        f"the median stays within {shown_number(factor)} times the optimizer's best, in decades beside its name; an arrow: up to the end of the grid, and perhaps "
        "beyond. Values at which half of the runs diverged have no point.",
    )


def _range(panel: Any, found: Any, k: int) -> None:
    """The bar of the range within the factor, below the panel."""
    low, high, height = float(found.low), float(found.high), -0.02 - 0.03 * k
    if not np.isfinite(low):
        return
    below = {"transform": panel.get_xaxis_transform(), "clip_on": False, "color": line(k)["color"]}
    panel.plot([low, high], [height, height], linewidth=3, solid_capstyle="butt", marker="|", markersize=5, **below)
    for end, is_open, marker in ((low, found.low_open, "<"), (high, found.high_open, ">")):
        if is_open:
            panel.plot([end], [height], marker, markersize=6, **below)


def _named(name: str, found: Any) -> str:
    decades = float(found.decades)
    return name if np.isnan(decades) or decades == 0 else f"{name}: {decades:.2g} decades"


def budget_curve(result: Any, *, by: str = "optimizer", ax: Any = None) -> Any:
    """The expected best median loss of n random trials, a line per optimizer with its 95% interval.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.01, 0.1])], starts=9, steps=100)
    >>> len(budget_curve(sweep.run()).axes)
    1
    """
    result = check_result(result, "budget_curve")
    found = analysis.budget_curve(result, by=by)
    figure, panel = new_panel("Expected best of so many random cells", "trials", "median final loss of the best", ax=ax, size=SIZE)
    names = found[by].values
    for k, name in enumerate(names):
        known = np.isfinite(found.loss.values[k])
        value, low, high = (found[n].values[k][known] for n in ("loss", "low", "high"))
        trials = dodged(found.trials.values[known].astype(float), np.arange(1.0, 3.0), k, len(names))
        apart = np.maximum([value - low, np.where(np.isfinite(high), high, value) - value], 0)
        panel.errorbar(trials, value, apart, label=f"{name} ({int(found.cells[k])} cells)", capsize=2, elinewidth=1, **marked_line(k))
    log_scale(panel.set_yscale, found.loss.values)
    panel.xaxis.get_major_locator().set_params(integer=True)
    legend(panel, outside=ax is None)
    runs = np.bincount(np.unique(result.cell.values, return_inverse=True)[1].reshape(-1))
    return finished(
        figure,
        f"What the best of so many cells, drawn from an optimizer's own grid, is worth: the median final loss of {counted(runs, 'run')}. A wider grid "
        "costs trials, a well chosen one saves them. A cell whose median is infinite counts as the worst finite one. Whiskers: 95% intervals over starts.",
    )
