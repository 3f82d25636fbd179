"""What a hyperparameter may be: a number, a list of them, a range, a draw; and what a choice of structure may
be, a grid.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from gdsim.words import given


class Range(NamedTuple):
    """The numbers that a hyperparameter may be."""

    low: float
    high: float
    low_allowed: bool = True
    high_allowed: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, float):
            return False
        above = self.low <= value if self.low_allowed else self.low < value
        return above and (value <= self.high if self.high_allowed else value < self.high)

    def __str__(self) -> str:
        return f"{'[' if self.low_allowed else '('}{self.low:g}, {self.high:g}{']' if self.high_allowed else ')'}"


class Spaced(msgspec.Struct, frozen=True, tag_field="kind", tag="spaced"):
    """`n` values from `first` to `last`, evenly spaced or evenly spaced in their logarithm."""

    spacing: Literal["linspace", "logspace"]
    first: float
    last: float
    n: int

    def __repr__(self) -> str:
        return f"{self.spacing}({self.first!r}, {self.last!r}, {self.n})"


class Drawn(msgspec.Struct, frozen=True, tag_field="kind", tag="drawn"):
    """`draws` random values between `low` and `high`, the same for all starts."""

    distribution: Literal["uniform", "loguniform"]
    low: float
    high: float
    draws: int

    def __repr__(self) -> str:
        return f"{self.distribution}({self.low!r}, {self.high!r}, draws={self.draws})"


class Chosen(msgspec.Struct, frozen=True, tag_field="kind", tag="chosen"):
    """`draws` values, each one of `options` at random, the same for all starts."""

    options: tuple[float, ...]
    draws: int

    def __repr__(self) -> str:
        return f"choice({list(self.options)}, draws={self.draws})"


class Zipped(msgspec.Struct, frozen=True, tag_field="kind", tag="zipped"):
    """A list of values that advances together with the other zipped axes of its object."""

    values: tuple[float, ...]

    def __repr__(self) -> str:
        return f"zip({', '.join(map(repr, self.values))})"


class Grid(msgspec.Struct, frozen=True, tag_field="kind", tag="grid"):
    """Alternatives of a setting that is structure, or is itself a list."""

    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"grid({', '.join(repr(list(v) if isinstance(v, tuple) else v) for v in self.values)})"


# What a hyperparameter takes. It holds a float, a tuple of floats, a `Spaced`, a `Drawn`, a `Chosen` or a
# `Zipped`, once `checked_number` has seen it.
Axis = float | Sequence[float] | np.ndarray | Spaced | Drawn | Chosen | Zipped


def logspace(first: float, last: float, n: int) -> Spaced:
    """An axis of `n` values from `first` to `last`, each the same factor from the next.

    Raises ValueError for ends that are not positive, TypeError for what is no number.

    >>> values(logspace(0.001, 0.1, 3))
    (0.001, 0.01, 0.1)
    """
    return _spaced("logspace", first, last, n)


def linspace(first: float, last: float, n: int) -> Spaced:
    """An axis of `n` evenly spaced values from `first` to `last`. Raises TypeError for what is no number.

    >>> values(linspace(0.0, 1.0, 3))
    (0.0, 0.5, 1.0)
    """
    return _spaced("linspace", first, last, n)


def uniform(low: float, high: float, *, draws: int) -> Drawn:
    """An axis of `draws` values, uniform between `low` and `high`; several in one object are drawn jointly,
    not crossed.

    Raises ValueError unless low < high, TypeError for what is no number.

    >>> len(values(uniform(0.1, 0.9, draws=4)))
    4
    """
    return _drawn("uniform", low, high, draws)


def loguniform(low: float, high: float, *, draws: int) -> Drawn:
    """An axis of `draws` values between `low` and `high`, uniform in their logarithm; several in one object
    are drawn jointly.

    Raises ValueError unless 0 < low < high, TypeError for what is no number.

    >>> loguniform(1e-4, 1e-1, draws=20)
    loguniform(0.0001, 0.1, draws=20)
    """
    return _drawn("loguniform", low, high, draws)


def choice(options: Any, *, draws: int) -> Chosen:
    """An axis of `draws` values, each drawn from a list of numbers; several draws in one object are joint,
    not crossed.

    Raises ValueError or TypeError for what is no list of numbers.

    >>> len(values(choice([0.1, 0.2], draws=5)))
    5
    """
    options = _listed(options)
    if not isinstance(options, (list, tuple)) or not options:
        raise ValueError(f"choice needs a list of numbers to draw from; {given(options)} was given")
    return Chosen(tuple(_number(v, "choice") for v in options), checked_whole(draws, "choice: draws"))


def zip(*values: Any) -> Zipped:
    """A list that advances together with the other `gd.zip` lists of its object:
    `gd.Momentum(lr=gd.zip(0.1, 0.01), momentum=gd.zip(0.5, 0.9))`.

    Where a distribution or a partition has some, all of these, of what stands in them, and of the optimizer advance
    together, so that rates go with workers: `optimizer=gd.SGD(lr=gd.zip(0.1, 0.4)),
    distribution=gd.Synchronous(workers=gd.zip(1, 4))`. Raises ValueError or TypeError for what is no list of numbers.

    >>> zip(0.1, 0.01).values
    (0.1, 0.01)
    """
    one = _listed(values[0]) if len(values) == 1 else None
    listed = one if isinstance(one, (list, tuple)) else values
    if not listed:
        raise ValueError("gd.zip needs at least one number; none was given")
    if any(isinstance(_listed(v), (list, tuple)) for v in listed):
        raise TypeError(
            f"gd.zip takes the numbers of one field, as in gd.Momentum(lr=gd.zip(0.1, 0.01), momentum=gd.zip(0.5, 0.9)); {', '.join(map(given, values))} was given"
        )
    return Zipped(tuple(_number(v, "zip") for v in listed))


def grid(*alternatives: Any) -> Grid:
    """An axis over alternatives of a setting that is structure: `batch=gd.grid(8, 32)`,
    `hidden=gd.grid([16], [32, 32])`.

    Raises ValueError if no alternative is given.

    >>> grid(8, 32)
    grid(8, 32)
    """
    if not alternatives:
        raise ValueError("gd.grid needs at least one alternative; none was given")
    return Grid(tuple(tuple(a) if isinstance(a, list) else a for a in (_listed(a) for a in alternatives)))


def _listed(value: Any) -> Any:
    """An array, a tensor or a Series as the number or the list of numbers that it holds; of more dimensions,
    and all else, as it is.
    """
    if isinstance(value, np.generic) or not hasattr(value, "tolist"):
        return value
    return value.tolist() if getattr(value, "ndim", 2) < 2 else value


def _number(value: Any, name: str) -> float:
    value = _listed(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; {given(value)} was given")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def checked_whole(value: Any, name: str, low: int = 1, end: float = float("inf")) -> int:
    """A whole number from `low`, below `end`, or an error."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value < end:
        beyond = isinstance(value, (int, float, np.integer, np.floating)) and value >= end
        raise ValueError(f"{name} must be a whole number from {low}{f' to {end - 1}' if beyond else ''}; {given(value)} was given")
    return int(value)


