"""What it takes to tune an optimizer: losses over a hyperparameter, and over the number of trials."""

from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.plots.style import legend, line, log_scale, marked_line, new_panel


def sensitivity_curve(result: Any, hyperparameter: str = "lr", *, factor: float = 2.0) -> Any:
    """The best median loss at each value of a hyperparameter, a line per optimizer; the range within `factor` of its best is drawn below.

    An arrow at the range's end says that it reaches the end of the grid, and may go on. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-3, 1, 7)), starts=9, steps=20)
    >>> len(sensitivity_curve(sweep.run()).axes)
    1
    """
    found = analysis.sensitivity(result, hyperparameter, factor=factor)
    runs = np.bincount(np.unique(result.cell.values, return_inverse=True)[1].reshape(-1))
    title = f"Best median loss at each {hyperparameter} ({runs.min():,} runs per cell); bars: within {factor:g}x of the best"
    figure, panel = new_panel(title, hyperparameter, "median final loss")
    names = found.optimizer.values
    for k, name in enumerate(names):
        curve = found.curve.values[k]
        known = np.isfinite(curve)
        panel.plot(found.value.values[known], curve[known], label=_named(str(name), found.isel(optimizer=k)), **marked_line(k))
        bar = {"color": line(k)["color"], "linewidth": 3, "solid_capstyle": "butt"}
        low, high = float(found.low[k]), float(found.high[k])
        if np.isfinite(low):
            height = -0.02 - 0.03 * k
            panel.plot([low, high], [height, height], transform=panel.get_xaxis_transform(), clip_on=False, **bar)
            for end, is_open, marker in ((low, found.low_open[k], "<"), (high, found.high_open[k], ">")):
                if is_open:
                    panel.plot([end], [height], marker, color=bar["color"], transform=panel.get_xaxis_transform(), clip_on=False, markersize=6)
    panel.tick_params(axis="x", pad=6 + 9 * len(names))
    log_scale(panel.set_xscale, found.value.values)
    log_scale(panel.set_yscale, found.curve.values)
    legend(panel, len(names))
    return figure


def _named(name: str, found: Any) -> str:
    decades = float(found.decades)
    return name if np.isnan(decades) else f"{name}: {decades:.2g} decades"


def budget_curve(result: Any, *, by: str = "optimizer") -> Any:
    """The expected best median loss of n random trials, a line per optimizer with its 95% interval. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.01, 0.1])], starts=9, steps=100)
    >>> len(budget_curve(sweep.run()).axes)
    1
    """
    found = analysis.budget_curve(result, by=by)
    figure, panel = new_panel("Expected best of so many random cells, with 95% intervals over starts", "trials", "median final loss of the best")
    names = found[by].values
    for k, name in enumerate(names):
        known = np.isfinite(found.loss.values[k])
        trials = found.trials.values[known]
        panel.plot(trials, found.loss.values[k][known], label=f"{name} ({int(found.cells[k])} cells)", **marked_line(k))
        panel.fill_between(trials, found.low.values[k][known], found.high.values[k][known], color=line(k)["color"], alpha=0.15, linewidth=0)
    log_scale(panel.set_yscale, found.loss.values)
    panel.xaxis.get_major_locator().set_params(integer=True)
    legend(panel, len(names))
    return figure
