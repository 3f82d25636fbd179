"""What a distribution is, how K workers train one model, and what it and its parts have in common."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np

from gdsim.axes import Grid, Range, checked_axis_of, checked_number, checked_whole, extremes
from gdsim.declarations import Declaration, meant, shown
from gdsim.rules import RULES, WRAPPERS, Rule
from gdsim.words import checked_word, given

STEPS = Range(1.0, 2.0**24, high_allowed=True)
COUNT = Range(0.0, 2.0**24, high_allowed=True)
SHARE = Range(0.0, 1.0)
MOST_WORKERS = 2**16  # whose weights would be in memory at once


class Held(NamedTuple):
    """What may stand in a field that holds a declaration: an object of `base`, of which `classes` have names
    in files.
    """

    base: type
    classes: tuple[type, ...]


OUTER_RULE = Held(Rule, (*RULES, *WRAPPERS))


class Part(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """What distributed training is declared by: a distribution, or what stands in one.

    The fields in `ranges` are numbers of each run, of which those in `whole` are whole; those in `sizes` are
    counts that decide how much memory a run takes, each with the lowest that it may be. Both take axes. Fields
    in `choices` are one of some words, those in `holds` another declaration, or None where that is the
    default; both are structure and take a `gd.grid`. `forms` says what files write in fields that are none of these.
    """

    ranges: ClassVar[Mapping[str, Range]] = {}
    whole: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[Mapping[str, int]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    holds: ClassVar[Mapping[str, Held]] = {}
    forms: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """The range or the words, and whether it is whole."""
        if name in cls.choices:
            return [" or ".join(map(repr, cls.choices[name]))]
        kind = ["a whole number or an axis"] if name in (*cls.whole, *cls.sizes) else ["a number or an axis"] if name in cls.ranges else []
        return [*super().documented_values(name), *kind]

    def __post_init__(self) -> None:
        kind = type(self).__name__
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        for name in self.numbers:
            put(name, _checked_axis(getattr(self, name), f"{kind}.{name}", self.ranges[name], name in self.whole))
        for name, low in self.sizes.items():
            checked = _checked_axis(getattr(self, name), f"{kind}.{name}", Range(low, MOST_WORKERS, high_allowed=True), True)
            put(name, int(checked) if isinstance(checked, float) else checked)
        for name, words in self.choices.items():
            put(name, checked_axis_of(getattr(self, name), f"{kind}.{name}", lambda value, field, words=words: checked_word(value, field, words)))
        for name, held in self.holds.items():
            put(name, checked_axis_of(getattr(self, name), f"{kind}.{name}", lambda value, field, held=held: self._checked_held(value, field, held)))
        if any(one is not self for one in self.variants()):
            return  # which are checked as they are made
        self.check_together()

    def check_together(self) -> None:
        """Refuses fields that do not go with each other; asked of what has no alternatives. Raises
        ValueError.
        """

    def _checked_held(self, value: object, name: str, held: Held) -> object:
        if isinstance(value, held.base) or (value is None and self._defaults().get(name.partition(".")[2], 0) is None):
            return value
        raise TypeError(f"{name} must be {_written(held)}; {meant(value, held.classes)}")

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {f.name: f.default for f in msgspec.structs.fields(cls)}

    @property
    def numbers(self) -> list[str]:
        """The fields in `ranges` that have numbers: all but those that are None by default, and left so."""
        defaults = self._defaults()
        return [name for name in self.ranges if getattr(self, name) is not None or defaults[name] is not None]

    @property
    def axes(self) -> list[str]:
        """The fields of its own that may be axes of numbers, in the order declared."""
        numbers = self.numbers
        return [name for name in self.__struct_fields__ if name in numbers or name in self.sizes]

    @property
    def held(self) -> "dict[str, Part | Rule]":
        """The declarations that stand in its fields, by these."""
        return {name: value for name in self.holds if isinstance(value := getattr(self, name), (Part, Rule))}

    def variants(self) -> list[Self]:
        """The same with one of each structural alternative, in the order of the fields, the last fastest."""
        several = {name: _alternatives(value) for name in self.__struct_fields__ if isinstance(value := getattr(self, name), (Grid, Part))}
        if all(alternatives == [getattr(self, name)] for name, alternatives in several.items()):
            return [self]
        return [msgspec.structs.replace(self, **dict(zip(several, row, strict=True))) for row in itertools.product(*several.values())]

    def hyperparameters(self) -> dict[str, Any]:
        """The numbers of each run, with their values or axes: its own as they are, those of what it holds
        with the field in front, as `outer_lr`.
        """
        of_held = {f"{field}_{name}": value for field, one in self.held.items() for name, value in one.hyperparameters().items()}
        return {**{name: getattr(self, name) for name in self.numbers}, **of_held}

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """Numbers that follow from those of a run, `values` by the names of `hyperparameters`, for a model of so
        many parameters, in float64.
        """
        found: dict[str, float] = {}
        for field, one in self.held.items():
            own = {name: values[f"{field}_{name}"] for name in one.hyperparameters()}
            of_held = one.constants(own, parameters) if isinstance(one, Part) else one.constants(own)
            found |= {f"{field}_{name}": value for name, value in of_held.items()}
        return found

    def structure(self) -> list[Any]:
        """What decides the code, apart from numbers of a run and sizes."""
        fields = [name for name in self.__struct_fields__ if name not in self.ranges and name not in self.sizes]
        return [type(self).__name__, *(self._structure_of(getattr(self, name)) for name in fields)]

    @staticmethod
    def _structure_of(value: Any) -> Any:
        return value.structure() if isinstance(value, (Part, Rule)) else value

    def every_size(self) -> list[Any]:
        """Its sizes and those of what it holds."""
        return [*(getattr(self, name) for name in self.sizes), *(one.every_size() for one in self.held.values() if isinstance(one, Part))]

    @property
    def called(self) -> str:
        """What coordinates and labels call it."""
        return type(self).__name__

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates: sizes, numbers, words and what it
        holds, with the names of its fields in front.
        """
        found: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Part):
                found |= {name: value.called, **{f"{name}_{n}": v for n, v in value.settings().items()}}
            elif isinstance(value, Rule):
                found |= {name: type(value).__name__, **{f"{name}_{n}": v for n, v in value.hyperparameters().items()}}
            elif value is not None or name not in self.ranges:
                found[name] = shown(value) if isinstance(value, tuple) else value
        return found


