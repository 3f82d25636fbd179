"""Multilayer perceptrons: fully connected layers with biases, of any depth, on a data set."""

import itertools
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, Grid, Range, checked_axis_of, checked_number, nearest
from gdsim.data import Data
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.base import Problem
from gdsim.problems.losses import SAMPLE_LOSSES

L2 = Range(0.0, float("inf"))


class MLP(Problem, tag="mlp", frozen=True):
    """A multilayer perceptron on `data`, minimising the mean of `loss` over the samples plus l2/2 times the squared weights.

    `hidden`: widths of the hidden layers, [] for none. `activation` of hidden units: "identity", "relu", "tanh",
    "sigmoid". `loss`: "squared_error" (1/2 the sum of squares over outputs), "mean_squared_error" (without the 1/2),
    "absolute_error", "log_loss" (one output, labels 0 and 1), "cross_entropy" (one output per class); if not given,
    cross-entropy for integer labels and mean squared error for numbers. `output`: the outputs' activation under a
    regression loss, identity if not given. `hidden`, `activation` and `loss` take a `gd.grid`, `l2` any axis.

    >>> from gdsim import datasets
    >>> MLP(datasets.load("xor"), hidden=[2]).parameter_count
    12
    """

    data: Any
    hidden: Any = ()
    activation: Any = "relu"
    loss: Any = None
    output: str | None = None
    l2: Axis = 0.0

    axes = ("l2",)
    default_dtype = "float32"
    default_init = "glorot"

    def __post_init__(self) -> None:
        if not isinstance(self.data, Data):
            raise TypeError(f"MLP.data must be a gd.Data, from gd.datasets.load(name) or gd.Data(X, y); {type(self.data).__name__} was given")
        default = "cross_entropy" if self.data.y.dtype.kind == "i" and self.data.y.ndim == 1 else "mean_squared_error"
        settings = {
            "hidden": checked_axis_of(self.hidden, "MLP.hidden", _checked_widths),
            "activation": checked_axis_of(self.activation, "MLP.activation", _checked_activation),
            "loss": checked_axis_of(default if self.loss is None else self.loss, "MLP.loss", self._checked_loss),
            "l2": checked_number(self.l2, "MLP.l2", L2),
        }
        for name, value in settings.items():
            msgspec.structs.force_setattr(self, name, value)

    def _checked_loss(self, value: Any, name: str) -> str:
        loss = _checked_name(value, name, SAMPLE_LOSSES)
        kind, y = SAMPLE_LOSSES[loss].targets, self.data.y
        if self.output is not None and kind != "numbers":
            raise ValueError(f"MLP.output goes with regression losses alone; {loss!r} has its own output, and {self.output!r} was given")
        if self.output is not None:
            _checked_name(self.output, "MLP.output", ACTIVATIONS)
        if kind == "numbers":
            return loss
        sets = [("y", y)] + ([("the validation set's y", self.data.validation.y)] if self.data.validation is not None else [])
        for where, labels in sets:
            if labels.ndim != 1 or labels.dtype.kind != "i" or labels.min() < 0:
                raise ValueError(f"{loss!r} needs integer labels from 0 in a vector; {where} is {labels.dtype} of shape {labels.shape}, from {labels.min()}")
            top = 1 if kind == "binary" else max(int(y.max()), 1)
            if labels.max() > top:
                raise ValueError(f"{loss!r} needs labels 0 to {top} here; {where} has {labels.max()}")
        return loss

    def variants(self) -> list["MLP"]:
        """The problem with one of each structural alternative, in the order of the axes, the last fastest."""
        names = ("hidden", "activation", "loss")
        axes = [v.values if isinstance(v := getattr(self, n), Grid) else (v,) for n in names]
        return [msgspec.structs.replace(self, **dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*axes)]

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every layer, the inputs first."""
        if isinstance(self.hidden, Grid) or isinstance(self.loss, Grid):
            raise ValueError("a problem with a gd.grid of widths or losses has no single network; take one of its `variants()`")
        y, kind = self.data.y, SAMPLE_LOSSES[self.loss].targets
        outputs = max(int(y.max()) + 1, 2) if kind == "classes" else 1 if y.ndim == 1 else y.shape[1]
        return (self.data.X.shape[1], *self.hidden, outputs)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, units) of each layer."""
        return list(itertools.pairwise(self.widths))

    @property
    def parameter_count(self) -> int:
        """How many parameters there are, biases included."""
        return sum((inputs + 1) * units for inputs, units in self.layers)

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data, apart from numbers of a run."""
        return [self.data.digest, self.hidden, self.activation, self.loss, self.output, self.l2 != 0.0]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"hidden": list(self.hidden), "activation": self.activation, "loss_function": self.loss, "l2": self.l2, "data": self.data.name}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: products forward and backward, and updates."""
        return (6.0 * samples + 10.0) * self.parameter_count

    @property
    def is_classifier(self) -> bool:
        """Whether the loss is of labels, so that there is an accuracy."""
        return SAMPLE_LOSSES[self.loss].targets != "numbers"

    def unpack(self, vector: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """[(W, b), ...] of a parameter vector, layer by layer: W[unit, input], b[unit].

        >>> from gdsim import datasets
        >>> [W.shape for W, b in MLP(datasets.load("xor"), hidden=[3]).unpack(np.zeros(17))]
        [(3, 2), (2, 3)]
        """
        vector = np.asarray(vector)
        if vector.ndim != 1 or len(vector) < self.parameter_count:
            raise ValueError(f"a parameter vector of this problem has {self.parameter_count} numbers; shape {vector.shape} was given")
        layers, first = [], 0
        for inputs, units in self.layers:
            middle, last = first + inputs * units, first + (inputs + 1) * units
            layers.append((vector[first:middle].reshape(units, inputs), vector[middle:last]))
            first = last
        return layers

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        loss, hidden = SAMPLE_LOSSES[self.loss], ACTIVATIONS[self.activation]
        output = ACTIVATIONS["sigmoid" if loss.targets == "binary" else self.output or "identity"]
        return {
            "activation": hidden.value, "slope": hidden.slope, "output": output.value, "output_slope": output.slope,
            "sample_loss": loss.sample_loss, "pointwise": loss.pointwise, "outputs": loss.outputs,
            "correct": loss.correct,
        }  # fmt: skip


def _checked_name(value: Any, name: str, table: dict[str, Any]) -> str:
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{name}={value!r} is not known; {nearest(str(value), list(table))}")
    return value


def _checked_activation(value: Any, name: str) -> str:
    return _checked_name(value, name, ACTIVATIONS)


def _checked_widths(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in value):
        raise ValueError(f"{name} must be a list of whole numbers from 1, such as [32] or []; {value!r} was given")
    return tuple(int(n) for n in value)
