"""Commands that take an experiment's file: `run` trains it, `plan` says what that would be."""

import contextlib
import functools
import json
import os
import pathlib
import signal
import sys
from typing import Any

import click

from gdsim.cli.clusters import client_of, cluster_options
from gdsim.cli.common import (
    AS_JSON,
    EXIT_CODES,
    FAILING,
    INCOMPLETE,
    INTERRUPTED,
    PATH,
    RESULTS,
    SET,
    again,
    console_of,
    heard,
    in_file,
    leave_interrupted,
    print_finding,
    refusals,
    words,
)
from gdsim.filenames import scheme_of


class _Part(click.ParamType):
    """One of the parts of a plan, as in 3/8."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The part, or the usual error for an argument that is none."""
        from gdsim.sweep.planning.job_parts import checked_part

        number, _, count = str(value).partition("/")
        if not (number.isdecimal() and count.isdecimal()):
            self.fail(f"{value!r} is no part of a plan; give I/N, the I-th of N parts, such as 3/8", param, ctx)
        try:
            return checked_part((int(number), int(count)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Capability(click.ParamType):
    """A compute capability, as in 9.0."""

    name = "X.Y"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Its two numbers, or the usual error for an argument that is none."""
        from gdsim.lanes.warps import capability_of

        try:
            return capability_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


USUAL_SECONDS = 10.0
DOTS_PER_INCH = 130  # of the picture
# What the table and the picture of a finished sweep need, which is imported while the last of it is trained.
FOR_THE_END = ("gdsim.sweep.ranks.printed", "gdsim.report.conclusion", "gdsim.report.cells", "scipy.special", "gdsim.plots")
DEVICE = click.option(
    "--device", metavar="cpu|cuda|auto", help="What trains: processors, a GPU (cuda:1 for the second), or what takes less time; processors if not given."
)
LANES = click.option("--lanes", type=int, help="Runs side by side in a pack, a power of two; chosen by the problem, the runs and the caches if not given.")
CHUNK_SECONDS = click.option(
    "--chunk-seconds",
    type=float,
    default=USUAL_SECONDS,
    show_default=True,
    help="Work of one core that is stored at once, and scheduled, but that a GPU trains several of a structure together.",
)


@click.command(epilog=EXIT_CODES)
@click.argument("file", type=PATH)
@click.option("--out", type=RESULTS, help="Folder of the results, or s3://bucket/folder; results/NAME if not given.")
@click.option("--threads", type=int, help="Threads of this process to use; as many as it may use if not given.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes to start here, in place of threads.")
@click.option("--cluster", metavar="KIND:FILE", help="Cluster to start for the sweep: local, ssh or slurm, as FILE, in TOML, says.")
@cluster_options
@DEVICE
@LANES
@CHUNK_SECONDS
@click.option(
    "--part", type=_Part(), help="Train the I-th of N parts of the plan, I from 1, as an array job does; into one folder, or several that merge joins."
)
@click.option("--attempts", type=int, default=3, show_default=True, help="How often a chunk that raises is tried.")
@click.option("--mix", is_flag=True, help="Let the folder hold runs of kernels whose bits differ.")
@SET
def run(file: pathlib.Path, out: pathlib.Path | str | None, settings: tuple[str, ...], mix: bool, device: str | None, **options: Any) -> None:
    """Run the experiment in FILE, a TOML file, and keep its results in a folder.

    The same command again keeps what is finished and trains the rest; so does a file with more starts or
    cells.
    """
    from gdsim.sweep.execution.display import shown
    from gdsim.sweep.execution.executor import FailingError, UnfinishedError
    from gdsim.sweep.planning.devices import CPU
    from gdsim.sweep.run.entry import run_sweep
    from gdsim.sweep.run.options import RunOptions

    console = console_of()
    console.say(f"reading {file}")
    sweep, steps = _read_steps(file, settings)
    folder = out if out is not None else pathlib.Path("results") / file.stem
    go_on, progress, where = f"To go on: {again()}", None, CPU
    place = {name: options.pop(name) for name in ("scheduler", "scheduler_file", "workers", "cluster", "tls_ca", "tls_cert", "tls_key")}
    by_workers = None if all(value is None for value in place.values()) else sweep
    try:
        with refusals(), heard(signal.SIGTERM), client_of(console, place, options["threads"], options["chunk_seconds"], device) as client:
            given = RunOptions(options["threads"], options["lanes"], chunk_seconds=options["chunk_seconds"], part=options["part"])
            planned = _planned(sweep, file, given, None if client else device, folder)
            console.plan(planned)
            where = planned.device if not client else CPU if device is None else device
            at_once = functools.partial(_leave, folder, f"ended at once. {_kept(folder, None, None)}. {go_on}")
            with shown(True, sys.stdout, None if client else at_once) as progress:
                chosen = RunOptions(client=client, device=where, dask_throughout=False, imports=FOR_THE_END, **options)
                result = run_sweep(sweep, chosen, out=folder, runs=None, progress=progress, mix=mix)
            is_whole = _told(result, folder, console, options["part"])
            if is_whole and steps:
                _follow(steps, result, folder, console, file, client, options["threads"])
    except UnfinishedError as error:
        console.say(f"not finished: {words(error)}\n{_kept(folder, progress, by_workers)}. {go_on}")
        sys.exit(FAILING if isinstance(error, FailingError) else INCOMPLETE)
    except MemoryError as error:
        console.say(f"not finished: there is not enough memory ({words(error)})\n{_kept(folder, progress, by_workers)}. {go_on}")
        sys.exit(INCOMPLETE)
    except KeyboardInterrupt:
        console.say(
            f"interrupted. {_kept(folder, progress, by_workers)}{_lost(progress, options['chunk_seconds'], where != CPU and by_workers is None)}. {go_on}"
        )
        leave_interrupted()


@click.command()
@click.argument("file", type=PATH)
@CHUNK_SECONDS
@LANES
@DEVICE
@SET
@AS_JSON
def plan(file: pathlib.Path, chunk_seconds: float, lanes: int | None, device: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Say what the experiment in FILE would run: runs, structures, chunks, memory, disk. Runs nothing."""
    from gdsim.sweep.run.options import RunOptions

    with refusals():
        sweep, _ = _read_steps(file, settings)
        found = _planned(sweep, file, RunOptions(None, lanes, chunk_seconds=chunk_seconds), device)
    click.echo(json.dumps(found.summary()) if as_json else str(found))


def _planned(sweep: Any, file: pathlib.Path, options: Any, device: str | None, folder: pathlib.Path | str | None = None) -> Any:
    """The plan of a file's sweep, and of a device what it says of that: what is wrong with a machine is not the file's.

    "auto" is estimated for the runs that a `folder` lacks, where they are to be trained into one.
    """
    from gdsim.sweep.planning.devices import AUTO, checked_device
    from gdsim.sweep.run.placing import with_choice

    with in_file(file):
        found = sweep.plan(chunk_seconds=options.chunk_seconds, lanes=options.lanes)
    if device is None:
        return found
    options, runs = options._replace(device=checked_device(device)), None
    if folder is not None and options.device == AUTO:
        from gdsim.sweep.run.infolder import runs_lacking  # and with it pyarrow

        runs = runs_lacking(found, folder, options.part)
    return found if runs == 0 else with_choice(found, options, runs)


@click.command("compile")
@click.argument("file", type=PATH)
@click.option("--threads", type=int, help="Threads of a process that will train; as many as this one may use if not given.")
@click.option("--for-workers", is_flag=True, help="Compile as the workers of a cluster do, each of which trains a chunk in one thread.")
@click.option("--device", metavar="cpu|cuda", default="cpu", help="What they are for: processors, or a GPU (cuda:1 for the second); processors if not given.")
@click.option(
    "--capability", "capabilities", type=_Capability(), multiple=True,
    help="Compute capability of a GPU that is elsewhere, such as 9.0, for which the kernels are; may be given several times.",
)  # fmt: skip
@LANES
@CHUNK_SECONDS
@SET
@AS_JSON
def compile_file(file: pathlib.Path, settings: tuple[str, ...], for_workers: bool, as_json: bool, capabilities: tuple[Any, ...], **options: Any) -> None:
    """Compile the kernels that the experiment in FILE, or in a folder of results, needs into the cache on
    disk, and train nothing.

    For machines that share a home, once for each kind of processor, and for images, when they are built. No GPU
    is needed to compile for one. GDSIM_CACHE_DIR says where the cache is.
    """
    from gdsim.sweep.run.compiling import compile_kernels
    from gdsim.sweep.run.options import RunOptions

    console = console_of(quiet=as_json)
    with refusals():
        if for_workers and options["threads"] is not None:
            raise ValueError("--threads is of a process, and --for-workers of a cluster: give one of them")
        found = compile_kernels(
            _read(file, settings, or_folder=True), RunOptions(**options), for_workers, functools.cache(console.say), capabilities
        )  # each line once, as a wait is told again and again
    print_finding(found, as_json)


def _told(result: Any, folder: pathlib.Path | str, console: Any, part: Any) -> bool:
    """Says what has been trained, and draws it; whether it is all of the sweep."""
    is_whole = result.attrs["finished_runs"] == result.attrs["planned_runs"]
    picture = _draw(result, folder, console) if is_whole and "run" in result.dims and _is_shown(result, folder) else None
    if part is not None:
        console.say("{} is done; {finished_runs:,} of {planned_runs:,} runs of the whole are there".format(part, **result.attrs))
    if is_whole:
        try:
            console.table(result, folder)
        except OSError as error:
            console.say(f"the table could not be read ({words(error)}); all results are kept")
    console.say(f"results: {folder}  (gd.open({str(folder)!r}))" + (f"\nplot:    {picture}" if picture else ""))
    return is_whole


def _is_shown(result: Any, folder: pathlib.Path | str) -> bool:
    """Whether a folder shows a result, and not a larger one."""
    from gdsim.canonical import digest
    from gdsim.store.folder import Store
    from gdsim.sweep.results.dataset import sweep_behind

    return Store(folder).experiment()["sha256"] == digest(sweep_behind(result))


def _draw(result: Any, folder: pathlib.Path | str, console: Any) -> str | None:
    """The picture of a sweep, in its folder; None where it cannot be drawn, which costs no results."""
    from gdsim.plots import convergence_bands
    from gdsim.plots.figure import png_of
    from gdsim.store.directories import place_of

    try:
        place_of(folder).put("convergence.png", png_of(convergence_bands(result), DOTS_PER_INCH))
    except (MemoryError, OSError) as error:
        console.say(f"the plot could not be drawn ({words(error)}); all results are kept")
        return None
    return f"{folder}/convergence.png"


def _leave(folder: pathlib.Path | str, text: str) -> None:
    """Ends the process at once, and not by its streams, which may be in use: shards and compiled kernels are
    whole, or not there.
    """
    from gdsim.store.directories import place_of
    from gdsim.sweep.execution.heartbeat import silence

    with contextlib.suppress(OSError):
        os.write(1, f"\n{text}\n".encode(errors="backslashreplace"))
    if not scheme_of(folder):  # a bucket may be out of reach, and take its time to say so
        silence(place_of(folder))
    os._exit(INTERRUPTED)


def _kept(folder: pathlib.Path | str, progress: Any, by_workers: Any) -> str:
    """What a sweep that was not finished has left; `progress` has the last of its states, if there was one.

    Where it was trained `by_workers`, a sweep, the folder says it: they finish what they are at, unseen by
    the driver, and some of it later.
    """
    state = getattr(progress, "state", None)
    if state is None:
        is_there = scheme_of(folder) or (pathlib.Path(folder) / "experiment.json").exists()
        return f"What was finished before, if anything, is in {folder}" if is_there else "Nothing was begun"
    done, runs = state.runs_done, state.runs
    if by_workers is not None:
        from gdsim.store.folder import Store
        from gdsim.sweep.folder.admission import in_its_form
        from gdsim.sweep.results.opening import open_results

        with contextlib.suppress(ValueError, OSError):
            found = open_results(folder, in_its_form(Store(folder), by_workers)).attrs
            done, runs = found["finished_runs"], found["planned_runs"]
    return f"{'' if by_workers is None else 'at least '}{done:,} of {runs:,} runs are kept in {folder}"


def _lost(progress: Any, chunk_seconds: float, on_gpu: bool) -> str:
    """What is said of work that was lost where nothing was kept, or chunks are long; nothing elsewhere."""
    state = getattr(progress, "state", None)
    if on_gpu:  # which trains chunks together, however they are cut
        return "" if state is None or state.runs_done else "; the runs that the GPU was training together are lost"
    if state is None or (state.runs_done and chunk_seconds <= USUAL_SECONDS):
        return ""
    return f"; chunks of --chunk-seconds {chunk_seconds:g} that were on the way are lost: fewer seconds keep more of them"


def _read_steps(file: pathlib.Path, settings: tuple[str, ...]) -> tuple[Any, list[Any]]:
    """(the sweep of an experiment's file, what follows it)."""
    from gdsim.sweep.sweep import read_file

    with refusals():
        sweep, tables = read_file(file, settings)
        if not tables:
            return sweep, []
        from gdsim.then import check_calls, check_recorded, steps_of  # and with it the rooms of all that may follow

        with in_file(file):
            if sweep.keep == "summary":
                raise ValueError("then: keep = 'summary' keeps no runs around which anything could be found")
            steps = steps_of(tables)
            check_recorded(steps, sweep.record)
            check_calls(steps, sweep)
            return sweep, steps


def _follow(steps: list[Any], result: Any, folder: pathlib.Path | str, console: Any, file: pathlib.Path, client: Any, threads: int | None) -> None:
    """Makes what follows a finished sweep, and says where it is."""
    from gdsim.sweep.execution.display import shown
    from gdsim.then import made

    for step in steps:
        with in_file(file), shown(True, sys.stdout) as progress:
            place, unseen = made(step, result, folder, client=client, threads=threads, progress=progress or False)
        console.say(f"{step.name}: {place}  (gd.open({place!r}))" + (f"; the figure could not be drawn ({unseen})" if unseen else ""))


def _read(file: pathlib.Path, settings: tuple[str, ...], or_folder: bool = False) -> Any:
    """The sweep of an experiment's file, with changes, or that of a folder of results."""
    from gdsim.sweep.sweep import read_experiment

    with refusals():
        if or_folder and file.is_dir():
            from gdsim.store.folder import Store
            from gdsim.sweep.folder.stored import experiment_in

            if settings:
                raise ValueError(f"{str(file)!r} is a folder of results, whose experiment is as it is: leave --set out, or give the experiment's file")
            return experiment_in(Store(file))
        return read_experiment(file, settings)
