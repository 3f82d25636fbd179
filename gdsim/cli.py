"""The command line: parses, calls, prints. Exit codes: 0 done, 2 bad input, 130 interrupted."""

import json
import pathlib
import sys
from typing import Any

import click

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gdsim", message="%(version)s")
def main() -> None:
    """gdsim trains populations of small models at once, and says what the population did."""


@main.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option("--out", type=click.Path(path_type=pathlib.Path), help="Folder of the results; results/NAME if not given.")
@click.option("--threads", type=int, help="Threads to use; all cores if not given.")
@click.option("--lanes", type=int, help="Runs side by side in a pack, a power of two; chosen by the problem, the runs and the caches if not given.")
def run(file: pathlib.Path, out: pathlib.Path | None, threads: int | None, lanes: int | None) -> None:
    """Run the experiment in FILE, a TOML file, and keep its results in a folder.

    The same command again keeps what is finished and trains the rest.
    """
    from gdsim.report.console import Console

    console = Console()
    console.say(f"reading {file}")
    sweep = _read(file)
    folder = out if out is not None else pathlib.Path("results") / file.stem
    try:
        with console.progress(sweep) as progress:
            result = sweep.run(out=folder, threads=threads, lanes=lanes, progress=progress)
    except (ValueError, TypeError, OSError) as error:
        raise _refusal(error) from None
    except KeyboardInterrupt:
        console.say(f"interrupted; what was finished is in {folder}. To go on: gdsim run {file} --out {folder}")
        sys.exit(INTERRUPTED)
    from gdsim.plots import convergence_bands

    picture = folder / "convergence.png"
    convergence_bands(result).savefig(picture, dpi=130)
    console.table(result, sweep)
    console.say(f"results: {folder}  (gd.open({str(folder)!r}))\nplot:    {picture}")


@main.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(file: pathlib.Path, as_json: bool) -> None:
    """Say what the experiment in FILE would run: runs, structures, chunks, memory, disk. Runs nothing."""
    try:
        found = _read(file).plan()
    except (ValueError, TypeError) as error:
        raise _refusal(error) from None
    click.echo(json.dumps(found.summary()) if as_json else str(found))


def _read(file: pathlib.Path) -> Any:
    from gdsim.sweep.experiment import read_experiment

    try:
        return read_experiment(file)
    except ValueError as error:
        raise _refusal(error) from None


def _refusal(error: Exception) -> click.ClickException:
    """Bad input as one line and exit code 2."""
    return _BadInput(" ".join(str(error).split()))


class _BadInput(click.ClickException):
    """What the user gave cannot be used."""

    exit_code = 2


if __name__ == "__main__":
    main()
