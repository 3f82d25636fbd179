"""Losses of one sample, fused with the output and stable at extreme logits.

Each leaves the loss's derivative by the sums.

A pointwise loss gives (loss, derivative) of one output z and target y; the sample's loss is their sum over
outputs in order. Cross-entropy needs all outputs at once. `SAMPLE_LOSSES` is the table of names.
"""

from collections.abc import Callable
from typing import NamedTuple

from gdsim.lanes import absolute, log, maximum, where
from gdsim.lanes.elementary import exp_below_zero, sigmoid_by, softplus_by
from gdsim.lanes.operations import broadcast, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Lane
from gdsim.problems.parts import SMOOTHING, Sample, output, output_slope, pointwise


def squared_error(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """Half the squared difference.

    Of several outputs their sum: PyTorch's MSELoss times half the number of outputs.
    """
    a = output(z)
    return 0.5 * (a - y) * (a - y), (a - y) * output_slope(z, a)


def mean_squared_error(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """The squared difference.

    Of several outputs their sum: PyTorch's MSELoss, which is their mean, times the number of outputs.
    """
    a = output(z)
    return (a - y) * (a - y), 2.0 * (a - y) * output_slope(z, a)


def absolute_error(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """The magnitude of the difference; its derivative at 0 is 0.

    Of several outputs their sum: PyTorch's L1Loss times the number of outputs.
    """
    a = output(z)
    sign = where(a > y, 1.0, where(a < y, broadcast(-1.0, z), 0.0))
    return absolute(a - y), sign * output_slope(z, a)


def huber(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """Half the squared difference where it is at most 1, beyond the magnitude less 1/2 (Huber 1964).

    Of several outputs their sum: PyTorch's HuberLoss times the number of outputs.
    """
    a = output(z)
    d = a - y
    inside, sign = absolute(d) <= 1.0, where(d > 0.0, broadcast(1.0, z), -1.0)
    return where(inside, 0.5 * d * d, absolute(d) - 0.5), where(inside, d, sign) * output_slope(z, a)


def log_loss(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """The negative log-likelihood of a label 0 or 1 under the probability sigmoid(z); of several outputs
    their sum.
    """
    e = exp_below_zero(-absolute(z))
    return softplus_by(z, e) - y * z, sigmoid_by(z, e) - y


def pointwise_loss(sample: Sample) -> Lane:
    """The sum over outputs of the part `pointwise`."""
    total = splat(ZERO, WIDTH)
    for unit in range(sample.units):
        shift = unit * sample.stride
        loss, delta = pointwise(load(sample.values, sample.output + shift, WIDTH), load(sample.values, sample.target + shift, WIDTH))
        store(sample.deltas, sample.delta + shift, delta)
        total = total + loss
    return total


def softmax(sample: Sample) -> tuple[Lane, Lane]:
    """(the largest sum, the sum of e^(sum - largest)): leaves the classes' probabilities in the place of
    the deltas.
    """
    values, first, stride = sample.values, sample.output, sample.stride
    largest = load(values, first, WIDTH)
    for unit in range(1, sample.units):
        largest = maximum(largest, load(values, first + unit * stride, WIDTH))
    total = splat(ZERO, WIDTH)
    for unit in range(sample.units):
        power = exp_below_zero(load(values, first + unit * stride, WIDTH) - largest)
        store(sample.deltas, sample.delta + unit * stride, power)
        total = total + power
    scale = 1.0 / total
    for unit in range(sample.units):
        place = sample.delta + unit * stride
        store(sample.deltas, place, load(sample.deltas, place, WIDTH) * scale)
    return largest, total


def cross_entropy(sample: Sample) -> Lane:
    """The negative log-likelihood of a class under the softmax of the outputs."""
    label = load(sample.values, sample.target, WIDTH)
    largest, total = softmax(sample)
    chosen = splat(ZERO, WIDTH)
    for unit in range(sample.units):
        is_label = label == unit
        chosen = where(is_label, load(sample.values, sample.output + unit * sample.stride, WIDTH) - largest, chosen)
        place = sample.delta + unit * sample.stride
        share = load(sample.deltas, place, WIDTH)
        store(sample.deltas, place, where(is_label, share - 1.0, share))
    return log(total) - chosen


def smoothed_cross_entropy(sample: Sample) -> Lane:
    """Cross-entropy to a class with probability 1 - SMOOTHING, the rest spread over all classes (Szegedy
    et al. 2016).
    """
    label = load(sample.values, sample.target, WIDTH)
    largest, total = softmax(sample)
    even = SMOOTHING / sample.units
    kept = splat(ZERO, WIDTH)
    for unit in range(sample.units):
        goal = where(label == unit, splat(ZERO, WIDTH) + (1.0 - SMOOTHING), 0.0) + even
        kept = kept + goal * (load(sample.values, sample.output + unit * sample.stride, WIDTH) - largest)
        place = sample.delta + unit * sample.stride
        store(sample.deltas, place, load(sample.deltas, place, WIDTH) - goal)
    return log(total) - kept


def pointwise_outputs(sample: Sample) -> tuple[Lane, Lane]:
    """Leaves the outputs' activations in the place of the deltas."""
    for unit in range(sample.units):
        shift = unit * sample.stride
        store(sample.deltas, sample.delta + shift, output(load(sample.values, sample.output + shift, WIDTH)))
    return splat(ZERO, WIDTH), splat(ZERO, WIDTH)


def most_likely_is_label(sample: Sample) -> Lane:
    """1 where the largest output, the first of several, is the label's."""
    best, place = load(sample.values, sample.output, WIDTH), splat(ZERO, WIDTH)
    for unit in range(1, sample.units):
        value = load(sample.values, sample.output + unit * sample.stride, WIDTH)
        place = where(value > best, splat(ZERO, WIDTH) + unit, place)
        best = where(value > best, value, best)
    zero = splat(ZERO, WIDTH)
    return where((place == load(sample.values, sample.target, WIDTH)) & (best == best), zero + 1.0, zero)


def likelier_is_label(sample: Sample) -> Lane:
    """1 where every logit is positive for a label 1, and not for a label 0."""
    zero = splat(ZERO, WIDTH)
    right = zero + 1.0
    for unit in range(sample.units):
        shift = unit * sample.stride
        z, y = load(sample.values, sample.output + shift, WIDTH), load(sample.values, sample.target + shift, WIDTH)
        right = where(~((z > 0.0) ^ (y > 0.5)) & (z == z), right, zero)
    return right


def no_labels(sample: Sample) -> Lane:
    """Regression has no accuracy."""
    return splat(ZERO, WIDTH)


class Loss(NamedTuple):
    """The parts of one loss, and what its targets and outputs are."""

    sample_loss: Callable[[Sample], Lane]
    pointwise: Callable[[Lane, Lane], tuple[Lane, Lane]]
    outputs: Callable[[Sample], tuple[Lane, Lane]]
    correct: Callable[[Sample], Lane]
    targets: str  # "classes", "binary" or "numbers"


SAMPLE_LOSSES = {
    "squared_error": Loss(pointwise_loss, squared_error, pointwise_outputs, no_labels, "numbers"),
    "mean_squared_error": Loss(pointwise_loss, mean_squared_error, pointwise_outputs, no_labels, "numbers"),
    "absolute_error": Loss(pointwise_loss, absolute_error, pointwise_outputs, no_labels, "numbers"),
    "huber": Loss(pointwise_loss, huber, pointwise_outputs, no_labels, "numbers"),
    "log_loss": Loss(pointwise_loss, log_loss, pointwise_outputs, likelier_is_label, "binary"),
    "cross_entropy": Loss(cross_entropy, log_loss, softmax, most_likely_is_label, "classes"),
}
