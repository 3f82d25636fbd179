"""When a run ends, what it is then called, and what is recorded of it on the way."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from gdsim.axes import Range, checked_one, checked_truth, checked_whole
from gdsim.declarations import Declaration
from gdsim.words import given


class Status(enum.StrEnum):
    """How a run has ended: exactly one of these."""

    CONVERGED = "converged"
    STOPPED = "stopped"
    STALLED = "stalled"
    DIVERGED = "diverged"
    BUDGET = "budget"

    __repr__ = str.__repr__


STATUSES = tuple(status.value for status in Status)
BUDGET = "budget"  # why a run has ended that no stop has
POSITIVE = Range(0.0, float("inf"), low_allowed=False)
ANY = Range(float("-inf"), float("inf"), low_allowed=False)


class Stop(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A condition that ends a run, and what the run is then called.

    `every`: how many steps lie between two looks. If not given, it looks before every update with
    `batch=None`, and once an epoch with batches; all stops look at the start and once after the last update.
    """

    status: ClassVar[Status] = Status.CONVERGED
    ranges: ClassVar[Mapping[str, Range]] = {}
    counts: ClassVar[tuple[str, ...]] = ()
    meanings = {
        "loss": "The loss to reach, or a list of them, of which the lowest ends the run.",
        "share": "The share of the first loss that is reached.",
        "tolerance": "How small is small; the test is written above.",
        "times": "How many steps in a row must be small.",
        "patience": "How many looks in a row may pass without an improvement.",
        "every": "Steps between two looks; None for every step with the whole data, an epoch with batches.",
        "batches": "Whether it looks at the means of the losses of batches, epoch by epoch.",
    }

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name, allowed in self.ranges.items():
            msgspec.structs.force_setattr(self, name, checked_one(getattr(self, name), f"{kind}.{name}", allowed))
        for name in (*self.counts, *(["every"] if getattr(self, "every", None) is not None else [])):
            msgspec.structs.force_setattr(self, name, checked_whole(getattr(self, name), f"{kind}.{name}"))

    @property
    def tolerances(self) -> tuple[float, float]:
        """The two numbers that the stop's test needs: its patience, share and tolerance, as far as it has
        them, in this order, then zeros.
        """
        held = [float(getattr(self, name)) for name in ("patience", "share", "tolerance") if hasattr(self, name)]
        first, second, *_ = (*held, 0.0, 0.0)
        return first, second


class Target(Stop, tag="target", frozen=True):
    """Ends a run as "converged" once its loss on the whole training set is at most `loss`.

    Of several losses the lowest ends the run; `target_step` of the result has the first step at which each
    was met.

    >>> Target([0.01, 0.1]).losses
    (0.1, 0.01)
    """

    loss: float | Sequence[float]
    every: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        several = self.loss if isinstance(self.loss, (list, tuple)) else [self.loss]
        if not several:
            raise ValueError("Target.loss is an empty list; give at least one loss")
        losses = sorted({checked_one(v, "Target.loss", ANY) for v in several}, reverse=True)
        msgspec.structs.force_setattr(self, "loss", losses[0] if len(losses) == 1 else tuple(losses))

    @property
    def losses(self) -> tuple[float, ...]:
        """The losses to reach, the highest first."""
        held: Any = self.loss
        return held if isinstance(held, tuple) else (held,)


class RelativeTarget(Stop, tag="relative_target", frozen=True):
    """Ends a run as "converged" once its loss on the whole training set is at most `share` of its loss at
    step 0.

    The loss has the penalty in it, and should be one that cannot be negative.

    >>> RelativeTarget(0.01).share
    0.01
    """

    share: float
    every: int | None = None

    ranges = {"share": Range(0.0, 1.0, low_allowed=False)}


class SmallGradient(Stop, tag="small_gradient", frozen=True):
    """Ends a run as "converged" once no component of the gradient on the whole training set is larger than
    tolerance (1 + |loss|).

    >>> SmallGradient(1e-6).tolerance
    1e-06
    """

    tolerance: float
    every: int | None = None

    ranges = {"tolerance": POSITIVE}


class SmallStep(Stop, tag="small_step", frozen=True):
    """Ends a run as "converged" once its weights hardly move: |w_t - w_(t-1)| <= tolerance (1 + |w_t|),
    `times` steps in a row.

    Lengths are Euclidean. Where the rate goes through cycles, only the last step of each is looked at. It
    also fires where the rate alone makes steps small.

    >>> SmallStep(1e-8).times
    1
    """

    tolerance: float
    times: int = 1

    ranges = {"tolerance": POSITIVE}
    counts = ("times",)


