"""What a picture says in numbers: `gd.landscape.measures`, and `gd.landscape.bands` over runs."""

from collections.abc import Sequence

import numpy as np

from gdsim.axes import Range, checked_one
from gdsim.landscape.inputs import FINITE
from gdsim.landscape.merging import merge_tree
from gdsim.landscape.picture import Picture
from gdsim.statistics.quantiles import quantile
from gdsim.sweep.results.reading import Dataset
from gdsim.variables import described
from gdsim.words import given

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHARE = Range(0.0, 1.0, high_allowed=True)
NO_RUNS = {"alpha", "x", "y", "level", "minimum", "axis", "parameter", "quantile"}  # dims of pictures and of their numbers
LEFT_OUT = {"direction", "center", "parent"}  # whose quantiles say nothing


def measures(picture: Dataset, *, variable: str = "loss", levels: float | Sequence[float] = (), persistence: float = 0.0) -> Dataset:
    """What the grid of a line or a plane says in numbers, each over runs where the picture is.

    - `minima`: how many there are of at least `persistence`, as `merge_tree` counts them.
    - `roughness`: along the lines of the grid, by how much the way up and down is longer than in one valley,
      sum |f_{i+1} - f_i| over sum (f_first + f_last - 2 f_min), less 1; 0 if each line falls, then rises.
    - `convexity`: the share of second differences f_{i-1} - 2 f_i + f_{i+1} along the lines that are not negative
      beyond rounding: 1 of a convex function.
    - `share_below[level]`: the share of points at or below each of `levels`.
    - `monotone`: of lines that reach from 0 to 1, and of no others, whether the values nowhere rise between
      (Goodfellow et al. 2015).

    What is not finite is left out: of `roughness` the lines through it, of `convexity` the differences, and it is
    below no level. All are of these points alone: a finer grid sees more. Raises TypeError for what is no picture.

    >>> import gdsim as gd
    >>> bowl = gd.landscape.line(gd.Quadratic([[2.0]]), [-1.0], [1.0])
    >>> found = measures(bowl, levels=[1.0])
    >>> [float(found[n]) for n in ("minima", "roughness", "convexity")], found.monotone.item()
    ([1.0, 0.0, 1.0], False)
    """
    seen = Picture.of(picture, variable, "measures")
    heights = np.array([checked_one(float(v), "levels", FINITE) for v in np.ravel(levels)])
    values = np.where(np.isfinite(seen.values), seen.values, np.nan)
    axes = tuple(range(1, values.ndim))
    columns = {
        "minima": merge_tree(picture, variable=variable, persistence=persistence).minima.values.reshape(-1),
        "roughness": _roughness(values, axes), "convexity": _convexity(values, axes, float(np.finfo(picture[variable].dtype).eps)),
    }  # fmt: skip
    alpha = seen.axes.get("alpha")
    if alpha is not None and alpha[0] <= 0.0 and alpha[-1] >= 1.0:
        between = (alpha >= 0.0) & (alpha <= 1.0)
        columns["monotone"] = (np.diff(values[:, between], axis=1) <= 0.0).all(1)
    if len(heights):
        below = values[..., None] <= heights
        columns["share_below"] = below.mean(axes)
    made = seen.dataset(columns, ("level",)).assign_attrs(variable=variable, persistence=float(persistence))
    return made.assign_coords(level=("level", heights, described("level", "height of the level"))) if len(heights) else made


def _roughness(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """[run]: the length of the way up and down along all lines, over that in valleys as deep, less 1."""
    way, least = np.zeros(len(values)), np.zeros(len(values))
    for axis in axes:
        lines = np.moveaxis(values, axis, -1).reshape(len(values), -1, values.shape[axis])
        lines = np.where(np.isnan(lines).any(2, keepdims=True), 0.0, lines)
        way += np.abs(np.diff(lines, axis=2)).sum((1, 2))
        least += (lines[..., 0] + lines[..., -1] - 2.0 * lines.min(2)).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(way == 0.0, 0.0, way / least - 1.0)


def _convexity(values: np.ndarray, axes: tuple[int, ...], rounding: float) -> np.ndarray:
    """[run]: the share of second differences along all lines that are not below what rounding makes."""
    convex, count = np.zeros(len(values)), np.zeros(len(values))
    for axis in axes:
        lines = np.moveaxis(values, axis, -1).reshape(len(values), -1, values.shape[axis])
        bends = lines[..., :-2] - 2.0 * lines[..., 1:-1] + lines[..., 2:]
        least = -8.0 * rounding * np.maximum(np.maximum(np.abs(lines[..., :-2]), np.abs(lines[..., 2:])), np.abs(lines[..., 1:-1]))
        convex += (bends >= least).sum((1, 2))
        count += (~np.isnan(bends)).sum((1, 2))
    with np.errstate(invalid="ignore"):
        return convex / count


def bands(found: Dataset, *, quantiles: Sequence[float] = QUANTILES) -> Dataset:
    """Quantiles over runs of all numbers of a picture, of its measures or of its merge trees: variables
    over `quantile` in the place of the dims of runs.

    A quantile q of n runs is the ceil(q n)-th smallest value, one that a run has; NaN are left out. Raises
    ValueError for what has no runs, and for shares that are none.

    >>> import gdsim as gd
    >>> many = gd.landscape.line(gd.Quadratic([[2.0]]), [[1.0], [2.0], [3.0]], [0.0], alpha=(0.0, 1.0), points=2)
    >>> bands(many, quantiles=[0.5]).loss.values.tolist()
    [[4.0, 0.0]]
    """
    shares = np.array([checked_one(float(q), "quantiles", SHARE) for q in quantiles])
    if not hasattr(found, "data_vars") or not {*found.dims} - NO_RUNS:
        raise ValueError(f"bands takes numbers of several runs, as gd.landscape.plane(problem, centers); {given(found)} was given")
    import xarray  # takes 0.4 s, and only answers need it

    columns = {}
    for name, column in found.data_vars.items():
        runs = [d for d in column.dims if d not in NO_RUNS]
        if name in LEFT_OUT or not runs or column.dtype.kind not in "fiub":
            continue
        rest = [d for d in column.dims if d in NO_RUNS]
        values = column.transpose(*runs, *rest).values.astype(np.float64).reshape(-1, *(found.sizes[d] for d in rest))
        columns[name] = (("quantile", *rest), np.stack([quantile(values, q) for q in shares]), column.attrs)
    coordinates = {n: c for n, c in found.coords.items() if set(c.dims) <= NO_RUNS}
    return xarray.Dataset(columns, {**coordinates, "quantile": shares}, found.attrs)
