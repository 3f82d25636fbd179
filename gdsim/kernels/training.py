"""The training loop of a pack as a template: steps of every lane, bounded in number, with all state kept between calls.

Names that are parts: the rule's `prepare`, `update` and `report`, the schedule's `rate`, the shuffle's functions, the
problem's `activation`, `slope` and `sample_loss`, and the constants of `parts`.
"""

from typing import Any, NamedTuple

from gdsim.kernels.network import BLOCK, TILE, backward, forward, layer_at, layer_count
from gdsim.lanes.elementary import two_sum
from gdsim.lanes.operations import any, as_type_of, largest_magnitude, load, splat, store, where
from gdsim.lanes.parts import (
    CARRY_COUNT,
    NUMBER_COUNT,
    NUMBERS,
    SLOT_COUNT,
    WIDTH,
    ZERO,
    batch_size,
    fill,
    penalized,
    prepare,
    rate,
    report,
    restore_float_mode,
    sample_loss,
    set_float_mode,
    update,
)  # fmt: skip
from gdsim.lanes.tiles import load_row, store_row

# Why a lane needs the driver: what `Watch.flags` says.
LOSS_BEYOND_BOUND, TARGET_REACHED, WEIGHTS_BEYOND_BOUND = 1, 2, 4
# What is done with a finished gradient.
UPDATE, WRITE, ADD = 0, 1, 2


class Watch(NamedTuple):
    """What is looked at in every step, and what was seen."""

    active: Any  # uint32: whether the lane holds a run that goes on
    flags: Any  # uint32
    largest: Any  # bits of the largest magnitude of a weight in this step
    best: Any  # the lowest loss of a step's batch
    loss_bound: Any
    target: Any  # -inf where there is none
    weight_bound: Any  # bits


class Pack(NamedTuple):
    """The state of a pack's runs, lane by lane: all that it takes to go on."""

    weights: Any  # [place in the network's layout]
    slots: Any  # [place, slot]: the rule's state beside the weight it serves
    carry: Any  # the rule's state per run
    numbers: Any  # the hyperparameters and what follows from them
    start: Any  # uint32
    step: Any  # uint32: updates applied
    watch: Watch


class Job(NamedTuple):
    """One block of one step: how many samples, what to do with gradients, and the step's numbers."""

    count: Any
    action: Any
    pack: Any
    step: Any


class Sample(NamedTuple):
    """One sample's place in the buffers, in elements: outputs, deltas and targets of all lanes."""

    values: Any
    output: Any
    target: Any
    deltas: Any
    delta: Any
    stride: Any
    units: Any


def update_weight(pack: Any, step: Any, place: Any, g: Any, is_weight: Any) -> Any:
    """One weight's update from its gradient; the new weight."""
    w = load(pack.weights, place * WIDTH, WIDTH)
    if is_weight:
        g = penalized(g, w, step)
    slots = load_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, SLOT_COUNT, WIDTH)
    w, slots = update(w, g, slots, step.rule)
    store(pack.weights, place * WIDTH, w)
    store_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, slots)
    return w


def update_tile(network: Any, job: Any, place: Any, shape: Any) -> None:
    """Uses a tile of gradients: updates its weights, or keeps the sums until all blocks of the batch are in.

    A shape of no columns is a bias, which the penalty leaves out.
    """
    if job.action != UPDATE:
        keep_tile(network, job, place, shape)
        return
    first, pitch = place
    rows, columns = shape
    watch = job.pack.watch
    largest = load(watch.largest, 0, WIDTH)
    for row in range(rows):
        for column in range(max(columns, 1)):
            g = load(network.tile, (row * TILE + column) * WIDTH, WIDTH)
            largest = largest_magnitude(largest, update_weight(job.pack, job.step, first + row * pitch + column, g, columns > 0))
    store(watch.largest, 0, largest)


def keep_tile(network: Any, job: Any, place: Any, shape: Any) -> None:
    """Writes or adds a tile of gradients beside the weights."""
    first, pitch = place
    rows, columns = shape
    for row in range(rows):
        for column in range(max(columns, 1)):
            there = (first + row * pitch + column) * WIDTH
            g = load(network.tile, (row * TILE + column) * WIDTH, WIDTH)
            store(network.gradients, there, g if job.action == WRITE else load(network.gradients, there, WIDTH) + g)


def update_all(network: Any, pack: Any, step: Any) -> None:
    """Updates every weight from the gradients that the blocks of a batch have left."""
    largest = load(pack.watch.largest, 0, WIDTH)
    for index in range(layer_count(network)):
        layer = layer_at(network, index)
        for unit in range(layer.units):
            for column in range(layer.inputs + 1):
                is_weight = column < layer.inputs
                place = layer.weights + unit * layer.pitch + (column if is_weight else layer.pitch - 1)
                g = load(network.gradients, place * WIDTH, WIDTH)
                largest = largest_magnitude(largest, update_weight(pack, step, place, g, is_weight))
    store(pack.watch.largest, 0, largest)


def sample_at(network: Any, features: Any, number: Any) -> Any:
    """The place of one sample of the block; its targets lie behind its features."""
    layer = layer_at(network, layer_count(network) - 1)
    pitch = network.pitch
    return Sample(
        network.activations, (layer.result + number) * WIDTH, (features * pitch + number) * WIDTH,
        network.deltas, (layer.above + number) * WIDTH, pitch * WIDTH, layer.units,
    )  # fmt: skip


