"""Quadratics, about which everything that a rule does is known exactly."""

import functools
from typing import Any, ClassVar

import msgspec
import numpy as np

from gdsim.data import Array, Data
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store, where
from gdsim.lanes.parts import BLOCK, WIDTH, ZERO, batch_size, fill
from gdsim.problems.base import Problem

MOST = 1000


def multiply(model: Any, count: Any) -> None:
    """model.gradients = A times model.kept, row by row in order."""
    for row in range(count):
        total = splat(ZERO, WIDTH)
        for column in range(count):
            total = fma_lanes(model.constants[row * count + column], load(model.kept, column * WIDTH, WIDTH), total)
        store(model.gradients, row * WIDTH, total)


def half_form(model: Any, count: Any) -> Any:
    """Half of v' A v for v in `kept` and A v in `gradients`, in order."""
    total = splat(ZERO, WIDTH)
    for place in range(count):
        total = fma_lanes(load(model.kept, place * WIDTH, WIDTH), load(model.gradients, place * WIDTH, WIDTH), total)
    return 0.5 * total


def fill_whole_gradient(model: Any, weights: Any, feed: Any) -> Any:
    """Leaves A (w - m) and gives its loss; m is the mean of all centres, and the constants end with the mean of what they add."""
    count = len(model.gradients) // WIDTH
    for place in range(count):
        store(model.kept, place * WIDTH, load(weights, place * WIDTH, WIDTH) - model.constants[count * count + place])
    multiply(model, count)
    return half_form(model, count) + model.constants[count * count + count]


def fill_gradient(model: Any, weights: Any, feed: Any, start: Any, step: Any) -> Any:
    """Leaves A (w - c) and gives the loss, c the mean centre of a step's batch. Columns of a sample: c_i - m, A (c_i - m), their product."""
    count = len(model.gradients) // WIDTH
    size = batch_size(feed, step)
    columns = 2 * count + 1
    nothing = splat(ZERO, WIDTH)
    for column in range(columns):
        store(model.sums, column * WIDTH, nothing)
    for first in range(0, feed.batch, BLOCK):
        block = min(BLOCK, feed.batch - first)
        fill(model, feed, start, step, (first, block))
        limit = where(size > first, size - first, size * 0)
        for column in range(columns):
            total = load(model.sums, column * WIDTH, WIDTH)
            for sample in range(block):
                total = total + where(limit > sample, load(model.activations, (column * model.pitch + sample) * WIDTH, WIDTH), nothing)
            store(model.sums, column * WIDTH, total)
    share = 1.0 / as_type_of(size, nothing)
    spread = load(model.sums, 2 * count * WIDTH, WIDTH) * share
    for place in range(count):
        center = load(model.sums, place * WIDTH, WIDTH) * share
        spread = fma_lanes(-center, load(model.sums, (count + place) * WIDTH, WIDTH) * share, spread)
        store(model.kept, place * WIDTH, (load(weights, place * WIDTH, WIDTH) - model.constants[count * count + place]) - center)
    multiply(model, count)
    return fma_lanes(0.5, spread, half_form(model, count))


class Quadratic(Problem, tag="quadratic", frozen=True):
    """The mean over centres c_i of 1/2 (w - c_i)' A (w - c_i), for a symmetric matrix A of up to 1000 rows.

    `matrix[row, column]`; `centers[sample, parameter]`, of which batches are drawn, or one centre; 0 if not given. Starts
    at zeros.

    >>> Quadratic([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [3.0, 1.0]]).minimum.tolist()
    [2.0, 1.0]
    """

    matrix: Any
    centers: Any = None

    l1: ClassVar[float] = 0.0
    l2: ClassVar[float] = 0.0
    is_classifier: ClassVar[bool] = False

    def __post_init__(self) -> None:
        matrix = Array.of(self.matrix, "Quadratic.matrix", 2)
        rows, columns = matrix.values.shape
        if rows != columns or rows > MOST or not np.allclose(matrix.values, matrix.values.T, rtol=1e-12, atol=0):
            raise ValueError(f"Quadratic.matrix must be symmetric, with up to {MOST} rows; shape {matrix.values.shape} was given")
        given = np.zeros((1, rows)) if self.centers is None else self.centers
        centers = Array.of(given, "Quadratic.centers", None if isinstance(given, Array) else np.ndim(given))
        if centers.values.ndim == 1:
            centers = Array(centers.values[None])
        if centers.values.ndim != 2 or centers.values.shape[1] != rows:
            raise ValueError(f"Quadratic.centers must be [sample, {rows}]; shape {centers.values.shape} was given")
        msgspec.structs.force_setattr(self, "matrix", matrix)
        msgspec.structs.force_setattr(self, "centers", centers)

    @property
    def minimum(self) -> np.ndarray:
        """[parameter]: the mean of the centres, which is the minimum of a positive definite quadratic."""
        return self.centers.values.mean(0)

    @property
    def data(self) -> Data:
        """The centres about their mean, what the matrix makes of them, and their products, as samples."""
        return _samples(self)

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return len(self.matrix.values)

    def arrays(self) -> dict[str, Array]:
        """The fields that are arrays."""
        return {"matrix": self.matrix, "centers": self.centers}

    def constants(self) -> np.ndarray:
        """A, row by row; the mean of the centres; the mean of what each adds to the loss at it."""
        spread = 0.5 * self.data.y.mean()
        return np.concatenate([self.matrix.values.ravel(), self.minimum, [spread]])

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        return {"fill_gradient": fill_gradient, "fill_whole_gradient": fill_whole_gradient}

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data."""
        return [self.matrix.digest, self.centers.digest]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"matrix": self.matrix.digest[:8]}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: a product with the matrix, and sums over a batch."""
        return 2.0 * self.parameter_count * (self.parameter_count + samples) + 10.0 * self.parameter_count


@functools.lru_cache(maxsize=32)
def _samples(problem: Quadratic) -> Data:
    about = problem.centers.values - problem.minimum
    made = about @ problem.matrix.values
    return Data(np.concatenate([about, made], 1), (about * made).sum(1), name="centers")
