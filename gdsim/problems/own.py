"""A problem of your own, written as lane functions in your own file.

    from gdsim.lanes import exp

    def value_and_gradient(x):
        u, v = x[0], x[1]
        e = exp(u)
        return e + v * v, (e, 2.0 * v)

`x` is a tuple of lanes, one per parameter; what comes back is the value and a tuple of the partial derivatives. Lanes take
+ - * /, comparisons, `gdsim.lanes`' functions, and `sqrt`, `absolute`, `where`, `minimum`, `maximum` of `gdsim.lanes.operations`.
Functions may call other functions of the file; they may not close over variables.
"""

import hashlib
import importlib
import pathlib
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.lanes.compiler import code_text, file_hash, reached
from gdsim.lanes.generated import function_from
from gdsim.lanes.mapping import mapped
from gdsim.lanes.modes import ieee_mode
from gdsim.problems.base import Problem

FINITE = Range(float("-inf"), float("inf"), low_allowed=False)
# Parameters of a function that is held in registers; beyond, compiling takes minutes.
MOST_PARAMETERS = 256


class Own(Problem, tag="own", frozen=True):
    """A function of your own: `function(x)` gives (value, gradient) of a tuple of `dim` lanes; its module says how to write one.

    `function` is the function, or "module:name". `low` and `high` bound the box in which runs start. In an experiment file
    the module is looked for beside the file first.

    >>> def bowl(x):
    ...     return 0.5 * (x[0] * x[0] + 4.0 * x[1] * x[1]), (x[0], 4.0 * x[1])
    >>> Own(bowl, dim=2).check_gradient() < 1e-8
    True
    """

    function: Any
    dim: int
    low: float = -1.0
    high: float = 1.0
    source: str = ""  # a hash of the function's code, by which a changed function is a different problem; results folders give theirs

    data: ClassVar[Any] = None
    l1: ClassVar[float] = 0.0
    l2: ClassVar[float] = 0.0
    is_classifier: ClassVar[bool] = False
    default_init = "box"

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        put("dim", checked_whole(self.dim, "Own.dim", 1, MOST_PARAMETERS + 1))
        for name in ("low", "high"):
            put(name, checked_one(getattr(self, name), f"Own.{name}", FINITE))
        if not self.low < self.high:
            raise ValueError(f"Own needs low < high; {self.low!r} and {self.high!r} were given")
        put("function", found(self.function) if isinstance(self.function, str) else self.function)
        if not callable(self.function) or not hasattr(self.function, "__code__"):
            raise TypeError(f'Own.function must be a Python function or "module:name"; {self.function!r} was given')
        put("source", self.source or self._current_source())

    def _current_source(self) -> str:
        texts = [code_text(f.__code__) + file_hash(f.__code__.co_filename) for f in reached(self.function, {})]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    @property
    def is_edited(self) -> bool:
        """Whether the function is another by now than the one that the problem was declared with, as in a results folder."""
        return self.source != self._current_source()

    @property
    def name(self) -> str:
        """The function's place, module:name."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def box(self) -> tuple[float, float]:
        """The lowest and highest values at which runs start."""
        return self.low, self.high

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return self.dim

    def parts(self) -> dict[str, Any]:
        """The function that a kernel is bound with."""
        return {"value_and_gradient": self.function}

    def structure(self) -> list[Any]:
        """What decides the kernel's code."""
        return [self.name, self.dim, self.source]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"function": self.name}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step, about."""
        return 40.0 * self.dim

    def check_gradient(self, points: int = 16, *, tolerance: float = 1e-5, seed: int = 0) -> float:
        """The largest error of the gradient beside central differences, at random points of the box, relative to 1 + |gradient|.

        Raises ValueError if it is beyond `tolerance`, and says which component is worst, and where.
        """
        text = f"def both(x):\n    value, gradient = own(x)\n    return (value, {', '.join(f'gradient[{i}]' for i in range(self.dim))})"
        both = function_from(text, "both", {"own": self.function})
        at = np.random.default_rng(seed).uniform(self.low, self.high, (points, self.dim))
        with ieee_mode():
            exact = mapped(both, at, self.dim + 1)[:, 1:]
            steps = 6e-6 * (1.0 + abs(at))
            apart = np.stack([at + sign * steps[:, [i]] * np.eye(self.dim)[i] for i in range(self.dim) for sign in (1, -1)], 1)
            values = mapped(both, apart.reshape(-1, self.dim), self.dim + 1)[:, 0].reshape(points, self.dim, 2)
        numeric = (values[..., 0] - values[..., 1]) / (2.0 * steps)
        errors = abs(exact - numeric) / (1.0 + abs(numeric))
        place, worst = np.unravel_index(np.nanargmax(errors) if np.isfinite(errors).any() else 0, errors.shape)
        if not errors.max() <= tolerance:
            raise ValueError(
                f"the gradient of {self.name} is wrong: component {worst} is {exact[place, worst]:.6g}, differences give {numeric[place, worst]:.6g}, "
                f"at x = {np.array2string(at[place], precision=4)}"
            )
        return float(errors.max())


def found(name: str, folder: pathlib.Path | None = None) -> Callable[..., Any]:
    """The function "module:name", its module beside an experiment file or where Python finds it."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise ValueError(f'a function is named as "module:name"; {name!r} was given')
    beside = [] if folder is None else [str(folder)]
    sys.path[:0] = beside
    try:
        value = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise ValueError(f"the module of {name!r} cannot be imported: {error}") from None
    finally:
        del sys.path[: len(beside)]
    if value is None:
        raise ValueError(f"the module {module!r} has no {attribute!r}")
    return value
