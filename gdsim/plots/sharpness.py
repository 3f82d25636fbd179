"""How sharp the loss is where runs are, over training, beside what gradient descent can bear."""

from typing import Any

import numpy as np

from gdsim.analysis import bands
from gdsim.plots.curves import curve_panels
from gdsim.plots.style import Axes, Figure, SubFigure, finished, label_outer, ranked_by
from gdsim.schedules import Constant
from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.ranks.labels import counted
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Result, opened

ROOM = 1.25  # of the highest line or median that is shown


def sharpness(result: Result, *, ax: Axes | None = None, figure: Figure | SubFigure | None = None) -> Figure:
    """A panel per optimizer: the median of the largest curvature at the runs of each cell, with the band of the
    middle half, and dashed the largest that the cell's rate can bear on a quadratic.

    That is 2 / lr of `gd.SGD`, 2 (1 + momentum) / lr of `gd.Momentum` and 2 (1 + momentum) / (1 + 2 momentum)
    / lr of `gd.Nesterov`, on the whole data and at a constant rate; other cells have no such line. The
    sharpness of networks rises to it and stays there, at the edge of stability (Cohen et al. 2021). The sweep
    must have recorded it, by `gd.Record(sharpness=True)`. Of many cells of an optimizer the seven are shown
    that rank best. `ax`: Axes to draw on, where there is one panel; `figure`: an empty figure to draw in.
    Returns the figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for one without
    sharpness.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), steps=20, record=gd.Record(sharpness=True))
    >>> sharpness(sweep.run()).axes[0].get_ylabel()
    'sharpness'
    """
    result = opened(result, "sharpness")
    if "sharpness" not in result and "sharpness_count" not in result:
        raise ValueError("this result has no sharpness; run its sweep with record=gd.Record(sharpness=True)")
    band, ranks = bands(result, variable="sharpness", quantiles=(0.25, 0.5, 0.75)), ranked_cells(result)
    shown = curve_panels(band, ranks, "sharpness", ax=ax, figure=figure)
    shown.draw(band)
    cells, lines = cells_of(sweep_behind(result)), iter(shown.looks.lines)
    has_edges = False
    for panel, some in zip(shown.panels, shown.cells, strict=True):
        edges = [edge_of(cells[number]) for number in band.cell.values[some]]
        for edge in edges:
            panel.axhline(edge, color=next(lines)["color"], linestyle=(0, (4, 2)), linewidth=1.0, zorder=0)
        panel.set_xscale("linear")
        panel.set_xlim(0, band.step.values[-1])
        has_edges |= _limit(panel, band.value.values[some, 1], np.array(edges))
    shown.show_looks()
    label_outer(shown.panels, "step", "sharpness")
    said = ranked_by(ranks.name) if len(shown.chosen) < band.sizes["cell"] else ""
    return finished(shown.figure, _caption(band, has_edges) + said)


def edge_of(cell: Cell) -> float:
    """The largest curvature of a quadratic on which a cell's rule does not diverge; NaN where none is known."""
    numbers, momentum = cell.numbers(), cell.numbers().get("momentum", 0.0)
    factors = {"SGD": 2.0, "Momentum": 2.0 * (1.0 + momentum), "Nesterov": 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum)}
    is_known = cell.batch is None and isinstance(cell.schedule, Constant)
    return factors.get(type(cell.rule).__name__, np.nan) / numbers["lr"] if is_known else np.nan


def _limit(panel: Any, medians: np.ndarray, edges: np.ndarray) -> bool:
    """An axis from 0, or below, to a little above medians[cell, checkpoint], and above the edges that these come
    near; whether an edge is on it.
    """
    known = medians[np.isfinite(medians)]
    if not len(known):
        return bool(np.isfinite(edges).any())
    near = edges[edges <= 2.0 * known.max()]
    panel.set_ylim(min(0.0, ROOM * known.min()), ROOM * max(known.max(), *near, np.finfo(float).tiny))
    return len(near) > 0


def _caption(band: Any, has_edges: bool) -> str:
    dashed = "Dashed: the largest curvature of a quadratic on which the cell's rate does not diverge. " if has_edges else ""
    return (
        f"Lines: the median of the largest eigenvalue of the loss's second derivatives over {counted(band.runs.values, 'run')} per cell at each checkpoint; bands: "
        f"the middle half of the runs. {dashed}Runs that ended keep their last value; "
        "diverged runs count as infinite."
    )
