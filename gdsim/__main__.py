"""`gdsim`, and `python -m gdsim`: Ctrl-C is heard before anything else is loaded."""

import gc
import os
import signal
from typing import Any

# Objects made between two searches for cycles, and searches between those of older ones: a command imports half a
# million objects, which stay, and would spend an eighth of its start on them.
BETWEEN_COLLECTIONS = (100_000, 20, 20)


def _leave(*_: Any) -> None:
    os.write(2, b"interrupted\n")
    raise SystemExit(130)


def main() -> None:
    """The command line."""
    signal.signal(signal.SIGINT, _leave)
    gc.set_threshold(*BETWEEN_COLLECTIONS)
    from gdsim.cli import main as command

    try:
        command(prog_name="gdsim")
    finally:
        gc.freeze()  # of what is dropped now, no cycles are searched for: the process ends in a fifth of the time


if __name__ == "__main__":
    main()
