"""Synchronous data parallel: every step the workers' gradients are averaged, and one rule makes the step."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gdsim.axes import Axis, Grid, checked_axis_of, extremes, joint_kind
from gdsim.distribution.base import SHARE, Distribution, Partition, most_of
from gdsim.distribution.compression import COMPRESSION
from gdsim.distribution.compute_times import COMPUTE_TIME_LAW, FORM_OF_SPEEDS, ComputeTime, ExponentialTime, checked_compute_time, checked_speeds
from gdsim.rules import PolyakStep, Rule


class Synchronous(Distribution, tag="synchronous", frozen=True, kw_only=True):
    """Every step is made of the mean of all workers' gradients, as in PyTorch's DistributedDataParallel.

    K workers of `batch` samples each make one step of K * batch samples: worker k takes the k-th batch of the
    step's K * batch samples of the common order, and what is trained is the plain run of that batch size. Whole
    shards of unequal sizes (batch=None) count by their samples: the step is made of the gradient of all samples.
    With `compression` workers send messages that are made of their gradients, and the optimizer steps by the
    mean of what is received, or by the majority vote of bare signs.

    With `backup` b, K + b workers are launched, and in each step the gradients of the slowest b are left out (Chen
    et al. 2016, arXiv:1604.00981). Where all draw from the same samples and send whole gradients it changes only
    the time of a step. With a partition, which then has K + b parts, or with compression it matters whose they
    are: the workers' times are drawn by the law `compute` and their `speeds`, exponential if not given, of two
    equal ones the lower worker is faster, and `gd.analysis.simulated_seconds` takes a cluster of that law alone.
    Where `compute` or `speeds` are given it is so in any case. The `samples` of results count those of all K + b
    workers: what is left out was computed too.

    With `dropped` each gradient is lost with that probability, drawn from the seed, the start, the worker and the
    step: the same in every cell, whatever its time. The step is made of the mean of the n gradients that arrive,

        g = (1/n) sum_arrived g_k,    E g = the mean of all,    Var g = sigma^2 E[1/n | n > 0],

    or of their sum over K with `mean_over="workers"`. None makes no step: weights and the optimizer's state, with
    its own count of steps, stay, while samples and seconds are spent; schedules go by all steps. Of compressed
    messages a lost one stays lost: `gd.ErrorFeedback` remembers what it did not send of it, as if it had arrived;
    where no message arrives `gd.PowerSGD` has no mean to send, and memories stay. `gd.EF21`'s vector stays at both
    ends, and the step is made of the mean of all workers' vectors (EF21-PP, Fatkhullin et al. 2021,
    arXiv:2110.03294), whatever `mean_over`. A message that is left out is like a lost one. With compression, with
    `dropped`, and where it matters who is slow, each worker counts alike.

    >>> Synchronous(workers=[1, 4, 16])
    Synchronous(workers=[1, 4, 16])
    >>> Synchronous(workers=2, backup=1, speeds=[1, 1, 0.5])
    Synchronous(workers=2, backup=1, speeds=[1, 1, 0.5])
    """

    workers: Axis
    backup: Axis = 0
    dropped: Axis = 0.0
    mean_over: str | Grid = "arrived"
    compression: Any = None
    compute: Any = None
    speeds: Any = None

    sizes = {"workers": 1, "backup": 0}
    ranges = {"dropped": SHARE}
    choices = {"mean_over": ("arrived", "workers")}
    holds = {"compression": COMPRESSION, "compute": COMPUTE_TIME_LAW}
    forms = {"speeds": FORM_OF_SPEEDS}
    meanings = {
        **Distribution.meanings,
        "workers": "How many workers' gradients make a step.",
        "backup": "Workers launched beyond these, as many of the slowest of which are left out.",
        "dropped": "Probability with which a worker's gradient is lost in a step.",
        "mean_over": "What the sum of the gradients that arrive is divided by: their number, or that of all workers.",
        "compression": "What workers send in the place of their gradients; None for these.",
        "compute": "The law of compute times by which the slowest are left out; only its shape matters. None for exponential times.",
        "speeds": "The speed of each worker that is launched, or None for 1 each.",
    }

    def __post_init__(self) -> None:
        """Takes a schedule of a law's name for the law."""
        law = checked_axis_of(self.compute, "Synchronous.compute", lambda value, name: value and checked_compute_time(value, name))
        msgspec.structs.force_setattr(self, "compute", law)
        msgspec.structs.force_setattr(self, "speeds", checked_speeds(self.speeds, "Synchronous.speeds"))
        super().__post_init__()

    def check_together(self) -> None:
        """Refuses speeds that are not one for each worker launched, whether some of these are backup or none."""
        if self.speeds is None:
            return
        launched = sorted({count for count, _ in self._launches()})
        if len(launched) > 1:
            raise ValueError(
                f"Synchronous.speeds are of one number of workers that are launched, and workers + backup make {' and '.join(map(str, launched))}: "
                "let them advance together, as workers=gd.zip(4, 3), backup=gd.zip(0, 1) do"
            )
        if launched != [len(self.speeds)]:
            raise ValueError(f"Synchronous.speeds must have one for each of the {launched[0]} workers that are launched; {len(self.speeds)} were given")

    def check_used(self) -> None:
        """Refuses times of workers of whom none are left out, and what to do about gradients of which none are lost."""
        given = [name for name in ("compute", "speeds") if getattr(self, name) is not None]
        if given and most_of(self.backup) == 0:
            raise ValueError(f"Synchronous.{given[0]} is for leaving out the slowest workers, and backup=0 leaves out none: give backup, or leave it out")
        if self.mean_over != "arrived" and most_of(self.dropped) == 0.0:
            raise ValueError("Synchronous.mean_over is for gradients that are lost, and dropped=0 loses none: give dropped, or leave it out")

    def _launches(self) -> Iterator[tuple[int, int]]:
        """(how many workers are launched, how many of these are backup), of axes in all combinations of ends."""
        joint = joint_kind(self.workers)
        pairs = zip if joint == "zipped" and joint == joint_kind(self.backup) else itertools.product
        return ((int(workers + spare), int(spare)) for workers, spare in pairs(extremes(self.workers), extremes(self.backup)))

    @property
    def law(self) -> ComputeTime:
        """By which the slowest are left out."""
        return ExponentialTime(1.0) if self.compute is None else self.compute

    def leaves_out(self, partition: Partition | None) -> bool:
        """Whether it matters to what is trained who is slow."""
        return self.backup != 0 and any(one is not None for one in (partition, self.compression, self.compute, self.speeds))

    def launched(self, partition: Partition | None) -> int:
        return max(count for count, _ in self._launches()) if self.leaves_out(partition) else self.team

    @property
    def owners(self) -> tuple[int, ...]:
        """Backup workers have samples of their own too."""
        return tuple(dict.fromkeys(count for count, _ in self._launches()))

    def makes_one_batch(self, partition: Partition | None) -> bool:
        """The mean of all gradients is that of all their samples, where no gradient is left out; of samples that
        all share it is the same whose gradient comes last.
        """
        return self.dropped == 0.0 and not self.leaves_out(partition) and self.compression is None

    def structure(self) -> list[Any]:
        return [*super().structure(), self.dropped != 0.0]

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """The second number of the law of compute times, where there may be backup workers."""
        found = super().constants(values, parameters)
        return found if self.backup == 0 else {**found, "shape": values.get(f"compute_{self.law.shape_name}", 0.0)}

    def samples_computed(self, batch: int) -> int:
        """Backup workers compute theirs too, whose gradients ever are left out."""
        return batch * max(count for count, _ in self._launches())

    def samples_in_common(self, batch: int) -> int:
        return batch * self.launched(None)

    def gradients_of_step(self, partition: Partition | None) -> int:
        """Those that are left out are computed too."""
        return self.launched(partition)

    def why_not_by(self, rule: Rule, partition: Partition | None) -> str:
        """What the server receives has no loss, and is of one point."""
        asks = rule.perturbs or isinstance(rule.innermost, PolyakStep)
        if not asks or all(one.makes_one_batch(partition) for one in self.variants()):
            return ""
        return "has single gradients or messages, with compression, dropped, or backup on shards, and no losses of batches or gradients at other points"
