"""A step of a small network, written out unit by unit: what a sample needs stays in registers, and no tile is
padded.

The sums are those of `passes`, term by term. It is made for the widths of one network; a network of more
than `MOST_PARAMETERS` gains nothing, and takes long to compile.
"""

import functools
import itertools
from typing import Any

from gdsim.kernels.engines.blocks import sample_at, shared_loss
from gdsim.kernels.engines.network import note_loss
from gdsim.kernels.engines.passes import TILE, edge_at
from gdsim.kernels.parts import MONITORS_MEAN, NEEDS_WHOLE_GRADIENT, TWO_PASSES
from gdsim.kernels.sampling import stream_of
from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.steps import stops_here, store_stats, stored_stats, update_weight
from gdsim.lanes.generated import function_from
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.problems.parts import KEEPS_SLOPES, activation, batch_size, fill, slope

MOST_PARAMETERS = 100

HEAD = """def learn_from_batch(table, network, pack, sampler, key, step, tests_loss):
    number = load(pack.step, 0, WIDTH)
    stream = stream_of(pack, 0)
    size, zero = batch_size(sampler, stream, number), splat(ZERO, WIDTH)
    samples = as_type_of(size, zero)
    share, total, pitch = 1.0 / samples, zero, network.pitch * WIDTH
    fill(network, sampler, stream, number, (0, sampler.batch))"""
LOSS = """    for b in range(sampler.batch):
        total = total + shared_loss(sample_at(network, sampler, b), size > b, share)"""
STOP = """    total = total_of(added(Sum(zero, zero), total))
    if NEEDS_WHOLE_GRADIENT:
        store(pack.monitor.loss, 0, total / samples)
    if tests_loss:
        if stops_here(pack.monitor, total / samples):
            return True
        if MONITORS_MEAN:
            note_loss(network, pack, total, samples)
    stats = stored_stats(pack.monitor)"""


def inputs_of(index: int, inputs: int) -> list[str]:
    """Loads a layer's inputs of one sample."""
    return [f"        a{index}_{i} = load(network.activations, first{index} + {i} * pitch + b * WIDTH, WIDTH)" for i in range(inputs)]


def units_forward(index: int, inputs: int, units: int, biases: bool, is_last: bool) -> list[str]:
    """A layer's sums, and the activations of a hidden one."""
    lines = []
    for u in range(units):
        lines.append(f"        z = {f'w{index}_{u}_{inputs}' if biases else 'zero'}")
        lines += [f"        z = fma_lanes(w{index}_{u}_{i}, a{index}_{i}, z)" for i in range(inputs)]
        if is_last:
            lines.append(f"        store(network.activations, sample.output + {u} * sample.stride, z)")
        else:
            lines += [
                f"        a{index + 1}_{u} = activation(z, {index})",
                f"        store(network.activations, first{index + 1} + {u} * pitch + b * WIDTH, a{index + 1}_{u})",
            ]
            lines += [
                "        if KEEPS_SLOPES:",
                f"            store(network.slopes, first{index + 1} + {u} * pitch + b * WIDTH, slope(z, a{index + 1}_{u}, {index}))",
            ]
    return lines


def units_backward(index: int, inputs: int, units: int, biases: bool) -> list[str]:
    """A layer's gradients, and the deltas of the layer below."""
    lines = []
    for u in range(units):
        lines += [f"        g{index}_{u}_{i} = fma_lanes(d{index}_{u}, a{index}_{i}, g{index}_{u}_{i})" for i in range(inputs)]
        lines += [f"        g{index}_{u}_{inputs} = g{index}_{u}_{inputs} + d{index}_{u}"] if biases else []
    if index > 0:
        for i in range(inputs):
            lines.append("        d = zero")
            lines += [f"        d = fma_lanes(w{index}_{u}_{i}, d{index}_{u}, d)" for u in range(units)]
            place = f"first{index} + {i} * pitch + b * WIDTH"
            lines.append(f"        s = load(network.slopes, {place}, WIDTH) if KEEPS_SLOPES else slope(a{index}_{i}, a{index}_{i}, {index - 1})")
            lines.append(f"        d{index - 1}_{i} = d * s")
    return lines


