"""Where tangents begin: the derivatives, by what a setting asks for, of the numbers and points that runs begin
with.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from gdsim.population.setting import Setting
from gdsim.rules import Rule


class Dual:
    """A number with its derivative, for the constants that the host makes of hyperparameters: + - * / ** and
    comparisons, which are of values.

    >>> limit = 2.0 / (1.0 - Dual(0.75, 1.0)) - 1.0
    >>> limit.value, limit.slope
    (7.0, 32.0)
    """

    def __init__(self, value: float, slope: float = 0.0) -> None:
        self.value, self.slope = value, slope

    @staticmethod
    def of(number: "Dual | float") -> "Dual":
        """A number as a dual one, whose derivative is 0 if it was none."""
        return number if isinstance(number, Dual) else Dual(number)

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.slope)

    def __abs__(self) -> "Dual":
        return -self if self.value < 0.0 else self

    def __add__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: "Dual | float") -> "Dual":
        return self + -Dual.of(other)

    def __rsub__(self, other: float) -> "Dual":
        return Dual(other) - self

    def __mul__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __truediv__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - quotient * other.slope) / other.value)

    def __rtruediv__(self, other: float) -> "Dual":
        return Dual(other) / self

    def __pow__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        power = self.value**other.value
        by_base = other.value * self.value ** (other.value - 1.0) * self.slope if self.slope else 0.0
        return Dual(power, by_base + (power * math.log(self.value) * other.slope if other.slope else 0.0))

    def __rpow__(self, other: float) -> "Dual":
        return Dual(other) ** self

    def __lt__(self, other: "Dual | float") -> bool:
        return self.value < Dual.of(other).value

    def __le__(self, other: "Dual | float") -> bool:
        return self.value <= Dual.of(other).value

    def __gt__(self, other: "Dual | float") -> bool:
        return self.value > Dual.of(other).value

    def __ge__(self, other: "Dual | float") -> bool:
        return self.value >= Dual.of(other).value

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if isinstance(other, Dual) else other)

    __hash__: ClassVar[None]  # pyright: ignore[reportIncompatibleMethodOverride]
    __radd__, __rmul__ = __add__, __mul__


def slopes_of(rule: Rule, number: str, values: Mapping[str, float]) -> dict[str, float]:
    """The derivatives by one of a run's numbers of all that it decides: of itself, 1, and of the rule's
    constants. Raises TypeError for constants that are not made of + - * / **.
    """
    given: dict[str, Any] = {**values, number: Dual(values[number], 1.0)}
    try:
        constants = rule.constants(given)
    except TypeError as error:
        name = type(rule.innermost).__name__
        raise TypeError(f"{name}.constants cannot be differentiated by {number}: make them with + - * / ** alone ({error})") from None
    return {number: 1.0, **{name: Dual.of(made).slope for name, made in constants.items()}}


def number_seeds(setting: Setting, names: Sequence[str], values: Sequence[Mapping[str, float]]) -> np.ndarray:
    """[tangent, cell * number]: the derivatives of the numbers of cells, by their names."""
    seeds = np.zeros((len(setting.live_tangents), len(values), len(names)))
    for k, tangent in enumerate(setting.live_tangents):
        if tangent.number:
            for cell, given in enumerate(values):
                slopes = slopes_of(setting.rule, tangent.number, given)
                seeds[k, cell] = [slopes.get(name, 0.0) for name in names]
    return seeds.reshape(len(seeds), len(values) * len(names))


def start_seeds(setting: Setting, starts: np.ndarray) -> np.ndarray:
    """[tangent, run * parameter]: the derivatives of the points at which runs begin."""
    shape = len(starts), setting.problem.parameter_count
    zero = np.zeros(shape)
    rows = [zero if t.direction is None else t.direction.vectors(setting.seed, starts, shape[1]) for t in setting.live_tangents]
    return np.stack(rows).reshape(len(rows), -1) if rows else np.zeros((0, zero.size))
