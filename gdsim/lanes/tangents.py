"""The derivatives of functions of lanes, said where they do not follow from how the functions are written.

Numbers may have tangents (forward-mode differentiation). That of a sum, a product or a root follows from
those of its arguments; a function that picks bits apart, or jumps, says its derivative itself:

    def relu(z):
        return derived(z, where(value_of(z) < 0.0, 0.0, value_of(z)), relu_slope)

On numbers without tangents `value_of(z)` is z and `derived` is the value: neither becomes an instruction, and
the slope is not compiled.

Memory of numbers with tangents gives and takes single ones too, which are copied with their tangents, compared
by their values and divided.
"""

import inspect
import operator
from typing import Any

from gdsim.lanes.duals import DualCode
from gdsim.lanes.generated import function_from
from gdsim.lanes.kinds import DualKind, is_dual, is_float_lane, is_lane
from gdsim.lanes.operations import COMPARISONS, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Value


def value_of(x: Lane) -> Lane:
    """A number without its tangent."""
    return x


@rule_of(value_of)
def _(target: Target, x: Kind) -> Any:
    if is_dual(x):
        plain = target.plain(x) if is_lane(x) else x.value if isinstance(x, DualKind) else None
        return None if plain is None else (plain, lambda code, v: code.value(v))
    return (x, lambda code, v: v) if is_float_lane(x) or isinstance(x, target.types.Float) else None


def _comparison(handle: Function, symbol: str) -> None:
    @rule_of(handle)
    def rule(target: Target, a: Kind, b: Kind) -> Any:
        """Of single numbers, one of which has tangents: by values, in the wider of their types."""
        if not (target.is_number(a) and target.is_number(b) and (is_dual(a) or is_dual(b))):
            return None
        plain = [k.value if is_dual(k) else k for k in (a, b)]
        wide = target.types.float32 if all(k == target.types.float32 for k in plain) else target.types.float64

        def emit(code: DualCode, x: Value, y: Value) -> Value:
            return code.compare(symbol, target.Lane(wide, 1), *(code.cast(code.value(v), k, wide) for v, k in zip((x, y), plain, strict=True)))

        return target.types.boolean, emit


for _handle, _symbol in COMPARISONS:
    _comparison(_handle, _symbol)


@rule_of(operator.truediv)
def _(target: Target, a: Kind, b: Kind) -> Any:
    """Of single numbers of one type with tangents."""
    return (a, lambda code, x, y: code.div(x, y)) if isinstance(a, DualKind) and a == b else None


def derived(x: Lane, value: Lane, slope: Function) -> Lane:
    """The value of a function at x, whose derivative there is slope(x, value).

    Of several arguments x is their tuple, and slope(*x, value) as many derivatives.
    """
    return value


def derived_with_poles(x: Lane, value: Lane, slope: Function) -> Lane:
    """`derived` where the slope may be infinite: tangents that are 0 stay so."""
    return value


@rule_of(derived)
def _(target: Target, x: Kind, value: Kind, slope: Kind) -> Any:
    return _derivation(target, (x, value, slope), has_poles=False)


@rule_of(derived_with_poles)
def _(target: Target, x: Kind, value: Kind, slope: Kind) -> Any:
    return _derivation(target, (x, value, slope), has_poles=True)


def _derivation(target: Target, kinds: tuple[Kind, Kind, Kind], has_poles: bool) -> Any:
    x, value, slope = kinds
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
        return code.derived(given, v, slopes, has_poles)

    return lanes[0], emit


def differentiable(value: Function, slope: Function, has_poles: bool = False) -> Any:
    """A function of lanes with the derivative slope(*arguments, value), from one that gives its value; infinite
    somewhere if it `has_poles`.
    """
    names = list(inspect.signature(value).parameters)
    values, x = ", ".join(f"value_of({n})" for n in names), ", ".join(names)
    text = f"def {value.__name__}({x}):\n    return derived({x if len(names) == 1 else f'({x})'}, value({values}), slope)"
    known = {"derived": derived_with_poles if has_poles else derived, "value_of": value_of, "value": value, "slope": slope}
    function = function_from(text, value.__name__, known)
    function.__doc__ = value.__doc__
    return function
