"""Networks of fully connected layers on a data set: what multilayer perceptrons and linear models have in
common.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from gdsim.axes import Grid, Range, checked_axis_of, checked_number
from gdsim.data import Data
from gdsim.data.arrays import plain
from gdsim.data.classes import is_labels, listed, not_labels
from gdsim.lanes.generated import function_from
from gdsim.problems.activations import ACTIVATIONS, Activation
from gdsim.problems.base import Problem
from gdsim.problems.losses import SAMPLE_LOSSES, smoothed_cross_entropy
from gdsim.problems.modules import layers_of_state, pytorch
from gdsim.problems.wiring import Wiring, wiring_of
from gdsim.words import checked_word, count_of, given

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike

PENALTY = Range(0.0, float("inf"))


class Network(Problem, frozen=True):
    """Fully connected layers on `data`, minimising the mean of `loss` over the samples plus l1 |w| plus l2/2
    |w|^2; biases are not penalised.

    Subclasses have the fields `data`, `loss`, `l1`, `l2`, and say what `hidden` and `activation` are.
    """

    structural: ClassVar[tuple[str, ...]] = ("loss",)
    meanings = {
        "data": "The samples, a gd.Data: from gd.datasets.load(name), gd.Data(X, y) or gd.Data.read(path).",
        "loss": '"squared_error" (1/2 the sum of squares over outputs), "mean_squared_error" (without the 1/2), "absolute_error", "huber" (at 1), '
        '"log_loss" (one output, two classes; or an output for each column of a matrix of 0 and 1, several labels at once), "cross_entropy" (one output per class); None for cross-entropy of labels and mean squared error of '
        "numbers, and for log loss in a logistic regression of two classes. Takes a gd.grid.",
        "l2": "The penalty l2/2 times the sum of squared weights, in [0, inf), a number or an axis.",
        "l1": "The penalty l1 times the sum of the weights' magnitudes, in [0, inf), a number or an axis.",
        "intercept": "Whether there is a constant for each output.",
    }
    axes = ("l1", "l2")
    default_dtype = "float32"
    family = "network"

    # What a subclass does not have as a field, and, for type checkers, what all have.
    hidden: ClassVar[Any] = ()
    activation: ClassVar[Any] = "identity"
    output: ClassVar[Any] = None
    skip: ClassVar[Any] = None
    intercept: ClassVar[Any] = True
    label_smoothing: ClassVar[Any] = 0.0
    if TYPE_CHECKING:
        data: ClassVar[Any]
        loss: ClassVar[Any]

    def _check_data(self) -> None:
        kind = type(self).__name__
        if not isinstance(self.data, Data):
            raise TypeError(f"{kind}.data must be a gd.Data, from gd.datasets.load(name) or gd.Data(X, y); {type(self.data).__name__} was given")

    def _check(self, **settings: Any) -> None:
        """Puts checked settings in place, and the penalties and the loss, with `default` where none is given."""
        kind = type(self).__name__
        default = settings.pop("default")
        settings["loss"] = checked_axis_of(default if self.loss is None else self.loss, f"{kind}.loss", self._checked_loss)
        settings |= {n: checked_number(getattr(self, n), f"{kind}.{n}", PENALTY) for n in ("l1", "l2")}
        losses = alternatives(settings["loss"])
        settings["data"] = self._data_for({SAMPLE_LOSSES[loss].targets != "numbers" for loss in losses}, losses)
        for name, value in settings.items():
            msgspec.structs.force_setattr(self, name, value)

    @property
    def losses(self) -> tuple[str, ...]:
        """The loss, or those of a grid."""
        return alternatives(self.loss)

    @property
    def has_labels(self) -> bool:
        """Whether the targets may be classes."""
        return is_labels(self.data.y)

    @property
    def has_several_labels(self) -> bool:
        """Whether the targets may say of several labels which a sample has: a matrix of 0 and 1."""
        y = self.data.y
        return y.dtype.kind == "i" and y.ndim == 2 and y.shape[1] > 1 and all(((p.y == 0) | (p.y == 1)).all() for p in self.data.sets.values())

    def _usual_loss(self) -> str:
        """The loss where none is given: of labels, or of numbers. Asks where whole numbers may be either."""
        if not self.has_labels:
            return "mean_squared_error"
        classes = self.data.class_names
        if self.loss is None and self.data.is_doubtful:
            raise ValueError(
                f"{type(self).__name__}.loss is needed: y has {len(classes)} different whole numbers in {len(self.data.y)} samples ({listed(classes)}), which "
                f"may be labels or numbers; loss='cross_entropy' takes each as a class, 'mean_squared_error' takes them as numbers"
            )
        return "cross_entropy"

    def _data_for(self, kinds: set[bool], losses: Sequence[str]) -> Data:
        """The data with the targets that the losses want: places among the classes for losses of labels
        (True in `kinds`), else as they are.
        """
        if self.has_several_labels:
            return self.data
        if True not in kinds:
            if self.data.names_classes:
                raise ValueError(
                    f"y are the classes {listed(self.data.class_names)}, and {losses[0]!r} is a loss of numbers; take 'cross_entropy', or give numbers"
                )
            return self.data
        if False in kinds and self.data.in_classes is not self.data:
            raise ValueError(
                f"{', '.join(map(repr, losses))} take the labels {listed(self.data.class_names)} as classes and as numbers; give a problem for each"
            )
        return self.data.in_classes

    def _checked_loss(self, value: object, name: str) -> str:
        loss = checked_word(value, name, SAMPLE_LOSSES)
        kind, y = SAMPLE_LOSSES[loss].targets, self.data.y
        if self.output is not None and kind != "numbers":
            raise ValueError(f"{type(self).__name__}.output goes with regression losses alone; {loss!r} has its own output, and {given(self.output)} was given")
        if self.output is not None:
            checked_word(self.output, f"{type(self).__name__}.output", ACTIVATIONS)
        if self.label_smoothing > 0.0 and loss != "cross_entropy":
            raise ValueError(f"{type(self).__name__}.label_smoothing goes with 'cross_entropy' alone; {given(loss)} was given")
        if kind == "numbers":
            return loss
        if kind == "binary" and self.has_several_labels:
            return loss
        if not self.has_labels:
            raise ValueError(f"{loss!r} needs integer labels in a vector, or texts; {not_labels(y)}")
        classes = self.data.class_names
        if len(classes) < 2:
            raise ValueError(f"{loss!r} needs labels of two classes or more; all of y are {classes[0]!r}")
        if kind == "binary" and len(classes) > 2:
            raise ValueError(f"{loss!r} needs labels of two classes; y has {len(classes)} ({listed(classes)}): take 'cross_entropy'")
        return loss

    def variants(self) -> list[Problem]:
        """The problem with one of each structural alternative, in the order of the axes, the last fastest."""
        names = self.structural
        axes = [alternatives(getattr(self, n)) for n in names]
        return [msgspec.structs.replace(self, **dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*axes)]

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every layer, the inputs first."""
        if any(isinstance(setting, Grid) for setting in (self.hidden, self.loss, self.skip)):
            raise ValueError("a problem with a gd.grid of widths, skips or losses has no single network; take one of its `variants()`")
        y, kind = self.data.y, SAMPLE_LOSSES[self.loss].targets
        outputs = len(self.data.class_names) if kind == "classes" else 1 if y.ndim == 1 else y.shape[1]
        return (self.data.X.shape[1], *self.hidden, outputs)

    @property
    def wiring(self) -> Wiring:
        """How the layers lead into each other."""
        return wiring_of(self.widths, self.skip)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, units) of each layer: with skip="dense" the inputs are those of its whole row of weights."""
        return self.wiring.layers

    @property
    def parameter_count(self) -> int:
        """How many parameters there are, biases included."""
        return sum((inputs + self.intercept) * units for inputs, units in self.layers)

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data, apart from numbers of a run."""
        return [
            self.data.digest,
            self.hidden,
            self.activation,
            self.skip,
            self.loss,
            self.output,
            self.intercept,
            self.label_smoothing,
            self.l1 != 0.0,
            self.l2 != 0.0,
        ]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        own = {n: list(v) if isinstance(v := getattr(self, n), tuple) else v or "none" for n in self.structural if n != "loss"}
        return {**own, "loss_function": self.loss, "l1": self.l1, "l2": self.l2, "data": self.data.name}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: products forward and backward, and updates."""
        return (6.0 * samples + 10.0) * self.parameter_count

    @property
    def is_classifier(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the loss is of labels, so that there is an accuracy."""
        return SAMPLE_LOSSES[self.loss].targets != "numbers"

    def unpack(self, vector: "ArrayLike") -> list[tuple[np.ndarray, np.ndarray]]:
        """[(W, b), ...] of a parameter vector, layer by layer: W[unit, input], b[unit], which is zeros
        without an intercept.

        >>> import gdsim as gd
        >>> [W.shape for W, b in gd.MLP(gd.datasets.load("xor"), hidden=[3]).unpack(np.zeros(17))]
        [(3, 2), (2, 3)]
        """
        vector = plain(vector, "the vector")
        if vector.ndim != 1 or len(vector) < self.parameter_count:
            raise ValueError(f"a parameter vector of this problem has {self.parameter_count} numbers; shape {vector.shape} was given")
        layers, first = [], 0
        for inputs, units in self.layers:
            middle, last = first + inputs * units, first + (inputs + self.intercept) * units
            layers.append((vector[first:middle].reshape(units, inputs), vector[middle:last] if self.intercept else np.zeros(units)))
            first = last
        return layers

    def pack(self, layers: object) -> np.ndarray:
        """The parameter vector of [(W, b), ...], as `unpack` gives it: W[unit, input], b[unit]; without an
        intercept b may be None.

        `layers` may be a PyTorch `state_dict` of such a network, which `to_torch(vector).state_dict()` gives.
        Raises ValueError or TypeError for layers of other numbers or shapes.

        >>> import gdsim as gd
        >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[3])
        >>> bool((xor.pack(xor.unpack(np.arange(17.0))) == np.arange(17.0)).all())
        True
        """
        if isinstance(layers, Mapping):
            layers = layers_of_state(layers, self.data, intercept=self.intercept)
        kind, sizes = type(self).__name__, self.layers
        if not isinstance(layers, (list, tuple)) or len(layers) != len(sizes):
            count = f"{len(layers)} were" if isinstance(layers, (list, tuple)) else f"{given(layers)} was"
            raise ValueError(f"{kind} has {count_of(len(sizes), 'layer')}, a list of pairs (W, b); {count} given")
        parts = [part for i, (layer, size) in enumerate(zip(layers, sizes, strict=True)) for part in self._packed(layer, size, i)]
        return np.concatenate(parts)

    def _packed(self, layer: object, size: tuple[int, int], index: int) -> list[np.ndarray]:
        """W and, with an intercept, b of one layer, as vectors."""
        inputs, units = size
        if not isinstance(layer, (list, tuple)) or len(layer) != 2:
            raise ValueError(f"layer {index} must be a pair (W, b); {given(layer)} was given")
        W = _checked_array(layer[0], f"W of layer {index}", (units, inputs))
        if not self.intercept and layer[1] is None:
            return [W]
        b = _checked_array(layer[1], f"b of layer {index}", (units,))
        if not self.intercept and b.any():
            raise ValueError(f"this {type(self).__name__} has no intercept; b of layer {index} must be None or 0")
        return [W, b] if self.intercept else [W]

    def to_torch(self, vector: "ArrayLike", *, probabilities: bool = False) -> "torch.nn.Sequential":
        """A PyTorch network with the weights of a parameter vector, in its dtype: a Sequential of Linear and
        activations, `0.weight` the first.

        It takes features as they were given to `gd.Data`: where the data are standardised, a first module
        `standardize` does the same, so that its outputs are those of `gd.predict`. Of labels it gives what
        their loss takes in PyTorch, the sums before sigmoid or softmax (BCEWithLogitsLoss, CrossEntropyLoss);
        with `probabilities` a last module makes probabilities of them. With skip connections a Linear and its
        activation are one module, `Residual` or `Dense` of `gdsim.pytorch`. The network shares no memory with the
        vector. Raises ModuleNotFoundError without PyTorch, which comes with gdsim's extra "torch".

        >>> import gdsim as gd
        >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[3])
        >>> list(xor.to_torch(np.zeros(17)).state_dict())
        ['0.weight', '0.bias', '2.weight', '2.bias']
        """
        if len(self.variants()) > 1:
            raise ValueError("a problem with a gd.grid has no single network; take one of its `variants()`")
        made, layers = pytorch(), self.unpack(vector)
        weights = [(W, b if self.intercept else None) for W, b in layers]
        ending = self.output or "identity"
        if probabilities and self.is_classifier:
            ending = "sigmoid" if SAMPLE_LOSSES[self.loss].targets == "binary" else "softmax"
        standard = None if self.data.center is None else (self.data.center, self.data.scale)
        dtype = "float32" if layers[0][0].dtype == np.float32 else "float64"
        wiring = self.wiring
        joined = [self.skip if self.skip == "dense" or layer in wiring.adds else None for layer in range(1, len(weights))]
        return made.sequential(made.Layers(weights, [*self.layer_activations, ending], [*joined, None], standard), dtype)

    @property
    def layer_activations(self) -> tuple[str, ...]:
        """The activation of each hidden layer."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,) * len(self.hidden)

    @property
    def keeps_slopes(self) -> bool:
        """Whether a hidden layer's slopes need its sums: they can't be told from activations that others are
        added to.
        """
        return bool(self.wiring.adds) or not all(ACTIVATIONS[name].by_value for name in self.layer_activations)

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        loss, layers = SAMPLE_LOSSES[self.loss], activation_of(self.layer_activations or (self.activation if isinstance(self.activation, str) else "identity",))
        output = ACTIVATIONS["sigmoid" if loss.targets == "binary" else self.output or "identity"]
        return {
            "activation": layers.value, "slope": layers.slope, "KEEPS_SLOPES": self.keeps_slopes or not layers.by_value, "output": output.value, "output_slope": output.slope,
            "sample_loss": smoothed_cross_entropy if self.label_smoothing > 0.0 else loss.sample_loss, "SMOOTHING": self.label_smoothing, "pointwise": loss.pointwise, "outputs": loss.outputs,
            "correct": loss.correct, "BIASES": 1 if self.intercept else 0, "WEIGHTED": self.data.sample_weight is not None,
        }  # fmt: skip


@functools.cache
def activation_of(names: tuple[str, ...]) -> Activation:
    """The activations of hidden layers as one: of a sum and the number of its layer."""
    kinds = [ACTIVATIONS[name] for name in names]
    same = len(set(names)) <= 1
    lines = [] if same else [f"    if index == {i}:\n        return f{i}({{0}})" for i in range(len(kinds) - 1)]
    last = 0 if same else len(kinds) - 1
    body = "\n".join([*lines, f"    return f{last}({{0}})"])
    value = function_from(f"def activation(z, index):\n{body.format('z')}", "activation", {f"f{i}": k.value for i, k in enumerate(kinds)})
    slope = function_from(f"def slope(z, a, index):\n{body.format('z, a')}", "slope", {f"f{i}": k.slope for i, k in enumerate(kinds)})
    return Activation(value, slope, all(k.by_value for k in kinds))


def alternatives(value: object) -> tuple[Any, ...]:
    """What a setting of structure may be: the values of a grid, or the one."""
    return value.values if isinstance(value, Grid) else (value,)


def _checked_array(value: "ArrayLike", name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers of an array of that shape, in order; float32 stays so."""
    array = plain(value, name)
    try:
        array = array if array.dtype == np.float32 else array.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers; {given(value)} was given") from None
    if array.shape != shape:
        raise ValueError(f"{name} must be of shape {shape}; shape {array.shape} was given")
    return array.ravel()
