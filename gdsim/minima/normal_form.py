"""What symmetries with a continuous parameter leave free, fixed: scales balanced, phases of sines, and what all
classes have in common.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.minima.symmetries import Group, Kind, Layers

SWEEPS, ALMOST = 1_000, 4e-15  # of balancing over all layers; the change of a scale at which it ends


class Normalized(NamedTuple):
    """Layers in normal form, and what was done to make them so."""

    kind: Kind
    groups: Sequence[Group]
    layers: Layers
    turns: list[Any]  # by how many times pi the phase of each unit of each group was turned, or None
    scales: list[np.ndarray]  # what each unit of each group was multiplied by
    common: tuple[np.ndarray, np.ndarray]  # what all classes had in common, of weights and of biases

    @classmethod
    def of(cls, kind: Kind, layers: Layers) -> "Normalized":
        """The normal form of layers, which are used up: logistic units about 1/2, scales balanced, phases
        in [-pi/2, pi/2], weights and biases centred over classes; signs and places of units as they were.
        """
        groups = kind.groups
        layers.centre_logistic(groups)
        common = _centre(kind, layers)
        turns = [_turn(kind, group, layers) for group in groups]
        return cls(kind, groups, layers, turns, _balance(groups, layers), common)

    def take(self, runs: Any) -> "Normalized":
        """That of some runs."""
        turns = [None if t is None else t[:, runs] for t in self.turns]
        scales, (weights, biases) = [s[runs] for s in self.scales], self.common
        return Normalized(self.kind, self.groups, self.layers.take(runs), turns, scales, (weights[runs], biases[runs]))

    def undone(self, layers: Layers) -> Layers:
        """The symmetry that made these layers normal undone on others, which are used up."""
        for group, turns, scale in zip(self.groups, self.turns, self.scales, strict=True):
            layers.multiply(group, 1.0 / scale)
            if turns is not None:
                _add_turns(group, layers, turns)
        layers.W[-1] += self.common[0]
        layers.b[-1] += self.common[1]
        layers.centre_logistic(self.groups, -1.0)
        return layers

    def original(self, layers: Layers) -> Layers:
        """Normal layers with logistic units as they are, and biases centred over classes; they are used up."""
        layers.centre_logistic(self.groups, -1.0)
        if self.kind.softmax:
            layers.b[-1] -= layers.b[-1].mean(1, keepdims=True)
        return layers


def _centre(kind: Kind, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Takes from weights and biases before a softmax what all classes have in common; with a penalty from
    biases alone.
    """
    W, b = layers.W[-1], layers.b[-1]
    weights = W.mean(1, keepdims=True) if kind.softmax and not kind.penalized else np.zeros_like(W[:, :1])
    biases = b.mean(1, keepdims=True) if kind.softmax else np.zeros_like(b[:, :1])
    W -= weights
    b -= biases
    return weights, biases


def _turn(kind: Kind, group: Group, layers: Layers) -> np.ndarray | None:
    """Takes whole turns from the phases of sines: by pi, which changes the sign of what a unit gives; where
    layers are joined by 2 pi.
    """
    if any(kind.activations[n] != "sine" for n in group.rows):
        return None
    turns = np.stack([np.rint(layers.b[n] / np.pi) if len(group.rows) == 1 else 2 * np.rint(layers.b[n] / (2 * np.pi)) for n in group.rows])
    _add_turns(group, layers, -turns)
    return turns


def _add_turns(group: Group, layers: Layers, turns: np.ndarray) -> None:
    """Adds turns[row, run, unit] of pi to the phases of a group."""
    for n, turn in zip(group.rows, turns, strict=True):
        layers.b[n] += np.pi * turn
    if len(group.rows) == 1:
        for n, first in group.readers:
            layers.W[n][:, :, first : first + turns.shape[2]] *= (1.0 - 2.0 * (turns[0] % 2))[:, None, :]


def _balance(groups: Sequence[Group], layers: Layers) -> list[np.ndarray]:
    """Scales units so that what goes into each is as long as what comes out of it, all layers at once, and
    gives the scales [run, unit] of each group.

    The sum of the squares of all weights and biases is convex in the logarithms of the scales c, and each unit
    in turn makes it least: c^4 = |a|^2 / |u|^2 (Stock et al. 2019). A unit of which one side is 0 gets length 1
    on the other.
    """
    squares = Layers([W * W for W in layers.W], [b * b for b in layers.b])
    totals = [np.ones((len(layers.W[0]), layers.units(g))) for g in groups]
    free = [(g, total) for g, total in zip(groups, totals, strict=True) if g.scales]
    for _ in range(SWEEPS if len(free) > 1 or any(len(g.rows) > 1 for g, _ in free) else 1):
        change = 0.0
        for group, total in free:
            factor = _square_of_scale(*_squared_lengths(group, squares))
            factor = factor if len(group.rows) == 1 else np.sqrt(factor)  # units that are joined to each other move at once
            squares.multiply(group, factor)
            np.multiply(total, factor, out=total)
            change = max(change, np.abs(factor - 1.0).max(initial=0.0))
        if change <= ALMOST:
            break
    for group, total in free:
        layers.multiply(group, np.sqrt(total, out=total))
    return totals


def _square_of_scale(ins: np.ndarray, outs: np.ndarray) -> np.ndarray:
    """c^2 from squared lengths of what goes in and what comes out."""
    some_in, some_out = np.where(ins > 0, ins, 1.0), np.where(outs > 0, outs, 1.0)
    return np.where((ins > 0) & (outs > 0), np.sqrt(some_out / some_in), some_out / some_in)


def _squared_lengths(group: Group, squares: Layers) -> tuple[np.ndarray, np.ndarray]:
    """The squared lengths [run, unit] of what goes into units and of what comes out of them, without what joins
    a unit to itself, whose scale nothing changes.
    """
    units = squares.units(group)
    ins = sum((squares.W[n].sum(2) + squares.b[n] for n in group.rows), np.zeros((len(squares.W[0]), units)))
    outs = squares.outgoing(group).sum(2)
    for n, first in group.readers:
        if n in group.rows:
            own = np.diagonal(squares.W[n][:, :, first : first + units], axis1=1, axis2=2)
            ins, outs = ins - own, outs - own
    return ins, outs
