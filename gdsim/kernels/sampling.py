"""Which samples a step of a run sees, and how they come into the first rows of the activations."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.parts import GATHER_WIDTH, NARROW_GATHER, draw, draw_key, order_number, worker_draw
from gdsim.kernels.state import Pack
from gdsim.kernels.workspace import AnyNetwork, FunctionSpace
from gdsim.lanes.bits import multiply_high
from gdsim.lanes.masks import any, extract
from gdsim.lanes.operations import load, maximum, minimum, splat, store, where
from gdsim.lanes.parts import WIDTH, restore_float_mode, set_float_mode
from gdsim.lanes.permutation import OrderKey, order_key, order_key_by_lane, permuted, permuted_by_lane
from gdsim.lanes.philox import REPLACEMENT, SAMPLE_ORDER, purpose_of, random_words
from gdsim.lanes.tiles import gather, gather_columns, prefetch_rows
from gdsim.lanes.types import Count, Lane, Lanes, Memory, Offset
from gdsim.problems.parts import SHARD_NUMBERS, MemorySpace, Sampler, Stream, batch_size

AHEAD = 2  # samples
NEAR = 2**16  # numbers of a table that the near caches hold
LINE, LONGEST = 16, 32  # columns: of float32 in a line of memory, and up to which lines of a row are asked for


def stream_of(pack: Pack, at: Offset) -> Stream:
    """Whose samples the runs in the lanes from `at` draw."""
    return Stream(load(pack.start, at, WIDTH), pack.replica, load(pack.shard, at, WIDTH))


def number_of_epoch(step: Lane, steps: Count | Lane) -> Lane:
    """Every epoch has an order of its own."""
    return step // steps


def first_number(step: Lane, steps: Count | Lane) -> Lane:
    """All epochs have one order."""
    return step * 0


def run_key(sampler: Sampler, stream: Stream, step: Lane) -> OrderKey:
    """The key of the order of all samples that update number `step` (from 0) draws from."""
    number = order_number(step, sampler.steps_per_epoch)
    return order_key(stream.start, purpose_of(SAMPLE_ORDER, stream.replica), number, sampler.seed, sampler.sample_count)


def block_key(sampler: Sampler, stream: Stream, step: Lane) -> OrderKey:
    """Likewise where workers share the order of their run."""
    return run_key(sampler, Stream(stream.start, 0, stream.shard), step)


def draw_from_order(sampler: Sampler, key: OrderKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """The sample at one place of a step's batch."""
    place = (step % sampler.steps_per_epoch) * sampler.batch + element
    return permuted(minimum(place, sampler.sample_count - 1), key)


