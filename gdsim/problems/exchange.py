"""Networks to and from PyTorch: a problem and its parameter vector as a module, and a module and data as a problem and a vector."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.data import Data
from gdsim.data.classes import is_labels, listed
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.linear import LinearRegression, LogisticRegression
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.problems.mlp import MLP
from gdsim.problems.network import Network, checked_name
from gdsim.words import count_of, given, installs

if TYPE_CHECKING:
    import torch

    from gdsim.pytorch import Layers

# What may follow the last layer under a loss of labels, which has it in itself.
ENDS = {"binary": ("identity", "sigmoid"), "classes": ("identity", "softmax", "log_softmax")}


def pytorch() -> ModuleType:
    """The module that imports torch. Raises ModuleNotFoundError where that is not installed."""
    try:
        return importlib.import_module("gdsim.pytorch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(f"this needs PyTorch, which is not installed: {installs('torch')}", name="torch") from None


def module_of(problem: Network, vector: Any, probabilities: bool) -> "torch.nn.Sequential":
    """What `Network.to_torch` gives."""
    if len(problem.variants()) > 1:
        raise ValueError("a problem with a gd.grid has no single network; take one of its `variants()`")
    made, layers = pytorch(), problem.unpack(vector)
    weights = [(W, b if problem.intercept else None) for W, b in layers]
    ending = problem.output or "identity"
    if probabilities and problem.is_classifier:
        ending = "sigmoid" if SAMPLE_LOSSES[problem.loss].targets == "binary" else "softmax"
    standard = None if problem.data.center is None else (problem.data.center, problem.data.scale)
    dtype = "float32" if layers[0][0].dtype == np.float32 else "float64"
    return made.sequential(made.Layers(weights, [*problem.layer_activations, ending], standard), dtype)


def from_torch(module: "torch.nn.Module", data: Data, *, loss: str | None = None) -> tuple[Network, np.ndarray]:
    """(problem, vector) of a PyTorch network and data: what it minimises as gdsim declares it, and its weights as a parameter vector.

    `module`: a Linear, or a Sequential (of Sequentials too) of Linear and the activations that gdsim has, one after each: Identity,
    ReLU, LeakyReLU(0.01), ELU, Tanh, Sigmoid, Softplus, GELU, SiLU. Flatten, and Dropout after `eval()`, change nothing. A Sigmoid or
    Softmax after the last layer belongs to the loss of labels, as in gdsim. One Linear is a LinearRegression or a LogisticRegression,
    more are an MLP. The module takes features as `data.X` has them, standardised where the data are.

    `loss` is one of `gd.MLP`'s; if not given, "log_loss" (BCEWithLogitsLoss) of one output and two classes, "cross_entropy"
    (CrossEntropyLoss) of one output for each class, "mean_squared_error" (MSELoss times the number of outputs) of numbers. The vector
    is float64 where the weights are, else float32.

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
    loss = checked_name(_usual_loss(network, data) if loss is None else loss, "loss", SAMPLE_LOSSES)
    problem = _declared(network, data, loss)
    outputs = len(network.weights[-1][0])
    if outputs != problem.widths[-1]:
        raise ValueError(f"{loss!r} on these data needs {problem.widths[-1]} outputs; the module has {outputs}")
    return problem, problem.pack(network.weights)


def _check_inputs(network: "Layers", data: Data) -> None:
    inputs = network.weights[0][0].shape[1]
    if inputs != data.X.shape[1]:
        raise ValueError(f"the module takes {inputs} features, and the data have {data.X.shape[1]}")
    if network.standard is not None and not _same_standard(network.standard, data):
        raise ValueError("the module standardises its features by other numbers than the data; give the data it was made with, or the module without that")


def _same_standard(standard: Any, data: Data) -> bool:
    """Whether (center, scale), arrays or tensors, are the data's."""
    return data.center is not None and data.scale is not None and _is_rounded(standard[0], data.center) and _is_rounded(standard[1], data.scale)


def _is_rounded(found: Any, numbers: np.ndarray) -> bool:
    """Whether an array or a tensor is these numbers in its own type, or in float32, in which it may have been before."""
    for held in (numbers, numbers.astype(np.float32)):
        like = found.new_tensor(held) if hasattr(found, "new_tensor") else held.astype(np.asarray(found).dtype)
        if found.shape == like.shape and bool((found == like).all()):
            return True
    return False


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
    if not activations and output is None:
        return (LinearRegression if targets == "numbers" else LogisticRegression)(data, loss=loss, intercept=not bare)
    if bare:
        raise ValueError(f"layer {bare[0]} has no bias (bias=False); every layer of a gd.MLP has one")
    hidden = [len(W) for W, _ in network.weights[:-1]]
    return MLP(data, hidden=hidden, activation=activations if len(set(activations)) > 1 else (activations or ["relu"])[0], loss=loss, output=output)


def layers_of_state(state: Mapping[str, Any], data: Data, *, intercept: bool) -> list[tuple[Any, Any]]:
    """[(W, b), ...] of a PyTorch `state_dict`, in its order; without `intercept` b may be None. Raises ValueError for other keys than a network's, and lacking ones."""
    layers: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        place, _, kind = str(name).rpartition(".")
        if kind not in ("weight", "bias", "center", "scale"):
            raise ValueError(f"a state_dict of weights and biases is needed, as of a Sequential of Linear; it has {name!r}")
        layers.setdefault(place, {})[kind] = value
    for place in [place for place, held in layers.items() if "center" in held or "scale" in held]:
        held = layers.pop(place)
        if set(held) != {"center", "scale"} or not _same_standard((held["center"], held["scale"]), data):
            raise ValueError(f"{place!r} standardises features by other numbers than the problem's data")
    needed = ("weight", "bias") if intercept else ("weight",)
    lacking = next((f"{place}.{kind}".lstrip(".") for place, held in layers.items() for kind in needed if kind not in held), None)
    if lacking is not None:
        raise ValueError(f"the state_dict lacks {lacking!r}; it has {', '.join(map(repr, state))}")
    return [(held["weight"], held.get("bias")) for held in layers.values()]
