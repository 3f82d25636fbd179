"""The parts of a problem: those that it gives a kernel, and those that it finds there, which draw a step's
samples.
"""

from typing import Any, NamedTuple, Protocol

from gdsim.lanes.parts import part
from gdsim.lanes.types import Count, Lane, Lanes, Memory, Offset

BLOCK: int = part("BLOCK")  # samples that are worked on at once
BIASES: int = part("BIASES")  # 1, or 0 for a network without them
WEIGHTED: bool = part("WEIGHTED")  # whether samples have weights
SMOOTHING: float = part("SMOOTHING")  # the share of a label's probability that is spread over all classes
KEEPS_SLOPES: bool = part("KEEPS_SLOPES")  # whether slopes are made with the activations, and kept


SHARD_NUMBERS = 4


class Sampler(NamedTuple):
    """A data set and how steps draw from it.

    `matrix` is flat, a row per sample: features, then targets, padded to `pitch`; `sample_count` rows,
    `columns` in use. Where workers have samples of their own, a row of `shards` is one worker's: where its
    samples begin in `members`, how many there are, which worker it is, and by how much its own count of steps is
    ahead.
    """

    matrix: Memory
    pitch: int
    features: int
    columns: int
    sample_count: int
    batch: int
    steps_per_epoch: int
    seed: Lanes  # two words
    members: Memory  # uint32: numbers of samples
    shards: Memory  # uint32 [shard, SHARD_NUMBERS]
    workers: int  # that share a step's block of samples, or whose batches make up one
    keeps_short: int  # 1 where a shard's last batch may be short, 0 where it is left out


class Stream(NamedTuple):
    """Whose samples a step draws: those of a start, of which each replica of a run's model has others."""

    start: Lane
    replica: Count  # 0: the first, or the only one
    shard: Lane  # the row of `Sampler.shards`, where workers have samples of their own; of several the first worker's


class Block(Protocol):
    """Where a block of samples is put: a row per column, `pitch` samples apart."""

    @property
    def activations(self) -> Memory:
        """[column * pitch + sample], in lanes."""
        ...

    @property
    def pitch(self) -> int:
        """Samples from one column to the next."""
        ...


class MemorySpace(NamedTuple):
    """A thread's working memory for a function of many parameters."""

    activations: Memory  # the columns of a block of samples
    pitch: int
    gradients: Memory
    scratch: Memory  # room for the problem, a lane per parameter
    saved_weights: Memory  # where the weights were before a rule perturbed them
    sums: Memory  # room for a lane per column of a sample, or per parameter
    constants: Memory  # of the problem: numbers, not lanes
    penalized: int  # how many parameters a penalty counts, the first


class Sample(NamedTuple):
    """One sample's place in the buffers of the last layer, in elements; its units are `stride` apart, of
    all lanes.
    """

    values: Memory
    output: Offset
    target: Offset
    deltas: Memory
    delta: Offset
    stride: Offset
    units: int
    weight: Any  # a place too, or a number where operations are counted


@part
def batch_size(sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """How many samples the batch of update number `step` (from 0) has."""
    ...


@part
def fill(network: Block, sampler: Sampler, stream: Stream, step: Lane, block: tuple[Count, Count]) -> None:
    """Puts a block, (first, count), of a step's samples into the first rows of `network.activations`."""
    ...


@part
def value_and_gradient(x: Lanes, *columns: Lanes) -> tuple[Lane, Lanes]:
    """(f(x), its gradient) of a function of few parameters; of a sample's loss where there are samples,
    given by their columns.
    """
    ...


@part
def fill_gradient(model: MemorySpace, weights: Memory, sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """The loss of a step's batch; its gradient at the weights is left in `model.gradients`."""
    ...


@part
def fill_whole_gradient(model: MemorySpace, weights: Memory, sampler: Sampler) -> Lane:
    """The loss of all samples; its gradient at the weights is left in `model.gradients`."""
    ...


@part
def activation(z: Lane, index: Count) -> Lane:
    """a = phi(z) of a sum z of hidden layer number `index`."""
    ...


@part
def slope(z: Lane, a: Lane, index: Count) -> Lane:
    """phi'(z) at a sum z whose activation is a; z is a's value again where slopes are not kept, and follow
    from it.
    """
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
