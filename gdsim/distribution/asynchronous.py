"""Workers that do not wait for each other: gradients that are old when they reach the server."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, Range, values
from gdsim.distribution.base import STEPS, Distribution, Held, Part, Partition, least_of, most_of
from gdsim.distribution.compute_times import COMPUTE_TIME_LAW, FORM_OF_SPEEDS, SECONDS, ExponentialTime, checked_compute_time, checked_speeds
from gdsim.rules import Rule

STALENESS = Range(0.0, 2.0**16, high_allowed=True)
MOST_MEANS = 1e6  # of compute times that messages take
LEAST_LOG = -1e3  # whose exponential is 0
RAREST = 1e-9  # share of a geometric law's gradients that would be older than the oldest point kept


class Staleness(Part, frozen=True):
    """How many updates of the server lie between the reading of the weights and the update by the gradient there.

    A staleness that is given reads the weights of so many updates before, or the start's where there were
    fewer; updates are made for the workers in turn.
    """

    meanings = {
        "compute": "The law of the compute times of a step; only its shape matters to the order of updates.",
        "speeds": "The speed of each worker, or None for 1 each.",
        "messages": "How long the messages of a step take, the weights that a worker gets and the gradient that it sends, in the unit of compute's mean.",
        "steps": "How many updates old each gradient is.",
        "mean": "How many updates old gradients are in the mean.",
        "most": "How many updates old a gradient is at most.",
    }

    def oldest(self) -> int:
        """How many updates old a gradient is at most, where that is given."""
        return 0

    @property
    def points(self) -> int:
        """How many of the server's earlier weights are kept for a given staleness: a power of two, so that few
        sizes differ.
        """
        return 1 << self.oldest().bit_length()

    def every_size(self) -> list[Any]:
        return [*super().every_size(), self.points]


class Queue(Staleness, tag="queue", frozen=True):
    """Each worker reads the weights, computes for a random time, has its gradient applied, and reads again.

    The staleness is what comes of it: K - 1 in the mean for K workers of any speeds (once all have come), its
    distribution geometric for exponential times and constant for constant ones. Updates at the same time go
    by the number of the worker. A worker's cycle is its compute time and its `messages`, which on a cluster take 2
    (latency + bytes / bandwidth) seconds, be it one worker and a server too: the longer they take, the less the times
    of compute decide the order.

    >>> import gdsim as gd
    >>> gd.Queue(gd.ExponentialTime(0.01), speeds=[1, 1, 0.5], messages=0.002).messages
    0.002
    """

    compute: Any = ExponentialTime(1.0)
    speeds: Any = None
    messages: Axis = 0.0

    holds = {"compute": COMPUTE_TIME_LAW}
    forms = {"speeds": FORM_OF_SPEEDS}
    ranges = {"messages": Range(0.0, SECONDS.high, high_allowed=True)}

    def __post_init__(self) -> None:
        """Takes a schedule of the law's name for the law."""
        msgspec.structs.force_setattr(self, "compute", checked_compute_time(self.compute, "Queue.compute"))
        msgspec.structs.force_setattr(self, "speeds", checked_speeds(self.speeds, "Queue.speeds"))
        super().__post_init__()

    def check_together(self) -> None:
        """Refuses messages beside which compute times are nothing."""
        longest, mean = most_of(self.messages), least_of(self.compute.mean)
        if longest > MOST_MEANS * mean:
            raise ValueError(
                f"Queue.messages={longest:g} must be at most {MOST_MEANS:g} times the mean of compute, {mean:g}: give both in the same unit, seconds say"
            )

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """The second number of the law of compute times, and how many of its means messages take."""
        return {"shape": values.get(f"compute_{self.compute.shape_name}", 0.0), "messages_of_mean": values["messages"] / values["compute_mean"]}


class FixedStaleness(Staleness, tag="fixed", frozen=True):
    """Every gradient is `steps` updates old.

    >>> FixedStaleness([0, 4]).points
    8
    """

    steps: Axis

    ranges = {"steps": STALENESS}
    whole = ("steps",)

    def oldest(self) -> int:
        return int(most_of(self.steps))


class GeometricStaleness(Staleness, tag="geometric", frozen=True):
    """Independent ages with P(age) = p (1 - p)^age, 1 / p - 1 in the mean, as of memoryless workers.

    One in 10^9 gradients or fewer would be older than what is kept, and are as old as that.

    >>> GeometricStaleness(3.0).oldest()
    72
    """

    mean: Axis

    ranges = {"mean": Range(0.0, 2.0**10, high_allowed=True)}

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """Ages are log(u) / log(1 - p), rounded down; so old or older are exp(age log(1 - p)) of them."""
        log_older = math.log(values["mean"] / (1.0 + values["mean"])) if values["mean"] > 0.0 else -math.inf
        return {"per_log": 1.0 / log_older, "log_older": max(log_older, LEAST_LOG)}

    def oldest(self) -> int:
        mean = most_of(self.mean)
        return math.floor(math.log(RAREST) / math.log(mean / (1.0 + mean))) if mean > 0.0 else 0


