"""How the loss of a population falls: the median and the middle half of the runs of every cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.analysis import bands
from gdsim.plots.curves import curve_panels
from gdsim.plots.style import (
    Axes,
    Figure,
    SubFigure,
    finished,
    label_outer,
    logarithmic,
    ranked_by,
    share_axis,
    with_room,
)
from gdsim.sweep.ranks.hits import own_targets
from gdsim.sweep.ranks.labels import counted
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.reading import WORST, Result, is_summary, last_known, opened

# Cells that diverge leave the picture at so many times the highest start: to their end they would press the
# others flat.
MOST_ABOVE = 10.0
# A target is shown that lies below the lowest loss by less than this factor.
NEAR = 30.0


def convergence_bands(result: Result, *, variable: str = "loss", ax: Axes | None = None, figure: Figure | SubFigure | None = None) -> Figure:
    """A panel per optimizer: the median of `variable` over the runs of each cell, with the band of the middle
    half.

    Optimizers of one cell each share a panel. Runs that ended keep their last value, diverged runs count as
    infinite from their end. Of many cells of an optimizer the seven that rank best are shown, by `gd.table`
    or by a `variable` of your own. The targets of the sweep are dotted lines. Takes what `gd.analysis.bands`
    takes. `ax`: Axes to draw on, where there is one panel; `figure`: an empty figure to draw in. Returns the
    figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for one without what is
    asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=1.0), starts=5, steps=20)
    >>> len(convergence_bands(sweep.run()).axes)
    1
    """
    result = opened(result, "convergence_bands")
    band = bands(result, variable=variable, quantiles=(0.25, 0.5, 0.75))
    falls = variable not in WORST
    ranks = ranked_cells(result, variable=None if variable in ("loss", "gradient_norm") else variable) if not is_summary(result) else ranked_cells(result)
    shown = curve_panels(band, ranks, "convergence_bands", ax=ax, figure=figure)
    targets = own_targets(result) if variable == "loss" else np.zeros(0)
    shown.draw(band)
    for panel in shown.panels:
        for target in targets:
            panel.axhline(target, color="#444444", linewidth=0.9, linestyle=":")
    _limit(shown.panels, band.isel(cell=shown.chosen), targets, falls=falls)
    shown.show_looks()
    label_outer(shown.panels, "step", variable.replace("_", " "))
    said = ranked_by(ranks.name) if len(shown.chosen) < band.sizes["cell"] else ""
    return finished(shown.figure, _caption(band, variable, targets, falls=falls) + said)


def _caption(band: Any, variable: str, targets: np.ndarray, *, falls: bool) -> str:
    text = (
        f"Lines: the median {variable.replace('_', ' ')} of {counted(band.runs.values, 'run')} per cell at each checkpoint; bands: the middle half of the runs. "
        f"Runs that ended keep their last value; diverged runs count as {'infinite' if falls else '0'} from their end, and a line ends where "
        "half of them have."
    )
    if len(targets):
        text += f" Dotted: the target{'s' if len(targets) > 1 else ''} of the sweep; a run that met the last one stopped there."
    return text + " Axes of steps and of losses are logarithmic where values lie far apart."


def _limit(panels: Sequence[Any], band: Any, targets: np.ndarray, *, falls: bool) -> None:
    """Scales and ends of the axes, the same for all panels: those of all cells that are shown, and of targets
    that lie near.
    """
    for panel in panels:
        panel.set_xlim(0, max(1, band.step.values[-1]))
    limit_values(panels, band.value.values, targets, falls=falls)


def limit_values(panels: Sequence[Any], values: np.ndarray, targets: np.ndarray, *, falls: bool) -> None:
    """The scale and the ends of the axis of values[cell, quantile, checkpoint], the same for all panels."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    for panel in panels:
        if not falls:
            share_axis(panel.yaxis)
            panel.set_ylim(top=1.0)
        elif len(positive) and finite.min() >= 0:  # losses of 0 leave through the floor
            logarithmic(panel, "y")
            panel.set_ylim(min([positive.min(), *targets[targets > positive.min() / NEAR]]) / 1.5, 1.5 * _highest(values))
        elif len(finite):
            panel.set_ylim(*with_room(finite.min(), _highest(values)))


def _highest(values: np.ndarray) -> float:
    """The highest of losses that is shown, values[cell, quantile, checkpoint]: that of the cells which do not
    diverge, or not far above the starts.
    """
    known = values[np.isfinite(values)]
    if known.min() < 0:  # on a linear axis the starts tell how far away is far
        starts = values[:, :, 0][np.isfinite(values[:, :, 0])].max(initial=known.min())
        return float(min(known.max(), starts + (starts - known.min())))
    staying = values[np.isfinite(last_known(values[:, 1]))]
    top, *bounds = (float(v.max(initial=0.0, where=np.isfinite(v))) for v in (values, staying, MOST_ABOVE * values[:, :, 0]))
    return min(top, max(bounds)) or top
