"""Synchronous data parallel: every step the workers' gradients are averaged, and one rule makes the step."""

from typing import Any

from gdsim.axes import Axis, Grid
from gdsim.distribution.base import SHARE, Distribution, Partition
from gdsim.distribution.compression import COMPRESSION
from gdsim.rules import PolyakStep, Rule


class Synchronous(Distribution, tag="synchronous", frozen=True, kw_only=True):
    """Every step is made of the mean of all workers' gradients, as in PyTorch's DistributedDataParallel.

    K workers of `batch` samples each make one step of K * batch samples: worker k takes the k-th batch of the
    step's K * batch samples of the common order, and what is trained is the plain run of that batch size. With
    `backup` b, K + b workers are launched and the slowest b gradients are left out (Chen et al. 2016), which
    changes the time that a step takes. With `dropped` each gradient is lost with that probability, and the
    step is made of the mean of those that arrive, or of their sum over K; none makes no step. Sweeps with
    `dropped`, and with `backup` on a partition, are declared and not trained yet. Whole shards of unequal
    sizes (batch=None) count by their samples: the step is made of the gradient of all samples. With
    `compression` workers send messages that are made of their gradients, and the optimizer steps by the mean of
    what is received, each worker counting alike, or by the majority vote of bare signs.

    >>> Synchronous(workers=[1, 4, 16])
    Synchronous(workers=[1, 4, 16])
    """

    workers: Axis
    backup: Axis = 0
    dropped: Axis = 0.0
    mean_over: str | Grid = "arrived"
    compression: Any = None

    sizes = {"workers": 1, "backup": 0}
    ranges = {"dropped": SHARE}
    choices = {"mean_over": ("arrived", "workers")}
    holds = {"compression": COMPRESSION}
    meanings = {
        **Distribution.meanings,
        "workers": "How many workers' gradients make a step.",
        "backup": "Workers launched beyond these, as many of the slowest of which are left out.",
        "dropped": "Probability with which a worker's gradient is lost in a step.",
        "mean_over": "What the sum of the gradients that arrive is divided by: their number, or that of all workers.",
        "compression": "What workers send in the place of their gradients; None for these.",
    }

    def makes_one_batch(self, partition: Partition | None) -> bool:
        """The mean of all gradients is that of all their samples, where no gradient is left out; of samples that
        all share it is the same whose gradient comes last.
        """
        return self.dropped == 0.0 and (self.backup == 0 or partition is None) and self.compression is None

    def why_not_trained(self, partition: Partition | None) -> str:
        """Gradients that are lost have no kernel yet."""
        if self.dropped != 0.0:
            return "Synchronous.dropped is declared and not trained yet: leave it out"
        if self.backup != 0 and not self.makes_one_batch(partition):
            return "Synchronous.backup is not trained with a partition or compression yet: leave one of the two out"
        return ""

    def why_not_by(self, rule: Rule) -> str:
        """Messages have no loss, and are of one point."""
        asks = rule.perturbs or isinstance(rule.innermost, PolyakStep)
        is_compressed = any(one.compression is not None for one in self.variants())
        return "with compression has messages alone, and no losses of batches or gradients at other points" if asks and is_compressed else ""
