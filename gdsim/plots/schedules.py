"""Learning rates step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.axes import Range, checked_one, checked_whole, length
from gdsim.plots.style import Axes, Figure, finished, legend, line, new_panel
from gdsim.problems import Expression
from gdsim.rules import SGD
from gdsim.schedules import SCHEDULES, Schedule
from gdsim.stops import Record
from gdsim.sweep.experiment.cells import schedule_name
from gdsim.sweep.ranks.labels import joined, shown_number
from gdsim.sweep.sweep import Sweep
from gdsim.words import given

RATE = Range(0.0, float("inf"), low_allowed=False)


def schedule(schedules: Schedule | Sequence[Schedule], *, steps: int = 1000, lr: float = 1.0, ax: Axes | None = None) -> Figure:
    """The learning rate at each step of one schedule, or of several: those of runs of gradient descent on a
    slope of 1.

    `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises TypeError for what is no schedule.

    >>> import gdsim as gd
    >>> len(schedule([gd.Cosine(cycle=200), gd.Power(0.5)], steps=500).axes)
    1
    """
    checked_one(lr, "lr", RATE)
    several: list[Any] = list(schedules) if isinstance(schedules, Sequence) and not isinstance(schedules, str) else [schedules]
    if not several:
        raise ValueError("schedules is an empty list; give at least one schedule, such as gd.Cosine(cycle=200)")
    for one in several:
        _check_schedule(one)
    checked_whole(steps, "steps", 1, 1_000_000)
    figure, panel = new_panel(f"Learning rate by step, base rate {shown_number(lr)}", "step", "learning rate", ax=ax)
    for k, one in enumerate(several):
        record = Record(every=1, trajectory=True, gradient_norm=False)
        sweep = Sweep(problem=Expression("w"), optimizer=SGD(lr=lr), schedule=one, init="zeros", steps=steps, record=record)
        rates = -np.diff(sweep.run(progress=False).trajectory.values[0, :, 0])
        panel.plot(np.arange(1, steps + 1), rates, drawstyle="steps-mid", label=_named(one), **line(k))
    panel.set_ylim(bottom=0)
    legend(panel, outside=ax is None)
    return finished(figure, f"The rate of each of {steps:,} steps: a step's height is the rate that its update takes; steps count from 1.")


def _named(one: Any) -> str:
    """A schedule with its numbers, such as "SGDR mult=2 cycle=10"; a phase's have the phase's name."""
    return " ".join([schedule_name(one), *(f"{name}={v:g}" for name, v in one.hyperparameters().items() if isinstance(v, (int, float)))])


def _check_schedule(one: Any) -> None:
    """Raises TypeError for what is no schedule, saying how one is written, and ValueError for several in
    one.
    """
    if not isinstance(one, Schedule):
        names = [kind.__name__ for kind in SCHEDULES]
        same = next((n for n in names if isinstance(one, str) and n.lower() == one.replace("_", "").lower()), None)
        hint = f"write gd.{same}(...)" if same else f"there are {joined([f'gd.{n}' for n in names])}"
        raise TypeError(f"schedules must be a schedule, such as gd.Cosine(cycle=200), or a list of them; {given(one)} was given: {hint}")
    if any(length(v) > 1 for v in one.hyperparameters().values()):
        raise ValueError(f"schedule draws schedules of one number each; {one!r} has a list: give a list of schedules")
