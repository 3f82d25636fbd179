"""How many eigenvalues of second derivatives are 0 whatever the data are: a network has directions in which its
parameters move, and its function does not.
"""

import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from gdsim.problems.losses import SAMPLE_LOSSES

Layers: TypeAlias = list[tuple[np.ndarray, np.ndarray]]  # W[unit, input] and b[unit] of each
HOMOGENEOUS = ("relu", "leaky_relu")
RANK = 1e-9  # of the largest singular value


def expected_nullity(problem: Any, vector: np.ndarray) -> int:
    """The dimension of the symmetries of a problem at a parameter vector; 0 of problems without layers.

    A unit with ReLU or leaky ReLU may be scaled, what comes in by c > 0 and what goes out by 1/c; linear units
    may be mixed by any matrix, and shifted; all logits of a softmax may be shifted alike; and a ReLU that no
    sample turns on may change as it likes. A penalty leaves those that it does not see: biases, and with l2
    rotations of linear units.
    """
    if not problem.layers:
        return 0
    rows = [row / size for row in map(problem.pack, _directions(problem, vector)) if (size := np.linalg.norm(row)) > 0.0]
    return int((np.linalg.svd(np.array(rows), compute_uv=False) > RANK).sum()) if rows else 0


class _Direction:
    """A direction of a network's parameters, made of changes of some of them."""

    def __init__(self, layers: Layers) -> None:
        self.layers = [(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]

    def with_weights(self, layer: int, place: Any, values: Any) -> "_Direction":
        """With weights at a place of a layer's W changed by so much."""
        self.layers[layer][0][place] += values
        return self

    def with_biases(self, layer: int, place: Any, values: Any) -> "_Direction":
        """With biases at a place of a layer's b changed by so much."""
        self.layers[layer][1][place] += values
        return self


def _directions(problem: Any, vector: np.ndarray) -> Iterator[Layers]:
    """Directions in which the function stays, together with the penalty; some of them maybe several times."""
    layers = problem.unpack(vector)
    is_free = not (problem.l1 or problem.l2)
    for place, activation in enumerate(problem.layer_activations):
        if activation in HOMOGENEOUS and is_free:
            yield from _scalings(layers, place)
        if activation == "identity":
            yield from _mixtures(problem, layers, place)
    for place, unit in _dead_units(problem, layers):
        if problem.intercept:
            yield _Direction(layers).with_biases(place, unit, 1.0).layers
        if is_free:
            yield from (_Direction(layers).with_weights(place, (unit, k), 1.0).layers for k in range(layers[place][0].shape[1]))
            yield from (_Direction(layers).with_weights(place + 1, (k, unit), 1.0).layers for k in range(len(layers[place + 1][0])))
    if SAMPLE_LOSSES[problem.loss].targets == "classes":
        last = len(layers) - 1
        if problem.intercept:
            yield _Direction(layers).with_biases(last, slice(None), 1.0).layers
        if is_free:
            yield from (_Direction(layers).with_weights(last, (slice(None), k), 1.0).layers for k in range(layers[last][0].shape[1]))


def _scalings(layers: Layers, place: int) -> Iterator[Layers]:
    """What comes into a unit grows, and what goes out of it shrinks."""
    (W, b), V = layers[place], layers[place + 1][0]
    for unit in range(len(b)):
        grown = _Direction(layers).with_weights(place, unit, W[unit]).with_biases(place, unit, b[unit])
        yield grown.with_weights(place + 1, (slice(None), unit), -V[:, unit]).layers


def _mixtures(problem: Any, layers: Layers, place: int) -> Iterator[Layers]:
    """Linear units change by what the others are, and by constants, and who reads them takes it away."""
    V = layers[place + 1][0]
    for unit, other in itertools.product(range(V.shape[1]), repeat=2):
        mixed = _mixed(_Direction(layers), layers, place, (unit, other), 1.0)
        if not (problem.l1 or problem.l2):
            yield mixed.layers
        elif not problem.l1 and unit < other:  # rotations
            yield _mixed(mixed, layers, place, (other, unit), -1.0).layers
    if problem.intercept:
        for unit in range(V.shape[1]):
            yield _Direction(layers).with_biases(place, unit, 1.0).with_biases(place + 1, slice(None), -V[:, unit]).layers


def _mixed(direction: _Direction, layers: Layers, place: int, units: tuple[int, int], sign: float) -> _Direction:
    """The direction with the second unit added to the first, and taken away by who reads them."""
    (W, b), V, (unit, other) = layers[place], layers[place + 1][0], units
    changed = direction.with_weights(place, unit, sign * W[other]).with_biases(place, unit, sign * b[other])
    return changed.with_weights(place + 1, (slice(None), other), -sign * V[:, unit])


def _dead_units(problem: Any, layers: Layers) -> Iterator[tuple[int, int]]:
    """(layer, unit) of ReLUs that no sample of the training set turns on."""
    values = problem.data.X
    if problem.layer_activations != ("relu",) * len(layers[:-1]):  # others are on for every sample
        return
    for place, (W, b) in enumerate(layers[:-1]):
        sums = values @ W.T + b
        yield from ((place, int(unit)) for unit in np.flatnonzero((sums <= 0.0).all(0)))
        values = np.maximum(sums, 0.0)
