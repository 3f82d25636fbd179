"""Is a learning rate that goes up and down better than one that stays, or one that only falls?

Digits, 64-32-10 with momentum in batches of 32, 980 steps, each schedule over the same seven peak rates and
64 starts. Left, the schedules; in the middle, the final validation loss by peak rate (median): what falls to
nothing forgives a peak that is too large for a constant rate; right, each schedule at the best of its own
peaks, chosen on half of the starts and measured on the other half. Given its own peak, a constant rate ends a
tenth above the one cycle, which is the best, and hardly above the others; 1/t, which falls too soon, ends at
twice as much.

Takes 45 s on two cores, most of it compiling. Ends in results/cyclic_rates/cyclic_rates.png.
"""

import matplotlib.figure
import xarray

import gdsim as gd
from gdsim.schedules import Schedule

# Every cycle ends with the last step: five of 196, those of SGDR of 140, 280 and 560, and one of all.
STEPS, FEW = 980, 70


def schedules(steps: int) -> list[Schedule]:
    """A constant rate, two that fall, and four that go up and down."""
    return [
        gd.Constant(), gd.InverseTime(), gd.CosineDecay(steps), gd.Cosine(cycle=steps // 5), gd.SGDR(cycle=steps // 7),
        gd.Triangular(half_cycle=steps // 10), gd.OneCycle(steps),
    ]  # fmt: skip


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`schedules`: all over the same peak rates."""
    steps = FEW if short else STEPS
    return {
        "schedules": gd.Sweep(
            problem=gd.MLP(gd.datasets.load("digits", validation=0.3), hidden=[32]),
            optimizer=gd.Momentum(lr=gd.logspace(0.003, 3, 3 if short else 7)),
            schedule=schedules(steps)[:2] if short else schedules(steps),
            batch=32,
            starts=4 if short else 64,
            steps=steps,
        )
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The schedules, the loss by peak rate, and the schedules compared."""
    drawing = matplotlib.figure.Figure(figsize=(15, 6), layout="constrained")
    result = results["schedules"]
    shapes, curves, compared = drawing.subfigures(1, 3, width_ratios=[0.5, 1, 1.2])
    by_rate = curves.subplots()
    kinds = list(dict.fromkeys(result.schedule.values))
    for axes, schedule, name in zip(shapes.subplots(len(kinds), sharex=True), schedules(STEPS), kinds, strict=False):
        runs = result.isel(run=result.schedule.values == name)
        median = runs.final_validation_loss.groupby("lr").quantile(0.5, method="inverted_cdf")
        (line,) = by_rate.plot(median.lr, median, marker="o", ms=4, label=name)
        gd.plots.schedule(schedule, steps=STEPS, ax=axes)
        axes.lines[0].set_color(line.get_color())
        axes.get_legend().remove()
        axes.set(ylim=(0, 1.1), yticks=[], ylabel="", xlabel="")
        axes.set_title(name, fontsize="small")
    by_rate.set(xscale="log", yscale="log", xlabel="peak rate", ylabel="final validation loss, median")
    by_rate.legend(fontsize="small")
    gd.plots.compare_tuned(result, by="schedule", variable="final_validation_loss", ax=compared.subplots())
    return drawing
