"""The parts of a problem: those that it gives a kernel, and those that it finds there, which draw a step's samples."""

from typing import Protocol

from gdsim.lanes.parts import part
from gdsim.lanes.types import Count, Lane, Lanes, Memory, Offset

BLOCK: int = part("BLOCK")  # samples that are worked on at once
BIASES: int = part("BIASES")  # 1, or 0 for a network without them
WEIGHTED: bool = part("WEIGHTED")  # whether samples have weights
SMOOTHING: float = part("SMOOTHING")  # the share of a label's probability that is spread over all classes
KEEPS_SLOPES: bool = part("KEEPS_SLOPES")  # whether slopes are made with the activations, and kept


class Sampler(Protocol):
    """A data set as kernels read it."""

    matrix: Memory  # flat, a row per sample: features, then targets
    pitch: Count  # of a row
    columns: Count  # in use
    count: Count  # of samples
    batch: Count  # of samples in a step


class Block(Protocol):
    """Where a block of samples is put: a row per column, `pitch` samples apart."""

    activations: Memory
    pitch: Count


class Model(Block, Protocol):
    """What a kernel holds of a function of many parameters."""

    gradients: Memory  # a lane per parameter
    kept: Memory  # likewise: a point that the problem keeps
    sums: Memory  # a lane per column of a sample, or per parameter
    constants: Memory  # of the problem: numbers, not lanes


class Sample(Protocol):
    """One sample's place in the buffers of the last layer, in elements; its units are `stride` apart."""

    values: Memory
    output: Offset
    target: Offset
    deltas: Memory
    delta: Offset
    stride: Count
    units: Count


@part
def batch_size(sampler: Sampler, step: Lane) -> Lane:
    """How many samples the batch of update number `step` (from 0) has."""
    ...


@part
def fill(network: Block, sampler: Sampler, start: Lane, step: Lane, block: tuple[Count, Count]) -> None:
    """Puts a block, (first, count), of a step's samples into the first rows of `network.activations`."""
    ...


@part
def value_and_gradient(x: Lanes, *columns: Lanes) -> tuple[Lane, Lanes]:
    """(f(x), its gradient) of a function of few parameters; of a sample's loss where there are samples, given by their columns."""
    ...


@part
def fill_gradient(model: Model, weights: Memory, sampler: Sampler, start: Lane, step: Lane) -> Lane:
    """The loss of a step's batch; its gradient at the weights is left in `model.gradients`."""
    ...


@part
def fill_whole_gradient(model: Model, weights: Memory, sampler: Sampler) -> Lane:
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
def sample_loss(sample: Sample) -> Lane:
    """The loss of a sample; its derivatives by the last layer's sums are left as the sample's deltas."""
    ...


@part
def outputs(sample: Sample) -> None:
    """Leaves the outputs of a sample, of classes their probabilities, where its deltas are."""
    ...


@part
def correct(sample: Sample) -> Lane:
    """1 where a sample's class is the most likely one, else 0."""
    ...
