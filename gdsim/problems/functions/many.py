"""Test functions of any number of parameters.

Formulas as in Surjanovic and Bingham's virtual library where nothing else is said.
"""

import itertools
import math

import msgspec

from gdsim.problems.formulas import Expr, Symbols
from gdsim.problems.functions.base import ManyDimensional, Minimum
from gdsim.words import given


class Bowl(ManyDimensional, tag="bowl", frozen=True):
    """A quadratic bowl, 1/2 sum lambda_i x_i^2, with curvatures from 1 to `condition`, each the same factor
    from the next.

    >>> Bowl().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    meanings = {**ManyDimensional.meanings, "condition": "The largest curvature over the smallest, a finite number from 1."}

    condition: float = 10.0

    low, high = -1.0, 1.0
    minima_per_coordinate = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.condition, (int, float)) or isinstance(self.condition, bool) or not 1.0 <= self.condition < math.inf:
            raise ValueError(f"Bowl.condition must be a number from 1; {given(self.condition)} was given")
        msgspec.structs.force_setattr(self, "condition", float(self.condition))

    def of(self, x: Symbols) -> Expr:
        from gdsim.lanes import pow

        share = lambda i: i / (self.dim - 1) if self.dim > 1 else 0.0  # noqa: E731
        return sum(0.5 * pow(self.condition, share(i)) * v**2 for i, v in enumerate(x))


class Rosenbrock(ManyDimensional, tag="rosenbrock", frozen=True):
    """Rosenbrock's valley (1960): sum 100 (x_(i+1) - x_i^2)^2 + (1 - x_i)^2.

    From 4 to 7 parameters there is a second minimum near (-1, 1, ..., 1).

    >>> Rosenbrock().global_minima[0]
    Minimum(point=(1.0, 1.0), value=0.0)
    """

    low, high = -2.048, 2.048
    smallest = 2
    lowest = (1.0, 0.0)

    def of(self, x: Symbols) -> Expr:
        return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x))

    @property
    def local_minima(self) -> int | None:
        """One up to 3 parameters, two from 4 to 7."""
        return 1 if self.dim <= 3 else 2 if self.dim <= 7 else None


class StyblinskiTang(ManyDimensional, tag="styblinski_tang", frozen=True):
    """Styblinski and Tang's function (1990): 1/2 sum x^4 - 16 x^2 + 5 x, with two minima in each coordinate.

    >>> StyblinskiTang().global_minima[0]
    Minimum(point=(-2.903534027771, -2.903534027771), value=-78.332331407542)
    """

    low, high = -5.0, 5.0
    lowest = (-2.903534027771, -39.166165703771)
    minima_per_coordinate = 2

    def of(self, x: Symbols) -> Expr:
        return sum(v**4 - 16 * v**2 + 5 * v for v in x) / 2


class Rastrigin(ManyDimensional, tag="rastrigin", frozen=True):
    """Rastrigin's function: a bowl under a cosine of period 1, with 11 minima in each coordinate of its box.

    >>> Rastrigin().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    low, high = -5.12, 5.12
    minima_per_coordinate = 11

    def of(self, x: Symbols) -> Expr:
        import sympy

        return 10 * self.dim + sum(v**2 - 10 * sympy.cos(2 * sympy.pi * v) for v in x)


class Ackley(ManyDimensional, tag="ackley", frozen=True):
    """Ackley's function (1987), not smooth at its minimum; at 0 itself its gradient is not defined.

    >>> Ackley().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    low, high = -32.768, 32.768

    def of(self, x: Symbols) -> Expr:
        import sympy

        distance = sympy.sqrt(sum(v**2 for v in x) / self.dim)
        waves = sum(sympy.cos(2 * sympy.pi * v) for v in x) / self.dim
        return -20 * sympy.exp(-distance / 5) - sympy.exp(waves) + 20 + sympy.E


class Griewank(ManyDimensional, tag="griewank", frozen=True):
    """Griewank's function (1981), with thousands of minima.

    >>> Griewank().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    low, high = -600.0, 600.0

    def of(self, x: Symbols) -> Expr:
        import sympy

        waves = sympy.prod(sympy.cos(v / sympy.sqrt(i + 1)) for i, v in enumerate(x))
        return 1 + sum(v**2 for v in x) / 4000 - waves


class Michalewicz(ManyDimensional, tag="michalewicz", frozen=True):
    """Michalewicz's function (1992): steep valleys in flat plateaus, on which a gradient is small anywhere.

    >>> Michalewicz().global_minima[0]
    Minimum(point=(2.202905520173, 1.5707963267948966), value=-1.801303410099)
    """

    low, high = 0.0, math.pi

    def of(self, x: Symbols) -> Expr:
        import sympy

        return -sum(sympy.sin(v) * sympy.sin((i + 1) * v**2 / sympy.pi) ** 20 for i, v in enumerate(x))

    @property
    def global_minima(self) -> tuple[Minimum, ...]:
        """Known for two parameters."""
        return (Minimum((2.202905520173, math.pi / 2), -1.801303410099),) if self.dim == 2 else ()


class Levy(ManyDimensional, tag="levy", frozen=True):
    """Levy's function (Levy and Montalvo 1985).

    >>> Levy().global_minima[0]
    Minimum(point=(1.0, 1.0), value=0.0)
    """

    low, high = -10.0, 10.0
    lowest = (1.0, 0.0)

    def of(self, x: Symbols) -> Expr:
        import sympy

        w = [1 + (v - 1) / 4 for v in x]
        sine = lambda z: sympy.sin(sympy.pi * z) ** 2  # noqa: E731
        inner = sum((v - 1) ** 2 * (1 + 10 * sympy.sin(sympy.pi * v + 1) ** 2) for v in w[:-1])
        return sine(w[0]) + inner + (w[-1] - 1) ** 2 * (1 + sine(2 * w[-1]))
