"""Activation functions of hidden units and of regression outputs: a value from the sum, and a slope from the
sum and the value.

Where the slope follows from the value alone, `by_value` says so, and the backward pass need not know the sum.
"""

from collections.abc import Callable
from typing import NamedTuple

from gdsim.lanes import cos, erf, exp, fma, sigmoid, sin, softplus, tanh
from gdsim.lanes.elementary import half_exp_less_one
from gdsim.lanes.operations import broadcast, where
from gdsim.lanes.tangents import derived, value_of
from gdsim.lanes.types import Lane

LEAK = 0.01  # PyTorch's slope of leaky ReLU below 0
SQRT_HALF, INVERSE_SQRT_TWO_PI = 0.7071067811865476, 0.3989422804014327


def identity(z: Lane) -> Lane:
    """The sum itself."""
    return z


def identity_slope(z: Lane, a: Lane) -> Lane:
    """1."""
    return broadcast(1.0, a)


def relu(z: Lane) -> Lane:
    """z where it is positive, else 0; NaN stays."""
    v = value_of(z)
    return derived(z, where(v < 0.0, 0.0, v), relu_slope)


def relu_slope(z: Lane, a: Lane) -> Lane:
    """1 where the unit is on; at 0 it is off."""
    return where(a > 0.0, broadcast(1.0, a), 0.0)


def leaky_relu(z: Lane) -> Lane:
    """z where it is positive, else 0.01 z."""
    v = value_of(z)
    return derived(z, where(v < 0.0, LEAK * v, v), leaky_relu_slope)


def leaky_relu_slope(z: Lane, a: Lane) -> Lane:
    """1 where the unit is on, else 0.01."""
    return where(a > 0.0, broadcast(1.0, a), LEAK)


def elu(z: Lane) -> Lane:
    """z where it is positive, else e^z - 1 (Clevert et al. 2016)."""
    return where(z > 0.0, z, 2.0 * half_exp_less_one(0.5 * where(z > 0.0, 0.0, where(z < -80.0, -80.0, z))))


def elu_slope(z: Lane, a: Lane) -> Lane:
    """1 where the unit is on, else e^z."""
    return where(a > 0.0, broadcast(1.0, a), a + 1.0)


def tanh_slope(z: Lane, a: Lane) -> Lane:
    """1 - a^2."""
    return 1.0 - a * a


def sigmoid_slope(z: Lane, a: Lane) -> Lane:
    """The product a (1 - a)."""
    return a * (1.0 - a)


def softplus_slope(z: Lane, a: Lane) -> Lane:
    """The sigmoid."""
    return sigmoid(z)


def normal_share(z: Lane) -> Lane:
    """The distribution function of the normal distribution."""
    return fma(0.5, erf(z * SQRT_HALF), broadcast(0.5, z))


def gelu(z: Lane) -> Lane:
    """z times the share of the normal distribution below it (Hendrycks and Gimpel 2016), not its tanh
    approximation.
    """
    return z * normal_share(z)


def gelu_slope(z: Lane, a: Lane) -> Lane:
    """The share, and z times the density."""
    return fma(z * INVERSE_SQRT_TWO_PI, exp(-0.5 * (z * z)), normal_share(z))


def silu(z: Lane) -> Lane:
    """z sigmoid(z), also called swish."""
    return z * sigmoid(z)


def silu_slope(z: Lane, a: Lane) -> Lane:
    """s + z s (1 - s), s the sigmoid."""
    s = sigmoid(z)
    return fma(z * s, 1.0 - s, s)


def sine_slope(z: Lane, a: Lane) -> Lane:
    """The cosine."""
    return cos(z)


class Activation(NamedTuple):
    """The two parts of one activation, and whether the slope follows from the value."""

    value: Callable[..., Lane]  # of a lane
    slope: Callable[..., Lane]  # of two
    by_value: bool = True


ACTIVATIONS = {
    "identity": Activation(identity, identity_slope),
    "relu": Activation(relu, relu_slope),
    "tanh": Activation(tanh, tanh_slope),
    "sigmoid": Activation(sigmoid, sigmoid_slope),
    "leaky_relu": Activation(leaky_relu, leaky_relu_slope),
    "elu": Activation(elu, elu_slope),
    "softplus": Activation(softplus, softplus_slope, by_value=False),
    "gelu": Activation(gelu, gelu_slope, by_value=False),
    "silu": Activation(silu, silu_slope, by_value=False),
    "sine": Activation(sin, sine_slope, by_value=False),
}
