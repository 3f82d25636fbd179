"""What is recorded at checkpoints: one table of curves, of which each run has a row of values.

A new curve is a row here, and a row in `gdsim.variables`; one that is asked for, a field of
`gd.Record`.
"""

import collections
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.job import Job
from gdsim.kernels.parts import TANGENTS
from gdsim.kernels.state import Snapshots
from gdsim.lanes.generated import function_from
from gdsim.lanes.memory import plane
from gdsim.lanes.parts import WIDTH, default_part
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


def parameter_norm_tangents(job: Job, snaps: Snapshots, place: int, at: int) -> None:
    """Writes w . w' / |w| for each tangent w', in float64; 0 where |w| is."""
    places, norms = job.spec.places, job.runs.curves.parameter_norm
    w, norm = plane(snaps.weights, 0), parameter_norm_at(job, snaps, place)
    for k in range(1, 1 + TANGENTS):
        tangent, total = plane(snaps.weights, k), 0.0
        for p in range(len(places)):
            there = places[p] * WIDTH + place
            total += np.float64(w[there]) * np.float64(tangent[there])
        plane(norms, k)[at] = total / norm if norm > 0.0 else 0.0


def tangent_norms(job: Job, snaps: Snapshots, place: int, at: int) -> None:
    """Writes |w'| in the place of each tangent w' of the reported parameters, as `parameter_norm_at` adds."""
    places, norms = job.spec.places, job.runs.curves.tangent_norm
    norms[at] = 0
    for k in range(1, 1 + TANGENTS):
        tangent, total = plane(snaps.weights, k), 0.0
        for p in range(len(places)):
            t = np.float64(tangent[places[p] * WIDTH + place])
            total += t * t
        plane(norms, k)[at] = math.sqrt(total)


def disagreement_at(job: Job, snaps: Snapshots, place: int) -> float:
    """The mean over a team's workers of their squared distance from the reported parameters."""
    return snaps.noted[place]


def staleness_at(job: Job, snaps: Snapshots, place: int) -> float:
    """How many updates old the gradients were, in the mean."""
    return snaps.noted[WIDTH + place]


def largest_staleness_at(job: Job, snaps: Snapshots, place: int) -> float:
    """How many updates old the oldest gradient was."""
    return snaps.noted[2 * WIDTH + place]


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
# Of teams alone, which say whether they have them.
OF_TEAMS = {"disagreement": disagreement_at, "staleness": staleness_at, "largest_staleness": largest_staleness_at}
# What kernels on numbers with tangents record beside: tangents that values come without, and the norms of tangents
# in the places of tangents.
OF_TANGENTS = {"parameter_norm": parameter_norm_tangents, "tangent_norm": tangent_norms}
Curves = collections.namedtuple("Curves", (*RECORDERS, *OF_TEAMS, "tangent_norm"))  # [run, checkpoint] each; empty where it is not kept


def _recording(of_tangents: Mapping[str, Any]) -> Any:
    """`record_curves(job, snaps, place, at)`: writes the values of a snapshot at place `at` of the curves that
    are kept, and what is of tangents.
    """
    lines, functions = ["def record_curves(job, snaps, place, at):", "    curves = job.runs.curves"], {}
    for name, value in OF_TEAMS.items():
        lines += [f"    if len(curves.{name}) > 0:", f"        curves.{name}[at] = {name}_at(job, snaps, place)"]
        functions[f"{name}_at"] = value
    for name, row in RECORDERS.items():
        value = f"{row.value}[place]" if isinstance(row.value, str) else f"{name}_at(job, snaps, place)"
        lines += [f"    if len(curves.{name}) > 0:", f"        curves.{name}[at] = {value}"]
        functions |= {} if isinstance(row.value, str) else {f"{name}_at": row.value}
    for name, write in of_tangents.items():
        lines += [f"    if len(curves.{name}) > 0:", f"        {name}_tangents(job, snaps, place, at)"]
        functions[f"{name}_tangents"] = write
    return function_from("\n".join(lines), "record_curves", functions)


record_curves = default_part(_recording({}))
record_curves_with_tangents = _recording(OF_TANGENTS)