def in_order_of_tiles(inputs: int, units: int, biases: bool) -> list[tuple[int, int]]:
    """(unit, column) of a layer's weights, and then its biases, in the order in which
    `passes.all_gradients` uses their gradients.
    """
    tiles = itertools.product(range(0, units, TILE), range(0, inputs, TILE))
    weights = [(u, i) for first, column in tiles for u in range(first, min(first + TILE, units)) for i in range(column, min(column + TILE, inputs))]
    return weights + [(u, inputs) for u in range(units if biases else 0)]


@functools.cache
def learn_from_batch_of(layers: tuple[tuple[int, int, int, int], ...], biases: bool) -> Any:
    """`network.learn_from_batch` of a network with layers (inputs, units, place of the weights, pitch of
    their rows), for batches of one block.
    """
    last, places = len(layers) - 1, {}
    for index, (inputs, units, first, pitch) in enumerate(layers):
        for u, i in in_order_of_tiles(inputs, units, biases):
            places[f"{index}_{u}_{i}"] = first + u * pitch + (i if i < inputs else pitch - 1), i < inputs, index
    lines = [HEAD]
    lines += [f"    w{name}, g{name} = load(pack.weights, {place} * WIDTH, WIDTH), zero" for name, (place, _, _) in places.items()]
    lines += [f"    first{index} = edge_at(network, {index}).source.offset" for index in range(last + 1)]
    lines += ["    for b in range(sampler.batch):", "        sample = sample_at(network, sampler, b)", *inputs_of(0, layers[0][0])]
    for index, (inputs, units, _, _) in enumerate(layers):
        lines += units_forward(index, inputs, units, biases, index == last)
    lines += [LOSS, STOP, "    for b in range(sampler.batch):", "        sample = sample_at(network, sampler, b)"]
    lines += [line for index, (inputs, *_) in enumerate(layers) for line in inputs_of(index, inputs)]
    lines += [f"        d{last}_{u} = load(network.deltas, sample.delta + {u} * sample.stride, WIDTH)" for u in range(layers[last][1])]
    for index in range(last, -1, -1):
        lines += units_backward(index, *layers[index][:2], biases)
    for name, (place, is_weight, _) in sorted(places.items(), key=lambda item: -item[1][2]):  # from the last layer
        lines.append("    if TWO_PASSES:")
        lines.append(f"        store(network.gradients, {place} * WIDTH, g{name})")
        lines.append("    else:")
        lines.append(f"        stats = update_weight(pack, step, stats, {place}, g{name}, {is_weight})")
    lines += ["    store_stats(pack.monitor, 0, stats)", "    return False"]
    names = {
        "load": load, "WIDTH": WIDTH, "batch_size": batch_size, "splat": splat, "ZERO": ZERO, "as_type_of": as_type_of, "fill": fill, "stream_of": stream_of, "fma_lanes": fma_lanes,
        "sample_at": sample_at, "shared_loss": shared_loss, "store": store, "activation": activation, "slope": slope, "stops_here": stops_here, "note_loss": note_loss,
        "total_of": total_of, "added": added, "Sum": Sum, "stored_stats": stored_stats, "store_stats": store_stats, "update_weight": update_weight,
        "TWO_PASSES": TWO_PASSES, "NEEDS_WHOLE_GRADIENT": NEEDS_WHOLE_GRADIENT, "MONITORS_MEAN": MONITORS_MEAN, "KEEPS_SLOPES": KEEPS_SLOPES, "edge_at": edge_at,
    }  # fmt: skip
    return function_from("\n".join(lines), "learn_from_batch", names)
