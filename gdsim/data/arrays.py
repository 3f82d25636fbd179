"""What a caller gives, as arrays of gdsim's own: copied, checked, and read-only.

Lists, tensors, frames and series are taken as they are.
"""

import functools
import hashlib
import math
import numbers
from typing import Any, Self

import numpy as np

from gdsim.data import columns
from gdsim.words import count_of, given

WHOLE = np.iinfo(np.int64)


def kept(values: np.ndarray) -> np.ndarray:
    """The array, which nothing may write to any more."""
    values.setflags(write=False)
    return values


class Array:
    """An array that a declaration holds: a snapshot, known by the hash of its numbers."""

    def __init__(self, values: Any) -> None:
        self.values = kept(np.array(plain(values, "an array"), np.float64, order="C"))

    @classmethod
    def of(cls, values: Any, name: str, dims: int | None) -> Self:
        """A finite array of `dims` dimensions, or an error."""
        if isinstance(values, cls):
            return values
        found = plain(values, name)
        try:
            made = cls(found)
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be an array of numbers; {type(values).__name__} was given") from None
        if made.values.size == 0 or made.values.ndim != dims or not np.isfinite(made.values).all():
            raise ValueError(f"{name} must be a finite array of {dims} dimensions; shape {made.values.shape} was given")
        return made

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers."""
        return hashlib.sha256(f"{self.values.shape}".encode() + self.values.tobytes()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.digest == other.digest

    def __repr__(self) -> str:
        return f"Array({'x'.join(map(str, self.values.shape))})"


def plain(value: Any, name: str) -> np.ndarray:
    """A list, an array or a tensor as a NumPy array, which may still be the caller's.

    Raises for masked values and sparse matrices.
    """
    if isinstance(value, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(value))
        if len(masked):
            raise ValueError(f"{name}[{_place(masked[0])}] is masked ({len(masked)} such values in all): leave those samples out, or fill them in")
    elif hasattr(value, "toarray"):
        raise TypeError(f"{name} is sparse, a {type(value).__name__}; give {name}.toarray()")
    elif hasattr(value, "detach"):  # a PyTorch tensor, wherever it lies and whether or not it asks for gradients
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    elif hasattr(value, "data_vars"):
        raise TypeError(
            f"{name} must be an array, and a Dataset was given; of a result take the parameters of a run, as result.parameters.sel(run=0), which gd.Record(parameters=True) keeps"
        )
    try:
        return np.asarray(value)
    except ValueError:
        said = _ragged(value, name)
    raise TypeError(said or f"{name} must be an array of numbers; {given(value)} was given")


def _ragged(value: Any, name: str) -> str | None:
    """What is wrong with lists of lists of which some are shorter than others, in one line."""
    if not isinstance(value, (list, tuple)):
        return None
    sizes = [count_of(len(v), "number") if isinstance(v, (list, tuple)) or getattr(v, "ndim", 0) else "no row" for v in value]
    odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if odd is not None:
        return f"the rows of {name} must be of one length; {name}[0] has {sizes[0]}, and {name}[{odd}] has {sizes[odd]}".replace("has no row", "is no row")
    return next((said for i, v in enumerate(value) if (said := _ragged(v, f"{name}[{i}]")) is not None), None)


def features_of(X: Any) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """(X[sample, feature] as float64, the names of the columns if it is a frame with names)."""
    frame = columns.frame_of(X)
    if frame is not None:
        return columns.numbers_of(frame)
    return finite(np.array(_real(X, "X"), np.float64, order="C"), "X"), None


def targets_of(y: Any) -> np.ndarray:
    """y[sample] or y[sample, output] as int64, float64 or, of labels that are texts, as text."""
    frame, series = columns.frame_of(y), columns.series_of(y)
    if frame is not None or series is not None:
        y = columns.targets_in(frame) if frame is not None else columns.targets_of(series)
    found = plain(y, "y")
    if found.dtype.kind == "U" and isinstance(y, (list, tuple)):  # of texts and numbers NumPy makes texts
        found = np.asarray(y, object)
    if found.dtype.kind in "OU":
        if (texts := _texts(found)) is not None:
            return texts
        check_labels(found)
    found = _real(found, "y")
    if found.dtype.kind == "u" and found.size and found.max() > WHOLE.max:
        place = np.argwhere(found > WHOLE.max)[0]
        raise ValueError(f"y[{_place(place)}] is {found[tuple(place)]}, beyond the whole numbers of 64 bits; give numbers as floats")
    return finite(np.array(found, np.int64 if found.dtype.kind in "biu" else np.float64, order="C"), "y")


def _texts(found: np.ndarray) -> np.ndarray | None:
    """Labels in a vector that are all texts; None for anything else."""
    found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if found.ndim != 1 or not len(found) or not all(isinstance(v, str) for v in found):
        return None
    return found.astype(str)


def check_labels(found: np.ndarray) -> None:
    """Refuses labels in a vector of which some are texts and others not, or missing. Raises ValueError."""
    labels = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if labels.ndim != 1:
        return
    texts = [isinstance(v, str) for v in labels]
    if any(texts) and not all(texts):
        odd = texts.index(False)
        raise ValueError(
            f"y[{odd}] is {given(labels[odd])}, and y[{texts.index(True)}] the text {given(labels[texts.index(True)])}; labels must be all texts, or all numbers"
        )


def _real(values: Any, name: str) -> np.ndarray:
    try:
        found = plain(values, name)
    except TypeError as error:
        raise TypeError(f"X and y must be arrays of numbers; {error}") from None
    if not found.size:
        return np.zeros(found.shape)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"X and y must be arrays of numbers; {_unreal(found, name)}{': ' + DATES_REMEDY if found.dtype.kind in 'mM' else ''}")
    return found


KINDS = {"U": "texts", "S": "bytes", "c": "complex numbers", "M": "dates", "m": "durations"}
DATES_REMEDY = "give the days since one of them, say, as numbers"


def _unreal(found: np.ndarray, name: str) -> str:
    """What an array is that holds no numbers: its kind, or the first of its values that is none."""
    if found.dtype.kind in KINDS:
        return f"{name} is an array of {KINDS[found.dtype.kind]}"
    odd = next((i for i in np.ndindex(found.shape) if not isinstance(found[i], (numbers.Real, np.bool_))), None)
    return f"{name} is an array of {found.dtype}" if odd is None else f"{name}[{_place(odd)}] is {given(found[odd])}"


def _place(index: Any) -> str:
    return ", ".join(str(i) for i in index)


def finite(values: np.ndarray, name: str) -> np.ndarray:
    """The array, if all its numbers are finite."""
    bad = ~np.isfinite(values)
    if bad.any():
        first = np.argwhere(bad)[0]
        raise ValueError(f"{name} must be finite; {name}[{_place(first)}] is {values[tuple(first)]} ({int(bad.sum())} such numbers in all)")
    return values


def check_fits(values: np.ndarray, dtype: str, name: str, remedy: str, columns: tuple[str, ...] | None = None) -> None:
    """Raises ValueError for finite numbers too large for the number type, naming the first; `columns` are the
    names of a matrix's columns.
    """
    most = float(np.finfo(dtype).max)
    if not values.size or np.can_cast(values.dtype, dtype) or max(float(values.max()), -float(values.min())) <= most:
        return
    beyond = np.argwhere(np.isfinite(values) & (np.abs(values) > most))
    if not len(beyond):
        return
    first = beyond[0]
    column = "" if columns is None else f", of column {columns[first[1]]!r},"
    more = f"; {len(beyond)} such numbers in all" if len(beyond) > 1 else ""
    raise ValueError(f"{name}[{_place(first)}]{column} is {values[tuple(first)]:g}, beyond {dtype}, which holds up to {most:.2g}{more}: {remedy}")


def weights_of(values: Any, count: int) -> np.ndarray:
    """[sample] weights scaled to a mean of 1."""
    series = columns.series_of(values)
    found = plain(values, "sample_weight") if series is None else np.zeros(0)
    try:
        weights = found.astype(np.float64) if series is None else series.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise TypeError(f"sample_weight must be an array of numbers; {_kind(values)} was given") from None
    if weights.shape != (count,):
        raise ValueError(f"sample_weight must be {count} numbers from 0, one per sample; shape {weights.shape} was given")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad) or not weights.any():
        said = f"sample_weight[{bad[0]}] is {weights[bad[0]]} ({len(bad)} such in all)" if len(bad) else "all are zero"
        raise ValueError(f"sample_weight must be finite numbers from 0, not all 0; {said}")
    try:
        return kept(weights * (count / math.fsum(weights)))
    except OverflowError:
        raise ValueError(f"sample_weight must have a finite sum; the largest is {weights.max():g}: only their ratios matter, so divide them by it") from None


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
