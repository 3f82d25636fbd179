"""Commands for the start: `doctor` looks at the machine, `new` and `list` help to write an experiment,
`completion` to type.
"""

import pathlib
import shlex
import sys
from typing import Any

import click

from gdsim.cli.clusters import client_of, cluster_options
from gdsim.cli.common import AS_JSON, DAMAGE, PATH, console_of, print_finding, refusals, unfinished
from gdsim.sweep.experiment.new import KINDS, write_new

# What `list` lists: the kinds of `gdsim.sweep.experiment.listing`, which is imported where it is asked.
LISTED = ["problems", "optimizers", "schedules", "stops", "distributions", "partitions", "compressions", "stalenesses", "compute_times", "data"]


@click.command()
@cluster_options
@click.option("--clean-cache", "is_cleaning", is_flag=True, help="Remove the compiled kernels of other versions and processors instead.")
@click.option("--train-on-gpus", "trains", is_flag=True, help="Train small sweeps on each GPU too; compiling takes half a minute the first time.")
@AS_JSON
def doctor(as_json: bool, is_cleaning: bool, trains: bool, **place: Any) -> None:
    """Say what this machine offers (and a cluster's workers), and whether its bits are right.

    Exit code 4 if something is wrong, 3 if no scheduler answers, 2 for bad input.
    """
    from gdsim.sweep.doctor import clean_cache, examine

    if is_cleaning:
        with refusals():
            if any(value is not None for value in place.values()):
                raise ValueError("--clean-cache is of this machine's cache: give it without a cluster")
            print_finding(clean_cache(), as_json)
        return
    console = console_of(quiet=as_json)
    with refusals(), unfinished(), client_of(console, place) as client:
        found = examine(client, console.say, trains)
    print_finding(found, as_json)
    if found.problems:
        sys.exit(DAMAGE)


@click.command(epilog="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()) + ".")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("file", type=PATH, required=False)
def new(kind: str, file: pathlib.Path | None) -> None:
    """Write a commented experiment to start from into FILE, KIND.toml if none is named."""
    with refusals():
        made = write_new(kind, file)
    for path in made:
        click.echo(f"written: {path}")
    click.echo(f"next:    gdsim run {shlex.quote(str(made[0]))}")


@click.command("list")
@click.argument("kind", type=click.Choice(LISTED))
@AS_JSON
def list_kind(kind: str, as_json: bool) -> None:
    """List what an experiment may name, with keys, defaults and a sentence each.

    Keys without a default come first.
    """
    from gdsim.sweep.experiment.listing import listed

    found = listed(kind)
    if as_json:
        print_finding(found, as_json)
    else:
        click.echo("\n".join(map(str, found)))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete gdsim's commands, options and files.

    \b
    bash: eval "$(gdsim completion bash)" in ~/.bashrc
    zsh:  eval "$(gdsim completion zsh)" in ~/.zshrc
    fish: gdsim completion fish > ~/.config/fish/completions/gdsim.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, "gdsim", "_GDSIM_COMPLETE").source())
