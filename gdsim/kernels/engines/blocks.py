"""What all rules have in common of a network's step: its batch is drawn, and goes block by block forward and
back up to the deltas. Evaluations take the same passes.

Both are kernels of their own, called by their addresses, so that a sweep over rules compiles them once: a
rule's steps hold nothing but what the rule makes of activations and deltas. The problem decides `passes`, the
shuffle `batches`. A driver of another device binds the bodies in the place of the calls: `pass_block`, in which
the parts of evaluations hold, for `run_passes`, and `batch_in_place` for `run_batch`.
"""

from typing import NamedTuple

from gdsim.kernels.attendants import meet
from gdsim.kernels.engines.passes import BLOCK, all_deltas, all_gradients, edge_at, edge_count, forward
from gdsim.kernels.parts import RUNS, job_model, job_pack, job_passing, job_training_sampler
from gdsim.kernels.sampling import stream_of
from gdsim.kernels.state import Pack, Sum, added, total_of
from gdsim.kernels.steps import stops_here
from gdsim.kernels.workspace import AnyNetwork, GradientTask, Matrix, matrix_at
from gdsim.lanes.memory import call_kernel, stack_table
from gdsim.lanes.operations import as_type_of, load, splat, store, where, widen
from gdsim.lanes.parts import WIDTH, ZERO, default_part
from gdsim.lanes.permutation import OrderKey
from gdsim.lanes.types import Address, Lane, Lanes, Mask, Memory
from gdsim.problems.parts import WEIGHTED, Sample, Sampler, Stream, batch_size, fill, sample_loss

# How far a block goes: its activations, its losses with the outputs' deltas, all deltas, the gradients written or
# added beside the weights.
FORWARD, LOSSES, DELTAS, WRITE, ADD = 0, 1, 2, 3, 4

# What is asked of a step's batch, as bits: whether its loss may end a run; the gradients, and not the deltas alone.
TESTS_LOSS, KEEPS_GRADIENTS = 1, 2


class Passing(NamedTuple):
    """A block of samples on its way through a network."""

    network: AnyNetwork
    weights: Memory
    sampler: Sampler
    inputs: Matrix  # A_0[input, sample]
    samples: int


def sample_at(network: AnyNetwork, sampler: Sampler, number: int) -> Sample:
    """The place of one sample of the block.

    Its targets lie behind its features, its weight, if it has one, behind them.
    """
    edge = edge_at(network, edge_count(network) - 1)
    pitch = network.pitch
    return Sample(
        network.activations, edge.result.offset + number * WIDTH, (sampler.features * pitch + number) * WIDTH,
        network.deltas, edge.result.offset + number * WIDTH, pitch * WIDTH, edge.units, ((sampler.columns - 1) * pitch + number) * WIDTH,
    )  # fmt: skip


def shared_loss(sample: Sample, counts: Mask, share: Lane) -> Lane:
    """A sample's loss in the lanes where it counts.

    The deltas of its outputs are left in the buffer, times `share`.
    """
    zero = splat(ZERO, WIDTH)
    loss, weight = sample_loss(sample), zero
    if WEIGHTED:
        weight = load(sample.values, sample.weight, WIDTH)
        loss = loss * weight
    for unit in range(sample.units):
        place = sample.delta + unit * sample.stride
        delta = load(sample.deltas, place, WIDTH) * share
        if WEIGHTED:
            delta = delta * weight
        store(sample.deltas, place, where(counts, delta, zero))
    return where(counts, loss, zero)


@default_part
def block_loss(network: AnyNetwork, sampler: Sampler, inputs: Matrix, valid: tuple[int, Lane], share: Lane) -> Lane:
    """The sum of the losses of a block's samples.

    The deltas of the outputs are left in the buffer, times `share`.

    `valid` is (samples in the block, how many of them count in each lane).
    """
    count, limit = valid
    total = splat(ZERO, WIDTH)
    for b in range(count):
        total = total + shared_loss(sample_at(network, sampler, b), limit > b, share)
    return total


