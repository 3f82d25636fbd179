"""The learning-rate range test in its population form: one run per rate and start, and the share that still
learns at each.
"""

from typing import Any

import numpy as np

from gdsim.axes import logspace, values
from gdsim.problems import Problem
from gdsim.rules import Rule
from gdsim.statistics import median
from gdsim.sweep.experiment.cells import with_value
from gdsim.sweep.results.dataset import losses_at_end
from gdsim.sweep.results.reading import Dataset
from gdsim.sweep.sweep import Sweep
from gdsim.words import given


def lr_range_test(
    problem: Problem, optimizer: Rule, *, low: float = 1e-6, high: float = 10.0, n: int = 50, starts: int = 20, steps: int = 100, **options: Any
) -> Dataset:
    """How many runs still learn at each of `n` rates from `low` to `high`: an xarray.Dataset over `lr`.

    A run learns if it has not diverged and its last loss is below its first. `learns` is the share of the
    starts that do, `median_loss` their median last loss (the lower of two in the middle; diverged runs count
    as infinite), `suggested_lr` in its attributes the rate with the lowest, and `suggestion_open` 1 where
    that is an end of the rates tried, beyond which a better one may lie, else 0. `options` go to `gd.Sweep`.
    After Smith 2015, who raises the rate within one run. Raises TypeError for what is no optimizer,
    ValueError for rates that are not above 0.

    >>> import gdsim as gd
    >>> test = lr_range_test(gd.functions.Booth(), gd.SGD(), low=1e-3, high=1.0, n=4)
    >>> test.learns.values.tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    import xarray  # takes 0.4 s, and only results need it

    if not isinstance(optimizer, Rule):
        raise TypeError(f"lr_range_test needs one optimizer such as gd.SGD(); {given(optimizer)} was given")
    tried = logspace(low, high, n)
    sweep = Sweep(problem=problem, optimizer=with_value(optimizer, "lr", tried), starts=starts, steps=steps, **options)
    result = sweep.run(progress=False)
    rates = np.array(values(tried))
    if result.sizes["run"] != len(rates) * starts:
        raise ValueError("lr_range_test varies the rate alone; an axis of another hyperparameter was given")
    last = losses_at_end(result).reshape(starts, len(rates))  # runs are numbered start by start
    learns = last < result.loss.values[:, 0].reshape(last.shape)
    share, medians = learns.mean(0), median(last)
    best = int(np.argmin(medians))
    about = {"learns": ("share of starts whose loss fell", "1"), "median_loss": ("median loss after the last step", "1")}
    return xarray.Dataset(
        {name: ("lr", column, {"long_name": about[name][0], "units": about[name][1]}) for name, column in (("learns", share), ("median_loss", medians))},
        {"lr": ("lr", rates, {"long_name": "learning rate", "units": "1"})},
        {"suggested_lr": float(rates[best]), "suggestion_open": int(best in (0, len(rates) - 1)), "starts": starts, "steps": steps},
    )
