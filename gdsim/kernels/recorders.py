"""What is recorded at checkpoints: one table of curves, of which each run has a row of values.

A new curve is a row here, and a row in `gdsim.variables`; one that is asked for, a field of
`gd.Record`.
"""

import collections
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.job import Job
from gdsim.kernels.state import Snapshots
from gdsim.lanes.generated import function_from
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.tangents import value_of
from gdsim.stops import Record


def parameter_norm_at(job: Job, snaps: Snapshots, place: int) -> float:
    """The Euclidean norm of the reported parameters, biases included: squares are added in float64, in their
    order.
    """
    places, total = job.spec.places, 0.0
    for p in range(len(places)):
        w = np.float64(value_of(snaps.weights[places[p] * WIDTH + place]))
        total += w * w
    return math.sqrt(total)


def has_validation(problem: Any) -> bool:
    """Whether a problem has a validation set."""
    return problem.data is not None and problem.data.validation is not None


class Recorder(NamedTuple):
    """One curve: its value at a snapshot, and whether the runs of a problem have it."""

    value: Callable[[Job, Snapshots, int], float] | str  # or the memory, by lanes, in which the job has it
    is_kept: Callable[[Record, Any], bool]


RECORDERS = {
    "loss": Recorder("job.scores.loss", lambda record, problem: True),
    "gradient_norm": Recorder("job.scores.gradient_norm", lambda record, problem: record.gradient_norm),
    "parameter_norm": Recorder(parameter_norm_at, lambda record, problem: record.parameter_norm),
    "accuracy": Recorder("job.scores.accuracy", lambda record, problem: problem.is_classifier),
    "validation_loss": Recorder("job.validation_scores.loss", lambda record, problem: has_validation(problem)),
    "validation_accuracy": Recorder("job.validation_scores.accuracy", lambda record, problem: has_validation(problem) and problem.is_classifier),
}
Curves = collections.namedtuple("Curves", RECORDERS)  # [run, checkpoint] each; empty where it is not kept


def _recording() -> Any:
    """`record_curves(job, snaps, place, at)`: writes the values of a snapshot at place `at` of the curves that
    are kept.
    """
    lines, functions = ["def record_curves(job, snaps, place, at):", "    curves = job.runs.curves"], {}
    for name, row in RECORDERS.items():
        value = f"{row.value}[place]" if isinstance(row.value, str) else f"{name}_at(job, snaps, place)"
        lines += [f"    if len(curves.{name}) > 0:", f"        curves.{name}[at] = {value}"]
        functions |= {} if isinstance(row.value, str) else {f"{name}_at": row.value}
    return function_from("\n".join(lines), "record_curves", functions)


record_curves = _recording()
