"""What training had cost at checkpoints, where workers share it: samples, exchanges and bytes, which follow from
the steps alone, or of clients from the draws of their rounds too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gdsim.distribution import Federated, message_sizes, samples_computed, samples_of_step
from gdsim.kernels.sample_table import steps_per_epoch
from gdsim.population import Setting
from gdsim.population.client_rounds import over_rounds
from gdsim.sweep.experiment.cells import Cell
from gdsim.sweep.planning.plan import Plan

COSTS = ("samples", "round", "bytes_sent")


class Taken(Protocol):
    """The steps that runs took: an array, or what reads them from a folder."""

    def __getitem__(self, key: Any, /) -> Any:
        """The steps of some runs."""
        ...


class Epoch(NamedTuple):
    """How a cell's runs go through the samples: an epoch's steps, and how many samples gradients are computed of in a
    step and in an epoch.
    """

    steps: int
    batch: int
    samples: int

    def samples_after(self, steps: np.ndarray) -> np.ndarray:
        """How many samples all workers together have computed gradients of after so many steps."""
        epochs, rest = np.divmod(steps, self.steps)
        return epochs * self.samples + np.minimum(rest * self.batch, self.samples)


def epoch_of_cell(cell: Cell, *, drop_last: bool, shuffle: str) -> Epoch:
    """An epoch of a cell's runs; of a problem without data a step, of a sample for each worker."""
    one, count = cell.distribution, 1 if cell.problem.data is None else len(cell.problem.data.X)
    batch, computed = (of_step(one, cell.partition, count, cell.batch) for of_step in (samples_of_step, samples_computed))
    is_plain = one is None or (cell.partition is None and one.is_one_workers(None))
    if not is_plain or drop_last or cell.batch is None or shuffle == "replacement":
        steps = steps_per_epoch(count, batch, True)
        return Epoch(steps, computed, steps * computed)
    return Epoch(steps_per_epoch(count, batch, False), computed, count * computed // batch)


def client_costs(setting: Setting, starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[cost, query] of `COSTS` of the runs of one cell of clients, at steps[query] of starts[query]."""
    one, problem, size = setting.distribution, setting.problem, np.dtype(setting.dtype).itemsize
    assert isinstance(one, Federated)
    measured = over_rounds(setting, starts, steps, lambda rounds, row, step: np.stack([rounds.samples_by(row, step), rounds.done_by(row, step)]))
    return np.stack([*measured, measured[1] * one.message_bytes(*message_sizes(one, problem, size))])


def rounds_key(cell: Cell) -> tuple[Any, ...]:
    """What is the same of cells of clients whose runs cost the same, of each start."""
    one, data = cell.distribution, cell.problem.data
    assert isinstance(one, Federated)
    assert data is not None
    return one.rounds_key, cell.partition, cell.batch, data.digest, message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize)


class ClientCells(NamedTuple):
    """Cells whose clients are in the same rounds, so that they cost the same."""

    setting: Setting  # that of one of them, without axes
    cells: frozenset[int]


class CellCosts(NamedTuple):
    """What decides the costs of each cell's runs beside the steps that they took."""

    steps: np.ndarray  # [checkpoint]
    of_steps: np.ndarray  # [cost, cell, checkpoint], where they follow from the steps
    of_clients: Sequence[ClientCells] = ()  # the others


class CostColumn:
    """[run, checkpoint] what training had cost, NaN after a run's end: an array that is made of the steps that
    runs took when it is asked for.
    """

    def __init__(self, name: str, costs: CellCosts, runs: tuple[np.ndarray, np.ndarray], taken: Taken) -> None:
        self.place, self.costs, self.taken = COSTS.index(name), costs, taken
        self.starts, self.cells = runs
        self.shape, self.ndim, self.dtype = (len(self.cells), len(costs.steps)), 2, np.dtype(np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes of all values in memory."""
        return 8 * self.shape[0] * self.shape[1]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        found = _costs_of_runs(self.costs, self.starts[rows], self.cells[rows], np.asarray(self.taken[rows]))[self.place]
        return found[(slice(None), *rest)]


def _costs_of_runs(costs: CellCosts, starts: np.ndarray, cells: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """[cost, run, checkpoint] what training had cost, NaN after a run's end."""
    there = costs.steps <= taken[:, None]
    found = np.where(there, costs.of_steps[:, cells], np.nan)
    for setting, alike in costs.of_clients:
        mine = np.flatnonzero(np.isin(cells, [*alike]))
        if len(mine):
            row, place = np.nonzero(there[mine])
            found[:, mine[row], place] = client_costs(setting, starts[mine[row]], costs.steps[place])
    return found


def _has_workers(plan: Plan) -> bool:
    """Whether any run has several workers, without which nothing is told of costs."""
    return any(cell.distribution is not None for cell in plan.cells)


def costs_of(plan: Plan, numbers: np.ndarray, taken: Taken) -> dict[str, CostColumn]:
    """What training had cost, by the names of variables; nothing where no run has several workers.

    `numbers` are the runs' numbers, `taken` the steps that they took.
    """
    if not _has_workers(plan):
        return {}
    costs, runs = _cell_costs(plan), plan.places_of(numbers)
    return {name: CostColumn(name, costs, runs, taken) for name in COSTS}


def costs_in_memory(plan: Plan, numbers: np.ndarray, taken: np.ndarray) -> dict[str, np.ndarray]:
    """The values of `costs_of`, made together."""
    if not _has_workers(plan):
        return {}
    return dict(zip(COSTS, _costs_of_runs(_cell_costs(plan), *plan.places_of(numbers), taken), strict=True))


def costs_by_cell(plan: Plan) -> dict[str, np.ndarray]:
    """[cell, checkpoint] what training had cost the runs of each cell that went on until there, by the names of
    variables; NaN where the runs of clients cost differently; nothing where no run has several workers.
    """
    if not _has_workers(plan):
        return {}
    return dict(zip(COSTS, _cell_costs(plan).of_steps, strict=True))


def _cell_costs(plan: Plan) -> CellCosts:
    steps = np.array(plan.checkpoints)
    tables, alike = np.full((len(COSTS), len(plan.cells), len(steps)), np.nan), {}
    for group in plan.groups:
        for number in group.cells:
            cell = plan.cells[number]
            if isinstance(cell.distribution, Federated):
                setting = group.setting._replace(distribution=cell.distribution, partition=cell.partition)
                tables[1:, number] = _told(cell, steps)
                alike.setdefault(rounds_key(cell), (setting, []))[1].append(number)
            else:
                tables[:, number] = _costs(cell, group.setting, steps)
    return CellCosts(steps, tables, [ClientCells(setting, frozenset(members)) for setting, members in alike.values()])


def _costs(cell: Cell, setting: Setting, steps: np.ndarray) -> list[np.ndarray]:
    """[cost][checkpoint] of one cell."""
    one, samples = cell.distribution, epoch_of_cell(cell, drop_last=setting.drop_last, shuffle=setting.shuffle).samples_after(steps)
    if one is None:
        return [samples, 0 * steps, 0 * steps]
    return [samples, *_told(cell, steps)]


def _told(cell: Cell, steps: np.ndarray) -> list[np.ndarray]:
    """[cost][checkpoint] the rounds and bytes of one cell, as far as they follow from the steps."""
    one = cell.distribution
    assert one is not None
    return [one.rounds_at(steps), one.bytes_at(steps, *message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize))]
