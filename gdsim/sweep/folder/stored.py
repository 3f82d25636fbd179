"""The experiment that a results folder holds, made anew from its canonical form and its data; and the arrays
that it keeps of one.
"""

import operator
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gdsim.canonical import digest
from gdsim.data import stored
from gdsim.data.files import arrays_in, said_of
from gdsim.data.stored import kept_data
from gdsim.declarations import as_kept
from gdsim.problems import Problem
from gdsim.starts import Points
from gdsim.store.folder import DamagedFolderError, Store
from gdsim.store.places import File, Place, data_name
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.from_table import experiment_from, problem_from

VALUES = operator.itemgetter("values")
# The canonical forms of axes as TOML has them.
AXES: dict[object, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "spaced": lambda axis: {axis["spacing"]: [axis["first"], axis["last"], axis["n"]]},
    "drawn": lambda axis: {axis["distribution"]: [axis["low"], axis["high"]], "draws": axis["draws"]},
    "chosen": lambda axis: {"choice": axis["options"], "draws": axis["draws"]},
    "zipped": lambda axis: {"zip": axis["values"]},
    "grid": lambda axis: {"grid": axis["values"]},
}


def experiment_in(store: Store, held: dict[str, Any] | None = None, kind: type[Experiment] = Experiment) -> Experiment:
    """The experiment of a results folder; `held` is what its `experiment.json` says, where that is known.

    Raises StoreError.
    """
    held = held or store.experiment()
    try:
        experiment = _made_anew(held, store.place, kind)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedFolderError(f"{store.folder!r}: its experiment cannot be read: {error}") from None
    if digest(experiment) != held["sha256"]:
        raise DamagedFolderError(f"{store.folder!r}: its experiment and data are not those of its hash; run the experiment again, which writes them anew")
    return experiment


def _made_anew(held: dict[str, Any], place: Place, kind: type[Experiment]) -> Experiment:
    table = _without_nothing(dict(held["experiment"]))
    table["problem"] = [_with_arrays(problem, place, held["data"]) for problem in table["problem"]]
    if isinstance(table.get("init"), dict) and "sha256" in table["init"]:
        table["init"] = _kept(File(place, data_name(table["init"]["sha256"])), VALUES)
    with as_kept():
        return experiment_from(table, pathlib.Path(), kind)


def problem_in(place: Place, kept: dict[str, Any], names: dict[str, str]) -> Problem:
    """The problem of a folder, made anew from its canonical form; `names` are those of data sets by their hashes.

    Raises ValueError.
    """
    with as_kept():
        return problem_from(_with_arrays(_without_nothing(kept), place, names), "problem", pathlib.Path())


def _with_arrays(problem: dict[str, Any], place: Place, names: dict[str, str]) -> dict[str, Any]:
    """A problem's table with the arrays and the data that stand in it by their hashes."""
    found = dict(problem)
    for field, value in problem.items():
        if isinstance(value, dict) and set(value) == {"sha256"}:
            digest = value["sha256"]
            file = File(place, data_name(digest))
            found[field] = _kept(file, lambda arrays, d=digest: kept_data(arrays, d, names[d])) if field == "data" else _kept(file, VALUES)
    return found


def _kept(file: File, made: Callable[[dict[str, Any]], Any]) -> Any:
    """What is made of the arrays in a file of a results folder. Raises ValueError."""
    with said_of(str(file)):
        return made(arrays_in(file.source()))


def _without_nothing(value: Any) -> Any:
    """The table without keys that hold nothing; TOML has no such value, and fields default to it.

    Axes take their TOML form.
    """
    if isinstance(value, list):
        return [_without_nothing(v) for v in value]
    if not isinstance(value, dict):
        return value
    if (kind := value.get("type")) in AXES:
        return AXES[kind](value)
    return {k: _without_nothing(v) for k, v in value.items() if v is not None}


def _with_data(problems: Iterable[Any]) -> list[Any]:
    """The problems that have data."""
    return [p for p in problems if "data" in p.__struct_fields__ and p.data is not None]


def data_names(problems: Iterable[Any]) -> dict[str, str]:
    """The names of the data sets of problems, by their hashes."""
    return {p.data.digest: p.data.name for p in _with_data(problems)}


def problem_arrays(problems: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The arrays of problems and of their data, by their hashes."""
    found = {p.data.digest: stored.arrays_of(p.data) for p in _with_data(problems)}
    return found | {a.digest: {"values": a.values} for p in problems for a in p.arrays().values()}


def arrays_of(sweep: Experiment) -> dict[str, dict[str, Any]]:
    """The arrays of a sweep's data, problems and starts, by their hashes."""
    found = problem_arrays(sweep.problem)
    if isinstance(sweep.init, Points):
        found[sweep.init.digest] = {"values": sweep.init.values}
    return found
