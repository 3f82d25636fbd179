"""Multilayer perceptrons: fully connected layers with biases, of any depth, on a data set."""

# pyright: reportIncompatibleVariableOverride=false
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, Grid, Range, checked_axis_of, checked_one
from gdsim.data import Data
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.network import Network, checked_name
from gdsim.words import given


class MLP(Network, tag="mlp", frozen=True):
    """A multilayer perceptron on `data`, minimising the mean of `loss` over the samples plus l1 times the weights' magnitudes
    plus l2/2 times their squares; biases are not penalised.

    `hidden`: widths of the hidden layers, [] for none. `activation` of hidden units, or a list of one per layer:
    "identity", "relu", "leaky_relu" (0.01), "elu", "tanh", "sigmoid", "softplus", "gelu", "silu", "sine". `loss`:
    "squared_error" (1/2 the sum of squares over outputs), "mean_squared_error" (without the 1/2), "absolute_error",
    "huber" (at 1), "log_loss" (one output, two classes), "cross_entropy" (one output per class); if not given,
    cross-entropy for labels and mean squared error for numbers; where whole numbers may well be either, it must be.
    `output`: the outputs' activation under a regression loss, identity if not given. `label_smoothing`: the share of a
    label's probability that cross-entropy spreads over all classes. `hidden`, `activation` and `loss` take a `gd.grid`, `l1` and `l2` any axis.

    >>> from gdsim import datasets
    >>> MLP(datasets.load("xor"), hidden=[2]).parameter_count
    12
    """

    data: Data
    hidden: Sequence[int] | Grid = ()
    activation: str | Sequence[str] | Grid = "relu"
    loss: str | Grid | None = None
    output: str | None = None
    l2: Axis = 0.0
    l1: Axis = 0.0
    label_smoothing: float = 0.0

    structural = ("hidden", "activation", "loss")
    default_init = "glorot"

    def __post_init__(self) -> None:
        self._check_data()
        msgspec.structs.force_setattr(self, "label_smoothing", checked_one(self.label_smoothing, "MLP.label_smoothing", Range(0.0, 1.0)))
        self._check(
            default=self._usual_loss(),
            hidden=checked_axis_of(self.hidden, "MLP.hidden", _checked_widths, takes_lists=True),
            activation=checked_axis_of(self.activation, "MLP.activation", _checked_activation, takes_lists=True),
        )
        if isinstance(self.activation, tuple) and not isinstance(self.hidden, Grid) and len(self.activation) != len(self.hidden):
            raise ValueError(
                f"MLP.activation lists one for each hidden layer, and there are {len(self.hidden)}; {list(self.activation)} was given "
                f"(to try each: gd.grid({', '.join(map(repr, self.activation))}))"
            )


def _checked_activation(value: Any, name: str) -> str | tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(checked_name(v, name, ACTIVATIONS) for v in value)
    return checked_name(value, name, ACTIVATIONS)


def _checked_widths(value: Any, name: str) -> tuple[int, ...]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in value):
        several = isinstance(value, (list, tuple)) and value and all(isinstance(n, (list, tuple)) for n in value)
        hint = f", or several as gd.grid({', '.join(str(list(n)) for n in value)})" if several else ""
        raise ValueError(f"{name} must be a list of whole numbers from 1, such as [32] or []{hint}; {given(value)} was given")
    return tuple(int(n) for n in value)
