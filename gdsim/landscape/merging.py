"""`gd.landscape.merge_tree`: the minima of a picture and where they meet, by persistence."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gdsim.axes import checked_one
from gdsim.landscape.inputs import NOT_NEGATIVE
from gdsim.landscape.picture import Picture
from gdsim.sweep.results.reading import Dataset


class Merge(NamedTuple):
    """A minimum of a grid, by places in it, and where its basin meets that of a lower one: -1 of the lowest."""

    minimum: int
    saddle: int
    into: int  # the minimum of the lower basin


def merge_tree(plane: Dataset, *, variable: str = "loss", persistence: float = 0.0) -> Dataset:
    """The minima of the grid of a plane or a line, and the saddles where their basins meet, each in that of the
    lower minimum: the tree of what lies below a level as the level rises.

    A point has eight neighbours on a plane, two on a line. A minimum's `persistence` is how far the level rises
    above it until it meets a lower one, that of the lowest infinite; those of less than `persistence` are left
    out (Edelsbrunner, Letscher and Zomorodian 2002). Finer grids have more minima of small persistence: what a
    kink or rounding makes has little.

    Returns a Dataset over `minimum`, the most persistent first: `value`, `persistence`, `saddle_value`, the
    places `minimum_x`, `minimum_y`, `saddle_x`, `saddle_y` (of a line `..._alpha`), and `parent`, the number of
    the lower minimum, -1 of none; over runs too where the picture is, NaN where a run has fewer, with
    `minima[run]`, how many it has. Raises ValueError for what is no picture.

    >>> import gdsim as gd
    >>> camel = gd.landscape.line(gd.functions.ThreeHumpCamel(), [-2.0, 1.0], [2.0, -1.0], alpha=(0.0, 1.0))
    >>> merge_tree(camel).value.values.round(2).tolist()
    [0.0, 0.3, 0.3]
    """
    picture = Picture.of(plane, variable, "merge_tree")
    least = checked_one(float(persistence), "persistence", NOT_NEGATIVE)
    trees = [_kept(merges_of(values), values.ravel(), least) for values in picture.values]
    most = max(map(len, trees))
    names = ["value", "persistence", "saddle_value", *(f"{what}_{axis}" for what in ("minimum", "saddle") for axis in picture.axes)]
    columns = {name: np.full((len(trees), most), np.nan) for name in names}
    parents = np.full((len(trees), most), -1)
    for run, (tree, values) in enumerate(zip(trees, picture.values, strict=True)):
        numbers = {merge.minimum: k for k, merge in enumerate(tree)}
        for k, merge in enumerate(tree):
            low = columns["value"][run, k] = values.flat[merge.minimum]
            columns["persistence"][run, k], parents[run, k] = math.inf, -1
            _put(columns, (run, k), picture, "minimum", merge.minimum, values.shape)
            if merge.saddle >= 0:
                high = columns["saddle_value"][run, k] = values.flat[merge.saddle]
                columns["persistence"][run, k], parents[run, k] = high - low, numbers[merge.into]
                _put(columns, (run, k), picture, "saddle", merge.saddle, values.shape)
    about = {"variable": variable, "persistence": least}
    return picture.dataset({**columns, "parent": parents, "minima": np.array([len(t) for t in trees])}, ("minimum",)).assign_attrs(about)


def merges_of(values: np.ndarray) -> list[Merge]:
    """The minima of a grid of one or two dimensions in the order in which their basins end, the lowest last;
    what is not finite is no part of it. Of equal values the first in the order of the grid is lower.
    """
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.isfinite(flat[order])]
    rank = np.full(flat.size, flat.size)
    rank[order] = np.arange(len(order))
    around, basin, found = _neighbours(values.shape), np.full(flat.size, -1).tolist(), []
    ranks = rank.tolist()

    def lowest(point: int) -> int:
        while basin[point] != point:
            basin[point] = point = basin[basin[point]]
        return point

    for point in order.tolist():
        basins = sorted({lowest(other) for other in around[point] if basin[other] >= 0}, key=ranks.__getitem__)
        basin[point] = basins[0] if basins else point
        for other in basins[1:]:
            basin[other] = basins[0]
            found.append(Merge(other, point, basins[0]))
    ends = [point for point in order.tolist() if basin[point] == point]
    return [*found, *(Merge(point, -1, -1) for point in reversed(ends))]


def _neighbours(shape: Sequence[int]) -> list[list[int]]:
    """The places next to each place of a grid, corner to corner too."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=len(shape)) if any(s)]
    places = np.arange(math.prod(shape)).reshape(shape)
    around: list[list[int]] = [[] for _ in range(places.size)]
    for step in steps:
        here = tuple(slice(max(0, -s), size - max(0, s)) for s, size in zip(step, shape, strict=True))
        there = tuple(slice(max(0, s), size + min(0, s)) for s, size in zip(step, shape, strict=True))
        for one, other in zip(places[here].ravel().tolist(), places[there].ravel().tolist(), strict=True):
            around[one].append(other)
    return around


def _kept(merges: list[Merge], flat: np.ndarray, least: float) -> list[Merge]:
    """The merges of at least some persistence, the most persistent first; none of persistence 0."""
    heights = [math.inf if m.saddle < 0 else float(flat[m.saddle]) - float(flat[m.minimum]) for m in merges]
    chosen = [k for k in range(len(merges)) if heights[k] > 0 and heights[k] >= least]
    return [merges[k] for k in sorted(chosen, key=lambda k: (-heights[k], flat[merges[k].minimum]))]


def _put(columns: dict[str, np.ndarray], at: tuple[int, int], picture: Picture, what: str, place: int, shape: tuple[int, ...]) -> None:
    """Writes where a place of the grid lies."""
    for axis, index in zip(picture.axes, np.unravel_index(place, shape), strict=True):
        columns[f"{what}_{axis}"][at] = picture.axes[axis][index]
