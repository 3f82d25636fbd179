"""How much memory a system takes to train a work, beyond what it takes to train anything.

    python experiments/benchmarks/memory.py SYSTEM WORK RULE RUNS STEPS

Once in a process of its own, after a small training that imports and compiles what all need; gdsim's kernels of
the work should have been compiled before, as after a measurement of its time. Prints a line of JSON: `needed`, the
bytes of weights, state and data, and `taken`, by how many the process's resident memory has grown at its most: with
the data as gdsim holds them (JAX and PyTorch are given them from there, and have copies beside), without what has
made them. `taken` is null where the system does not tell (Linux does).
"""

import gc
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from systems import SYSTEMS
from works import WORKS, needed_bytes

from gdsim.sweep.planning.machine import usable_cores

PROCESS = pathlib.Path("/proc/self")
FORGET_MOST = "5"  # what Linux is told to begin anew with the most memory that a process has had


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Calls something a single time, untimed."""
    return 0.0, call()


def resident_bytes(name: str) -> int:
    """Linux's figure of this process: VmRSS, the memory that it has, or VmHWM, the most that it has had."""
    line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])


def forget_most() -> None:
    """Lets the most memory that the process has had be what it has now. Raises OSError where there is no such thing."""
    (PROCESS / "clear_refs").write_text(FORGET_MOST)


def taken_bytes(make: Callable[[], object], use: Callable[[], object]) -> int | None:
    """By how much two calls let the process grow: by what the first leaves, and at its most in the second."""
    try:
        before = resident_bytes("VmRSS")
        made = make()
        gc.collect()
        forget_most()
        use()
        del made
        return resident_bytes("VmHWM") - before
    except OSError:
        return None


def main() -> None:
    """Measures what the command line asks for."""
    system, name, rule, *numbers = sys.argv[1:]
    runs, steps = map(int, numbers)
    SYSTEMS[system]("xor", rule, 1, 1, usable_cores(), once)
    taken = taken_bytes(WORKS[name].samples, lambda: SYSTEMS[system](name, rule, runs, steps, usable_cores(), once))
    print(json.dumps({"taken": taken, "needed": needed_bytes(name, rule, runs)}))


if __name__ == "__main__":
    main()
