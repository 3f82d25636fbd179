"""Where runs end: the distribution of their final losses."""

from typing import Any

import numpy as np

from gdsim.plots.style import (
    MOST_LINES,
    Axes,
    Figure,
    SubFigure,
    best_of,
    finished,
    is_wide,
    label_outer,
    line,
    logarithmic,
    make_room,
    new_panels,
    ranked_by,
    said_of,
    wrapped,
)
from gdsim.statistics import clusters
from gdsim.sweep.ranks.labels import counted, settings_of, settings_texts, shown_number
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.dataset import losses_at_end
from gdsim.sweep.results.reading import Result, cells_in, check_result

BINS, MOST_MARKS = 60, 8
BAR = 0.6  # height of a row's highest bar: its counts stand above
# Marks of levels nearer than this share of the axis would write over each other: beside other rows, and
# alone.
APART = (0.06, 0.12)


def final_losses(result: Result, *, tolerance: float = 1e-4, ax: Axes | None = None, figure: Figure | SubFigure | None = None) -> Figure:
    """Histograms of final losses, a panel per optimizer and in it a row per cell, with the levels at which
    many runs ended marked by their counts.

    A level is a group of final losses no further than tolerance (1 + |loss|) from their neighbours; those are
    marked in which at least 2% of the runs ended. Of many cells of an optimizer the seven that rank best are
    shown, as in `gd.table`. Diverged runs are counted at the right. `ax`: Axes to draw on, where there is one
    panel; `figure`: an empty figure to draw in. Returns the figure, a matplotlib Figure. Raises TypeError for
    what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.StyblinskiTang(), optimizer=gd.SGD(lr=0.01), starts=200, steps=500)
    >>> len(final_losses(sweep.run()).axes)
    1
    """
    result = check_result(result, "final_losses")
    cells, losses = cells_in(result), losses_at_end(result)
    about = cells.dataset({})
    resting = np.where(result.reason.values == "Target", np.inf, losses) if "reason" in result else losses  # a run that a target stopped is at no minimum
    by_cell = [(losses[mine], resting[mine]) for mine in (cells.place == k for k in range(len(cells.numbers)))]
    ranks, names = ranked_cells(result), list(dict.fromkeys(about.optimizer.values.tolist()))
    most = max(int((about.optimizer.values == name).sum()) for name in names)
    height = max(3.1, 0.9 + 0.5 * min(MOST_LINES, most))
    drawn, panels, _ = new_panels(len(names), "final_losses", ax=ax, figure=figure, spare=False, shared="x", height=height)
    texts, edges = list(map(wrapped, settings_texts(settings_of(about), len(by_cell)))), _edges(losses[np.isfinite(losses)])
    for name, panel in zip(names, panels, strict=True):
        mine = np.flatnonzero(about.optimizer.values == name)
        shown = best_of(ranks, mine)
        panel.set_title(f"{name}{said_of(len(shown), len(mine))}", fontsize="medium")
        _rows(panel, [by_cell[k] for k in shown], [texts[k] for k in shown], edges, tolerance)
    make_room(drawn, texts, len({panel.get_subplotspec().colspan.start for panel in panels}) if ax is None else 0)
    label_outer(panels, "final loss", "runs" if len(by_cell) == 1 else "")
    return finished(drawn, _caption(np.bincount(cells.place), tolerance) + (ranked_by(ranks.name) if most > MOST_LINES else ""))


def _caption(runs: np.ndarray, tolerance: float) -> str:
    return (
        f"Where {counted(runs, 'run')} per cell ended; each row is one cell, its bars on a scale of its own. Triangles and counts: levels at which at least "
        f"2% of a cell's runs ended, and most of them in all, apart by more than {tolerance:g} (1 + |loss|), runs that a target stopped left out: minima, where runs have "
        "converged; several of one loss look like one. Runs that used up their steps may still be on their way. Diverged runs have no bar, and are counted at the right."
    )


def _edges(finite: np.ndarray) -> np.ndarray:
    """The edges of bins from the lowest to the highest loss; 0 and 1 where there is none."""
    if not len(finite):
        return np.array([0.0, 1.0])
    low, high = finite.min(), finite.max()
    between = np.geomspace(low, high, BINS + 1) if is_wide(finite) else np.linspace(low, high if high > low else low + max(1.0, abs(low)), BINS + 1)
    return np.array([low, *between[1:-1], max(between[-1], high)])


def _rows(panel: Any, by_cell: list[tuple[np.ndarray, np.ndarray]], texts: list[str], edges: np.ndarray, tolerance: float) -> None:
    """A histogram of each cell's losses, the first at the top; levels are marked among those at rest."""
    if is_wide(edges):
        logarithmic(panel, "x")
    else:
        panel.locator_params(axis="x", nbins=5)
    alone = len(by_cell) == 1
    for row, (losses, resting) in enumerate(by_cell):
        ended, floor = losses[np.isfinite(losses)], float(len(by_cell) - 1 - row)
        counts = np.histogram(ended, edges)[0].astype(float)
        height = 1.0 if alone else BAR / max(1.0, counts.max(initial=0))
        panel.bar(edges[:-1], counts * height, np.diff(edges), floor, align="edge", color=line(0)["color"])
        if np.isfinite(resting).any():
            _marks(panel, np.sort(resting[np.isfinite(resting)]), floor + (counts.max() if alone else BAR), edges, tolerance=tolerance, alone=alone)
        if lost := len(losses) - len(ended):
            place, transform = (0.98, panel.transAxes) if alone else (floor + 0.4, panel.get_yaxis_transform())
            panel.text(1.01, place, f"{lost:,} diverged", transform=transform, ha="left", va="top", fontsize="x-small")
    panel.margins(x=0.05)
    panel.grid(axis="both" if alone else "x", alpha=0.3)
    if alone:
        panel.set_ylim(bottom=0)
        panel.margins(y=0.12)
    else:
        panel.set_yticks(np.arange(len(by_cell), dtype=float)[::-1], texts, fontsize="x-small")
        panel.set_ylim(-0.1, len(by_cell))


def _marks(panel: Any, ended: np.ndarray, top: float, edges: np.ndarray, *, tolerance: float, alone: bool) -> None:
    """Marks the levels at which most runs ended, those of most runs first where two would write over each
    other.
    """
    levels, sizes = clusters(ended, tolerance)
    if len(levels) >= len(ended) / 2:
        return
    scaled = np.log if is_wide(edges) else np.asarray
    whole = scaled(edges[-1]) - scaled(edges[0])
    places, ends = ((scaled(at) - scaled(edges[0])) / whole for at in (levels, ended[np.cumsum(sizes) - 1]))
    many = (sizes >= max(2, 0.02 * len(ended))) & (ends - places <= 1 / BINS)
    if 2 * sizes[many].sum() < len(ended):  # no levels, but chance neighbours
        return
    taken: list[float] = []
    for k in np.argsort(-np.where(many, sizes, 0), kind="stable")[: min(MOST_MARKS, many.sum())]:
        if any(abs(places[k] - other) < APART[alone] for other in taken):
            continue
        taken.append(float(places[k]))
        panel.plot([levels[k]], [top], marker=7, markersize=4, color=line(1)["color"], linestyle="none")
        text = f"{sizes[k]:,}\nat {shown_number(float(levels[k]), 4)}" if alone else f"{sizes[k]:,}"
        panel.annotate(text, (levels[k], top), (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize="x-small")
