"""The command line: parses, calls, prints. Exit codes: 0 done, 2 bad input, 3 incomplete and resumable, 4 damage found, 130 interrupted."""

import contextlib
import io
import json
import os
import pathlib
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from gdsim import __version__
from gdsim.sweep.new import KINDS, write_new

INCOMPLETE, DAMAGE, INTERRUPTED = 3, 4, 130

SET = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True,
    help="Change a value of FILE, as TOML: steps=500, optimizer.0.lr=0.1; optimizer.lr=0.1 of all that have it. May be repeated.",
)  # fmt: skip
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Path(click.Path):
    """The name of a file or folder; `~` is the home folder where the shell has left it, as in --out=~/results."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> pathlib.Path:
        """The path, or the usual error for an argument that is none."""
        from gdsim.filenames import user_path

        try:
            return user_path(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


PATH = _Path()
FOLDER = click.argument("folder", type=PATH)


def cluster_options(command: Any) -> Any:
    """The options that name a Dask cluster."""
    for option in reversed(
        [
            click.option("--scheduler", metavar="ADDRESS", help="Address of a Dask scheduler, as tcp://10.0.0.5:8786; its workers share the folder."),
            click.option("--scheduler-file", type=PATH, help="File in which a Dask scheduler has left its address."),
            click.option("--tls-ca", type=PATH, help="Certificate of the authority, for tls:// addresses."),
            click.option("--tls-cert", type=PATH, help="This client's certificate."),
            click.option("--tls-key", type=PATH, help="The certificate's key."),
        ]
    ):
        command = option(command)
    return command


class _Commands(click.Group):
    """The commands; an interrupt, whenever it comes, is told in one line and has its own exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot write a folder's name ends no sweep
        try:
            with _heard(signal.SIGINT), warnings.catch_warnings():
                warnings.showwarning = _warn
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(f"interrupted. To go on: {_again()}", err=True)
            sys.exit(INTERRUPTED)


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    """Tells a warning in one line, without the place in the code that Python adds."""
    click.echo(f"warning: {message}", err=True)


def _again() -> str:
    """The command that was given."""
    return shlex.join(["gdsim", *sys.argv[1:]])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """gdsim trains populations of small models at once, and says what the population did.

    To begin: gdsim new mlp, then gdsim run mlp.toml. Shell completion: gdsim completion --help.
    """


@main.command()
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, help="Folder of the results; results/NAME if not given.")
@click.option("--threads", type=int, help="Threads of this process to use; all cores if not given.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes to start here, in place of threads.")
@cluster_options
@click.option("--lanes", type=int, help="Runs side by side in a pack, a power of two; chosen by the problem, the runs and the caches if not given.")
@click.option("--chunk-seconds", type=float, default=10.0, show_default=True, help="Work of one core that is scheduled and stored at once.")
@click.option("--attempts", type=int, default=3, show_default=True, help="How often a chunk that raises is tried.")
@click.option("--mix", is_flag=True, help="Let the folder hold runs of kernels whose bits differ.")
@SET
def run(file: pathlib.Path, out: pathlib.Path | None, settings: tuple[str, ...], **options: Any) -> None:
    """Run the experiment in FILE, a TOML file, and keep its results in a folder.

    The same command again keeps what is finished and trains the rest; so does a file with more starts or cells.
    """
    from gdsim.report.console import Console
    from gdsim.sweep.display import shown
    from gdsim.sweep.outcomes import UnfinishedError

    console = Console()
    console.say(f"reading {file}")
    sweep = _read(file, settings)
    folder = out if out is not None else pathlib.Path("results") / file.stem
    again = f"To go on: {_again()}"
    place = {name: options.pop(name) for name in ("scheduler", "scheduler_file", "workers", "tls_ca", "tls_cert", "tls_key")}
    try:
        with _refusals(), _heard(signal.SIGTERM), _client(console, place, options.get("threads")) as client:
            console.plan(sweep)
            with shown(True, sys.stdout) as progress:
                result = sweep.run(out=folder, client=client, progress=progress, **options)
        picture = _draw(result, folder, console) if sweep.keep == "runs" else None
    except UnfinishedError as error:
        console.say(f"not finished: {_words(error)}\nWhat was finished is in {folder}. {again}")
        sys.exit(INCOMPLETE)
    except MemoryError as error:
        console.say(f"not finished: there is not enough memory ({_words(error)})\nWhat was finished is in {folder}. {again}")
        sys.exit(INCOMPLETE)
    except KeyboardInterrupt:
        console.say(f"interrupted; what was finished is in {folder}. {again}")
        sys.exit(INTERRUPTED)
    console.table(result, folder)
    console.say(f"results: {folder}  (gd.open({str(folder)!r}))" + (f"\nplot:    {picture}" if picture else ""))


