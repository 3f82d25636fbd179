"""Threads: how a sweep's time on a processor falls with the threads that train it, from one to all that it has."""

import hashlib
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import gdsim as gd
from experiments.benchmarks.device import report
from experiments.benchmarks.processes import seconds
from experiments.benchmarks.works import sweep_of
from gdsim.sweep.doctor import processor_name
from gdsim.sweep.planning.machine import usable_cores

PART = "threads"
COUNTS = (1, 2, 4, 6, 8, 12, 16)


class Line(NamedTuple):
    """A sweep that takes one thread a second or two."""

    work: str
    rule: str
    runs: int
    steps: int


LINES = (Line("digits", "adam", 1024, 100), Line("moons", "momentum", 16_384, 150), Line("rosenbrock", "adam", 1_000_000, 500))


def measured(sweep: gd.Sweep, threads: int) -> tuple[float, str]:
    """(seconds of the fastest of some trainings, a hash of the bits of all final losses)."""
    took, result = seconds(lambda: sweep.run(threads=threads))
    return took, hashlib.sha256(result.final_loss.values.tobytes()).hexdigest()


def run(out: pathlib.Path, most: int, budget: float) -> tuple[int, str]:
    """(exit code, what was found): measures for so many seconds, and leaves `threads.json` and `threads.md`."""
    began, found = time.perf_counter(), list[dict[str, Any]]()
    counts = [count for count in COUNTS if count < most] + [most]
    for line in LINES:
        sweep = sweep_of(line.work, line.rule, line.runs, line.steps)
        for count in counts:
            left = budget - (time.perf_counter() - began)
            took, bits = measured(sweep, count) if left > 0 else (None, "")
            found.append({**line._asdict(), "threads": count, "seconds": took, "bits": bits})
            report.say(f"{line.work}, {count} threads: {'not run' if took is None else f'{took:.3g} s'}")
    same = all(len({one["bits"] for one in found if one["work"] == line.work and one["bits"]}) <= 1 for line in LINES)
    said = "all threads give the same bits" if same else "THREADS GIVE OTHER BITS"
    head = [f"{line.work}, {line.rule.capitalize()}, {line.runs:,} runs of {line.steps} steps" for line in LINES]
    rows = [[str(count), *(cell(found, line, count) for line in LINES)] for count in counts]
    title = f"{processor_name()}, {usable_cores()} processors usable, {platform.system()}: {said}."
    report.write(out, PART, {"processor": processor_name(), "usable": usable_cores(), "found": found}, [title, "", *report.table(["threads", *head], rows)])
    return int(not same), f"{processor_name()}: {text_of(found)}; {said}"


def times_of(found: Sequence[dict[str, Any]], line: Line, count: int) -> tuple[float, float] | None:
    """(seconds of a sweep on so many threads, how many times as fast as one), or None."""
    took, one = (next(f["seconds"] for f in found if f["work"] == line.work and f["threads"] == threads) for threads in (count, 1))
    return None if took is None or one is None else (took, one / took)


def cell(found: Sequence[dict[str, Any]], line: Line, count: int) -> str:
    """A place of the table."""
    times = times_of(found, line, count)
    return "not run" if times is None else f"{times[0]:.3g} s, {times[1]:.2f}x"


def text_of(found: Sequence[dict[str, Any]]) -> str:
    """How much faster the most threads are, in words."""
    most = max(one["threads"] for one in found)
    times = {line.work: times_of(found, line, most) for line in LINES}
    return f"{most} threads over one: " + ", ".join(f"{work} {'not run' if found is None else f'{found[1]:.2f}x'}" for work, found in times.items())
