"""Scores of a problem at points of a plane of parameters, w(t) = w_0 + t_1 d_1 + t_2 d_2."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.kernels.affine import TERMS, PlaneJob, PlaneKernels
from gdsim.kernels.packs import PackWork
from gdsim.kernels.sample_table import Table, sampler_of, table_of
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.columns import with_one_nan
from gdsim.population.evaluation import Packs, scores
from gdsim.population.samples import table_for
from gdsim.population.setting import Setting
from gdsim.population.workplace import HERE, Workplace
from gdsim.problems.parts import Sampler

POINTS_AT_ONCE = 2**21  # parameters of points that are laid out in memory together
MOST_SUMS = 2**25  # numbers of a plane's products with all samples, which each thread holds: 128 MiB in float32

# What a plane's terms and their products with samples may be, of the largest number that there is: coordinates times them
# and their sums are numbers, too.
LARGEST_TERM = 2.0**-20

_kernels = functools.lru_cache(maxsize=64)(PlaneKernels)


class Asked(NamedTuple):
    """What is asked for at every point: whether the gradient's norm, and the sets of samples by the prefixes
    of their names.
    """

    gradient_norm: bool
    sets: tuple[tuple[str, Data | None], ...]

    @classmethod
    def of(cls, problem: Any, gradient_norm: bool) -> "Asked":
        """The training set, and the validation set where there is one."""
        validation = None if problem.data is None else problem.data.validation
        return cls(gradient_norm, (("", problem.data), *((("validation_", validation),) if validation is not None else ())))


def variables_of(problem: Any, asked: Asked) -> list[str]:
    """The names of the scores, in their order."""
    each = ["loss", *(["accuracy"] if problem.is_classifier else [])]
    return [f"{prefix}{name}" for prefix, _ in asked.sets for name in each] + (["gradient_norm"] if asked.gradient_norm else [])


def plane_scores(setting: Setting, terms: np.ndarray, coordinates: np.ndarray, asked: Asked, place: Workplace = HERE) -> dict[str, np.ndarray]:
    """{name: [point]} at coordinates[point, axis] of the plane of terms[term, parameter]: w_0, d_1, d_2.

    Losses of networks without penalty by magnitudes, where no gradient is asked for, come from the products of
    the plane's weights with the samples (`kernels.affine`), if they take no more than `MOST_SUMS` numbers, none of
    them nearly as large as numbers can be; all others point by point.
    """
    problem = setting.problem
    with ieee_mode():
        found = (_of_network if has_products(problem, asked.gradient_norm) else _point_by_point)(setting, terms, coordinates, asked, place)
    return {name: with_one_nan(found[name]) for name in variables_of(problem, asked)}


def has_products(problem: Any, gradient_norm: bool) -> bool:
    """Whether scores come from the products of a plane's weights with the samples."""
    return problem.family == "network" and problem.l1 == 0.0 and not gradient_norm and _sums_of(problem) <= MOST_SUMS


def _sums_of(problem: Any) -> int:
    """How many numbers the products of a network take, at most: with skip connections samples may lead to every
    unit.
    """
    units = problem.widths[1] if problem.skip is None else sum(problem.widths[1:])
    return TERMS * units * max(len(part.X) for part in (problem.data, problem.data.validation) if part is not None)


def scores_operations(problem: Any, gradient_norm: bool) -> float:
    """Operations of the scores at a point, about."""
    samples = 1 if problem.data is None else len(problem.data.X)
    if not has_products(problem, gradient_norm):
        return problem.step_operations(samples)
    units = sum(units for _, units in problem.layers)
    return samples * (2.0 * (problem.parameter_count - problem.widths[0] * problem.widths[1]) + 10.0 * units)


