"""What all figures share: colours and lines that the colour-blind and a printer tell apart, panels, scales, words."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Okabe and Ito (2008): eight colours that the colour-blind tell apart, here without yellow, which print loses.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Lines of a panel that a reader can follow.
MOST_LINES = 7


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_panel(title: str, x: str, y: str, size: tuple[float, float] = (6.4, 4.2)) -> tuple[Any, Any]:
    """(figure, its one panel), named."""
    figure = new_figure(*size)
    panel = figure.subplots()
    panel.set_title(title, fontsize="small", wrap=True)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.3, which="major")
    return figure, panel


def new_panels(count: int, **shared: bool) -> tuple[Any, np.ndarray]:
    """(figure, so many panels of it), at most four side by side; one alone is larger."""
    columns = max(1, min(4, count))
    rows = max(1, -(-count // columns))
    figure = new_figure(4.2 * columns, 3.6 * rows) if count > 1 else new_figure(6.4, 4.2)
    panels = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels


def line(k: int) -> dict[str, Any]:
    """How the k-th line is drawn."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)], "linewidth": 1.6}


def marked_line(k: int) -> dict[str, Any]:
    """How the k-th line is drawn whose points are marked."""
    return {**line(k), "marker": MARKERS[k % len(MARKERS)], "markersize": 5}


def is_wide(values: Any) -> bool:
    """Whether the finite values are all above 0 and lie so far apart that a logarithmic scale shows them better."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return bool(len(known) and known.min() > 0 and known.max() > 20 * known.min())


def log_scale(axis_setter: Any, values: Any) -> None:
    """A logarithmic scale, where all finite values are above 0 and lie far apart."""
    if is_wide(values):
        axis_setter("log")


def legend(panel: Any, count: int, *, narrow: bool = False) -> None:
    """A legend; where it is long, in two columns, or smaller in a narrow panel."""
    if count:
        panel.legend(fontsize="xx-small" if narrow and count > 4 else "x-small", ncols=1 + (count > 6 and not narrow))


def counted(numbers: Iterable[int], what: str) -> str:
    """How many of something there are in each cell, in words."""
    counts = sorted(set(map(int, numbers)))
    if not counts:
        return f"no {what}s"
    text = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"{text} {what}{'' if counts == [1] else 's'}"


def short_labels(labels: Sequence[str]) -> list[str]:
    """Labels without their first word where all have the same."""
    first = {str(text).split(" ", 1)[0] for text in labels}
    return [str(text).split(" ", 1)[-1] if len(first) == 1 and " " in str(text) else str(text) for text in labels]


def best_first(values: np.ndarray, most: int = MOST_LINES) -> np.ndarray:
    """The places of the lowest values, the lowest first; unknown ones last."""
    return np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")[:most]


def said_of(shown: int, there: int) -> str:
    """What a title adds where not all cells are shown."""
    return "" if shown == there else f"; the best {shown} of {there:,} cells"
