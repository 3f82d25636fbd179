"""Test functions of a fixed number of parameters.

Formulas as in Surjanovic and Bingham's virtual library where nothing else is said.
"""

import functools
import math

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.data import Data
from gdsim.problems.formulas import Expr, Symbols, symbol
from gdsim.problems.functions.base import Function, Minimum
from gdsim.words import given


class Beale(Function, tag="beale", frozen=True):
    """Beale's function (1958), from which runs escape to infinity.

    >>> Beale().global_minima[0]
    Minimum(point=(3.0, 0.5), value=0.0)
    """

    low, high = -4.5, 4.5
    global_minima = (Minimum((3.0, 0.5), 0.0),)

    def of(self, x: Symbols) -> Expr:
        import sympy

        x, y = x
        return sum((sympy.Rational(c, 8) - x + x * y**k) ** 2 for k, c in ((1, 12), (2, 18), (3, 21)))


class Booth(Function, tag="booth", frozen=True):
    """Booth's function, a convex quadratic.

    Source: Surjanovic and Bingham, Virtual Library of Simulation Experiments.

    >>> Booth().global_minima[0]
    Minimum(point=(1.0, 3.0), value=0.0)
    """

    low, high = -10.0, 10.0
    global_minima = (Minimum((1.0, 3.0), 0.0),)
    local_minima = 1

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


