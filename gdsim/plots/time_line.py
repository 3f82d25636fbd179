"""Who computes when: the gradients of workers that do not wait for each other, over simulated seconds."""

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap

from gdsim.plots.style import Axes, Figure, finished, new_panel, sequence
from gdsim.sweep.results.reading import Dataset
from gdsim.words import count_of, given

# Updates that a reader can tell apart, and staleness that has a colour of its own.
MOST_UPDATES, MOST_COLOURS = 300, 9
BAR = 0.8  # of the distance of two workers
NEEDED = ("worker", "begin", "end", "staleness")


def time_line(updates: Dataset, *, seconds: float | None = None, ax: Axes | None = None) -> Figure:
    """A row for each worker, on which each of its gradients is a bar from when it read the weights to when the server
    applied it, coloured by its staleness: the updates of the server between the two.

    `updates` is what `gd.analysis.worker_updates` gives: a Dataset over `update`, the server's, with `worker`, `begin`
    and `end` (seconds) and `staleness`. Drawn are the updates of the first `seconds`, 300 at most. `ax`: Axes to draw
    on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no such Dataset, ValueError where no
    update is left.

    >>> import gdsim as gd
    >>> queue = gd.Queue(gd.ExponentialTime(0.1), speeds=[1, 1, 0.2])
    >>> time_line(gd.analysis.worker_updates(gd.Asynchronous(workers=3, staleness=queue))).axes[0].get_ylabel()
    'worker'
    """
    if not set(NEEDED) <= set(getattr(updates, "data_vars", ())) or updates["worker"].dims != ("update",):
        raise TypeError(
            f"time_line takes the updates of one run, a Dataset over `update` with {', '.join(NEEDED)}, as gd.analysis.worker_updates gives; {given(updates)} was given"
        )
    worker, begin, end, staleness = (np.asarray(updates[n].values) for n in NEEDED)
    order = np.argsort(end, kind="stable")
    order = order[end[order] <= (np.inf if seconds is None else float(seconds))][:MOST_UPDATES]
    if not len(order):
        raise ValueError(f"none of the {count_of(len(end), 'update')} is applied within seconds={given(seconds)}")
    stale = np.clip(staleness[order], 0, MOST_COLOURS - 1).astype(int)
    colours = sequence(int(stale.max()) + 1)
    workers = int(worker.max()) + 1
    figure, panel = new_panel(
        "When workers read and the server takes their gradients", "simulated seconds", "worker", ax=ax, size=(8.2, 1.8 + 0.3 * min(workers, 16))
    )
    for k in range(workers):
        mine = np.flatnonzero(worker[order] == k)
        spans = [(float(begin[order[i]]), float(end[order[i]] - begin[order[i]])) for i in mine]
        panel.broken_barh(spans, (k - BAR / 2, BAR), facecolors=[colours[stale[i]] for i in mine], edgecolor="white", linewidth=0.6)
    panel.set_ylim(workers - 0.5, -0.5)
    panel.set_xlim(0.0, 1.02 * float(end[order].max()))
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.grid(axis="x", alpha=0.3)
    panel.grid(visible=False, axis="y")
    _staleness_bar(figure, panel, colours)
    of = f"the first {len(order):,} of {count_of(len(end), 'update')}" if len(order) < len(end) else f"all {count_of(len(end), 'update')}"
    return finished(
        figure,
        f"Bars: gradients, each from the seconds at which its worker read the weights to those at which the server applied it, computing and messages together; {of}, in each of which one bar ends. "
        f"Colour: the updates that the server made between the two, its own excluded; mean of those drawn {staleness[order].mean():.3g}. Gradients under way after the last are not drawn.",
    )


def _staleness_bar(figure: Any, panel: Any, colours: list[Any]) -> None:
    """What the colours stand for."""
    count = len(colours)
    painted = ScalarMappable(BoundaryNorm(np.arange(count + 1) - 0.5, count), ListedColormap(colours))
    drawn = figure.colorbar(painted, ax=panel, aspect=15, pad=0.02)
    texts = [str(k) for k in range(count)]
    drawn.set_ticks(range(count), labels=[*texts[:-1], f"{texts[-1]} or more"] if count == MOST_COLOURS else texts)
    drawn.ax.tick_params(labelsize="x-small", length=0)
    drawn.ax.set_title("staleness", fontsize="small", loc="left")
