"""Names of files and folders as people give them: `~` is the home folder, and a name that no file can have is refused."""

import os
import pathlib
from typing import Any

from gdsim.axes import nearest


def user_path(value: Any, what: str = "path") -> pathlib.Path:
    """The file or folder that a user has named, `~` and `~user` being home folders.

    `what` is the argument's name, for messages. Raises TypeError for what is no name, and ValueError for a name that
    no file can have, that is not UTF-8, or whose home folder is not known.

    >>> user_path("results/digits").as_posix()
    'results/digits'
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(text := os.fspath(value), str):
        raise TypeError(f'{what} must be the name of a file or folder, as in "results/digits"; {value!r} was given')
    if not text.strip() or "\0" in text:
        raise ValueError(f"{what} must be the name of a file or folder; {text!r} was given")
    try:
        path = pathlib.Path(text).expanduser()
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!a} is not UTF-8, or lies in a folder whose name is not: rename it, or give another") from None
    except RuntimeError:
        raise ValueError(f"{what} {text!r} names a home folder that is not known: write the path in full") from None
    except FileNotFoundError:
        raise ValueError(f"{what} {text!r} is seen from the current folder, which has gone: change into one that is there") from None
    return path


def why_no_results(folder: pathlib.Path) -> str:
    """What to say of a folder of results that is not one, and which may have been meant."""
    if not folder.exists():
        here = folder.parent
        if not here.is_dir():
            return f"there are no gdsim results in {str(folder)!r}: neither this folder nor the one around it is there"
        near = [p.name for p in _results_in(here)]
        return f"there are no gdsim results in {str(folder)!r}: there is no such folder" + (f"; in {str(here)!r}, {nearest(folder.name, near)}" if near else "")
    if not folder.is_dir():
        return f"{str(folder)!r} is a file; give the folder of the results{_or(folder)}"
    within = [str(p) for p in _results_in(folder)]
    meant = f"; {', '.join(map(repr, within[:3]))}{' and others' if len(within) > 3 else ''} {'does' if len(within) == 1 else 'do'}" if within else _or(folder)
    return f"{str(folder)!r} holds no gdsim results: there is no experiment.json{meant}"


def _results_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of results that lie in a folder, which may not be ours to read."""
    try:
        return sorted(p.parent for p in folder.glob("*/experiment.json"))
    except OSError:
        return []


def _or(place: pathlib.Path) -> str:
    """The folder of results in which a place lies, as a hint."""
    above = next((p for p in list(place.parents)[:2] if (p / "experiment.json").is_file()), None)
    return f", {str(above)!r}" if above else ""
