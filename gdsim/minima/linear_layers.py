"""Chains of linear layers: the function depends on the product of their matrices alone, and any invertible
matrix may be put between two of them with its inverse.
"""

import itertools

import numpy as np

from gdsim.minima.symmetries import Kind, Layers

ROUNDING = 1e-13  # of singular values, beside the largest


def chains_of(kind: Kind) -> list[tuple[int, int]]:
    """(first layer, one beyond the last) of each part of a network that is one linear map; one layer mostly.

    Penalties tell the factors of a product apart, and so do connections that skip layers.
    """
    joins = [a == "identity" and not kind.penalized and kind.skip is None for a in kind.activations]
    begins = [0, *(n + 1 for n, join in enumerate(joins) if not join)]
    return list(itertools.pairwise([*begins, len(joins) + 1]))


def joined(kind: Kind, layers: Layers) -> tuple[Kind, Layers]:
    """The network with one layer in place of each chain, and its layers."""
    chains = chains_of(kind)
    if len(chains) == len(layers.W):
        return kind, layers
    W, b = [], []
    for first, last in chains:
        product, bias = layers.W[first], layers.b[first]
        for n in range(first + 1, last):
            product, bias = layers.W[n] @ product, (layers.W[n] @ bias[:, :, None])[:, :, 0] + layers.b[n]
        W.append(product)
        b.append(bias)
    kept = [first - 1 for first, _ in chains[1:]]
    return kind._replace(units=tuple(kind.units[n] for n in kept), activations=tuple(kind.activations[n] for n in kept)), Layers(W, b)


def split(kind: Kind, layers: Layers) -> Layers:
    """The layers of a network of this kind from those of one with its chains joined: balanced, the units of
    a chain in the order of the singular values of its product U S V', the sign of each column of U that of
    its largest entry.
    """
    W, b = [], []
    for (first, last), product, bias in zip(chains_of(kind), layers.W, layers.b, strict=True):
        if last == first + 1:
            W.append(product)
            b.append(bias)
            continue
        left, values, right = np.linalg.svd(product, full_matrices=False)
        values = np.where(values > ROUNDING * values.max(1, keepdims=True, initial=0.0), values, 0.0)
        largest = np.take_along_axis(left, abs(left).argmax(1)[:, None, :], 1)
        sign, root = np.where(largest < 0, -1.0, 1.0), values ** (1.0 / (last - first))
        sizes = kind.units[first : last - 1]
        W.append(_fitted((sign[:, 0, :] * root)[:, :, None] * right, sizes[0], product.shape[2]))
        W += [_fitted(root[:, :, None] * np.eye(root.shape[1]), rows, columns) for columns, rows in itertools.pairwise(sizes)]
        W.append(_fitted(left * sign * root[:, None, :], product.shape[1], sizes[-1]))
        b += [*(np.zeros((len(product), size)) for size in sizes), bias]
    return Layers(W, b)


def _fitted(matrices: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Matrices cut, or filled up with zeros, to a size."""
    made = np.zeros((len(matrices), rows, columns))
    rows, columns = min(rows, matrices.shape[1]), min(columns, matrices.shape[2])
    made[:, :rows, :columns] = matrices[:, :rows, :columns]
    return made
