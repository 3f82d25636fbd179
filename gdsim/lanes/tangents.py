"""The derivatives of functions of lanes, said where they do not follow from how the functions are written.

Numbers may have tangents (forward-mode differentiation). That of a sum, a product or a root follows from
those of its arguments; a function that picks bits apart, or jumps, says its derivative itself:

    def relu(z):
        return derived(z, where(value_of(z) < 0.0, 0.0, value_of(z)), relu_slope)

On numbers without tangents `value_of(z)` is z and `derived` is the value: neither becomes an instruction, and
the slope is not compiled.
"""

import inspect
from typing import Any

from gdsim.lanes.duals import DualCode
from gdsim.lanes.emit import is_dual, is_float_lane, is_lane
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Value


def value_of(x: Lane) -> Lane:
    """A number without its tangent."""
    return x


@rule_of(value_of)
def _(target: Target, x: Kind) -> Any:
    if is_dual(x):
        return (target.plain(x), lambda code, v: code.value(v)) if is_lane(x) else None
    return (x, lambda code, v: v) if is_float_lane(x) else None


def derived(x: Lane, value: Lane, slope: Function) -> Lane:
    """The value of a function at x, whose derivative there is slope(x, value).

    Of several arguments x is their tuple, and slope(*x, value) as many derivatives.
    """
    return value


@rule_of(derived)
def _(target: Target, x: Kind, value: Kind, slope: Kind) -> Any:
    arguments = tuple(x) if isinstance(x, target.types.BaseTuple) else (x,)
    if not is_float_lane(value) or is_dual(value):
        return None
    lanes = [a for a in arguments if is_dual(a)]
    if not lanes:
        return value, lambda code, a, v, s: v
    called = slope.get_call_type(target.typing(), (*map(target.plain, arguments), value), {})

    def emit(code: DualCode, a: Value, v: Value, _: Value) -> Value:
        given = [a] if len(arguments) == 1 else code.members(a, len(arguments))
        found = code.result_of(slope, called, [*map(code.value, given), v])
        slopes = code.members(found, len(arguments)) if isinstance(called.return_type, target.types.BaseTuple) else [found]
        return code.derived(given, v, slopes)

    return lanes[0], emit


def differentiable(value: Function, slope: Function) -> Any:
    """A function of lanes with the derivative slope(*arguments, value), from one that gives its value."""
    names = list(inspect.signature(value).parameters)
    values, x = ", ".join(f"value_of({n})" for n in names), ", ".join(names)
    text = f"def {value.__name__}({x}):\n    return derived({x if len(names) == 1 else f'({x})'}, value({values}), slope)"
    function = function_from(text, value.__name__, {"derived": derived, "value_of": value_of, "value": value, "slope": slope})
    function.__doc__ = value.__doc__
    return function
