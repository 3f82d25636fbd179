"""The reference of experiment files: every key, from the declarations that read them."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from escapes import cell

import gdsim as gd
from gdsim.declarations import shown
from gdsim.distribution import COMPRESSORS, COMPUTE_TIMES, DISTRIBUTIONS, MEMORIES, PARTITIONS, STALENESSES, Part
from gdsim.problems import PROBLEMS
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.schedules.base import Schedule
from gdsim.starts import STARTS
from gdsim.stops import STOPS
from gdsim.sweep.experiment.from_table import FILE_KEYS, NAME_KEYS
from gdsim.sweep.experiment.listing import as_toml, as_written, first_sentence

KINDS = {
    "[problem]": ("what is minimised; several as [[problem]]", PROBLEMS),
    "[[optimizer]]": ("an update rule; a wrapper has the rule that it is around under `rule`", (*RULES, *WRAPPERS)),
    "[schedule]": ("how the learning rate changes; several as [[schedule]]", SCHEDULES),
    "[distribution]": ("how several workers train each run's model; several as [[distribution]]", DISTRIBUTIONS),
    "compression": ('within a distribution, what becomes of a message, as `compression = {type = "top_k", fraction = 0.1}`', (*COMPRESSORS, *MEMORIES)),
    "staleness": ("within `[distribution]` of type `asynchronous`, how old gradients are", STALENESSES),
    "compute": ("within a `staleness` of type `queue`, the law of compute times", COMPUTE_TIMES),
    "[partition]": ("how samples are shared out among workers; several as [[partition]]", PARTITIONS),
    "[[stop]]": ("what ends runs early", STOPS),
    "init": ('where runs begin, as a table, `init = {type = "normal", std = 0.1}`, or a word or number of the table above', STARTS),
}
AXES = {
    "logspace": "{logspace = [0.001, 1, 4]}",
    "linspace": "{linspace = [0, 1, 5]}",
    "uniform": "{uniform = [0.1, 0.9], draws = 10}",
    "loguniform": "{loguniform = [1e-4, 1e-1], draws = 10}",
    "choice": "{choice = [0.1, 0.2, 0.3], draws = 10}",
    "zip": "{zip = [0.1, 0.2]}",
    "grid": "{grid = [[16], [32, 32]]}",
}
MEANINGS = {
    "name": "A known data set: " + ", ".join(f"`{n}`" for n in gd.datasets.names) + ".",
    "path": "A file, `.csv`, `.parquet` or `.npz`, beside the experiment's.",
    "target": "The column, or the list of columns, that is learnt.",
    "drop": "Columns that are left out.",
    "features": "The columns to learn from, in place of `drop`.",
    "standardize": "Whether features are standardised by the training samples.",
    "validation": "The share of the samples, drawn with `seed`, that is held out for validation.",
    "test": "The share that is held out as a test set.",
    "stratify": "Whether the shares hold as large a part of every class, to within one sample.",
    "seed": "What draws the shares.",
    "class_names": "The classes, or their names, in their order.",
}


def written() -> str:
    """A page in Markdown: the keys of a file, and of each `type` that its tables may have."""
    lines = [
        "(reference-keys)=", "# Experiment files", "",
        "A file in TOML mirrors the call of `gd.Sweep`, key by key. A key that is not here is refused, with the nearest that is.", "",
        "## The file", "", *_table(gd.Sweep), *_numbers(), *_data(), "## record", "", cell(first_sentence(gd.Record)), "", *_table(gd.Record),
    ]  # fmt: skip
    for place, (what, classes) in KINDS.items():
        name = place.strip("[]")
        lines += [f"## {name}", "", f"`{place}`: {what}.", ""]
        for one in classes:
            lines += [f"### {name} {one.__struct_config__.tag}", "", cell(first_sentence(one)), "", *_table(one)]
    return "\n".join(lines)


def _numbers() -> Iterator[str]:
    """What may stand where a number may."""
    yield from ("## Axes", "", "Where a key takes an axis, it may have one of these forms; every value is tried.", "", "| form | in Python |", "|---|---|")
    yield from (f"| `{form}` | {{py:obj}}`gd.{name} <gdsim.{name}>` |" for name, form in AXES.items())
    yield ""


def _data() -> Iterator[str]:
    """The keys of a data set."""
    yield from ("## data", "")
    yield f'The name of a known data set, `data = "digits"`, or a table: of a known one with {_list(NAME_KEYS)}, of a file of yours with {_list(FILE_KEYS)}.'
    yield from ("", "| key | |", "|---|---|")
    yield from (f"| `{key}` | {cell(MEANINGS[key])} |" for key in dict.fromkeys([*NAME_KEYS, *FILE_KEYS]))
    yield ""


def _table(one: Any) -> Iterator[str]:
    """The keys of a declaration: what each means, its default and what it may be."""
    parameters = {n: p for n, p in inspect.signature(one).parameters.items() if n not in one.unshown}
    if parameters:
        yield from ("| key | default | |", "|---|---|---|")
        for name, parameter in parameters.items():
            default = "needed" if parameter.default is parameter.empty else "" if parameter.default is None else f"`{_toml(parameter.default)}`"
            allowed = [v for v in one.documented_values(name) if v]
            meaning = " ".join([one.meanings.get(name, ""), *([f"May be: {'; '.join(allowed)}."] if allowed else [])])
            yield f"| `{name}` | {cell(default)} | {cell(meaning)} |"
    yield ""


def _toml(value: Any) -> str:
    """A default as a file would say it."""
    if isinstance(value, Part):
        return as_toml(as_written(value))
    if isinstance(value, Schedule):
        return f'"{value.__struct_config__.tag}"'
    return str(value).lower() if isinstance(value, bool) else shown(value).replace("'", '"')


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)
