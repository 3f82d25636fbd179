"""What follows a sweep: calls around the points where its runs ended, which an experiment's file lists under
`[[then]]`. Each is kept in a folder of its own beside the runs, with its figure.
"""

import functools
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim import plots
from gdsim.axes import checked_whole
from gdsim.opening import HOMES, public_function
from gdsim.plots.figure import png_of
from gdsim.questions import check_alone
from gdsim.questions.folder import OtherQuestionError
from gdsim.questions.following import forget, is_outgrown, remember
from gdsim.stops import Record
from gdsim.store.directories import place_of
from gdsim.store.folder import Store
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.results.reading import Dataset
from gdsim.words import given, nearest


class Follower(NamedTuple):
    """A function that takes a result in the place of points."""

    name: str  # under `gd`
    runs: int | str  # of which it is where the file does not say: so many of the lowest losses, or "all"
    figure: str = ""  # in gd.plots; none if empty
    needs: tuple[str, ...] = ("parameters",)  # that `Record` keeps


FOLLOWERS = {
    "barrier_matrix": Follower("paths.barrier_matrix", 20, "barrier_matrix"),
    "census": Follower("minima.census", "all", "census"),
    "density": Follower("curvature.density", "all"),
    "eigenvalues": Follower("curvature.eigenvalues", "all"),
    "line": Follower("landscape.line", "all", "landscape_line", ("parameters", "trajectory")),
    "plane": Follower("landscape.plane", 1, "landscape"),
    "trajectory_plane": Follower("landscape.trajectory_plane", 1, "landscape", ("trajectory",)),
}
DOES = {do: follower for do, follower in FOLLOWERS.items() if follower.name in HOMES}
# What the caller says of a call by himself, and the file does not.
GIVEN = ("problem", "parameters", "center", "trajectory", "a", "b", "out", "client", "threads", "progress", "device")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
TAKEN = ("convergence", "data", "failed", "heartbeat", "log", "pieces", "quarantine", "shards")  # by the folder of the sweep and its figure
DOTS_PER_INCH = 130
# Points at which a call is checked before there are any, and how many numbers they may have.
MOST_STAND_INS, CHECKPOINTS, MOST_NUMBERS = 1000, 5, 10**7


class Step(NamedTuple):
    """A call that follows a sweep."""

    place: str  # in the file
    do: str
    name: str  # of its folder and its figure
    runs: int | str | tuple[int, ...]  # so many of the lowest losses, "all", or these by their numbers
    arguments: dict[str, Any]


def steps_of(tables: object) -> list[Step]:
    """The calls that `[[then]]` of an experiment lists. Raises ValueError, which says the place in the file."""
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ValueError(f'then must be tables, each [[then]] with do = "{next(iter(DOES))}", say; {given(tables)} was given')
    found: list[Step] = []
    for number, table in enumerate(tables):
        try:
            found.append(_step(f"then[{number}]", table, [step.name for step in found]))
        except (ValueError, TypeError) as error:
            raise ValueError(f"then[{number}]: {error}") from None
    return found


def _step(place: str, table: Mapping[str, Any], names: Sequence[str]) -> Step:
    """The call of a table; `names` are those of the calls before it."""
    do = table.get("do")
    if not isinstance(do, str) or do not in DOES:
        raise ValueError(f"{'no do was given' if do is None else f'do = {do!r} is not known'}; {nearest(str(do), [*DOES])}")
    name = table.get("name", do)
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in TAKEN:
        raise ValueError(f"name must be letters, digits, - and _, and none of {', '.join(TAKEN)}; {given(name)} was given")
    if name in names:
        raise ValueError(f'name {name!r} is that of a call before it; give it another, name = "{name}-2", say')
    # TOML has no None, for which stands a word.
    arguments = {key: None if value == "none" else value for key, value in table.items() if key not in ("do", "name", "runs")}
    allowed = [key for key in inspect.signature(public_function(DOES[do].name)).parameters if key not in GIVEN]
    for key in arguments:
        if key not in allowed:
            raise ValueError(f"unknown key {key!r}; {nearest(key, ['do', 'name', 'runs', *allowed])}")
    return Step(f"{place} ({do})", do, name, _checked_runs(table.get("runs", DOES[do].runs)), arguments)


def check_recorded(steps: Sequence[Step], record: Record) -> None:
    """Refuses calls that need what a sweep does not record. Raises ValueError."""
    for step in steps:
        if not all(getattr(record, name) for name in DOES[step.do].needs):
            raise ValueError(f"{step.place}: it needs record = {{{', '.join(f'{name} = true' for name in DOES[step.do].needs)}}}")


