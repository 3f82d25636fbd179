"""How well the model of each run serves each of its clients, or workers, on their own samples."""

import numpy as np

from gdsim.canonical import digest
from gdsim.distribution.base import Distribution
from gdsim.population.client_scores import client_scores as scores_of
from gdsim.stops import Status
from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.points import parameters_of
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import WORST, Dataset, Result, cells_in, check_result, dataset
from gdsim.sweep.run.options import check_unedited

TENTH = 10  # of so many clients one is among the worst, at least
TEXTS = {
    "loss": ("loss on the client's samples", "1"),
    "accuracy": ("accuracy on the client's samples", "1"),
    "samples": ("samples that the client has", "samples"),
    "worst_loss": ("mean loss of the tenth of clients whose losses are the highest", "1"),
    "worst_accuracy": ("mean accuracy of the tenth of clients whose accuracies are the lowest", "1"),
    "loss_spread": ("standard deviation of the loss over clients", "1"),
    "accuracy_spread": ("standard deviation of the accuracy over clients", "1"),
}


def client_scores(result: Result, *, variable: str = "parameters") -> Dataset:
    """The loss of each run's reported parameters on the samples of each of its clients, and of classifiers the
    accuracy, [run, client]; workers are clients, by the samples that `partition=` gave them.

    A client's loss is the mean over its own samples, by their weights, without penalties; its accuracy counts
    samples alike. For each run there are the means over the worst tenth of its clients, ceil(clients / 10) of
    them, by loss and by accuracy, and the standard deviations over all clients (over their number, each counting
    alike), as Li et al. (2020) tell how fair a model is: one whose mean is good may serve some badly. `variable` may
    be "best_parameters". Runs that diverged count as everywhere, whatever weights they had: infinite losses,
    accuracies of 0, and no spread. Runs of fewer clients than others have NaN and 0 samples beyond theirs.

    Variables: `loss`, `accuracy` and `samples` [run, client]; `worst_loss`, `loss_spread`, `worst_accuracy`,
    `accuracy_spread` [run].

    Raises ValueError for runs without workers or whose workers draw from all samples, and for results without
    parameters.

    >>> import gdsim as gd
    >>> moons = gd.datasets.load("moons")
    >>> sweep = gd.Sweep(problem=gd.LogisticRegression(moons), optimizer=gd.SGD(lr=0.5), batch=8, steps=60, partition="sorted",
    ...     distribution=gd.LocalSGD(workers=4, period=4), record=gd.Record(parameters=True))
    >>> found = client_scores(sweep.run())
    >>> dict(found.sizes), found.samples.values.tolist()
    ({'run': 1, 'client': 4}, [[64, 64, 64, 64]])
    >>> bool(found.worst_accuracy[0] == found.accuracy[0].min())
    True
    """
    result = check_result(result, "client_scores")
    sweep = sweep_behind(result)
    check_unedited(sweep)
    cells, starts, parts = cells_in(result), result.start.values, {}
    every = cells_of(sweep)
    for place, number in enumerate(cells.numbers):
        one, cell = _owners_of(every[number], number), every[number]
        parts.setdefault((digest(cell.problem), one.owners, cell.partition, cell.batch), (sweep.setting(cell), []))[1].append(place)
    vectors, lost = parameters_of(result, variable, "client_scores"), result.status.values == Status.DIVERGED
    columns: dict[str, np.ndarray] = {}
    clients = max(setting.distribution.owners[0] for setting, _ in parts.values())  # pyright: ignore[reportOptionalMemberAccess]
    for setting, places in parts.values():
        runs = np.flatnonzero(np.isin(cells.place, places))
        found = _counted(scores_of(setting, vectors.values[runs], starts[runs]), lost[runs])
        for name, values in {**found, **_over_clients(found, lost[runs])}.items():
            shape = (len(starts), clients) if values.ndim == 2 else (len(starts),)
            whole = columns.setdefault(name, np.zeros(shape, np.int64) if values.dtype.kind == "i" else np.full(shape, np.nan))
            whole[(runs, *(slice(n) for n in values.shape[1:]))] = values
    return dataset(
        {name: (("run", "client")[: values.ndim], values, *TEXTS[name]) for name, values in columns.items()},
        {**{str(n): c.variable for n, c in vectors.coords.items() if c.dims == ("run",)}, "client": ("client", np.arange(clients))}, at=variable,
    )  # fmt: skip


def _owners_of(cell: Cell, number: int) -> Distribution:
    """The distribution of a cell whose workers have samples of their own. Raises ValueError for others."""
    if cell.distribution is None:
        said, remedy = "have no workers", "distribution=gd.FederatedAveraging(clients=10, sampled=3) and partition='iid'"
    elif cell.partition is None:
        said, remedy = "draw from all samples", "partition='iid'"
    else:
        return cell.distribution
    raise ValueError(f"client_scores takes runs whose workers have samples of their own, and those of cell {number} {said}: give {remedy}, say")


def _counted(scores: dict[str, np.ndarray], lost: np.ndarray) -> dict[str, np.ndarray]:
    """Scores [run, client] as comparisons count them, given which runs diverged."""
    return {name: values if name == "samples" else np.where(lost[:, None], WORST.get(name, np.inf), values) for name, values in scores.items()}


def _over_clients(found: dict[str, np.ndarray], lost: np.ndarray) -> dict[str, np.ndarray]:
    """[run] the mean over the worst tenth of clients of each score, and its spread, which diverged runs lack."""
    made: dict[str, np.ndarray] = {}
    for name in ("loss", "accuracy"):
        if name in found:
            values = found[name].astype(float)
            made[f"worst_{name}"] = worst_tenth(values, are_losses=name == "loss")
            with np.errstate(invalid="ignore"):  # infinite losses have none
                made[f"{name}_spread"] = np.where(lost, np.nan, values.std(1))
    return made


def worst_tenth(scores: np.ndarray, *, are_losses: bool) -> np.ndarray:
    """[run] the mean of the ceil(clients / 10) worst of scores[run, client]: the highest losses, of which NaN is the
    highest, or the lowest accuracies.
    """
    count, ordered = -(-scores.shape[1] // TENTH), np.sort(scores, axis=1)
    return (ordered[:, -count:] if are_losses else ordered[:, :count]).mean(1)
