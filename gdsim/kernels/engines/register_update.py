"""The update of a row of parameters that lie in registers, written out parameter by parameter."""

import functools
from typing import Any

from gdsim.kernels.parts import penalized
from gdsim.kernels.steps import accumulate
from gdsim.lanes.generated import function_from
from gdsim.rules.parts import update


@functools.cache
def update_row_of(parameters: int, slots: int) -> Any:
    """`update_row(x, gradient, slots, step, stats)` for so many parameters with so many slots each."""
    lines = ["def update_row(x, gradient, slots, step, stats):"]
    for i in range(parameters):
        own = "".join(f"slots[{i * slots + s}], " for s in range(slots))
        lines += [
            f"    old{i} = x[{i}], {f'({own})' if slots else 'slots'}",
            f"    new{i} = update(old{i}[0], penalized(gradient[{i}], old{i}[0], step), old{i}[1], step.rule)",
            f"    ({''.join(f'slot{i}_{s}, ' for s in range(slots))}) = new{i}[1]",
            f"    stats = accumulate(stats, step, old{i}, new{i})",
        ]
    kept = "".join(f"slot{i}_{s}, " for i in range(parameters) for s in range(slots))
    weights = "".join(f"new{i}[0], " for i in range(parameters))
    lines.append(f"    return ({weights}), {f'({kept})' if slots else 'slots'}, stats")
    return function_from("\n".join(lines), "update_row", {"update": update, "penalized": penalized, "accumulate": accumulate})
