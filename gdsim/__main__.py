"""`gdsim`, and `python -m gdsim`: Ctrl-C is heard before anything else is loaded."""

import os
import signal
from typing import Any


def _leave(*_: Any) -> None:
    os.write(2, b"interrupted\n")
    raise SystemExit(130)


def main() -> None:
    """The command line."""
    signal.signal(signal.SIGINT, _leave)
    from gdsim.cli import main as command

    command(prog_name="gdsim")


if __name__ == "__main__":
    main()