class Validation(Stop, tag="validation", frozen=True):
    """Ends a run as "stopped" after `patience` looks in a row at which the validation loss was not below its
    lowest.

    `best_parameters` of the result are those of the lowest validation loss.

    >>> Validation(patience=5).patience
    5
    """

    patience: int = 10
    every: int | None = None

    status = Status.STOPPED
    counts = ("patience",)


class Plateau(Stop, tag="plateau", frozen=True):
    """Ends a run as "stalled" after `patience` looks in a row at which its loss was not below its lowest by
    more than tolerance |lowest|.

    With `batches` it looks, once an epoch, at the mean loss of the epoch's batches, each before its step,
    which costs no pass over the data, and `tolerance` is by how much it must be below the lowest so far: the
    rule of scikit-learn's MLPClassifier. `epoch_loss` of the result has these means. Where the rate goes
    through cycles and `every` is not given, it looks at the ends of cycles.

    >>> Plateau(patience=20).tolerance
    0.0001
    """

    patience: int = 10
    tolerance: float = 1e-4
    every: int | None = None
    batches: bool = False

    status = Status.STALLED
    ranges = {"tolerance": Range(0.0, float("inf"))}
    counts = ("patience",)

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "batches", checked_truth(self.batches, "Plateau.batches"))
        if self.batches and self.every is not None:
            raise ValueError(f"Plateau(batches=True) looks once an epoch; leave every={self.every} out")
        if not self.batches:
            checked_one(self.tolerance, "Plateau.tolerance", Range(0.0, 1.0))


class Cycling(Stop, tag="cycling", frozen=True):
    """Ends a run as "stalled" once it comes back within tolerance (1 + |w|) of where it was 2, 3 or 4 steps
    before, while it still moves.

    >>> Cycling().tolerance
    1e-06
    """

    tolerance: float = 1e-6
    every: int | None = None

    status = Status.STALLED
    ranges = {"tolerance": POSITIVE}


class Diverged(Stop, tag="diverged", frozen=True):
    """Ends a run as "diverged"; always on.

    A weight or the loss of a step's batch is not finite, a weight is beyond 1e8 in magnitude, or the loss is
    beyond f0 + 1e6 (1 + |f0|), with f0 the loss at the start.

    >>> Diverged().status
    'diverged'
    """

    status = Status.DIVERGED


STOPS = (Target, SmallGradient, SmallStep, Validation, Plateau, Cycling, Diverged, RelativeTarget)
REASONS = (*(kind.__name__ for kind in STOPS), BUDGET)


class Record(Declaration, frozen=True, forbid_unknown_fields=True):
    """What is recorded, apart from what each run is asked to do: recording never changes a run.

    >>> Record(every="log").steps(30)
    [0, 1, 2, 5, 10, 20, 30]
    """

    meanings = {
        "every": "None for the first and last step and about 20 between, evenly spaced in their logarithm; a number of steps; "
        '"log" for 1, 2, 5, 10, 20, ...; "ends" for the first and last alone.',
        "parameters": "Keeps the final parameters.",
        "trajectory": "Keeps the parameters at every checkpoint.",
        "state": "Keeps what a run needs to go on: the stored weights, the rule's slots and carry.",
        "gradient_norm": "False saves the backward pass at checkpoints.",
        "parameter_norm": "Records the Euclidean norm of the parameters, biases included.",
        "sharpness": "Records the largest eigenvalue of the second derivatives of the loss, which takes about 20 products with them at a checkpoint.",
    }

    every: int | Literal["log", "ends"] | None = None
    parameters: bool = False
    trajectory: bool = False
    state: bool = False
    gradient_norm: bool = True
    parameter_norm: bool = False
    sharpness: bool = False

    def __post_init__(self) -> None:
        if self.every not in (None, "log", "ends"):
            if isinstance(self.every, str):
                raise ValueError(f'Record.every must be None, a whole number from 1, "log" or "ends"; {given(self.every)} was given')
            msgspec.structs.force_setattr(self, "every", checked_whole(self.every, "Record.every"))
        for name in ("parameters", "trajectory", "state", "gradient_norm", "parameter_norm", "sharpness"):
            msgspec.structs.force_setattr(self, name, checked_truth(getattr(self, name), f"Record.{name}"))

    def steps(self, last: int) -> list[int]:
        """The steps of the checkpoints of a run of `last` steps."""
        if isinstance(self.every, int):
            between = range(self.every, last, self.every)
        elif self.every == "log":
            between = [m * 10**k for k in range(len(str(last))) for m in (1, 2, 5)]
        elif self.every is None:
            between = [round(last ** (k / 21)) for k in range(21)]
        else:
            between = []
        return sorted({0, last, *(s for s in between if s < last)})

    def count(self, last: int) -> int:
        """How many checkpoints a run of `last` steps has, at most."""
        return last // self.every + 2 if isinstance(self.every, int) else 60
