"""What statistics of a large folder cost: a million runs of 101 checkpoints, each statistic in a process of
its own.

    python experiments/benchmarks/analysis.py [--runs 1000000] [--folder DIR]

Prints a Markdown table of seconds and of the most memory that the process had.
"""

import argparse
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import gdsim as gd
from gdsim.report.page import write_report

TARGETS = gd.logspace(1e-2, 1e3, 26)
WORKS: dict[str, Callable[[Any], Any]] = {
    "expected_running_time, 26 targets": lambda r: gd.analysis.expected_running_time(r, TARGETS),
    "ecdf, 26 targets": lambda r: gd.analysis.ecdf(r, TARGETS),
    "bands": gd.analysis.bands,
    "kaplan_meier": lambda r: gd.analysis.kaplan_meier(r, 1.0),
    "times_to_decrease": lambda r: gd.analysis.times_to_decrease(r, 1e-2),
    "best_cell": gd.analysis.best_cell,
    "budget_curve": gd.analysis.budget_curve,
}
REPORT = "gdsim report"


def sweep_of(runs: int) -> gd.Sweep:
    """Runs that cost next to nothing, in four cells."""
    record = gd.Record(every=1, gradient_norm=False)
    return gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Momentum(lr=gd.logspace(1e-4, 1e-3, 4)), starts=runs // 4, steps=100, record=record)


def measure(name: str, folder: str) -> None:
    """Prints the seconds of one statistic, opening the folder included, and this process's most memory in
    MB.
    """
    began = time.perf_counter()
    if name == REPORT:
        write_report(folder)
    else:
        WORKS[name](gd.open(folder))
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Makes the folder, measures all, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    place = pathlib.Path(tempfile.mkdtemp(dir=options.folder, prefix="gdsim-analysis-"))
    try:
        sweep_of(options.runs).run(out=place / "runs")
        print(f"| {options.runs:,} runs of 101 checkpoints in float64 | seconds | most memory, MB |\n|---|---|---|")
        for name in (*WORKS, REPORT):
            said = subprocess.run([sys.executable, __file__, "--measure", name, str(place / "runs")], capture_output=True, text=True, check=True).stdout
            seconds, memory = said.split()[-2:]
            print(f"| {name} | {float(seconds):.1f} | {memory} |", flush=True)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
