"""What the commands share: exit codes, kinds of arguments, and how mistakes and interrupts are told."""

import contextlib
import os
import pathlib
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gdsim.filenames import scheme_of, user_path

if TYPE_CHECKING:
    from gdsim.report.console import Console

BAD_INPUT, INCOMPLETE, DAMAGE, FAILING, INTERRUPTED = 2, 3, 4, 5, 130
EXIT_CODES = (
    "Exit codes: 0 done; 2 bad input; 3 incomplete, and the same command goes on; 4 damage found; "
    "5 incomplete, and only chunks are left that fail each time; 130 interrupted."
)

SET = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True,
    help="Change a value of FILE, as TOML: steps=500, optimizer.0.lr=0.1; optimizer.lr=0.1 of all that have it; schedule= takes a key away. "
    "May be repeated.",
)  # fmt: skip
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Path(click.Path):
    """The name of a file or folder; `~` is the home folder where the shell has left it, as in
    --out=~/results.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> pathlib.Path:
        """The path, or the usual error for an argument that is none."""
        try:
            return user_path(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Results(_Path):
    """The name of a results folder, which may be the address of one in a bucket."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The address as it is, or the path."""
        return value if scheme_of(value) else super().convert(value, param, ctx)


PATH, RESULTS = _Path(), _Results()
FOLDER = click.argument("folder", type=RESULTS)


def console_of(*, quiet: bool = False) -> "Console":
    """Where a command writes what people read; nowhere where it is quiet."""
    from gdsim.report.console import Console

    return Console(quiet=quiet)


def again() -> str:
    """The command that was given."""
    return shlex.join(["gdsim", *sys.argv[1:]])


def words(error: BaseException) -> str:
    """What an exception says, in one line; of what the system refuses, the file first."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{str(error.filename)!r}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def print_finding(found: Any, as_json: bool) -> None:
    """A finding for people, or for programs."""
    import msgspec

    click.echo(msgspec.json.encode(found).decode() if as_json else str(found))


@contextlib.contextmanager
def heard(number: int) -> Iterator[None]:
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


def leave_interrupted() -> NoReturn:
    """Ends the command by an interrupt's exit code."""
    eval("None")  # else `python -m` dies of SIGINT where KeyboardInterrupt has come while a text was evaluated, though it was caught
    sys.exit(INTERRUPTED)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Bad input, or damage that was found, as one line with its exit code."""
    from gdsim.lanes.compiler import NoCompilerError

    try:
        yield
    except (NoCompilerError, ValueError, TypeError, OSError) as error:
        raise (FoundDamage if is_damage(error) else BadInput)(words(error)) from None


@contextlib.contextmanager
def in_file(path: pathlib.Path) -> Iterator[None]:
    """Says the file of an experiment that is refused."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def is_damage(error: BaseException) -> bool:
    """Whether an exception tells of a results folder that is damaged."""
    if "gdsim.store.folder" not in sys.modules:  # which no command has asked for
        return False
    from gdsim.store.folder import DamagedFolderError
    from gdsim.store.shards import DamagedShardError

    return isinstance(error, (DamagedShardError, DamagedFolderError))


@contextlib.contextmanager
def unfinished() -> Iterator[None]:
    """What may be there after a while, as a cluster that does not answer, as one line with its exit code."""
    from gdsim.sweep.execution.executor import UnfinishedError

    try:
        yield
    except UnfinishedError as error:
        raise Incomplete(words(error)) from None


class Incomplete(click.ClickException):
    """What could not be done now."""

    exit_code = INCOMPLETE


class BadInput(click.ClickException):
    """What the user gave cannot be used."""

    exit_code = BAD_INPUT


class FoundDamage(click.ClickException):
    """What a results folder holds cannot be used."""

    exit_code = DAMAGE
