"""Threads: how a sweep's time on a processor falls with the threads that train it, from one to all that it has."""

import hashlib
import itertools
import pathlib
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gdsim as gd
from experiments.benchmarks.device import report
from experiments.benchmarks.works import sweep_of
from gdsim.sweep.doctor import processor_name
from gdsim.sweep.planning.machine import usable_cores

PART = "threads"
COUNTS = (1, 2, 4, 6, 8, 12, 16)
ROUNDS = 3


class Line(NamedTuple):
    """A sweep that takes one thread a second or two, and what it does for most of it, if not training."""

    work: str
    rule: str
    runs: int
    steps: int
    mostly: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.work} {self.mostly}".rstrip()


LINES = (
    Line("digits", "adam", 1024, 100),
    Line("moons", "momentum", 16_384, 150),
    Line("rosenbrock", "adam", 1_000_000, 500),
    Line("digits", "adam", 4096, 1, "evaluation"),
    Line("rosenbrock", "adam", 4_000_000, 1, "starts"),
)


def measured(sweep: gd.Sweep, threads: int) -> tuple[float, str]:
    """(seconds of a training, a hash of the bits of all final losses)."""
    began = time.perf_counter()
    result = sweep.run(threads=threads)
    return time.perf_counter() - began, hashlib.sha256(result.final_loss.values.tobytes()).hexdigest()


def rounds_of(line: Line, counts: Sequence[int], until: float) -> Iterator[dict[str, Any]]:
    """What each number of threads takes, in turns; not beyond a time. The first round, which compiles, is left out."""
    sweep, times, bits = (
        sweep_of(line.work, line.rule, line.runs, line.steps),
        {count: list[float]() for count in counts},
        {count: set[str]() for count in counts},
    )
    for number in range(1 + ROUNDS):
        for count in counts if number % 2 else reversed(counts):
            if time.perf_counter() < until:
                took, one = measured(sweep, count)
                bits[count].add(one)
                times[count] += [took] if number else []
    for count in counts:
        median = statistics.median(times[count]) if times[count] else None
        yield {**line._asdict(), "name": line.name, "threads": count, "seconds": median, "times": times[count], "bits": sorted(bits[count])}


def run(out: pathlib.Path, most: int, budget: float) -> tuple[int, str]:
    """(exit code, what was found): measures for so many seconds, and leaves `threads.json` and `threads.md`."""
    began, found = time.perf_counter(), list[dict[str, Any]]()
    counts = [count for count in COUNTS if count < most] + [most]
    for line in LINES:
        found += rounds_of(line, counts, began + budget)
        report.say(f"{line.name}: {', '.join(cell(found, line, count) for count in counts)}")
    same = all(len({bits for one in found if one["name"] == line.name for bits in one["bits"]}) <= 1 for line in LINES)
    said = "all threads give the same bits" if same else "THREADS GIVE OTHER BITS"
    rows = [[str(count), *(cell(found, line, count) for line in LINES)] for count in counts]
    head = [f"{line.name}, {line.rule.capitalize()}, {line.runs:,} runs of {line.steps} step{'s' * (line.steps > 1)}" for line in LINES]
    title = f"{processor_name()}, {usable_cores()} processors usable, {platform.system()}: {said}."
    facts = {"processor": processor_name(), "usable": usable_cores(), "found": found}
    report.write(out, PART, facts, [title, "", *report.table(["threads", *head], rows)])
    return int(not same), f"{processor_name()}: {text_of(found)}; {said}"


def times_of(found: Sequence[dict[str, Any]], line: Line, count: int) -> tuple[float, list[float]] | None:
    """(median seconds on so many threads, how many times as fast as one in each round, in order), or None."""
    own, one = (next(f for f in found if f["name"] == line.name and f["threads"] == threads) for threads in (count, 1))
    ratios = sorted(a / b for a, b in itertools.zip_longest(one["times"], own["times"]) if a and b)
    return (own["seconds"], ratios) if ratios else None


def cell(found: Sequence[dict[str, Any]], line: Line, count: int) -> str:
    """A place of the table: seconds, how many times as fast as one thread, its spread, and that as a share of linear."""
    times = times_of(found, line, count)
    if times is None:
        return "not run"
    speed, (low, *_), (*_, high) = statistics.median(times[1]), times[1], times[1]
    return f"{times[0]:.3g} s, {speed:.2f}x ({low:.2f} to {high:.2f}), {speed / count:.0%}"


def text_of(found: Sequence[dict[str, Any]]) -> str:
    """How much faster the most threads are, in words."""
    most = max(one["threads"] for one in found)
    times = {line.name: times_of(found, line, most) for line in LINES}
    said = (f"{name} {'not run' if one is None else f'{statistics.median(one[1]):.2f}x'}" for name, one in times.items())
    return f"{most} threads over one: {', '.join(said)}"
