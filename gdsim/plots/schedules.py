"""Learning rates step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.axes import checked_whole
from gdsim.plots.style import legend, line, new_panel


def schedule(schedules: Any, *, steps: int = 1000, lr: float = 1.0) -> Any:
    """The learning rate at each step of one schedule, or of several: those of runs of gradient descent on a slope of 1.

    Returns a matplotlib Figure.

    >>> import gdsim as gd
    >>> len(schedule([gd.Cosine(cycle=200), gd.Power(0.5)], steps=500).axes)
    1
    """
    import gdsim as gd
    from gdsim.sweep.cells import schedule_name

    several = list(schedules) if isinstance(schedules, Sequence) else [schedules]
    checked_whole(steps, "steps", 1, 1_000_000)
    figure, panel = new_panel(f"Learning rate by step, base rate {lr:g}", "step", "learning rate")
    for k, one in enumerate(several):
        record = gd.Record(every=1, trajectory=True, gradient_norm=False)
        sweep = gd.Sweep(problem=gd.Expression("w"), optimizer=gd.SGD(lr=lr), schedule=one, init="zeros", steps=steps, record=record)
        rates = -np.diff(sweep.run().trajectory.values[0, :, 0])
        panel.plot(np.arange(1, steps + 1), rates, label=schedule_name(one), **line(k))
    panel.set_ylim(bottom=0)
    legend(panel, len(several))
    return figure
