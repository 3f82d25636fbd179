"""Commands that take a results folder: how far it is, whether its bytes are right, and what is made of it."""

import pathlib
import sys

import click

from gdsim.cli.common import AS_JSON, DAMAGE, FOLDER, INCOMPLETE, PATH, RESULTS, console_of, print_finding, refusals
from gdsim.words import are


@click.command()
@FOLDER
@click.option(
    "--watch",
    "is_watched",
    is_flag=True,
    help="Show it anew until no runs are missing or Ctrl-C; where it is piped, a line for each change. Waits for a folder that is yet to come.",
)
@AS_JSON
def status(folder: pathlib.Path | str, is_watched: bool, as_json: bool) -> None:
    """Say how far the sweep in FOLDER is, also while it goes on elsewhere: done, missing, failed,
    quarantined, rate, time left; and how far what follows it, or what a call around points has kept there.

    Exit codes: 0 all is there; 2 no results folder; 3 runs or items are missing; 4 files or what describes
    them are damaged.
    """
    from msgspec import to_builtins

    from gdsim.cli.watching import watch
    from gdsim.questions.folder import is_question
    from gdsim.questions.survey import AnswerSurvey, answers_in, survey_answer
    from gdsim.store.folder import Store
    from gdsim.sweep.survey import survey

    with refusals():
        store = Store(folder)
        if is_question(store):
            if is_watched:
                raise ValueError(f"--watch is of a sweep's folder, and {str(folder)!r} holds the answer to a call; ask again without it")
            states = [survey_answer(folder)]
        else:
            states = [watch(folder, as_json) if is_watched else survey(folder)]
            states += [survey_answer(f"{store.folder}/{name}", store.experiment()["sha256"]) for name in answers_in(store.place)]
    first, *answers = states
    if not is_watched:
        print_finding({**to_builtins(first), "answers": answers} if as_json and answers else first, as_json)
    elif as_json:
        for found in answers:  # as the states before them, a line each
            print_finding(found, as_json)
    for found in [] if as_json else answers:
        click.echo(f"{pathlib.PurePath(found.folder).name}: {found.line()}")
    lacks = any(found.missing_items if isinstance(found, AnswerSurvey) else found.missing_runs for found in states)
    sys.exit(DAMAGE if any(found.damaged for found in states) else INCOMPLETE if lacks else 0)


@click.command()
@FOLDER
@AS_JSON
def verify(folder: pathlib.Path | str, as_json: bool) -> None:
    """Check every byte of every shard in FOLDER, and of every piece of answers, against its name.

    Exit code 4 if there is damage; changes nothing.
    """
    from gdsim.opening import call_of
    from gdsim.questions.folder import is_question
    from gdsim.questions.survey import answers_in, verify_answer
    from gdsim.store.folder import Store
    from gdsim.sweep.survey import verify_folder

    with refusals(), console_of(quiet=as_json).counting("bytes") as progress:
        store = Store(folder)
        if is_question(store):
            found = verify_answer(folder, call_of)
        else:
            found = verify_folder(folder, progress)
            for name in answers_in(store.place):
                found = found.with_another(name, verify_answer(f"{store.folder}/{name}", call_of))
    print_finding(found, as_json)
    if found.damaged:
        sys.exit(DAMAGE)


@click.command()
@FOLDER
@click.argument("target", type=PATH)
def export(folder: pathlib.Path | str, target: pathlib.Path) -> None:
    """Write the finished runs in FOLDER into TARGET: a file NAME.parquet, NAME.csv or NAME.nc, or a folder
    NAME.zarr.
    """
    from gdsim.sweep.export import export as write

    console = console_of()
    with refusals(), console.counting("runs") as progress:
        write(folder, target, progress)
    console.say(f"written: {target}")


@click.command()
@FOLDER
@click.option("--out", type=PATH, help="File of the report, or a folder for it; report.html in FOLDER if not given.")
def report(folder: pathlib.Path | str, out: pathlib.Path | None) -> None:
    """Write what the population in FOLDER did as one HTML page: tables with intervals, figures, warnings, planes
    around its points that turn, and the code behind each. Of a plane's own folder it is the plane alone.
    """
    from gdsim.questions.folder import is_question
    from gdsim.report.page import write_report
    from gdsim.report.surfaces import write_answer_report
    from gdsim.store.folder import Store

    console = console_of()
    out = out / "report.html" if out is not None and out.is_dir() else out
    with refusals():
        place = write_answer_report(folder, out) if is_question(Store(folder)) else write_report(folder, out, console.say)
    console.say(f"report: {place}")


@click.command()
@click.argument("target", type=RESULTS)
@click.argument("folders", type=RESULTS, nargs=-1, required=True)
def merge(target: pathlib.Path | str, folders: tuple[pathlib.Path | str, ...]) -> None:
    """Bring the finished runs of FOLDERS, all of one experiment, into TARGET, every shard checked."""
    from gdsim.sweep.export import merge as bring

    with refusals():
        count = bring(target, folders)
    click.echo(f"{are(count, 'shard')} new in {target}")