class UniformStaleness(Staleness, tag="uniform", frozen=True):
    """Independent ages, each of 0, 1, ..., `most` as likely.

    >>> UniformStaleness(3).points
    4
    """

    most: Axis

    ranges = {"most": STALENESS}
    whole = ("most",)

    def oldest(self) -> int:
        return int(most_of(self.most))


STALENESSES = (Queue, FixedStaleness, GeometricStaleness, UniformStaleness)


class Asynchronous(Distribution, tag="asynchronous", frozen=True, kw_only=True):
    """A server whose weights workers read and update without waiting: a step is one update, of one worker's
    `batch` samples.

    w_(t+1) = the rule's step from w_t by the gradient at w_(t - age). With `aware="inverse"` the rate is
    divided by max(1, age) (Zhang et al. 2016). With a `buffer` of m gradients the server makes a step of the
    mean of each m (FedBuff, Nguyen et al. 2022), and a step here is a gradient; the ages of a queue count the
    server's own steps, those of a law gradients, and `aware` divides gradients. With a `bound` s a worker that is
    s steps ahead of the slowest reads and goes on when that has moved (stale synchronous parallel, Ho et al.
    2013). The optimizer's state is the server's.

    Reported are the server's weights. Their `disagreement` is how far from them gradients are taken: the mean square
    distance of what the workers of a queue have read, or of the weights of before over the ages of the law. Counts
    are exact up to 2^32 updates.

    >>> Asynchronous(workers=[2, 8], staleness=FixedStaleness(steps=3)).staleness
    FixedStaleness(3)
    """

    workers: Axis
    staleness: Any = Queue()
    aware: Any = "none"
    buffer: Axis = 1.0
    bound: Axis | None = None

    sizes = {"workers": 1}
    ranges = {"buffer": STEPS, "bound": STEPS}
    whole = ("buffer", "bound")
    choices = {"aware": ("none", "inverse")}
    holds = {"staleness": Held(Staleness, STALENESSES)}
    meanings = {
        **Distribution.meanings,
        "workers": "How many workers compute gradients.",
        "staleness": "How old gradients are when they are applied: gd.Queue(), or a law.",
        "aware": "Whether old gradients count as others, or by 1 over their age.",
        "buffer": "How many gradients the server waits for in each of its steps.",
        "bound": "How many steps ahead of the slowest a worker waits; None for never.",
    }

    def check_together(self) -> None:
        """Refuses speeds that are not one for each worker, and a bound without a queue."""
        speeds = getattr(self.staleness, "speeds", None)
        for workers in map(int, values(self.workers)):
            if speeds is not None and len(speeds) != workers:
                raise ValueError(f"Queue.speeds must have one for each of the {workers} workers; {len(speeds)} were given")
        if self.bound is not None and not isinstance(self.staleness, Queue):
            raise ValueError(
                f"Asynchronous.bound makes workers of a gd.Queue wait, and {type(self.staleness).__name__} gives ages itself: leave one of the two"
            )

    @property
    def is_buffered(self) -> bool:
        """Whether the server waits for several gradients."""
        return self.buffer != 1.0

    @property
    def message_seconds(self) -> float:
        """How long the messages of a worker's cycle take, in the unit of the compute times."""
        return float(getattr(self.staleness, "messages", 0.0))

    @property
    def is_plain_alone(self) -> bool:
        """One worker that reads what it has just written is alone."""
        return not self.is_buffered and (isinstance(self.staleness, Queue) or self.staleness == FixedStaleness(0.0))

    def settings(self) -> dict[str, Any]:
        """What may differ between cells; the law of the staleness is called so, as results hold the staleness."""
        found = super().settings()
        return {"staleness_law" if name == "staleness" else name: value for name, value in found.items()}

    def structure(self) -> list[Any]:
        return [*super().structure(), self.is_buffered, self.bound is None]

    def why_not_by(self, rule: Rule, partition: Partition | None) -> str:
        """Rules that go uphill for a gradient would go from other weights than the server's."""
        return "takes gradients where the weights were when they were read, and a step uphill from there is not defined" if rule.perturbs else ""

    def samples_of_step(self, batch: int) -> int:
        return batch

    def samples_in_common(self, batch: int) -> int:
        return batch * self.team

    def rounds_at(self, steps: np.ndarray) -> np.ndarray:
        """Every gradient is an exchange of one worker with the server."""
        return steps

    def bytes_at(self, steps: np.ndarray, parameters: int, size: int) -> np.ndarray:
        """How many bytes a worker has sent after so many steps, the mean over workers: a gradient in each of
        its own, and nothing where it is alone and has no messages.
        """
        return steps * (parameters * size / self.team if self.team > 1 or self.message_seconds > 0.0 else 0.0)
