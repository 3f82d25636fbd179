"""Where runs end: the distribution of their final losses."""

from typing import Any

import numpy as np

from gdsim.analysis.minima import clusters
from gdsim.plots.style import is_wide, line, new_panels
from gdsim.sweep.reading import check_result

BINS, MOST_MARKS = 60, 12


def final_losses(result: Any, *, tolerance: float = 1e-4) -> Any:
    """A histogram of final losses, a panel per optimizer, with the levels at which many runs ended marked by their counts.

    A level is a group of final losses no further than tolerance (1 + |loss|) from their neighbours; those are marked in which at
    least 2% of the runs ended. Diverged runs are counted in the title. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=0.01), starts=200, steps=500)
    >>> len(final_losses(sweep.run()).axes)
    1
    """
    result = check_result(result, "final_losses")
    names = list(dict.fromkeys(np.asarray(result.optimizer.values).tolist()))
    figure, panels = new_panels(len(names), sharey=False)
    loss, diverged = result.final_loss.values.astype(float), result.status.values == "diverged"
    for name, panel in zip(names, panels, strict=False):
        mine = result.optimizer.values == name
        ended = loss[mine & ~diverged]
        ended = ended[np.isfinite(ended)]
        panel.set_title(f"{name}: {mine.sum():,} runs, {int((mine & diverged).sum()):,} diverged", fontsize="medium")
        panel.grid(alpha=0.3)
        if len(ended):
            _histogram(panel, ended, tolerance)
    figure.supxlabel("final loss")
    figure.supylabel("runs")
    return figure


def _histogram(panel: Any, ended: np.ndarray, tolerance: float) -> None:
    positive = is_wide(ended)
    spread = ended.max() - ended.min() or 1.0
    edges = np.geomspace(ended.min(), ended.max(), BINS + 1) if positive else np.linspace(ended.min() - 0.01 * spread, ended.max() + 0.01 * spread, BINS + 1)
    if positive:
        edges[0], edges[-1] = ended.min(), ended.max()
        panel.set_xscale("log")
    panel.hist(ended, edges, color=line(0)["color"])
    levels, sizes = clusters(np.sort(ended), tolerance)
    marked = np.argsort(-sizes, kind="stable")[:MOST_MARKS]
    marked = marked[sizes[marked] >= max(2, 0.02 * len(ended))]
    if len(levels) < len(ended) / 2:
        for level, size in zip(levels[marked], sizes[marked], strict=True):
            panel.axvline(level, color=line(1)["color"], linewidth=0.9, linestyle="--")
            panel.text(level, 1.0, f" {size:,} at {level:.4g}", rotation=90, va="top", ha="left", fontsize="x-small", transform=panel.get_xaxis_transform())
