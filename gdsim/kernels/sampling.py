"""Which samples a step of a run sees, and how they come into the first rows of the activations."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.parts import GATHER_WIDTH, NARROW_GATHER, draw, draw_key
from gdsim.kernels.state import Pack
from gdsim.kernels.workspace import AnyNetwork, FunctionSpace
from gdsim.lanes.bits import multiply_high
from gdsim.lanes.masks import extract
from gdsim.lanes.operations import load, minimum, splat, store, where
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode
from gdsim.lanes.permutation import OrderKey, order_key, permuted
from gdsim.lanes.philox import REPLACEMENT, SAMPLE_ORDER, purpose_of, random_words
from gdsim.lanes.tiles import gather_columns, prefetch_rows
from gdsim.lanes.types import Lane, Lanes, Memory, Offset
from gdsim.problems.parts import MemorySpace, Sampler, Stream, batch_size

AHEAD = 2  # samples
NEAR = 2**16  # numbers of a table that the near caches hold
LINE, LONGEST = 16, 32  # columns: of float32 in a line of memory, and up to which lines of a row are asked for


def stream_of(pack: Pack, at: Offset) -> Stream:
    """Whose samples the runs in the lanes from `at` draw."""
    return Stream(load(pack.start, at, WIDTH), pack.replica)


def epoch_key(sampler: Sampler, stream: Stream, step: Lane) -> OrderKey:
    """The key of the order of the epoch that holds update number `step` (from 0)."""
    return order_key(stream.start, purpose_of(SAMPLE_ORDER, stream.replica), step // sampler.steps_per_epoch, sampler.seed, sampler.sample_count)


def once_key(sampler: Sampler, stream: Stream, step: Lane) -> OrderKey:
    """The key of the one order of all epochs."""
    return order_key(stream.start, purpose_of(SAMPLE_ORDER, stream.replica), step * 0, sampler.seed, sampler.sample_count)


def draw_from_order(sampler: Sampler, key: OrderKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """The sample at one place of a step's batch."""
    place = (step % sampler.steps_per_epoch) * sampler.batch + element
    return permuted(minimum(place, sampler.sample_count - 1), key)


def no_key(sampler: Sampler, stream: Stream, step: Lane) -> Lanes:
    """Draws with replacement need no order."""
    return stream.start, stream.start, stream.start, stream.start


def draw_with_replacement(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """A sample drawn independently for one place of a step's batch."""
    return multiply_high(random_words(stream.start, purpose_of(REPLACEMENT, stream.replica), step, element, sampler.seed)[0], sampler.sample_count)


def draw_in_place(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """The whole data in its own order."""
    return stream.start * 0 + element


def size_from_order(sampler: Sampler, step: Lane) -> Lane:
    """How many samples a step's batch has: the last of an epoch may be short."""
    return minimum(sampler.sample_count - (step % sampler.steps_per_epoch) * sampler.batch, sampler.batch)


def size_of_batch(sampler: Sampler, step: Lane) -> Lane:
    """How many samples a step's batch has: always the same."""
    return step * 0 + sampler.batch


def fill_shared(network: AnyNetwork | FunctionSpace | MemorySpace, sampler: Sampler, stream: Stream, step: Lane, block: tuple[int, int]) -> None:
    """The same samples for every lane."""
    first, count = block
    for sample in range(count):
        row = (first + sample) * sampler.pitch
        for column in range(sampler.columns):
            place = (column * network.pitch + sample) * WIDTH
            store(network.activations, place, splat(sampler.matrix[row + column], WIDTH))


def fill_drawn(network: AnyNetwork | FunctionSpace | MemorySpace, sampler: Sampler, stream: Stream, step: Lane, block: tuple[int, int]) -> None:
    """Every lane its own samples: rows are read as vectors and transposed in registers.

    Of tables that the near caches do not hold, rows are asked for `AHEAD` samples before they are read: the
    first of the next batch too, where it is of the same epoch.
    """
    first, count = block
    key = draw_key(sampler, stream, step)
    distance = network.pitch * WIDTH
    ahead = AHEAD if sampler.sample_count * sampler.pitch > NEAR else 0
    rows = second = third = stream.start
    if ahead:
        second, third = draw(sampler, key, stream, step, first), draw(sampler, key, stream, step, first + 1)
    for sample in range(count):
        rows, second, third = second, third, draw(sampler, key, stream, step, first + sample + ahead)
        if ahead:
            for column in range(0, min(sampler.columns, LONGEST), LINE):
                prefetch_rows(sampler.matrix, sampler.pitch, third, column)
        else:
            rows = third
        if sampler.columns <= NARROW_GATHER:
            gather_columns(sampler.matrix, sampler.pitch, rows, 0, NARROW_GATHER, network.activations, (sample * WIDTH, distance))
        else:
            for column in range(0, sampler.columns, GATHER_WIDTH):
                place = (column * network.pitch + sample) * WIDTH
                gather_columns(sampler.matrix, sampler.pitch, rows, column, GATHER_WIDTH, network.activations, (place, distance))


def list_samples(sampler: Sampler, start: np.uint32, replica: int, steps: int, out: Memory) -> None:
    """out[step, element]: the samples of the batches of a start's replica.

    Beyond a short batch's end stands the count of samples.
    """
    mode = set_float_mode()
    lane = splat(start, 1)
    stream = Stream(lane, replica)
    for number in range(steps):
        step = lane * 0 + number
        key = draw_key(sampler, stream, step)
        size = batch_size(sampler, step)
        for element in range(sampler.batch):
            index = draw(sampler, key, stream, step, element)
            out[number * sampler.batch + element] = extract(where(size > element, index, lane * 0 + sampler.sample_count), 0)
    restore_float_mode(mode)


class Shuffle(NamedTuple):
    """The parts of one way of drawing."""

    draw_key: Any
    draw: Any
    batch_size: Any
    fill: Any


SHUFFLES = {
    "epoch": Shuffle(epoch_key, draw_from_order, size_from_order, fill_drawn),
    "once": Shuffle(once_key, draw_from_order, size_from_order, fill_drawn),
    "replacement": Shuffle(no_key, draw_with_replacement, size_of_batch, fill_drawn),
    "whole": Shuffle(no_key, draw_in_place, size_of_batch, fill_shared),
}
