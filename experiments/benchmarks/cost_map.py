"""What a step costs, and how that changes when one thing changes: rules, losses, records, sizes; where it jumps.

    python experiments/benchmarks --map [AXIS ...] [--rounds 7] [--out results/benchmarks]

One thing at a time is changed in the training of variations.py. A round trains the base and the variation one after
the other, for a tenth of a second each, on one thread; who begins changes from round to round. What counts is the
thread's CPU time, so that others' work moves it little, and of it what many steps take longer than one: starts,
evaluation at both ends and the Dataset are left out. A factor is the median over rounds of the variation's time
over the base's, its interval the order statistics that enclose that median in 95%, for which it takes 6 rounds.

Along sizes a cliff is a neighbour of which an operation costs more than half as much again as of the size before;
operations are the multiplications and additions of a step's matrix products. And a size that is as dear as a larger
one is named: it is calculated as if it were that.
"""

import dataclasses
import gc
import itertools
import json
import math
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from variations import AXES, RUNS, Variation, base, variations_of

import gdsim as gd
from gdsim.kernels.engines.written_out import MOST_PARAMETERS
from gdsim.population.engine_choice import STEPS_WORTH_WRITING
from gdsim.statistics import median, median_interval
from gdsim.sweep.doctor import processor_name

ROUNDS = 7
SECONDS = 0.1  # of one measurement's steps
CLIFF = 1.5  # an operation's cost over the one of the size before
ALIKE, MORE = 1.02, 1.05  # as dear as one that has so many more operations


@dataclasses.dataclass(frozen=True)
class Cost:
    """Nanoseconds per step of a run, and the median factor over the base with its interval."""

    axis: str
    name: str
    operations: int
    nanoseconds: float
    factor: float
    low: float
    high: float
    note: str = ""


class EndedError(Exception):
    """A variation whose runs end by themselves, in one line."""


def cpu_seconds(sweep: gd.Sweep, steps: int) -> float:
    """CPU time of a training of so many steps on one thread. Raises EndedError where runs take fewer."""
    sweep = msgspec.structs.replace(sweep, steps=steps)
    gc.collect()
    began = time.process_time()
    result = sweep.run(threads=1)
    took = time.process_time() - began
    if not (result.steps_taken.values == steps).all():
        raise EndedError(f"runs ended before their {steps} steps: {sorted(set(map(str, result.reason.values.ravel())))}")
    return took


@dataclasses.dataclass(frozen=True)
class Timed:
    """A training, and the steps beyond the first that are timed."""

    sweep: gd.Sweep
    steps: int

    def nanoseconds(self) -> float:
        """CPU time per step of a run, but for what a training of one step has too."""
        once, more = cpu_seconds(self.sweep, 1), cpu_seconds(self.sweep, 1 + self.steps)
        return (more - once) / (self.steps * RUNS) * 1e9


def timed(sweep: gd.Sweep, wanted: float = SECONDS) -> Timed:
    """With steps that take about as long as a measurement should, or half as long as what is left out: a
    difference of two times is no better known than they are.
    """
    least = least_steps(sweep)
    cpu_seconds(sweep, 1 + least)  # compiles
    cpu_seconds(sweep, 1)
    once, steps = cpu_seconds(sweep, 1), max(16, least)
    wanted = max(wanted, once / 2)
    for _ in range(4):
        took = max(cpu_seconds(sweep, 1 + steps) - once, wanted / 100)
        steps = max(1, least, round(steps * wanted / took))
        if took > wanted / 2:
            break
    return Timed(sweep, steps)


def least_steps(sweep: gd.Sweep) -> int:
    """From how many steps on the training has the kernels that long ones have: a small network's are written
    out for many steps alone.
    """
    is_small = sweep.problem[0].parameter_count <= MOST_PARAMETERS
    return -(-STEPS_WORTH_WRITING // RUNS) if is_small else 0


def costs_of(axis: str, rounds: int, usual: Timed) -> list[Cost]:
    """What the points of an axis cost beside the base. Raises EndedError."""
    points = variations_of(axis)
    those = [timed(point.sweep) for point in points]
    found: list[list[tuple[float, float]]] = [[] for _ in points]
    for number in range(rounds):
        for one, pairs in zip(those, found, strict=True):
            pair = [each.nanoseconds() for each in ((usual, one) if number % 2 else (one, usual))]
            pairs.append((pair[0], pair[1]) if number % 2 else (pair[1], pair[0]))
        print(f"{axis}: {number + 1} of {rounds} rounds", file=sys.stderr)
    costs = [cost_of(point, pairs) for point, pairs in zip(points, found, strict=True)]
    return noted(costs) if AXES[axis].ordered else costs


def cost_of(point: Variation, pairs: Sequence[tuple[float, float]]) -> Cost:
    """What the rounds' (base's, point's) nanoseconds say."""
    factors = [own / usual for usual, own in pairs]
    return Cost(point.axis, point.name, point.operations, float(median([own for _, own in pairs])), float(median(factors)), *median_interval(factors))


def noted(costs: Sequence[Cost]) -> list[Cost]:
    """An axis of sizes, with what is odd on it."""
    return [dataclasses.replace(cost, note=note_of(cost, costs[place - 1] if place else None, costs[place + 1 :])) for place, cost in enumerate(costs)]


def note_of(cost: Cost, smaller: Cost | None, larger: Sequence[Cost]) -> str:
    """What is odd about a size, beside the one before it and those after it."""
    rise = (cost.factor / cost.operations) / (smaller.factor / smaller.operations) if smaller else 1.0
    cliff = [f"CLIFF: an operation costs {rise:.2f} times that of {smaller.name}"] if smaller and rise > CLIFF else []
    alike = [other.name for other in larger if other.operations > MORE * cost.operations and other.factor < ALIKE * cost.factor]
    return "; ".join([*cliff, *(f"as dear as {name}" for name in alike[-1:])])


def table(found: Sequence[Cost]) -> str:
    """The Markdown table, an axis after the other."""
    lines = ["| what varies | ns per step of a run | over the base | 95% interval | ns per 1000 operations | |", "|---|---|---|---|---|---|"]
    for axis, those in itertools.groupby(found, lambda cost: cost.axis):
        lines.append(f"| **{axis}** | | | | | |")
        for c in those:
            each = f"{c.nanoseconds / c.operations * 1e3:.3g}" if AXES[axis].ordered else ""
            interval = f"{c.low:.2f} to {c.high:.2f}" if math.isfinite(c.high - c.low) else ""
            lines.append(f"| {c.name} | {c.nanoseconds:.4g} | {c.factor:.2f} | {interval} | {each} | {c.note} |")
    return "\n".join(lines)


def draw(axes: Sequence[str], rounds: int, out: pathlib.Path) -> int:
    """Measures, prints the table and leaves map.json and map.md in `out`; the exit code."""
    usual, found = timed(base().sweep), list[Cost]()
    gc.freeze()  # else each collection goes through all that was imported, and takes longer than a measurement
    for axis in axes:
        try:
            found += costs_of(axis, rounds, usual)
        except EndedError as error:
            print(f"{axis}: {error}", file=sys.stderr)
            return 2
        facts: dict[str, Any] = {"processor": processor_name(), "rounds": rounds, "costs": [dataclasses.asdict(cost) for cost in found]}
        (out / "map.json").write_text(json.dumps(facts, indent=1))
        (out / "map.md").write_text(f"{processor_name()}, one thread, medians of {rounds} rounds.\n\n{table(found)}\n")
    print(table(found))
    return 0
