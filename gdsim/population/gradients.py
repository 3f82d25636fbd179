"""Losses and gradients at points, many side by side."""

import functools
from typing import Any

import numpy as np

from gdsim.kernels.gradients import GradientKernels
from gdsim.kernels.packs import PackWork
from gdsim.kernels.sample_table import sampler_of
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.evaluation import evaluation_setting
from gdsim.population.samples import table_for
from gdsim.population.workplace import HERE, Workplace
from gdsim.problems.checked import check_penalties

_kernels = functools.lru_cache(maxsize=64)(GradientKernels)


class Gradients:
    """Losses and gradients of one problem, the penalty included, at as many points as are given at once.

    >>> import gdsim as gd
    >>> loss, gradient = Gradients(gd.functions.Rosenbrock(), "float64").at(np.zeros((1, 2)))
    >>> loss.tolist(), gradient.tolist()
    ([1.0], [[-2.0, 0.0]])
    """

    def __init__(self, problem: Any, dtype: str, place: Workplace = HERE) -> None:
        check_penalties(problem, "a gradient needs")
        setting = evaluation_setting(problem, np.zeros((1, problem.parameter_count)), dtype)
        self.problem, self.place, self.dtype = problem, place, np.dtype(dtype)
        self._kernels = _kernels(self.place.kernels(setting))
        table = None if problem.data is None else table_for(problem.data, dtype)
        self._sampler = sampler_of(table, None, True, 0, self.dtype)
        self._weights = _weights_of(problem) if problem.family == "network" and (problem.l1 or problem.l2) else None

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(loss[point], gradient[point, parameter]) at points[point, parameter]."""
        points = points.astype(self.dtype)
        loss, gradient = np.empty(len(points), self.dtype), np.empty(points.shape, self.dtype)
        kernels, width = self._kernels, self._kernels.kernels.width

        def take(job: Any, first: int) -> None:
            chosen = slice(first, first + width)
            loss[chosen], gradient[chosen] = kernels.found(job, len(points[chosen]))

        work = PackWork(
            kernels.kernel, 1, lambda: kernels.new_job(self._sampler, self.problem.l1, self.problem.l2),
            lambda job, first: kernels.fill(job, points[first : first + width]), take, kernels.moved, lambda job: job.sampler,
        )  # fmt: skip
        with ieee_mode():
            self.place.work(work, len(points))
            if self._weights is not None:
                penalty = self.problem.l1 * np.sign(points) + self.problem.l2 * points
                gradient += np.where(self._weights, penalty, 0.0).astype(self.dtype)
        return loss, gradient


def _weights_of(problem: Any) -> np.ndarray:
    """Which parameters of a network are weights, and no biases."""
    return problem.pack([(np.ones_like(W), np.zeros_like(b)) for W, b in problem.unpack(np.zeros(problem.parameter_count))]) == 1.0
