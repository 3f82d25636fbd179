"""What Dask's dashboard and Prometheus see of a sweep: the names of tasks, one span, and numbers at the
scheduler's `/metrics`.

The driver sends its numbers to the scheduler now and then; a plugin there keeps the last of each sweep. A
scheduler without the package prometheus_client, or one that takes no plugins, shows none of them, and the
sweep goes on.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import SchedulerPlugin, span

from gdsim.stops import STATUSES
from gdsim.sweep.execution.progress import Progress, every
from gdsim.sweep.planning.plan import Chunk, Plan

TOPIC, LABELS = "gdsim", ("folder", "part")
SEND_SECONDS, ANSWER_SECONDS = 2.0, 5.0
# How many sweeps a scheduler remembers.
MOST_SWEEPS = 32


def structure_name(plan: Plan, group: int) -> str:
    """A structure in a few words, as in `Adam 64-32-10`, with hyphens of another kind: at the usual ones Dask
    cuts names.
    """
    cell = plan.cells[plan.groups[group].cells[0]]
    widths = getattr(cell.problem, "widths", None)
    problem = "-".join(map(str, widths)) if widths else f"{type(cell.problem).__name__} {cell.problem.parameter_count}"
    return f"{type(cell.rule.innermost).__name__} {problem}".replace("-", "\N{NON-BREAKING HYPHEN}")


def task_name(plan: Plan, chunks: Sequence[Chunk]) -> str:
    """What a dashboard calls a task that trains chunks: the same for all of a structure, so that a scheduler
    learns how long they take.
    """
    groups = {c.group for c in chunks}
    return f"{structure_name(plan, groups.pop()) if len(groups) == 1 else 'several structures'} · chunk"


@contextlib.contextmanager
def observed(client: Any, folder: str, part: str, progress: Progress) -> Iterator[None]:
    """In the block all tasks are of one span, and the scheduler has the sweep's numbers at `/metrics`."""
    with contextlib.suppress(Exception):  # whatever a scheduler says that takes no plugins
        client.register_plugin(Metrics())
    numbers = _numbers_of(progress)

    def send(**more: float) -> None:
        if client.status != "running":
            return
        message = {"folder": folder, "part": part, **numbers(), **more}
        with contextlib.suppress(OSError, TimeoutError):  # the driver hears of a lost scheduler by itself
            client.sync(client.scheduler.log_event, topic=TOPIC, msg=message, callback_timeout=ANSWER_SECONDS)

    with span(f"gdsim {folder.rpartition('/')[2]}"):
        try:
            with every(SEND_SECONDS, send, "gdsim-metrics"):
                yield
        finally:
            send(run_steps_per_second=0.0)


def _numbers_of(progress: Progress) -> Callable[[], dict[str, Any]]:
    """What gives the numbers of now, their rate since it was last called."""
    last = [time.perf_counter(), 0]

    def numbers() -> dict[str, Any]:
        now, tally, missing = time.perf_counter(), progress.tally, progress.chunks_missing
        rate = (tally.run_steps - last[1]) / max(now - last[0], 1e-9)
        last[:] = now, tally.run_steps
        return {
            "chunks_done": max(0, progress.chunks - missing), "chunks_missing": missing, "run_steps": tally.run_steps,
            "run_steps_per_second": rate, "runs_ended": {s: getattr(tally, s) for s in STATUSES},
        }  # fmt: skip

    return numbers


class Metrics(SchedulerPlugin):
    """Keeps on a scheduler what drivers last said of their sweeps."""

    name = "gdsim-metrics"
    idempotent = True

    async def start(self, scheduler: object) -> None:
        """Shows the numbers at `/metrics`, where prometheus_client is there to do so."""
        with contextlib.suppress(ImportError):
            _shown()

    def log_event(self, topic: str, msg: dict[str, Any]) -> None:
        """Takes what a driver says."""
        if topic == TOPIC:
            _SWEEPS.pop(key := tuple(msg[n] for n in LABELS), None)
            _SWEEPS[key] = msg
            for old in list(_SWEEPS)[:-MOST_SWEEPS]:
                del _SWEEPS[old]


_SWEEPS: dict[tuple[str, ...], dict[str, Any]] = {}


@functools.cache
def _shown() -> None:
    """Once in a process, as Prometheus has one registry there, and schedulers may follow each other."""
    import prometheus_client  # of an extra

    prometheus_client.REGISTRY.register(_Collector())


class _Collector:
    """The numbers, in Prometheus' form."""

    def collect(self) -> Iterator[Any]:
        """All of them, by folder and part."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        steps = CounterMetricFamily("gdsim_run_steps", "Updates of runs that have ended, since the driver began", labels=LABELS)
        rate = GaugeMetricFamily("gdsim_run_steps_per_second", "Updates per second of late", labels=LABELS)
        ended = CounterMetricFamily("gdsim_runs_ended", "Runs that have ended since the driver began", labels=[*LABELS, "status"])
        done = GaugeMetricFamily("gdsim_chunks_done", "Chunks that are in the folder", labels=LABELS)
        missing = GaugeMetricFamily("gdsim_chunks_missing", "Chunks that are not", labels=LABELS)
        for labels, held in list(_SWEEPS.items()):
            steps.add_metric(labels, held["run_steps"])
            rate.add_metric(labels, held["run_steps_per_second"])
            done.add_metric(labels, held["chunks_done"])
            missing.add_metric(labels, held["chunks_missing"])
            for status, count in held["runs_ended"].items():
                ended.add_metric([*labels, status], count)
        yield from (steps, rate, ended, done, missing)
