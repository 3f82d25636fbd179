"""Does training choose networks that generalise, or do most networks that fit generalise as well?

1.6 million networks of 2-h-2, 400,000 of each width h, are trained by SGD in batches of 3 on 11 points of two
moons, and beside them networks are drawn at random, four million of each width, and kept if they happen to
put all 11 points right (Chiang et al. 2023, "Loss landscapes are all you need"). Of both kinds the figure has
the accuracy on 2000 points that none has seen: the median, the middle half and the middle nine tenths. What
was guessed generalises a little worse than what was trained, and gains with the width as that does: much of
it, not all, lies in the volume of the solutions and not in the way to them.

Takes 3 minutes on two cores, and 1.5 GB. Ends in results/million_networks/million_networks.png.
"""

import matplotlib.figure
import numpy as np
import xarray
from sklearn.datasets import make_moons

import gdsim as gd

WIDTHS = (2, 5, 10, 20)
SEEN = 11
# Weights are drawn evenly from [-1, 1]: accuracy does not change with the scale of the last layer.
GUESSES, AT_ONCE = 4_000_000, 500_000


def problem(width: int) -> gd.MLP:
    """A network of 2-`width`-2 on eleven points of two moons; the others are its test set."""
    points, labels = make_moons(SEEN + 2000, noise=0.15, random_state=0)
    return gd.MLP(gd.Data(points[:SEEN], labels[:SEEN], test=(points[SEEN:], labels[SEEN:])), hidden=[width])


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """A sweep of each width."""
    return {
        str(width): gd.Sweep(
            problem=problem(width), optimizer=gd.SGD(lr=0.2), batch=3, starts=200 if short else 400_000, steps=500,
            record=gd.Record(every=500, parameters=True),
        )
        for width in (WIDTHS[-1:] if short else WIDTHS)
    }  # fmt: skip


def fitting(network: gd.MLP, vectors: np.ndarray) -> np.ndarray:
    """Accuracies on the test set of those of the parameter vectors that put all training points right."""
    fit = gd.evaluate(network, vectors).accuracy.values == 1
    return gd.evaluate(network, vectors[fit], on="test").accuracy.values if fit.any() else np.zeros(0)


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Accuracies on the test set of trained and of guessed networks that fit, by width."""
    drawing = matplotlib.figure.Figure(figsize=(8, 5), layout="constrained")
    axes = drawing.subplots()
    random = np.random.default_rng(0)
    for place, (width, trained) in enumerate(results.items()):
        network = problem(int(width))
        count = min(GUESSES, 100 * trained.sizes["run"])
        batches = (random.uniform(-1, 1, (min(AT_ONCE, count), network.parameter_count)) for _ in range(0, count, AT_ONCE))
        guessed = np.concatenate([fitting(network, batch) for batch in batches])
        learned = fitting(network, trained.parameters.values)
        for kind, accuracies, offset, colour in (("trained", learned, -0.15, "C0"), ("guessed", guessed, 0.15, "C1")):
            if len(accuracies) == 0:
                continue
            lowest, low, middle, high, highest = np.quantile(accuracies, [0.05, 0.25, 0.5, 0.75, 0.95])
            axes.vlines(place + offset, lowest, highest, color=colour, lw=1)
            axes.vlines(place + offset, low, high, color=colour, lw=6, label=kind if place == 0 else None)
            axes.plot(place + offset, middle, "o", color="white", mec=colour, zorder=3)
            axes.annotate(f"{len(accuracies):,}", (place + offset, lowest), (0, -12), textcoords="offset points", ha="center", fontsize="small", color=colour)
    axes.set_xticks(range(len(results)), [f"2-{width}-2" for width in results])
    axes.set(ylabel="accuracy on 2000 unseen points", title=f"networks that put all {SEEN} training points right, and how many they are")
    axes.legend(loc="upper left")
    axes.margins(y=0.1)
    return drawing
