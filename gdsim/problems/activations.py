"""Activation functions of hidden units and of regression outputs: a value from the sum, and the slope from that value."""

from typing import Any, NamedTuple

from gdsim.lanes import sigmoid, tanh, where
from gdsim.lanes.operations import spread


def identity(z: Any) -> Any:
    """Z."""
    return z


def identity_slope(a: Any) -> Any:
    """1."""
    return spread(1.0, a)


def relu(z: Any) -> Any:
    """z where it is positive, else 0; NaN stays."""
    return where(z < 0.0, 0.0, z)


def relu_slope(a: Any) -> Any:
    """1 where the unit is on; at 0 it is off."""
    return where(a > 0.0, spread(1.0, a), 0.0)


def tanh_slope(a: Any) -> Any:
    """1 - a^2."""
    return 1.0 - a * a


def sigmoid_slope(a: Any) -> Any:
    """A (1 - a)."""
    return a * (1.0 - a)


class Activation(NamedTuple):
    """The two parts of one activation."""

    value: Any
    slope: Any


ACTIVATIONS = {
    "identity": Activation(identity, identity_slope),
    "relu": Activation(relu, relu_slope),
    "tanh": Activation(tanh, tanh_slope),
    "sigmoid": Activation(sigmoid, sigmoid_slope),
}
