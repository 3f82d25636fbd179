"""The parts of a problem: those that it gives a kernel, and those that it finds there, which draw a step's samples."""

from typing import Any

from gdsim.lanes.parts import part
from gdsim.lanes.types import Count, Lane, Lanes, Memory

BLOCK: int = part("BLOCK")  # samples that are worked on at once
BIASES: int = part("BIASES")  # 1, or 0 for a network without them
WEIGHTED: bool = part("WEIGHTED")  # whether samples have weights
SMOOTHING: float = part("SMOOTHING")  # the share of a label's probability that is spread over all classes
KEEPS_SLOPES: bool = part("KEEPS_SLOPES")  # whether slopes are made with the activations, and kept


@part
def batch_size(sampler: Any, step: Lane) -> Lane:
    """How many samples the batch of update number `step` (from 0) has."""
    ...


@part
def fill(network: Any, sampler: Any, start: Lane, step: Lane, block: tuple[Count, Count]) -> None:
    """Puts a block, (first, count), of a step's samples into the first rows of `network.activations`."""
    ...


@part
def value_and_gradient(x: Lanes, *columns: Lanes) -> tuple[Lane, Lanes]:
    """(f(x), its gradient) of a function of few parameters; of a sample's loss where there are samples, given by their columns."""
    ...


@part
def fill_gradient(model: Any, weights: Memory, sampler: Any, start: Lane, step: Lane) -> Lane:
    """The loss of a step's batch; its gradient at the weights is left in `model.gradients`."""
    ...


@part
def fill_whole_gradient(model: Any, weights: Memory, sampler: Any) -> Lane:
    """The loss of all samples; its gradient at the weights is left in `model.gradients`."""
    ...


@part
def activation(z: Lane, index: Count) -> Lane:
    """a = phi(z) of a sum z of hidden layer number `index`."""
    ...


@part
def slope(z: Lane, a: Lane, index: Count) -> Lane:
    """phi'(z) at a sum z whose activation is a; z is a's value again where slopes are not kept, and follow from it."""
    ...


@part
def output(z: Lane) -> Lane:
    """The network's output of a sum z of the last layer, under a pointwise loss."""
    ...


@part
def output_slope(z: Lane, a: Lane) -> Lane:
    """The derivative of `output` at a sum z whose output is a."""
    ...


@part
def pointwise(z: Lane, y: Lane) -> tuple[Lane, Lane]:
    """(loss, its derivative by z) of one sum z of the last layer with target y."""
    ...


@part
def sample_loss(sample: Any) -> Lane:
    """The loss of a sample; its derivatives by the last layer's sums are left as the sample's deltas."""
    ...


@part
def outputs(sample: Any) -> None:
    """Leaves the outputs of a sample, of classes their probabilities, where its deltas are."""
    ...


@part
def correct(sample: Any) -> Lane:
    """1 where a sample's class is the most likely one, else 0."""
    ...
