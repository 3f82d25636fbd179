"""What all figures share: colours and lines that the colour-blind and a printer tell apart, panels, scales,
legends.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes  # noqa: F401  as what all figures take and give
from matplotlib.figure import Figure, SubFigure  # noqa: F401
from matplotlib.ticker import Formatter, LogLocator, PercentFormatter, SymmetricalLogLocator

from gdsim.plots.figure import LETTER, Figure as OwnFigure
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS
from gdsim.sweep.ranks.labels import shown_number, shown_values

# Okabe and Ito (2008): eight colours that the colour-blind tell apart, here without yellow, which print
# loses.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (10, 3)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
# Values are coloured along viridis up to where it grows too pale for paper.
SEQUENCE, PALEST = "viridis", 0.88
# Lines of a panel that a reader can follow.
MOST_LINES = 7
# A logarithmic axis is long whose ends lie farther apart than by this factor.
FAR = 100.0
# A logarithmic scale of a landscape reaches from the median twice as far as 2% and 98% of the values, within these powers
# of ten: at a minimum of a function the loss is 0 but for rounding, and would take the whole scale.
MOST_BEYOND, FEWEST_DECADES, MOST_DECADES = 0.02, 4.0, 16.0
# What an axis of values has beyond them, as a share of its length.
ASIDE = 0.05
# Letters of a line of text beside a panel, and for how many figures have room as they are.
LINE_LETTERS, USUAL_LETTERS = 40, 30
LETTER_INCHES = LETTER * 8.3 / 72  # of the small letters there
# Bands do not hide each other while there are so few; beyond, intervals are whiskers.
MOST_BANDS = 2


def new_panel(title: str, x: str, y: str, *, ax: Any = None, size: tuple[float, float] = (6.4, 4.2)) -> tuple[Any, Any]:
    """(figure, panel), named: a new figure with one panel, or the given Axes and theirs.

    Raises TypeError for what is no Axes.
    """
    panel: Any = checked_axes(ax) if ax is not None else OwnFigure(figsize=size).subplots()
    panel.set_title(title, fontsize="medium", wrap=ax is None)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.3, which="major")
    return panel.figure, panel


def checked_axes(ax: Any) -> Any:
    """The Axes that a caller draws on. Raises TypeError."""
    if not (hasattr(ax, "plot") and hasattr(ax, "figure")):
        several = ", one of them: axes are an array, take axes[0] or axes[0, 0]" if isinstance(ax, (np.ndarray, list, tuple)) else ""
        raise TypeError(f"ax must be the Axes of a matplotlib figure, such as plt.subplots()[1]{several}; {type(ax).__name__} was given")
    return ax


def checked_figure(figure: Any) -> Any:
    """The empty figure that a caller has panels drawn in. Raises TypeError or ValueError."""
    if not hasattr(figure, "add_gridspec"):
        raise TypeError(f"figure must be a matplotlib Figure or SubFigure, such as plt.figure(); {type(figure).__name__} was given")
    if figure.axes:
        raise ValueError(f"figure must be empty, such as plt.figure(), since panels are made in it; this one has {len(figure.axes)} Axes")
    return figure


def new_panels(
    count: int, what: str, *, each: str = "optimizer", ax: Any = None, figure: Any = None, spare: bool = True, shared: str = "xy", height: float = 3.1
) -> tuple[Any, list[Any], Any]:
    """(figure, so many panels of it, the place for a legend or None): no place is empty, and all panels have
    tick labels.

    With `spare` a place that is left over is for a legend, without it the panels of the last row are wider.
    Panels share the axes that `shared` names. Raises ValueError, in which `what` draws one per `each`, for the
    Axes of one panel in the place of several.
    """
    if ax is not None and count > 1:
        raise ValueError(f"{what} draws {count} panels, one per {each}: give figure=, an empty figure, in place of ax=")
    if figure is None and count == 1:
        figure, panel = new_panel("", "", "", ax=ax)
        return figure, [panel], None
    columns = count if count < 3 else min(4, -(-(count + spare) // 2)) if count < 9 else 4
    rows = -(-count // columns)
    figure = OwnFigure(figsize=(3.7 * columns, height * rows)) if figure is None else checked_figure(figure)
    left = rows * columns - count
    last = columns if spare else columns - left
    grid = figure.add_gridspec(rows, width := math.lcm(columns, last))
    panels: list[Any] = []
    for k in range(count):
        row, column = divmod(k, columns)
        wide = width // (last if row == rows - 1 else columns)
        with_first = dict.fromkeys((f"share{axis}" for axis in shared), panels[0]) if panels else {}
        panels.append(figure.add_subplot(grid[row, column * wide : (column + 1) * wide], **with_first))
    if not (spare and left):
        return figure, panels, None
    place = figure.add_subplot(grid[rows - 1, columns - left :])
    place.set_axis_off()
    return figure, panels, place


def line(k: int) -> dict[str, Any]:
    """How the k-th line is drawn."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)], "linewidth": 1.6}