class Sum(NamedTuple):
    """A compensated sum: the rounded total and what rounding has lost."""

    total: Any
    error: Any


def added(total: Any, term: Any) -> Any:
    """The sum with one more term."""
    head, rest = two_sum(total.total, term)
    return Sum(head, total.error + rest)


def total_of(sum_: Any) -> Any:
    """The sum with what rounding has lost."""
    return sum_.total + sum_.error


def block_loss(network: Any, features: Any, valid: Any, share: Any) -> Any:
    """The sum of the losses of a block's samples; the deltas of the outputs are left in the buffer, times `share`.

    `valid` is (samples in the block, how many of them count in each lane).
    """
    count, limit = valid
    nothing = splat(ZERO, WIDTH)
    total = nothing
    for b in range(count):
        sample = sample_at(network, features, b)
        counts = limit > b
        loss = sample_loss(sample)
        total = total + where(counts, loss, nothing)
        for unit in range(sample.units):
            place = sample.delta + unit * sample.stride
            store(network.deltas, place, where(counts, load(network.deltas, place, WIDTH) * share, nothing))
    return total


class Step(NamedTuple):
    """The numbers of one step: what the rule needs, and the penalty."""

    rule: Any
    l2: Any


def begin_step(pack: Any) -> Any:
    """(the numbers of the next step, the rule's new carry)."""
    t = load(pack.step, 0, WIDTH) + 1
    h = NUMBERS(*load_row(pack.numbers, 0, WIDTH, NUMBER_COUNT, WIDTH))
    carry = load_row(pack.carry, 0, WIDTH, CARRY_COUNT, WIDTH)
    step, carry = prepare(h, rate(h.lr, t, h), carry)
    return Step(step, h.l2), carry


def learn_from_batch(network: Any, pack: Any, feed: Any, step: Any) -> Any:
    """Whether the loss of the step's batch stops a lane; if not, its gradients have been used, or left where it has several blocks.

    The loss is known before the last block's gradients are made: where it stops a lane, no weight has moved.
    """
    start, number = load(pack.start, 0, WIDTH), load(pack.step, 0, WIDTH)
    size = batch_size(feed, number)
    total = Sum(splat(ZERO, WIDTH), splat(ZERO, WIDTH))
    samples = as_type_of(size, total.total)
    share = 1.0 / samples
    single = feed.batch <= BLOCK
    for first in range(0, feed.batch, BLOCK):
        count = min(BLOCK, feed.batch - first)
        fill(network, feed, start, number, (first, count))
        forward(network, pack.weights, count)
        loss = block_loss(network, feed.features, (count, where(size > first, size - first, size * 0)), share)
        total = added(total, loss)
        if first + count == feed.batch and stops_here(pack.watch, total_of(total) / samples):
            return True
        backward(network, pack.weights, Job(count, UPDATE if single else (WRITE if first == 0 else ADD), pack, step))
    return False


def stops_here(watch: Any, loss: Any) -> Any:
    """Whether the loss of a step's batch ends a run before its update; the flags say which and why."""
    best = load(watch.best, 0, WIDTH)
    store(watch.best, 0, where(loss < best, loss, best))
    active = load(watch.active, 0, WIDTH) != 0
    none = load(watch.flags, 0, WIDTH) * 0
    beyond = active & ~(loss <= load(watch.loss_bound, 0, WIDTH))
    reached = active & (loss <= load(watch.target, 0, WIDTH))
    store(watch.flags, 0, where(beyond, none + LOSS_BEYOND_BOUND, where(reached, none + TARGET_REACHED, none)))
    return any(beyond | reached)


def train_steps(network: Any, pack: Any, feed: Any, steps: Any) -> Any:
    """Up to `steps` steps of every lane; fewer if a lane needs the driver. How many updates were made."""
    watch = pack.watch
    for done in range(steps):
        step, carry = begin_step(pack)
        store(watch.largest, 0, load(watch.largest, 0, WIDTH) * 0)
        if learn_from_batch(network, pack, feed, step):
            return done
        if feed.batch > BLOCK:
            update_all(network, pack, step)
        store_row(pack.carry, 0, WIDTH, carry)
        store(pack.step, 0, load(pack.step, 0, WIDTH) + 1)
        beyond = (load(watch.active, 0, WIDTH) != 0) & (load(watch.largest, 0, WIDTH) > load(watch.weight_bound, 0, WIDTH))
        if any(beyond):
            none = load(watch.flags, 0, WIDTH) * 0
            store(watch.flags, 0, where(beyond, none + WEIGHTS_BEYOND_BOUND, none))
            return done + 1
    return steps


def train(network: Any, pack: Any, feed: Any, steps: Any) -> Any:
    """The kernel: `train_steps` in the IEEE default mode, whatever mode the process is in."""
    mode = set_float_mode()
    done = train_steps(network, pack, feed, steps)
    restore_float_mode(mode)
    return done


def report_weights(pack: Any, out: Any) -> None:
    """The reported parameters of every lane, from the stored ones."""
    mode = set_float_mode()
    step, _ = begin_step(pack)
    for place in range(len(out) // WIDTH):
        slots = load_row(pack.slots, place * SLOT_COUNT * WIDTH, WIDTH, SLOT_COUNT, WIDTH)
        store(out, place * WIDTH, report(load(pack.weights, place * WIDTH, WIDTH), slots, step.rule))
    restore_float_mode(mode)
