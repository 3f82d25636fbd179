"""How long a worker computes in one step: laws of its seconds, whose draws are functions of (seed, start,
worker, local step).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gdsim.axes import Axis, Range, checked_number
from gdsim.declarations import meant
from gdsim.distribution.base import Held, Part
from gdsim.distribution.parts import time_of_mean_one
from gdsim.lanes.elementary import exp, log
from gdsim.lanes.philox import COMPUTE_TIME, normal_pair, purpose_of, random_words, unit_interval
from gdsim.lanes.types import Count, Lane, Lanes
from gdsim.schedules import Exponential
from gdsim.words import given

SECONDS = Range(1e-12, 1e12, high_allowed=True)
SPEEDS = Range(1e-6, 1e6, high_allowed=True)


class ComputeTime(Part, frozen=True, kw_only=False):
    """The law of the seconds that a worker computes in one step, independent from step to step.

    A time is `mean` times one of a law of mean 1, whose number is `shape`: the same random words give the
    same multiple of every mean. A worker of speed v takes 1/v of it.
    """

    mean: Axis

    ranges: ClassVar[Mapping[str, Range]] = {"mean": SECONDS}
    meanings = {
        "mean": "Seconds of a step, on average.",
        "shift": "Share of the mean that every step takes; the rest is exponential.",
        "shape": "Standard deviation of the logarithm.",
        "index": "How fast long times become rare: P(longer than t) falls as t^-index. The variance is finite beyond 2.",
    }

    @property
    def shape_name(self) -> str | None:
        """The field that is the law's second number; None where it has none."""
        return next((n for n in self.ranges if n != "mean"), None)

    @property
    def mean_and_shape(self) -> tuple[float, float]:
        """(mean, the second number or 0) of a law without axes. Raises ValueError for one with axes."""
        values = {name: value for name, value in self.hyperparameters().items() if isinstance(value, float)}
        axis = next((n for n in self.ranges if n not in values), None)
        if axis is not None:
            raise ValueError(f"{type(self).__name__}.{axis} must be one number here, not an axis; {given(getattr(self, axis))} was given")
        return values["mean"], values.get(self.shape_name or "", 0.0)

    @property
    def variance(self) -> float:
        """Of one step's time, in square seconds; infinite where the law has none."""
        mean, shape = self.mean_and_shape
        return mean**2 * self.variance_of_mean_one(shape)

    @property
    def least(self) -> float:
        """Seconds below which no step ends."""
        mean, shape = self.mean_and_shape
        return mean * self.least_of_mean_one(shape)

    def share_left(self, seconds: np.ndarray, steps: int = 1) -> np.ndarray:
        """P(`steps` steps take longer than a time), for times in seconds. Raises ValueError where it is known
        for one step alone.
        """
        mean, shape = self.mean_and_shape
        if steps > 1 and not self.adds_up:
            raise ValueError(f"the time of {steps} steps has no formula under {type(self).__name__}, only that of one: take steps=1, or simulate it")
        return self.left_of_mean_one(np.asarray(seconds, float) / mean, shape, steps)

    adds_up: ClassVar[bool] = True  # whether the time of several steps has a formula

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        """The variance of the law of mean 1."""
        raise NotImplementedError

    @staticmethod
    def least_of_mean_one(shape: float) -> float:
        """The shortest time of the law of mean 1."""
        return 0.0

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        """P(so many steps of the law of mean 1 take longer than each time)."""
        raise NotImplementedError

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        """The time of a step under the law of mean 1, from four random words."""
        raise NotImplementedError


def time_of_step(start: Lane, worker: Count, step: Lane, seed: Lanes, shape: Lane) -> Lane:
    """The time of a worker's local step (from 0), a float64 lane, under a law of mean 1."""
    return time_of_mean_one(random_words(start, purpose_of(COMPUTE_TIME, worker), step, 0, seed), shape)


class ConstantTime(ComputeTime, tag="constant", frozen=True):
    """Every step takes as long.

    >>> ConstantTime(0.01).variance
    0.0
    """

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        return 0.0

    @staticmethod
    def least_of_mean_one(shape: float) -> float:
        return 1.0

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        return (times < steps).astype(float)

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        return shape * 0.0 + 1.0


