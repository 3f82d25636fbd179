"""gdsim as the objective of Optuna, many trials at a time: each batch of suggestions is one sweep."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gdsim.analysis.tuning import median_losses
from gdsim.axes import Zipped, checked_whole
from gdsim.sweep.cells import with_value
from gdsim.sweep.declaration import Sweep
from gdsim.sweep.reading import cells_in


def tell_batches(study: Any, sweep: Sweep, space: Mapping[str, Any], *, batches: int = 10, batch: int = 32, threads: int | None = None) -> Any:
    """Asks an Optuna study for `batch` trials, trains them as the cells of one sweep, tells their losses, `batches` times; returns the study.

    `sweep` has one optimizer without axes; `space` maps names of its hyperparameters to Optuna's distributions. A trial's value is the
    median final loss over the sweep's starts, infinite where half of them diverged; the study must minimise. Needs `pip install
    'gdsim[optuna]'`. Raises ValueError and TypeError for what cannot be searched.

    >>> import gdsim as gd, optuna
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), starts=5, steps=50)
    >>> space = {"lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)}
    >>> len(tell_batches(study, sweep, space, batches=2, batch=8).trials)
    16
    """
    if len(sweep.optimizer) != 1 or len(sweep.plan().cells) != 1:
        raise ValueError("the study chooses the hyperparameters: give a sweep of one cell, one optimizer without axes")
    if not space:
        raise ValueError("space is empty: give a distribution for at least one hyperparameter, such as {'lr': FloatDistribution(1e-4, 1.0, log=True)}")
    if [d.name for d in study.directions] != ["MINIMIZE"]:
        raise ValueError("a loss is told to the study, which must minimise it: optuna.create_study(direction='minimize')")
    checked_whole(batches, "batches", 1, 2**31)
    for _ in range(batches):
        trials = [study.ask(dict(space)) for _ in range(checked_whole(batch, "batch", 1, 2**20))]
        chosen = [tuple(float(t.params[n]) for n in space) for t in trials]
        distinct = sorted(set(chosen))
        loss = dict(zip(distinct, _losses(sweep, list(space), distinct, threads), strict=True))
        for trial, key in zip(trials, chosen, strict=True):
            study.tell(trial, loss[key])
    return study


def _losses(sweep: Sweep, names: list[str], points: list[tuple[float, ...]], threads: int | None) -> list[float]:
    """The median final loss of each point, all of them trained side by side."""
    (rule,) = sweep.optimizer
    for name, column in zip(names, zip(*points, strict=True), strict=True):
        rule = with_value(rule, name, Zipped(tuple(column)) if len(points) > 1 else column[0])
    result = msgspec.structs.replace(sweep, optimizer=rule).run(threads=threads)
    return median_losses(result, cells_in(result)).tolist()
