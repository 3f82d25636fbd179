"""Optimizers racing over a function of one variable or two: their paths on its curve or its contours."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.plots.style import MARKERS, Axes, Figure, finished, legend, line, new_panel, said_of
from gdsim.population import evaluate
from gdsim.sweep.ranks.labels import cell_texts
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Result, cells_in, check_result
from gdsim.words import given

GRID, LEVELS, CURVE = 200, 25, 400
# Paths that a reader can follow.
MOST_PATHS = 10
# How much higher each path stands on a curve, as a share of the panel.
RAISED = 0.025
# A minimum belongs to a run's end that is nearer than this share of the reach about the start.
NEAR = 0.25


class Path(NamedTuple):
    """A run's way: its cell in words, steps, points[step, variable], losses there, whether it diverged."""

    label: str
    steps: np.ndarray
    points: np.ndarray
    losses: np.ndarray
    diverged: bool


class Race(NamedTuple):
    """The paths of a race, the function, the names of its variables, how many cells there are, the start, and
    what ranks cells.
    """

    paths: list[Path]
    problem: Any
    names: list[str]
    cells: int
    start: int
    ranked_by: str


def race(result: Result, *, start: int = 0, ax: Axes | None = None) -> Figure:
    """The paths of each cell's run from one start over the contours, or on the curve, of the function that
    they minimise; crosses mark its minima.

    The sweep must be of one function of one or two variables, recorded with `gd.Record(trajectory=True)`. Of
    many cells the ten that rank best are shown. `ax`: Axes to draw on. Returns the figure, a matplotlib
    Figure. Raises ValueError.

    >>> import gdsim as gd
    >>> record = gd.Record(every=1, trajectory=True)
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=0.01), gd.Adam(lr=0.1)], steps=50, record=record)
    >>> len(race(sweep.run()).axes)
    1
    """
    runners = race_of(result, start)
    figure, panel = stage_of(runners, ax)
    for k, (path, (x, y)) in enumerate(zip(runners.paths, drawn_paths(runners, panel), strict=True)):
        panel.plot(x, y, label=path.label, marker=".", markersize=3, **{**line(k), "linewidth": 1.0})
        panel.plot(x[-1], y[-1], **head_of(k))
    legend(panel, outside=ax is None)
    return finished(figure, caption_of(runners))


def caption_of(runners: Race, marks: str = "a dot at each checkpoint, a ring at the start, a large mark where it ended") -> str:
    """What a race shows, and what may mislead."""
    contours, curve = "contours, close at the lowest points and far apart above", "the curve of the function, raised a little so that none hides another"
    where, shown = contours if len(runners.names) == 2 else curve, len(runners.paths)
    chosen = f" The cells are the best {shown} of {runners.cells:,} by the median {runners.ranked_by}." if runners.cells > shown else ""
    return (
        f"One run of each cell from start {runners.start}, over {where}: {marks}, crosses at known minima. Paths that leave the picture went on outside. "
        f"One start is an anecdote: another may end elsewhere.{chosen}"
    )


def race_of(result: Any, start: int) -> Race:
    """The runs of a result from one start. Raises ValueError where they cannot race."""
    result = check_result(result, "race")
    if "trajectory" not in result:
        raise ValueError("a race needs the paths of its runs: record them with gd.Record(trajectory=True)")
    problems = sweep_behind(result).problem
    if len(problems) != 1 or problems[0].data is not None or result.sizes["parameter"] > 2:
        raise ValueError("a race is run over one function of one or two variables; this sweep has others, or data")
    mine = np.flatnonzero(result.start.values == start)
    if not len(mine):
        raise ValueError(f"start={given(start)} has no run in this result")
    cells, paths = cells_in(result), []
    labels, ranks = cell_texts(cells.dataset({})), ranked_cells(result)
    mine = mine[np.argsort(ranks.rank[cells.place[mine]])]
    for run in np.sort(mine[:MOST_PATHS]):
        points = np.asarray(result.trajectory[run].values, float)
        known = np.isfinite(points).all(1)
        losses = np.asarray(result.loss[run].values, float)[known]
        paths.append(Path(labels[cells.place[run]], result.step.values[known], points[known], losses, str(result.status.values[run]) == "diverged"))
    names: list[str] = list(getattr(problems[0], "names", ())) or [f"x{k + 1}" for k in range(result.sizes["parameter"])]
    return Race(paths, problems[0], names, len(mine), start, ranks.name)


