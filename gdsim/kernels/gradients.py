"""Losses and gradients at points: those that an evaluation leaves, on plain numbers."""

import functools
from typing import Any

import numpy as np

from gdsim.kernels import evaluation
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.curvature import Derivatives, ProductJob, gradients_in, store_gradient
from gdsim.kernels.engines import FUNCTION
from gdsim.kernels.engines.passes import BLOCK
from gdsim.kernels.evaluation import Evaluation
from gdsim.kernels.sample_table import sampler_of
from gdsim.lanes.memory import table_of
from gdsim.problems.parts import Sampler


class GradientKernels:
    """The kernel of one structure's gradients, and the memory that it works on: the kernel of its evaluation,
    but of functions of few parameters one that keeps the gradient.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.keeps = kernels.structure.engine is not FUNCTION  # whether an evaluation leaves the gradient

    @functools.cached_property
    def _evaluate(self) -> Any:
        """Of a table's address, where an evaluation would not leave the gradient."""
        parts = {**self.kernels.evaluation_parts(), "store_scores": store_gradient}
        job = self.new_job(sampler_of(None, None, True, 0, self.kernels.dtype), 0.0, 0.0)
        return self.kernels.compiled(self.kernels.described(evaluation.evaluate, parts, job, title="the gradient"))

    def new_job(self, sampler: Sampler, l1: float, l2: float) -> Any:
        """Room for a pack of points, and for what is made of them on samples, with the penalties' factors."""
        kernels, size = self.kernels, self.kernels.layout.size * self.kernels.width
        lanes = kernels.number.zeros
        if self.keeps:
            scores = kernels.new_scores()
            scores.l1[:], scores.l2[:] = l1, l2
            return Evaluation(kernels.model(BLOCK), lanes(size), sampler, scores)
        one = functools.partial(lanes, kernels.width)
        scores = Derivatives(one(), one(), one(), one(), one(), lanes(size))
        return ProductJob(kernels.model(BLOCK), lanes(size), sampler, scores)

    def at(self, job: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(loss[lane], gradient[lane, parameter]) at points[lane, parameter], of up to `width` lanes; of
        networks the gradient has no penalty.
        """
        layout, width, used = self.kernels.layout, self.kernels.width, len(points)
        job.weights.reshape(layout.size, width)[layout.places, :used] = points.T
        if self.keeps:
            self.kernels.evaluate(job)
        else:
            table = table_of(job)
            self._evaluate(table.ctypes.data, 1)
        found: Any = gradients_in(job)
        return job.scores.loss[:used].copy(), found.reshape(-1, width)[layout.places, :used].T
