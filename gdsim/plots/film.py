"""A race as a film: a GIF, an MP4, or an HTML page that needs nothing else."""

import pathlib
from typing import Any

import numpy as np

from gdsim.filenames import user_path
from gdsim.plots.race import drawn_paths, head_of, race_of, stage_of
from gdsim.plots.style import legend, line


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
    runners = race_of(result, start)
    figure, panel = stage_of(runners)
    last = max(int(path.steps[-1]) for path in runners.paths)
    times = np.unique(np.linspace(0, last, max(2, frames)).round().astype(int))
    drawn = drawn_paths(runners, panel)
    lines = [panel.plot([], [], label=path.label, **{**line(k), "linewidth": 1.2})[0] for k, path in enumerate(runners.paths)]
    heads = [panel.plot([], [], **head_of(k))[0] for k in range(len(lines))]
    legend(panel)

    def show(time: int) -> list[Any]:
        for path, (x, y), behind, head in zip(runners.paths, drawn, lines, heads, strict=True):
            known = path.steps <= time
            behind.set_data(x[known], y[known])
            head.set_data(x[known][-1:], y[known][-1:])
        panel.set_title(f"Start {start}, step {time:,} of {last:,}", fontsize="medium")
        return [*lines, *heads]

    film = animation.FuncAnimation(figure, show, frames=times.tolist(), blit=False)
    rate = max(1, round(len(times) / seconds))
    if target.suffix == ".html":
        target.write_text(film.to_jshtml(fps=rate), encoding="utf-8")
    else:
        film.save(target, writer="pillow" if target.suffix == ".gif" else "ffmpeg", fps=rate, dpi=90)
    return target
