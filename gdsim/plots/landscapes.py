"""Landscapes: losses on planes as contours, maps and surfaces, and along lines."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gdsim.landscape import bands
from gdsim.landscape.picture import Picture
from gdsim.plots.figure import Figure as OwnFigure
from gdsim.plots.style import (
    Axes,
    Figure,
    SubFigure,
    checked_axes,
    checked_figure,
    finished,
    label_outer,
    line,
    log_ends,
    logarithmic,
    new_panel,
    share_axis,
    with_room,
)
from gdsim.sweep.ranks.labels import counted, shown_number
from gdsim.sweep.results.reading import Dataset
from gdsim.words import checked_word

STYLES = ("contour", "map", "surface")
COLOURS, GREY = "cividis", "#eeeeee"
LEVELS = 14  # of contours, about
MOST_PANELS = 12
MOST_SINGLE = 12  # runs of which each line is drawn
PATH = {"color": "#D55E00", "linewidth": 1.4, "marker": "o", "markersize": 2.5}


def landscape(
    plane: "Dataset | Mapping[str, Dataset]",
    style: str = "contour",
    *,
    variable: str = "loss",
    ax: Axes | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """What `gd.landscape.plane` and its kin give: a `style` of "contour", with lines of equal height, "map", a
    field for each point, or "surface", in three dimensions.

    Colours and lines are spaced evenly in the logarithm where no value is below 0 and they lie far apart; the few
    that are smaller or larger by many powers of ten have the colour of the scale's end. A cross marks the centre, a line the `path` of a trajectory's plane, letters the three points of `plane_through`. Of
    several runs, or of several planes by their names, `{"plain": one, "residual": other}`, each has a panel, at
    most twelve, all with the same colours. `ax`: Axes to draw on, where there is one panel (of a surface in
    three dimensions); `figure`: an empty figure to draw in. Returns the figure, a matplotlib Figure. Raises
    TypeError for what is no plane, ValueError for one without the variable.

    >>> import gdsim as gd
    >>> booth = gd.landscape.plane(gd.functions.Booth(), [1.0, 3.0], normalization=None, points=11)
    >>> len(landscape(booth).axes)
    2
    """
    checked_word(style, "style", STYLES)
    shown = [panel for name, one in _named(plane).items() for panel in _panels_of(name, one, variable)]
    if len(shown) > MOST_PANELS:
        raise ValueError(f"landscape draws at most {MOST_PANELS} planes, and there are {len(shown)}; choose some, as plane.isel(run=slice(6))")
    values = np.concatenate([panel.values.ravel() for panel in shown])
    norm = _norm(values, variable)
    drawn, panels = _places(len(shown), style, ax, figure)
    for panel, one in zip(panels, shown, strict=True):
        within = np.where(np.isfinite(one.values), np.clip(one.values, *_ends(norm)), np.nan)
        {"contour": _contour, "map": _map, "surface": _surface}[style](panel, one._replace(values=within), norm)
        panel.set_title(one.title, fontsize="medium")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(5))
    name = variable.replace("_", " ")
    if style == "surface":
        for panel in panels:
            panel.set(xlabel="x", ylabel="y")
            panel.tick_params("z", pad=7)
            panel.set_zlabel(name, labelpad=15)
    else:
        label_outer(panels, shown[0].labels[0], shown[0].labels[1])
        bar = drawn.colorbar(ScalarMappable(norm, COLOURS), ax=panels, label=name)
        if isinstance(norm, LogNorm):
            logarithmic(bar.ax, "y")
    return finished(drawn, _caption(shown, style, _said_of_scale(values, norm, name, style)))


def landscape_line(found: Dataset, *, variable: str = "loss", ax: Axes | None = None) -> Figure:
    """What `gd.landscape.line` gives: `variable` along the way from a to b; of several runs the median, with the
    bands of the middle half and of nine tenths, and up to twelve runs each by itself.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no line,
    ValueError for one without the variable.

    >>> import gdsim as gd
    >>> camel = gd.landscape.line(gd.functions.ThreeHumpCamel(), [-2.0, 1.0], [2.0, -1.0])
    >>> len(landscape_line(camel).axes)
    1
    """
    seen = Picture.of(found, variable, "landscape_line")
    if "alpha" not in seen.axes:
        raise TypeError("landscape_line draws what gd.landscape.line gives; of planes give gd.plots.landscape(plane)")
    name, at, runs = variable.replace("_", " "), seen.axes["alpha"], len(seen.values)
    figure, panel = new_panel(f"{name.capitalize()} on the way from a to b", "share of the way from a (0) to b (1)", name, ax=ax)
    if runs <= MOST_SINGLE:
        for values in seen.values:
            panel.plot(at, values, **{**line(0), "linewidth": 1.6 if runs == 1 else 0.8, "alpha": 1.0 if runs == 1 else 0.45})
    if runs > 1:
        low, below, middle, above, high = bands(found)[variable].values
        for ends, alpha in (((low, high), 0.12), ((below, above), 0.22)):
            panel.fill_between(at, *(np.where(np.isfinite(end), end, np.nan) for end in ends), color=line(0)["color"], alpha=alpha, linewidth=0)
        panel.plot(at, middle, **{**line(0), "linewidth": 2.0})
    inside = {name: end for name, end in (("a", 0.0), ("b", 1.0)) if at[0] < end < at[-1]}
    for end in inside.values():
        panel.axvline(end, color="#444444", linewidth=0.9, linestyle=":")
    panel.set_xlim(at[0], at[-1])
    beyond = ""
    if "accuracy" in variable:
        share_axis(panel.yaxis)
    elif (ends := log_ends(seen.values)) is not None:
        logarithmic(panel, "y")
        if beyond := _said_of_ends(seen.values, ends, "leave the panel"):
            panel.set_ylim(*with_room(*ends, wide=True))
    text = f"{beyond}Dotted: {' and '.join(inside)}." if inside else beyond
    if runs > 1:
        each = " thin: each of them;" if runs <= MOST_SINGLE else ""
        text = f"Line: the median of {counted(np.array([runs]), 'run')};{each} bands: the middle half, and nine tenths of them. {text}"
    return finished(figure, text.strip())


class _Panel(NamedTuple):
    """One plane as a panel shows it."""

    title: str
    x: np.ndarray
    y: np.ndarray
    values: np.ndarray  # [y, x]
    labels: tuple[str, str]
    paths: np.ndarray  # [path, checkpoint, axis]
    corners: np.ndarray  # [point, axis]
    marks_centre: bool


def _named(given_planes: Any) -> dict[str, Dataset]:
    """Planes by their names."""
    if hasattr(given_planes, "data_vars") or not isinstance(given_planes, Mapping):
        return {"": given_planes}
    return {str(name): one for name, one in given_planes.items()}


def _panels_of(name: str, plane: Dataset, variable: str) -> Iterator[_Panel]:
    """A panel for each run of a plane."""
    seen = Picture.of(plane, variable, "landscape")
    if "x" not in seen.axes:
        raise TypeError("landscape draws planes; of what gd.landscape.line gives take gd.plots.landscape_line(line)")
    paths = plane.path.values.reshape(-1, *plane.path.shape[-2:]) if "path" in plane else np.zeros((0, 0, 2))
    corners = plane.corner.values if "corner" in plane else np.zeros((0, 2))
    labels = ("x", "y")
    if "explained_variance" in plane:
        labels = cast(
            "tuple[str, str]", tuple(f"{axis} ({share:.0%} of the variance)" for axis, share in zip("xy", plane.explained_variance.values, strict=True))
        )
    for run, values in enumerate(seen.values):
        own = _title(plane, seen, run)
        title = ": ".join(part for part in (name, own) if part) or f"{variable.replace('_', ' ').capitalize()} on a plane"
        yield _Panel(title, seen.axes["x"], seen.axes["y"], values, labels, paths, corners, not len(corners) and not len(paths))


def _title(plane: Dataset, seen: Picture, run: int) -> str:
    """What a run is called."""
    if not seen.dims:
        return ""
    index = np.unravel_index(run, seen.shape)
    if "label" in seen.coordinates and "run" in seen.coordinates:
        return f"run {int(plane.run.values[run])}: {plane.label.values[run]}"
    return ", ".join(f"{dim} {plane[dim].values[k] if dim in plane.coords else k}" for dim, k in zip(seen.dims, index, strict=True))


def _norm(values: np.ndarray, variable: str) -> Any:
    """How values are coloured: evenly in the logarithm where they are positive and far apart."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Normalize(0, 1)
    if "accuracy" in variable:
        return Normalize(0, 1)
    if (ends := log_ends(finite)) is not None:
        return LogNorm(*ends)
    return Normalize(finite.min(), finite.max() if finite.max() > finite.min() else finite.min() + 1)


