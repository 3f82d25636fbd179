"""From which starting points does the smallest network learn xor?

2-2-1, tanh, log loss, on all four points with momentum. xor has no local minimum that is not global
(Sprinkhuizen-Kuyper and Boers 1999), yet many runs end with a loss that they cannot leave: where units
saturate, the gradient vanishes. Left, the share that learns, by the range that the same directions of starts
are scaled to: it falls steeply. Right, 360,000 starts on a plane of two weights, coloured by the steps they
took: the border of the basin is no line (Kolen and Pollack 1990, "Back propagation is sensitive to initial
conditions").

Takes 8 s on two cores. Ends in results/xor_basins/xor_basins.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

RANGES = np.geomspace(0.1, 100, 13)
EXTENT = 3.0
LEARNED = 0.05
TICKS = (10, 20, 50, 100, 200)


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`ranges`: the same directions scaled to each range; `plane`: starts on a plane of two weights of the
    first layer.
    """
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss")
    directions = np.random.default_rng(0).uniform(-1, 1, (20 if short else 2000, problem.parameter_count))
    side = np.linspace(-EXTENT, EXTENT, 10 if short else 600)
    plane = np.tile(directions[3], (len(side) ** 2, 1))
    plane[:, 0], plane[:, 3] = (grid.ravel() for grid in np.meshgrid(side, side))
    return {
        name: gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=3.0), init=starts, steps=2000, stop=[gd.Target(LEARNED)])
        for name, starts in (("ranges", np.concatenate([scale * directions for scale in RANGES])), ("plane", plane))
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The share that learns by range, and the plane of starts."""
    drawing = matplotlib.figure.Figure(figsize=(11, 5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    learned = (results["ranges"].status.values == "converged").reshape(len(RANGES), -1)
    low, high = gd.analysis.wilson(learned.sum(1), learned.shape[1])
    left.fill_between(RANGES, low, high, alpha=0.3, lw=0)
    left.plot(RANGES, learned.mean(1), marker="o", ms=4)
    left.set(xscale="log", ylim=(0, 1), xlabel="range r of the starts, uniform in [-r, r]", ylabel="share, and its 95% interval")
    left.set_title(f"How many learn xor, by the range of {learned.shape[1]:,} starts")
    plane = results["plane"]
    steps = np.where(plane.status.values == "converged", plane.steps_taken.values, np.nan)
    side = int(len(steps) ** 0.5)
    shade = np.log10(np.ma.masked_invalid(steps.reshape(side, side)))
    image = right.imshow(shade, vmax=np.log10(200), origin="lower", extent=(-EXTENT, EXTENT) * 2, interpolation="nearest")
    right.set(xlabel="first weight of unit 1", ylabel="second weight of unit 2", title=f"How soon, from {len(steps):,} starts in a plane")
    scale = drawing.colorbar(image, ax=right, extend="max", ticks=np.log10(TICKS), label=f"steps to loss {LEARNED} (white: not within 2000)")
    scale.ax.set_yticklabels(map(str, TICKS))
    return drawing
