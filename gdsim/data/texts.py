"""Tables of text (CSV): read by pandas; what is wrong with one is said in a line, with the call that reads
it.
"""

import contextlib
import pathlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdsim.data.columns import row_of
from gdsim.words import count_of


def table_of_text(path: pathlib.Path) -> Any:
    """A table of text as pandas reads it, but for names that stand twice, which pandas would number.

    Raises ValueError.
    """
    import pandas

    _refuse_binary(path)
    exact: dict[str, Any] = {} if int(pandas.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}  # else the last bit is off at times
    with _explained(path):
        names = pandas.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, index_col=False).iloc[0].tolist()
        if len(names) == 1:
            _refuse_other_marks(path)
        # Without index_col the first column of longer rows would be an index; of low_memory's pieces of a
        # column some would be numbers, some texts.
        frame = pandas.read_csv(path, index_col=False, low_memory=False, **exact)
    if len(set(names)) < len(names) and len(names) == frame.shape[1]:
        frame.columns = names
    return frame


def refuse_other_words(path: pathlib.Path, frame: Any, targets: Sequence[str]) -> None:
    """Raises ValueError for a label that the reader takes for something else: NA or None for a missing value,
    01 for the number 1.
    """
    for name in targets:
        kind, missing = frame[name].dtype.kind, np.flatnonzero(frame[name].isna())
        if not len(missing) and kind != "i":
            continue
        words = _words(path, frame, name)
        row = next((i for i in missing if words[i].strip()), None)
        if row is not None:
            raise ValueError(
                f"column {name!r} has the text {words[row]!r} in {row_of(frame, int(row))}, which the reader takes for a missing value: rename that label, or "
                f"leave those rows out; pandas.read_csv(path, keep_default_na=False) keeps it as a label, in a frame for gd.Data"
            )
        row = next((i for i, word in enumerate(words) if re.match(r"\s*[+-]?0\d", word)), None) if kind == "i" else None
        if row is not None:
            raise ValueError(
                f"column {name!r} has {words[row]!r} in {row_of(frame, row)}, which the reader takes for the number {frame[name].iloc[row]}: write it so if it "
                f"is a number; pandas.read_csv(path, dtype={{{name!r}: str}}) keeps it as a label, in a frame for gd.Data"
            )


def _words(path: pathlib.Path, frame: Any, name: str) -> list[str]:
    """A column as it is written."""
    import pandas

    return pandas.read_csv(path, index_col=False, usecols=[frame.columns.get_loc(name)], dtype=str, keep_default_na=False).iloc[:, 0].tolist()


def _first_lines(path: pathlib.Path) -> list[str]:
    """The header and the line below it, of each the beginning."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return [file.readline(10_000), file.readline(10_000)]


def _refuse_binary(path: pathlib.Path) -> None:
    """Raises ValueError for a file that begins as no text in UTF-8 does."""
    with open(path, "rb") as file:
        start = file.read(10_000)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"it is text in UTF-16, and must be in UTF-8: {_instead('encoding=' + repr('utf-16'))}")
    if b"\0" in start:
        raise ValueError("it is no text, but a binary file; a .parquet or an .npz is known by its name's ending")


def _refuse_other_marks(path: pathlib.Path) -> None:
    """Raises ValueError for a header whose fields are set apart by semicolons or tabs."""
    header, line = _first_lines(path)
    mark = next((mark for mark in (";", "\t") if header.count(mark) > header.count(",")), None)
    if mark is not None:
        decimal = ", decimal=','" if re.search(r"\d,\d", line) else ""
        commas = ", and its numbers have decimal commas" if decimal else ""
        raise ValueError(f"its fields are set apart by {mark!r}, and must be by commas{commas}: {_instead(f'sep={mark!r}{decimal}')}")


def _instead(options: str) -> str:
    return f"frame = pandas.read_csv(path, {options}) reads it, for gd.Data(frame.drop(columns=[target]), frame[target])"


@contextlib.contextmanager
def _explained(path: pathlib.Path) -> Iterator[None]:
    """The reader's errors in words of a file's own: its lines and fields."""
    from pandas.errors import EmptyDataError, ParserError, ParserWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)
            yield
    except EmptyDataError:
        raise ValueError("it is empty; a line of column names, and a line for each sample, are needed") from None
    except UnicodeDecodeError:
        raise ValueError(_undecoded(path)) from None
    except ParserWarning:
        raise ValueError(_too_many_fields(path)) from None
    except ParserError as error:
        raise ValueError(_unparsed(path, str(error))) from None


def _undecoded(path: pathlib.Path) -> str:
    """Where a file is no UTF-8."""
    held = path.read_bytes()
    try:
        held.decode()
    except UnicodeDecodeError as error:
        line = held.count(b"\n", 0, error.start) + 1
        return f"line {line} has the byte 0x{held[error.start]:02x}, which is no UTF-8, as in files of Windows or of the encoding latin-1: {_instead('encoding=' + repr('latin-1'))}"
    return "it is no text in UTF-8"


def _too_many_fields(path: pathlib.Path) -> str:
    _refuse_other_marks(path)
    header, _ = _first_lines(path)
    names = header.strip().split(",")
    return f"its rows have more fields than the header, which names {len(names)}: {', '.join(names[:10])}"


def _unparsed(path: pathlib.Path, error: str) -> str:
    """What is wrong with a file of which the reader makes no table."""
    _refuse_other_marks(path)
    counts = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    if counts is not None:
        expected, line, found = counts.groups()
        return f"line {line} has {count_of(int(found), 'field')}, and those before it {expected}; a text that holds a comma must stand in double quotes"
    opened = re.search(r"EOF inside string starting at row (\d+)", error)
    if opened is not None:
        return f"a double quote that opens in line {int(opened[1]) + 1} is not closed"  # the reader counts from 0
    return "its lines are no table of fields that commas set apart"
