"""How rarely may workers talk that train one network, and what does an outer momentum change?

Eight workers train 64-32-10 on the digits, AdamW inside, batch 16 each, 512 steps, each cell at its best inner
rate of three. Left, the loss of the reported model on the whole data, at the end, over the period from 1 to 512
steps: of plain averages (local SGD) and with DiLoCo's outer Nesterov steps (rate 0.7, momentum 0.9; Douillard et
al. 2023, arXiv:2311.08105); dashed, synchronous training by the same samples. Right, the same over the seconds
that the run would take on a cluster whose links move 1 MB/s with 1 ms latency, at 5 ms a step (log-normal).

Averages lose little up to a period of 128, a quarter of the run, and DiLoCo, whose momentum makes longer steps, is
best at periods from 8 to 32, in a quarter to a sixth of the seconds of synchronous workers. At period 1 its momentum
adds to AdamW's, and both are worse than synchronous training: means of eight AdamW steps are not one of the mean
gradient.

Takes 40 s on two cores. Ends in results/diloco_digits/diloco_digits.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

WORKERS, STEPS = 8, 512
PERIODS = (1, 8, 32, 128, 512)
CLUSTER = gd.SimulatedCluster(compute=gd.LogNormal(mean=0.005, shape=0.3), latency=1e-3, bandwidth=1e6, collective="ring")
KINDS = {"LocalSGD": "averages", "DiLoCo": "DiLoCo, outer Nesterov"}


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`digits`: both kinds at all periods, and synchronous workers."""
    periods = PERIODS[:2] if short else PERIODS
    kinds = [gd.LocalSGD(workers=WORKERS, period=periods), gd.DiLoCo(workers=WORKERS, period=periods), gd.Synchronous(workers=WORKERS)]
    digits = gd.Sweep(
        problem=gd.MLP(gd.datasets.load("digits"), hidden=[32], activation="relu", loss="cross_entropy"),
        optimizer=gd.AdamW(lr=[0.001, 0.003, 0.01]),
        distribution=kinds,
        batch=16,
        starts=2 if short else 16,
        steps=32 if short else STEPS,
        record=gd.Record(every="ends"),
    )
    return {"digits": digits}


def best_cells(result: xarray.Dataset) -> dict[tuple[str, float], np.ndarray]:
    """{(kind, period): the runs of the cell with the lower median of the final loss}."""
    found: dict[tuple[str, float], np.ndarray] = {}
    loss, cell = result.final_loss.values, result.cell.values
    for number in np.unique(cell):
        runs = np.flatnonzero(cell == number)
        key = str(result.distribution.values[runs[0]]), float(np.nan_to_num(result.period.values[runs[0]]))
        if key not in found or np.median(loss[runs]) < np.median(loss[found[key]]):
            found[key] = runs
    return found


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The final loss over the period, and over simulated seconds."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    over_period, over_seconds = drawing.subplots(1, 2, sharey=True)
    result = results["digits"]
    seconds, loss, best = gd.analysis.simulated_seconds(result, CLUSTER).values[:, -1], result.final_loss.values, best_cells(result)
    for color, (kind, label) in zip(("C0", "C1"), KINDS.items(), strict=True):
        rows = sorted((period, runs) for (name, period), runs in best.items() if name == kind)
        periods = [period for period, _ in rows]
        low, median, high = np.array([np.quantile(loss[runs], [0.25, 0.5, 0.75]) for _, runs in rows]).T
        over_period.fill_between(periods, low, high, color=color, alpha=0.2)
        over_period.plot(periods, median, "o-", color=color, label=label)
        taken = [np.median(seconds[runs]) for _, runs in rows]
        over_seconds.plot(taken, median, "o-", color=color, label=label)
        for period, x, y in zip(periods, taken, median, strict=True):
            over_seconds.annotate(f"{period:.0f}", (x, y), xytext=(4, 4), textcoords="offset points", color=color, fontsize="small")
    together = best["Synchronous", 0.0]
    over_period.axhline(np.median(loss[together]), color="black", ls="--", lw=1, label="synchronous")
    over_seconds.plot(np.median(seconds[together]), np.median(loss[together]), "s", color="black", label="synchronous")
    over_period.set(xscale="log", yscale="log", xlabel="period in steps", ylabel="loss at the end, median and middle half of the starts")
    over_period.set_xticks(periods, [f"{p:.0f}" for p in periods])
    over_period.minorticks_off()
    over_period.legend()
    over_seconds.set(xscale="log", xlabel="simulated seconds (beside the marks the period)")
    over_seconds.set_xticks([3, 5, 10, 20], ["3", "5", "10", "20"])
    over_seconds.minorticks_off()
    over_seconds.legend()
    return drawing
