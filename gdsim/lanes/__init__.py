"""Lanes: many runs side by side in the registers of one core, and everything that can be computed with them."""

from gdsim.lanes.callable import acos, atan2, cos, erf, exp, fma, log, pow, sigmoid, sin, softplus, tanh
from gdsim.lanes.compiler import bind
from gdsim.lanes.masks import all, any
from gdsim.lanes.operations import absolute, maximum, minimum, sqrt, where

__all__ = [
    "absolute", "acos", "all", "any", "atan2", "bind", "cos", "erf", "exp", "fma", "log", "maximum", "minimum",
    "pow", "sigmoid", "sin", "softplus", "sqrt", "tanh", "where",
]  # fmt: skip
