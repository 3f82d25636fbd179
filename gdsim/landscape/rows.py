"""Directions in the parameters of networks row by row: a row is what leads into one unit."""

from typing import Any

import numpy as np

from gdsim.lanes.draws import normal_numbers
from gdsim.lanes.philox import DIRECTION
from gdsim.starts import dot_rows
from gdsim.words import checked_word

NORMALIZATIONS = ("filter", "layer")
PLANE = 1  # what a direction is drawn for, beside those of starts


def rows_of(problem: Any, normalization: str | None, biases: bool) -> list[np.ndarray]:
    """Places [row, number] in a vector of parameters, an array for each layer: of one row "filter" takes a
    unit's weights, "layer" a layer's, None all; a bias belongs to its unit's row, or, without `biases`, to none.

    Rows of a module are its convolutions' filters too. Raises ValueError.
    """
    if normalization is not None:
        checked_word(normalization, "normalization", NORMALIZATIONS, "None ('none' in a file)")
    if problem.family == "module":
        if biases:
            raise ValueError(f"biases=True is of gdsim's own networks; directions of biases of a {type(problem).__name__} are 0")
        units = problem.weight_rows
    elif problem.layers:
        whole = np.arange(problem.parameter_count)
        units = [np.column_stack([W, b]) if biases and problem.intercept else W for W, b in problem.unpack(whole)]
        units = [rows.astype(np.int64) for rows in units]
    elif normalization is None:
        units = [np.arange(problem.parameter_count)[None]]
    else:
        raise ValueError(f"normalization={normalization!r} is by the weights of layers, and {type(problem).__name__} has none; give normalization=None")
    if normalization == "filter":
        return units
    layers = [rows.reshape(1, -1) for rows in units]
    return layers if normalization == "layer" else [np.concatenate(layers, 1)]


def drawn_directions(rows: list[np.ndarray], parameters: int, n: int, seed: int, orthogonal: bool) -> np.ndarray:
    """[axis, parameter]: `n` normal directions, 0 beside the rows.

    With `orthogonal` each is, row by row, without its part along those before it; of a row of k numbers the
    first k are.
    """
    drawn, found = normal_numbers(seed, np.arange(n, dtype=np.uint32), (DIRECTION, PLANE), parameters), np.zeros((n, parameters))
    for places in rows:
        own = [drawn[axis][places] for axis in range(n)]
        for axis in range(1, min(n, places.shape[1]) if orthogonal else 0):
            for before in [*own[:axis]] * 2:  # twice, after which rounding is all that is left
                own[axis] = own[axis] - (dot_rows(own[axis], before) / dot_rows(before, before))[:, None] * before
        for axis in range(n):
            found[axis][places] = own[axis]
    return found


def normalized(directions: np.ndarray, rows: list[np.ndarray], centers: np.ndarray) -> np.ndarray:
    """[run, axis, parameter]: directions[axis, parameter] scaled, row by row, to the norms of the rows of
    centers[run, parameter].
    """
    found = np.zeros((len(centers), *directions.shape))
    for places in rows:
        flat = centers[:, places].reshape(-1, places.shape[1])
        lengths = np.sqrt(dot_rows(flat, flat)).reshape(len(centers), -1)
        for axis, direction in enumerate(directions):
            own = direction[places]
            found[:, axis, places] = lengths[:, :, None] * (own / np.sqrt(dot_rows(own, own))[:, None])
    return found
