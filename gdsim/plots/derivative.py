"""How what runs report depends on one of their numbers, over training."""

from typing import Any

import numpy as np

from gdsim.analysis import bands
from gdsim.plots.curves import curve_panels
from gdsim.plots.style import Axes, Figure, SubFigure, finished, label_outer, ranked_by
from gdsim.sweep.ranks.labels import counted
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.reading import Result, opened
from gdsim.variables import BY, derivative_name
from gdsim.words import given, nearest

# Powers of ten that the scale shows on each side of 0, at most; bands are shown up to so many times the largest median,
# and medians up to so many times the largest of the middle cell: those of a chaotic one grow without end.
DECADES, ROOM, FAR = 5, 10.0, 100.0


def derivative(result: Result, of: str = "loss", by: str = "lr", *, ax: Axes | None = None, figure: Figure | SubFigure | None = None) -> Figure:
    """A panel per optimizer: the median of the derivative of the curve `of` by the number `by` over the runs of
    each cell, with the band of the middle half.

    The sweep must have been asked for it, by `tangents=["lr"]`. Runs that ended keep their last value;
    diverged runs count as infinite from their end. The scale is logarithmic on both sides of 0, and linear
    near it. Optimizers of one cell each share a panel; of many cells of an optimizer the seven are shown that
    rank best. `ax`: Axes to draw on, where there is one panel; `figure`: an empty figure to draw in. Returns
    the figure, a matplotlib Figure. Raises TypeError for what is no result, ValueError for one without the
    derivative.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=5, steps=20, tangents=["lr"])
    >>> derivative(sweep.run()).axes[0].get_ylabel()
    'd loss / d lr'
    """
    result = opened(result, "derivative")
    band = bands(result, variable=_checked(result, of, by), quantiles=(0.25, 0.5, 0.75))
    there = np.flatnonzero(~np.isnan(band.value.values).all((1, 2)))  # cells whose rule has the number
    if not len(there):
        raise ValueError(f"no run of this result has a number {given(by)}: its derivatives are NaN")
    band, ranks = band.isel(cell=there), ranked_cells(result)
    ranks = ranks._replace(order=np.array([np.flatnonzero(there == k)[0] for k in ranks.order if k in there]))
    shown = curve_panels(band, ranks, "derivative", ax=ax, figure=figure)
    shown.draw(band)
    leaves = False
    for panel in shown.panels:
        panel.axhline(0.0, color="#444444", linewidth=0.9, zorder=0)
        leaves = _scale(panel, band.value.values[shown.chosen])
    shown.show_looks()
    label_outer(shown.panels, "step", f"d {of.replace('_', ' ')} / d {by.replace('_', ' ')}")
    said = ranked_by(ranks.name) if len(shown.chosen) < band.sizes["cell"] else ""
    return finished(shown.figure, _caption(band, of, by) + (" Some lines leave the panel." if leaves else "") + said)


def _checked(result: Any, of: str, by: str) -> str:
    """The name of the derivative. Raises ValueError where the result has none."""
    name, wanted = derivative_name(of, by), (("run", "checkpoint"), ("cell", "checkpoint"))
    known = sorted({str(n).removesuffix("_count") for n, v in result.data_vars.items() if BY in str(n) and v.dims in wanted})
    if name not in known:
        remedy = nearest(name, known) if known else f"run its sweep with tangents=[{by!r}]"
        raise ValueError(f"this result has no derivative of {given(of)} by {given(by)}, {name}; {remedy}")
    return name


def _scale(panel: Any, values: np.ndarray) -> bool:
    """A scale that is logarithmic on both sides of 0, for values[cell, quantile, checkpoint]: medians decide how
    far it reaches, and bands of cells whose runs diverge leave it. Whether medians of a cell leave it too.
    """
    medians = np.abs(np.where(np.isfinite(values[:, 1]), values[:, 1], 0.0))
    sizes, largest = medians[medians > 0], medians.max(1)
    if not len(sizes):
        return False
    reach = min(sizes.max(), FAR * np.quantile(largest[largest > 0], 0.5, method="lower"))
    high = np.ceil(np.log10(reach))
    panel.set_yscale("symlog", linthresh=10.0 ** max(min(np.floor(np.log10(np.quantile(sizes, 0.1))), high - 1), high - DECADES))
    known = np.abs(values[np.isfinite(values)])
    most = min(known.max(), ROOM * reach)
    finite = np.clip(values[np.isfinite(values)], -most, most)
    panel.set_ylim(*(min(finite.min(), 0.0) * 1.5, max(finite.max(), 0.0) * 1.5))
    return bool(sizes.max() > 1.5 * most)


def _caption(band: Any, of: str, by: str) -> str:
    larger = "a step of the start along the direction" if by == "direction" else f"a larger {by.replace('_', ' ')}"
    return (
        f"Lines: the median derivative of the {of.replace('_', ' ')} by {by.replace('_', ' ')} over {counted(band.runs.values, 'run')} per cell at each "
        f"checkpoint, through all steps before it; bands: the middle half of the runs. Below 0 {larger} would have lowered it. Runs that "
        "ended keep their last value; diverged runs count as infinite. The scale is logarithmic on both sides of 0."
    )
