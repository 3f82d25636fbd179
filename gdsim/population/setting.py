"""What the runs of one structure share: those of cells that have one kernel, and differ in numbers alone."""

from typing import Any, NamedTuple

from gdsim.directions import Direction
from gdsim.distribution import Distribution, Partition, samples_of_step
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.starts import Init
from gdsim.stops import Plateau, Record, SmallGradient, SmallStep, Stop, Target

# Before the names of a penalty's, a schedule's, a distribution's and a partition's numbers among the
# hyperparameters of a run.
PENALTY, SCHEDULE, DISTRIBUTION, PARTITION = "penalty_", "schedule_", "distribution_", "partition_"


class Tangent(NamedTuple):
    """A number of runs by which what they report is differentiated, or a direction of their starts."""

    name: str  # behind `_d_` in the names of columns
    number: str = ""  # its name among the hyperparameters that kernels read; "": these runs have none, and their columns are NaN
    direction: Direction | None = None

    @property
    def is_live(self) -> bool:
        """Whether these runs have it."""
        return bool(self.number) or self.direction is not None


class Setting(NamedTuple):
    """What the runs of one structure share."""

    problem: Any
    rule: Rule
    schedule: Schedule
    init: Init
    steps: int
    batch: int | None
    shuffle: str
    drop_last: bool
    stops: tuple[Any, ...]
    record: Record
    seed: int
    dtype: str
    began: int = 0  # updates that runs have behind them when they begin here
    is_written_out: bool = False  # whether the kernel of a small network is made for its widths
    tangents: tuple[Tangent, ...] = ()  # by what is differentiated, in the order asked for
    distribution: Distribution | None = None  # how workers train a run's model; None for one without
    partition: Partition | None = None  # how samples are shared out among them; None where all draw from all

    @property
    def checkpoints(self) -> list[int]:
        """The steps at which runs are recorded, from where they begin."""
        return sorted({self.began, *(s for s in self.record.steps(self.steps) if s > self.began)})

    @property
    def live_tangents(self) -> tuple[Tangent, ...]:
        """Those that the runs have: what kernels carry."""
        return tuple(t for t in self.tangents if t.is_live)

    @property
    def workers(self) -> int:
        """How many workers train a run's model."""
        return 1 if self.distribution is None else self.distribution.launched(self.partition)

    @property
    def makes_one_batch(self) -> bool:
        """Whether a step of all workers is a step of one by the batches of all."""
        return self.distribution is not None and self.distribution.makes_one_batch(self.partition)

    @property
    def replicas(self) -> int:
        """How many workers have weights of their own."""
        return 1 if self.makes_one_batch else self.workers

    @property
    def gradients_per_step(self) -> int:
        """How many gradients a step takes, each of `samples_per_gradient`: one of each worker that computes in it."""
        return 1 if self.distribution is None or self.makes_one_batch else self.distribution.gradients_of_step(self.partition)

    @property
    def step_batch(self) -> int | None:
        """Samples of a step of weights; None for all that there are."""
        return self.batch and self.batch * (self.workers if self.makes_one_batch else 1)

    @property
    def has_shards(self) -> bool:
        """Whether workers have samples of their own."""
        return self.distribution is not None and (self.partition is not None or self.distribution.is_federated)

    @property
    def samples_per_step(self) -> int:
        """Samples of a step's batch; of a function without samples one."""
        return self.step_batch or (1 if self.problem.data is None else len(self.problem.data.X))

    @property
    def samples_per_gradient(self) -> int:
        """How many samples a gradient is of: of whole shards the mean."""
        one, count = self.distribution, 1 if self.problem.data is None else len(self.problem.data.X)
        taken = samples_of_step(one, self.partition, count, self.batch)
        return taken if one is None or self.makes_one_batch else taken // one.samples_of_step(1)

    @property
    def targets(self) -> tuple[float, ...]:
        """The losses to reach, the highest first."""
        return next((s.losses for s in self.stops if isinstance(s, Target)), ())

    @property
    def sees_loss(self) -> bool:
        """Whether the loss of a step's batch is that of the whole data at the reported parameters."""
        is_whole = self.batch is None and not self.has_shards and self.replicas == 1
        return is_whole and not self.rule.reports_other_point and not self.has_penalty

    @property
    def has_penalty(self) -> bool:
        """Whether any run may have a penalty."""
        return self.problem.l1 != 0.0 or self.problem.l2 != 0.0

    def lanes_look_at(self, stop: Stop) -> bool:
        """Whether lanes look at a stop in every step, by what the step computes anyway."""
        if isinstance(stop, SmallStep):
            return not self.schedule.is_cyclic
        if isinstance(stop, (Target, SmallGradient)) and stop.every in (None, 1) and self.sees_loss:
            return isinstance(stop, Target) or self.problem.family != "network"  # a network's gradient is used as it is made
        return False


def is_of_batches(stop: Stop) -> bool:
    """Whether a stop looks at the means of the losses of batches."""
    return isinstance(stop, Plateau) and stop.batches
