"""Columns of pandas and Arrow tables as numbers and labels; what is wrong is said by column and row."""

import contextvars
import datetime
import decimal
import itertools
import numbers
import sys
from typing import Any

import numpy as np

from gdsim.words import count_of

# How columns of features are left out, where they were given: in a frame, or in a file that is read.
LEFT_OUT: contextvars.ContextVar[str] = contextvars.ContextVar("LEFT_OUT", default="frame.drop(columns={})")


def frame_of(value: Any) -> Any:
    """The pandas DataFrame that a value is, or that an Arrow or Polars table becomes; None of anything else.

    Imports nothing.
    """
    return _in_pandas(value, "DataFrame")


def series_of(value: Any) -> Any:
    """The pandas Series that a value is, or that an Arrow or Polars column becomes; None of anything else."""
    return _in_pandas(value, "Series")


def _in_pandas(value: Any, kind: str) -> Any:
    """The "DataFrame" or "Series" of pandas that a value is or becomes; None of anything else."""
    is_foreign = type(value).__module__.split(".")[0] in ("pyarrow", "polars") and hasattr(value, "to_pandas")
    if is_foreign and hasattr(value, "columns") == (kind == "DataFrame"):
        value = value.to_pandas()
    pandas = sys.modules.get("pandas")
    return value if pandas is not None and isinstance(value, getattr(pandas, kind)) else None


def row_of(frame: Any, row: int) -> str:
    """A row in words: its place from 1, and its label in the index, as a file of text has it the line."""
    return f"row {row + 1} of {len(frame)} (index {frame.index[row]})"


def names_of(frame: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns, if they are texts. Raises ValueError for one that stands twice."""
    names = list(frame.columns)
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f"the column {twice!r} stands twice; rename one of them, or leave it out")
    return tuple(names) if all(isinstance(n, str) for n in names) else None


def numbers_of(frame: Any) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """(a frame's columns as numbers [row, column], their names)."""
    names = names_of(frame)
    if not frame.shape[1]:
        return np.zeros((len(frame), 0)), names
    _refuse_unlearnable(frame)
    return np.stack([_numbers(frame.iloc[:, i], frame.columns[i]) for i in range(frame.shape[1])], 1), names


def targets_in(frame: Any) -> np.ndarray:
    """[row, column] labels or numbers of a frame, of one column too."""
    names_of(frame)
    return np.stack([targets_of(frame.iloc[:, i]) for i in range(frame.shape[1])], 1) if frame.shape[1] else np.zeros((len(frame), 0))


def targets_of(column: Any) -> np.ndarray:
    """A column's labels or numbers: integers, floats or texts."""
    import pandas

    name = column.name if column.name is not None else "y"
    refuse_missing(column, name, "fill them in, or leave those rows out")
    column = (column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pandas.CategoricalDtype) else column).infer_objects()
    types = pandas.api.types
    if types.is_bool_dtype(column.dtype):
        return column.to_numpy(np.int64)
    if types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.uint64 if types.is_unsigned_integer_dtype(column.dtype) else np.int64)
    if types.is_float_dtype(column.dtype):
        return _finite(column.to_numpy(np.float64), column, name)
    values = column.to_numpy(object)
    odd = next((i for i, v in enumerate(values) if not isinstance(v, str)), None)
    if odd is not None:
        raise ValueError(f"column {name!r} has {_said(values[odd])} in {row_of(column, odd)}; targets must be all numbers, or all texts")
    return values


def same_rows(**given: Any) -> None:
    """Refuses frames and series that hold the same rows in different orders: they would be put together by
    place.
    """
    indices = {name: table.index for name, value in given.items() if (table := _table_of(value)) is not None}
    for (name, one), (other, two) in itertools.combinations(indices.items(), 2):
        if len(one) == len(two) and not one.equals(two) and one.is_unique and two.is_unique and not len(one.difference(two)):
            raise ValueError(
                f"{name} and {other} have the same rows by their index, in different orders; give {other}.loc[{name}.index], or both without an index"
            )


def _table_of(value: Any) -> Any:
    """The frame or series that a value is or becomes; None of anything else."""
    frame = frame_of(value)
    return frame if frame is not None else series_of(value)


def _numbers(column: Any, name: Any) -> np.ndarray:
    import pandas

    refuse_missing(column, name, f"fill them in, leave those rows out, or leave the column out ({LEFT_OUT.get().format([name])})")
    types = pandas.api.types
    is_numeric = types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)
    return _finite(column.to_numpy(np.float64) if is_numeric else column.to_numpy(object).astype(np.float64), column, name)


def _finite(found: np.ndarray, column: Any, name: Any) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise ValueError(f"column {name!r} has {found[bad[0]]} in {row_of(column, bad[0])}; all must be finite")
    return found


def _refuse_unlearnable(frame: Any) -> None:
    """Raises ValueError for columns of features that hold texts, dates or other things that are no numbers:
    all of them at once.
    """
    wrong = {name: said for i, name in enumerate(frame.columns) if (said := _unlearnable(frame.iloc[:, i], name)) is not None}
    if wrong:
        first, *others = wrong.values()
        rest = f"; no numbers are in {', '.join(map(repr, list(wrong)[1:]))} either" if others else ""
        raise ValueError(f"{first}{rest}: leave {'them' if others else 'it'} out ({LEFT_OUT.get().format(list(wrong))}), or encode as numbers")


def _unlearnable(column: Any, name: Any) -> str | None:
    """What is no number in a column of features, None where all are; missing values are another's to tell."""
    import pandas

    types = pandas.api.types
    if types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype):
        return None
    missing, values = column.isna().to_numpy(), column.to_numpy(object)
    bad = [i for i, v in enumerate(values) if not (missing[i] or isinstance(v, (numbers.Real, np.bool_, decimal.Decimal)))]
    if not bad:
        return None
    bad = [i for i in bad if not _reads_as_number(values[i])] or bad  # one word makes texts of a file's whole column
    return f"column {name!r} has {_said(values[bad[0]])} in {row_of(column, bad[0])}, which is no number ({count_of(len(bad), 'such value')})"


def _said(value: Any) -> str:
    """A value of a column in an error: dates as they are written."""
    return f"the date {value}" if isinstance(value, datetime.date) else repr(value)


def _reads_as_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def refuse_missing(column: Any, name: Any, remedy: str) -> None:
    """Raises ValueError for a column with missing values, which says where the first is."""
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise ValueError(f"column {name!r} has {count_of(len(missing), 'missing value')}, the first in {row_of(column, missing[0])}: {remedy}")
