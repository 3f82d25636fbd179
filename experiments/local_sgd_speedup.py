"""How much faster do more workers train, and does it pay that they talk rarely?

Logistic regression on the digits (below five, or not?), one sample a worker and step, after Stich (2019, "Local
SGD converges fast and communicates little"): workers step alone, and after every H steps go on from their
mean. Left, how many times fewer steps than one worker's it takes until the loss is within 0.01 of the least,
each cell at the best of its rates: the more often the workers talk the better. Right, the same in seconds
where a round of communication costs as much as 25 steps: the order of the periods is the reverse, and
averaging in every step is slower than one worker alone.

Takes 35 s on two cores. Ends in results/local_sgd_speedup/local_sgd_speedup.png.
"""

import matplotlib.figure
import numpy as np
import pandas
import xarray

import gdsim as gd

LEAST = 0.2817426090  # of the loss, by BFGS
WORKERS, PERIODS = (2, 4, 8, 16), (1, 8, 64)
ROUND = 25  # steps that take as long as a round of communication


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`workers`: numbers of workers and periods over the same rates."""
    digits = gd.datasets.load("digits")
    below_five = gd.Data(np.column_stack([digits.X, np.ones(len(digits.X))]), (digits.y < 5).astype(int))
    workers, periods = (WORKERS[:1], PERIODS[:2]) if short else (WORKERS, PERIODS)
    return {
        "workers": gd.Sweep(
            problem=gd.LogisticRegression(below_five, l2=1 / len(digits.X), intercept=False),
            optimizer=gd.SGD(lr=[0.03 * 2**k for k in ((2, 3) if short else range(7))]),
            distribution=[gd.LocalSGD(workers=1), gd.LocalSGD(workers=workers, period=periods)],
            batch=1,
            shuffle="replacement",
            starts=2 if short else 8,
            steps=8000,
            record=gd.Record(every=500),
            stop=[gd.Target(LEAST + 0.01, every=10)],
        )
    }


def steps_to_target(result: xarray.Dataset) -> pandas.DataFrame:
    """Median steps at the best rate, of each number of workers (rows) and period (columns)."""
    met = result.target_step.isel(target=0).to_dataframe()
    met["target_step"] = met.target_step.astype(float).where(met.target_step >= 0, np.inf)
    return met.groupby(["workers", "period", "lr"]).target_step.median().groupby(["workers", "period"]).min().unstack()


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Speed-up over one worker by workers, in steps and in seconds."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    steps = steps_to_target(results["workers"])
    alone, several = steps.loc[1].min(), steps.loc[2:]
    for axes, unit, cost in zip(drawing.subplots(1, 2), ("steps", f"seconds, a round as long as {ROUND} steps"), (0.0, ROUND), strict=True):
        for period in several.columns:
            speed = alone / (several[period] * (1 + cost / period))
            axes.plot([1, *speed.index], [1.0, *speed], "o-", label="mean in every step" if period == 1 else f"mean after every {period:g} steps")
        axes.plot([1, *several.index], [1, *several.index], "--", color="0.6", label="as many times as workers")
        axes.axhline(1.0, color="0.6", lw=0.8)
        axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="times faster than one worker", title=f"In {unit}")
        axes.set_xticks([1, *several.index], [f"{k:g}" for k in (1, *several.index)])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend()
    return drawing
