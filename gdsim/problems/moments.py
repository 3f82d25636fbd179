"""Linear regression by its second moments: what the whole data says of a squared error, in numbers that do
not grow with it.

The mean over samples of (X w - y)^2 is L + c (w - r) + 1/2 (w - r)' G (w - r) for any r. With r near the
minimum, L and c are what remains there and nothing cancels. A step on the whole data is then a product with
G, whatever the number of samples.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.lanes.operations import fma_lanes, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.products import products
from gdsim.lanes.types import Count, Lane, Memory
from gdsim.problems.base import Problem
from gdsim.problems.parts import BIASES, MemorySpace, Sampler, Stream

MOST_INPUTS = 1000
SAMPLES_AT_ONCE = 2**16
# Products beyond it are beyond float32 when they are summed.
LARGEST = 1e15
# The least share of an input that the others must leave unexplained: rounded moments know no less of it.
LEAST_SHARE = {"float32": 1e-3, "float64": 1e-10}


def fill_whole_gradient(model: MemorySpace, weights: Memory, sampler: Sampler) -> Lane:
    """Leaves c + G (w - r) and gives the loss.

    A row of the table is one of G, then of each output c and r, and L.
    """
    inputs, zero = sampler.sample_count, splat(ZERO, WIDTH)
    outputs = (sampler.columns - inputs - 1) // 2
    loss = zero + sampler.matrix[sampler.columns - 1]
    for output in range(outputs):
        for i in range(inputs):
            place = place_of(i, inputs, output, outputs) * WIDTH
            store(model.scratch, place, load(weights, place, WIDTH) - sampler.matrix[i * sampler.pitch + inputs + 2 * output + 1])
        for i in range(inputs):
            slope = sampler.matrix[i * sampler.pitch + inputs + 2 * output]
            total = zero + slope
            for j in range(inputs):
                way = load(model.scratch, place_of(j, inputs, output, outputs) * WIDTH, WIDTH)
                total = fma_lanes(sampler.matrix[i * sampler.pitch + j], way, total)
            place = place_of(i, inputs, output, outputs) * WIDTH
            store(model.gradients, place, total)
            loss = fma_lanes(0.5 * load(model.scratch, place, WIDTH), total + slope, loss)
    return loss


def place_of(i: Count, inputs: Count, output: Count, outputs: Count) -> Count:
    """The place of a weight in the vector of parameters: outputs x features, row by row; then the intercepts."""
    features = inputs - BIASES
    return output * features + i if i < features else outputs * features + output


def fill_gradient(model: MemorySpace, weights: Memory, sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """The same, for a step."""
    return fill_whole_gradient(model, weights, sampler)


class Moments(Problem, tag="moments", frozen=True):
    """A linear regression with a squared error on its whole data; `data` holds the moments, an input a row."""

    family = "memory"

    data: Data  # pyright: ignore[reportIncompatibleVariableOverride]
    layers: Any
    intercept: bool
    l1: Any
    l2: Any

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        ((features, outputs),) = self.layers
        return outputs * (features + self.intercept)

    @property
    def penalized_count(self) -> int:
        """How many of the parameters are weights, the first."""
        ((features, outputs),) = self.layers
        return outputs * features

    def constants(self) -> np.ndarray:
        """None: a kernel reads the moments as its samples."""
        return np.zeros(0)

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        return {"fill_gradient": fill_gradient, "fill_whole_gradient": fill_whole_gradient, "BIASES": 1 if self.intercept else 0}

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data."""
        return [self.data.digest, self.layers, self.intercept, self.l1 != 0.0, self.l2 != 0.0]

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: a product with the matrix, and updates."""
        return (2.0 * len(self.data.X) + 10.0) * self.parameter_count


class Found(NamedTuple):
    """The moments of a data set, and the least share of an input that the others leave unexplained."""

    data: Data
    share: float


@functools.lru_cache(maxsize=16)
def moments_of(data: Data, factor: float, intercept: bool) -> Found | None:
    """The moments of factor/2 times the mean squared error; None for samples that are too few or too large
    for them.
    """
    parts = [data] if data.validation is None else [data, data.validation]
    inputs = data.X.shape[1] + intercept
    if inputs > MOST_INPUTS or any(len(p.X) < inputs or max(np.abs(p.X).max(), np.abs(p.y).max()) > LARGEST for p in parts):
        return None
    found = [_table(p, factor, intercept) for p in parts]
    (X, y, share), *held = found
    return Found(Data(X, y, validation=held[0][:2] if held else None, name=data.name), min(share, *(h[2] for h in held), 1.0))


def _blocks(data: Data, intercept: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(inputs, targets) of some samples at a time, times the roots of their weights."""
    for first in range(0, len(data.X), SAMPLES_AT_ONCE):
        some = slice(first, first + SAMPLES_AT_ONCE)
        X, y = data.X[some], data.y[some].reshape(-1, data.y[0].size)
        X = np.concatenate([X, np.ones((len(X), 1))], 1) if intercept else X
        root = 1.0 if data.sample_weight is None else np.sqrt(data.sample_weight[some])[:, None]
        yield root * X, root * y


def _table(data: Data, factor: float, intercept: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """(G, columns c and r of each output and L, the least share of an input).

    References are numbers of float32.
    """
    inputs, outputs, scale = data.X.shape[1] + intercept, data.y[0].size, factor / len(data.X)
    moments, rest = np.zeros((inputs, inputs + outputs)), np.zeros((outputs, inputs + outputs))
    for X, y in _blocks(data, intercept):
        moments = moments + scale * products(X, np.concatenate([X, y], 1))
    solution, share = _solved(moments[:, :inputs], moments[:, inputs:])
    reference = solution.astype(np.float32).astype(np.float64)
    for X, y in _blocks(data, intercept):
        missed = -y
        for column, row in zip(X.T, reference, strict=True):
            missed = missed + column[:, None] * row
        rest = rest + scale * products(missed, np.concatenate([X, missed], 1))
    table = np.empty((inputs, 2 * outputs + 1))
    table[:, 0 : 2 * outputs : 2], table[:, 1 : 2 * outputs : 2] = rest[:, :inputs].T, reference
    table[:, -1] = 0.5 * math.fsum(np.diagonal(rest[:, inputs:]))
    return moments[:, :inputs], table, share


def _solved(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """(the solution of matrix x = right, by elimination in order; the least share of a diagonal element
    that is left as its pivot).
    """
    A, x, least = matrix.copy(), right.copy(), 1.0
    for i in range(len(A)):
        if not A[i, i] > 0.0:
            return np.zeros_like(x), 0.0
        least = min(least, float(A[i, i] / matrix[i, i]))
        factors = A[i + 1 :, i : i + 1] / A[i, i]
        A[i + 1 :, i + 1 :] = A[i + 1 :, i + 1 :] - factors * A[i, i + 1 :]
        x[i + 1 :] = x[i + 1 :] - factors * x[i]
    for i in reversed(range(len(A))):
        x[i] = x[i] / A[i, i]
        x[:i] = x[:i] - A[:i, i : i + 1] * x[i]
    return x, least
