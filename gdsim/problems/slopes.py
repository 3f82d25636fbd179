"""The gradient of a traced value: backward through its operations, each of which has a slope by each of its arguments."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from gdsim.problems.tracing import Lane, call

# d/da of operation(a, ...) with the result r; 1 and -1 are plain numbers, and cost nothing.
SLOPES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "+": lambda r, a, b: (1, 1),
    "-": lambda r, a, b: (1, -1),
    "*": lambda r, a, b: (b, a),
    "/": lambda r, a, b: (1.0 / b, -r / b),
    "neg": lambda r, a: (-1,),
    "exp": lambda r, a: (r,),
    "log": lambda r, a: (1.0 / a,),
    "tanh": lambda r, a: (1.0 - r * r,),
    "sigmoid": lambda r, a: (r * (1.0 - r),),
    "softplus": lambda r, a: (call("sigmoid", a),),
    "sin": lambda r, a: (call("cos", a),),
    "cos": lambda r, a: (-call("sin", a),),
    "atan2": lambda r, a, b: (b / (a * a + b * b), -a / (a * a + b * b)),
    "acos": lambda r, a: (-1.0 / call("sqrt", 1.0 - a * a),),
    "erf": lambda r, a: (2.0 / math.sqrt(math.pi) * call("exp", -a * a),),
    "pow": lambda r, a, b: (b * call("pow", a, b - 1.0), r * call("log", a)),
    "fma": lambda r, a, b, c: (b, a, 1),
    "sqrt": lambda r, a: (0.5 / r,),
    "absolute": lambda r, a: (call("sign", a),),
    "sign": lambda r, a: (0,),
    "floor": lambda r, a: (0,),
    # Where both are equal it is the second: max(x, 0) has the slope 0 at 0, as relu has.
    "minimum": lambda r, a, b: (call("where", a < b, 1.0, 0.0), call("where", a < b, 0.0, 1.0)),
    "maximum": lambda r, a, b: (call("where", a > b, 1.0, 0.0), call("where", a > b, 0.0, 1.0)),
    "where": lambda r, m, a, b: (0, call("where", m, 1.0, 0.0), call("where", m, 0.0, 1.0)),
}


def gradient_of(value: Any, inputs: Sequence[Lane]) -> list[Any]:
    """The partial derivatives of a value by the inputs; where it does not depend on one, the number 0.

    Conditions have no slope: a value that is chosen by `where` has the slope of what is chosen.
    """
    if not isinstance(value, Lane):
        return [0.0] * len(inputs)
    trace, reaching = value.trace, {value.place: 1}
    for place in range(value.place, -1, -1):
        name, arguments = trace.operations[place]
        adjoint = reaching.get(place, 0)
        if name not in SLOPES or (not isinstance(adjoint, Lane) and adjoint == 0):
            continue
        numbers = [k for k, a in enumerate(arguments) if isinstance(a, Lane)]
        slopes = SLOPES[name](Lane(trace, place), *arguments) if numbers else ()
        for k in numbers:
            reaching[arguments[k].place] = _sum(reaching.get(arguments[k].place, 0), _product(adjoint, slopes[k]))
    return [reaching.get(lane.place, 0.0) for lane in inputs]


def _product(one: Any, other: Any) -> Any:
    for a, b in ((one, other), (other, one)):
        if not isinstance(a, Lane) and a in (0, 1, -1):
            return 0 if a == 0 else b if a == 1 else -b
    return one * other


def _sum(one: Any, other: Any) -> Any:
    return other if not isinstance(one, Lane) and one == 0 else one if not isinstance(other, Lane) and other == 0 else one + other
