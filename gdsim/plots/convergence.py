"""How the loss of a population falls: the median and the middle half of the runs of every cell."""

from typing import Any

import numpy as np

from gdsim.analysis import bands
from gdsim.plots.style import best_first, counted, legend, line, new_panels, said_of, short_labels


def convergence_bands(result: Any, *, variable: str = "loss") -> Any:
    """A panel per optimizer: the median of `variable` over the runs of each cell, with the band of the middle half.

    Runs that ended keep their last value, diverged runs count as infinite from their end. Of many cells of an optimizer the seven
    with the lowest last medians are shown. Takes what `gd.analysis.bands` takes. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=1.0), starts=5, steps=20)
    >>> len(convergence_bands(sweep.run()).axes)
    1
    """
    band = bands(result, variable=variable, quantiles=(0.25, 0.5, 0.75))
    names = list(dict.fromkeys(band.optimizer.values.tolist()))
    figure, panels = new_panels(len(names), sharex=True, sharey=True)
    falls = "accuracy" not in variable
    for name, panel in zip(names, panels, strict=False):
        mine = band.isel(cell=band.optimizer.values == name)
        last = _last_known(mine.value.values[:, 1])
        chosen = np.sort(best_first(last if falls else -last))
        _panel(panel, mine.isel(cell=chosen))
        panel.set_title(f"{name}{said_of(len(chosen), mine.sizes['cell'])}", fontsize="medium")
    figure.supxlabel("step")
    figure.supylabel(variable.replace("_", " "))
    worst = "infinite" if falls else "0"
    figure.suptitle(f"Median and middle half of {counted(band.runs.values, 'run')} per cell; diverged runs count as {worst}", fontsize="small", wrap=True)
    return figure


def _last_known(curves: np.ndarray) -> np.ndarray:
    """The last value of each curve that is not NaN."""
    place = curves.shape[1] - 1 - np.argmax(~np.isnan(curves)[:, ::-1], axis=1)
    return curves[np.arange(len(curves)), place]


def _panel(panel: Any, band: Any) -> None:
    steps, values = band.step.values, band.value.values
    for k, label in enumerate(short_labels(band.label.values)):
        low, middle, high = values[k]
        known = np.isfinite(middle)
        panel.plot(steps[known], middle[known], label=label, **line(k))
        there = ~np.isnan(low)
        panel.fill_between(steps[there], low[there], np.where(np.isfinite(high), high, np.nan)[there], color=line(k)["color"], alpha=0.18, linewidth=0)
    panel.set_xscale("symlog", linthresh=1)
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0:
        panel.set_yscale("log")
    panel.set_xlim(0, max(1, steps[-1]))
    panel.grid(alpha=0.3, which="major")
    legend(panel, len(values), narrow=True)
