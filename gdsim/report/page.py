"""A results folder as one HTML page that needs nothing else: no network, no other file."""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gdsim.filenames import check_place, user_path
from gdsim.plots.figure import page_from, png_text
from gdsim.report import contents
from gdsim.report.conclusion import conclusion, unfinished, warnings
from gdsim.report.surfaces import planes_in, surfaces_html
from gdsim.report.tables import BEST, Call, Table, budgets, number, outcome, restarts, summary_outcome
from gdsim.store.files import write_atomically
from gdsim.store.folder import Store
from gdsim.sweep.ranks.hits import own_targets
from gdsim.sweep.ranks.labels import cell_texts
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.opening import open_results
from gdsim.sweep.results.reading import dataset, loaded
from gdsim.words import count_of, size_of

TEMPLATE = pathlib.Path(__file__).with_name("page.html")
DOTS_PER_INCH = 100
# What a report reads again and again, and which fits into memory; so do the curves of losses up to so many
# bytes.
MOST_BYTES = 2**30
MOST_CLASSES = 30
NUMBERS = ("status", "reason", "final_loss", "best_loss", "steps_taken")


class Picture(NamedTuple):
    """A figure of the page: its title, the code that makes it, its caption and its bytes as text, or why it
    could not be drawn.
    """

    title: str
    code: str
    png: str
    caption: str = ""
    reason: str = ""


def write_report(folder: str | pathlib.Path, target: str | pathlib.Path | None = None, say: Callable[[str], None] | None = None) -> pathlib.Path | str:
    """Writes the report of a results folder, `report.html` in it if no other file is named, and returns its
    path.

    Raises ValueError for a folder without results or without a finished run, and for a file whose folder is
    not there.
    """
    tell = say or (lambda _: None)
    store = Store(folder)
    place = user_path(target, "the report's file") if target is not None else None
    held, result = store.experiment(), open_results(folder, dask_throughout=False)
    if place is not None:
        check_place(place)
    if not result.attrs["finished_runs"]:
        raise ValueError(f"no run of {str(folder)!r} is finished yet: there is nothing to report")
    tell(f"reading {result.attrs['finished_runs']:,} runs")
    is_summary = "ended" in result
    if not is_summary:
        result = loaded(result, (*NUMBERS, *(["loss"] if result.loss.nbytes <= MOST_BYTES else [])))
    tables, concluded, warned = _of_summary(result) if is_summary else _of_runs(result)
    pictures = list(_drawn(result, [("How the loss falls", Call(contents.plots, "convergence_bands"))] if is_summary else contents.figures(result), tell))
    surfaces = surfaces_html(list(planes_in(store.place, str(folder), tell)))
    text = page_from(
        TEMPLATE, surfaces=surfaces, name=store.place.address.rpartition("/")[2], opening=f"import gdsim as gd\nresult = gd.open({str(folder)!r})", facts=list(_facts(store, held, result)),
        experiment=contents.experiment_rows(held), conclusion=concluded, warnings=warned, tables=tables, pictures=pictures, raw=json.dumps(held, indent=1, sort_keys=True),
    )  # fmt: skip
    if place is not None:
        write_atomically(place, text.encode())
        return place
    store.place.put("report.html", text.encode())
    return store.place.at("report.html")


def _of_runs(result: Any) -> tuple[list[Table], list[str], list[str]]:
    """(tables, conclusion, warnings) of a result of runs."""
    best, targets = BEST.made(result), own_targets(result)
    tables = [outcome(result, best)]
    if len(np.unique(result.cell.values)) > len(np.unique(np.asarray(result.optimizer.values))):
        tables.append(budgets(result))
    if len(targets):
        tables += restarts(result, float(targets[-1]))
    return tables, list(conclusion(result, best)), list(warnings(result, best))


def _of_summary(result: Any) -> tuple[list[Table], list[str], list[str]]:
    """(tables, conclusion, warnings) of a summary."""
    ranks = ranked_cells(result)
    first, name = ranks.order[0], cell_texts(dataset({}, ranks.coordinates))[ranks.order[0]]
    words = f"{name} is the first of {len(ranks.order):,} cells by the median {ranks.name}, {number(ranks.median[first])}; a summary does not tell whether that is beyond noise."
    return [summary_outcome(result)], [words] if len(ranks.order) > 1 else [], list(unfinished(result))


def _drawn(result: Any, figures: Any, tell: Callable[[str], None]) -> Iterator[Picture]:
    """Each figure; one that does not fit the result after all says why."""
    for title, call in figures:
        tell(f"drawing: {title}")
        try:
            figure = call.made(result)
            caption = figure.caption
            figure.set_caption("")  # which stands beside the picture, in letters that a narrow page does not shrink
            picture = Picture(title, call.code, png_text(figure, DOTS_PER_INCH), caption)
        except ValueError as error:
            picture = Picture(title, call.code, "", reason=str(error))
        yield picture


def _facts(store: Store, held: dict[str, Any], result: Any) -> Iterator[tuple[str, str]]:
    """(name, value) of how the sweep was run."""
    entries = list(store.entries())
    sizes = [state.size for state in store.place.states("shards").values()]
    steps = result.steps_taken_mean.values @ result.steps_taken_count.values if "ended" in result else result.steps_taken.values.sum()
    yield "runs", f"{result.attrs['finished_runs']:,} of {result.attrs['planned_runs']:,}"
    yield "cost", f"{round(float(steps)):,} run-steps"
    if entries:
        yield "time", f"{entries[0]['time']} to {entries[-1]['time']} (the folder's log)"
        yield "hosts", ", ".join(sorted({e["host"] for e in entries}))
    yield "versions", f"gdsim {', '.join(sorted({held['gdsim'], *(e['gdsim'] for e in entries)}))}; kernels {', '.join(map(str, held['kernels']))}"
    yield "plan", f"SHA-256 {held['sha256']}"
    yield from _classes(result)
    yield "files", f"{count_of(len(sizes), 'shard')}, {size_of(sum(sizes))}"
    for names, what in ((store.failures(), "chunks failed"), (store.quarantined(), "files in quarantine")):
        if names:
            yield what, f"{len(names):,}"


def _classes(result: Any) -> Iterator[tuple[str, str]]:
    """The names of the classes, where the sweep's data have them."""
    try:
        problems = sweep_behind(result).problem
    except ValueError:
        return
    for names in dict.fromkeys(tuple(map(str, getattr(p.data, "class_names", None) or ())) for p in problems):
        if names:
            yield "classes", f"{len(names)}: {', '.join(names[:MOST_CLASSES])}{', ...' if len(names) > MOST_CLASSES else ''}"
