"""Whether this tree's kernels have the machine code of another commit's, instruction for instruction.

    python experiments/benchmarks/machine_code.py COMMIT [NAME ...]

Compiles the kernels of small sweeps with both trees, each in a process with an empty cache, and compares their
instructions; names, which carry hashes of the source, are left out. Prints a line a kernel that differs, and ends with
code 1 if any does. A refactoring that shall leave kernels alone is proven by it, without a measurement.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from against import ROOT, UnmeasurableError, commit_files, copied

import gdsim as gd

NAMES = re.compile(r'\$?"?[\w.$<>]*(?:_Z|\.L|cfunc|NRT_|gdsim|numba|const)[\w.$<>]*"?')


def network(activation: str, hidden: int = 8, **options: Any) -> Any:
    """A network on the digits."""
    return gd.MLP(gd.datasets.load("digits"), hidden=[hidden], activation=activation, **options)


SWEEPS: dict[str, Callable[[], gd.Sweep]] = {
    "ackley": lambda: gd.Sweep(problem=gd.functions.Ackley(), optimizer=gd.Adam(), schedule=gd.Cosine(cycle=20), starts=16, steps=20),
    "tanh": lambda: gd.Sweep(problem=network("tanh"), optimizer=gd.Adam(), batch=32, starts=16, steps=20),
    "gelu": lambda: gd.Sweep(problem=network("gelu"), optimizer=gd.Momentum(), batch=32, starts=8, steps=20, dtype="float64"),
    "elu, one run": lambda: gd.Sweep(problem=network("elu", 64), optimizer=gd.RMSprop(), batch=32, steps=20),
    "relu": lambda: gd.Sweep(problem=network("relu"), optimizer=gd.ClipNorm(gd.AMSGrad(), 1.0), starts=16, steps=20),
    "logistic": lambda: gd.Sweep(problem=gd.LogisticRegression(gd.datasets.load("moons"), l2=0.1), optimizer=gd.SAM(gd.NAdam()), batch=16, starts=8, steps=20),
    "teacher": lambda: gd.Sweep(problem=gd.TeacherStudent(teacher=6, student=6), optimizer=gd.Nesterov(), starts=16, steps=20),
}


def instructions(kernel: Any) -> list[str]:
    """A kernel's instructions with their operands."""
    (result,) = kernel.overloads.values()
    lines = (re.sub(r"\s*#.*", "", line).strip() for line in result.library.get_asm_str().splitlines())
    return [NAMES.sub("name", line) for line in lines if line and not line.startswith(".") and not line.endswith(":")]


def listed(names: list[str]) -> dict[str, list[str]]:
    """The kernels of sweeps, by the sweep and their number in the order made."""
    from gdsim.lanes import compiler

    found: dict[str, list[str]] = {}
    for name in names:
        before = set(compiler._kernels)
        SWEEPS[name]().run(threads=1)
        made = [k for digest, k in compiler._kernels.items() if digest not in before]
        found |= {f"{name} {number}": instructions(kernel) for number, kernel in enumerate(made)}
    return found


def of_tree(folder: pathlib.Path, names: list[str]) -> dict[str, list[str]]:
    """What a process that imports this tree lists. Raises UnmeasurableError where it fails."""
    with tempfile.TemporaryDirectory(prefix="gdsim-code-") as cache:
        environment = {**os.environ, "PYTHONPATH": str(folder), "GDSIM_CACHE_DIR": cache}
        done = subprocess.run([sys.executable, __file__, "--list", *names], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise UnmeasurableError(f"{folder} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Compares the trees."""
    commit, *names = sys.argv[1:] or ["--help"]
    names = names or list(SWEEPS)
    if commit == "--list":
        return print(json.dumps(listed(names)))
    if commit == "--help" or set(names) - set(SWEEPS):
        raise SystemExit(f"python experiments/benchmarks/machine_code.py COMMIT [NAME ...], names of {', '.join(map(repr, SWEEPS))}")
    with tempfile.TemporaryDirectory(prefix="gdsim-trees-") as place:
        try:
            trees = [copied(commit, commit_files(commit), pathlib.Path(place, "0")), copied("this tree", ROOT, pathlib.Path(place, "1"))]
            before, now = (of_tree(tree.folder, names) for tree in trees)
        except UnmeasurableError as error:
            raise SystemExit(str(error)) from None
    differ = [
        f"{name}: {len(before.get(name, []))} instructions, now {len(now.get(name, []))}" for name in {**before, **now} if before.get(name) != now.get(name)
    ]
    print("\n".join(differ) or f"{len(now)} kernels, {sum(map(len, now.values())):,} instructions: the same")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