def checked_seed(value: Any) -> int:
    """A seed of random numbers, or an error."""
    return checked_whole(value, "seed", 0, 2**64)


def checked_truth(value: Any, name: str) -> bool:
    """True or false, NumPy's too, or an error."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be true or false; {given(value)} was given")
    return bool(value)


def _spaced(spacing: Literal["linspace", "logspace"], first: Any, last: Any, n: Any) -> Spaced:
    first, last, n = _number(first, f"{spacing}: first"), _number(last, f"{spacing}: last"), checked_whole(n, f"{spacing}: n")
    if spacing == "logspace" and not (first > 0 and last > 0):
        raise ValueError(f"logspace needs positive ends; {given(first)} and {given(last)} were given")
    return Spaced(spacing, first, last, n)


def _drawn(distribution: Literal["uniform", "loguniform"], low: Any, high: Any, draws: Any) -> Drawn:
    low, high, draws = _number(low, f"{distribution}: low"), _number(high, f"{distribution}: high"), checked_whole(draws, f"{distribution}: draws")
    if not low < high or (distribution == "loguniform" and low <= 0):
        needed = "0 < low < high" if distribution == "loguniform" else "low < high"
        raise ValueError(f"{distribution} needs {needed}; {given(low)} and {given(high)} were given")
    return Drawn(distribution, low, high, draws)


def _from_table(table: dict[str, Any], name: str) -> Axis:
    """The TOML forms: {logspace = [first, last, n]}, {linspace = ...}, {uniform = [low, high], draws = n},
    {loguniform = ...}.
    """
    keys = set(table)
    for spacing in ("logspace", "linspace"):
        if keys == {spacing} and isinstance(table[spacing], (list, tuple)) and len(table[spacing]) == 3:
            return _spaced(spacing, *table[spacing])
    for distribution in ("uniform", "loguniform"):
        if keys == {distribution, "draws"} and isinstance(table[distribution], (list, tuple)) and len(table[distribution]) == 2:
            low, high = table[distribution]
            return _drawn(distribution, low, high, table["draws"])
    if keys == {"choice", "draws"}:
        return choice(table["choice"], draws=table["draws"])
    if keys == {"zip"}:
        return zip(table["zip"])
    raise ValueError(
        f"{name}: {table!r} is not an axis; allowed: a number, a list of numbers, {{logspace = [first, last, n]}}, "
        "{linspace = [first, last, n]}, {uniform = [low, high], draws = n}, {loguniform = [low, high], draws = n}, "
        "{choice = [...], draws = n}, {zip = [...]}"
    )


def checked_number(value: Any, name: str, allowed: Range) -> Axis:
    """A hyperparameter in its normal form, or an error that names the field, what was given and what is
    allowed.
    """
    if isinstance(value, dict):
        value = _from_table(value, name)
    if isinstance(value, Drawn):
        checked_number(value.low, name, allowed)
        checked_number(value.high, name, allowed._replace(high_allowed=True))  # which no draw reaches
        return value
    if isinstance(value, (Spaced, Chosen, Zipped)):
        for number in extremes(value):
            checked_number(number, name, allowed)
        return value
    value = _listed(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{name} is an empty list; give at least one number")
        return tuple(checked_one(v, name, allowed) for v in value)
    number = _number(value, name)
    if number not in allowed:
        raise ValueError(f"{name} must be a finite number in {allowed}; {given(value)} was given")
    return number


def checked_one(value: Any, name: str, allowed: Range) -> float:
    """A single number where no axis may stand, or an error."""
    number = checked_number(value, name, allowed)
    if not isinstance(number, float):
        raise TypeError(f"{name} must be one number; {given(value)} was given")
    return number


def checked_axis_of(value: Any, name: str, check: Any, *, takes_lists: bool = False) -> Any:
    """A setting that is structure: one checked value, or a `Grid` of them (TOML: {grid = [...]}).

    A grid of one list is a grid of what is in it, unless the setting `takes_lists` itself.
    """
    if isinstance(value, dict) and set(value) == {"grid"} and isinstance(value["grid"], (list, tuple)):
        value = grid(*value["grid"])
    if isinstance(value, Grid):
        several = value.values
        if not takes_lists and len(several) == 1 and isinstance(several[0], tuple):
            several = grid(*several[0]).values
        return Grid(tuple(check(v, name) for v in several))
    if not takes_lists and isinstance(_listed(value), (list, tuple)):
        several = ", ".join(map(given, _listed(value)))
        raise TypeError(f"{name} takes one value, or several as gd.grid({several}), in a file {{grid = [{several}]}}; {given(value)} was given")
    return check(value, name)


def values(axis: Any, seed: int = 0, name: str = "") -> tuple[float, ...]:
    """The numbers of an axis, by gdsim's own functions: the same bits on every processor.

    Spaced values are rounded to 15 digits, so that 1e-3 is 0.001. Draws depend on the seed and the field's
    name alone.
    """
    if isinstance(axis, tuple):
        return axis
    if isinstance(axis, Spaced):
        return tuple(float(f"{_between(axis, i):.15g}") for i in range(axis.n))
    if isinstance(axis, Zipped):
        return axis.values
    if isinstance(axis, (Drawn, Chosen)):
        import zlib

        from gdsim.lanes.draws import uniform_numbers
        from gdsim.lanes.philox import AXIS

        units = uniform_numbers(seed, np.zeros(1, np.uint32), (AXIS, zlib.crc32(name.encode())), axis.draws)[0]
        if isinstance(axis, Chosen):
            return tuple(axis.options[int(u * len(axis.options))] for u in units)
        return tuple(_placed(axis.distribution == "loguniform", axis.low, axis.high, float(u)) for u in units)
    return (float(axis),)


def _between(axis: Spaced, i: int) -> float:
    if i == 0 or axis.n == 1:
        return axis.first
    return axis.last if i == axis.n - 1 else _placed(axis.spacing == "logspace", axis.first, axis.last, i / (axis.n - 1))


def _placed(logarithmic: bool, low: float, high: float, share: float) -> float:
    from gdsim.lanes import pow

    return low * pow(high / low, share) if logarithmic else low + (high - low) * share


def extremes(axis: Any) -> tuple[float, ...]:
    """Numbers of an axis between which all of its numbers lie."""
    if isinstance(axis, Spaced):
        return axis.first, axis.last
    if isinstance(axis, Drawn):
        return axis.low, axis.high
    return axis.options if isinstance(axis, Chosen) else values(axis)


def joint_kind(axis: Any) -> str:
    """With which other axes of its object an axis advances: "drawn" or "zipped" ones, or "" for none."""
    return "drawn" if isinstance(axis, (Drawn, Chosen)) else "zipped" if isinstance(axis, Zipped) else ""


def length(axis: Any) -> int:
    """How many values an axis or a grid of structure has; a setting that is no axis has one."""
    if isinstance(axis, Spaced):
        return axis.n
    if isinstance(axis, (Drawn, Chosen)):
        return axis.draws
    if isinstance(axis, (Zipped, Grid)):
        return len(axis.values)
    return len(axis) if isinstance(axis, tuple) and axis and isinstance(axis[0], float) else 1
