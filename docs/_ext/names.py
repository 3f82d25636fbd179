"""The reference of every public name, a page for each kind, from the tables that gdsim itself goes by."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import gdsim as gd
from gdsim.distribution import COMPRESSORS, DISTRIBUTIONS, MEMORIES
from gdsim.problems import PROBLEMS
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS
from gdsim.sweep.experiment.listing import first_sentence

# What users call on objects; all other attributes of declarations are for the machine.
MEMBERS = {
    "Sweep": ("run", "plan", "order"),
    "Data": ("read",),
    "MLP": ("unpack", "pack", "to_torch"),
    "LinearRegression": ("unpack", "pack", "to_torch"),
    "LogisticRegression": ("unpack", "pack", "to_torch"),
    "Expression": ("value", "gradient", "hessian"),
    "Own": ("check_gradient",),
    "Quadratic": ("minimum",),
    "SimulatedCluster": ("exchange_seconds", "expected_round_seconds", "seconds_at"),
    "Function": ("value", "gradient", "hessian", "global_minima", "local_minima"),
    "MultistartClassifier": ("fit", "partial_fit", "predict", "predict_proba", "predict_log_proba"),
    "MultistartRegressor": ("fit", "partial_fit", "predict"),
}
# Tables of names, which have no sentences of their own.
TABLES = {"names": "The names that `load` takes.", "FUNCTIONS": "The classes of this page, in the order of their names."}
# The order in which gdsim's own tables have them.
ORDER = [one.__name__ for one in (*PROBLEMS, *RULES, *WRAPPERS, *SCHEDULES, *STOPS, *DISTRIBUTIONS, *COMPRESSORS, *MEMORIES)]
SPECIAL = re.compile(r"[\\*|]|(?<=\w)_(?!\w)")


class Page(NamedTuple):
    """A page of the reference: names of one module."""

    file: str
    title: str
    module: str
    names: tuple[str, ...]
    sentence: str


HOMES = {
    "sweeps": ("Sweeps and results", ("gdsim.sweep", "gdsim.opening"), "What is run, and what it gives. A result is an xarray.Dataset."),
    "data": ("Data", "gdsim.data", "Samples and their targets."),
    "problems": ("Problems", "gdsim.problems", "What is minimised. Test functions are under gdsim.functions."),
    "optimizers": ("Optimizers", "gdsim.rules", "Update rules, and what may be put around any of them."),
    "schedules": ("Schedules", "gdsim.schedules", "How the learning rate changes from step to step."),
    "stops": ("Stops and records", "gdsim.stops", "When a run ends, and what is recorded on the way."),
    "distribution": ("Distributed training", ("gdsim.distribution", "gdsim.analysis"), "How many workers train one model, and what they tell each other."),
    "starts": ("Starts", ("gdsim.starts", "gdsim.directions"), "Where runs begin, `init=` of a sweep, and directions there."),
    "axes": ("Axes", "gdsim.axes", "What stands in the place of a number to try several."),
    "estimators": ("Estimators", "gdsim.estimators", "The face of scikit-learn."),
}
MODULES = {
    "analysis": "Statistics",
    "curvature": "Curvature",
    "landscape": "Landscapes",
    "minima": "Minima",
    "paths": "Paths",
    "plots": "Figures",
    "search": "Search",
    "functions": "Test functions",
    "datasets": "Known data sets",
    "lanes": "Functions of lanes",
}


def pages() -> list[Page]:
    """All pages, in the order in which they are read; every public name stands on one of them."""
    found = []
    for file, (title, home, sentence) in HOMES.items():
        homes = (home,) if isinstance(home, str) else home
        names = [n for n, h in gd._HOME_OF.items() if f"{h}.".startswith(tuple(f"{one}." for one in homes))]
        names.sort(key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER))
        if home == "gdsim.sweep":
            names.sort(key=("Sweep", "open").__contains__, reverse=True)
        found.append(Page(file, title, "gdsim", tuple(names), sentence))
    for name, title in MODULES.items():
        room = getattr(gd, name)
        found.append(Page(name, title, f"gdsim.{name}", tuple(room.__all__), first_sentence(room).partition(":")[0].rstrip(".") + "."))
    return found


def escaped(text: str) -> str:
    """Prose of a docstring as reStructuredText has it: what stands between backticks is left alone."""
    return "".join(part if i % 2 else SPECIAL.sub(r"\\\g<0>", part) for i, part in enumerate(re.split(r"(`+[^`]*`+)", text)))


def escape_docstring(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Makes the prose of a docstring literal, and leaves its examples and their output as they are."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        if not in_example:
            lines[i] = escaped(line)


def written(page: Page) -> str:
    """A page as reStructuredText: a table of its names, then each with its signature and docstring."""
    return "\n".join([f".. _reference-{page.file}:", "", page.title, "=" * len(page.title), "", escaped(page.sentence), "", *_table(page), *_entries(page)])


def _table(page: Page) -> Iterator[str]:
    yield from (".. list-table::", "   :widths: 30 70", "")
    for name in page.names:
        sentence = TABLES.get(name) or first_sentence(getattr(_room(page), name))
        yield from (f"   * - :py:obj:`~{page.module}.{name}`", f"     - {escaped(sentence)}")
    yield ""


def _entries(page: Page) -> Iterator[str]:
    yield from (f".. py:module:: {page.module}", "   :no-index:" if page.module == "gdsim" and page.file != "sweeps" else "", "")
    yield from (f".. py:currentmodule:: {page.module}", "")
    for name in page.names:
        if name in TABLES:
            yield from (f".. py:data:: {name}", "", f"   {TABLES[name]}", "")
            continue
        kind = "autoclass" if isinstance(getattr(_room(page), name), type) else "autofunction"
        yield from (f".. {kind}:: {page.module}.{name}", *_members(name), "")


def _members(name: str) -> Iterable[str]:
    return (f"   :members: {', '.join(MEMBERS[name])}", "   :member-order: bysource") if name in MEMBERS else ()


def _room(page: Page) -> Any:
    return gd if page.module == "gdsim" else getattr(gd, page.module.partition(".")[2])
