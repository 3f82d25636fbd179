"""From PyTorch: a module and data as a problem and a parameter vector. The way back is `Network.to_torch`."""

from typing import TYPE_CHECKING

import numpy as np

from gdsim.data import Data
from gdsim.data.classes import is_labels, listed
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.linear import LinearRegression, LogisticRegression
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.problems.mlp import MLP
from gdsim.problems.modules import pytorch, same_standard
from gdsim.problems.network import Network
from gdsim.problems.wiring import wiring_of
from gdsim.words import checked_word, count_of, given

if TYPE_CHECKING:
    import torch

    from gdsim.pytorch import Layers

# What may follow the last layer under a loss of labels, which has it in itself.
ENDS = {"binary": ("identity", "sigmoid"), "classes": ("identity", "softmax", "log_softmax")}


def from_torch(module: "torch.nn.Module", data: Data, *, loss: str | None = None) -> tuple[Network, np.ndarray]:
    """(problem, vector) of a PyTorch network and data: what it minimises as gdsim declares it, and its
    weights as a parameter vector.

    `module`: a Linear, or a Sequential (of Sequentials too) of Linear and the activations that gdsim has, one
    after each: Identity, ReLU, LeakyReLU(0.01), ELU, Tanh, Sigmoid, Softplus, GELU, SiLU. Flatten, and
    Dropout after `eval()`, change nothing. `gdsim.pytorch.Residual` and `Dense`, each around a Linear and its
    activation, are skip connections, as `to_torch` makes them. A Sigmoid or Softmax after the last layer belongs to the loss of
    labels, as in gdsim. One Linear is a LinearRegression or a LogisticRegression, more are an MLP. The module
    takes features as `data.X` has them, standardised where the data are.

    `loss` is one of `gd.MLP`'s; if not given, "log_loss" (BCEWithLogitsLoss) of one output and two classes,
    "cross_entropy" (CrossEntropyLoss) of one output for each class, "mean_squared_error" (MSELoss times the
    number of outputs) of numbers. The vector is float64 where the weights are, else float32.

    Raises TypeError or ValueError for modules that gdsim does not know, and for what does not fit the data.

    >>> import gdsim as gd, torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> problem, vector = gd.from_torch(net, gd.datasets.load("xor"))
    >>> problem.hidden, problem.activation, problem.loss, vector.shape
    ((8,), 'tanh', 'log_loss', (33,))
    >>> sweep = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=[0.001, 0.01], convention="torch"), init=vector[None])  # to train from there
    """
    network = pytorch().layers_of(module)
    if not isinstance(data, Data):
        raise TypeError(f"data must be a gd.Data, from gd.datasets.load(name) or gd.Data(X, y); {given(data)} was given")
    _check_inputs(network, data)
    loss = checked_word(_usual_loss(network, data) if loss is None else loss, "loss", SAMPLE_LOSSES)
    problem = _declared(network, data, loss)
    outputs = len(network.weights[-1][0])
    if outputs != problem.widths[-1]:
        raise ValueError(f"{loss!r} on these data needs {problem.widths[-1]} outputs; the module has {outputs}")
    return problem, problem.pack(network.weights)


def _check_inputs(network: "Layers", data: Data) -> None:
    inputs = network.weights[0][0].shape[1]
    if inputs != data.X.shape[1]:
        raise ValueError(f"the module takes {inputs} features, and the data have {data.X.shape[1]}")
    if network.standard is not None and not same_standard(network.standard, data):
        raise ValueError("the module standardises its features by other numbers than the data; give the data it was made with, or the module without that")


def _usual_loss(network: "Layers", data: Data) -> str:
    """The loss that goes with the targets and the number of outputs."""
    classes, outputs = data.class_names, len(network.weights[-1][0])
    if not is_labels(data.y) or classes is None:
        return "mean_squared_error"
    if outputs == 1 and len(classes) == 2:
        return "log_loss"
    if outputs == len(classes):
        return "cross_entropy"
    raise ValueError(
        f"loss is needed: the module has {count_of(outputs, 'output')}, and y the classes {listed(classes)}; loss='mean_squared_error' takes whole "
        f"numbers as numbers, and gd.Data(..., class_names=range({outputs})) says that there are more classes than occur"
    )


def _declared(network: "Layers", data: Data, loss: str) -> Network:
    """The problem of these layers."""
    *activations, last = network.activations
    targets = SAMPLE_LOSSES[loss].targets
    allowed = ENDS.get(targets, tuple(ACTIVATIONS))
    if last not in allowed:
        raise ValueError(f"after the last layer {loss!r} goes with {' or '.join(allowed)}; the module has {last}")
    output = last if targets == "numbers" and last != "identity" else None
    bare = [place for place, (_, b) in enumerate(network.weights) if b is None]
    skip = _skip_of(network)
    if not activations and output is None:
        return (LinearRegression if targets == "numbers" else LogisticRegression)(data, loss=loss, intercept=not bare)
    if bare:
        raise ValueError(f"layer {bare[0]} has no bias (bias=False); every layer of a gd.MLP has one")
    hidden = [len(W) for W, _ in network.weights[:-1]]
    activation = activations if len(set(activations)) > 1 else (activations or ["relu"])[0]
    return MLP(data, hidden=hidden, activation=activation, loss=loss, output=output, skip=skip)


def _skip_of(network: "Layers") -> str | None:
    """The skip connections of these layers: those that `gd.MLP` has between layers of these widths, or none."""
    if not any(network.skips):
        return None
    widths = (network.weights[0][0].shape[1], *(len(W) for W, _ in network.weights))
    hidden = range(1, len(widths) - 1)
    adding = wiring_of(widths, "residual").adds
    for skip, layers in (("residual", adding), ("dense", tuple(hidden))):
        if network.skips == [skip if layer in layers else None for layer in range(1, len(widths))]:
            return skip
    raise ValueError(
        "the module's skip connections are not those of a gd.MLP: Residual around every hidden layer that is as wide as the one before, or Dense "
        f"around every hidden layer; it has {', '.join(str(skip) for skip in network.skips)}"
    )
