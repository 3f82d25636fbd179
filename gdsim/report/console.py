"""What the command line writes for people: messages, a bar of what is read, a table by cell when a sweep is
done.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from gdsim.words import count_of


class Console:
    """Where the command line writes what people read."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.terminal = Terminal(highlight=False, quiet=quiet)
        if not self.terminal.is_terminal and "COLUMNS" not in os.environ:
            self.terminal.width = 110  # a log has no edge

    def say(self, text: str) -> None:
        """One message."""
        self.terminal.print(text, soft_wrap=True, markup=False)

    def plan(self, plan: Any) -> None:
        """How large a sweep is."""
        self.say(f"{count_of(plan.runs, 'run')}: {count_of(plan.starts, 'start')} in {count_of(len(plan.cells), 'cell')}, {plan.run_steps:,} run-steps")
        if plan.choice is not None:
            self.say(plan.choice.sentence)

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

    def table(self, result: Any, folder: pathlib.Path | str) -> None:
        """The cells by rank, as far as they fit; which is the best, whether that is beyond noise, and whether
        a better rate may lie beyond the grid.
        """
        from gdsim.report.cells import heading_of, table_lines, verdict_of
        from gdsim.report.conclusion import at_the_edge
        from gdsim.sweep.ranks.table import table

        frame = table(result)
        accuracy = table(result, columns="all").set_index("cell")["median_validation_accuracy"] if "validation_accuracy" in result else None
        lines = table_lines(frame, self.terminal.width, accuracy, f"gdsim report {folder}")
        for line in ("", *heading_of(frame), "", *lines, "", *verdict_of(frame), *at_the_edge(result)):
            self.say(line)