class PassingJob(NamedTuple):
    """What the kernel `passes` works on."""

    passing: Passing


def pass_block(block: Passing, aim: int) -> None:
    """A block of samples through a network, as far as `aim`.

    How many samples count in each lane, and how many the mean is over, stand in `network.counts` and
    `network.samples`; the sum of the losses is left in `network.loss`.
    """
    network, weights, count = block.network, block.weights, block.samples
    forward(network, weights, block.inputs, count)
    if aim >= LOSSES:
        valid = count, load(network.counts, 0, WIDTH)
        store(network.loss, 0, block_loss(network, block.sampler, block.inputs, valid, 1.0 / load(network.samples, 0, WIDTH)))
        meet()
    if aim >= DELTAS:
        all_deltas(network, weights, count)
    if aim >= WRITE:
        all_gradients(network, GradientTask(count, aim == WRITE, None, None), block.inputs)
        meet()


@default_part
def batch_inputs(network: AnyNetwork, sampler: Sampler) -> Matrix:
    """The inputs of a step's samples of one block, once they are drawn."""
    return matrix_at(network.activations, edge_at(network, 0).source)


@default_part
def drawn_samples(network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, block: tuple[int, int]) -> Matrix:
    """The inputs of a block (first, count) of a step's batch, which every run of a pack draws for itself.

    It needs no `key`.
    """
    fill(network, sampler, stream_of(pack, 0), load(pack.step, 0, WIDTH), block)
    return batch_inputs(network, sampler)


@default_part
def step_weights(network: AnyNetwork, pack: Pack) -> Memory:
    """The weights that a step's passes read: those of its pack."""
    return pack.weights


def batch_ends(network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, what: int) -> bool:
    """Draws a step's batch and takes it through the network; whether its loss ends a run, where `what` asks.

    The deltas of all layers are left, or the gradients; the sum of the losses in `network.loss`, their mean in
    the monitor.
    """
    size = batch_size(sampler, Stream(load(pack.start, 0, RUNS), pack.replica, load(pack.shard, 0, RUNS)), load(pack.step, 0, RUNS))
    total = Sum(splat(ZERO, RUNS), splat(ZERO, RUNS))
    samples = as_type_of(size, total.total)
    store(network.samples, 0, widen(samples, WIDTH))
    weights = step_weights(network, pack)
    for first in range(0, sampler.batch, BLOCK):
        count = min(BLOCK, sampler.batch - first)
        inputs = drawn_samples(network, pack, sampler, key, (first, count))
        store(network.counts, 0, widen(where(size > first, size - first, size * 0), WIDTH))
        aim = DELTAS if what & KEEPS_GRADIENTS == 0 else WRITE if first == 0 else ADD
        run_passes(Passing(network, weights, sampler, inputs, count), aim)
        total = added(total, load(network.loss, 0, RUNS))
    meet()
    store(network.loss, 0, total_of(total))
    store(pack.monitor.loss, 0, total_of(total) / samples)
    return what & TESTS_LOSS != 0 and stops_here(pack.monitor, total_of(total) / samples)


def passes(table: Address, aim: int) -> int:
    """The kernel of `pass_block`."""
    pass_block(job_passing(table), aim)
    return 0


def batches(table: Address, what: int) -> int:
    """The kernel of `batch_ends`, of a training job."""
    return 1 if batch_ends(job_model(table).step, job_pack(table), job_training_sampler(table), (), what) else 0


@default_part
def run_passes(block: Passing, aim: int) -> None:
    """Calls the kernel `passes` by its address."""
    call_kernel(block.network.passes, stack_table(block), aim)


@default_part
def run_batch(table: Address, network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, what: int) -> bool:
    """Calls the kernel `batches` by its address."""
    return call_kernel(network.batches, table, what) != 0


def batch_in_place(table: Address, network: AnyNetwork, pack: Pack, sampler: Sampler, key: OrderKey | Lanes, what: int) -> bool:
    """`run_batch` where steps keep the key of their order: no call."""
    return batch_ends(network, pack, sampler, key, what)
