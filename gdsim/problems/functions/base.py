"""What a test function is: a formula over SymPy's symbols, its box, and what is known of its minima."""

import functools
from typing import Any, ClassVar, NamedTuple

import msgspec

from gdsim.axes import checked_whole
from gdsim.problems.expressions import Symbolic
from gdsim.problems.formulas import Expr, Symbols, symbol

# A formula's code is straight-line: one of a thousand parameters takes minutes to compile.
MOST_PARAMETERS = 1000


class Minimum(NamedTuple):
    """A known minimum: the point, and the function there.

    >>> import gdsim as gd
    >>> gd.functions.Booth().global_minima[0].point
    (1.0, 3.0)
    """

    point: tuple[float, ...]
    value: float


class Function(Symbolic, frozen=True):
    """A test function: `low` and `high` bound its box, `global_minima` are its lowest points.

    `local_minima` is how many minima there are in the box, or None where that is not known. `value`,
    `gradient` and `hessian` take points [point, parameter] or one, and compile nothing.

    >>> import gdsim as gd
    >>> booth = gd.functions.Booth()
    >>> booth.gradient([[1.0, 3.0], [0.0, 0.0]]).tolist()
    [[0.0, 0.0], [-34.0, -38.0]]
    """

    low: ClassVar[Any] = -1.0
    high: ClassVar[Any] = 1.0
    dimension: ClassVar[Any] = 2
    global_minima: ClassVar[Any] = ()
    local_minima: ClassVar[Any] = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return ("x", "y") if self.dimension == 2 else tuple(f"x{i + 1}" for i in range(self.dimension))

    @property
    def box(self) -> tuple[Any, Any]:
        """The lowest and highest values of each parameter."""
        return self.low, self.high

    def formula(self) -> Expr:
        """The SymPy expression."""
        return _formula(self)

    def of(self, x: Symbols) -> Expr:
        """The formula at SymPy's symbols."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"dim": self.dimension}


@functools.lru_cache(maxsize=256)
def _formula(problem: Function) -> Expr:
    import sympy

    return sympy.sympify(problem.of([symbol(n) for n in problem.names]))


class ManyDimensional(Function, frozen=True):
    """A test function of any number of parameters, whose lowest point has the same coordinate in each."""

    meanings = {"dim": "How many parameters there are."}

    dim: int = 2

    smallest: ClassVar[int] = 1
    lowest: ClassVar[tuple[float, float]] = (0.0, 0.0)  # the coordinate, and the value for each parameter
    minima_per_coordinate: ClassVar[int | None] = None

    @classmethod
    def documented_values(cls, name: str) -> list[str]:
        """What else there is to say of a field's values."""
        return [f"a whole number from {cls.smallest} to {MOST_PARAMETERS}"] if name == "dim" else super().documented_values(name)

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "dim", checked_whole(self.dim, f"{type(self).__name__}.dim", self.smallest, MOST_PARAMETERS + 1))

    @property
    def dimension(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many parameters there are."""
        return self.dim

    @property
    def global_minima(self) -> tuple[Minimum, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The lowest point."""
        return (Minimum((self.lowest[0],) * self.dim, self.lowest[1] * self.dim),)

    @property
    def local_minima(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many minima there are in the box, or None where that is not known."""
        return None if self.minima_per_coordinate is None else self.minima_per_coordinate**self.dim
