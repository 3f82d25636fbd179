"""How the loss of a population falls: the median and the middle half of the runs of every cell."""

from typing import Any

import numpy as np

# Okabe and Ito (2008): eight colours that the colour-blind tell apart, here without yellow, which print loses.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")


def convergence_bands(result: Any, *, variable: str = "loss") -> Any:
    """A panel per optimizer: the median of `variable` over the runs of each cell, with the band of the middle half.

    Runs that ended keep their last value, diverged runs count as infinite from their end. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=1.0), starts=5, steps=20)
    >>> len(convergence_bands(sweep.run()).axes)
    1
    """
    if "run" not in result.dims:
        raise ValueError("convergence_bands follows runs to their ends, and this result is a summary, which has none: take the sweep with keep='runs'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    result = result[[variable, "step", "final_loss", "status"]].load()
    names = list(dict.fromkeys(result.optimizer.values.tolist()))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    steps = result.step.values
    for name, panel in zip(names, panels, strict=False):
        _panel(panel, result.isel(run=result.optimizer.values == name), steps, variable)
        panel.set_title(name)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    figure.supxlabel("step")
    figure.supylabel(variable.replace("_", " "))
    counts = np.unique(np.unique(result.cell.values, return_counts=True)[1])
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    figure.suptitle(f"Median and middle half of {runs} runs per cell; diverged runs count as infinite", fontsize="medium")
    return figure


def _panel(panel: Any, runs: Any, steps: np.ndarray, variable: str) -> None:
    cells = np.unique(runs.cell.values)
    labels = [str(runs.label.values[runs.cell.values == c][0]).split(" ", 1)[-1] for c in cells]
    for k, cell in enumerate(cells):
        chosen = runs.isel(run=runs.cell.values == cell)
        ends = chosen.final_loss.values if variable == "loss" else None
        curves = held_to_the_end(chosen[variable].values.astype(float), chosen.status.values == "diverged", ends)
        low, middle, high = np.quantile(curves, (0.25, 0.5, 0.75), axis=0, method="nearest")
        colour, dash = COLOURS[k % len(COLOURS)], DASHES[k // len(COLOURS) % len(DASHES)]
        known = np.isfinite(middle)
        panel.plot(steps[known], middle[known], dash, color=colour, label=labels[k], linewidth=1.6)
        panel.fill_between(steps, low, np.where(np.isfinite(high), high, np.nan), color=colour, alpha=0.18, linewidth=0)
    panel.set_xscale("symlog", linthresh=1)
    if np.nanmin(runs[variable].values) > 0:
        panel.set_yscale("log")
    panel.set_xlim(0, steps[-1])
    panel.grid(alpha=0.3, which="major")
    panel.legend(fontsize="x-small", ncols=1 + (len(cells) > 6))


def held_to_the_end(curves: np.ndarray, diverged: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
    """Curves whose NaN after a run's end are its value at the end, the last one if not given, or infinite where it diverged."""
    held = curves.copy()
    for place in range(1, curves.shape[1]):
        missing = np.isnan(held[:, place])
        last = held[:, place - 1] if ends is None else ends
        held[missing, place] = np.where(diverged[missing], np.inf, last[missing])
    return held