class Matyas(Function, tag="matyas", frozen=True):
    """Matyas's function, a convex quadratic with curvatures 0.04 and 1.

    Source: Surjanovic and Bingham, Virtual Library of Simulation Experiments.

    >>> Matyas().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    low, high = -10.0, 10.0
    global_minima = (Minimum((0.0, 0.0), 0.0),)
    local_minima = 1

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return 0.26 * (x**2 + y**2) - 0.48 * x * y


class Himmelblau(Function, tag="himmelblau", frozen=True):
    """Himmelblau's function (1972), with four equal minima.

    >>> Himmelblau().global_minima[0]
    Minimum(point=(3.0, 2.0), value=0.0)
    """

    low, high = -6.0, 6.0
    global_minima = (
        Minimum((3.0, 2.0), 0.0), Minimum((-2.805118086953, 3.131312518250), 0.0),
        Minimum((-3.779310253378, -3.283185991286), 0.0), Minimum((3.584428340330, -1.848126526964), 0.0),
    )  # fmt: skip
    local_minima = 4

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


class SixHumpCamel(Function, tag="six_hump_camel", frozen=True):
    """The six-hump camel, with six minima in three pairs.

    Source: Dixon and Szegoe, Towards Global Optimisation 2 (1978).

    >>> SixHumpCamel().global_minima[0]
    Minimum(point=(0.089842013683, -0.71265640327), value=-1.03162845349)
    """

    low, high = (-3.0, -2.0), (3.0, 2.0)
    global_minima = (
        Minimum((0.089842013683, -0.712656403270), -1.031628453490), Minimum((-0.089842013683, 0.712656403270), -1.031628453490),
    )  # fmt: skip
    local_minima = 6

    def of(self, x: Symbols) -> Expr:
        import sympy

        x, y = x
        return (4 - sympy.Rational(21, 10) * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2


class ThreeHumpCamel(Function, tag="three_hump_camel", frozen=True):
    """The three-hump camel.

    Source: Surjanovic and Bingham, Virtual Library of Simulation Experiments.

    >>> ThreeHumpCamel().global_minima[0]
    Minimum(point=(0.0, 0.0), value=0.0)
    """

    low, high = -5.0, 5.0
    global_minima = (Minimum((0.0, 0.0), 0.0),)
    local_minima = 3

    def of(self, x: Symbols) -> Expr:
        import sympy

        x, y = x
        return 2 * x**2 - sympy.Rational(105, 100) * x**4 + x**6 / 6 + x * y + y**2


class Branin(Function, tag="branin", frozen=True):
    """Branin's function (1972), with three equal minima.

    >>> Branin().global_minima[0]
    Minimum(point=(-3.141592653589793, 12.275), value=0.39788735773)
    """

    low, high = (-5.0, 0.0), (10.0, 15.0)
    global_minima = tuple(Minimum(((2 * k - 1) * math.pi, y), 0.397887357730) for k, y in ((0, 12.275), (1, 2.275), (2, 2.475)))
    local_minima = 3

    def of(self, x: Symbols) -> Expr:
        import sympy

        (x, y), pi = x, sympy.pi
        return (y - sympy.Rational(51, 40) * x**2 / pi**2 + 5 * x / pi - 6) ** 2 + 10 * (1 - 1 / (8 * pi)) * sympy.cos(x) + 10


class GoldsteinPrice(Function, tag="goldstein_price", frozen=True):
    """Goldstein and Price's function (1971).

    >>> GoldsteinPrice().global_minima[0]
    Minimum(point=(0.0, -1.0), value=3.0)
    """

    low, high = -2.0, 2.0
    global_minima = (Minimum((0.0, -1.0), 3.0),)
    local_minima = 4

    def of(self, x: Symbols) -> Expr:
        x, y = x
        first = 1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
        return first * (30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2))


class MuellerBrown(Function, tag="mueller_brown", frozen=True):
    """Mueller and Brown's potential (1979), a landscape of chemical reactions: three minima and two saddles.

    >>> MuellerBrown().global_minima[0]
    Minimum(point=(-0.558223634633, 1.441725841805), value=-146.699517209954)
    """

    low, high = (-1.5, -0.2), (1.2, 2.0)
    global_minima = (Minimum((-0.558223634633, 1.441725841805), -146.699517209954),)
    local_minima = 3

    def of(self, x: Symbols) -> Expr:
        import sympy

        x, y = x
        table = ((-200, -1, 0, -10, 1, 0), (-100, -1, 0, -10, 0, 0.5), (-170, -6.5, 11, -6.5, -0.5, 1.5), (15, 0.7, 0.6, 0.7, -1, 1))
        exponent = lambda a, b, c, u, v: a * (x - u) ** 2 + b * (x - u) * (y - v) + c * (y - v) ** 2  # noqa: E731
        return sum(scale * sympy.exp(exponent(*rest)) for scale, *rest in table)


class McCormick(Function, tag="mccormick", frozen=True):
    """McCormick's function (1976).

    >>> McCormick().global_minima[0]
    Minimum(point=(-0.5471975511965976, -1.5471975511965976), value=-1.9132229549810362)
    """

    low, high = (-1.5, -3.0), (4.0, 4.0)
    global_minima = (Minimum((0.5 - math.pi / 3, -0.5 - math.pi / 3), -math.sqrt(3) / 2 - math.pi / 3),)
    local_minima = 2

    def of(self, x: Symbols) -> Expr:
        import sympy

        x, y = x
        return sympy.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1


SHEKEL_CENTERS = (
    (4, 4, 4, 4), (1, 1, 1, 1), (8, 8, 8, 8), (6, 6, 6, 6), (3, 7, 3, 7), (2, 9, 2, 9), (5, 5, 3, 3), (8, 1, 8, 1), (6, 2, 6, 2), (7, 3.6, 7, 3.6),
)  # fmt: skip
SHEKEL_WIDTHS = (0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5)


class Shekel(Function, tag="shekel", frozen=True):
    """Shekel's foxholes (1971) in 4 parameters, with `m` = 5, 7 or 10 of them.

    >>> Shekel().global_minima[0]
    Minimum(point=(4.000746531587, 4.000592934138, 3.99966339804, 3.999509800585), value=-10.536409816692)
    """

    meanings = {"m": "How many holes there are: 5, 7 or 10."}

    m: int = 10

    low, high = 0.0, 10.0
    dimension = 4

    def __post_init__(self) -> None:
        if self.m not in (5, 7, 10) or isinstance(self.m, bool):
            raise ValueError(f"Shekel.m must be 5, 7 or 10; {given(self.m)} was given")

    def of(self, x: Symbols) -> Expr:
        holes = list(zip(SHEKEL_CENTERS, SHEKEL_WIDTHS, strict=True))[: self.m]
        return -sum(1 / (sum((v - c) ** 2 for v, c in zip(x, center, strict=True)) + width) for center, width in holes)

    @property
    def global_minima(self) -> tuple[Minimum, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Near (4, 4, 4, 4)."""
        return {
            5: (Minimum((4.000037152819, 4.000133276591, 4.000037152819, 4.000133276591), -10.153199679058),),
            7: (Minimum((4.000572915078, 4.000689366159, 3.999489709436, 3.999606158310), -10.402940566819),),
            10: (Minimum((4.000746531587, 4.000592934138, 3.999663398040, 3.999509800585), -10.536409816692),),
        }[self.m]

    @property
    def local_minima(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One in each hole."""
        return self.m


class Saddle(Function, tag="saddle", frozen=True):
    """x^2 - y^2, unbounded below: from y = 0 gradient descent stays at the saddle for ever.

    >>> Saddle().formula()
    x**2 - y**2
    """

    local_minima = 0

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return x**2 - y**2


class MonkeySaddle(Function, tag="monkey_saddle", frozen=True):
    """x^3 - 3 x y^2, unbounded below: its Hessian vanishes at the saddle.

    >>> MonkeySaddle().formula()
    x**3 - 3*x*y**2
    """

    local_minima = 0

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return x**3 - 3 * x * y**2


class CubicWell(Function, tag="cubic_well", frozen=True):
    """w^3/3 - w: a minimum at 1 beside a slope without end.

    >>> CubicWell().formula()
    x1**3/3 - x1
    """

    low, high = -2.0, 2.0
    dimension = 1
    local_minima = 1

    def of(self, x: Symbols) -> Expr:
        (w,) = x
        return w**3 / 3 - w


class DoubleWell(Function, tag="double_well", frozen=True):
    """w^4/4 - w^2/2: gradient descent is stable at its minima up to a rate of 1.

    >>> DoubleWell().global_minima[0]
    Minimum(point=(-1.0,), value=-0.25)
    """

    low, high = -2.0, 2.0
    dimension = 1
    global_minima = (Minimum((-1.0,), -0.25), Minimum((1.0,), -0.25))
    local_minima = 2

    def of(self, x: Symbols) -> Expr:
        (w,) = x
        return w**4 / 4 - w**2 / 2


class Product(Function, tag="product", frozen=True):
    """(1 - x y)^2 / 2, with a valley of minima along x y = 1 whose sharpness is x^2 + y^2.

    >>> Product().global_minima[0]
    Minimum(point=(1.0, 1.0), value=0.0)
    """

    low, high = -4.0, 4.0
    global_minima = (Minimum((1.0, 1.0), 0.0), Minimum((-1.0, -1.0), 0.0))  # two points of the curve x y = 1

    def of(self, x: Symbols) -> Expr:
        x, y = x
        return (1 - x * y) ** 2 / 2


class NoisyQuadratic(Function, tag="noisy_quadratic", frozen=True):
    """curvature/2 w^2 + noise w xi, with xi drawn from `samples` normal numbers of mean 0 and variance 1, one
    for each of a batch.

    With `batch=1` and `shuffle="replacement"` its gradient has the standard deviation `noise`, and what a
    rule's variance becomes is known exactly.

    >>> NoisyQuadratic(noise=0.1).data.X.shape
    (4096, 1)
    """

    meanings = {
        "curvature": "The second derivative, in [0, inf).",
        "noise": "The standard deviation of a sample's gradient about the mean, in [0, inf).",
        "samples": "How many numbers xi there are, a whole number from 2.",
    }

    curvature: float = 1.0
    noise: float = 1.0
    samples: int = 4096

    dimension = 1
    global_minima = (Minimum((0.0,), 0.0),)
    local_minima = 1

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        for name in ("curvature", "noise"):
            put(name, checked_one(getattr(self, name), f"NoisyQuadratic.{name}", Range(0.0, math.inf)))
        put("samples", checked_whole(self.samples, "NoisyQuadratic.samples", 2))

    @property
    def names(self) -> tuple[str, ...]:
        return ("w",)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("xi", "none")

    @property
    def data(self) -> Data:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _normal_samples(self.samples)

    def of(self, x: Symbols) -> Expr:
        (w,) = x
        return self.curvature * w**2 / 2 + self.noise * w * symbol("xi")


@functools.cache
def _normal_samples(count: int) -> Data:
    from gdsim.lanes.draws import normal_numbers
    from gdsim.lanes.philox import SPLIT

    draws = normal_numbers(0, np.zeros(1, np.uint32), (SPLIT, 1), count)[0]
    draws = draws - math.fsum(draws) / count
    return Data((draws / math.sqrt(math.fsum(draws**2) / count))[:, None], np.zeros(count), name="normal numbers")
