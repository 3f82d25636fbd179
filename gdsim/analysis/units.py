"""What a step costs: steps, samples, or gradients of the whole data, where rules and batch sizes compare; what
workers tell each other, and seconds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gdsim.analysis.run_seconds import seconds_in
from gdsim.analysis.simulated import SimulatedCluster
from gdsim.distribution import Asynchronous, Federated, message_sizes, samples_of_step
from gdsim.population import Setting
from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.results.costs import COSTS, client_costs, epoch_of_cell
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Cells, Dataset
from gdsim.words import checked_word

UNITS = {
    "steps": "updates", "samples": "samples seen", "gradients": "gradients of the whole data",
    "rounds": "exchanges of workers", "bytes": "bytes that a worker sent", "seconds": "seconds on a cluster",
}  # fmt: skip


class Cost(NamedTuple):
    """What steps cost in the runs of a result.

    `of(steps, runs)` takes steps and the place of each one's run.
    """

    unit: str
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]


def check_cluster(unit: str, cluster: SimulatedCluster | None) -> None:
    """Refuses seconds of no cluster, and a cluster of which no seconds are asked. Raises ValueError."""
    if (unit == "seconds") != (cluster is not None):
        raise ValueError("seconds are those of a cluster: give both, unit='seconds' and cluster=gd.SimulatedCluster(...)")


def cost_in(result: Dataset, unit: str, cells: Cells, cluster: SimulatedCluster | None = None) -> Cost:
    """The cost of steps in the runs of a result.

    "gradients" counts samples seen over the samples that there are, twice where a rule takes two gradients a
    step; a function's step is one. Looks at the whole data that stops and checkpoints take are not counted.
    "seconds" are those of a cluster. Raises ValueError.
    """
    checked_word(unit, "unit", UNITS)
    check_cluster(unit, cluster)
    if unit == "steps":
        return Cost(unit, lambda steps, runs: np.asarray(steps, float))
    if cluster is not None:
        return Cost(unit, seconds_in(result, cluster, cells))
    sweep = sweep_behind(result)
    every = cells_of(sweep)
    own = [every[n] for n in cells.numbers]
    of_clients = [(place, sweep.setting(cell)) for place, cell in enumerate(own) if isinstance(cell.distribution, Federated)]
    clients = ClientRuns(of_clients, cells.place, result.start.values)
    if unit in ("rounds", "bytes"):
        return Cost(unit, _told(unit, own, clients))
    counts = [_samples(sweep, cell, unit) for cell in own]
    epoch, batch, whole, share = (np.array(column, float) for column in zip(*counts, strict=True)) if counts else (np.zeros(0),) * 4

    def cost(steps: np.ndarray, runs: np.ndarray) -> np.ndarray:
        place = cells.place[runs]
        epochs, rest = np.divmod(np.asarray(steps, float), epoch[place])
        samples = epochs * whole[place] + np.minimum(rest * batch[place], whole[place])
        clients.put(samples, "samples", steps, runs)
        return samples * share[place]

    return Cost(unit, cost)


def samples_of_steps(result: Dataset, cells: Cells) -> np.ndarray:
    """[cell] how many samples a step is made of, those of all workers together: of clients as many as whole batches
    have, and of problems without data one of each worker.
    """
    every = cells_of(sweep_behind(result))
    counts = [1 if cell.problem.data is None else len(cell.problem.data.X) for cell in every]
    return np.array([samples_of_step(every[n].distribution, every[n].partition, counts[n], every[n].batch) for n in cells.numbers], float)


def any_asynchronous(result: Dataset, cells: Cells) -> bool:
    """Whether a step is one worker's in any of the cells, however many there are."""
    every = cells_of(sweep_behind(result))
    return any(isinstance(every[n].distribution, Asynchronous) for n in cells.numbers)


class ClientRuns(NamedTuple):
    """The runs of clients in a result, whose costs follow from their rounds."""

    settings: list[tuple[int, Setting]]  # (place among the cells, setting)
    place: np.ndarray  # [run] among the cells
    starts: np.ndarray  # [run]

    def put(self, found: np.ndarray, name: str, steps: np.ndarray, runs: np.ndarray) -> None:
        """Leaves in found[query] what those among `runs` had cost at some steps."""
        for place, setting in self.settings:
            mine = self.place[runs] == place
            if mine.any():
                found[mine] = client_costs(setting, self.starts[runs[mine]], np.asarray(steps, np.int64)[mine])[COSTS.index(name)]


def _told(unit: str, cells: Sequence[Cell], clients: ClientRuns) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What workers have told each other: exchanges, or bytes that one has sent; nothing of one worker."""

    def cost(steps: np.ndarray, runs: np.ndarray) -> np.ndarray:
        steps, found = np.asarray(steps, np.int64), np.zeros(len(runs))
        for number, cell in enumerate(cells):
            mine, one = clients.place[runs] == number, cell.distribution
            if one is not None and mine.any():
                sizes = message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize)
                found[mine] = one.rounds_at(steps[mine]) if unit == "rounds" else one.bytes_at(steps[mine], *sizes)
        clients.put(found, "round" if unit == "rounds" else "bytes_sent", steps, runs)
        return found

    return cost


def _samples(sweep: Experiment, cell: Cell, unit: str) -> tuple[float, float, float, float]:
    """(steps of an epoch, samples of a step, samples of an epoch, the cost of a sample)."""
    gradients = 2.0 if cell.rule.perturbs else 1.0
    if cell.problem.data is None and unit == "samples":
        raise ValueError(f"{type(cell.problem).__name__} has no samples to count: take unit='steps' or 'gradients'")
    epoch = epoch_of_cell(cell, drop_last=sweep.drop_last, shuffle=sweep.shuffle)
    if cell.problem.data is None:
        return 1.0, epoch.batch, epoch.samples, gradients
    return epoch.steps, epoch.batch, epoch.samples, 1.0 if unit == "samples" else gradients / len(cell.problem.data.X)
