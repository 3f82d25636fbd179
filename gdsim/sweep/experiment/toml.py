"""Files in TOML that people write: read with bounds, and what is wrong is one line."""

import pathlib
import re
import tomllib
from typing import Any

from gdsim.filenames import user_path

# Such a file says what is done, and holds no data.
MOST_BYTES = 2**20
# A key of very many parts, for which Python's reader takes the square of their number in time and memory.
MOST_DOTS, NO_KEY = 64, re.compile(r"[^\w.\"' \t-]")


def read_toml(path: str | pathlib.Path, what: str) -> tuple[pathlib.Path, dict[str, Any]]:
    """(path, table) of a TOML file; `what` names its kind in messages, as "experiment". Raises ValueError."""
    path = user_path(path, f"the {what} file")
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")  # which Windows marks
    except FileNotFoundError:
        raise ValueError(f"there is no {what} file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the {what} file {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path}: it is longer than {MOST_BYTES:,} bytes, the most that such a file may have")
    if any(part.count(".") > MOST_DOTS for part in NO_KEY.split(text)):
        raise ValueError(f"{path}: not valid TOML here: a key of so many parts is not known")
    try:
        return path, tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path}: not valid TOML: too deeply nested") from None
    except ValueError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
