"""The gradient of a traced value: backward through its operations, each of which has a slope by each of
its arguments.
"""

import math
from collections.abc import Callable, Sequence

from gdsim.problems.tracing import Lane, Mask, Operand, call

# d/da of operation(a, ...) with the result r; 1 and -1 are plain numbers, and cost nothing. A condition is 1
# where it holds, else 0.
SLOPES: dict[str, Callable[..., tuple[Operand, ...]]] = {
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
    "acos": lambda r, a: (-1.0 / call("sqrt", (1.0 - a) * (1.0 + a)),),
    "erf": lambda r, a: (2.0 / math.sqrt(math.pi) * call("exp", -a * a),),
    "pow": lambda r, a, b: (b * call("pow", a, b - 1.0) if isinstance(a, Lane) else 0, _product(r, call("log", a), True) if isinstance(b, Lane) else 0),
    "fma": lambda r, a, b, c: (b, a, 1),
    "sqrt": lambda r, a: (0.5 / r,),
    "absolute": lambda r, a: (call("sign", a),),
    "sign": lambda r, a: (0,),
    "floor": lambda r, a: (0,),
    # Where both are equal it is the second: max(x, 0) has the slope 0 at 0, as relu has.
    "minimum": lambda r, a, b: (a < b, ~(a < b)),
    "maximum": lambda r, a, b: (a > b, ~(a > b)),
    "where": lambda r, m, a, b: (0, m, ~m),
}
CHOICES = ("minimum", "maximum", "where")
# Operations with slopes that can be infinite where their values are not.
STEEP = ("/", "log", "atan2", "acos", "pow", "sqrt")


def gradient_of(value: Operand, inputs: Sequence[Lane]) -> list[Operand]:
    """The partial derivatives of a value by the inputs; where it does not depend on one, the number 0.

    Conditions have no slope: a value that is chosen by `where` has the slope of what is chosen, whatever the
    other would have. What does not count (its adjoint is 0) adds 0, also where its slope is infinite or none:
    x * sqrt(x) has the slope 0 at 0.
    """
    if not isinstance(value, Lane):
        return [0.0] * len(inputs)
    trace, reaching = value.trace, {value.place: 1}
    chosen: set[int] = set()  # places of values that count in some runs and not in others
    for place in range(value.place, -1, -1):
        name, arguments = trace.operations[place]
        adjoint = reaching.get(place, 0)
        if name not in SLOPES or (not isinstance(adjoint, Lane) and adjoint == 0):
            continue
        numbers = [k for k, a in enumerate(arguments) if isinstance(a, Lane)]
        slopes = SLOPES[name](Lane(trace, place), *arguments) if numbers else ()
        for k in numbers:
            below = arguments[k].place
            reaching[below] = _sum(reaching.get(below, 0), _product(adjoint, slopes[k], name in STEEP or place in chosen))
            if name in CHOICES or place in chosen:
                chosen.add(below)
    return [reaching.get(lane.place, 0.0) for lane in inputs]


def _product(adjoint: Operand, slope: Operand, guarded: bool) -> Operand:
    """`adjoint * slope`; if guarded, 0 where the adjoint is 0, whatever the slope."""
    if isinstance(slope, Mask):
        return call("where", slope, adjoint, 0.0)
    for a, b in ((adjoint, slope), (slope, adjoint)):
        if not isinstance(a, Lane) and a in (0, 1, -1):
            return 0 if a == 0 else b if a == 1 else -b
    product = adjoint * slope
    return call("where", adjoint == 0.0, 0.0, product) if guarded and isinstance(adjoint, Lane) and isinstance(slope, Lane) else product


def _sum(one: Operand, other: Operand) -> Operand:
    return other if not isinstance(one, Lane) and one == 0 else one if not isinstance(other, Lane) and other == 0 else one + other