def drawn_paths(runners: Race, panel: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is drawn of each path on the race's panel: its two variables, or its one and the loss there, each
    path a little higher.
    """
    if len(runners.names) == 2:
        return [(path.points[:, 0], path.points[:, 1]) for path in runners.paths]
    bottom, top = panel.get_ylim()
    return [(path.points[:, 0], path.losses + RAISED * k * (top - bottom)) for k, path in enumerate(runners.paths)]


def head_of(k: int) -> dict[str, Any]:
    """How the place of the k-th run is marked."""
    return {"marker": MARKERS[k % len(MARKERS)], "markersize": 8, "color": line(k)["color"], "markeredgecolor": "white", "zorder": 4}


def stage_of(runners: Race, ax: Any = None) -> tuple[Any, Any]:
    """(figure, panel) with the function, its minima and the start: what a race is run over."""
    x_name, y_name = [*runners.names, "value"][:2]
    figure, panel = new_panel(f"From start {runners.start}{said_of(len(runners.paths), runners.cells)}", x_name, y_name, ax=ax, size=(7.6, 5.2))
    panel.grid(visible=False)
    low, high = _window(runners)
    minima = _minima(runners.problem, len(runners.names))
    if len(runners.names) == 2:
        _contours(panel, runners.problem, low, high)
        panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        marks = minima.T
    else:
        x = np.linspace(low[0], high[0], CURVE)
        value = _values(runners.problem, x[:, None])
        panel.plot(x, value, color="#999999", linewidth=1.0)
        room = 0.08 * max(np.nanmax(value) - np.nanmin(value), 1e-12)
        panel.set(xlim=(low[0], high[0]), ylim=(np.nanmin(value) - room, np.nanmax(value) + room))
        marks = np.array([minima[:, 0], _values(runners.problem, minima)]) if len(minima) else np.zeros((2, 0))
    panel.plot(*marks, "x", color="black", markersize=9, markeredgewidth=2, linestyle="none")
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 1.5, "zorder": 5}
    panel.plot(*(axis[:1] for axis in drawn_paths(runners, panel)[0]), "o", **ring)
    return figure, panel


def _minima(problem: Any, dimensions: int) -> np.ndarray:
    return np.array([m.point for m in getattr(problem, "global_minima", ())], float).reshape(-1, dimensions)


def _values(problem: Any, points: np.ndarray) -> np.ndarray:
    return evaluate(problem, points).loss.values.astype(float)


def _window(runners: Race) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest values of the variables that are shown: about the paths, of which one that went
    far is cut at a reach about the start.

    The ends of runs that did not diverge, and the minima that they ended at, are always inside.
    """
    staying = [path.points for path in runners.paths if not path.diverged]
    points = np.concatenate(staying or [path.points for path in runners.paths])
    minima, start = _minima(runners.problem, points.shape[1]), runners.paths[0].points[0]
    nearest = minima[[np.argmin(((minima - start) ** 2).sum(1))]] if len(minima) else minima
    reach = 4 * max(1e-3, np.abs(start - (nearest if len(minima) else np.median(points, 0))).max())
    low, high = (end(np.concatenate([points, nearest]), axis=0) for end in (np.min, np.max))
    low, high = np.maximum(low, start - reach), np.minimum(high, start + reach)
    inside = np.array([way[-1] for way in staying]).reshape(-1, len(start))
    if len(minima) and len(inside):
        apart = np.sqrt(((inside[:, None] - minima) ** 2).sum(2))
        inside = np.concatenate([inside, minima[apart.min(0) < NEAR * reach]])
    low, high = np.min([low, *inside], axis=0), np.max([high, *inside], axis=0)
    margin = 0.2 * np.maximum(high - low, 0.3 * (high - low).max() + 1e-3)
    return low - margin, high + margin


def _contours(panel: Any, problem: Any, low: np.ndarray, high: np.ndarray) -> None:
    x, y = np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
    loss = _values(problem, np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(GRID, GRID)
    floor = np.nanmin(loss[np.isfinite(loss)])
    height = np.log10(loss - floor + 1e-3 * (np.nanmedian(loss) - floor) + 1e-12)  # rings close at the lowest point and far apart above
    panel.contour(x, y, height, levels=LEVELS, colors="#aaaaaa", linewidths=0.6, linestyles="solid")
