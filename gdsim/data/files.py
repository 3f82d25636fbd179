"""Data from files: tables of text or Parquet with a column of targets, and NumPy's archives."""

import contextlib
import itertools
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdsim.data.columns import LEFT_OUT, names_of
from gdsim.data.texts import refuse_other_words, table_of_text
from gdsim.words import given, nearest

KINDS = (".csv", ".parquet", ".npz")


def contents_of(path: pathlib.Path, target: Any, drop: Any, features: Any) -> dict[str, Any]:
    """What `gd.Data` is made of: X and y of a file, and the sets, weights and names that it holds beside
    them.
    """
    if path.suffix not in KINDS:
        raise ValueError(f"unknown kind {path.suffix!r}; allowed: {', '.join(KINDS)}")
    if path.suffix == ".npz":
        if target != "y" or features is not None or drop:
            raise ValueError("target, drop and features choose columns of .csv and .parquet; an .npz holds the arrays X and y")
        return _from_arrays(arrays_in(path))
    frame = table_of_text(path) if path.suffix == ".csv" else _parquet(path)
    names_of(frame)
    frame.columns = [str(c) for c in frame.columns]
    targets, inputs = chosen_columns(list(frame.columns), target, drop, features)
    if path.suffix == ".csv":
        refuse_other_words(path, frame, targets)
    return {"X": frame[inputs], "y": frame[targets if len(targets) > 1 else targets[0]]}


@contextlib.contextmanager
def said_of(path: pathlib.Path | str) -> Iterator[None]:
    """Errors of reading a file as one ValueError that names it; in the block `drop=` leaves out columns."""
    before = LEFT_OUT.set("drop={}")
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"there is no data file {str(path)!r}") from None
    except (ValueError, TypeError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"data file {str(path)!r}: {' '.join(str(error).split()) or type(error).__name__}") from None
    finally:
        LEFT_OUT.reset(before)


def arrays_in(file: Any) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, a path or an open file; nothing in it is unpickled."""
    try:
        if not hasattr(file, "read"):  # NumPy 2.0 leaves a file open that it cannot read
            with open(file, "rb") as opened:
                return arrays_in(opened)
        with np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except FileNotFoundError:
        raise
    except (OSError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is empty, cut or damaged, or no .npz at all ({' '.join(str(error).split())})") from None


def _from_arrays(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    missing = [k for k in ("X", "y") if k not in arrays]
    if missing:
        raise ValueError(f"it has no array {missing[0]!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    held = {}
    for n in ("validation", "test"):
        pair = [k for k in (f"X_{n}", f"y_{n}") if k in arrays]
        if len(pair) == 1:
            raise ValueError(f"it has {pair[0]!r} alone; a {n} set is X_{n} and y_{n} together")
        if pair:
            held[n] = (arrays[f"X_{n}"], arrays[f"y_{n}"])
    return held | {n: arrays[n] for n in ("X", "y", "sample_weight", "class_names") if n in arrays}


def _parquet(path: pathlib.Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path).read().to_pandas()
    except pyarrow.ArrowException as error:
        raise ValueError(f"it is empty, cut or damaged, or no .parquet at all ({' '.join(str(error).split())})") from None


def chosen_columns(names: Sequence[str], target: Any, drop: Any, features: Any) -> tuple[list[str], list[str]]:
    """(columns of targets, columns of features) of a table with these columns.

    Raises ValueError for those that it has not.
    """
    targets, dropped = _listed(target, "target"), _listed(drop, "drop")
    wanted = None if features is None else _listed(features, "features")
    for word, chosen in (("target", targets), ("drop", dropped), ("features", wanted or [])):
        for name in chosen:
            if name not in names:
                raise ValueError(f"it has no column {name!r}, as {word} says; {nearest(name, list(names))}")
    for (word, chosen), (other, taken) in itertools.combinations((("target", targets), ("features", wanted or []), ("drop", dropped)), 2):
        if twice := [n for n in chosen if n in taken]:
            raise ValueError(f"column {twice[0]!r} is in {word} and also in {other}: leave it out of one of them")
    inputs = [n for n in names if n not in targets and n not in dropped] if wanted is None else wanted
    if not targets or not inputs:
        raise ValueError(f"no column is left to {'learn from' if targets else 'learn'}; it has {', '.join(names)}")
    return targets, inputs


def _listed(value: Any, name: str) -> list[str]:
    found = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else None
    if found is None or not all(isinstance(v, str) for v in found):
        raise TypeError(f"{name} must be a column's name, or a list of them; {given(value)} was given")
    twice = next((v for v in found if found.count(v) > 1), None)
    if twice is not None:
        raise ValueError(f"{name} names the column {twice!r} twice; name it once")
    return found