def marked_line(k: int) -> dict[str, Any]:
    """How the k-th line is drawn whose points are marked."""
    return {**line(k), "marker": MARKERS[k % len(MARKERS)], "markersize": 5}


def sequence(count: int) -> list[Any]:
    """So many colours in an order that the eye and a grey printer see, the darkest first."""
    return [colormaps[SEQUENCE](PALEST * k / max(1, count - 1)) for k in range(count)]


def is_wide(values: Any) -> bool:
    """Whether the finite values are all above 0 and lie so far apart that a logarithmic scale shows them
    better.
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return bool(len(known) and known.min() > 0 and known.max() > 20 * known.min())


def log_ends(values: Any) -> tuple[float, float] | None:
    """The ends of a logarithmic scale of a landscape's finite values, beyond which a few may lie, and zeros; None where
    a value is below 0 or they lie close together.
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    known = finite[finite > 0]
    if not len(known) or finite.min() < 0:
        return None
    below, middle, above = np.log10(np.quantile(known, (MOST_BEYOND, 0.5, 1.0 - MOST_BEYOND)))
    down, up = (min(max(2.0 * reach, FEWEST_DECADES), MOST_DECADES) for reach in (middle - below, above - middle))
    ends = max(float(known.min()), 10.0 ** float(middle - down)), min(float(known.max()), 10.0 ** min(float(middle + up), 308.0))
    return ends if is_wide(ends) else None


def log_scale(panel: Any, axis: str, values: Any) -> None:
    """A logarithmic scale of the axis "x" or "y", where all finite values are above 0 and lie far apart."""
    if is_wide(values):
        logarithmic(panel, axis)


class _MinorTicks(LogLocator):
    """Between powers of ten, from 2 to 9; at 2 and 5 alone where there are many powers: a tick takes as long to
    draw as a line of data.
    """

    def tick_values(self, vmin: float, vmax: float) -> Any:
        self.set_params(subs=(2.0, 5.0) if vmax > FAR * vmin else "auto")
        return super().tick_values(vmin, vmax)


class _FromZero(SymmetricalLogLocator):
    """0 and powers of ten from where the axis is logarithmic: those below stand close to 0, label on label."""

    def __init__(self, begin: float) -> None:
        super().__init__(base=10.0, linthresh=begin)
        self.begin = begin

    def tick_values(self, vmin: float, vmax: float) -> Any:
        found = np.asarray(super().tick_values(vmin, vmax))
        return found[(found == 0.0) | (np.abs(found) > 0.99 * self.begin)]


class _PlainNumbers(Formatter):
    """Labels of a logarithmic axis: powers of ten in plain numbers; on a short axis their doubles and fives
    too, on a very short one all.
    """

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        view: Any = self.axis
        low, high = view.get_view_interval()  # asked once, which takes longer than all labels
        whole = 0 < low < high <= 4 * low
        labelled = (1, 2, 5) if 0 < low < high <= FAR * low else (1,)  # so that no label meets the next
        return [shown_number(v, 6) if whole or any(abs(_first_digit(v) - d) < 1e-6 for d in labelled) else "" for v in values]

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.format_ticks([x])[0]


