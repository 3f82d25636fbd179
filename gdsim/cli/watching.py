"""`gdsim status --watch`: the state of a results folder, shown anew until its sweep is done."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.live import Live
from rich.text import Text

from gdsim.cli.common import print_finding
from gdsim.report.console import Console
from gdsim.store.folder import Store
from gdsim.store.places import EXPERIMENT
from gdsim.sweep.survey import Survey, survey

# The rest between two looks at a folder: so long, and some times as long as a look takes, so that who watches
# a large folder burdens no one.
REST_SECONDS, RESTS_PER_LOOK = 2.0, 10.0


def watch(folder: pathlib.Path | str, as_json: bool) -> Survey:
    """The last state of a folder, shown until it lacks nothing, or until Ctrl-C: in place on a terminal, else
    a line where something has changed.
    """
    found = None
    with _shown(as_json) as show:
        try:
            for found in _states(folder):
                show(found)
        except KeyboardInterrupt:
            if found is None:
                raise
    assert found is not None
    return found


def _states(folder: pathlib.Path | str) -> Iterator[Survey]:
    """A folder's states, now and then, the last of which lacks nothing."""
    known: dict[Any, Any] = {}
    if not Store(folder).place.has(EXPERIMENT):
        why = Store(folder).place.why_no_results()  # which names the folder that may have been meant
        if isinstance(folder, pathlib.Path) and folder.is_file():
            raise ValueError(why)
        click.echo(f"{why}\nwaiting for results there, until Ctrl-C", err=True)
        while not Store(folder).place.has(EXPERIMENT):
            time.sleep(REST_SECONDS)
    while True:
        began = time.perf_counter()
        found = survey(folder, known)
        yield found
        if not found.missing_runs:
            return
        time.sleep(max(REST_SECONDS, RESTS_PER_LOOK * (time.perf_counter() - began)))


@contextlib.contextmanager
def _shown(as_json: bool) -> Iterator[Callable[[Survey], object]]:
    """What shows a state."""
    terminal = Console().terminal
    if terminal.is_terminal and not as_json:
        with Live(console=terminal, auto_refresh=False) as live:
            yield lambda found: live.update(Text(str(found)), refresh=True)
        return
    told: list[Any] = []

    def write(found: Survey) -> None:
        news = [found.finished_runs, found.state, found.failed_chunks, found.quarantined, found.damaged]
        if news != told:
            told[:] = news
            print_finding(found if as_json else found.line(), as_json)

    yield write
