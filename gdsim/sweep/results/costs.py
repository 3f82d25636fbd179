"""What training had cost at checkpoints, where workers share it: samples, exchanges and bytes, which follow from
the steps alone.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from gdsim.distribution import message_sizes, samples_of_step
from gdsim.kernels.sample_table import steps_per_epoch
from gdsim.population import Setting
from gdsim.sweep.experiment.cells import Cell
from gdsim.sweep.planning.plan import Plan

COSTS = ("samples", "round", "bytes_sent")


class Taken(Protocol):
    """The steps that runs took: an array, or what reads them from a folder."""

    def __getitem__(self, key: Any, /) -> Any:
        """The steps of some runs."""
        ...


class Epoch(NamedTuple):
    """How a cell's runs go through the samples: an epoch's steps, a step's samples, an epoch's samples."""

    steps: int
    batch: int
    samples: int

    def samples_after(self, steps: np.ndarray) -> np.ndarray:
        """How many samples all workers together have seen after so many steps."""
        epochs, rest = np.divmod(steps, self.steps)
        return epochs * self.samples + np.minimum(rest * self.batch, self.samples)


def epoch_of_cell(cell: Cell, *, drop_last: bool, shuffle: str) -> Epoch:
    """An epoch of a cell's runs; of a problem without data a step, of a sample for each worker."""
    one, count = cell.distribution, 1 if cell.problem.data is None else len(cell.problem.data.X)
    batch = samples_of_step(one, cell.partition, count, cell.batch)
    is_plain = one is None or (cell.partition is None and one.is_one_workers(None))
    if not is_plain or drop_last or cell.batch is None or shuffle == "replacement":
        steps = steps_per_epoch(count, batch, True)
        return Epoch(steps, batch, steps * batch)
    return Epoch(steps_per_epoch(count, batch, False), batch, count)


class CostColumn:
    """[run, checkpoint] what training had cost, NaN after a run's end: an array that is made of the steps that
    runs took when it is asked for.
    """

    def __init__(self, table: np.ndarray, cells: np.ndarray, taken: Taken, steps: np.ndarray) -> None:
        self.table, self.cells, self.taken, self.steps = table, cells, taken, steps  # table[cell, checkpoint]
        self.shape, self.ndim, self.dtype = (len(cells), len(steps)), 2, np.dtype(np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes of all values in memory."""
        return 8 * self.shape[0] * self.shape[1]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        found = np.where(self.steps <= np.asarray(self.taken[rows])[:, None], self.table[self.cells[rows]], np.nan)
        return found[(slice(None), *rest)]


def costs_of(plan: Plan, numbers: np.ndarray, taken: Taken) -> dict[str, CostColumn]:
    """What training had cost, by the names of variables; nothing where no run has several workers.

    `numbers` are the runs' numbers, `taken` the steps that they took.
    """
    if all(cell.distribution is None for cell in plan.cells):
        return {}
    steps, cells = np.array(plan.checkpoints), plan.places_of(numbers)[1]
    tables = np.zeros((len(COSTS), len(plan.cells), len(steps)))
    for group in plan.groups:
        for number in group.cells:
            tables[:, number] = _costs(plan.cells[number], group.setting, steps)
    return {name: CostColumn(table, cells, taken, steps) for name, table in zip(COSTS, tables, strict=True)}


def _costs(cell: Cell, setting: Setting, steps: np.ndarray) -> list[np.ndarray]:
    """[cost][checkpoint] of one cell."""
    one, samples = cell.distribution, epoch_of_cell(cell, drop_last=setting.drop_last, shuffle=setting.shuffle).samples_after(steps)
    if one is None:
        return [samples, 0 * steps, 0 * steps]
    return [samples, one.rounds_at(steps), one.bytes_at(steps, *message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize))]
