"""Optimizers racing over the contours of a function of two variables, still and animated."""

import pathlib
from typing import Any

import numpy as np

from gdsim.filenames import user_path
from gdsim.plots.style import COLOURS, MARKERS, MOST_LINES, line, new_figure
from gdsim.sweep.reading import check_result

GRID, LEVELS = 200, 25


def race(result: Any, *, start: int = 0) -> Any:
    """The paths of each cell's run from one start over the contours of the function that they minimise; crosses mark its minima.

    The sweep must be of one function of two variables, recorded with `gd.Record(trajectory=True)`. The first seven cells are shown. Returns
    a matplotlib Figure. Raises ValueError.

    >>> import gdsim as gd
    >>> record = gd.Record(every=1, trajectory=True)
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=0.01), gd.Adam(lr=0.1)], steps=50, record=record)
    >>> len(race(sweep.run()).axes)
    1
    """
    paths, problem = _paths(result, start)
    figure, panel = _contours(problem, paths)
    for k, (label, _, path) in enumerate(paths):
        panel.plot(*path.T, label=label, marker=MARKERS[k % len(MARKERS)], markersize=2.5, **{**line(k), "linewidth": 1.2})
        panel.plot(*path[-1], marker=MARKERS[k % len(MARKERS)], markersize=8, color=line(k)["color"], markeredgecolor="white")
    panel.set_title(f"Start {start}: where {len(paths)} optimizers go; the large mark is where each ended", fontsize="medium")
    panel.legend(fontsize="x-small", loc="best")
    return figure


def race_animation(result: Any, file: str | pathlib.Path, *, start: int = 0, seconds: float = 8.0, frames: int = 120) -> pathlib.Path:
    """The race as a film: a GIF, an HTML page that needs nothing else, or an MP4 where ffmpeg is installed, by the file's ending.

    Takes what `race` takes, and returns the file's path. Raises ValueError for other endings and for MP4 without ffmpeg.

    >>> import gdsim as gd, tempfile
    >>> record = gd.Record(every=1, trajectory=True)
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=0.01), gd.Adam(lr=0.1)], steps=20, record=record)
    >>> race_animation(sweep.run(), tempfile.mkdtemp() + "/race.gif", frames=3).name
    'race.gif'
    """
    from matplotlib import animation

    target = user_path(file, "file")
    if target.suffix not in (".gif", ".html", ".mp4"):
        raise ValueError(f"{str(target)!r} must end in .gif, .html or .mp4")
    if target.suffix == ".mp4" and not animation.writers.is_available("ffmpeg"):
        raise ValueError("an MP4 needs the program ffmpeg: install it, or give a name that ends in .gif or .html")
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {str(target.parent)!r} for {target.name!r}")
    paths, problem = _paths(result, start)
    figure, panel = _contours(problem, paths)
    last = max(int(steps[-1]) for _, steps, _ in paths)
    times = np.unique(np.linspace(0, last, max(2, frames)).round().astype(int))
    lines = [panel.plot([], [], label=label, **{**line(k), "linewidth": 1.2})[0] for k, (label, _, _) in enumerate(paths)]
    heads = [panel.plot([], [], marker=MARKERS[k % len(MARKERS)], markersize=8, color=COLOURS[k], markeredgecolor="white")[0] for k in range(len(paths))]
    panel.legend(fontsize="x-small", loc="upper right")

    def show(time: int) -> list[Any]:
        for (_, steps, path), drawn, head in zip(paths, lines, heads, strict=True):
            behind = path[steps <= time]
            drawn.set_data(*behind.T)
            head.set_data(*behind[-1:].T)
        panel.set_title(f"Start {start}, step {time:,} of {last:,}", fontsize="medium")
        return [*lines, *heads]

    film = animation.FuncAnimation(figure, show, frames=times.tolist(), blit=False)
    rate = max(1, round(len(times) / seconds))
    if target.suffix == ".html":
        target.write_text(film.to_jshtml(fps=rate), encoding="utf-8")
    else:
        film.save(target, writer="pillow" if target.suffix == ".gif" else "ffmpeg", fps=rate, dpi=90)
    return target


def _paths(result: Any, start: int) -> tuple[list[tuple[str, np.ndarray, np.ndarray]], Any]:
    """([(label, steps, points), ...] of the cells' runs from a start, the function that they minimise)."""
    from gdsim.sweep.result import sweep_behind

    result = check_result(result, "race")
    if "trajectory" not in result or result.sizes["parameter"] != 2:
        raise ValueError("a race needs the paths of a function of two variables: record them with gd.Record(trajectory=True)")
    problems = sweep_behind(result).problem
    if len(problems) != 1 or problems[0].data is not None:
        raise ValueError("a race is run over one function of two variables; this sweep has others, or data")
    mine = np.flatnonzero(result.start.values == start)
    if not len(mine):
        raise ValueError(f"start={start!r} has no run in this result")
    found = []
    for run in mine[:MOST_LINES]:
        path = np.asarray(result.trajectory[run].values, float)
        known = np.isfinite(path).all(1)
        found.append((str(result.label.values[run]), result.step.values[known], path[known]))
    return found, problems[0]


def _contours(problem: Any, paths: list[tuple[str, np.ndarray, np.ndarray]]) -> tuple[Any, Any]:
    """(figure, panel) with the function's contours about the paths."""
    from gdsim.population import evaluate

    points = np.concatenate([path for _, _, path in paths])
    minima = np.array([m.point for m in getattr(problem, "global_minima", ())]).reshape(-1, 2)
    starts = np.array([path[0] for _, _, path in paths])
    low, high = points.min(0), points.max(0)
    reach = 4 * np.maximum(1e-3, np.abs(starts[0] - (minima[0] if len(minima) else points.mean(0))).max())  # a run that left shows no more than that
    centre = starts[0]
    low, high = np.maximum(low, centre - reach), np.minimum(high, centre + reach)
    margin = 0.25 * np.maximum(high - low, 1e-3)
    low, high = low - margin, high + margin
    x, y = np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    loss = evaluate(problem, grid).loss.values.reshape(GRID, GRID).astype(float)
    figure = new_figure(6.4, 5.4)
    panel = figure.subplots()
    floor = np.nanmin(loss[np.isfinite(loss)])
    height = np.log10(loss - floor + 1e-3 * (np.nanmedian(loss) - floor) + 1e-12)  # rings close at the lowest point and far apart above
    panel.contour(x, y, height, levels=LEVELS, colors="#999999", linewidths=0.6, linestyles="solid")
    inside = ((minima >= low) & (minima <= high)).all(1)
    panel.plot(*minima[inside].T, "x", color="black", markersize=9, markeredgewidth=2, linestyle="none")
    panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="first variable", ylabel="second variable")
    return figure, panel
