"""`gd.Sweep`: an experiment as data. It checks itself, says what it would run, and runs."""

import pathlib
from typing import Any, Literal

import msgspec
import numpy as np

from gdsim.axes import checked_axis_of, checked_whole, nearest
from gdsim.population import WIDTHS, Setting
from gdsim.population.setting import sample_order
from gdsim.problems import MLP, PROBLEMS
from gdsim.rules import RULES, Rule
from gdsim.schedules import SCHEDULES, Constant, Schedule
from gdsim.starts import Points, checked_init
from gdsim.stops import Record, Stop
from gdsim.sweep.cells import Cell, cells_of

MOST_CHECKPOINTS = 1_000_000


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A population: `starts` runs in every cell of a grid of problems, optimizers, schedules and batch sizes.

    `problem`, `optimizer`, `schedule`: one or a list. `init`: "glorot", "he", "zeros", `gd.Normal`, `gd.Uniform` or an
    array [start, parameter]. `steps`: updates of each run. `batch`: samples per step, None for all, or a `gd.grid`.
    `shuffle`: "epoch", "once" or "replacement". `stop`: a list of stops. `dtype`: "float32" or "float64".

    Raises ValueError or TypeError, before anything is compiled, for whatever cannot be run.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), hidden=[2]), optimizer=gd.SGD(lr=[0.1, 1.0]), starts=3)
    >>> sweep.plan().runs
    6
    """

    problem: Any
    optimizer: Any
    schedule: Any = ()
    init: Any = "glorot"
    starts: int = 1
    steps: int = 1000
    batch: Any = None
    shuffle: Literal["epoch", "once", "replacement"] = "epoch"
    drop_last: bool = True
    stop: Any = ()
    record: Record = Record()
    seed: int = 0
    dtype: Any = None
    keep: Literal["runs"] = "runs"

    def __post_init__(self) -> None:
        put = lambda name, value: msgspec.structs.force_setattr(self, name, value)  # noqa: E731
        put("problem", _several(self.problem, MLP, "problem", PROBLEMS))
        put("optimizer", _several(self.optimizer, Rule, "optimizer", RULES))
        put("schedule", _several(self.schedule or Constant(), Schedule, "schedule", SCHEDULES))
        put("init", checked_init(self.init))
        put("starts", checked_whole(self.starts, "starts", 1, 2**32))
        put("steps", checked_whole(self.steps, "steps", 1, 2**31))
        put("seed", checked_whole(self.seed, "seed", 0, 2**64))
        put("batch", checked_axis_of(self.batch, "batch", self._checked_batch))
        put("stop", _stops(self.stop))
        if not isinstance(self.record, Record):
            raise TypeError(f"record must be a gd.Record; {self.record!r} was given")
        if self.record.count(self.steps) > MOST_CHECKPOINTS:
            raise ValueError(
                f"record.every={self.record.every} makes {self.record.count(self.steps):,} checkpoints in {self.steps:,} steps; "
                f"at most {MOST_CHECKPOINTS:,} fit: record more rarely"
            )
        _one_of(self.shuffle, "shuffle", ("epoch", "once", "replacement"))
        _one_of(self.keep, "keep", ("runs",))
        if self.dtype is not None:
            _one_of(self.dtype, "dtype", tuple(WIDTHS))
        if not isinstance(self.drop_last, bool):
            raise TypeError(f"drop_last must be true or false; {self.drop_last!r} was given")
        self._check_points()

    def _checked_batch(self, value: Any, name: str) -> int | None:
        if value is None:
            return None
        size = min(len(p.data.X) for p in self.problem)
        count = checked_whole(value, name, 1, 2**31)
        if count > size:
            raise ValueError(f"{name}={count} is larger than the data, which has {size} samples; give at most {size}, or None for all of them")
        return count

    def _check_points(self) -> None:
        if isinstance(self.init, Points):
            for problem in (v for p in self.problem for v in p.variants()):
                shape = self.init.values.shape
                if shape[1] != problem.parameter_count or shape[0] < self.starts:
                    raise ValueError(
                        f"init must be [{self.starts}, {problem.parameter_count}]: a row per start, a column per parameter; shape {shape} was given"
                    )

    def dtype_of(self, problem: MLP) -> str:
        """The number type of a problem's runs."""
        return self.dtype or "float32"

    def setting(self, cell: Cell) -> Setting:
        """What the runs of a cell share with those of other cells of its structure."""
        return Setting(
            cell.problem, cell.rule, cell.schedule, self.init, self.steps, cell.batch, self.shuffle, self.drop_last,
            self.stop, self.record, self.seed, self.dtype_of(cell.problem),
        )  # fmt: skip

    def plan(self, *, chunk_seconds: float = 10.0, lanes: int | None = None) -> Any:
        """What would run: runs, structures, chunks, operations, memory and disk. Compiles and runs nothing."""
        from gdsim.sweep.plan import plan_of

        return plan_of(self, chunk_seconds, lanes)

    def order(self, start: int) -> np.ndarray:
        """[step, batch] indices of the samples that start `start` sees; -1 beyond the end of a short last batch.

        It is the same in every cell with the same data and batch size; of several, the first's is given.
        """
        checked_whole(start, "start", 0, 2**32)
        return sample_order(self.setting(cells_of(self)[0]), start)

    def run(
        self,
        *,
        out: str | pathlib.Path | None = None,
        runs: Any = None,
        threads: int | None = None,
        lanes: int | None = None,
        chunk_seconds: float = 10.0,
        progress: Any = None,
    ) -> Any:
        """Trains the population on threads of this machine and returns its xarray.Dataset.

        `out` is a folder for the results, which then survive. `runs` chooses some runs by number; they have the same bits.
        `lanes` is the lane width, `threads` the number of threads: neither changes a bit. `progress` is called with a
        `gdsim.sweep.execute.State` as packs finish.
        """
        from gdsim.sweep.execute import run_sweep

        return run_sweep(self, out=out, runs=runs, threads=threads, lanes=lanes, chunk_seconds=chunk_seconds, progress=progress)


def _several(value: Any, kind: type[Any], name: str, classes: tuple[Any, ...]) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    allowed = ", ".join(f"gd.{c.__name__}" for c in classes)
    if not values:
        raise ValueError(f"{name} is an empty list; give at least one of {allowed}")
    for v in values:
        if not isinstance(v, kind):
            raise TypeError(f"{name} must be one of {allowed}, or a list of them; {v!r} was given")
    return values


def _stops(value: Any) -> tuple[Stop, ...]:
    stops = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for stop in stops:
        if not isinstance(stop, Stop):
            raise TypeError(f"stop must be a list of stops such as gd.Target(loss); {stop!r} was given")
    return stops


def _one_of(value: Any, name: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not known; {nearest(str(value), allowed)}")
