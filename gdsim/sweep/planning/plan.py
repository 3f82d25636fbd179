"""The plan of a sweep: its runs, grouped by what shares a kernel, cut into chunks by counted operations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.canonical import digest
from gdsim.declarations import html_table, shown
from gdsim.population import Batch, Setting
from gdsim.population.columns import check_states, curves_of
from gdsim.population.operations import SHARPNESS_GRADIENTS, operations_of_step, run_operations
from gdsim.population.partitions import fewest_samples
from gdsim.population.summary import MOST_HISTOGRAMS, counted_curves
from gdsim.sweep.experiment.cells import Cell, cells_of, expanded_part, identity_of, labels, varied_names
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.devices import CPU, Choice
from gdsim.sweep.planning.machine import usable_memory
from gdsim.sweep.planning.memory import HELD_BYTES, memory_text, row_bytes, shared_bytes, thread_bytes, threads_that_fit
from gdsim.variables import variable
from gdsim.words import count_of, given, size_of

# One core, in operations per second, as the cut of chunks counts: a constant, so that cuts are the same
# everywhere.
OPERATIONS_PER_SECOND = 5e10
# Where workers' gradients have fewer operations than this, exchanges, shards and what stands between steps take longer
# than they: measured, in all 2 to 10 times as long for gradients of 50,000 to 2,000 operations.
SMALL_GRADIENT, SMALL_FACTOR = 1e5, 10.0
CHUNK_SECONDS = 10.0  # of a chunk, if nothing else is said
MOST_SECONDS = 1e9  # with which a chunk is whatever fits it otherwise
MOST_CHUNKS = 1_000_000
# Results of a chunk before compression: few chunks are in memory at once, of those who write them and of
# those who read them.
CHUNK_BYTES = 2**24
# What counting one value costs, and what the counts of one cell at one checkpoint take on the disk.
VALUE_OPERATIONS, SUMMARY_BYTES = 400.0, 400


class Group(NamedTuple):
    """The cells of one structure: what shares a kernel."""

    setting: Setting
    cells: tuple[int, ...]
    operations: float  # of one run, by the formula that chunks are cut by

    @property
    def counted_operations(self) -> float:
        """Operations of one run that no stop ends, as its kernels do them."""
        return run_operations(self.setting)


class Chunk(NamedTuple):
    """A range of starts times cells of one structure: the unit of scheduling, storing and retrying."""

    group: int
    cells: tuple[int, ...]
    first_start: int
    last_start: int  # exclusive
    name: str

    @property
    def size(self) -> int:
        """How many runs."""
        return len(self.cells) * (self.last_start - self.first_start)


class Plan(NamedTuple):
    """What a sweep will run. The same sweep has the same plan everywhere."""

    cells: tuple[Cell, ...]
    identities: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    chunks: tuple[Chunk, ...]
    starts: int
    keep: str
    checkpoints: tuple[int, ...]
    memory: int  # bytes of a pack's state and of starts, per thread
    disk: int  # bytes of results before compression
    shared: int = 0  # bytes that all threads share
    choice: Choice | None = None  # on what it is trained, where that was asked for

    @property
    def device(self) -> str:
        """On what it is trained, as far as it was asked: on processors if not."""
        return CPU if self.choice is None else self.choice.device

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return self.starts * len(self.cells)

    @property
    def operations(self) -> float:
        """Floating-point operations of all runs, if none ends early."""
        return sum(g.counted_operations * len(g.cells) for g in self.groups) * self.starts

    @property
    def result_bytes(self) -> int:
        """Bytes of results that stay in memory, of which every varied hyperparameter is a coordinate, and what
        training with workers costs has three curves.
        """
        costs = 24 * len(self.checkpoints) * any(cell.distribution is not None for cell in self.cells)
        return self.disk + self.runs * (HELD_BYTES + costs + 8 * len(varied_names(self.cells))) if self.keep == "runs" else 0

    @property
    def run_steps(self) -> int:
        """Updates of all runs, if none ends early."""
        return sum(g.setting.steps * len(g.cells) for g in self.groups) * self.starts

    def places_of(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(starts, cells) of runs by their numbers."""
        if len(self.cells) == 1:  # divisions cost more than a step
            return numbers, np.zeros_like(numbers)
        return numbers // len(self.cells), numbers % len(self.cells)

    def numbers_of(self, chunk: Chunk) -> np.ndarray:
        """The numbers of a chunk's runs: start by start, cell by cell."""
        return (np.arange(chunk.first_start, chunk.last_start)[:, None] * len(self.cells) + np.array(chunk.cells)).ravel()

    def batch_of(self, chunk: Chunk, rows: np.ndarray | None = None, values: Sequence[Mapping[str, float]] | None = None) -> Batch:
        """The runs of a chunk, or some by their rows in it, start by start, cell by cell; `values` are its
        cells' hyperparameters, where they are at hand.
        """
        rows = np.arange(chunk.size) if rows is None else rows
        values = [self.cells[c].numbers() for c in chunk.cells] if values is None else values
        start, place = (rows, np.zeros_like(rows)) if len(chunk.cells) == 1 else (rows // len(chunk.cells), rows % len(chunk.cells))
        start = start + chunk.first_start
        return Batch(start * len(self.cells) + np.array(chunk.cells)[place], start, place, values)

    def aligned(self, chunk: Chunk, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A chunk's columns with its curves at the checkpoints of all structures; NaN at those that are not
        its own.
        """
        own = self.groups[chunk.group].setting.checkpoints
        if len(own) == len(self.checkpoints):
            return columns
        places = np.searchsorted(self.checkpoints, own)
        found = dict(columns)
        for name, values in columns.items():
            if "checkpoint" in variable(name, values).dims:
                found[name] = np.full((len(values), len(self.checkpoints), *values.shape[2:]), np.nan, values.dtype)
                found[name][:, places] = values
        return found

    def rest_of(self, chunk: Chunk, missing: np.ndarray) -> Iterator[Chunk]:
        """The runs of a chunk that are `missing[start, cell]`, as chunks of their own: cells that lack the
        same starts, a range of starts each.
        """
        alike: dict[bytes, list[int]] = {}
        for place, lacks in enumerate(missing.T):
            alike.setdefault(lacks.tobytes(), []).append(place)
        for places in alike.values():
            edges = np.flatnonzero(np.diff(missing[:, places[0]], prepend=False, append=False))
            members = tuple(chunk.cells[p] for p in places)
            for first, last in edges.reshape(-1, 2):
                yield chunk_of(chunk.group, members, chunk.first_start + int(first), chunk.first_start + int(last), self.identities)

    def summary(self) -> dict[str, Any]:
        """The plan in numbers, for people and programs."""
        return {
            "runs": self.runs, "cells": len(self.cells), "starts": self.starts, "structures": len(self.groups),
            "chunks": len(self.chunks), "run_steps": self.run_steps, "operations": self.operations,
            "memory_bytes_per_thread": self.memory, "memory_bytes_shared": self.shared, "memory_bytes_usable": usable_memory(),
            "threads_that_fit": threads_that_fit(self), "disk_bytes": self.disk, "checkpoints": list(self.checkpoints),
            **({} if self.choice is None else self.choice.summary()),
        }  # fmt: skip

    def _teams(self) -> str:
        """How many workers train each run's model, where there are several."""
        counts = sorted({g.setting.workers for g in self.groups})
        return "" if counts[-1] == 1 else f", each trained by {' or '.join(map(str, counts))} workers"

    def _small_shards(self) -> str:
        """What workers do that have fewer samples than a batch; nothing where there are none. Clients' batches may be
        short.
        """
        found: dict[tuple[Any, ...], tuple[int, str]] = {}
        for problem, batch, one, shared in ((c.problem, c.batch, c.distribution, c.partition) for c in self.cells):
            key = id(problem), batch, id(one), id(shared)
            if one is None or shared is None or batch is None or one.is_federated or key in found:
                continue
            fewest = fewest_samples(problem, one, shared, batch)
            text = f"\npartition {shared.called}: a worker may have {count_of(fewest, 'sample')}, fewer than a batch of {batch}, and draws with replacement"
            found[key] = fewest, text if fewest < batch and self.groups[0].setting.shuffle != "replacement" else ""
        return min((one for one in found.values() if one[1]), default=(0, ""))[1]

    def _seconds(self) -> str:
        """How long a core takes, with the most that it may take where workers' gradients are small."""
        least = most = 0.0
        for group in self.groups:
            seconds = group.counted_operations * len(group.cells) * self.starts / OPERATIONS_PER_SECOND
            is_small = group.setting.distribution is not None and operations_of_step(group.setting) < SMALL_GRADIENT
            least, most = least + seconds, most + seconds * (SMALL_FACTOR if is_small else 1.0)
        return f"{least:.3g} s" if least == most else f"{least:.3g} to {most:.3g} s"

    def _unlike_means(self) -> str:
        """Which cells' steps are of means over samples, and which of means over workers, where whole shards may differ by
        more than a sample and there are both; else nothing. Clients say how they count.
        """
        first: dict[bool, int] = {}
        differ: dict[tuple[int, ...], bool] = {}
        for number, cell in enumerate(self.cells):
            problem, one, shared = cell.problem, cell.distribution, cell.partition
            if problem.data is None or one is None or shared is None or cell.batch is not None or one.is_federated:
                continue
            workers, samples = max(one.owners), len(problem.data.X)
            key = id(problem), id(shared), workers
            if key not in differ:
                differ[key] = shared.samples_held(samples, workers) - workers * fewest_samples(problem, one, shared, None) >= workers > 1
            if differ[key]:
                first.setdefault(one.makes_one_batch(shared), number)
        if len(first) < 2:
            return ""
        by_samples, alike = (f"cell {first[key]} ({self.labels[first[key]]})" for key in (True, False))
        return f"\nwhole shards may differ in size: steps of {by_samples} count samples alike, and of {alike} workers alike, which are two losses to minimise"

    def __repr__(self) -> str:
        return f"Plan({', '.join(count_of(self.summary()[f'{n}s'], n) for n in ('run', 'cell', 'structure', 'chunk'))})"

    def _repr_html_(self) -> str:
        lines = str(self._replace(choice=None)).splitlines()
        rows = list(zip(("what", "work", "how", "when", "who", "means"), lines, strict=False))
        return html_table("Plan", rows if self.choice is None else [*rows, ("where", self.choice.sentence)])

    def __str__(self) -> str:
        return (
            f"{count_of(self.runs, 'run')}: {count_of(self.starts, 'start')} in {count_of(len(self.cells), 'cell')} of {count_of(len(self.groups), 'structure')}{self._teams()}\n"
            f"{self.run_steps:,} run-steps, {self.operations:.3g} operations, about {self._seconds()} of one core, and about 4 s for the first structure not compiled yet, 0.5 s for each other\n"
            f"{count_of(len(self.chunks), 'chunk')}, {memory_text(self)}; {size_of(self.disk)} of results\n"
            f"{count_of(len(self.checkpoints), 'checkpoint')}, from step 0 to {self.checkpoints[-1]:,}{self._small_shards()}{self._unlike_means()}"
            f"{'' if self.choice is None else chr(10) + self.choice.sentence}"
        )


def cut_operations(setting: Setting) -> float:
    """What a run counts for where chunks are cut, about its floating-point operations: a formula that stays,
    or folders would be cut anew.
    """
    problem, data = setting.problem, setting.problem.data
    samples = 1 if data is None else len(data.X)
    held = 0 if data is None or data.validation is None else len(data.validation.X)
    of_gradients = (1.0 if setting.record.gradient_norm else 0.4) + SHARPNESS_GRADIENTS * setting.record.sharpness
    look = problem.step_operations(samples) * of_gradients + 0.4 * problem.step_operations(held)
    steps = setting.steps * setting.gradients_per_step * problem.step_operations(setting.samples_per_gradient)
    return (1 + len(setting.live_tangents)) * (steps + len(setting.checkpoints) * look)


def structure_key(cell: Cell, setting: Setting) -> str:
    """What two cells must share to be trained side by side: all but their numbers."""
    rule = [*cell.rule.structure(), *cell.schedule.structure()]
    team = [] if cell.distribution is None else [cell.distribution.structure(), cell.distribution.every_size()]
    shared = [] if cell.partition is None else [cell.partition.structure(), cell.partition.every_size()]
    return digest([type(cell.problem).__name__, cell.problem.structure(), rule, cell.batch, setting.dtype, *team, *shared])


def checked_lanes(lanes: object) -> int | None:
    """A lane width, or None for the number type's own."""
    if lanes is None:
        return None
    if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes not in (1, 2, 4, 8, 16, 32, 64):
        raise ValueError(f"lanes must be a power of two from 1 to 64; {given(lanes)} was given")
    return lanes


def plan_of(sweep: Experiment, chunk_seconds: float = CHUNK_SECONDS, lanes: int | None = None) -> Plan:
    """The plan of a sweep."""
    if not isinstance(chunk_seconds, (int, float)) or not 0 < chunk_seconds <= MOST_SECONDS:
        raise ValueError(f"chunk_seconds must be a positive number of at most {MOST_SECONDS:g}; {given(chunk_seconds)} was given")
    lanes = checked_lanes(lanes)
    cells = cells_of(sweep)
    grouped: dict[str, list[int]] = {}
    for number, cell in enumerate(cells):
        grouped.setdefault(structure_key(cell, sweep.setting(cell)), []).append(number)
    groups = [Group(s := sweep.setting(cells[members[0]]), tuple(members), cut_operations(s)) for members in grouped.values()]
    if sweep.record.state:
        check_states(g.setting.rule for g in groups)
    identities = tuple(identity_of(c, sweep) for c in cells)
    shapes = [_chunk_shape(g, sweep, chunk_seconds) for g in groups]
    _check_count(groups, shapes, sweep.starts, chunk_seconds)
    _check_different(identities, sweep, cells)
    chunks = list(_in_turns([list(_chunks(i, g, sweep.starts, shapes[i], identities)) for i, g in enumerate(groups)]))
    checkpoints = tuple(sorted({step for g in groups for step in g.setting.checkpoints}))
    memory = max(thread_bytes(g.setting, lanes, cells * min(starts, sweep.starts)) for g, (cells, starts) in zip(groups, shapes, strict=True))
    shared = max(shared_bytes(g.setting) for g in groups)
    disk = sum(_disk_bytes(g, sweep, len(checkpoints), shape) for g, shape in zip(groups, shapes, strict=True))
    return Plan(tuple(cells), identities, tuple(labels(cells)), tuple(groups), tuple(chunks), sweep.starts, sweep.keep, checkpoints, memory, disk, shared)


def _check_different(identities: Sequence[str], sweep: Experiment, cells: Sequence[Cell]) -> None:
    """Refuses a grid in which a cell stands twice: its runs would be the same, and be found under one of the
    two.
    """
    first: dict[str, int] = {}
    for number, name in enumerate(identities):
        if name in first:
            raise ValueError(
                f"cells {first[name]} and {number} are the same ({_twice(sweep) or _values_of(cells[number], labels(cells)[number])}): give every combination of hyperparameters once"
            )
        first[name] = number


def _twice(sweep: Experiment) -> str:
    """What makes two cells of a grid the same, where one object or axis alone does; else ""."""
    for name in ("problem", "optimizer", "schedule", "distribution", "partition"):
        entries = getattr(sweep, name)
        for k, entry in enumerate(entries):
            if (before := entries.index(entry)) < k:
                return f"{name} {before} and {k} are both {shown(entry)}"
    axes = [(one, one.hyperparameters()) for one in (*sweep.optimizer, *sweep.schedule)]
    others = [one for one in (*sweep.problem, *sweep.distribution, *sweep.partition) if one is not None]
    for owner, values in (*axes, *((one, {n: getattr(one, n) for n in one.axes}) for one in others)):
        for name, axis in values.items():
            if isinstance(axis, tuple) and (again := next((v for v in axis if axis.count(v) > 1), None)) is not None:
                times = axis.count(again)
                return f"{type(owner).__name__}.{name} lists {again:g} {'twice' if times == 2 else f'{times} times'}"
    for name in ("distribution", "partition"):
        made = [(k, one) for k, entry in enumerate(getattr(sweep, name)) if entry is not None for one in expanded_part(entry, sweep.seed)]
        for place, (k, one) in enumerate(made):
            first = next((j for j, other in made[:place] if other == one), None)
            if first is not None:
                return f"{name} {k} has {shown(one)} twice" if first == k else f"{name} {first} and {k} both have {shown(one)}"
    return ""


def _values_of(cell: Cell, label: str) -> str:
    """What a cell is told by: its label and its rule's numbers."""
    return f"{label}: {', '.join(f'{n} = {v:g}' for n, v in cell.rule.hyperparameters().items())}"


def _check_count(groups: Sequence[Group], shapes: Sequence[tuple[int, int]], starts: int, seconds: float) -> None:
    """Refuses a plan of more chunks than a driver can hold, before they are made."""
    count = sum(-(-len(g.cells) // cells) * -(-starts // some) for g, (cells, some) in zip(groups, shapes, strict=True))
    if count > MOST_CHUNKS:
        raise ValueError(
            f"the plan has {count:,} chunks of at most {seconds:g} s and {CHUNK_BYTES >> 20} MiB; at most {MOST_CHUNKS:,} fit: raise chunk_seconds, record less, or take fewer starts or steps"
        )


def _chunk_shape(group: Group, sweep: Experiment, seconds: float) -> tuple[int, int]:
    """(cells, starts) of a chunk of about `seconds` of one core, whose results fit CHUNK_BYTES.

    Cells are cut where one start of all of them is too much; in summaries first, as each chunk of a cell
    keeps as much as any.
    """
    setting = group.setting
    if sweep.keep == "summary":
        values = len(setting.checkpoints) * len(counted_curves(setting))
        runs = max(1, int(seconds * OPERATIONS_PER_SECOND / (group.operations + VALUE_OPERATIONS * values)))
        starts = min(sweep.starts, runs)
        return max(1, min(len(group.cells), runs // starts, MOST_HISTOGRAMS // len(setting.checkpoints))), starts
    runs = max(1, min(int(seconds * OPERATIONS_PER_SECOND / group.operations), CHUNK_BYTES // cut_bytes(setting, len(setting.checkpoints))))
    cells = min(len(group.cells), runs)
    return cells, max(1, runs // cells)


def _chunks(index: int, group: Group, starts: int, shape: tuple[int, int], identities: Sequence[str]) -> Iterator[Chunk]:
    """Cuts a group's runs into chunks: ranges of starts, and of cells."""
    cells_at_once, starts_at_once = shape
    for first in range(0, starts, starts_at_once):
        last = min(first + starts_at_once, starts)
        for c in range(0, len(group.cells), cells_at_once):
            yield chunk_of(index, group.cells[c : c + cells_at_once], first, last, identities)


def chunk_of(group: int, cells: tuple[int, ...], first: int, last: int, identities: Sequence[str]) -> Chunk:
    """A chunk, named by what is in it."""
    return Chunk(group, cells, first, last, digest([[identities[c] for c in cells], first, last])[:32])


def _in_turns(lists: Sequence[list[Chunk]]) -> Iterator[Chunk]:
    """One of each list in turn, so that the first chunks cover the grid."""
    for place in range(max(len(chunks) for chunks in lists)):
        yield from (chunks[place] for chunks in lists if place < len(chunks))


def _disk_bytes(group: Group, sweep: Experiment, checkpoints: int, shape: tuple[int, int]) -> int:
    """Bytes of the results of a group's runs."""
    if sweep.keep == "summary":
        return SUMMARY_BYTES * checkpoints * len(counted_curves(group.setting)) * len(group.cells) * -(-sweep.starts // shape[1])
    return row_bytes(group.setting, checkpoints) * len(group.cells) * sweep.starts


def cut_bytes(setting: Setting, checkpoints: int) -> int:
    """What a run counts for where chunks are cut, about the bytes of its results: a formula that stays, or
    folders would be cut anew.
    """
    size, problem, record = 4 if setting.dtype == "float32" else 8, setting.problem, setting.record
    vectors = record.parameters + checkpoints * record.trajectory + record.state * (1 + len(setting.rule.slots))
    return (1 + len(setting.tangents)) * size * (len(curves_of(setting)) * checkpoints + 2 + vectors * problem.parameter_count) + 20
