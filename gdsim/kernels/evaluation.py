"""Evaluation of a pack over a whole data set as a template: loss with penalty, accuracy, the gradient's norm, predictions.

Names that are parts: those of `network`, `sample_loss`, `correct`, `outputs`.
"""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.network import BLOCK, backward, forward, layer_at, layer_count
from gdsim.kernels.sampling import fill_shared
from gdsim.kernels.training import ADD, WRITE, Job, Sum, added, block_loss, sample_at, total_of
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, sqrt, store
from gdsim.lanes.parts import WIDTH, ZERO, correct, outputs, restore_float_mode, set_float_mode


class Scores(NamedTuple):
    """What is found out about each lane, and the penalty's factor that goes into it."""

    loss: Any
    accuracy: Any
    gradient_norm: Any
    l2: Any


def correct_answers(network: Any, features: Any, count: Any) -> Any:
    """How many of a block's samples each lane gets right."""
    total = splat(ZERO, WIDTH)
    for b in range(count):
        total = total + correct(sample_at(network, features, b))
    return total


def penalty_and_norm(network: Any, weights: Any, l2: Any, with_gradient: Any) -> Any:
    """(sum of the squared weights, sum of the squared gradient with the penalty's share); biases are not penalised.

    Row by row of each layer, the rows' sums added with compensation.
    """
    nothing = splat(ZERO, WIDTH)
    squares, norm = Sum(nothing, nothing), Sum(nothing, nothing)
    for index in range(layer_count(network)):
        layer = layer_at(network, index)
        for unit in range(layer.units):
            row_squares, row_norm = nothing, nothing
            for column in range(layer.inputs + 1):
                is_weight = column < layer.inputs
                place = (layer.weights + unit * layer.pitch + (column if is_weight else layer.pitch - 1)) * WIDTH
                w = load(weights, place, WIDTH) if is_weight else nothing
                row_squares = fma_lanes(w, w, row_squares)
                if with_gradient:
                    g = fma_lanes(l2, w, load(network.gradients, place, WIDTH))
                    row_norm = fma_lanes(g, g, row_norm)
            squares, norm = added(squares, row_squares), added(norm, row_norm)
    return total_of(squares), total_of(norm)


def evaluate(network: Any, weights: Any, feed: Any, scores: Any, with_gradient: Any) -> None:
    """Fills the scores of every lane at the given weights; the gradient's norm only where asked for."""
    mode = set_float_mode()
    nothing = splat(ZERO, WIDTH)
    start = splat(np.uint32(feed.count), WIDTH)
    loss, answers = Sum(nothing, nothing), nothing
    count = as_type_of(start, nothing)
    share = 1.0 / count
    for first in range(0, feed.count, BLOCK):
        size = min(BLOCK, feed.count - first)
        fill_shared(network, feed, start, start, (first, size))
        forward(network, weights, size)
        loss = added(loss, block_loss(network, feed.features, (size, start), share))
        answers = answers + correct_answers(network, feed.features, size)
        if with_gradient:
            backward(network, weights, Job(size, WRITE if first == 0 else ADD, scores, share))
    l2 = load(scores.l2, 0, WIDTH)
    squares, norm = penalty_and_norm(network, weights, l2, with_gradient)
    store(scores.loss, 0, fma_lanes(0.5 * l2, squares, total_of(loss) / count))
    store(scores.accuracy, 0, answers / count)
    store(scores.gradient_norm, 0, sqrt(norm))
    restore_float_mode(mode)


def predict(network: Any, weights: Any, feed: Any, out: Any) -> None:
    """out[sample, unit, lane]: the network's outputs; of classes their probabilities."""
    mode = set_float_mode()
    start = splat(np.uint32(feed.count), WIDTH)
    for first in range(0, feed.count, BLOCK):
        size = min(BLOCK, feed.count - first)
        fill_shared(network, feed, start, start, (first, size))
        forward(network, weights, size)
        for b in range(size):
            sample = sample_at(network, feed.features, b)
            outputs(sample)
            for unit in range(sample.units):
                value = load(network.deltas, sample.delta + unit * sample.stride, WIDTH)
                store(out, ((first + b) * sample.units + unit) * WIDTH, value)
    restore_float_mode(mode)
