"""Planes as surfaces that turn and zoom on a page of HTML, which needs no network for them."""

import base64
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.filenames import check_place
from gdsim.opening import open
from gdsim.plots.figure import page_from
from gdsim.plots.style import log_ends
from gdsim.questions.folder import held_in
from gdsim.questions.survey import answers_in
from gdsim.store.files import write_atomically
from gdsim.store.folder import Store
from gdsim.store.places import Place
from gdsim.sweep.results.reading import Dataset

TEMPLATE, PAGE = (pathlib.Path(__file__).with_name(f"{name}.html") for name in ("surface", "answer"))
PLANES = ("landscape.plane", "landscape.plane_through", "landscape.trajectory_plane")  # whose answers are scores on grids of x and y
SCORES = ("loss", "accuracy", "validation_loss", "validation_accuracy", "gradient_norm")
MOST_BYTES = 600_000  # of the numbers of one surface on the page, so that a page stays below a megabyte
MOST_PATHS = 20


class Score(NamedTuple):
    """A score on the planes of all runs that are shown, as texts of single precision."""

    name: str
    values: list[str]
    ends: list[tuple[float, float] | None]  # of a logarithmic scale of each run's, where it shows them better


class Surface(NamedTuple):
    """What the page has of a plane."""

    title: str
    caption: str
    code: str
    names: tuple[str, str]  # of the axes
    x: list[float]
    y: list[float]
    runs: list[str]
    scores: list[dict[str, Any]]
    paths: list[list[list[float]]]
    marks: list[tuple[str, float, float]]


def planes_in(place: Place, sweep: str, tell: Callable[[str], object]) -> Iterator[Surface]:
    """The planes that lie beside the runs of a sweep, in the folder that its user calls `sweep`; of those that
    cannot be opened it is told why.
    """
    for name in answers_in(place):
        folder = f"{sweep}/{name}"
        try:
            if held_in(Store(folder))["question"]["call"] in PLANES:
                yield surface_of(open(folder), name, f"gd.open({folder!r})")
        except ValueError as error:
            tell(f"left out: {name}: {error}")


def write_answer_report(folder: str | pathlib.Path, target: pathlib.Path | None = None) -> pathlib.Path | str:
    """Writes the page of an answer's folder, `report.html` in it if no other file is named, and returns its path.

    Raises ValueError for a folder whose answer is no plane, as those alone have a page.
    """
    store = Store(folder)
    held = held_in(store)
    call = held["question"]["call"]
    if call not in PLANES:
        raise ValueError(f"{str(folder)!r} is of gd.{call}, and only planes have a page of their own; gd.open({str(folder)!r}) has its numbers")
    code, name = f"gd.open({str(folder)!r})", store.place.address.rpartition("/")[2]
    facts = {"call": f"gd.{call}", "gdsim": held["gdsim"], "question": f"SHA-256 {held['sha256']}"}
    surfaces = surfaces_html([surface_of(open(folder), f"gd.{call}", code)])
    text = page_from(PAGE, name=name, opening=f"import gdsim as gd\nplane = {code}", surfaces=surfaces, facts=list(facts.items()))
    if target is not None:
        check_place(target)
        write_atomically(target, text.encode())
        return target
    store.place.put("report.html", text.encode())
    return store.place.at("report.html")


def surface_of(answer: Dataset, title: str, code: str) -> Surface:
    """The surfaces of a plane's scores; of a population those of the runs with the lowest losses, as many as a
    page can hold.
    """
    names = [name for name in SCORES if name in answer]
    grids = {name: answer[name].values.reshape(-1, *answer[name].shape[-2:]) for name in names}
    count = len(grids["loss"])
    bytes_each = sum(4 * grid[0].size * 4 // 3 for grid in grids.values())
    lowest = np.argsort(np.nan_to_num(grids["loss"], nan=np.inf).min((1, 2)), kind="stable")[: max(1, MOST_BYTES // bytes_each)]
    kept = np.sort(lowest)
    left = f" Of {count:,} runs the {len(kept):,} with the lowest losses are here." if len(kept) < count else ""
    return Surface(
        title, f"Each point of the grid is a point of parameters; height and colour are its score.{left}", code, ("x", "y"), answer.x.values.tolist(), answer.y.values.tolist(),
        [_run_name(answer, int(k), count) for k in kept], [Score(name, [_text(grids[name][k]) for k in kept], [log_ends(grids[name][k]) for k in kept])._asdict() for name in names],
        list(_paths(answer)), list(_marks(answer)),
    )  # fmt: skip


def _run_name(answer: Dataset, place: int, count: int) -> str:
    """What the list of runs calls one."""
    if count == 1 or "run" not in answer.coords or answer.run.size != count:
        return str(place)
    label = f": {answer.label.values.ravel()[place]}" if "label" in answer.coords else ""
    return f"{answer.run.values.ravel()[place]}{label}"


def _paths(answer: Dataset) -> Iterator[list[list[float]]]:
    """The paths in a plane, [[x, y], ...], of the first runs."""
    if "path" in answer:
        values = answer.path.values
        for path in values.reshape(-1, *values.shape[-2:])[:MOST_PATHS]:
            yield path[np.isfinite(path).all(1)].round(6).tolist()


def _marks(answer: Dataset) -> Iterator[tuple[str, float, float]]:
    """(name, x, y) of the points through which a plane goes, or of its centre."""
    if "corner" in answer:
        for name, (x, y) in zip(answer.point.values.tolist(), answer.corner.values.tolist(), strict=True):
            yield str(name), x, y
    elif "path" not in answer:
        yield "", 0.0, 0.0


def _text(grid: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(grid, "<f4").tobytes()).decode()


def surfaces_html(surfaces: Sequence[Surface]) -> str:
    """The part of a page that shows surfaces; nothing where there are none."""
    return page_from(TEMPLATE, surfaces=[one._asdict() for one in surfaces]) if surfaces else ""
