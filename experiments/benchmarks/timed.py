"""The child process of against.py: the CPU time of what it is asked to train, with the gdsim that PYTHONPATH
says.

    python experiments/benchmarks/timed.py         reads lines of [row's name, steps], answers each
    python experiments/benchmarks/timed.py cold    compiles the main job with an empty cache, and answers once

An answer is a line of JSON: seconds of CPU time of the whole process, on one thread, and a hash of the final
losses' bits. Trees of long ago are measured too, so only the public face is used here and in works.py.
"""

import functools
import gc
import hashlib
import json
import pathlib
import sys
import time

import msgspec
from works import ROWS, sweep_of

import gdsim as gd

MOST_RUNS = {"mnist": 16}  # a pack: what 64 runs score at both ends takes ten times as long as their steps
MAIN_JOB = pathlib.Path(__file__).parents[1] / "digits.toml"


@functools.cache
def row_of(name: str) -> gd.Sweep:
    """The sweep of a row, with its data."""
    row = next(r for r in ROWS if r.name == name)
    return sweep_of(row.work, row.rule, min(row.runs, MOST_RUNS.get(row.work, row.runs)), row.steps)


def answer(sweep: gd.Sweep) -> str:
    """Trains it."""
    gc.collect()
    began = time.process_time()
    result = sweep.run(threads=1)
    took = time.process_time() - began
    return json.dumps({"seconds": took, "bits": hashlib.sha256(result.final_loss.values.tobytes()).hexdigest()})


def main() -> None:
    """Answers until there is no more question."""
    if sys.argv[1:] == ["cold"]:
        print(answer(msgspec.structs.replace(gd.read_experiment(MAIN_JOB), steps=1)))
        return
    for line in sys.stdin:
        name, steps = json.loads(line)
        print(answer(msgspec.structs.replace(row_of(name), steps=steps)), flush=True)


if __name__ == "__main__":
    main()
