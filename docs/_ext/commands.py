"""The reference of the command line, from the commands themselves."""

from collections.abc import Iterator

import click
from escapes import cell

from gdsim.cli import main
from gdsim.cli.common import EXIT_CODES


def written() -> str:
    """A page in Markdown: every command with its arguments, its options and their defaults."""
    lines = ["(reference-commands)=", "# Command line", "", EXIT_CODES, "", "`--version` prints the version, `-h` or `--help` after any command its page.", ""]
    for name, command in main.commands.items():
        lines += _command(name, command)
    return "\n".join(lines)


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"gdsim {name}", help_option_names=["-h", "--help"])
    yield from (f"## gdsim {name}", "", "```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
    yield from (cell((command.help or "").replace("\b", "")), "")
    rows = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    if rows:
        yield from ("| option | |", "|---|---|", *(f"| `{r[0].replace('|', '`&#124;`')}` | {cell(r[1])} |" for r in rows if r), "")
