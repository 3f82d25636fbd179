"""When a run ends, what it is then called, and what is recorded of it on the way."""

from typing import Any, Literal

import msgspec

from gdsim.axes import Range, checked_one

# Every run ends with exactly one of these.
STATUSES = ("converged", "stopped", "stalled", "diverged", "budget")
# A run has diverged when its loss exceeds its first by this factor times (1 + |first|), or a weight WEIGHT_BOUND in magnitude.
LOSS_FACTOR = 1e6


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1; {value!r} was given")
    return value


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A condition that ends a run."""


class Target(Stop, tag="target", frozen=True):
    """Ends a run as "converged" once its loss on the whole training set is at most `loss`.

    Looked at every `every` steps, before the update: every step with `batch=None`, else once an epoch if not said.

    >>> Target(0.1).loss
    0.1
    """

    loss: float
    every: int | None = None

    def __post_init__(self) -> None:
        loss = checked_one(self.loss, "Target.loss", Range(float("-inf"), float("inf"), low_allowed=False))
        msgspec.structs.force_setattr(self, "loss", loss)
        if self.every is not None:
            _count(self.every, "Target.every")


class Diverged(Stop, tag="diverged", frozen=True):
    """Ends a run as "diverged"; always on. A weight or the loss of a step's batch is not finite, a weight is beyond 1e8 in
    magnitude, or the loss is beyond f0 + 1e6 (1 + |f0|), with f0 the loss at the start.
    """


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is recorded, apart from what each run is asked to do: recording never changes a run.

    `every`: None for the first and last step and about 20 between, evenly spaced in their logarithm; a number of steps;
    "log" for 1, 2, 5, 10, 20, ...; "ends" for the first and last alone. `parameters` keeps the final parameters,
    `trajectory` those at every checkpoint, `state` what a run would need to go on (the stored weights, the rule's slots and
    carry), `gradient_norm=False` saves the backward pass at checkpoints.

    >>> Record(every="log").steps(30)
    [0, 1, 2, 5, 10, 20, 30]
    """

    every: int | Literal["log", "ends"] | None = None
    parameters: bool = False
    trajectory: bool = False
    state: bool = False
    gradient_norm: bool = True

    def __post_init__(self) -> None:
        if self.every not in (None, "log", "ends"):
            if isinstance(self.every, str):
                raise ValueError(f'Record.every must be None, a whole number from 1, "log" or "ends"; {self.every!r} was given')
            _count(self.every, "Record.every")
        for name in ("parameters", "trajectory", "state", "gradient_norm"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"Record.{name} must be true or false; {getattr(self, name)!r} was given")

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
