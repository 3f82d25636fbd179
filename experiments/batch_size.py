"""What does the size of a batch change, and is a power of two special?

Digits, a network of 64-32-10, SGD over nine learning rates, 60 epochs at most. Left, the samples until the
median run has a loss of 0.1, each batch at the best of the rates (chosen on half of the starts, measured on
the other half, with 95% intervals); right, the same in steps. The loss is looked at once an epoch, of 1438
samples, and so the points lie epochs apart. Filled points are powers of two, hollow ones are not: 15, 16 and
17 are within an epoch of each other, as are 31, 32 and 33. Up to 32 or so a batch twice as large needs about
half the steps; beyond, it costs samples (Shallue et al. 2019, "Measuring the effects of data parallelism on
neural network training"). In batches of 1000 the median run just gets there in its 60 epochs: its interval
has no upper end.

Takes 75 s on two cores, most of it compiling. Ends in results/batch_size/batch_size.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

BATCHES = (1, 2, 4, 8, 15, 16, 17, 31, 32, 33, 64, 100, 128, 256, 512, 1000)
TARGET = 0.1


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`batches`: all sizes over the same rates, for the same number of samples."""
    digits = gd.datasets.load("digits", validation=0.2)
    return {
        "batches": gd.Sweep(
            problem=gd.MLP(digits, hidden=[32], activation="relu", loss="cross_entropy"),
            optimizer=gd.SGD(lr=gd.logspace(0.02, 5, 3 if short else 9)),
            batch=gd.grid(*(BATCHES[3:5] if short else BATCHES)),
            starts=4 if short else 32,
            samples=(20 if short else 60) * len(digits.X),
            stop=[gd.Target(TARGET)],
        )
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Samples and steps to the target by size of the batch."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    tuned = gd.analysis.compare_tuned(results["batches"], by="batch")
    batch = tuned.batch.values.astype(float)
    round_number = np.log2(batch) % 1 == 0
    for axes, unit, factor in zip(drawing.subplots(1, 2), ("samples", "steps"), (batch, np.ones_like(batch)), strict=True):
        middle, low, high = (tuned[name].values * factor for name in ("median", "low", "high"))
        axes.vlines(batch, low, high, color="C0", lw=1)
        for marked, face in ((round_number, "C0"), (~round_number, "white")):
            axes.plot(batch[marked], middle[marked], "o", color="C0", mfc=face)
        axes.set(xscale="log", yscale="log", xlabel="batch", ylabel=f"{unit} to a loss of {TARGET}, median of the starts")
        axes.set_xticks([1, 4, 16, 64, 256, 1000], minor=False)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:,g}")
    return drawing
