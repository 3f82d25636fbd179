"""Two hyperparameters at once: shares of diverged runs, and any number of a cell, as maps."""

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from gdsim import analysis
from gdsim.plots.style import Axes, Figure, finished, is_wide, new_panel
from gdsim.sweep.ranks.labels import counted, shown_number, shown_values
from gdsim.sweep.results.reading import Result, opened, with_none
from gdsim.words import checked_word

# Numbers are written into the fields of maps of so many.
MOST_WRITTEN = 150
MOST_INTERVALS = 60  # with their intervals
STATISTICS = {
    "median_loss": "median",
    "probability": "share of runs that converged",
    "diverged": "share of runs that diverged",
    "worse_than_start": "share of runs that ended above their start",
}


def heat_map(
    result: Result, x: str, y: str, *, statistic: str = "median_loss", variable: str | None = None, target: float | None = None, ax: Axes | None = None
) -> Figure:
    """A number of the cells over two hyperparameters: "median_loss" (the best over all others), "probability"
    of success, "diverged", or "worse_than_start".

    The median is of what ranks: `variable` or the time to `target`, or else as `gd.table` says. Shares pool
    the runs of all cells of a field. In maps of up to 60 fields 95% intervals stand below the numbers:
    Wilson's of a share, order statistics' of a median (`gd.analysis.best_cell`). Fields that no cell lies in
    stay empty. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is
    no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=5, steps=100)
    >>> len(heat_map(sweep.run(), "lr", "momentum").axes)
    2
    """
    checked_word(statistic, "statistic", STATISTICS)
    result = opened(result, "heat_map")
    found = analysis.divergence_map(result, x, y, status={"probability": "converged", "median_loss": "diverged"}.get(statistic, statistic))
    held = found.runs > 0
    found = found.isel({y: held.any(x).values, x: held.any(y).values})  # values that only cells without the other have stand on no map
    fields, name = [found[n].values for n in ("share", "low", "high")], ""
    if statistic == "median_loss":
        best = analysis.best_cell(result, variable=variable, target=target, resamples=1000 if found.share.size <= MOST_INTERVALS else 1)
        fields, name = _best_medians(best, found, x, y), best.attrs["ranked_by"]
    figure = _drawn(fields, {n: found[n].values for n in (x, y)}, f"{STATISTICS[statistic]} {name}".strip().capitalize(), name, ax)
    return finished(figure, _caption(found.runs.values, fields[0], is_share=not name))


def _caption(runs: np.ndarray, values: np.ndarray, *, is_share: bool) -> str:
    text = f"{counted(runs[runs > 0], 'run')} per field"
    text += ", those of all cells in it together. " if is_share else "; of several cells in a field the best counts, which flatters fields of many cells. "
    if values.size <= MOST_INTERVALS:
        text += f"Below each number its 95% interval, {'by Wilson' if is_share else 'by order statistics'}. "
    return (
        text
        + "Light grey: no cell there"
        + ("." if is_share else "; hatched: an infinite median (inf), half of the runs or more diverged or never met the target.")
    )


def divergence_map(result: Result, x: str, y: str, *, ax: Axes | None = None) -> Figure:
    """The share of runs that diverged over two hyperparameters, all others pooled.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure.

    Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=5, steps=100)
    >>> len(divergence_map(sweep.run(), "lr", "momentum").axes)
    2
    """
    return heat_map(result, x, y, statistic="diverged", ax=ax)


def _best_medians(best: Any, found: Any, x: str, y: str) -> np.ndarray:
    """[value low high, y, x] the best median of the cells of each field, and the ends of its interval."""
    fields = np.full((3, found.sizes[y], found.sizes[x]), np.nan)
    for cell in np.argsort(-best["rank"].values):  # the best one last
        row, column = (np.flatnonzero(found[n].values == with_none(n, best[n].values)[cell]) for n in (y, x))
        if len(row) and len(column):
            fields[:, row[0], column[0]] = [best[n].values[cell] for n in ("median_loss", "low", "high")]
    return fields


def _drawn(fields: Any, axes: dict[str, np.ndarray], title: str, name: str, ax: Any) -> Any:
    """A map of fields (value, low, high), each [y, x], over the values of two axes, x first: medians of what
    has a name, or shares of runs.
    """
    values, low, high = fields
    is_share, is_accuracy = not name, "accuracy" in name
    rows, columns = values.shape
    has_intervals = values.size <= MOST_INTERVALS
    wide, high_each = (0.9 if is_share else 1.25, 0.5) if has_intervals else (0.62, 0.42)
    size = max(5.0, min(14.0, 2.2 + wide * columns)), max(3.4, min(12.0, 1.6 + high_each * rows))
    figure, panel = new_panel(title, *axes, ax=ax, size=size)
    finite, paint = values[np.isfinite(values)], values
    positive = finite[finite > 0]
    if is_share:
        norm: Any = Normalize(0, 1)
    elif len(positive) and finite.min() >= 0 and is_wide(positive):
        norm, paint = LogNorm(positive.min(), positive.max()), np.maximum(values, positive.min())  # zeros have the bottom's colour
    else:
        norm = Normalize(*((finite.min(), finite.max()) if len(finite) else (0, 1)))
    painted = panel.imshow(np.where(np.isfinite(values), paint, np.nan), origin="lower", aspect="auto", norm=norm, cmap="cividis", interpolation="nearest")
    panel.set_facecolor("#eeeeee")
    for row, column in np.argwhere(np.isinf(values)):
        panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="#cccccc", edgecolor="#999999", hatch="///", linewidth=0))
    panel.grid(visible=False)
    for axis, ticks in zip((panel.xaxis, panel.yaxis), axes.values(), strict=True):
        every = -(-len(ticks) // 16)
        axis.set_ticks(range(0, len(ticks), every), shown_values(ticks.tolist())[::every])
    panel.tick_params(axis="x", rotation=45 if columns > 6 else 0)
    if values.size <= MOST_WRITTEN:
        form = "{:.0%}".format if is_share else "{:.1%}".format if is_accuracy else _short
        for row, column in np.argwhere(~np.isnan(values)):
            value = values[row, column]
            dark = np.isfinite(value) and norm(paint[row, column]) < 0.5
            text = form(value)
            if has_intervals and not np.isnan(low[row, column]) and (np.isfinite(value) or low[row, column] < high[row, column]):
                text += f"\n{form(low[row, column])} to {form(high[row, column])}"
            panel.text(column, row, text, ha="center", va="center", fontsize="x-small", color="white" if dark else "black")
    figure.colorbar(painted, ax=panel, label=f"median {name}" if name else "share")
    return figure


def _short(value: float) -> str:
    """A number in two digits; hundreds and thousands whole."""
    return f"{value:,.0f}" if 100 <= value < 1e7 else shown_number(value, 2)
