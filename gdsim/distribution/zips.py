"""`gd.zip` across an optimizer and a distribution: rates that go with workers."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from gdsim.axes import Zipped
from gdsim.distribution.base import Distribution
from gdsim.rules import Rule, Wrapper

Some = TypeVar("Some", bound=Rule | Distribution | None)


def zipped_axes(one: Rule | Distribution | None) -> dict[str, Zipped]:
    """The zipped axes of a distribution, or of the innermost rule of an optimizer."""
    owner = one.innermost if isinstance(one, Rule) else one
    fields = () if owner is None else owner.__struct_fields__
    return {name: axis for name in fields if isinstance(axis := getattr(owner, name), Zipped)}


def zipped_length(one: Rule | Distribution | None) -> int:
    """How many values the zipped axes of an optimizer or a distribution have; 0 without."""
    return max((len(axis.values) for axis in zipped_axes(one).values()), default=0)


def are_zipped(rules: Sequence[Rule], distributions: Sequence[Distribution | None]) -> bool:
    """Whether optimizers and distributions have zipped axes, which then advance together. Raises ValueError for
    ones that are not as long as each other.
    """
    several = [[(type(one).__name__, name, len(axis.values)) for one in side for name, axis in zipped_axes(one).items()] for side in (rules, distributions)]
    both = all(several)
    lengths = {length: f"{owner}.{name} has {length}" for owner, name, length in itertools.chain(*several)}
    if both and len(lengths) > 1:
        raise ValueError(
            f"the gd.zip lists of the optimizer and the distribution advance together, and must be as long as each other; {', '.join(lengths.values())} values"
        )
    return both


def placed(several: Iterable[Some], expand: Callable[[Any], Iterable[Any]], *, apart: bool) -> Iterator[tuple[Any, int | None]]:
    """All that optimizers or distributions expand to, each with its place in zipped axes; None where it has none, or
    these are not taken `apart`.
    """
    for one in several:
        zips = zipped_axes(one) if apart else {}
        if not zips:
            yield from ((made, None) for made in expand(one))
        for place in range(zipped_length(one) if zips else 0):
            values = {name: axis.values[place] for name, axis in zips.items()}
            yield from ((made, place) for made in expand(_with_values(one, values)))


def count_together(rules: Sequence[Rule], distributions: Sequence[Distribution | None], counts: tuple[Callable[[Any], int], Callable[[Any], int]]) -> int:
    """How many pairs of an expanded optimizer and an expanded distribution there are, of which `counts` say how many
    each makes.
    """
    together = are_zipped(rules, distributions)
    of_rule, of_distribution = counts
    pairs = itertools.product(((of_rule(r), zipped_length(r)) for r in rules), [(of_distribution(d), zipped_length(d)) for d in distributions])
    return sum(first * second // (length if together and length and other else 1) for (first, length), (second, other) in pairs)


def _with_values(one: Any, values: dict[str, float]) -> Any:
    """An optimizer, however it is wrapped, or a distribution with other values of some fields."""
    if isinstance(one, Wrapper):
        return msgspec.structs.replace(one, rule=_with_values(one.rule, values))
    return msgspec.structs.replace(one, **values)
