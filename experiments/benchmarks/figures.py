"""Pictures of the benchmarks: the roofline, and how time grows with runs, width, batch and threads."""

import time
from typing import Any

from matplotlib.figure import Figure
from works import WORKS, Work

import gdsim as gd
from gdsim.plots.style import COLOURS
from gdsim.sweep.planning.machine import usable_cores

CURVES = {
    "runs": ("runs", "us per step of a run", [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]),
    "width": ("units of the hidden layer", "ns per weight and step of a run", [4, 8, 16, 32, 64, 128, 256, 512]),
    "batch": ("samples of a batch", "us per step of a run", [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 31, 32, 33, 48, 64, 65, 96, 127, 128, 200, 256, 300]),
    "threads": ("threads", "times one thread", list(range(1, usable_cores() + 1))),
}

LINE = 0.05  # between the names of points, of the picture's height


def step_us(problem: gd.MLP, runs: int, steps: int, batch: int | None, threads: int | None = None) -> float:
    """Microseconds per step of a run: the difference between long and short trainings, the fastest of
    some.
    """

    def seconds(n: int) -> float:
        record = gd.Record(every="ends", gradient_norm=False)
        sweep = gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=1e-3), starts=runs, steps=n, batch=batch, record=record)
        sweep.run(threads=threads)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            sweep.run(threads=threads)
            times.append(time.perf_counter() - began)
        return min(times)

    return (seconds(3 * steps) - seconds(steps)) / (2 * steps * runs) * 1e6


def measured_curves() -> dict[str, list[tuple[float, float]]]:
    """(abscissa, ordinate) of each curve: xor by runs, digits by width, batch and threads."""
    xor, digits = WORKS["xor"].problem(), WORKS["digits"].problem()
    wide = {n: Work("digits", (n,), 32).problem() for n in CURVES["width"][2]}
    one = step_us(digits, 256, 100, 32, 1)
    return {
        "runs": [(n, step_us(xor, n, max(20, 200_000 // n), None)) for n in CURVES["runs"][2]],
        "width": [(n, step_us(p, 64, max(10, 3000 // n), 32) / p.parameter_count * 1e3) for n, p in wide.items()],
        "batch": [(n, step_us(digits, 64, max(20, 3000 // n), n)) for n in CURVES["batch"][2]],
        "threads": [(n, one / step_us(digits, 256, 100, 32, n)) for n in CURVES["threads"][2]],
    }


def roofline(results: list[dict[str, Any]]) -> Figure:
    """Share of peak against operations per byte of weights and state that a step goes through."""
    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.subplots()
    height = -LINE
    for row in sorted((r for r in results if r["work"] in WORKS), key=lambda r: r["share"]):
        problem = WORKS[row["work"]].problem()
        state = 3 if row["rule"] == "adam" else 2
        point = row["operations"] / (4.0 * 2.0 * state * problem.parameter_count), row["share"]  # read and written
        height = max(height + LINE, row["share"])  # names stand in a column beside the picture, one above the other
        axes.plot(*point, "o", color=COLOURS[0])
        name, leader = f"{row['work']}, {row['rule']}, {row['runs']:,}", {"arrowstyle": "-", "linewidth": 0.4, "color": "grey"}
        axes.annotate(name, point, (1.02, height), textcoords="axes fraction", va="center", fontsize=8, arrowprops=leader)
    axes.set(
        xscale="log",
        ylim=(0.0, 1.0),
        xlabel="operations per byte of weights and state",
        ylabel="share of the measured peak",
        title="Share of peak of whole sweeps",
    )
    axes.axhline(1.0, color=COLOURS[0], linewidth=0.8)
    return figure


def scaling(curves: dict[str, list[tuple[float, float]]]) -> Figure:
    """The four curves."""
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    for axes, (name, (abscissa, ordinate, _)) in zip(figure.subplots(2, 2).flat, CURVES.items(), strict=True):
        x, y = zip(*curves[name], strict=True)
        axes.plot(x, y, "o-", color=COLOURS[0], markersize=3)
        axes.set(xlabel=abscissa, ylabel=ordinate)
        if name in ("runs", "width"):
            axes.set(xscale="log", yscale="log" if name == "runs" else "linear")
        axes.set_ylim(bottom=None if name == "runs" else 0.0)
    return figure
