"""`gd.zip` across an optimizer, a distribution with all that it holds, and a partition: rates that go with workers."""

import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from gdsim.axes import Zipped
from gdsim.distribution.base import Part
from gdsim.rules import Rule

Some = TypeVar("Some", bound=Rule | Part | None)
Owner = Rule | Part


class Places(Generic[Some]):
    """What the axes of optimizers, distributions or partitions make, each with its place in zipped axes: None where
    it goes with every place.
    """

    def __init__(self, made: Iterable[tuple[Some, int | None]]) -> None:
        self.made = list(made)
        self.numbers: dict[int | None, list[int]] = collections.defaultdict(list)
        for number, (_, place) in enumerate(self.made):
            self.numbers[place].append(number)

    def at(self, place: int | None) -> list[tuple[Some, int | None]]:
        """What goes with a place, each with the place that it goes with then; everything with None."""
        if place is None:
            return self.made
        return [(self.made[number][0], place) for number in sorted([*self.numbers[place], *self.numbers[None]])]


def owners_of(one: Owner | None) -> Iterator[Owner]:
    """An optimizer, a distribution or a partition, and all rules and parts that stand in it."""
    if one is not None:
        yield one
        for name in one.__struct_fields__:
            if isinstance(value := getattr(one, name), (Rule, Part)):
                yield from owners_of(value)


def zipped_lengths(one: Owner | None) -> list[dict[str, int]]:
    """How many values the zipped axes of each owner in it have, by their names; of owners without nothing."""
    found = [{f"{type(o).__name__}.{n}": len(axis.values) for n in o.__struct_fields__ if isinstance(axis := getattr(o, n), Zipped)} for o in owners_of(one)]
    return [lengths for lengths in found if lengths]


def are_zipped(rules: Sequence[Rule], *parts: Sequence[Part | None]) -> bool:
    """Whether zipped axes of a distribution or a partition, without alternatives, meet those of another owner, with
    which they then advance together. Raises ValueError for ones that are not as long as each other.
    """
    if not any(zipped_lengths(one) for side in parts for one in side):
        return False
    met = [[owner for one in row for owner in zipped_lengths(one)] for row in itertools.product(rules, *parts)]
    for owners in met:
        lengths = {length: f"{name} has {length}" for owner in owners for name, length in owner.items()}
        if len(owners) > 1 and len(lengths) > 1:
            raise ValueError(
                "the gd.zip lists of the optimizer, the distribution and the partition advance together, and must be as long as each other; "
                f"{', '.join(lengths.values())} values"
            )
    return any(len(owners) > 1 for owners in met)


def placed(several: Iterable[Some], expand: Callable[[Some], Iterable[Some]], *, apart: bool) -> Places[Some]:
    """All that optimizers, distributions or partitions expand to; without places where these are not taken `apart`."""
    made: list[tuple[Some, int | None]] = []
    for one in several:
        length = _length(one) if apart else None
        if length is None:
            made += [(each, None) for each in expand(one)]
        else:
            made += [(each, place) for place in range(length) for each in expand(_at_place(one, place))]
    return Places(made)


def count_together(sides: Sequence[tuple[Sequence[Any], Callable[[Any], int]]], *, apart: bool) -> int:
    """How many combinations of what optimizers, distributions and partitions expand to there are: `sides` of these,
    each with what counts all combinations of one's axes.
    """
    found = 0
    for row in itertools.product(*(several for several, _ in sides)):
        crossed = math.prod(count(one) for one, (_, count) in zip(row, sides, strict=True))
        owners = [owner for one in row for owner in zipped_lengths(one)] if apart else []
        found += crossed // next(iter(owners[0].values())) ** (len(owners) - 1) if owners else crossed
    return found


def _length(one: Owner | None) -> int | None:
    """How many values its zipped axes have; None without."""
    return next((length for owner in zipped_lengths(one) for length in owner.values()), None)


def _at_place(one: Any, place: int) -> Any:
    """The same with one of the values of each zipped axis, of its own and of all that stand in it."""
    found = {}
    for name in one.__struct_fields__:
        value = getattr(one, name)
        if isinstance(value, Zipped):
            found[name] = value.values[place]
        elif isinstance(value, (Rule, Part)):
            found[name] = _at_place(value, place)
    return msgspec.structs.replace(one, **found)
