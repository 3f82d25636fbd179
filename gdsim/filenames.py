"""Names of files and folders as people give them: `~` is the home folder, and a name that no file can have is
refused.
"""

import os
import pathlib
import re
from typing import Any

from gdsim.words import given

# The beginning of an address.
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def scheme_of(value: Any) -> str:
    """`s3` of `s3://bucket/folder`, of which a Path keeps one slash; nothing of a file's name.

    >>> scheme_of("s3://bucket/folder"), scheme_of("results/digits")
    ('s3', '')
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        return ""
    found = SCHEME.match(text if isinstance(value, str) else text.replace(":/", "://", 1))
    return found[1].lower() if found else ""


def check_place(path: pathlib.Path) -> None:
    """Raises ValueError for a file or folder to be written whose own folder is not there."""
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {str(path.parent)!r} for {path.name!r}")


def user_path(value: Any, what: str = "path") -> pathlib.Path:
    """The file or folder that a user has named, `~` and `~user` being home folders.

    `what` is the argument's name, for messages. Raises TypeError for what is no name, and ValueError for a
    name that no file can have, that is not UTF-8, or whose home folder is not known.

    >>> user_path("results/digits").as_posix()
    'results/digits'
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(text := os.fspath(value), str):
        raise TypeError(f'{what} must be the name of a file or folder, as in "results/digits"; {given(value)} was given')
    if not text.strip() or "\0" in text:
        raise ValueError(f"{what} must be the name of a file or folder; {given(text)} was given")
    if scheme_of(text):
        raise ValueError(f"{what} {text!r} is no name of a file or folder: an address can be that of a folder of results alone, s3://bucket/folder")
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