def check_calls(steps: Sequence[Step], sweep: Experiment) -> None:
    """Refuses calls that their functions would refuse, whatever the runs end at: of all problems of the sweep, or of
    some where a call is of all runs. Raises ValueError.
    """
    cells = cells_of(sweep)
    problems = {_kind_of(cell.problem): cell.problem for cell in cells}.values()
    runs = min(MOST_STAND_INS, len(cells) * sweep.starts)
    for step in steps:
        count = runs if step.runs == "all" else min(runs, step.runs if isinstance(step.runs, int) else len(step.runs))
        wrong = [found for one in problems if (found := _why_refused(step, one, count))]
        if len(wrong) == len(problems) or (wrong and step.runs == "all"):
            raise ValueError(f"{step.place}: {wrong[0]}")


def _kind_of(problem: Any) -> str:
    """What problems have in common that are one but for their numbers."""
    kind = {name: value for name, value in problem.settings().items() if name not in problem.axes}
    return f"{type(problem).__name__} {problem.parameter_count} {kind}"


def _why_refused(step: Step, problem: Any, count: int) -> str:
    """What the function of a call says against it, at random points of a problem in the place of so many runs; empty if nothing."""
    needs, draw = DOES[step.do].needs, np.random.default_rng(0)
    rows = CHECKPOINTS if needs == ("trajectory",) else min(count, max(2, MOST_NUMBERS // problem.parameter_count))
    points = [draw.normal(size=(rows, problem.parameter_count)) for _ in needs]
    try:
        check_alone(functools.partial(public_function(DOES[step.do].name), problem, *points, **step.arguments))
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def _checked_runs(runs: object) -> int | str | tuple[int, ...]:
    """Which runs a call is of."""
    if runs == "all":
        return "all"
    if isinstance(runs, list) and runs:
        return tuple(checked_whole(run, "runs", 0) for run in runs)
    if isinstance(runs, list | str | bool):
        raise ValueError(f'runs must be "all", how many of the lowest losses, or a list of their numbers; {given(runs)} was given')
    return checked_whole(runs, "runs")


def chosen_runs(result: Dataset, runs: int | str | tuple[int, ...]) -> Dataset:
    """The runs of a result that a call is of. Raises ValueError for numbers that it has not."""
    if runs == "all":
        return result
    if isinstance(runs, int):
        losses = np.where(result.status.values == "diverged", np.inf, result.final_loss.values)
        return result.isel(run=np.sort(np.lexsort((result.run.values, losses))[:runs]))
    numbers = np.asarray(runs)
    if missing := numbers[~np.isin(numbers, result.run.values)].tolist():
        raise ValueError(f"there is no run {missing[0]}; the sweep has {result.sizes['run']:,}, numbered from 0")
    return result.isel(run=np.searchsorted(result.run.values, numbers))


def made(
    step: Step, result: Dataset, folder: str | os.PathLike[str], *, client: object = None, threads: int | None = None, progress: Wish = None
) -> tuple[str, str]:
    """Makes what follows a sweep into a folder beside its runs, and draws it; (where its answer is, why there is
    no figure, if there should be one).

    An answer there to the same call of the sweep before it grew is made anew. Raises ValueError for what cannot
    be asked, and for an answer there to another question.
    """
    follower, target = DOES[step.do], os.path.join(os.fspath(folder), step.name)
    store, sweep, said = Store(target), Store(folder).experiment()["sha256"], step._replace(place="")._asdict()
    try:
        runs = chosen_runs(result, step.runs)
        ask = functools.partial(public_function(follower.name), runs, **step.arguments, out=target, client=client, threads=threads, progress=progress)
        try:
            answer = ask()
        except OtherQuestionError:
            if not is_outgrown(store, sweep, said):
                raise
            forget(store)
            answer = ask()
        remember(store, said, sweep)
    except OtherQuestionError as error:
        raise ValueError(f"{step.place}: {target!r} is of another call ({error.difference}); remove it, or give this one another name") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{step.place}: {error}") from None
    try:
        if follower.figure:
            place_of(folder).put(f"{step.name}.png", png_of(getattr(plots, follower.figure)(answer), DOTS_PER_INCH))
    except (ValueError, MemoryError, OSError) as error:
        return target, " ".join(str(error).split())
    return target, ""