class Partition(Part, frozen=True, kw_only=True):
    """How the samples of the training set are shared out among workers, drawn anew for each start."""

    is_drawn: ClassVar[bool] = True  # whether it differs from start to start
    needs_labels: ClassVar[bool] = False
    word: ClassVar[str] = ""  # by which users call it, where it is no class of `gd`

    def __repr__(self) -> str:
        return repr(self.word) if self.word else super().__repr__()

    @property
    def called(self) -> str:
        """By its word, or its class."""
        return self.word or super().called

    def check_samples(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> None:
        """Refuses samples, or labels[sample], that cannot be shared out so among these workers, each of whose
        steps takes `batch`. Raises ValueError.
        """
        name = type(self).__name__
        if not samples:
            raise ValueError(f"partition: {name} shares out samples, and the problem has none: leave partition out")
        if self.needs_labels and labels is None:
            raise ValueError(f"partition: {name} goes by labels, and the problem has no classes: take 'iid', 'overlap' or an array of workers")
        if workers > samples:
            raise ValueError(f"partition: {name} has no sample for some of {workers} workers, as there are {samples}: give fewer workers")

    def fewest(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> int:
        """How many samples a worker may be left with, of an axis at its smallest; of as many each if not said otherwise."""
        return samples // workers

    def samples_held(self, samples: int, workers: int) -> int:
        """How many of so many samples the workers have, one that several have counted for each; of an axis, at most."""
        return samples


class Distribution(Part, frozen=True, kw_only=True):
    """How K workers train one model.

    Each worker has weights of its own, takes `batch` samples a step, and steps by the sweep's optimizer; the
    kind says what the workers tell each other, and when. Reported are the parameters of the whole: the mean
    of the workers', or the server's.
    """

    meanings = {
        "workers": "How many workers train the model, each with weights and samples of its own.",
        "period": "Steps between two exchanges.",
    }

    @property
    def team(self) -> int:
        """How many workers' weights live at once; of an axis, at most."""
        return int(most_of(getattr(self, "workers", 1)))

    @property
    def is_plain_alone(self) -> bool:
        """Whether with one worker it is the run without distribution, bit for bit."""
        return False

    @property
    def owners(self) -> tuple[int, ...]:
        """Among how many workers a partition shares out the samples; of an axis each of its ends, or each that is
        listed.
        """
        axis = self.every_size()[0] if self.sizes else 1
        return tuple(map(int, axis if isinstance(axis, tuple) else extremes(axis)))

    @property
    def is_federated(self) -> bool:
        """Whether workers are clients, of whom each round has some."""
        return False

    def makes_one_batch(self, partition: Partition | None) -> bool:
        """Whether a step of all workers is a step of one by the batches of all, bit for bit."""
        return False

    def is_one_workers(self, partition: Partition | None) -> bool:
        """Whether a run's training is that of one worker, bit for bit."""
        return self.makes_one_batch(partition) or (self.team == 1 and self.is_plain_alone)

    def launched(self, partition: Partition | None) -> int:
        """How many workers compute, on samples shared out by `partition`; of an axis, at most."""
        return self.team

    def check_used(self) -> None:
        """Refuses fields, axes as they are, that would change no run. Raises ValueError."""

    def samples_of_step(self, batch: int) -> int:
        """How many samples a step is made of, those of all workers together, at `batch` samples a worker."""
        return batch * self.team

    def samples_computed(self, batch: int) -> int:
        """How many samples the gradients of a step are of, those among them that make no step: what it costs."""
        return self.samples_of_step(batch)

    def samples_in_common(self, batch: int) -> int:
        """How many samples of the common order a step of every worker takes."""
        return self.samples_of_step(batch)

    def gradients_of_step(self, partition: Partition | None) -> int:
        """How many gradients a step takes, of all workers together."""
        return self.samples_of_step(1)

    def why_not_by(self, rule: Rule, partition: Partition | None) -> str:
        """Why it is not defined for an optimizer, on samples shared out so; nothing where it is."""
        return ""

    def rounds_at(self, steps: np.ndarray) -> np.ndarray:
        """How many exchanges there have been after so many steps."""
        return steps // int(most_of(getattr(self, "period", 1)))

    def bytes_at(self, steps: np.ndarray, parameters: int, size: int) -> np.ndarray:
        """How many bytes a worker has sent after so many steps: one message of `parameters` numbers of `size`
        bytes in each exchange, to all, a group or a server, and nothing where it computes alone. What it gets back is not
        counted, nor how a collective passes messages on.
        """
        return self.rounds_at(steps) * (parameters * size if max(self.owners) > 1 else 0)


def _alternatives(value: Any) -> list[Any]:
    """What stands in a field, one by one, each with one of its own alternatives."""
    several = value.values if isinstance(value, Grid) else (value,)
    return [variant for one in several for variant in (one.variants() if isinstance(one, Part) else [one])]


def most_of(axis: Any) -> float:
    """The largest number of an axis."""
    return max(extremes(axis))


def least_of(axis: Any) -> float:
    """The smallest number of an axis."""
    return min(extremes(axis))


def checked_pairs(value: Any, name: str, first: str, second: str) -> tuple[tuple[int, int], ...]:
    """Pairs of whole numbers from 1, or an error that calls them by what they are."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        raise TypeError(f"{name} must be a list of pairs ({first}, {second}), as in [(2, 4)]; {given(value)} was given")
    return tuple((checked_whole(a, f"{name}: {first}"), checked_whole(b, f"{name}: {second}")) for a, b in value)


def _checked_axis(value: Any, name: str, allowed: Range, is_whole: bool) -> Any:
    checked = checked_number(value, name, allowed)
    several = checked if isinstance(checked, tuple) else getattr(checked, "values", (checked,))
    if is_whole and any(isinstance(v, float) and v != int(v) for v in several):
        raise ValueError(f"{name} must be a whole number; {given(value)} was given")
    return checked


def _written(held: Held) -> str:
    """What may be given, as users write it."""
    names = _names(held)
    return " or ".join([f"{next(names)}(...)", *itertools.islice((f"{n}(...)" for n in names), 2)]) + ", say"


def _names(held: Held) -> Iterator[str]:
    return (f"gd.{kind.__name__}" for kind in held.classes)
