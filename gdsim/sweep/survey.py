"""What a results folder holds: how much is done, what is missing or was set aside, how fast it grows; and
whether every byte is right.
"""

import concurrent.futures
import enum
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from gdsim.store.folder import Store, StoreError
from gdsim.store.places import File, FileState, data_name
from gdsim.store.shards import DamagedShardError, Shard, read_footer, verify
from gdsim.sweep.execution.display import duration
from gdsim.sweep.execution.heartbeat import Driver, driver_of
from gdsim.sweep.folder.admission import chunk_seconds_of
from gdsim.sweep.folder.chunks import missing_chunks
from gdsim.sweep.folder.stored import arrays_of, experiment_in
from gdsim.sweep.planning.plan import plan_of
from gdsim.words import are, count_of, size_of

# The rate is that of the shards of the last minutes; a folder into which none came for so long is at rest.
RATE_SECONDS, REST_SECONDS = 300.0, 120.0
MEND = "run the experiment again: it sets damaged shards aside and trains their runs anew"


class Activity(enum.StrEnum):
    """Whether somebody is at a folder's sweep."""

    FINISHED = "finished"
    RUNNING = "running"
    DIED = "died"  # its driver, that is
    STOPPED = "stopped"


class Survey(msgspec.Struct, frozen=True):
    """The state of a results folder."""

    folder: str
    planned_runs: int
    finished_runs: int
    shards: int
    missing_chunks: int
    failed_chunks: list[str]
    quarantined: list[str]
    damaged: list[str]
    bytes: int
    kernels: list[int]
    runs_per_second: float | None  # None where it is at rest
    seconds_left: float | None
    state: Activity
    driver: Driver | None  # the process that drives the sweep, or died in doing so
    other_shards: int = 0  # good ones, of runs that are not planned

    @property
    def missing_runs(self) -> int:
        """How many runs are not finished."""
        return self.planned_runs - self.finished_runs

    def __str__(self) -> str:
        share = self.finished_runs / self.planned_runs
        lines = [
            f"{self.finished_runs:,} of {self.planned_runs:,} runs are finished ({share:.1%}), in {count_of(self.shards, 'shard')} of {size_of(self.bytes)}",
            f"{are(self.missing_runs, 'run')} missing, in {count_of(self.missing_chunks, 'chunk')}",
        ]
        lines.append(activity_text(self.state, self.driver))
        if self.runs_per_second is not None:
            left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
            lines.append(f"{self.runs_per_second:,.3g} runs per second{left}")
        if self.other_shards:
            lines.append(f"{count_of(self.other_shards, 'other shard holds', 'other shards hold')} runs that this experiment does not have")
        for count, what in (
            (self.failed_chunks, f"{count_of(len(self.failed_chunks), 'chunk')} failed, failed/ says why"),
            (self.quarantined, f"{are(len(self.quarantined), 'file')} in quarantine/"),
            (self.damaged, f"{are(len(self.damaged), 'shard')} damaged"),
        ):
            if count:
                lines.append(f"{what}: {', '.join(count[:3])}{', ...' if len(count) > 3 else ''}")
        if self.damaged:
            lines.append(MEND)
        lines.append("seen of each shard: its name, its size and its footer; gdsim verify checks every byte")
        return "\n".join(lines)

    def line(self) -> str:
        """The state in one line."""
        parts = [f"{self.finished_runs:,} of {self.planned_runs:,} runs", count_of(self.missing_chunks, "chunk missing", "chunks missing")]
        counts = ((self.failed_chunks, "failed"), (self.quarantined, "in quarantine"), (self.damaged, "damaged"))
        parts += [f"{len(names):,} {what}" for names, what in counts if names]
        parts += [] if self.runs_per_second is None else [f"{self.runs_per_second:,.3g} runs/s"]
        parts += [] if self.seconds_left is None else [f"{duration(self.seconds_left)} left"]
        return ", ".join([*parts, activity_text(self.state, self.driver)])


def activity_text(state: Activity, driver: Driver | None) -> str:
    """Whether somebody is at a folder."""
    who = "" if driver is None else f"pid {driver.pid} on {driver.host}"
    ago = "" if driver is None else f"{duration(driver.seconds_ago)} ago"
    return {
        Activity.FINISHED: "finished",
        Activity.RUNNING: f"running ({who}, {ago})",
        Activity.DIED: f"not running: its driver died ({who}, last sign of life {ago}); the same command goes on",
        Activity.STOPPED: "not running; the command that began it goes on with it",
    }[state]


