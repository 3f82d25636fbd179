"""What an experiment may name, with its keys, defaults and one sentence: problems, optimizers, schedules, stops,
distributions and what stands in them, partitions and data sets.
"""

import inspect
import itertools
import json
import re
import textwrap
from typing import Any

import msgspec

from gdsim.declarations import Declaration
from gdsim.distribution import COMPRESSORS, COMPUTE_TIMES, DISTRIBUTIONS, MEMORIES, PARTITIONS, STALENESSES, Part
from gdsim.problems import PROBLEMS
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS

KINDS = {
    "problems": PROBLEMS,
    "optimizers": (*RULES, *WRAPPERS),
    "schedules": SCHEDULES,
    "stops": STOPS,
    "distributions": DISTRIBUTIONS,
    "partitions": PARTITIONS,
    "compressions": (*COMPRESSORS, *MEMORIES),
    "stalenesses": STALENESSES,
    "compute_times": COMPUTE_TIMES,
}
DATA = {
    "digits": "Handwritten digits, 1797 x 64, scaled to [0, 1], in 10 classes.",
    "breast_cancer": "569 x 30, standardised, in 2 classes.",
    "wine": "178 x 13, standardised, in 3 classes.",
    "diabetes": "442 x 10, standardised; the target is a number.",
    "moons": "256 points of two interleaved half circles with noise 0.2, in 2 classes.",
    "xor": "The four points of the exclusive or, with labels 0 and 1.",
    "spirals": "Two interlocking spirals of 97 points, three turns each, in 2 classes.",
}
# The partition that is none.
SHARED = "Every worker draws from all samples; what there is if no partition is named."
# What a default is if it is no stand-in for one that the convention chooses.
PLAIN = (str, int, float, tuple, dict)
WIDTH = 80


class Entry(msgspec.Struct, frozen=True):
    """One thing that an experiment may name."""

    name: str  # its `type`
    required: list[str]
    defaults: dict[str, Any]  # None: not set
    sentence: str
    takes: dict[str, list[str]] = {}  # the words, or the types, of keys that take one of some
    forms: dict[str, str] = {}  # what other keys take that are no numbers

    def __str__(self) -> str:
        keys = [*self.required, *(k if v is None else f"{k} = {as_toml(v)}" for k, v in self.defaults.items())]
        fill = lambda text, first: textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * 4, break_on_hyphens=False)  # noqa: E731
        head = fill(f"{self.name}: {', '.join(keys)}" if keys else self.name, "")
        taken = [f"{key} is {form}" for key, form in [*((key, _one_of(words)) for key, words in self.takes.items()), *self.forms.items()]]
        return "\n".join([head, fill(self.sentence, " " * 4), *([fill(f"{'; '.join(taken)}.", " " * 4)] if taken else [])])


def listed(kind: str) -> list[Entry]:
    """All of a kind, one of `KINDS` or "data".

    >>> print(listed("optimizers")[0])
    sgd: lr = 0.01, convention = "lecture"
        Stochastic gradient descent, w - eta g; with `batch=None` gradient descent
        (Robbins and Monro 1951).
    """
    if kind == "data":
        return [Entry(name, [], {"validation": None, "test": None, "stratify": False, "seed": 0}, sentence) for name, sentence in DATA.items()]
    return [*([Entry("shared", [], {}, SHARED)] if kind == "partitions" else []), *map(_entry, KINDS[kind])]


def _entry(one: type[Declaration]) -> Entry:
    """A class by its declaration; an optimizer's defaults are those of its first convention."""
    by_convention = next(iter(getattr(one, "defaults", {}).values()), {})
    required, defaults = [], {}
    for field in (f for f in msgspec.structs.fields(one) if f.name not in one.unshown):
        if field.required:
            required.append(field.encode_name)
            continue
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if isinstance(default, Part):
            default = as_written(default)
        elif field.name in getattr(one, "whole", ()) and default is not None:
            default = int(default)
        defaults[field.encode_name] = by_convention.get(field.encode_name, default if isinstance(default, PLAIN) else None)
    held = {name: [_tag(kind) for kind in held.classes] for name, held in getattr(one, "holds", {}).items()}
    words = {name: list(allowed) for name, allowed in getattr(one, "choices", {}).items()}
    return Entry(_tag(one), required, defaults, first_sentence(one), {**words, **held}, dict(getattr(one, "forms", {})))


def _tag(one: Any) -> str:
    """What a declaration's `type` is in files."""
    return str(one.__struct_config__.tag)


def first_sentence(one: object) -> str:
    """The first sentence of a docstring, which stands alone."""
    paragraph = " ".join(" ".join(itertools.takewhile(str.strip, (inspect.getdoc(one) or "").splitlines())).split())
    return re.split(r"(?<=[.])\s+(?=[A-Z])", paragraph)[0]


def as_written(one: Part) -> str | dict[str, Any]:
    """A default as a file has it: its type, with the keys that it needs."""
    needed = {field.encode_name: getattr(one, field.name) for field in msgspec.structs.fields(one) if field.required}
    return {"type": _tag(type(one)), **needed} if needed else _tag(type(one))


def _one_of(words: list[str]) -> str:
    """What a key takes, in words: by the name of a list where it is one of these."""
    kind = next((name for name, classes in KINDS.items() if words == [_tag(c) for c in classes]), None)
    if kind is not None:
        return f"one of `gdsim list {kind}`"
    return " or ".join([", ".join(map(as_toml, words[:-1])), as_toml(words[-1])])


def as_toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {as_toml(one)}' for name, one in value.items())}}}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