def draw_from_block(sampler: Sampler, key: OrderKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """Likewise of one of several workers: of the block of samples that a step of all of them takes, worker k
    has the k-th batch.
    """
    place = (step % sampler.steps_per_epoch) * (sampler.batch * sampler.workers) + stream.shard * sampler.batch + element
    return permuted(minimum(place, sampler.sample_count - 1), key)


def no_key(sampler: Sampler, stream: Stream, step: Lane) -> Lanes:
    """Draws with replacement need no order."""
    return stream.start, stream.start, stream.start, stream.start


def draw_with_replacement(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """A sample drawn independently for one place of a step's batch."""
    return multiply_high(random_words(stream.start, purpose_of(REPLACEMENT, stream.replica), step, element, sampler.seed)[0], sampler.sample_count)


def draw_block_with_replacement(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """Likewise of one of several workers, which share a block of such samples."""
    return draw_with_replacement(sampler, key, Stream(stream.start, 0, stream.shard), step, stream.shard * sampler.batch + element)


def draw_in_place(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """The whole data in its own order."""
    return stream.start * 0 + element


class ShardKey(NamedTuple):
    """A worker's own samples, and the key of their order; its `elements` are how many there are."""

    begin: Lane  # in `Sampler.members`
    worker: Lane
    ahead: Lane  # by how much its own count of steps is ahead
    order: OrderKey


def own_batch(sampler: Sampler) -> Count:
    """The size of one worker's batch."""
    return sampler.batch // sampler.workers


def shard_count(sampler: Sampler, stream: Stream) -> Lane:
    """How many samples a worker has."""
    return gather(sampler.shards, stream.shard * SHARD_NUMBERS + 1)


def steps_of_shard(sampler: Sampler, count: Lane) -> Lane:
    """How many batches a worker's epoch has."""
    batch = own_batch(sampler)
    return maximum((count + sampler.keeps_short * (batch - 1)) // batch, 1)


def shard_epoch_steps(sampler: Sampler, stream: Stream) -> Lane:
    """How many batches the epoch of a stream's worker has."""
    return steps_of_shard(sampler, shard_count(sampler, stream))


def run_epoch_steps(sampler: Sampler, stream: Stream) -> Count:
    """How many batches an epoch of all samples has."""
    return sampler.steps_per_epoch


def shard_key(sampler: Sampler, stream: Stream, step: Lane) -> ShardKey:
    """What update number `step` (from 0) of a worker draws from: its shard, in an order of its own."""
    at, count = stream.shard * SHARD_NUMBERS, shard_count(sampler, stream)
    worker, ahead = gather(sampler.shards, at + 2), gather(sampler.shards, at + 3)
    number = order_number(ahead + step, steps_of_shard(sampler, count))
    order = order_key_by_lane(stream.start, purpose_of(SAMPLE_ORDER, worker), number, sampler.seed, count)
    return ShardKey(gather(sampler.shards, at), worker, ahead, order)


def draw_from_shard(sampler: Sampler, key: ShardKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """A worker's sample at one place of a step's batch; with replacement where it has fewer than a batch, unless
    batches may be short.
    """
    batch, count = own_batch(sampler), key.order.elements
    place = ((key.ahead + step) % steps_of_shard(sampler, count)) * batch + element
    chosen = gather(sampler.members, key.begin + permuted_by_lane(minimum(place, count - 1), key.order))
    if sampler.keeps_short == 0 and any(count < batch):
        return where(count < batch, draw_shard_with_replacement(sampler, key, stream, step, element), chosen)
    return chosen


def draw_shard_with_replacement(sampler: Sampler, key: ShardKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """One of a worker's samples, drawn independently for one place of a step's batch."""
    word = random_words(stream.start, purpose_of(REPLACEMENT, key.worker), key.ahead + step, element, sampler.seed)[0]
    return gather(sampler.members, key.begin + multiply_high(word, key.order.elements))


def draw_shard_in_place(sampler: Sampler, key: ShardKey, stream: Stream, step: Lane, element: Lane) -> Lane:
    """All of a worker's samples, as they lie."""
    return gather(sampler.members, key.begin + minimum(stream.start * 0 + element, key.order.elements - 1))


def draw_of_all(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """A sample at one place of a batch that is the batches of all workers, one behind the other."""
    batch = own_batch(sampler)
    place = minimum(stream.start * 0 + element, sampler.batch - 1)
    own = Stream(stream.start, stream.replica, stream.shard + place // batch)
    return worker_draw(sampler, shard_key(sampler, own, step), own, step, place % batch)


def size_from_shard(sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """How many samples a worker's batch has."""
    if sampler.keeps_short == 0:
        return size_of_batch(sampler, stream, step)
    count, batch = shard_count(sampler, stream), own_batch(sampler)
    own = gather(sampler.shards, stream.shard * SHARD_NUMBERS + 3) + step
    return minimum(count - (own % steps_of_shard(sampler, count)) * batch, batch)


def size_of_shard(sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """How many samples a worker's batch has: all of its own."""
    return shard_count(sampler, stream)


def size_from_order(sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """How many samples a step's batch has: the last of an epoch may be short."""
    return minimum(sampler.sample_count - (step % sampler.steps_per_epoch) * sampler.batch, sampler.batch)


def size_of_batch(sampler: Sampler, stream: Stream, step: Lane) -> Lane:
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


def list_samples(sampler: Sampler, start: np.uint32, replica: int, shard: np.uint32, steps: int, out: Memory) -> None:
    """out[step, element]: the samples of the batches of a start's replica, or of a worker with samples of its own.

    Beyond a short batch's end stands the count of samples.
    """
    mode = set_float_mode()
    lane = splat(start, 1)
    stream = Stream(lane, replica, splat(shard, 1))
    for number in range(steps):
        step = lane * 0 + number
        key = draw_key(sampler, stream, step)
        size = batch_size(sampler, stream, step)
        for element in range(sampler.batch):
            index = draw(sampler, key, stream, step, element)
            out[number * sampler.batch + element] = extract(where(size > element, index, lane * 0 + sampler.sample_count), 0)
    restore_float_mode(mode)


class Shuffle(NamedTuple):
    """The parts of one way of drawing."""

    draw_key: Any
    draw: Any
    batch_size: Any
    fill: Any = fill_drawn
    order_number: Any = number_of_epoch
    epoch_steps: Any = run_epoch_steps
    worker_draw: Any = draw_from_shard


FROM_ORDER = Shuffle(run_key, draw_from_order, size_from_order)
FROM_BLOCK = Shuffle(block_key, draw_from_block, size_of_batch)
FROM_SHARD = Shuffle(shard_key, draw_from_shard, size_from_shard, epoch_steps=shard_epoch_steps)
OF_ALL = Shuffle(no_key, draw_of_all, size_of_batch)

# By what a sweep says, and, before it, whose samples they are: a run's, if nothing is said; those of a worker's
# place in a block that all share; those of a worker's own shard; those of the shards of all workers.
SHUFFLES = {
    "epoch": FROM_ORDER,
    "once": FROM_ORDER._replace(order_number=first_number),
    "replacement": Shuffle(no_key, draw_with_replacement, size_of_batch),
    "whole": Shuffle(no_key, draw_in_place, size_of_batch, fill_shared),
    "block epoch": FROM_BLOCK,
    "block once": FROM_BLOCK._replace(order_number=first_number),
    "block replacement": Shuffle(no_key, draw_block_with_replacement, size_of_batch),
    "shard epoch": FROM_SHARD,
    "shard once": FROM_SHARD._replace(order_number=first_number),
    "shard replacement": FROM_SHARD._replace(draw=draw_shard_with_replacement, batch_size=size_of_batch),
    "shard whole": FROM_SHARD._replace(draw=draw_shard_in_place, batch_size=size_of_shard),
    "shards epoch": OF_ALL,
    "shards once": OF_ALL._replace(order_number=first_number),
    "shards replacement": OF_ALL._replace(worker_draw=draw_shard_with_replacement),
}