def survey(folder: str | pathlib.Path, known: dict[tuple[str, FileState], Shard] | None = None) -> Survey:
    """How far the sweep of a results folder is, also while it goes on elsewhere; `known` as of `Store.find`.

    Raises ValueError for a folder without results.
    """
    store = Store(folder)
    held = store.experiment()
    plan = plan_of(experiment_in(store, held), chunk_seconds_of(held))
    found = store.find(known={} if known is None else known)
    missing = missing_chunks(plan, found.shards)
    lacking = sum(c.size for c in missing)
    cells = set(plan.identities)
    own = [s for s in found.shards if s.footer.first_start < plan.starts and cells.intersection(s.footer.cells)]
    seen = [(state, shard.footer.runs) for shard in own if (state := found.states.get(shard.file.name))]
    driver = driver_of(store.place)
    is_running = driver is not None and driver.is_alive
    whole = not lacking and not found.damaged  # with a damaged shard the folder does not open, even if others hold its runs
    state = Activity.RUNNING if is_running else Activity.FINISHED if whole else Activity.STOPPED if driver is None else Activity.DIED
    rate = _rate(np.array([state.time for state, _ in seen]), np.array([runs for _, runs in seen]), store.place.now()) if is_running and lacking else None
    return Survey(
        store.folder, plan.runs, plan.runs - lacking, len(own), len(missing), store.failures(), store.quarantined(),
        [d.file.name for d in found.damaged], sum(state.size for state, _ in seen), held["kernels"], rate, lacking / rate if rate else None, state, driver,
        len(found.shards) - len(own),
    )  # fmt: skip


def _rate(times: np.ndarray, runs: np.ndarray, now: float) -> float | None:
    """Runs per second of the last shards; None if there are too few, or if they are old."""
    if not len(times) or now - times.max() > REST_SECONDS:
        return None
    recent = times >= times.max() - RATE_SECONDS
    span = times[recent].max() - times[recent].min()
    return float(runs[recent & (times > times[recent].min())].sum() / span) if span > 0 else None


class Verdict(msgspec.Struct, frozen=True):
    """What a check of every byte has found."""

    folder: str
    shards: int  # and pieces of answers
    bytes: int
    damaged: dict[str, str]  # by the file, what is wrong

    def with_another(self, name: str, other: "Verdict") -> "Verdict":
        """Together with that of a folder of this name in it."""
        damaged = {**self.damaged, **{f"{name}/{file}": reason for file, reason in other.damaged.items()}}
        return Verdict(self.folder, self.shards + other.shards, self.bytes + other.bytes, damaged)

    def __str__(self) -> str:
        read = count_of(self.shards, f"file of {size_of(self.bytes)} was", f"files of {size_of(self.bytes)} were")
        lines = [f"{read} read, {are(len(self.damaged), 'file')} damaged"]
        lines += [f"{name}: {reason}" for name, reason in self.damaged.items()]
        if self.damaged:
            lines.append("run the experiment, or make the call, again: it sets damaged files aside and makes anew what they held")
        return "\n".join(lines)


def verify_folder(folder: str | pathlib.Path, progress: Callable[[int, int], None] | None = None) -> Verdict:
    """Checks every byte of every shard and data file. `progress` is called with bytes done and bytes in all."""
    store = Store(folder)
    store.experiment()
    states = store.place.states("shards")
    files, sizes = [File(store.place, f"shards/{name}") for name in states], [s.size for s in states.values()]
    damaged, done = {}, 0
    with concurrent.futures.ThreadPoolExecutor(store.place.readers) as pool:
        for file, size, reason in zip(files, sizes, pool.map(_what_is_wrong, files), strict=True):
            done += size
            if reason:
                damaged[file.path] = reason
            if progress is not None:
                progress(done, sum(sizes))
    damaged |= dict(_wrong_data(store))
    return Verdict(store.folder, len(files), sum(sizes), damaged)


def _what_is_wrong(file: File) -> str:
    try:
        verify(file)
        read_footer(file)
    except DamagedShardError as damage:
        return damage.reason
    return ""


def _wrong_data(store: Store) -> Iterator[tuple[str, str]]:
    """Data files that are missing, or whose numbers are not those of their names."""
    try:
        wanted: Any = arrays_of(experiment_in(store))
    except StoreError as error:
        yield "data", str(error)
        return
    for name in wanted:
        if not store.place.has(data_name(name)):
            yield data_name(name), "it has gone"
