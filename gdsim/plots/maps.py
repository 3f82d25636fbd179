"""Two hyperparameters at once: shares of diverged runs, and any number of a cell, as maps."""

from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.plots.style import is_wide, new_panel

# Numbers are written into the fields of maps of so many.
MOST_WRITTEN = 150
MOST_INTERVALS = 60  # with the intervals of shares
STATISTICS = {"median_loss": "lowest median final loss", "probability": "share of runs that converged", "diverged": "share of runs that diverged"}


def heat_map(result: Any, x: str, y: str, *, statistic: str = "median_loss") -> Any:
    """A number of the cells over two hyperparameters: "median_loss" (the lowest over all others), "probability" of success, or "diverged".

    Shares pool the runs of all cells of a field; in maps of up to 60 fields 95% intervals stand below them. Fields that no cell lies in stay empty. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=5, steps=100)
    >>> len(heat_map(sweep.run(), "lr", "momentum").axes)
    2
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic={statistic!r} is not known; there are {', '.join(STATISTICS)}")
    found = analysis.divergence_map(result, x, y, status="converged" if statistic == "probability" else "diverged")
    values = found.share.values
    if statistic == "median_loss":
        values = _lowest_medians(result, found, x, y)
    counts = np.unique(found.runs.values[found.runs.values > 0])
    runs = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return _drawn(values, found, (x, y), f"{STATISTICS[statistic].capitalize()}; {runs} runs per field", is_share=statistic != "median_loss")


def divergence_map(result: Any, x: str, y: str) -> Any:
    """The share of runs that diverged over two hyperparameters, all others pooled. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.01, 1.0], momentum=[0.0, 0.9]), starts=5, steps=100)
    >>> len(divergence_map(sweep.run(), "lr", "momentum").axes)
    2
    """
    return heat_map(result, x, y, statistic="diverged")


def _lowest_medians(result: Any, found: Any, x: str, y: str) -> np.ndarray:
    """[y, x] the lowest median of the cells of each field."""
    best = analysis.best_cell(result, resamples=1)
    values = np.full((found.sizes[y], found.sizes[x]), np.nan)
    for cell in range(best.sizes["cell"]):
        row, column = (np.flatnonzero(found[n].values == best[n].values[cell]) for n in (y, x))
        if len(row) and len(column):
            here = values[row[0], column[0]]
            values[row[0], column[0]] = np.fmin(here, best.median_loss.values[cell])
    return values


def _drawn(values: np.ndarray, found: Any, names: tuple[str, str], title: str, *, is_share: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    x, y = names
    rows, columns = values.shape
    has_intervals = is_share and values.size <= MOST_INTERVALS
    figure, panel = new_panel(
        title, x, y, (max(5.0, min(14.0, 2.2 + (0.9 if has_intervals else 0.62) * columns)), max(3.4, min(12.0, 1.6 + (0.5 if has_intervals else 0.42) * rows)))
    )
    finite = values[np.isfinite(values)]
    if is_share:
        norm: Any = Normalize(0, 1)
    elif is_wide(finite):
        norm = LogNorm(finite.min(), finite.max())
    else:
        norm = Normalize(*((finite.min(), finite.max()) if len(finite) else (0, 1)))
    painted = panel.imshow(np.where(np.isfinite(values), values, np.nan), origin="lower", aspect="auto", norm=norm, cmap="cividis", interpolation="nearest")
    panel.set_facecolor("#dddddd")
    panel.grid(visible=False)
    for axis, name, count in ((panel.xaxis, x, columns), (panel.yaxis, y, rows)):
        every = -(-count // 16)
        axis.set_ticks(range(0, count, every), [_written(v) for v in found[name].values[::every]])
    panel.tick_params(axis="x", rotation=45 if columns > 6 else 0)
    if values.size <= MOST_WRITTEN:
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            if not np.isnan(value):
                dark = np.isfinite(value) and norm(value) < 0.5
                text = f"{value:.0%}" if is_share else f"{value:.2g}"
                if has_intervals:
                    text += f"\n{found.low.values[row, column]:.0%} to {found.high.values[row, column]:.0%}"
                panel.text(column, row, text, ha="center", va="center", fontsize="x-small", color="white" if dark else "black")
    figure.colorbar(painted, ax=panel, label="share" if is_share else "median final loss")
    return figure


def _written(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
