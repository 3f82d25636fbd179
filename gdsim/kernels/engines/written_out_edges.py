"""The table of a network's edges, and the passes over them, written out as constants: a compiler that knows all sizes
and strides makes half as many instructions.
"""

import functools
from typing import Any

from gdsim.kernels.engines.passes import deltas_over, forward_over, gradients_over
from gdsim.kernels.workspace import Edge, Place
from gdsim.lanes.generated import function_from

# By the names of passes: their arguments, what they do with each edge, and whether they begin with the last.
PASSES: dict[str, tuple[str, Any, bool]] = {
    "forward": ("network, weights, samples, count", forward_over, False),
    "all_deltas": ("network, weights, count", deltas_over, True),
    "all_gradients": ("network, task, samples", gradients_over, True),
}


def edge_text(row: tuple[int, ...]) -> str:
    """The expression of an edge, from its row of the table of `single_run_products.edge_at`."""
    inputs, units, W, W_row, W_column, b, source, source_step, result, result_row, result_column, *rest = row
    weights, biases = f"Place({W}, {W_row}, {W_column})", f"Place({b}, 1, 0)"
    places = f"Place({source}, 1, {source_step}), Place({result}, {result_row}, {result_column})"
    return f"Edge({inputs}, {units}, {weights}, {biases}, {places}, {', '.join(map(str, rest))})"


@functools.cache
def written_out_edges(rows: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    """`edge_at`, `edge_count` and the passes of one network, by their names."""
    count = len(rows)
    chosen = "".join(f"    if index == {index}:\n        return {edge_text(row)}\n" for index, row in enumerate(rows[:-1]))
    text = f"def edge_at(network, index):\n{chosen}    return {edge_text(rows[-1])}"
    found = {
        "edge_at": function_from(text, "edge_at", {"Edge": Edge, "Place": Place}),
        "edge_count": function_from(f"def edge_count(network):\n    return {count}", "edge_count", {}),
    }
    for name, (arguments, over, begins_last) in PASSES.items():
        order = range(count - 1, -1, -1) if begins_last else range(count)
        calls = "".join(f"    over({arguments}, {index})\n" for index in order)
        found[name] = function_from(f"def {name}({arguments}):\n{calls}", name, {"over": over})
    return found
