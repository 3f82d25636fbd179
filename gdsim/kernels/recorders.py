"""What is recorded at checkpoints: one table of curves, of which each run has a row of values.

A new curve is a function and a row here, and a row in `gdsim.variables`; one that is asked for, a field of
`gd.Record`.
"""

import collections
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.parts import job_runs, job_scores, job_spec, job_validation_scores
from gdsim.kernels.state import Snapshots
from gdsim.lanes.generated import function_from
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.types import Address
from gdsim.stops import Record


def loss_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The loss on the training set, penalty included."""
    return job_scores(table).loss[place]


def gradient_norm_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The Euclidean norm of the gradient of that loss."""
    return job_scores(table).gradient_norm[place]


def parameter_norm_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The Euclidean norm of the reported parameters, biases included: squares are added in float64, in their
    order.
    """
    places, total = job_spec(table).places, 0.0
    for p in range(len(places)):
        w = np.float64(snaps.weights[places[p] * WIDTH + place])
        total += w * w
    return math.sqrt(total)


def accuracy_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The share of training samples that are classified correctly."""
    return job_scores(table).accuracy[place]


def validation_loss_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The loss on the validation set, without penalty."""
    return job_validation_scores(table).loss[place]


def validation_accuracy_at(table: Address, snaps: Snapshots, place: int) -> float:
    """The share of validation samples that are classified correctly."""
    return job_validation_scores(table).accuracy[place]


def has_validation(problem: Any) -> bool:
    """Whether a problem has a validation set."""
    return problem.data is not None and problem.data.validation is not None


class Recorder(NamedTuple):
    """One curve: its value at a snapshot, and whether the runs of a problem have it."""

    value: Callable[[Address, Snapshots, int], float]
    is_kept: Callable[[Record, Any], bool]


RECORDERS = {
    "loss": Recorder(loss_at, lambda record, problem: True),
    "gradient_norm": Recorder(gradient_norm_at, lambda record, problem: record.gradient_norm),
    "parameter_norm": Recorder(parameter_norm_at, lambda record, problem: record.parameter_norm),
    "accuracy": Recorder(accuracy_at, lambda record, problem: problem.is_classifier),
    "validation_loss": Recorder(validation_loss_at, lambda record, problem: has_validation(problem)),
    "validation_accuracy": Recorder(validation_accuracy_at, lambda record, problem: has_validation(problem) and problem.is_classifier),
}
Curves = collections.namedtuple("Curves", RECORDERS)  # [run, checkpoint] each; empty where it is not kept


def _recording() -> Any:
    """`record_curves(table, snaps, place, at)`: writes the values of a snapshot at place `at` of the curves
    that are kept.
    """
    lines = ["def record_curves(table, snaps, place, at):", "    curves = job_runs(table).curves"]
    for name in RECORDERS:
        lines += [f"    if len(curves.{name}) > 0:", f"        curves.{name}[at] = {name}_at(table, snaps, place)"]
    return function_from("\n".join(lines), "record_curves", {"job_runs": job_runs, **{f"{n}_at": r.value for n, r in RECORDERS.items()}})


record_curves = _recording()