def _said_of_scale(values: np.ndarray, norm: Any, name: str, style: str) -> str:
    """What a caption says of a logarithmic scale, and of the values beyond its ends."""
    if not isinstance(norm, LogNorm):
        return ""
    what = {"contour": "Colours and lines", "map": "Colours", "surface": "Heights and colours"}[style]
    return f"{what} are even in the logarithm of the {name}. {_said_of_ends(values, _ends(norm), 'are drawn as that')}"


def _said_of_ends(values: np.ndarray, ends: tuple[float, float], how: str) -> str:
    """What a caption says of values that lie beyond the ends of a logarithmic scale."""
    known = values[np.isfinite(values)]
    said = [f"below {shown_number(ends[0], 2)}"] * bool((known < ends[0]).any()) + [f"above {shown_number(ends[1], 2)}"] * bool((known > ends[1]).any())
    return f"Values {' or '.join(said)} {how}. " if said else ""


def _levels(norm: Any) -> np.ndarray:
    """The heights of contour lines."""
    low, high = _ends(norm)
    if isinstance(norm, LogNorm):
        return np.geomspace(low, high, LEVELS + 2)
    ticks = np.array(MaxNLocator(LEVELS).tick_values(low, high))
    return np.array([low, *ticks[(ticks > low) & (ticks < high)], high])


def _ends(norm: Any) -> tuple[float, float]:
    """The values of the first and the last colour."""
    return float(norm.vmin), float(norm.vmax)