def _first_digit(value: float) -> float:
    return value / 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0


def logarithmic(panel: Any, axis: str, *, from_zero: float = 0.0) -> None:
    """A logarithmic scale of the axis "x" or "y", its ticks in plain numbers; with `from_zero` it is linear from
    0 to that.
    """
    getattr(panel, f"set_{axis}scale")("symlog" if from_zero else "log", **({"linthresh": from_zero} if from_zero else {}))
    ticks = getattr(panel, f"{axis}axis")
    ticks.set_major_formatter(_PlainNumbers())
    if from_zero:
        ticks.set_major_locator(_FromZero(from_zero))
    else:
        ticks.set_minor_locator(_MinorTicks())
        ticks.set_minor_formatter(_PlainNumbers())


def number_axis(panel: Any, axis: np.ndarray) -> np.ndarray:
    """The places of a hyperparameter's values on the x axis, logarithmic where they lie far apart; side by
    side where one of them is None.
    """
    if axis.dtype.kind == "O":
        places = np.arange(float(len(axis)))
        panel.set_xticks(places, shown_values(axis.tolist()))
        return places
    log_scale(panel, "x", axis)
    known = axis[np.isfinite(axis)]
    if len(np.unique(known)) > 1:  # the whole of what was tried, also where a value has no point
        panel.set_xlim(*with_room(known.min(), known.max(), wide=is_wide(known)))
    return axis


def with_room(low: float, high: float, *, wide: bool = False) -> tuple[float, float]:
    """The ends of an axis a little beyond those of its values; `wide`: of a logarithmic one."""
    aside = (high / low) ** ASIDE if wide else ASIDE * (high - low or 1.0)
    return (low / aside, high * aside) if wide else (low - aside, high + aside)


def share_axis(axis: Any) -> None:
    """Marks an axis of shares in percent."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def wrapped(text: str) -> str:
    """A text beside a panel in lines that are not long, broken after commas.

    >>> wrapped("lr = 0.1, LocalSGD, workers = 4, ErrorFeedback(TopK), period = 4").splitlines()
    ['lr = 0.1, LocalSGD, workers = 4,', 'ErrorFeedback(TopK), period = 4']
    """
    lines: list[str] = []
    for part in text.split(", "):
        if lines and len(f"{lines[-1]}, {part}") < LINE_LETTERS:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return ",\n".join(lines)


def make_room(figure: Any, texts: Sequence[str], columns: int = 1) -> None:
    """Widens a figure of gdsim's own for texts that stand beside its panels, in so many columns."""
    beyond = max((len(line) for text in texts for line in text.splitlines()), default=0) - USUAL_LETTERS
    if beyond > 0 and isinstance(figure, OwnFigure):
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + columns * beyond * LETTER_INCHES, height)


def legend(panel: Any, *, given: Any = None, title: str | None = None, outside: bool = True) -> None:
    """A legend beside the panel, where no line lies; on Axes of the caller's own where there is most room.

    `given` are handles in place of the panel's.
    """
    handles = panel.get_legend_handles_labels()[0] if given is None else given
    if not handles:
        return
    for handle in handles:
        handle.set_label(wrapped(handle.get_label()))
    if outside:
        make_room(panel.figure, [handle.get_label() for handle in handles])
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.3, "frameon": False} if outside else {"loc": "best"}
    panel.legend(handles=handles, fontsize="small", title=title, title_fontsize="small", **place)


def finished(figure: Any, caption: str) -> Any:
    """The figure with its caption, where it is one of gdsim's own."""
    if hasattr(figure, "set_caption"):
        figure.set_caption(caption)
    return figure


def best_of(ranks: Any, members: np.ndarray, most: int = MOST_LINES) -> np.ndarray:
    """Those of some cells that rank best, as many as a reader can follow, in the order of cells.

    `ranks` are those of `ranked_cells`.
    """
    return np.sort(members[np.argsort(ranks.rank[members])][:most])


def said_of(shown: int, there: int) -> str:
    """What a title adds where not all cells are shown."""
    return "" if shown == there else f"; the best {shown} of {there:,} cells"


