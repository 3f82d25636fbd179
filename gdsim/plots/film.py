"""A race as a film: a GIF, an MP4, or an HTML page that needs nothing else."""

import pathlib
from typing import Any

import numpy as np
from matplotlib import animation
from matplotlib.markers import MarkerStyle

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.filenames import check_place, user_path
from gdsim.plots.figure import Figure, page_from, png_text
from gdsim.plots.race import Race, caption_of, drawn_paths, head_of, race_of, stage_of
from gdsim.plots.style import legend, line
from gdsim.sweep.results.reading import Result

TEMPLATE = pathlib.Path(__file__).with_name("film.html")
DOTS_PER_INCH, FILM_DPI, MARK = 130, 90, 8.0
# Points of a path that a page holds; of more, those nearest to so many evenly spaced steps.
MOST_POINTS = 2000
# Dashes of a line in a page, in pixels, by how matplotlib names them.
PAGE_DASHES = {"-": "", "--": "9 5", ":": "2 4", "-.": "9 4 2 4"}


def race_animation(result: Result, file: str | pathlib.Path, *, start: int = 0, seconds: float = 8.0, frames: int = 120) -> pathlib.Path:
    """The race as a film: a GIF, an HTML page that needs nothing else, or an MP4 where ffmpeg is installed,
    by the file's ending.

    The page has buttons, a slider and keys to go through it. Takes what `race` takes, and returns the file's
    path. Raises ValueError for other endings and for MP4 without ffmpeg.

    >>> import gdsim as gd, tempfile
    >>> record = gd.Record(every=1, trajectory=True)
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=0.01), gd.Adam(lr=0.1)], steps=20, record=record)
    >>> race_animation(sweep.run(), tempfile.mkdtemp() + "/race.html", frames=3).name
    'race.html'
    """
    target = _checked_file(file)
    checked_whole(frames, "frames", 2, 100_000)
    checked_one(seconds, "seconds", Range(0.0, 86_400.0, low_allowed=False))
    runners = race_of(result, start)
    times = np.unique(np.linspace(0, max(int(path.steps[-1]) for path in runners.paths), frames).round().astype(int))
    if target.suffix == ".html":
        target.write_text(_page(runners, times, seconds), encoding="utf-8")
    else:
        writer = "pillow" if target.suffix == ".gif" else "ffmpeg"
        _film(runners, times).save(target, writer=writer, fps=max(1, round(len(times) / seconds)), dpi=FILM_DPI)
    return target


def _checked_file(file: Any) -> pathlib.Path:
    """Where the film goes. Raises ValueError."""
    target = user_path(file, "file")
    if target.suffix not in (".gif", ".html", ".mp4"):
        raise ValueError(f"{str(target)!r} must end in .gif, .html or .mp4")
    if target.suffix == ".mp4" and not animation.writers.is_available("ffmpeg"):
        raise ValueError("an MP4 needs the program ffmpeg: install it, or give a name that ends in .gif or .html")
    check_place(target)
    return target


def _film(runners: Race, times: np.ndarray) -> Any:
    """The film as matplotlib draws it, frame by frame: paths and a title over one picture of all that does
    not move.
    """
    drawn, figure, panel = _over_a_picture(runners)
    lines = [panel.plot([], [], **_thin(k))[0] for k in range(len(runners.paths))]
    heads = [panel.plot([], [], **head_of(k))[0] for k in range(len(lines))]

    def show(time: int) -> list[Any]:
        for path, (x, y), behind, head in zip(runners.paths, drawn, lines, heads, strict=True):
            known = path.steps <= time
            behind.set_data(x[known], y[known])
            head.set_data(x[known][-1:], y[known][-1:])
        panel.set_title(f"Start {runners.start}, step {time:,} of {times[-1]:,}", fontsize="medium")
        return [*lines, *heads]

    return animation.FuncAnimation(figure, show, frames=times.tolist(), blit=False)


def _over_a_picture(runners: Race) -> tuple[list[tuple[np.ndarray, np.ndarray]], Any, Any]:
    """(what is drawn of each path, a figure that has the stage as one picture, its panel with the same axes
    and nothing on it).
    """
    stage, panel = stage_of(runners)
    drawn = drawn_paths(runners, panel)
    for k, path in enumerate(runners.paths):
        panel.plot([], [], label=path.label, **_thin(k))
    legend(panel)
    panel.set_title(" ", fontsize="medium")  # whose room the title has
    stage.set_dpi(FILM_DPI)
    stage.canvas.draw()
    figure = Figure(figsize=stage.get_size_inches(), layout="none", dpi=FILM_DPI)
    figure.figimage(np.asarray(stage.canvas.buffer_rgba()), zorder=-1)
    over = figure.add_axes(panel.get_position(), xlim=panel.get_xlim(), ylim=panel.get_ylim())
    for part in (over.patch, over.xaxis, over.yaxis):
        part.set_visible(False)
    return drawn, figure, over


def _thin(k: int) -> dict[str, Any]:
    return {**line(k), "linewidth": 1.2}


def _page(runners: Race, times: np.ndarray, seconds: float) -> str:
    """The page: the function as one picture, the paths as numbers over it."""
    figure, panel = stage_of(runners)
    figure.set_dpi(DOTS_PER_INCH)
    picture = png_text(figure, DOTS_PER_INCH)  # which lays the panel out, too
    width, height = (round(float(v)) for v in figure.get_size_inches() * DOTS_PER_INCH)
    box = panel.get_window_extent()
    runs = [_run(k, runners, drawn, panel, height) for k, drawn in enumerate(drawn_paths(runners, panel))]
    return page_from(
        TEMPLATE, title=f"A race from start {runners.start}", caption=caption_of(runners, "a ring at the start, a large mark where the run is"), width=width, height=height,
        panel=[round(float(v), 1) for v in (box.x0, height - box.y1, box.width, box.height)], last_frame=len(times) - 1,
        png=picture, film={"times": times.tolist(), "seconds": float(seconds), "runs": runs},
    )  # fmt: skip


def _run(k: int, runners: Race, drawn: tuple[np.ndarray, np.ndarray], panel: Any, height: int) -> dict[str, Any]:
    """One path in pixels of the page, and how it looks."""
    path, style, head = runners.paths[k], line(k), MarkerStyle(head_of(k)["marker"])
    kept = np.unique(np.linspace(0, len(path.steps) - 1, MOST_POINTS).round().astype(int))
    place = panel.transData.transform(np.stack(drawn, 1)[kept])
    place[:, 1] = height - place[:, 1]
    outline = np.asarray(head.get_path().transformed(head.get_transform()).to_polygons()[0])
    outline = outline * [MARK, -MARK] / np.abs(outline).max()
    return {
        "label": path.label, "colour": style["color"], "dash": PAGE_DASHES[style["linestyle"]],
        "mark": " ".join(f"{x:.1f},{y:.1f}" for x, y in outline), "steps": path.steps[kept].tolist(),
        "points": np.clip(place, -1e5, 1e5).round(1).ravel().tolist(),
    }  # fmt: skip
