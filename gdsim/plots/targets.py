"""How long runs take to reach a loss: shares of targets met by a time, expected times by rate, profiles."""

from typing import Any

import numpy as np

from gdsim import analysis
from gdsim.plots.style import best_first, counted, legend, line, log_scale, marked_line, new_panel, said_of, short_labels
from gdsim.sweep.reading import cell_coordinates, varied


def ecdf(result: Any, targets: Any = None, *, unit: str = "steps") -> Any:
    """The share of runs and targets that are met by each time, a line per cell with its interval; the seven best cells.

    Without `targets`, twenty between the median loss of the starts and the lowest loss that any run found: see
    `gd.analysis.default_targets`. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> len(ecdf(sweep.run()).axes)
    1
    """
    losses = analysis.default_targets(result) if targets is None else targets
    found = analysis.ecdf(result, losses, unit=unit)
    chosen = np.sort(best_first(-found.share.mean("time").values)) if found.sizes["time"] else np.arange(0)
    several = found.attrs["targets"]
    title = f"Share of {counted(found.runs.values, 'run')} x {several} target{'s' if several > 1 else ''} met, with 95% intervals"
    figure, panel = new_panel(title + said_of(len(chosen), found.sizes["cell"]), unit, "share met")
    time = found.time.values
    for k, (cell, label) in enumerate(zip(chosen, short_labels(found.label.values[chosen]), strict=True)):
        panel.step(time, found.share.values[cell], where="post", label=label, **line(k))
        panel.fill_between(time, found.low.values[cell], found.high.values[cell], step="post", color=line(k)["color"], alpha=0.15, linewidth=0)
    panel.set_xscale("symlog", linthresh=1)
    panel.set_ylim(0, 1.02)
    legend(panel, len(chosen))
    return figure


def ert(result: Any, target: float | None = None, *, hyperparameter: str = "lr", unit: str = "steps") -> Any:
    """The expected time to a target with restarts against a hyperparameter, a line per optimizer with 95% intervals.

    At each value the best cell over all other hyperparameters counts; where no run of any met the target, the line is broken. Without
    `target`, the median of `gd.analysis.default_targets`. Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=20, steps=500)
    >>> len(ert(sweep.run()).axes)
    1
    """
    if target is None:
        losses = analysis.default_targets(result)
        target = float(losses[len(losses) // 2])
    found = analysis.expected_running_time(result, target, unit=unit).isel(target=0)
    varied(cell_coordinates(found), hyperparameter, numbers=True)
    title = f"Expected {unit} to loss {target:.3g} with restarts, {counted(found.runs.values, 'run')} per cell, 95% intervals"
    figure, panel = new_panel(title, hyperparameter, f"expected {unit}")
    names = list(dict.fromkeys(found.optimizer.values.tolist()))
    for k, name in enumerate(names):
        x, y, low, high = _best_of_each(found.isel(cell=found.optimizer.values == name), hyperparameter)
        panel.errorbar(x, y, np.maximum([y - low, high - y], 0), label=str(name), capsize=3, **marked_line(k))
    log_scale(panel.set_xscale, found[hyperparameter].values)
    log_scale(panel.set_yscale, found.ert.values)
    legend(panel, len(names))
    return figure


def _best_of_each(found: Any, hyperparameter: str) -> np.ndarray:
    """[(value, time, low, high), ...] of the best cell at each value; NaN where none met the target, ends at the time where they are infinite."""
    values = found[hyperparameter].values
    rows = []
    for value in np.unique(values[~np.isnan(values)]):
        mine = np.flatnonzero(values == value)
        best = mine[np.argmin(found.ert.values[mine])]
        time, low, high = (float(found[n].values[best]) for n in ("ert", "low", "high"))
        known = np.isfinite(time)
        rows.append((value, time if known else np.nan, low if known else np.nan, (high if np.isfinite(high) else time) if known else np.nan))
    return np.array(rows).reshape(-1, 4).T


def performance_profile(result: Any, *, share: float = 1e-2, unit: str = "steps", over: str | None = None) -> Any:
    """The performance profile of the cells, each start a problem: solved within tau times the best cell's time, with intervals. The seven best cells.

    A start counts as solved once a run has made all but `share` of the way to the lowest loss that any cell reached from it. In a sweep
    of several problems `over="problem"` makes each start of each problem one, and compares what cells have else. Returns a
    matplotlib Figure.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=20, steps=500)
    >>> len(performance_profile(sweep.run()).axes)
    1
    """
    times = analysis.times_to_decrease(result, share, unit=unit, over=over)
    solver = str(times.dims[-1])
    found, scores = analysis.performance_profile(times, solver=solver), analysis.algoperf_score(times, solver=solver).values
    chosen = np.sort(best_first(-scores))
    title = (
        f"{found.attrs['problems']:,} {'starts' if over is None else f'starts of each {over}'} as problems, solved at {1 - share:.4g} of the possible decrease"
    )
    figure, panel = new_panel(title + said_of(len(chosen), len(scores)), f"{unit} over the best cell's", "share of starts solved")
    tau = np.append(found.tau.values, max(1.5, 1.1 * found.tau.values[-1]))
    for k, (cell, label) in enumerate(zip(chosen, short_labels(found.label.values[chosen]), strict=True)):
        shares, low, high = (np.append(v, v[-1]) for v in (found[n].values[cell] for n in ("share", "low", "high")))
        panel.step(tau, shares, where="post", label=label, **line(k))
        panel.fill_between(tau, low, high, step="post", color=line(k)["color"], alpha=0.15, linewidth=0)
    log_scale(panel.set_xscale, tau)
    panel.set_ylim(0, 1.02)
    legend(panel, len(chosen))
    return figure
