"""How late may a gradient come, and what does lateness do to those that still arrive?

On a quadratic of curvature L = 1 a server steps by gradients that were taken tau updates before. Left, which of
the runs diverged over rate and staleness, and the formula: below lr L = 2 sin(pi / (2 (2 tau + 1))) they
converge. Right, workers whose computations take times that are exponentially distributed: the mean of many runs
moves as one with momentum (Mitliagkas et al. 2016, "Asynchrony begets momentum"), and fitted to the means of
its steps the momentum is 1 - 1/K with K workers.

Takes 35 s on two cores. Ends in results/stale_gradients/stale_gradients.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

STALENESS, WORKERS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32), (2, 4, 8, 16)
RATE = 0.2  # of the runs whose mean moves


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`map`: rates and fixed staleness; `momentum`: many runs of each number of workers."""
    bowl = {"problem": gd.Quadratic([[1.0]]), "dtype": "float64"}
    staleness = gd.FixedStaleness(steps=list(STALENESS[:4] if short else STALENESS))
    return {
        "map": gd.Sweep(
            optimizer=gd.SGD(lr=gd.logspace(0.02, 4, 12 if short else 60)),
            distribution=gd.Asynchronous(workers=1, staleness=staleness),
            init=[[1.0]],
            steps=4000,
            record=gd.Record(every="ends"),
            **bowl,
        ),
        "momentum": gd.Sweep(
            optimizer=gd.SGD(lr=RATE),
            distribution=gd.Asynchronous(workers=list(WORKERS[:2] if short else WORKERS), staleness=gd.Queue()),
            init=[[1.0]] * (1000 if short else 20_000),
            steps=120,
            record=gd.Record(every=1, trajectory=True),
            **bowl,
        ),
    }


def limit(staleness: np.ndarray) -> np.ndarray:
    """The largest rate times curvature at which gradients that are so late converge."""
    return 2 * np.sin(np.pi / (2 * (2 * staleness + 1)))


def fitted_momentum(mean: np.ndarray) -> float:
    """The momentum with which the mean path [step] moves: each of its steps is that share of the last, and a
    share of where it stands.
    """
    moved = np.diff(mean)
    return np.linalg.lstsq(np.stack([moved[:-1], mean[1:-1]], 1), moved[1:])[0][0]


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The map of divergence, and fitted momenta by workers."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    map = results["map"]
    diverged = ~(map.final_loss <= map.loss.isel(checkpoint=0)).values
    for is_so, color, label in ((False, "C0", "converges"), (True, "C1", "diverges")):
        chosen = map.isel(run=diverged == is_so)
        left.plot(chosen.lr, chosen.staleness_steps, "s", ms=4, color=color, label=label)
    line = np.linspace(0, map.staleness_steps.values.max(), 200)
    left.plot(limit(line), line, color="black", label="lr L = 2 sin(\u03c0 / (2 (2\u03c4 + 1)))")
    left.set(xscale="log", yscale="symlog", xlabel="learning rate", ylabel="staleness \u03c4, updates")
    left.set_yticks(STALENESS, [str(tau) for tau in STALENESS])
    left.set_ylim(-0.4, 45)
    left.minorticks_off()
    left.legend(loc="lower left")
    momentum = results["momentum"]
    counts = np.unique(momentum.workers.values)
    means = [momentum.trajectory.values[momentum.workers.values == count, :, 0].mean(0) for count in counts]
    right.plot(counts, 1 - 1 / counts, color="0.6", label="1 - 1/K")
    right.plot(counts, [fitted_momentum(mean) for mean in means], "o", label="fitted to the mean of all runs")
    right.set(xscale="log", xlabel="workers K", ylabel="momentum")
    right.set_xticks(counts, [f"{count:g}" for count in counts])
    right.minorticks_off()
    right.legend()
    return drawing
