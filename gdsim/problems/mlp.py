"""Multilayer perceptrons: fully connected layers with biases, of any depth, on a data set."""

# pyright: reportIncompatibleVariableOverride=false
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, Grid, Range, checked_axis_of, checked_one
from gdsim.data import Data
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.network import Network, alternatives
from gdsim.problems.wiring import SKIPS
from gdsim.words import checked_word, given


class MLP(Network, tag="mlp", frozen=True):
    """A multilayer perceptron on `data`, minimising the mean of `loss` over the samples plus l1 times the
    weights' magnitudes plus l2/2 times their squares; biases are not penalised.

    Losses of several outputs are sums over the outputs: "mean_squared_error", "absolute_error" and "huber"
    are PyTorch's MSELoss, L1Loss and HuberLoss, which are means over outputs too, times the number of
    outputs. Raises TypeError or ValueError for what does not fit the data or each other.

    >>> from gdsim import datasets
    >>> MLP(datasets.load("xor"), hidden=[2]).parameter_count
    12
    """

    meanings = {
        **Network.meanings,
        "hidden": "Widths of the hidden layers, such as [32, 16]; several as gd.grid([16], [32, 32]).",
        "activation": 'Of hidden units, or a list of one per layer: "identity", "relu", "leaky_relu" (0.01), "elu", "tanh", "sigmoid", "softplus", '
        '"gelu", "silu", "sine"; several as gd.grid("relu", "tanh").',
        "skip": 'Connections that skip layers. "residual": a hidden layer after the first that is as wide as the one before adds that one\'s activations '
        'to its own. "dense": every layer, the last too, sees the inputs and all hidden activations before it, nearest last. None, or "none", for none; several as gd.grid(None, "residual", "dense").',
        "output": "The outputs' activation under a regression loss; None for the identity.",
        "label_smoothing": "The share of a label's probability that cross-entropy spreads over all classes, in [0, 1).",
    }

    data: Data
    hidden: Sequence[int] | Grid = ()
    activation: str | Sequence[str] | Grid = "relu"
    loss: str | Grid | None = None
    output: str | None = None
    l2: Axis = 0.0
    l1: Axis = 0.0
    label_smoothing: float = 0.0
    skip: str | Grid | None = None

    structural = ("hidden", "activation", "skip", "loss")
    default_init = "glorot"

    def __post_init__(self) -> None:
        self._check_data()
        msgspec.structs.force_setattr(self, "label_smoothing", checked_one(self.label_smoothing, "MLP.label_smoothing", Range(0.0, 1.0)))
        self._check(
            default=self._usual_loss(),
            hidden=checked_axis_of(self.hidden, "MLP.hidden", _checked_widths, takes_lists=True),
            activation=checked_axis_of(self.activation, "MLP.activation", _checked_activation, takes_lists=True),
            skip=checked_axis_of(self.skip, "MLP.skip", _checked_skip),
        )
        self._check_skips()
        if isinstance(self.activation, tuple) and not isinstance(self.hidden, Grid) and len(self.activation) != len(self.hidden):
            raise ValueError(
                f"MLP.activation lists one for each hidden layer, and there are {len(self.hidden)}; {list(self.activation)} was given "
                f"(to try each: gd.grid({', '.join(map(repr, self.activation))}))"
            )

    def _check_skips(self) -> None:
        """Refuses skip connections where there is nothing to skip."""
        skips, every = alternatives(self.skip), alternatives(self.hidden)
        bare = next((hidden for hidden in every if not any(a == b for a, b in itertools.pairwise(hidden))), None)
        if "residual" in skips and bare is not None:
            raise ValueError(
                f'MLP.skip="residual" needs a hidden layer that is as wide as the hidden layer before it, such as hidden=[16, 16]; hidden={list(bare)} was given'
            )
        if "dense" in skips and () in every:
            raise ValueError('MLP.skip="dense" needs a hidden layer, such as hidden=[16]; hidden=[] was given')


def _checked_skip(value: object, name: str) -> str | None:
    return None if value is None or value == "none" else checked_word(value, name, SKIPS, "None ('none' in a file)")


def _checked_activation(value: object, name: str) -> str | tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(checked_word(v, name, ACTIVATIONS) for v in value)
    return checked_word(value, name, ACTIVATIONS)


def _checked_widths(value: Any, name: str) -> tuple[int, ...]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in value):
        several = isinstance(value, (list, tuple)) and value and all(isinstance(n, (list, tuple)) for n in value)
        hint = f", or several as gd.grid({', '.join(str(list(n)) for n in value)})" if several else ""
        raise ValueError(f"{name} must be a list of whole numbers from 1, such as [32] or []{hint}; {given(value)} was given")
    return tuple(int(n) for n in value)
