"""Critical points: which of them each point of the plane leads to, and how many runs end at each."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb

from gdsim.plots.style import COLOURS, MARKERS, Axes, Figure, finished, legend, new_panel, share_axis, with_intervals
from gdsim.sweep.ranks.labels import shown_number
from gdsim.words import count_of, given

if TYPE_CHECKING:
    import xarray

DIGITS = 9  # after the point
MOST_ROWS = 20  # critical points that a figure of a census shows
PALETTE = COLOURS[:-1]  # black has no shades
PALE, DARK = 0.6, 0.35  # how much white is in the colour of the fewest steps, and black in that of the most
NOWHERE = 0.94  # the grey of points that lead to no critical point
LOOKS = {"minimum": 0, "saddle": 1, "maximum": 2, "degenerate": 3}  # colours and markers of kinds


def basin_map(found: "xarray.Dataset", *, ax: Axes | None = None) -> Figure:
    """The plane of `gd.minima.basin_map`: each point in the colour of the critical point that it leads to, the
    darker the more steps it took.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no such Dataset.

    >>> import gdsim as gd
    >>> len(basin_map(gd.minima.basin_map(gd.functions.Himmelblau(), gd.SGD(lr=0.01), points=(32, 32))).axes)
    1
    """
    _check(found, ("y", "x"), "basin_map")
    x, y, member = found.x.values, found.y.values, found.member.values
    names = [found[n].attrs.get("long_name", n) for n in ("x", "y")]
    figure, panel = new_panel(f"Where {found.attrs['optimizer']} ends on {found.attrs['problem']}", *names, ax=ax, size=(7.6, 5.2))
    half = [0.5 * (axis[1] - axis[0]) for axis in (x, y)]
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    panel.imshow(_shaded(member, found.steps_taken.values), origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    panel.grid(visible=False)
    values, kinds, points = found.value.values, found.kind.values, found.point.values
    named = np.argsort(-found["count"].values, kind="stable")[: len(PALETTE)]
    for k in range(len(values)):
        place = ", ".join(shown_number(float(v) + 0.0, 4) for v in points[k, :2].round(DIGITS))
        text = f"{_shown(values[k])} at ({place}): {found.share.values[k]:.1%}" if k in named else None
        looks = {"marker": MARKERS[LOOKS[kinds[k]]], "color": PALETTE[k % len(PALETTE)], "markersize": 7 if k in named else 4}
        panel.plot(*points[k, :2, None], linestyle="none", markeredgecolor="white", label=text, **looks)
    panel.set_xlim(extent[:2])
    panel.set_ylim(extent[2:])
    legend(panel, title="value and place: share", outside=ax is None)
    lost = float((member < 0).mean())
    taken = found.steps_taken.values[member >= 0]
    steps = f"{int(taken.min()):,} to {int(taken.max()):,} steps, the darker the more" if taken.size else "none of them anywhere"
    left = f" Light grey: {lost:.1%} diverged, or did not come to rest." if lost else ""
    few = f" The {len(PALETTE)} with most are named, colours are used again." if len(values) > len(PALETTE) else ""
    return finished(figure, f"{count_of(member.size, 'run')}, one from each point, in {steps}, ended at {count_of(len(values), 'critical point')}.{left}{few}")


def _shaded(member: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[y, x, channel]: the colour of each point's critical point, paler or darker by the ranks of its steps."""
    base = np.array([to_rgb(PALETTE[k % len(PALETTE)]) for k in range(member.max(initial=0) + 1)])[np.maximum(member, 0)]
    order = np.log1p(steps.astype(float))
    there = member >= 0
    low, high = np.quantile(order[there], [0.01, 0.99]) if there.any() else (0.0, 1.0)
    share = np.clip((order - low) / (high - low or 1.0), 0.0, 1.0)[..., None]
    shaded = np.where(share < 0.5, base + (1.0 - base) * PALE * (1.0 - 2.0 * share), base * (1.0 - DARK * (2.0 * share - 1.0)))
    shaded = np.where(there[..., None], shaded, NOWHERE)
    if member.max(initial=0) >= len(PALETTE):  # neighbours may have one colour
        shaded[:, 1:][member[:, 1:] != member[:, :-1]] = 1.0
        shaded[1:][member[1:] != member[:-1]] = 1.0
    return shaded


def _shown(value: float) -> str:
    """A value as it stands on a figure; 0 of what is nothing but rounding."""
    return shown_number(float(np.round(value, DIGITS)) + 0.0, 6)


def census(found: "xarray.Dataset", *, ax: Axes | None = None) -> Figure:
    """The share of runs that end at each of the lowest critical points of `gd.minima.census`, with its
    interval.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no such Dataset.

    >>> import gdsim as gd
    >>> len(census(gd.minima.census(gd.functions.Himmelblau(), [[3.1, 2.1], [3.0, 2.1], [-2.8, 3.1]])).axes)
    1
    """
    _check(found, ("run",), "census")
    there, runs = found.sizes["critical_point"], found.member.size
    shown = min(there, MOST_ROWS)
    of = f"; the lowest {shown} of {there:,}" if shown < there else ""
    figure, panel = new_panel(f"Critical points at which runs end{of}", "share of runs", "value", ax=ax, size=(7.2, max(2.2, 1.4 + 0.27 * shown)))
    places = np.arange(float(shown))[::-1]
    kinds, values = found.kind.values[:shown], found.value.values[:shown]
    curves = [found[name].values[:shown] for name in ("share", "low", "high")]
    for kind, look in LOOKS.items():
        mine = kinds == kind
        if mine.any():
            label = kind if kind != "saddle" else "saddle, with its index"
            with_intervals(panel, places[mine], [c[mine] for c in curves], look, label=label, sideways=True, linestyle="none")
    index = found["index"].values[:shown]
    texts = [_shown(value) + (f" ({index[k]})" if kinds[k] == "saddle" else "") for k, value in enumerate(values)]
    if "problem" in found:
        texts = [f"problem {number}: {text}" for number, text in zip(found.problem.values[:shown], texts, strict=True)]
    panel.set_yticks(places, texts, fontsize="small")
    panel.set_ylim(-0.6, max(shown, 1) - 0.4)
    panel.set_xlim(left=0.0)
    share_axis(panel.xaxis)
    legend(panel, outside=ax is None)
    none = int((found.member.values < 0).sum())
    each = ", shares are of each problem's" if "problem" in found else ""
    caption = f"{count_of(runs, 'run')}{each}, with 95% intervals by Wilson. {none:,} of them ended at no critical point. "
    unseen = np.ravel(found.attrs["unseen"])
    if len(unseen) == 1 and np.isfinite(unseen[0]):
        caption += f"Of the runs that end at one, {unseen[0]:.1%} would be at others, by Good and Turing."
    return finished(figure, caption.strip())


def _check(found: Any, dims: tuple[str, ...], what: str) -> None:
    """Raises TypeError for what is not the Dataset of a function of `gd.minima`."""
    if not hasattr(found, "data_vars") or "member" not in found or (what == "basin_map" and found.member.dims != dims):
        raise TypeError(f"{what} draws the Dataset of gd.minima.{what}; {given(found) if not hasattr(found, 'data_vars') else 'another Dataset'} was given")