def _places(count: int, style: str, ax: Any, figure: Any) -> tuple[Any, list[Any]]:
    """(figure, so many panels of it)."""
    is_solid = style == "surface"
    if ax is not None:
        if count > 1:
            raise ValueError(f"landscape draws {count} panels, one per plane: give figure=, an empty figure, in place of ax=")
        if is_solid and not hasattr(checked_axes(ax), "plot_surface"):
            raise ValueError("a surface is drawn on Axes in three dimensions, such as plt.figure().add_subplot(projection='3d')")
        return checked_axes(ax).figure, [ax]
    columns = count if count < 4 else 2 if count == 4 else 3 if count < 10 else 4
    rows = -(-count // columns)
    wide, high = (5.6, 4.5) if count == 1 else (4.6, 4.2) if is_solid else (3.4, 3.1)
    drawn = OwnFigure(figsize=(wide * columns + 0.8 * (count > 1), high * rows)) if figure is None else checked_figure(figure)
    return drawn, [drawn.add_subplot(rows, columns, k + 1, **({"projection": "3d"} if is_solid else {})) for k in range(count)]


def _contour(panel: Any, one: _Panel, norm: Any) -> None:
    levels = _levels(norm)
    values = np.ma.masked_invalid(one.values)
    panel.set_facecolor(GREY)
    panel.contourf(one.x, one.y, values, levels=levels, norm=norm, cmap=COLOURS)
    lines = panel.contour(one.x, one.y, values, levels=levels[1:-1], colors="black", linewidths=0.5, alpha=0.6)
    panel.clabel(lines, lines.levels[::2], fmt=lambda v: shown_number(float(v), 2), fontsize="xx-small")
    _marks(panel, one)


def _map(panel: Any, one: _Panel, norm: Any) -> None:
    half = [0.5 * (axis[1] - axis[0]) for axis in (one.x, one.y)]
    extent = (one.x[0] - half[0], one.x[-1] + half[0], one.y[0] - half[1], one.y[-1] + half[1])
    panel.set_facecolor(GREY)
    panel.imshow(np.ma.masked_invalid(one.values), origin="lower", extent=extent, aspect="auto", norm=norm, cmap=COLOURS, interpolation="nearest")
    _marks(panel, one)


def _marks(panel: Any, one: _Panel) -> None:
    """The centre, paths and corners of a flat picture."""
    panel.grid(visible=False)
    if not one.marks_centre:  # x and y are distances
        panel.set_aspect("equal")
    if one.marks_centre and one.x[0] <= 0 <= one.x[-1] and one.y[0] <= 0 <= one.y[-1]:
        panel.plot(0, 0, marker="+", color="white", markersize=9, markeredgewidth=1.6, linestyle="none")
    for path in one.paths:
        panel.plot(path[:, 0], path[:, 1], **PATH)
        panel.plot(*path[np.isfinite(path).all(1)][-1], marker="*", color=PATH["color"], markeredgecolor="white", markersize=11, linestyle="none")
    for letter, (x, y) in zip("abc", one.corners, strict=False):
        panel.plot(x, y, marker="o", color="white", markeredgecolor="black", markersize=5)
        outlined = [withStroke(linewidth=2.5, foreground="white")]
        panel.annotate(letter, (x, y), (5, 5), textcoords="offset points", fontweight="bold", path_effects=outlined)


def _surface(panel: Any, one: _Panel, norm: Any) -> None:
    is_log = isinstance(norm, LogNorm)
    heights = np.where(np.isfinite(one.values), one.values, np.nan)
    colours = ScalarMappable(norm, COLOURS).to_rgba(np.ma.masked_invalid(heights))
    x, y = np.meshgrid(one.x, one.y)
    z = np.log10(heights) if is_log else heights
    panel.plot_surface(x, y, z, facecolors=colours, rcount=len(one.y), ccount=len(one.x), linewidth=0, antialiased=False, shade=False)
    ends = [math.log10(end) if is_log else end for end in _ends(norm)]
    panel.set_zlim(*ends)
    if is_log:
        panel.zaxis.set_major_locator(MaxNLocator(5, integer=True) if ends[1] - ends[0] > 2 else MaxNLocator(4))
        panel.zaxis.set_major_formatter(FuncFormatter(lambda v, _: shown_number(10.0**v, 2)))
    panel.view_init(elev=32, azim=-55)
    panel.set_box_aspect(None, zoom=0.82)  # room for the numbers of the height


def _caption(shown: list[_Panel], style: str, of_scale: str) -> str:
    points = f"{len(shown[0].y)} x {len(shown[0].x)} points each. " if len(shown) > 1 else f"{len(shown[0].y)} x {len(shown[0].x)} points. "
    text = points + of_scale
    text += "Light grey: not finite. " if style != "surface" and any(not np.isfinite(p.values).all() for p in shown) else ""
    if style == "surface":
        return text.strip()
    if shown[0].marks_centre:
        return f"{text}Cross: the centre."
    return text + (
        "Letters: the three points." if len(shown[0].corners) else "Line: the path, projected; star: its end. The path's own losses are lower or higher."
    )
