"""Beyond which learning rate does gradient descent diverge, and does momentum help?

On a quadratic the answer is a formula: with largest curvature L, gradient descent with momentum a converges
below 2 (1 + a) / L. Left, the share of runs that diverged over rate and momentum on a quadratic with L = 1,
with that line: the border lies on it. Right, the same for a small network on two moons, whose curvature
changes as it learns: where a run has diverged is no longer a matter of the rate alone.

Takes 60 s on two cores. Ends in results/learning_rate_stability/learning_rate_stability.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`quadratic` and `network`: rate and momentum over a grid."""
    rates, momenta = gd.logspace(0.5, 8, 6 if short else 60), gd.linspace(0, 0.98, 5 if short else 50)
    common = {"optimizer": gd.Momentum(lr=rates, momentum=momenta), "starts": 2 if short else 10, "steps": 100 if short else 2000}
    network = gd.MLP(gd.datasets.load("moons"), hidden=[16], activation="relu", loss="squared_error")
    return {
        "quadratic": gd.Sweep(problem=gd.Quadratic(np.diag([1.0, 0.1]), [[0.0, 0.0]]), init=gd.Normal(), **common),
        "network": gd.Sweep(problem=network, **common),
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Both maps of divergence, and the formula's line on them."""
    drawing = matplotlib.figure.Figure(figsize=(13, 5), layout="constrained")
    momentum = np.linspace(0, 0.98, 100)
    for axes, (name, result) in zip(drawing.subplots(1, 2), results.items(), strict=True):
        gd.analysis.divergence_map(result, "lr", "momentum").share.plot(ax=axes, xscale="log", cmap="cividis", cbar_kwargs={"label": "share that diverged"})
        axes.set_title(name)
        axes.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        axes.minorticks_off()
        if name == "quadratic":
            axes.plot(2 * (1 + momentum), momentum, color="C3", label="lr = 2 (1 + momentum) / L")
            axes.legend(loc="upper left")
    return drawing
