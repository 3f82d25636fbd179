"""The command line: parses, calls, prints. `EXIT_CODES` says by which number a command tells how it ended."""

import io
import signal
import sys
import warnings
from typing import Any

import click

from gdsim.cli.beginning import completion, doctor, list_kind, new
from gdsim.cli.common import EXIT_CODES, again, heard, leave_interrupted
from gdsim.cli.folders import export, merge, report, status, verify
from gdsim.cli.running import compile_file, plan, run
from gdsim.version import VERSION


class _Commands(click.Group):
    """The commands; an interrupt, whenever it comes, is told in one line and has its own exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot write a folder's name ends no sweep
        try:
            with heard(signal.SIGINT), warnings.catch_warnings():
                warnings.showwarning = _warn
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(f"interrupted. To go on: {again()}", err=True)
            leave_interrupted()


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    """Tells a warning in one line, without the place in the code that Python adds."""
    click.echo(f"warning: {message}", err=True)


@click.group(cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(version)s")
def main() -> None:
    """gdsim trains populations of small models at once, and says what the population did.

    To begin: gdsim new mlp, then gdsim run mlp.toml. Shell completion: gdsim completion --help.
    """


for command in (run, plan, compile_file, status, verify, export, report, merge, doctor, new, list_kind, completion):
    main.add_command(command)
