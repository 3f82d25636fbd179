"""What lies between minima: the matrix of barriers, and the graph of how minima hang together."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from gdsim.plots.style import COLOURS, Axes, Figure, finished, is_wide, new_panel
from gdsim.sweep.ranks.labels import shown_number
from gdsim.words import checked_word, count_of, given

if TYPE_CHECKING:
    import xarray

MOST_WRITTEN, MOST_NAMED = 12, 40  # minima of a matrix with its numbers written in, and of a graph with theirs below
ROUNDING = 1e-9  # of the highest barrier: what is lower has the colour of 0
WAYS = {"line": "straight lines", "band": "elastic bands"}


def barrier_matrix(found: "xarray.Dataset", *, variable: str = "barrier", ax: Axes | None = None) -> Figure:
    """The matrix of `gd.paths.barrier_matrix`: the barrier between each pair of minima, or with
    `variable="height"` the height.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no such Dataset.

    >>> import gdsim as gd
    >>> ends = [[3.0, 2.0], [-2.805118, 3.131313], [3.584428, -1.848127]]
    >>> len(barrier_matrix(gd.paths.barrier_matrix(gd.functions.Himmelblau(), ends)).axes)
    2
    """
    _check(found, "barrier_matrix")
    checked_word(variable, "variable", ("barrier", "height"))
    values, names = found[variable].values, [str(n) for n in found.minimum.values]
    figure, panel = new_panel(f"{variable.capitalize()} between minima", "minimum", "minimum", ax=ax, size=(6.4, 5.2))
    apart = ~np.eye(len(values), dtype=bool)
    finite = values[apart & np.isfinite(values)]
    positive = finite[finite > ROUNDING * finite.max(initial=0.0)]
    is_logarithmic = len(positive) > 0 and is_wide(positive)
    norm: Any = LogNorm(positive.min(), positive.max()) if is_logarithmic else Normalize(0.0, finite.max(initial=0.0) or 1.0)
    paint = np.maximum(values, positive.min()) if is_logarithmic else values
    painted = panel.imshow(np.where(apart & np.isfinite(values), paint, np.nan), norm=norm, cmap="cividis", interpolation="nearest")
    panel.set_facecolor("#eeeeee")
    panel.grid(visible=False)
    every = -(-len(names) // 20)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_ticks(range(0, len(names), every), names[::every])
    if len(names) <= MOST_WRITTEN:
        for row, column in np.argwhere(apart & ~np.isnan(values)):
            dark = np.isfinite(values[row, column]) and norm(paint[row, column]) < 0.5
            panel.text(column, row, shown_number(float(values[row, column]), 3), ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
    figure.colorbar(
        painted, ax=panel, label=found[variable].attrs.get("long_name", variable).replace(" the straight line between", "\nthe straight line between")
    )
    return finished(figure, f"{count_of(len(values), 'minimum', 'minima')}, {count_of(int(apart.sum()) // 2, 'pair')}; {_way(found)}.")


def disconnectivity(found: "xarray.Dataset", *, ax: Axes | None = None) -> Figure:
    """The disconnectivity graph of `gd.paths.barrier_matrix`: each minimum a line from its loss up, which meets
    others at the lowest loss over which a way leads there (Becker and Karplus 1997).

    Ways lead over other minima too. With `path="band"` branches meet at saddles; straight lines rise higher
    than passes do. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is
    no such Dataset, ValueError where pairs are lacking.

    >>> import gdsim as gd
    >>> ends = [[3.0, 2.0], [-2.805118, 3.131313], [3.584428, -1.848127]]
    >>> len(disconnectivity(gd.paths.barrier_matrix(gd.functions.Himmelblau(), ends)).axes)
    1
    """
    _check(found, "disconnectivity")
    value, height = found.value.values.astype(float), found.height.values
    if not (np.isfinite(value).all() and np.isfinite(height).all()):
        raise ValueError(
            "disconnectivity needs the heights of all pairs, finite numbers, and some are not: make the matrix of minima whose losses are, or finish it"
        )
    tops = height + np.maximum(value[:, None], value)
    figure, panel = new_panel("How minima hang together", "minimum", "loss", ax=ax, size=(6.8, 4.6))
    panel.grid(visible=False, axis="x")
    order, merges = _tree(value, tops)
    place = {int(leaf): (float(x), float(value[leaf])) for x, leaf in enumerate(order)}
    for node, (left, right, level) in enumerate(merges, start=len(value)):
        (x, low), (y, other) = place[left], place[right]
        panel.plot([x, x, y, y], [low, level, level, other], color="#444444", linewidth=1.2)
        place[node] = ((x + y) / 2.0, level)
    deepest = int(value.argmin())
    for leaf in range(len(value)):
        panel.plot(*np.array(place[leaf])[:, None], marker="o", markersize=4.5, linestyle="none", color=COLOURS[1] if leaf == deepest else COLOURS[0])
    names = found.minimum.values[order]
    panel.set_xticks(range(len(names)), [str(n) for n in names] if len(names) <= MOST_NAMED else [""] * len(names))
    panel.set_xlim(-0.7, len(names) - 0.3)
    return finished(
        figure, f"{count_of(len(value), 'minimum', 'minima')}, the lowest orange; lines meet at the lowest loss over which a way leads: {_way(found)}."
    )


def _tree(value: np.ndarray, tops: np.ndarray) -> tuple[list[int], list[tuple[int, int, float]]]:
    """(the minima from left to right, (branch, branch, loss where they meet) upwards): the lowest highest loss
    on a way over any of the minima is where single linkage joins them.
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    base = value.min()
    apart = tops - base
    np.fill_diagonal(apart, 0.0)
    made = linkage(squareform(0.5 * (apart + apart.T), checks=False), "single")
    return dendrogram(made, no_plot=True, count_sort=True)["leaves"], [(int(a), int(b), float(level) + base) for a, b, level, _ in made]


def _way(found: Any) -> str:
    """On which ways losses were found."""
    aligned = {"none": "", "weights": ", units matched by weights", "barrier": ", of all images of units the one of the lowest barrier"}[
        found.attrs.get("align", "none")
    ]
    points = f", {found.attrs['points']} points each" if "points" in found.attrs else ""
    moving = int((~found.converged & found.barrier.notnull()).sum()) // 2 if "converged" in found else 0
    rest = f", of which {moving:,} did not come to rest" if moving else ""
    return f"on {WAYS[found.attrs.get('path', 'line')]}{rest}{points}{aligned}"


def _check(found: Any, what: str) -> None:
    """Raises TypeError for what is no matrix of barriers."""
    if not (hasattr(found, "data_vars") and {"barrier", "height", "value"} <= {*found.data_vars}):
        raise TypeError(f"{what} draws what gd.paths.barrier_matrix gives; {given(found)} was given")
