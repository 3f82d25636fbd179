"""gdsim as the objective of Optuna, many trials at a time: each batch of suggestions is one sweep."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gdsim.axes import Zipped, checked_whole
from gdsim.sweep.experiment.cells import with_value
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.sweep import Sweep

if TYPE_CHECKING:
    import optuna


def tell_batches(
    study: "optuna.Study", sweep: Sweep, space: Mapping[str, Any], *, batches: int = 10, batch: int = 32,
    variable: str | None = None, target: float | None = None, threads: int | None = None,
) -> "optuna.Study":  # fmt: skip
    """Asks an Optuna study for `batch` trials, trains them as the cells of one sweep, tells their values,
    `batches` times; returns the study.

    `sweep` has one optimizer without axes; `space` maps names of its hyperparameters to Optuna's
    distributions. A trial's value is the median over the sweep's starts of what ranks, by `variable` or
    `target` if given, else as `gd.table` says: infinite where more than half of them diverged or missed the
    target. The study must minimise, or maximise an accuracy. Optuna comes with gdsim's extra "optuna". Raises
    ValueError and TypeError for what cannot be searched.

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
    rising = variable is not None and "accuracy" in variable
    if [d.name for d in study.directions] != ["MAXIMIZE" if rising else "MINIMIZE"]:
        told, verb = ("an accuracy", "maximize") if rising else ("a loss or a time", "minimize")
        raise ValueError(f"{told} is told to the study, which must {verb} it: optuna.create_study(direction={verb!r})")
    checked_whole(batches, "batches", 1, 2**31)
    for _ in range(batches):
        trials = [study.ask(dict(space)) for _ in range(checked_whole(batch, "batch", 1, 2**20))]
        chosen = [tuple(float(t.params[n]) for n in space) for t in trials]
        distinct = sorted(set(chosen))
        loss = dict(zip(distinct, _scores(sweep, list(space), distinct, variable, target, threads), strict=True))
        for trial, key in zip(trials, chosen, strict=True):
            study.tell(trial, loss[key])
    return study


def _scores(sweep: Sweep, names: list[str], points: list[tuple[float, ...]], variable: str | None, target: float | None, threads: int | None) -> list[float]:
    """The median of each point, all of them trained side by side."""
    (rule,) = sweep.optimizer
    for name, column in zip(names, zip(*points, strict=True), strict=True):
        rule = with_value(rule, name, Zipped(tuple(column)) if len(points) > 1 else column[0])
    return ranked_cells(msgspec.structs.replace(sweep, optimizer=rule).run(threads=threads), variable=variable, target=target).median.tolist()
