"""Seven optimizers from the same starts down the same valley: which arrive, how fast, and along which paths?

Rosenbrock's valley, 200 starts in its box, each optimizer over nine learning rates. Upper left, each
optimizer at the rate that is best for half of the starts, measured on the other half; upper right, the share
of all runs at these rates that have arrived by each step; below, the paths from (-1.2, 1). RMSprop hardly
ever arrives, from 11 of 200 starts at best: with a constant rate it ends in a cycle around the minimum, the
wider the larger the rate, and at small rates its way is too long. AdaGrad's steps only shrink: its best rate
is a thousand times that of SGD, and still it is among the slow. Momentum is ten times faster than SGD where
it arrives; at that rate nearly a third of its starts diverge, at a tenth of it none.

Takes 20 s on two cores. Ends in results/lecture_race/lecture_race.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

# The rate of each one's path, and the middle of its grid; RMSprop and, by steps, Adam and AdaBelief have
# better ones in it.
GOOD = {gd.SGD: 1e-3, gd.Momentum: 1e-3, gd.Nesterov: 1e-3, gd.AdaGrad: 1.0, gd.RMSprop: 1e-3, gd.Adam: 0.3, gd.AdaBelief: 0.3}


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`tuned`: every optimizer over rates around its good one; `paths`: from one start at the good rates,
    each step kept.
    """
    valley = gd.functions.Rosenbrock()
    optimizers = [rule(lr=gd.logspace(rate / 100, rate * 100, 3 if short else 9)) for rule, rate in GOOD.items()]
    return {
        "tuned": gd.Sweep(problem=valley, optimizer=optimizers, starts=20 if short else 200, steps=500 if short else 20_000, stop=[gd.Target(1e-6)]),
        "paths": gd.Sweep(
            problem=valley, optimizer=[rule(lr=rate) for rule, rate in GOOD.items()], init=[[-1.2, 1.0]], steps=500, record=gd.Record(every=1, trajectory=True)
        ),
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The tuned optimizers compared, how many arrived when, and the paths."""
    drawing = matplotlib.figure.Figure(figsize=(13, 11), layout="constrained")
    axes = drawing.subplot_mosaic([["compared", "arrived"], ["paths", "paths"]], height_ratios=[1, 1.4])
    tuned = results["tuned"]
    gd.plots.compare_tuned(tuned, ax=axes["compared"])
    chosen = gd.analysis.compare_tuned(tuned).cell
    gd.plots.ecdf(tuned.isel(run=np.isin(tuned.cell, chosen)), 1e-6, ax=axes["arrived"])
    gd.plots.race(results["paths"], ax=axes["paths"])
    return drawing
