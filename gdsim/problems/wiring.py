"""How the layers of a network lead into each other: as a chain, or with skip connections."""

import functools
import itertools
from typing import NamedTuple

SKIPS = ("residual", "dense")


class Wiring(NamedTuple):
    """Layers 0 (the samples), 1, 2, ...: how many units each has, and what leads into it."""

    widths: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]  # (source, target) of each matrix of weights, in the order of targets and then of sources
    adds: tuple[int, ...] = ()  # layers of a chain that add the activations of the layer before to their own

    @property
    def joins(self) -> bool:
        """Whether several edges lead into a layer, or out of one, or a layer adds activations."""
        return bool(self.adds) or self.edges != chain(self.widths)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, units) of each layer but the samples: the lengths and the number of its rows of weights."""
        targets = range(1, len(self.widths))
        return [(sum(self.widths[source] for source, target in self.edges if target == layer), self.widths[layer]) for layer in targets]


def chain(widths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """An edge from each layer to the next."""
    return tuple(itertools.pairwise(range(len(widths))))


@functools.cache
def wiring_of(widths: tuple[int, ...], skip: str | None) -> Wiring:
    """The wiring of layers of these widths, the samples first.

    "residual": a_l = phi(W_l a_{l-1} + b_l) + a_{l-1} for every hidden layer after the first that is as wide as
    the one before (He et al. 2016). "dense": a_l = phi(W_l [x, a_1, ..., a_{l-1}] + b_l), the outputs too (Huang
    et al. 2017).

    >>> wiring_of((2, 3, 3, 1), "residual").adds, wiring_of((2, 3, 3, 1), "dense").layers
    ((2,), [(2, 3), (5, 3), (8, 1)])
    """
    if skip == "dense":
        return Wiring(widths, tuple((source, target) for target in range(1, len(widths)) for source in range(target)))
    hidden = range(2, len(widths) - 1) if skip == "residual" else ()
    return Wiring(widths, chain(widths), tuple(layer for layer in hidden if widths[layer] == widths[layer - 1]))