def _point_by_point(setting: Setting, terms: np.ndarray, coordinates: np.ndarray, asked: Asked, place: Workplace) -> dict[str, np.ndarray]:
    problem, count = setting.problem, len(coordinates)
    kernels = place.kernels(setting)
    names = {prefix: ("loss", *(["accuracy"] if problem.is_classifier else [])) for prefix, _ in asked.sets}
    names[""] += ("gradient_norm",) if asked.gradient_norm else ()
    found = {name: np.empty(count, kernels.dtype) for name in variables_of(problem, asked)}
    step = max(1, POINTS_AT_ONCE // (terms.shape[1] * kernels.width)) * kernels.width
    for first in range(0, count, step):
        t = coordinates[first : first + step, :, None]
        packs = Packs(kernels, terms[0] + t[:, 0] * terms[1] + t[:, 1] * terms[2], place)
        for prefix, part in asked.sets:
            for name, values in scores(problem, packs, part, names[prefix]).items():
                found[f"{prefix}{name}"][first : first + step] = values
    return found


def _of_network(setting: Setting, terms: np.ndarray, coordinates: np.ndarray, asked: Asked, place: Workplace) -> dict[str, np.ndarray]:
    problem, kernels, found = setting.problem, _kernels(place.kernels(setting)), {}
    here = kernels if place.device is None else _kernels(HERE.kernels(setting))  # one thread puts all samples through a layer, once
    dtype = kernels.kernels.dtype
    if not _have_room(terms, dtype):
        return _point_by_point(setting, terms, coordinates, asked, place)
    rounded = terms.astype(dtype)
    for prefix, part in asked.sets:
        assert part is not None
        table = table_for(part, dtype.name, problem.data.sample_weight is not None)
        sums = here.sums(rounded, sampler_of(table, None, True, 0, dtype))
        if not _have_room(sums, dtype):
            return _point_by_point(setting, terms, coordinates, asked, place)
        loss, accuracy = _on_plane(kernels, rounded, sums, sampler_of(_targets_of(table), None, True, 0, dtype), coordinates, place)
        found[f"{prefix}loss"], found[f"{prefix}accuracy"] = loss, accuracy
    if problem.l2 != 0.0:
        found["loss"] = (found["loss"] + 0.5 * problem.l2 * squares_on(problem, terms, coordinates)).astype(dtype)
    return found


def _have_room(numbers: np.ndarray, dtype: np.dtype) -> bool:
    """Whether all numbers are so far from the largest of a type that sums of a few multiples have room."""
    most = LARGEST_TERM * float(np.finfo(dtype).max)
    return bool(numbers.max() < most and numbers.min() > -most)


def _on_plane(
    kernels: PlaneKernels, terms: np.ndarray, sums: np.ndarray, sampler: Sampler, coordinates: np.ndarray, place: Workplace
) -> tuple[np.ndarray, np.ndarray]:
    """(loss without penalty, accuracy) at coordinates[point, axis]."""
    count, width = len(coordinates), kernels.kernels.width
    packs = -(-count // width) if place.device is None else 1  # a thread goes from pack to pack by itself
    loss, accuracy = np.empty((2, count), kernels.kernels.dtype)

    def take(job: PlaneJob, first: int) -> None:
        chosen = slice(first, first + packs * width)
        loss[chosen], accuracy[chosen] = (scores[: count - first] for scores in (job.plane.loss, job.plane.accuracy))

    new_job = lambda: kernels.new_job(terms, sums, sampler, packs)  # noqa: E731
    fill = lambda job, first: kernels.fill(job, coordinates[first : first + packs * width])  # noqa: E731
    place.work(PackWork(kernels.kernel, packs, new_job, fill, take, kernels.moved, kernels.shared), count, packs * width)
    return loss, accuracy


def _targets_of(table: Table) -> Table:
    """A table's targets and weights of samples, without features."""
    rows = table.matrix.reshape(-1, table.pitch)[: table.samples]
    return table_of(np.empty((table.samples, 0)), rows[:, table.features : table.columns], table.matrix.dtype)


def squares_on(problem: Any, terms: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """[point]: the sum of the squares of a network's weights, biases left out, at coordinates[point, axis]."""
    weights = np.concatenate([W.ravel() for W, _ in problem.unpack(np.arange(terms.shape[1]))])
    own = terms[:, weights].astype(np.float64)
    gram = np.array([[math.fsum(a * b) for b in own] for a in own])
    t = np.column_stack([np.ones(len(coordinates)), coordinates])
    found = np.zeros(len(t))
    for i, j in np.ndindex(TERMS, TERMS):
        found += gram[i, j] * t[:, i] * t[:, j]
    return found
