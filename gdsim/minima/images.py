"""All images of a small network under permutations and signs, and the one of the lowest barrier."""

import itertools
import math
from typing import Any

import numpy as np

from gdsim.minima.barriers import barrier_and_height
from gdsim.minima.normal_form import Normalized
from gdsim.minima.symmetries import Kind, Layers
from gdsim.population.evaluation import packs_of, scores

MOST_UNITS = 6
AT_ONCE = 2**22  # numbers of parameters of points that are evaluated together


def check_few(kind: Kind) -> None:
    """Raises ValueError where a network has too many images to try them all."""
    if len(kind.units) != 1 or kind.units[0] > MOST_UNITS:
        raise ValueError(
            f"method='barrier' tries all images of one hidden layer of up to {MOST_UNITS} units; hidden={list(kind.units)} was given: take method='weights'"
        )


def lowest_image(problem: Any, a: np.ndarray, normal: Normalized, other: Layers, points: int) -> np.ndarray:
    """[1, parameter]: the image of another network of the lowest barrier on the line from a[parameter], whose
    normal form is given as the other's is.
    """
    (group,) = normal.groups
    units = other.units(group)
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=units))) if group.flips else np.ones((1, units))
    orders = np.array(list(itertools.permutations(range(units))))
    count = len(orders) * len(signs)
    images = other.take([0] * count)
    images.permute(group, np.repeat(orders, len(signs), 0))
    images.multiply(group, np.tile(signs, (len(orders), 1)))
    vectors = normal.take([0] * count).undone(images).vectors(normal.kind)
    alpha = np.linspace(0.0, 1.0, points)
    found, step = np.empty(count), max(1, AT_ONCE // (points * len(a)))
    for first in range(0, count, step):
        some = vectors[first : first + step, None, :]
        line = (1.0 - alpha[:, None]) * a + alpha[:, None] * some
        loss = scores(problem, packs_of(problem, line.reshape(-1, len(a)), "float64"), problem.data, ("loss",))["loss"]
        found[first : first + step] = barrier_and_height(alpha, loss.reshape(-1, points))[0]
    lowest = np.flatnonzero(found <= np.nanmin(found) + math.ulp(1.0))  # the nearest of equals
    nearest = lowest[((vectors[lowest] - a) ** 2).sum(1).argmin()] if len(lowest) else 0
    return vectors[nearest : nearest + 1]