@main.command()
@click.argument("file", type=PATH)
@SET
@AS_JSON
def plan(file: pathlib.Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Say what the experiment in FILE would run: runs, structures, chunks, memory, disk. Runs nothing."""
    with _refusals():
        found = _read(file, settings).plan()
    click.echo(json.dumps(found.summary()) if as_json else str(found))


@main.command()
@FOLDER
@AS_JSON
def status(folder: pathlib.Path, as_json: bool) -> None:
    """Say how far the sweep in FOLDER is, also while it goes on elsewhere: done, missing, failed, quarantined, rate, time left."""
    from gdsim.sweep.survey import survey

    with _refusals():
        found = survey(folder)
    _print(found, as_json)


@main.command()
@FOLDER
@AS_JSON
def verify(folder: pathlib.Path, as_json: bool) -> None:
    """Check every byte of every shard in FOLDER against its name. Exit code 4 if there is damage; changes nothing."""
    from gdsim.report.console import Console
    from gdsim.sweep.survey import verify_folder

    with _refusals(), Console(quiet=as_json).counting("bytes") as progress:
        found = verify_folder(folder, progress)
    _print(found, as_json)
    if found.damaged:
        sys.exit(DAMAGE)


@main.command()
@FOLDER
@click.argument("target", type=PATH)
def export(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Write the finished runs in FOLDER into TARGET: a file NAME.parquet, NAME.csv or NAME.nc, or a folder NAME.zarr."""
    from gdsim.report.console import Console
    from gdsim.sweep.export import export as write

    console = Console()
    with _refusals(), console.counting("runs") as progress:
        write(folder, target, progress)
    console.say(f"written: {target}")


@main.command()
@FOLDER
@click.option("--out", type=PATH, help="File of the report, or a folder for it; report.html in FOLDER if not given.")
def report(folder: pathlib.Path, out: pathlib.Path | None) -> None:
    """Write what the population in FOLDER did as one HTML page: tables with intervals, figures, warnings, and the code behind each."""
    from gdsim.report.console import Console
    from gdsim.report.page import write_report

    console = Console()
    out = out / "report.html" if out is not None and out.is_dir() else out
    with _refusals():
        place = write_report(folder, out, console.say)
    console.say(f"report: {place}")


@main.command()
@click.argument("target", type=PATH)
@click.argument("folders", type=PATH, nargs=-1, required=True)
def merge(target: pathlib.Path, folders: tuple[pathlib.Path, ...]) -> None:
    """Bring the finished runs of FOLDERS, all of one experiment, into TARGET, every shard checked."""
    from gdsim.sweep.export import merge as bring

    with _refusals():
        count = bring(target, folders)
    click.echo(f"{count} shards are new in {target}")


@main.command()
@cluster_options
@AS_JSON
def doctor(as_json: bool, **place: Any) -> None:
    """Say what this machine offers (and a cluster's workers), and whether its bits are right. Exit code 4 if something is wrong."""
    from gdsim.report.console import Console
    from gdsim.sweep.doctor import examine

    console = Console(quiet=as_json)
    with _refusals(), _client(console, place) as client:
        found = examine(client, console.say)
    _print(found, as_json)
    if found.problems:
        sys.exit(DAMAGE)


@main.command(epilog="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()) + ".")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("file", type=PATH, required=False)
def new(kind: str, file: pathlib.Path | None) -> None:
    """Write a commented experiment to start from into FILE, KIND.toml if none is named."""
    with _refusals():
        made = write_new(kind, file)
    for path in made:
        click.echo(f"written: {path}")
    click.echo(f"next:    gdsim run {shlex.quote(str(made[0]))}")


@main.command("list")
@click.argument("kind", type=click.Choice(["problems", "optimizers", "schedules", "stops", "data"]))
@AS_JSON
def list_kind(kind: str, as_json: bool) -> None:
    """List what an experiment may name, with keys, defaults and a sentence each. Keys without a default come first."""
    from gdsim.sweep.listing import listed

    found = listed(kind)
    if as_json:
        _print(found, as_json)
    else:
        click.echo("\n".join(map(str, found)))


@main.command()
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
    click.echo(kind(main, {}, "gdsim", "_GDSIM_COMPLETE").source())


def _draw(result: Any, folder: pathlib.Path, console: Any) -> pathlib.Path | None:
    """The picture of a sweep, in its folder; None where it cannot be drawn, which costs no results."""
    from gdsim.plots import convergence_bands
    from gdsim.sweep.files import write_atomically

    drawn, picture = io.BytesIO(), folder / "convergence.png"
    try:
        convergence_bands(result).savefig(drawn, dpi=130)
        write_atomically(picture, drawn.getvalue())
    except (MemoryError, OSError) as error:
        console.say(f"the plot could not be drawn ({_words(error)}); all results are kept")
        return None
    return picture


def _words(error: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _read(file: pathlib.Path, settings: tuple[str, ...] = ()) -> Any:
    from gdsim.sweep.experiment import read_experiment

    with _refusals():
        return read_experiment(file, settings)


def _print(found: Any, as_json: bool) -> None:
    """A finding for people, or for programs."""
    import msgspec

    click.echo(msgspec.json.encode(found).decode() if as_json else str(found))


@contextlib.contextmanager
def _client(console: Any, place: dict[str, Any], threads: int | None = None) -> Iterator[Any]:
    """The client of the cluster that the options name, or None."""
    named = [name for name in ("scheduler", "scheduler_file", "workers") if place.get(name) is not None]
    certificates = tuple(place[name] for name in ("tls_ca", "tls_cert", "tls_key"))
    if len(named) > 1:
        raise ValueError(f"--{' and --'.join(n.replace('_', '-') for n in named)} were given: give one cluster")
    if named and threads is not None:
        raise ValueError(f"--threads and --{named[0].replace('_', '-')} were given: threads train here, and a cluster's workers in place of them")
    if any(certificates) and (not all(certificates) or place.get("workers") is not None or not named):
        raise ValueError("--tls-ca, --tls-cert and --tls-key go together, with --scheduler or --scheduler-file")
    for path in (*certificates, place.get("scheduler_file")):
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {str(path)!r}")
    if not named:
        yield None
        return
    from gdsim.sweep.cluster import connected

    console.say(f"starting {place['workers']} worker processes" if named == ["workers"] else f"connecting to {place[named[0]]}")
    with connected(**{n: place[n] for n in named}, tls=certificates if all(certificates) else None) as client:
        yield client


@contextlib.contextmanager
def _heard(number: int) -> Iterator[None]:
    """Acknowledges a signal at once, and makes it end the command as Ctrl-C does."""

    def stop(*_: Any) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted: ending\n")  # and not by a stream, which may be in use
        raise KeyboardInterrupt

    held = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, held)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Bad input as one line and exit code 2."""
    from gdsim.lanes.compiler import NoCompilerError

    try:
        yield
    except (NoCompilerError, ValueError, TypeError, OSError) as error:
        raise _BadInput(_words(error)) from None


class _BadInput(click.ClickException):
    """What the user gave cannot be used."""

    exit_code = 2


if __name__ == "__main__":
    main()
