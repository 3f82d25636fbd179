"""A sweep on the terminal: a progress bar while it runs, a table by cell when it is done."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

from rich import box
from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


class _Rate(ProgressColumn):
    """Run-steps per second, in the largest fitting unit."""

    def render(self, task: Task) -> Text:
        rate = task.fields.get("rate", 0.0)
        power = 3 * int(math.log10(rate) // 3) if rate >= 1 else 0
        unit = {0: "", 3: "k", 6: "M", 9: "G"}.get(power, f"e{power}")
        return Text(f"{rate / 10**power:.3g}{unit} run-steps/s" if rate else "")


class Console:
    """Where the command line writes what people read."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.terminal = Terminal(highlight=False, quiet=quiet)
        if not self.terminal.is_terminal and "COLUMNS" not in os.environ:
            self.terminal.width = 140  # a log has no edge

    def say(self, text: str) -> None:
        """One message."""
        self.terminal.print(text, soft_wrap=True, markup=False)

    @contextlib.contextmanager
    def progress(self, sweep: Any) -> Iterator[Callable[[Any], None]]:
        """A bar of runs done, run-steps per second and the time left; yields what takes the executor's states."""
        plan = sweep.plan()
        self.say(f"{plan.runs:,} runs: {plan.starts:,} starts in {len(plan.cells):,} cells, {plan.run_steps:,} run-steps")
        columns = (
            SpinnerColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f} runs"), BarColumn(), _Rate(),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[lost]}{task.description}"),
        )  # fmt: skip
        with Progress(*columns, console=self.terminal, transient=False) as bar:
            task = bar.add_task("", total=plan.runs, lost="")
            said = [""]

            def tell(state: Any) -> None:
                rate = state.run_steps_done / state.seconds if state.seconds else 0.0
                counts = ((state.diverged, "diverged"), (state.failed, "chunks failed"))
                lost = "".join(f"{count:,} {what}  " for count, what in counts if count)
                bar.update(task, completed=state.runs_done, description=state.message, rate=rate, lost=lost)
                if state.message and state.message != said[-1] and not self.terminal.is_terminal:
                    said.append(state.message)
                    self.say(state.message)

            yield tell

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
