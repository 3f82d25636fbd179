"""What the command line writes for people: messages, a bar of what is read, a table by cell when a sweep is done."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

from rich import box
from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table


class Console:
    """Where the command line writes what people read."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.terminal = Terminal(highlight=False, quiet=quiet)
        if not self.terminal.is_terminal and "COLUMNS" not in os.environ:
            self.terminal.width = 140  # a log has no edge

    def say(self, text: str) -> None:
        """One message."""
        self.terminal.print(text, soft_wrap=True, markup=False)

    def plan(self, sweep: Any) -> None:
        """How large a sweep is."""
        plan = sweep.plan()
        self.say(f"{plan.runs:,} runs: {plan.starts:,} starts in {len(plan.cells):,} cells, {plan.run_steps:,} run-steps")

    @contextlib.contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A bar of what is done of a whole that is known when the first part is done."""
        columns = (
            SpinnerColumn(),
            TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {what}"),
            BarColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.terminal, transient=True, disable=not self.terminal.is_terminal) as bar:
            task = bar.add_task("", total=0)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def table(self, result: Any, sweep: Any) -> None:
        """A row per cell: how runs ended, median, best and quartiles of the final loss, validation accuracy."""
        from gdsim.stops import Target
        from gdsim.sweep.table import table

        frame = table(result, columns="all")
        kinds = {type(s) for s in sweep.stop if s.status == "converged"}
        target = next((s for s in sweep.stop if isinstance(s, Target)), None)
        reached = f"loss <= {target.losses[-1]:g}" if target is not None and kinds == {Target} else "converged"
        others = [s for s in ("stopped", "stalled") if any(stop.status == s for stop in sweep.stop)]
        shown = Table(
            title="Final loss by cell; diverged runs count as infinite, validation accuracy is the median over runs",
            title_justify="left",
            box=box.SIMPLE,
            padding=(0, 1, 0, 0),
        )
        held = "median_validation_accuracy" in frame
        names = list(frame.columns[2 : list(frame.columns).index("runs")])
        for name in names:
            shown.add_column(name, no_wrap=True)
        for name in (reached, *others, "diverged", "best", "25%", "median", "75%", *(["validation accuracy"] if held else [])):
            shown.add_column(name, justify="right")
        for row in frame.to_dict("records"):
            settings = [_cell(row[n]) for n in names]
            losses = [f"{row[n]:.4g}" for n in ("lowest_final_loss", "quartile_low", "median_loss", "quartile_high")]
            accuracy = [f"{100 * row['median_validation_accuracy']:.1f}%"] if held else []
            shown.add_row(*settings, f"{row['converged']} of {row['runs']}", *(str(row[s]) for s in others), str(row["diverged"]), *losses, *accuracy)
        self.terminal.print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
