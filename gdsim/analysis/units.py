"""What a step costs: steps, samples, or gradients of the whole data, where rules and batch sizes compare."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.results.costs import epoch_of_cell
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Dataset
from gdsim.words import checked_word

UNITS = {"steps": "updates", "samples": "samples seen", "gradients": "gradients of the whole data"}


class Cost(NamedTuple):
    """What steps cost in each cell of a result.

    `of(steps, place)` takes steps and the place of each one's cell.
    """

    unit: str
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]


def cost_in(result: Dataset, unit: str, numbers: np.ndarray) -> Cost:
    """The cost of steps in cells with the given numbers.

    "gradients" counts samples seen over the samples that there are, twice where a rule takes two gradients a
    step; a function's step is one. Looks at the whole data that stops and checkpoints take are not counted.
    Raises ValueError.
    """
    checked_word(unit, "unit", UNITS)
    if unit == "steps":
        return Cost(unit, lambda steps, place: np.asarray(steps, float))
    sweep = sweep_behind(result)
    cells = cells_of(sweep)
    counts = [_samples(sweep, cells[n], unit) for n in numbers]
    epoch, batch, whole, share = (np.array(column, float) for column in zip(*counts, strict=True)) if counts else (np.zeros(0),) * 4

    def cost(steps: np.ndarray, place: np.ndarray) -> np.ndarray:
        epochs, rest = np.divmod(np.asarray(steps, float), epoch[place])
        return (epochs * whole[place] + np.minimum(rest * batch[place], whole[place])) * share[place]

    return Cost(unit, cost)


def _samples(sweep: Experiment, cell: Cell, unit: str) -> tuple[float, float, float, float]:
    """(steps of an epoch, samples of a step, samples of an epoch, the cost of a sample)."""
    gradients = 2.0 if cell.rule.perturbs else 1.0
    if cell.problem.data is None and unit == "samples":
        raise ValueError(f"{type(cell.problem).__name__} has no samples to count: take unit='steps' or 'gradients'")
    epoch = epoch_of_cell(cell, drop_last=sweep.drop_last, shuffle=sweep.shuffle)
    if cell.problem.data is None:
        return 1.0, epoch.batch, epoch.samples, gradients
    return epoch.steps, epoch.batch, epoch.samples, 1.0 if unit == "samples" else gradients / len(cell.problem.data.X)
