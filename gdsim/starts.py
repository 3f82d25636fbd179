"""Initial points: where the runs of a population begin. Start i is the same point in every cell."""

import hashlib
from typing import Any, Literal

import msgspec
import numpy as np

from gdsim.axes import Range, checked_one, nearest
from gdsim.lanes.philox import INITIAL_POINT

POSITIVE = Range(0.0, float("inf"), low_allowed=False)
ANY = Range(float("-inf"), float("inf"), low_allowed=False)


class Normal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="normal"):
    """Every parameter normal, with mean 0 and standard deviation `std`.

    >>> Normal(std=0.5).std
    0.5
    """

    std: float = 1.0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "std", checked_one(self.std, "Normal.std", POSITIVE))


class Uniform(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="uniform"):
    """Every parameter uniform between `low` and `high`.

    >>> Uniform(-2, 2).high
    2.0
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            msgspec.structs.force_setattr(self, name, checked_one(getattr(self, name), f"Uniform.{name}", ANY))
        if not self.low < self.high:
            raise ValueError(f"Uniform needs low < high; {self.low!r} and {self.high!r} were given")


class Points:
    """Initial points given as an array [start, parameter]."""

    def __init__(self, values: Any) -> None:
        self.values = np.ascontiguousarray(values, np.float64)
        if self.values.ndim != 2 or not np.isfinite(self.values).all():
            raise ValueError(f"init as an array must be finite and [start, parameter]; shape {self.values.shape} was given")

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers."""
        return hashlib.sha256(f"{self.values.shape}".encode() + self.values.tobytes()).hexdigest()


NAMES = ("glorot", "he", "zeros", "box")
Init = Literal["glorot", "he", "zeros", "box"] | Normal | Uniform | Points


def checked_init(value: Any) -> Init:
    """An init in its normal form, or an error."""
    if isinstance(value, (Normal, Uniform, Points)) or (isinstance(value, str) and value in NAMES):
        return value
    if isinstance(value, str):
        raise ValueError(f"init {value!r} is not known; {nearest(value, NAMES)}, gd.Normal(std), gd.Uniform(low, high) or an array [start, parameter]")
    if isinstance(value, dict):
        try:
            return msgspec.convert(value, Normal | Uniform)
        except msgspec.ValidationError as error:
            raise ValueError(f"init: {error}") from None
    if isinstance(value, (np.ndarray, list)):
        return Points(value)
    raise TypeError(f"init must be one of {', '.join(map(repr, NAMES))}, gd.Normal, gd.Uniform or an array [start, parameter]; {value!r} was given")


def initial_points(init: Init, problem: Any, seed: int, starts: np.ndarray) -> np.ndarray:
    """[start, parameter] float64, laid out as the problem's parameter vector: of networks W (units x inputs, row by row), then b.

    "glorot" is uniform within sqrt(6 / (inputs + units)) (Glorot and Bengio 2010), "he" normal with standard deviation
    sqrt(2 / inputs) (He et al. 2015), both with biases 0.
    """
    from gdsim.lanes.draws import normal_numbers, uniform_numbers

    layers, count = problem.layers, problem.parameter_count
    if init in ("glorot", "he") and not layers:
        raise ValueError(f"init={init!r} scales the layers of networks; {type(problem).__name__} takes 'box', 'zeros', gd.Normal, gd.Uniform or an array")
    if isinstance(init, Points):
        return init.values[starts]
    if init == "zeros":
        return np.zeros((len(starts), count))
    normal = init == "he" or isinstance(init, Normal)
    draws = (normal_numbers if normal else uniform_numbers)(seed, starts.astype(np.uint32), (INITIAL_POINT, 0), count)
    if isinstance(init, Normal):
        return draws * init.std
    if init == "box" or isinstance(init, Uniform):
        low, high = (np.asarray(v, np.float64) for v in (problem.box if init == "box" else (init.low, init.high)))
        return low + (high - low) * draws
    scales = [np.sqrt(2.0 / inputs if normal else 6.0 / (inputs + units)) for inputs, units in layers]
    by_parameter = [np.r_[np.full(inputs * units, s), np.zeros(units * problem.intercept)] for s, (inputs, units) in zip(scales, layers, strict=True)]
    return (draws if normal else 2.0 * draws - 1.0) * np.concatenate(by_parameter)
