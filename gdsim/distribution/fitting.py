"""Whether a distribution fits what it is to train: the samples, the steps, the optimizer, the stops."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gdsim.distribution.base import STEPS, Distribution, Partition, most_of
from gdsim.distribution.compression import Compressor, Shapes
from gdsim.problems import Problem
from gdsim.rules import Rprop, Rule
from gdsim.stops import Cycling, Plateau, Record, SmallStep, Stop
from gdsim.words import count_of


class Trained(NamedTuple):
    """What is trained, as far as it matters to workers."""

    samples: int  # which workers share; 0 without data, and where each draws with replacement, who may be as many as one likes
    batch: int | None  # samples of a worker's step, None for all of its own
    steps: int


def check_trainable(one: Distribution, partition: Partition | None, trained: Trained, rules: Sequence[Rule]) -> None:
    """Refuses a distribution, or its axes, that cannot train what it is given. Raises ValueError."""
    one.check_used()
    kind, team, shared = type(one).__name__, one.launched(partition), partition is None
    if team > max(1, trained.samples) and trained.samples:
        raise ValueError(f"{kind} has {team} workers, and the data {count_of(trained.samples, 'sample')}: give at most as many workers as samples")
    if trained.samples and trained.batch and shared and one.samples_in_common(trained.batch) > trained.samples:
        needed = one.samples_in_common(trained.batch)
        raise ValueError(
            f"{kind}: {team} workers with batch={trained.batch} take {needed} samples in a step, and the data has {trained.samples}: "
            f"give a batch of at most {trained.samples // team}, or fewer workers"
        )
    period = getattr(one, "period", None)
    if period is not None and most_of(period) > trained.steps:
        raise ValueError(f"{kind}.period={most_of(period):g} is longer than the runs, which have {count_of(trained.steps, 'step')}: no exchange would come")
    buffer = getattr(one, "buffer", None)
    if buffer is not None and most_of(buffer) > trained.steps:
        raise ValueError(f"{kind}.buffer={most_of(buffer):g} is longer than the runs, which have {count_of(trained.steps, 'step')}: no update would come")
    if trained.samples:
        _check_epochs(one, partition, trained)
    for rule in rules:
        if reason := one.why_not_by(rule, partition):
            raise ValueError(f"{kind} {reason}: take another optimizer than {type(rule).__name__}")
        if isinstance(rule.innermost, Rprop) and any(getattr(v, "state", "") == "average" for v in one.variants()):
            raise ValueError(f'{kind}.state="average" is not defined for Rprop, whose step sizes go by signs: take "keep" or "reset"')
        if rule.needs_whole_gradient and any(getattr(v, "tracking", False) for v in one.variants()):
            raise ValueError(
                f"{kind}(tracking=True) makes workers step by what tracks the mean gradient, and {type(rule).__name__} goes by the length or the loss of a "
                f"worker's own batch: take another optimizer, or leave tracking out"
            )


def _check_epochs(one: Distribution, partition: Partition | None, trained: Trained) -> None:
    """Refuses passes of clients that make rounds too long to count, or that would not end."""
    epochs = getattr(one, "epochs", None)
    if epochs is None:
        return
    length, shared = int(most_of(epochs)) * -(-trained.samples // (trained.batch or trained.samples)), partition is None
    made = f"{count_of(trained.samples, 'sample')} make rounds of {'' if shared else 'up to '}{count_of(length, 'step')}"
    said = f"{type(one).__name__}.epochs={most_of(epochs):g} of {made}"
    if length > STEPS.high:
        raise ValueError(f"{said}, and {int(STEPS.high):,} are the most: give fewer epochs or a larger batch")
    if shared and length > trained.steps:
        raise ValueError(f"{said}, and the runs have {count_of(trained.steps, 'step')}: no round would end")


def check_compressed(one: Distribution, parameters: int, shapes: Shapes) -> None:
    """Refuses compression that a model of so many parameters, among them matrices of these shapes, does not fit.

    Raises ValueError.
    """
    for variant in one.variants():
        compression: Compressor | None = getattr(variant, "compression", None)
        if compression is not None:
            compression.check_model({name: most_of(axis) for name, axis in compression.hyperparameters().items()}, parameters, shapes)


def message_sizes(one: Distribution, problem: Problem, size: int) -> tuple[int, int]:
    """(how many numbers, bytes of each) of a message of a model, with `size` bytes of a number; of a compressed
    one its bytes, one by one.
    """
    compression: Compressor | None = getattr(one, "compression", None)
    if compression is None:
        return problem.parameter_count, size
    shapes = [(units, inputs) for inputs, units in problem.layers]
    return -(-compression.bits(problem.parameter_count, shapes, number=8 * size) // 8), 1


def samples_of_step(one: Distribution | None, partition: Partition | None, samples: int, batch: int | None) -> int:
    """How many samples a step is made of, those of all workers together: of each `batch`, or all of its own if None.
    Where one worker makes a step, and has all of its own in it, it is the mean over workers.

    >>> from gdsim.distribution import LocalSGD
    >>> samples_of_step(LocalSGD(workers=4), None, 100, 8), samples_of_step(None, None, 100, None)
    (32, 100)
    """
    return batch or samples if one is None else _of_all(one.samples_of_step, one, partition, samples, batch)


def samples_computed(one: Distribution | None, partition: Partition | None, samples: int, batch: int | None) -> int:
    """How many samples the gradients of a step are of: `samples_of_step`, and those of gradients that are left out.

    >>> from gdsim.distribution import Synchronous
    >>> samples_computed(Synchronous(workers=2, backup=1), None, 100, 8)
    24
    """
    return batch or samples if one is None else _of_all(one.samples_computed, one, partition, samples, batch)


def _of_all(of_step: Callable[[int], int], one: Distribution, partition: Partition | None, samples: int, batch: int | None) -> int:
    """What `of_step` says of batches, or of all that workers have, where shards differ of their mean size."""
    if batch is None and partition is not None:
        workers = max(one.owners)
        return of_step(1) * partition.samples_held(samples, workers) // workers
    return of_step(batch or samples)


def check_looks(stops: Sequence[Stop], record: Record, has_tangents: bool) -> None:
    """Refuses what looks into single steps, of which workers make several apart from each other.

    Raises ValueError.
    """
    for stop in stops:
        if isinstance(stop, (SmallStep, Cycling)) or (isinstance(stop, Plateau) and stop.batches):
            name = "gd.Plateau(batches=True)" if isinstance(stop, Plateau) else f"gd.{type(stop).__name__}"
            raise ValueError(f"{name} looks at every step, and workers make theirs apart: take gd.Plateau or gd.SmallGradient, or no distribution")
    if has_tangents:
        raise ValueError("tangents are of runs with one worker: leave tangents or distribution out")
    if record.sharpness:
        raise ValueError("record.sharpness=True is of runs with one worker: leave it or distribution out; gd.curvature takes the parameters of any result")
