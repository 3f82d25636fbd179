"""The derivatives of functions of lanes, said where they do not follow from how the functions are written.

Numbers may have tangents (forward-mode differentiation). That of a sum, a product or a root follows from
those of its arguments; a function that picks bits apart, or jumps, says its derivative itself:

    def relu(z):
        return derived(z, where(value_of(z) < 0.0, 0.0, value_of(z)), relu_slope)

On numbers without tangents, as all are yet, `value_of(z)` is z and `derived` is the value: neither becomes an
instruction, and the slope is not compiled.
"""

import inspect
from typing import Any

from gdsim.lanes.emit import is_float_lane
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane


def value_of(x: Lane) -> Lane:
    """A number without its tangent."""
    return x


@rule_of(value_of)
def _(target: Target, x: Kind) -> Any:
    return (x, lambda code, v: v) if is_float_lane(x) else None


def derived(x: Lane, value: Lane, slope: Function) -> Lane:
    """The value of a function at x, whose derivative there is slope(x, value).

    Of several arguments x is their tuple, and slope(*x, value) as many derivatives.
    """
    return value


@rule_of(derived)
def _(target: Target, x: Kind, value: Kind, slope: Kind) -> Any:
    return (value, lambda code, a, v, s: v) if is_float_lane(value) else None


def differentiable(value: Function, slope: Function) -> Any:
    """A function of lanes with the derivative slope(*arguments, value), from one that gives its value."""
    names = list(inspect.signature(value).parameters)
    values, x = ", ".join(f"value_of({n})" for n in names), ", ".join(names)
    text = f"def {value.__name__}({x}):\n    return derived({x if len(names) == 1 else f'({x})'}, value({values}), slope)"
    function = function_from(text, value.__name__, {"derived": derived, "value_of": value_of, "value": value, "slope": slope})
    function.__doc__ = value.__doc__
    return function
