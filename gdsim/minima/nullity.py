"""How many eigenvalues of second derivatives are 0 whatever the data are: a network has directions in which its
parameters move, and its function does not.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from gdsim.minima.symmetries import Group, Kind
from gdsim.minima.units import dead_units

Layers: TypeAlias = list[tuple[np.ndarray, np.ndarray]]  # W[unit, input] and b[unit] of each
UNREAD = 1e-9  # the largest weight of a unit that nobody reads
RANK = 1e-9  # the least singular value of directions of length 1 that counts


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
    layers, kind = problem.unpack(vector), Kind.of(problem, "nullity")
    dead = [np.flatnonzero(off[0]) for off in dead_units(problem, vector[None])]
    for group in kind.groups:
        if group.scales and kind.activations[group.rows[0]] != "identity":
            yield from _scalings(layers, group)
        if kind.skip is None and kind.activations[group.rows[0]] == "identity":
            yield from _mixtures(problem, layers, group.rows[0])
        yield from _of_dead_units(problem, layers, group, dead)
    if kind.softmax:
        last = len(layers) - 1
        if problem.intercept:
            yield _Direction(layers).with_biases(last, slice(None), 1.0).layers
        if not kind.penalized:
            yield from (_Direction(layers).with_weights(last, (slice(None), k), 1.0).layers for k in range(layers[last][0].shape[1]))


def _scalings(layers: Layers, group: Group) -> Iterator[Layers]:
    """What comes into a unit grows, and what goes out of it shrinks."""
    for unit in range(len(layers[group.rows[0]][1])):
        direction = _Direction(layers)
        for n in group.rows:
            direction.with_weights(n, unit, layers[n][0][unit]).with_biases(n, unit, layers[n][1][unit])
        for n, first in group.readers:
            direction.with_weights(n, (slice(None), first + unit), -layers[n][0][:, first + unit])
        yield direction.layers


def _of_dead_units(problem: Any, layers: Layers, group: Group, dead: Sequence[np.ndarray]) -> Iterator[Layers]:
    """What goes into the dead units of each layer that a group has, and what comes out of them."""
    is_free = not (problem.l1 or problem.l2)
    for place, unit in [(n, int(unit)) for n in group.rows for unit in dead[n]]:
        if problem.intercept:
            yield _Direction(layers).with_biases(place, unit, 1.0).layers
        if is_free:
            yield from (_Direction(layers).with_weights(place, (unit, k), 1.0).layers for k in range(layers[place][0].shape[1]))
        if is_free and len(group.rows) == 1:  # else others give to the same columns
            yield from (_Direction(layers).with_weights(n, (k, first + unit), 1.0).layers for n, first in group.readers for k in range(len(layers[n][1])))


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


def reduced(problem: Any, parameters: np.ndarray) -> np.ndarray:
    """parameters[run, parameter] with 0 for what is of no use: what goes into units that nobody reads, and into
    ReLUs that no sample turns on and out of them.
    """
    if not problem.layers:
        return parameters
    dead = dead_units(problem, parameters)
    rows = [_reduced(problem, one, [np.flatnonzero(off[run]) for off in dead]) for run, one in enumerate(parameters)]
    return np.array(rows).reshape(parameters.shape)


def _reduced(problem: Any, vector: np.ndarray, dead: Sequence[np.ndarray]) -> np.ndarray:
    """`reduced` of one run, with the dead units of each layer."""
    layers = [(W.copy(), b.copy()) for W, b in problem.unpack(vector)]
    for group in Kind.of(problem, "units").groups:
        for direction in _of_dead_units(problem, layers, group, dead):
            for (W, b), (changed_W, changed_b) in zip(layers, direction, strict=True):
                W[changed_W != 0.0], b[changed_b != 0.0] = 0.0, 0.0
        (W, b), units = layers[group.rows[0]], len(layers[group.rows[0]][1])
        out = np.array([abs(layers[n][0][:, first : first + units]).max(0) for n, first in group.readers]).max(0)
        if len(group.rows) == 1:
            W[out <= UNREAD], b[out <= UNREAD] = 0.0, 0.0
    return problem.pack(layers)
