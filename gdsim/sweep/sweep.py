"""`gd.Sweep`, an experiment that says what it would run, and runs; and `gd.read_experiment`, which makes one
of a file.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdsim.axes import Grid, checked_whole
from gdsim.declarations import hinting_calls
from gdsim.directions import Direction
from gdsim.distribution import Distribution, Partition
from gdsim.population.samples import sample_order
from gdsim.problems import Problem
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.starts import Start
from gdsim.stops import Record, Stop
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.from_table import ExperimentError, experiment_from
from gdsim.sweep.experiment.overrides import changed
from gdsim.sweep.experiment.toml import read_toml
from gdsim.sweep.planning.devices import checked_device
from gdsim.sweep.planning.job_parts import checked_part
from gdsim.sweep.planning.plan import CHUNK_SECONDS, Plan, plan_of
from gdsim.sweep.run.entry import run_sweep
from gdsim.sweep.run.options import RunOptions
from gdsim.sweep.run.placing import with_choice

if TYPE_CHECKING:
    import xarray

    from gdsim.sweep.execution.progress import State


class Sweep(Experiment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A population: `starts` runs in every cell of a grid of problems, optimizers, schedules and batch sizes.

    Raises ValueError or TypeError, before anything is compiled, for whatever cannot be run.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=[0.1, 1.0]), starts=3)
    >>> sweep.plan().runs
    6
    """

    if TYPE_CHECKING:  # what the fields take; those of Experiment say what they hold

        def __init__(
            self,
            *,
            problem: Problem | Sequence[Problem],
            optimizer: Rule | Sequence[Rule],
            schedule: Schedule | Sequence[Schedule] = (),
            init: str | float | Start | Sequence[Sequence[float]] | np.ndarray | None = None,
            starts: int | None = None,
            steps: int | None = None,
            samples: int | None = None,
            batch: int | Grid | None = None,
            shuffle: Literal["epoch", "once", "replacement"] = "epoch",
            drop_last: bool = True,
            stop: Stop | Sequence[Stop] = (),
            record: Record = ...,
            seed: int = 0,
            dtype: Literal["float32", "float64"] | Grid | None = None,
            keep: Literal["runs", "summary"] = "runs",
            tangents: str | Direction | Sequence[str | Direction] = (),
            distribution: Distribution | Sequence[Distribution | None] | None = None,
            partition: Partition | Sequence[Partition | None] | None = None,
        ) -> None: ...

    @hinting_calls
    def plan(self, *, chunk_seconds: float = CHUNK_SECONDS, lanes: int | None = None, device: str | None = None) -> Plan:
        """What would run: runs, structures, chunks, operations, memory and disk. Trains nothing.

        With `device`, as of `run`, it also says on what it would be trained and why, in about how many seconds, and how
        much of a GPU's memory that takes; raises ValueError where that cannot be.
        """
        plan = plan_of(self, chunk_seconds, lanes)
        return plan if device is None else with_choice(plan, RunOptions(None, lanes, device=checked_device(device)))

    @hinting_calls
    def order(self, start: int) -> np.ndarray:
        """[step, batch] indices of the samples that start `start` sees; -1 beyond the end of a short last
        batch.

        It is the same in every cell with the same data and batch size; of several, the first's is given.
        """
        checked_whole(start, "start", 0, self.starts)
        cell = cells_of(self)[0]
        return sample_order(self.setting(cell)._replace(problem=cell.problem), start)

    @hinting_calls
    def run(
        self,
        *,
        out: str | pathlib.Path | None = None,
        runs: Any = None,
        threads: int | None = None,
        lanes: int | None = None,
        chunk_seconds: float = CHUNK_SECONDS,
        progress: "bool | Callable[[State], object] | None" = None,
        client: Any = None,
        device: str = "cpu",
        part: tuple[int, int] | None = None,
        attempts: int = 3,
        mix: bool = False,
    ) -> "xarray.Dataset":
        """Trains the population on threads of this machine, on its GPU, or on a Dask cluster, and returns its
        xarray.Dataset.

        `out` is a folder for the results, or `s3://bucket/folder`, which then survive: the same call again
        trains what is missing, a sweep with more starts or cells what those lack, and the Dataset is read
        from the folder as it is asked for. `runs` chooses some runs by number, each once, or by a mask of
        all; they have the same bits, and come in ascending order. `lanes` is the lane width, `threads` the
        number of threads: neither changes a bit.

        `device="cuda"` trains on this machine's first GPU, `"cuda:1"` on the second, and `"auto"` where it is
        estimated to take less time, compilation included: how that came out, `plan(device="auto")` says. The
        results have the processors' bits. `threads` are then those that make runs ready for the GPU and keep
        what it has found.

        `client` is a `distributed.Client`, or a scheduler's address, whose workers see the folder under the
        same path and write into it themselves; those that offer a GPU alone train with `device="cuda"`, and all
        of them, each on what it has, with `"auto"` (cluster/README.md). `part=(i, n)` trains the i-th of n parts of the plan, counted
        from 1, for jobs that know nothing of each other: into one folder, or into folders that `gdsim merge`
        joins; all with the same `chunk_seconds`. What is there of the whole comes back. `chunk_seconds`: how
        much work of one core is stored at once, and scheduled, but that a GPU trains several such chunks of a
        structure together. `attempts`: how often a chunk that raises is
        tried before it is set aside. `mix` lets a folder hold runs of kernels whose bits differ. `progress`:
        one line that updates, in a terminal and in a notebook; True, anywhere; False, nowhere; or a function,
        called with a `gdsim.sweep.execution.progress.State`.

        Raises ValueError for what cannot be run, as on a GPU where there is none, and
        `gdsim.sweep.execution.executor.UnfinishedError`, all that could be finished being kept, where chunks
        fail, the folder cannot be written, or the scheduler or the GPU is lost.
        """
        return run_sweep(
            self, RunOptions(threads, lanes, client, attempts, chunk_seconds, checked_part(part), device=device), out=out, runs=runs, progress=progress, mix=mix
        )


def read_experiment(path: str | pathlib.Path, settings: Sequence[str] = ()) -> Sweep:
    """The sweep that a TOML file declares, with changes `KEY=VALUE`.

    Data files are found beside it. What the file lists under `[[then]]` is no part of the sweep: `gdsim run` does
    it. Raises ExperimentError.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write('problem = {type = "booth"}\\noptimizer = "sgd"\\n')
    ...     file.flush()
    ...     read_experiment(file.name, ["optimizer.lr=[0.1, 0.2]", "steps=5"]).plan().runs
    2
    """
    return read_file(path, settings)[0]


def read_file(path: str | pathlib.Path, settings: Sequence[str] = ()) -> tuple[Sweep, object]:
    """(the sweep that a TOML file declares, what it lists under `[[then]]`, unread). Raises ExperimentError."""
    try:
        path, table = read_toml(path, "experiment")
    except ValueError as error:
        raise ExperimentError(str(error)) from None
    try:
        table = changed(table, settings, (*Sweep.__struct_fields__, "then"))
        then = table.pop("then", [])
        return experiment_from(table, path.parent, Sweep), then
    except (ValueError, TypeError) as error:
        raise ExperimentError(f"{path}: {error}") from None
