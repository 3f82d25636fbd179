"""Scores of each worker's or client's own samples, at given parameters of runs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gdsim.data import Data
from gdsim.kernels.evaluation import Evaluation
from gdsim.kernels.packs import evaluating
from gdsim.kernels.sample_table import Table, sampler_of
from gdsim.lanes import memory
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.numbers import zeros
from gdsim.population.engine_choice import kernels_for, lanes_for
from gdsim.population.evaluation import Packs, evaluation_setting
from gdsim.population.partitions import Members, members_of, samples_of
from gdsim.population.samples import table_for
from gdsim.population.setting import Setting

ROWS = 16  # of which a table has a whole number
STARTS_AT_ONCE = 256  # whose samples are shared out together


def members_by_start(setting: Setting, starts: np.ndarray) -> Iterator[tuple[np.ndarray, Members]]:
    """(places of runs that share them, the samples of each worker), of runs whose partition is without axes."""
    partition = setting.partition
    assert partition is not None
    keys, place = np.unique(starts if partition.is_drawn else np.zeros_like(starts), return_inverse=True)
    order = np.argsort(place, kind="stable")
    runs = np.split(order, np.searchsorted(place[order], np.arange(1, len(keys))))
    for first in range(0, len(keys), STARTS_AT_ONCE):
        rows = [(partition.hyperparameters(), int(start)) for start in keys[first : first + STARTS_AT_ONCE]]
        yield from zip(runs[first : first + STARTS_AT_ONCE], members_of(partition, samples_of(setting), rows), strict=True)


def client_scores(setting: Setting, parameters: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """`samples`, `loss` and, for classification, `accuracy` [run, client] of the models with parameters[run,
    parameter] on each client's own samples, weighted as these are, without penalties.
    """
    problem = setting.problem
    shared = [*members_by_start(setting, starts)]
    own = evaluation_setting(problem, parameters, None)
    kernels = kernels_for(own, lanes_for(own, max(len(runs) for runs, _ in shared), 1))
    whole = table_for(problem.data, kernels.dtype.name)
    names = ("loss", *(["accuracy"] if problem.is_classifier else []))
    columns = {name: np.empty((len(starts), len(shared[0][1])), kernels.dtype) for name in names}
    columns["samples"] = np.empty(columns["loss"].shape, np.int64)
    evaluate: Any = evaluating(kernels).compiled
    model, found = kernels.whole_model(), kernels.new_scores()
    with ieee_mode():
        for runs, members in shared:
            columns["samples"][runs] = [len(mine) for mine in members]
            samplers = [sampler_of(_rows_of(whole, mine), None, True, 0, kernels.dtype) for mine in members]
            for some, weights in Packs(kernels, parameters[runs]).one_by_one():
                for client, sampler in enumerate(samplers):
                    table = memory.table_of(Evaluation(model, weights, sampler, found))
                    evaluate(table.ctypes.data, 0)
                    for name in names:
                        columns[name][runs[some], client] = getattr(found, name)[: some.stop - some.start]
            columns["loss"][runs] /= [_mean_weight(problem.data, mine) for mine in members]
    return columns


def _mean_weight(data: Data, samples: np.ndarray) -> float:
    """The mean weight of some samples, that of all being 1."""
    return 1.0 if data.sample_weight is None else float(data.sample_weight[samples].mean())


def _rows_of(table: Table, samples: np.ndarray) -> Table:
    """The table of some of the samples."""
    matrix = zeros(-(-len(samples) // ROWS) * ROWS * table.pitch, table.matrix.dtype)
    matrix.reshape(-1, table.pitch)[: len(samples)] = table.matrix.reshape(-1, table.pitch)[samples]
    return table._replace(matrix=matrix, samples=len(samples))
