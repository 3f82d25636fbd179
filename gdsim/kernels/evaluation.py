"""Evaluation at given parameters as a kernel of its own: scores of a pack on a whole data set."""

from typing import NamedTuple

from gdsim.kernels.parts import evaluate_pack, job_model, job_sampler, job_scores, job_weights
from gdsim.kernels.state import Scores
from gdsim.kernels.workspace import Workspace
from gdsim.lanes.parts import restore_float_mode, set_float_mode
from gdsim.lanes.types import Address, Memory
from gdsim.problems.parts import Sampler


class Evaluation(NamedTuple):
    """What an evaluation works on."""

    model: Workspace
    weights: Memory
    sampler: Sampler
    scores: Scores


class Prediction(NamedTuple):
    """What a prediction works on."""

    model: Workspace
    weights: Memory
    sampler: Sampler
    out: Memory  # [sample, unit, lane]


def evaluate(table: Address, with_gradient: int) -> int:
    """The part `evaluate_pack` in the IEEE default mode, whatever mode the process is in."""
    mode = set_float_mode()
    evaluate_pack(job_model(table), job_weights(table), job_sampler(table), job_scores(table), with_gradient > 0)
    restore_float_mode(mode)
    return 0
