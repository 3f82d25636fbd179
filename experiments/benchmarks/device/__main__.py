"""Three measurements that wait for a machine with a GPU; README.md says what they need and how they are run:
`python -m experiments.benchmarks.device threads run`.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from experiments.benchmarks.device import threads
from gdsim.sweep.planning.machine import usable_cores

FOLDER = pathlib.Path("results/device")


def count(text: str) -> int:
    """A whole number from 1. Raises ValueError, which argparse reports."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    whole = argparse.ArgumentParser(prog="python -m experiments.benchmarks.device", description=(__doc__ or "").partition(";")[0])
    parts = whole.add_subparsers(dest="part", required=True)
    actions = parts.add_parser(threads.PART, help="how a sweep's time on this processor falls with threads").add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="measures")
    run.add_argument("--most", type=count, default=min(16, usable_cores()), help="threads at most (default: as there are processors, up to 16)")
    run.add_argument("--seconds", type=float, default=120.0, help="after which what is left is not run (default: 120)")
    run.add_argument("--out", type=pathlib.Path, default=FOLDER, help=f"where the results go (default: {FOLDER})")
    return whole


def main(words: Sequence[str] | None = None) -> int:
    """Does what the command line asks for; the exit code."""
    options = parser().parse_args(words)
    code, line = threads.run(options.out, options.most, options.seconds)
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