class ExponentialTime(ComputeTime, tag="exponential", frozen=True):
    """Exponential times: how much is left of a step does not depend on how long it has taken.

    Where a law is asked for, `gd.Exponential(m)`, which is a schedule, is taken for `gd.ExponentialTime(m)`.

    >>> ExponentialTime(2.0).variance
    4.0
    """

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        return 1.0

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        from scipy.special import gammaincc

        return gammaincc(steps, np.maximum(times, 0.0))

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        return -log(unit_interval(words[0], words[1], shape))


class ShiftedExponential(ComputeTime, tag="shifted_exponential", frozen=True):
    """A share `shift` of the mean that every step takes, and exponential times of the rest (Lee et al. 2018):
    mean (shift + (1 - shift) Exp(1)).

    >>> ShiftedExponential(mean=2.0, shift=0.5).variance
    1.0
    """

    shift: Axis

    ranges = {"mean": SECONDS, "shift": Range(0.0, 1.0)}

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        return (1.0 - shape) ** 2

    @staticmethod
    def least_of_mean_one(shape: float) -> float:
        return shape

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        return ExponentialTime.left_of_mean_one((times - steps * shape) / (1.0 - shape), 0.0, steps)

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        return shape - (1.0 - shape) * log(unit_interval(words[0], words[1], shape))


class LogNormal(ComputeTime, tag="log_normal", frozen=True):
    """Times whose logarithm is normal, of standard deviation `shape`: mean exp(shape z - shape^2 / 2).

    >>> round(LogNormal(mean=1.0, shape=0.5).variance, 4)
    0.284
    """

    shape: Axis

    ranges = {"mean": SECONDS, "shape": Range(0.0, 6.0)}
    adds_up = False

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        return math.expm1(shape**2)

    @staticmethod
    def least_of_mean_one(shape: float) -> float:
        return 0.0 if shape else 1.0

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        from scipy.special import ndtr

        if shape == 0.0:
            return ConstantTime.left_of_mean_one(times, shape, steps)
        with np.errstate(divide="ignore"):
            return ndtr(-np.log(np.maximum(times, 0.0)) / shape - 0.5 * shape)

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        return exp(shape * (normal_pair(words, shape)[0] - 0.5 * shape))


class Pareto(ComputeTime, tag="pareto", frozen=True):
    """Times with a heavy tail: P(longer than t) = (least / t)^index from the least time on,
    mean (index - 1) / index.

    >>> Pareto(mean=1.0, index=3.0).variance
    0.3333333333333333
    """

    index: Axis

    ranges = {"mean": SECONDS, "index": Range(1.0, float("inf"), low_allowed=False)}
    adds_up = False

    @staticmethod
    def variance_of_mean_one(shape: float) -> float:
        return 1.0 / (shape * (shape - 2.0)) if shape > 2.0 else math.inf

    @staticmethod
    def least_of_mean_one(shape: float) -> float:
        return (shape - 1.0) / shape

    @staticmethod
    def left_of_mean_one(times: np.ndarray, shape: float, steps: int) -> np.ndarray:
        least = Pareto.least_of_mean_one(shape)
        return (least / np.maximum(times, least)) ** shape

    @staticmethod
    def of_mean_one(words: Lanes, shape: Lane) -> Lane:
        return (shape - 1.0) / shape * exp(-log(unit_interval(words[0], words[1], shape)) / shape)


COMPUTE_TIMES = (ConstantTime, ExponentialTime, ShiftedExponential, LogNormal, Pareto)


COMPUTE_TIME_LAW = Held(ComputeTime, COMPUTE_TIMES)


def checked_compute_time(value: Any, name: str) -> ComputeTime:
    """A law of compute times, or an error."""
    if isinstance(value, ComputeTime):
        return value
    if isinstance(value, Exponential) and value.length == 1.0:
        return ExponentialTime(value.factor)
    kinds = ", ".join(f"gd.{k.__name__}" for k in COMPUTE_TIMES)
    raise TypeError(f"{name} must be a law of compute times, one of {kinds}; {meant(value, COMPUTE_TIMES)}")


FORM_OF_SPEEDS = "a list of a speed for each worker, as in [1, 1, 0.5]"


def checked_speeds(value: Any, name: str) -> tuple[float, ...] | None:
    """Speeds of workers, or None for 1 each; or an error."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        raise TypeError(f"{name} must be a list of speeds, one for each worker, such as [1, 1, 0.5], or None; {given(value)} was given")
    return tuple(checked_number(float(v) if isinstance(v, (np.integer, np.floating)) else v, name, SPEEDS) for v in value)  # pyright: ignore[reportReturnType]
