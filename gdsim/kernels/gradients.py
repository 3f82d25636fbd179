"""Losses and gradients at points: those that an evaluation leaves, on plain numbers."""

import functools
from typing import Any

import numpy as np

from gdsim.kernels import evaluation
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.curvature import Derivatives, ProductJob, gradients_in, store_gradient
from gdsim.kernels.engines import FUNCTION
from gdsim.kernels.evaluation import Evaluation
from gdsim.kernels.packs import PackKernel, evaluating
from gdsim.kernels.sample_table import sampler_of
from gdsim.problems.parts import Sampler


class GradientKernels:
    """The kernel of one structure's gradients, and the memory that it works on: the kernel of its evaluation,
    but of functions of few parameters one that keeps the gradient.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.keeps = kernels.structure.engine is not FUNCTION  # whether an evaluation leaves the gradient

    @functools.cached_property
    def kernel(self) -> PackKernel:
        """What leaves loss and gradient where its argument is 1."""
        if self.keeps:
            return evaluating(self.kernels)
        parts = {**self.kernels.evaluation_parts(), "store_scores": store_gradient}
        job = self.new_job(sampler_of(None, None, True, 0, self.kernels.dtype), 0.0, 0.0)
        return PackKernel(self.kernels, self.kernels.described(evaluation.evaluate, parts, job, title="the gradient"))

    def new_job(self, sampler: Sampler, l1: float, l2: float) -> Any:
        """Room for a pack of points, and for what is made of them on samples, with the penalties' factors."""
        kernels, size = self.kernels, self.kernels.layout.size * self.kernels.width
        lanes = kernels.number.zeros
        if self.keeps:
            scores = kernels.new_scores()
            scores.l1[:], scores.l2[:] = l1, l2
            return Evaluation(kernels.whole_model(), lanes(size), sampler, scores)
        one = functools.partial(lanes, kernels.width)
        scores = Derivatives(one(), one(), one(), one(), one(), lanes(size))
        return ProductJob(kernels.whole_model(), lanes(size), sampler, scores)

    def fill(self, job: Any, points: np.ndarray) -> None:
        """Puts points[lane, parameter] into up to `width` lanes."""
        layout = self.kernels.layout
        job.weights.reshape(layout.size, self.kernels.width)[layout.places, : len(points)] = points.T

    def found(self, job: Any, lanes: int) -> tuple[np.ndarray, np.ndarray]:
        """(loss[lane], gradient[lane, parameter]) of so many lanes; of networks the gradient has no penalty."""
        gradients: Any = gradients_in(job)
        return job.scores.loss[:lanes], gradients.reshape(-1, self.kernels.width)[self.kernels.layout.places, :lanes].T

    @staticmethod
    def moved(job: Any) -> Any:
        """The arrays of a job that `fill` and `found` touch."""
        return job.weights, job.scores, gradients_in(job)