def ranked_by(name: str) -> str:
    """What a caption adds where the best cells are shown."""
    return f" The best are those of the best median {name}."


def dodged(x: np.ndarray, grid: np.ndarray, k: int, count: int, *, wide: bool | None = None) -> np.ndarray:
    """Places of the k-th of so many lines, moved aside by at most a 25th of the grid's distances: none hides
    another, and each reads as its value. `wide`: whether the axis is logarithmic; if not given, where the grid is wide.
    """
    known = np.unique(grid[np.isfinite(grid)])
    if count < 2 or len(known) < 2:
        return x
    aside = 0.08 * (k / (count - 1) - 0.5)
    return x * np.min(known[1:] / known[:-1]) ** aside if (is_wide(known) if wide is None else wide) else x + aside * np.diff(known).min()


def with_intervals(panel: Any, at: np.ndarray, curve: Any, k: int, *, label: str | None = None, sideways: bool = False, **looks: Any) -> None:
    """The k-th line's values, (value, low, high) at places on the other axis, with whiskers; an arrow in
    place of one that is infinite, none for NaN.
    """
    value, low, high = (np.asarray(c, float) for c in curve)
    if (np.isinf([low, high]) & np.isfinite(value)).any():  # room for arrows
        panel.margins(**{"x" if sideways else "y": 0.15})
    below, above = (np.maximum(np.where(np.isinf(end), 0.0, sign * (end - value)), 0.0) for end, sign in ((low, -1), (high, 1)))
    style = {"label": label, "capsize": 2, "elinewidth": 1, **marked_line(k), **looks}
    panel.errorbar(*((value, at) if sideways else (at, value)), **{"xerr" if sideways else "yerr": [below, above]}, **style)
    for end, reach in ((low, -ARROW), (high, ARROW)):
        for place in np.flatnonzero(np.isinf(end) & np.isfinite(value)):
            from_here = (value[place], at[place]) if sideways else (at[place], value[place])
            tip = (reach, 0) if sideways else (0, reach)
            arrow = {"arrowstyle": "<-", "color": style["color"], "shrinkA": 0, "shrinkB": 0}
            panel.annotate("", from_here, tip, textcoords="offset points", arrowprops=arrow, annotation_clip=True)


def none_of_few(runs: np.ndarray) -> str:
    """What a caption says of intervals where some of the cells have too few runs for one."""
    return f", none of fewer than {FEWEST_FOR_INTERVALS} runs" if (runs < FEWEST_FOR_INTERVALS).any() else ""


WHISKERS = 14
ARROW = 20  # points


def whiskers(panel: Any, x: np.ndarray, curve: tuple[np.ndarray, np.ndarray, np.ndarray], colour: Any, k: int, count: int) -> None:
    """Intervals of the k-th of so many curves of steps, (value, low, high), where it is above 0, at a few
    places that no other curve has.
    """
    risen = x[curve[0] > 0]
    if not len(risen):
        return
    each = max(2, WHISKERS // count)
    where = (np.arange(each) + 0.1 + 0.85 * (k + 0.5) / count) / each
    low, high = (max(float(end), 1.0) for end in (risen[0], x[-1]))
    at = low + (high - low) * where if panel.get_xscale() == "linear" else low * (high / low) ** where
    value, below, above = (c[np.maximum(np.searchsorted(x, at, side="right") - 1, 0)] for c in curve)
    panel.errorbar(at, value, np.maximum([value - below, above - value], 0), fmt="none", ecolor=colour, elinewidth=1, capsize=2)


def label_outer(panels: Any, x: str, y: str) -> None:
    """Names of the axes on the lowest panel of each column and the first of each row; on Axes that stand
    alone, both.
    """
    specs = [p.get_subplotspec() for p in panels]
    for panel, spec in zip(panels, specs, strict=True):
        if spec is None or spec.rowspan.start == max(s.rowspan.start for s in specs if s.colspan.start == spec.colspan.start):
            panel.set_xlabel(x)
        if spec is None or spec.colspan.start == min(s.colspan.start for s in specs):
            panel.set_ylabel(y)
