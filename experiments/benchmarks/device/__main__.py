"""Three measurements that wait for a machine with a GPU; README.md says what they need and how they are run:
`python -m experiments.benchmarks.device bits run`.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from experiments.benchmarks.device import bits, rows, sums, threads
from experiments.benchmarks.device.folder import UnpreparedError, chosen_capability
from gdsim.devices import DeviceError, NoDeviceError
from gdsim.sweep.planning.devices import why_nothing_compiles
from gdsim.sweep.planning.machine import usable_cores

FOLDER = pathlib.Path("results/device")
UNMEASURABLE = 2  # the exit code where there is no device, or nothing is prepared


def count(text: str) -> int:
    """A whole number from 1. Raises ArgumentTypeError, which argparse reports."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"it must be a whole number from 1; {text!r} was given")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    whole = argparse.ArgumentParser(prog="python -m experiments.benchmarks.device", description=(__doc__ or "").partition(";")[0])
    parts = whole.add_subparsers(dest="part", required=True)
    for part, budget, words in (
        (bits.PART, 180, "whether trainings and elementary functions have the processor's bits"),
        (rows.PART, 300, "how fast populations are trained, beside JAX and PyTorch"),
        (threads.PART, 120, "how a sweep's time on the processor falls with threads"),
    ):
        actions = parts.add_parser(part, help=words).add_subparsers(dest="action", required=True)
        run = actions.add_parser("run", help="measures")
        run.add_argument("--seconds", type=float, default=float(budget), help=f"after which what is left is not run (default: {budget})")
        run.add_argument("--out", type=pathlib.Path, default=FOLDER, help=f"where the results go (default: {FOLDER})")
        if part == threads.PART:
            run.add_argument("--most", type=count, default=min(16, usable_cores()), help="threads at most (default: as there are processors, up to 16)")
            continue
        prepare = actions.add_parser("prepare", help="compiles, without a GPU, what is run there")
        for action in (run, prepare):
            action.add_argument("--folder", type=pathlib.Path, default=FOLDER, help=f"what is carried to the device's machine (default: {FOLDER})")
        run.add_argument("--gpu", type=int, default=0, help="its number (default: 0)")
        prepare.add_argument("--capability", type=chosen_capability, nargs="+", default=[(9, 0)], help="compute capabilities (default: 9.0)")
        prepare.add_argument("--rows", nargs="*", default=[""], help="beginnings of the names of trainings (default: all)")
        if part == bits.PART:
            prepare.add_argument(
                "--functions", nargs="*", default=list(sums.FUNCTIONS), choices=list(sums.FUNCTIONS), help="elementary functions (default: all)"
            )
            prepare.add_argument("--every", type=count, default=16, help="one of so many float32 inputs, a power of two (default: 16; 1: all 2^32)")
    return whole


def prepared(options: argparse.Namespace) -> str:
    """Prepares, and says how large the folder is. Raises UnpreparedError."""
    if missing := why_nothing_compiles():
        raise UnpreparedError(missing)
    try:
        if options.part == bits.PART:
            return bits.prepare(options.folder, options.capability, options.rows, options.functions, options.every)
        return rows.prepare(options.folder, options.capability, options.rows)
    except ValueError as error:
        raise UnpreparedError(error) from None


def run(options: argparse.Namespace, library: Any) -> tuple[int, str]:
    """Measures; the exit code, and what was found."""
    if options.part == threads.PART:
        return threads.run(options.out, options.most, options.seconds)
    part = bits if options.part == bits.PART else rows
    return part.run(options.folder, options.out, options.gpu, options.seconds, library)


def main(words: Sequence[str] | None = None, library: Any = None) -> int:
    """Does what the command line asks for; the exit code. `library` has the driver's functions."""
    options = parser().parse_args(words)
    try:
        code, line = (0, prepared(options)) if options.action == "prepare" else run(options, library)
    except (NoDeviceError, UnpreparedError) as error:
        print(error, file=sys.stderr)
        return UNMEASURABLE
    except DeviceError as error:
        print(f"the device failed: {error}", file=sys.stderr)
        return 1
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
