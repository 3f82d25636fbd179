"""Quadratics, about which everything that a rule does is known exactly."""

import functools
from typing import Any

import msgspec
import numpy as np

from gdsim.data import Array, Data
from gdsim.data.arrays import plain
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Count, Lane, Memory
from gdsim.problems.base import Problem
from gdsim.problems.parts import BLOCK, MemorySpace, Sampler, Stream, batch_size, fill

MOST = 1000
ROUNDING = 1e-5  # of the largest element: what products of float32 matrices of 1000 rows lose, and some


def multiply(model: MemorySpace, count: Count) -> None:
    """model.gradients = A times model.scratch, row by row in order."""
    for row in range(count):
        total = splat(ZERO, WIDTH)
        for column in range(count):
            total = fma_lanes(model.constants[row * count + column], load(model.scratch, column * WIDTH, WIDTH), total)
        store(model.gradients, row * WIDTH, total)


def half_form(model: MemorySpace, count: Count) -> Lane:
    """Half of v' A v for v in `scratch` and A v in `gradients`, in order."""
    total = splat(ZERO, WIDTH)
    for place in range(count):
        total = fma_lanes(load(model.scratch, place * WIDTH, WIDTH), load(model.gradients, place * WIDTH, WIDTH), total)
    return 0.5 * total


def fill_whole_gradient(model: MemorySpace, weights: Memory, sampler: Sampler) -> Lane:
    """Leaves A (w - m) and gives its loss; m is the mean of all centres, and the constants end with the
    mean of what they add.
    """
    count = len(model.gradients) // WIDTH
    for place in range(count):
        store(model.scratch, place * WIDTH, load(weights, place * WIDTH, WIDTH) - model.constants[count * count + place])
    multiply(model, count)
    return half_form(model, count) + model.constants[count * count + count]


def fill_gradient(model: MemorySpace, weights: Memory, sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """Leaves A (w - c) and gives the loss, c the mean centre of a step's batch.

    Columns of a sample: c_i - m, A (c_i - m), their product.
    """
    count = len(model.gradients) // WIDTH
    size = batch_size(sampler, stream, step)
    columns = 2 * count + 1
    zero = splat(ZERO, WIDTH)
    for column in range(columns):
        store(model.sums, column * WIDTH, zero)
    for first in range(0, sampler.batch, BLOCK):
        block = min(BLOCK, sampler.batch - first)
        fill(model, sampler, stream, step, (first, block))
        limit = where(size > first, size - first, size * 0)
        for column in range(columns):
            total = load(model.sums, column * WIDTH, WIDTH)
            for sample in range(block):
                total = total + where(limit > sample, load(model.activations, (column * model.pitch + sample) * WIDTH, WIDTH), zero)
            store(model.sums, column * WIDTH, total)
    share = 1.0 / as_type_of(size, zero)
    spread = load(model.sums, 2 * count * WIDTH, WIDTH) * share
    for place in range(count):
        center = load(model.sums, place * WIDTH, WIDTH) * share
        spread = fma_lanes(-center, load(model.sums, (count + place) * WIDTH, WIDTH) * share, spread)
        store(model.scratch, place * WIDTH, (load(weights, place * WIDTH, WIDTH) - model.constants[count * count + place]) - center)
    multiply(model, count)
    return fma_lanes(0.5, spread, half_form(model, count))


def symmetric(matrix: Array, name: str) -> Array:
    """A matrix that is symmetric up to rounding, made symmetric, or an error that says by how much it is not.

    What differs by 1e-12 of its own size is left as it is: such matrices have always been taken, and their
    hash is that of their numbers.
    """
    values = matrix.values
    if values.shape[0] != values.shape[1] or len(values) > MOST:
        raise ValueError(f"{name} must be square, with up to {MOST} rows; shape {values.shape} was given")
    if np.allclose(values, values.T, rtol=1e-12, atol=0):
        return matrix
    apart, largest = abs(values - values.T), abs(values).max()
    row, column = np.unravel_index(apart.argmax(), apart.shape)
    if apart.max() > ROUNDING * largest:
        raise ValueError(
            f"{name} must be symmetric: [{row}, {column}] is {values[row, column]:.6g} and [{column}, {row}] is {values[column, row]:.6g}, "
            f"apart by {apart.max() / largest:.2g} of the largest element, where rounding makes up to {ROUNDING:g}; (A + A.T) / 2 is symmetric"
        )
    return Array(0.5 * (values + values.T))


class Quadratic(Problem, tag="quadratic", frozen=True):
    """The mean over centres c_i of 1/2 (w - c_i)' A (w - c_i), for a symmetric matrix A of up to 1000 rows.

    A matrix that is symmetric up to rounding (1e-5 of its largest element), as R.T @ D @ R is, is made so.

    `matrix[row, column]`; `centers[sample, parameter]`, of which batches are drawn, or one centre; 0 if not
    given. Starts at zeros.

    >>> Quadratic([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [3.0, 1.0]]).minimum.tolist()
    [2.0, 1.0]
    """

    meanings = {
        "matrix": "A[row, column]: symmetric, finite, 1 to 1000 rows.",
        "centers": "The centres c_i[sample, parameter], of which batches are drawn, or one centre [parameter]; None for one at 0.",
    }

    family = "memory"

    matrix: Any
    centers: Any = None

    def __post_init__(self) -> None:
        matrix = symmetric(Array.of(self.matrix, "Quadratic.matrix", 2), "Quadratic.matrix")
        rows = len(matrix.values)
        given = np.zeros((1, rows)) if self.centers is None else self.centers
        centers = Array.of(given, "Quadratic.centers", None if isinstance(given, Array) else plain(given, "Quadratic.centers").ndim)
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
    def data(self) -> Data:  # pyright: ignore[reportIncompatibleVariableOverride]
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
