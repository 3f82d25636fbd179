"""Optimizers compared, each tuned over its own grid."""

import numpy as np

from gdsim import analysis
from gdsim.plots.style import Axes, Figure, finished, log_scale, new_panel, with_intervals
from gdsim.sweep.ranks.labels import counted, shown_number
from gdsim.sweep.results.reading import Result

WIDTH = 8.2


def compare_tuned(result: Result, *, by: str = "optimizer", variable: str | None = None, target: float | None = None, ax: Axes | None = None) -> Figure:
    """Each optimizer at the best cell of its own grid, on starts that did not choose it: medians with
    intervals, the best at the top.

    What `gd.analysis.compare_tuned` finds, with p-values against the best, corrected for all pairs, at the
    right. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no
    result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> rules = [gd.SGD(lr=[0.001, 0.02]), gd.Momentum(lr=[0.001, 0.01])]
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rules, starts=20, steps=200)
    >>> len(compare_tuned(sweep.run()).axes)
    1
    """
    found = analysis.compare_tuned(result, by=by, variable=variable, target=target)
    name, names = found.ranked_by, [str(n) for n in found[by].values]
    medians = found["median"].values * (-1 if "accuracy" in name else 1)
    order = np.argsort(np.where(np.isnan(medians), np.inf, medians), kind="stable")
    figure, panel = new_panel(f"Each {by} at its best cell, by the median {name}", f"median {name}", "", ax=ax, size=(WIDTH, 1.6 + 0.4 * len(names)))
    pairs = {frozenset((str(a), str(b))): float(p) for a, b, p in zip(found["first"].values, found["second"].values, found.p_holm.values, strict=True)}
    for row, k in enumerate(order):
        value, low, high = (float(found[n].values[k]) for n in ("median", "low", "high"))
        if np.isfinite(value):
            with_intervals(panel, np.array([row]), [[value], [low], [high]], int(k), sideways=True, linestyle="none", capsize=3)
        p = pairs.get(frozenset((names[k], names[order[0]])))
        said = "" if p is None or np.isnan(p) else f"p = {shown_number(p, 2)}"
        if not np.isfinite(value):
            said = "nothing to compare" if np.isnan(value) else f"{said} (infinite)"
        panel.text(1.01, row, said, transform=panel.get_yaxis_transform(), va="center", fontsize="x-small")
    panel.set_yticks(range(len(names)), [names[k] for k in order])
    panel.set_ylim(len(names) - 0.5, -0.5)
    log_scale(panel, "x", found["median"].values)
    return finished(
        figure,
        f"{counted([found.choosing], 'start')}, the odd ones, chose each one's cell over its own grid; medians and 95% intervals are of {found.comparing:,} even ones, so that "
        "the choice flatters nobody. p: Wilcoxon's signed-rank test against the one at the top on common starts, corrected for all pairs by Holm's method. An arrow: an interval that is open, up to infinity. "
        "Overlapping intervals do not tell whether two differ: the test of the pair does.",
    )
