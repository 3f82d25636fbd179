"""A thread's working memory, where matrices lie in it, and what is done with the gradients that are made
there.
"""

from typing import Any, NamedTuple, TypeAlias

from gdsim.lanes.memory import plane
from gdsim.lanes.types import Address, Memory
from gdsim.problems.parts import MemorySpace


class Place(NamedTuple):
    """Where a matrix lies in any array: element [row, column] at `offset + row * row_step + column *
    column_step`, in numbers.
    """

    offset: int
    row_step: int
    column_step: int


class Matrix(NamedTuple):
    """A matrix of an array: element [row, column] at `offset + row * row_step + column * column_step`, in
    numbers.
    """

    array: Memory
    offset: int
    row_step: int
    column_step: int


def matrix_at(array: Memory, place: Place) -> Matrix:
    """The matrix that lies at a place of an array."""
    return Matrix(array, place.offset, place.row_step, place.column_step)


def transposed(matrix: Matrix) -> Matrix:
    """The matrix with rows and columns exchanged."""
    return Matrix(matrix.array, matrix.offset, matrix.column_step, matrix.row_step)


def part_from(matrix: Matrix, row: int, column: int) -> Matrix:
    """The part of a matrix that begins at [row, column]."""
    offset = matrix.offset + row * matrix.row_step + column * matrix.column_step
    return Matrix(matrix.array, offset, matrix.row_step, matrix.column_step)


def plane_of(matrix: Matrix, number: int) -> Matrix:
    """The values (number 0) or one of the tangents (1, 2, ...) of a matrix of numbers with tangents."""
    return Matrix(plane(matrix.array, number), matrix.offset, matrix.row_step, matrix.column_step)


class Edge(NamedTuple):
    """What a layer gets from the samples or from a layer before it: the sizes, and where the matrices lie."""

    inputs: int
    units: int
    weights: Place  # W[unit, input], and what is kept beside the weights
    biases: Place  # b[unit, sample] of the layer, the same for all samples
    source: Place  # A[input, sample] of the samples or the layer before, and its slopes and deltas
    result: Place  # Z[unit, sample] of the layer, and then A, phi'(Z) and D
    layer: int  # the number of the layer, from 0
    below: int  # of the layer before; -1: the samples
    links: int  # which of the edges into the one and out of the other it is: bits, see below


# Bits of `Edge.links`: the layer's sums begin with this edge, at its biases; they are complete with it, and the
# layer has an activation. The deltas of the layer before begin with this edge; they are complete with it. The
# layer adds the activations of the layer before, which is as wide, to its own.
BEGINS_SUMS, ENDS_SUMS, BEGINS_DELTAS, ENDS_DELTAS, ADDS = 1, 2, 4, 8, 16


class Cells(NamedTuple):
    """Rows of lanes, side by side, at `offset + row * step + column * WIDTH`, in numbers."""

    offset: int
    step: int
    rows: int
    columns: int


class Network(NamedTuple):
    """One thread's working memory for the networks of a pack, and the table of edges."""

    edges: Memory  # [edge * EDGE_COLUMNS + column], in lanes
    activations: Memory
    slopes: Memory  # beside the activations, where they are kept
    deltas: Memory  # beside the activations
    gradients: Memory  # beside the weights
    saved_weights: Memory  # where the weights were before a rule perturbed them
    tile: Memory  # one tile of gradients on its way to the update
    zeros: Memory  # one lane of them
    ones: Memory  # likewise
    counts: Memory  # uint32: how many of a block's samples count
    samples: Memory  # how many samples the mean is over
    loss: Memory  # the sum of a block's losses
    pitch: int  # samples, in lanes, from one unit to the next
    batches: Address = 0  # of the kernel that draws a batch and finds its deltas
    passes: Address = 0  # of the kernel that takes a block through the network


class SingleRunNetwork(NamedTuple):
    """One thread's working memory for a network that has all lanes, and the table of edges."""

    edges: Memory  # [edge * EDGE_COLUMNS + column]
    activations: Memory
    slopes: Memory  # beside the activations, where they are kept
    deltas: Memory  # likewise
    row_major: Memory  # room for a matrix whose columns are no neighbours, copied so that they are
    gradients: Memory  # beside the weights
    tile: Memory  # gradients on their way to the update
    zeros: Memory  # where a tile's sums begin
    ones: Memory  # what a bias is multiplied by
    losses: Memory  # of as many samples as there are lanes
    largest_weight: Memory  # bits of the largest magnitude of a weight, lane by lane
    lane_index: Memory  # uint32: 0, 1, 2, ...
    rows: Memory  # uint32: the samples of a block, by their places in the table
    targets: int  # offset among the activations, [target][sample]
    pitch: int  # from one target's samples to the next's, and from one output's
    counts: Memory  # as of `Network`
    samples: Memory
    loss: Memory  # of one number
    weights: Memory  # those of a step, where the rest of what its passes touch lies in near memory
    batches: Address = 0
    passes: Address = 0


AnyNetwork: TypeAlias = Network | SingleRunNetwork


class NetworkSpace(NamedTuple):
    """A thread's working memory for a network, seen in two ways: samples lie as close as a step's batch or an
    evaluation's block allows.
    """

    step: AnyNetwork
    whole: AnyNetwork


class FunctionSpace(NamedTuple):
    """A thread's working memory for a function: the columns of a block of samples."""

    activations: Memory
    pitch: int


Workspace: TypeAlias = NetworkSpace | FunctionSpace | MemorySpace


class GradientTask(NamedTuple):
    """What is done with the gradients of a block of samples."""

    sample_count: int
    writes: bool  # those of a first block; those of others are added to it
    pack: Any  # that is updated, None where gradients are only written
    step: Any  # likewise
