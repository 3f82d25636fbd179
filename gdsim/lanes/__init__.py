"""Lanes: many runs side by side in the registers of one core, and everything that can be computed with them."""

from gdsim.lanes.callable import acos, atan2, cos, erf, exp, fma, log, pow, sigmoid, sin, softplus, tanh
from gdsim.lanes.compiler import bind
from gdsim.lanes.masks import all, any
from gdsim.lanes.operations import absolute, as_type_of, broadcast, floor, maximum, minimum, sign, sqrt, where

__all__ = [
    "absolute", "acos", "all", "any", "as_type_of", "atan2", "bind", "broadcast", "cos", "erf", "exp", "floor", "fma",
    "log", "maximum", "minimum", "pow", "sigmoid", "sign", "sin", "softplus", "sqrt", "tanh", "where",
]  # fmt: skip
