"""When runs first come down to a loss: between which two looks, and the targets that a sweep has of its
own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gdsim.axes import Spaced, values
from gdsim.kernels.hits import first_hits
from gdsim.kernels.sample_table import steps_per_epoch
from gdsim.lanes.compiler import bind
from gdsim.population.looks import epoch_of
from gdsim.stops import Status, Target
from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Dataset, by_block, cells_in
from gdsim.words import given

Targets = float | Sequence[float] | np.ndarray | Spaced | None  # losses to reach; None: the sweep's own


class Met(NamedTuple):
    """Between which two looks each run first met each target."""

    after: np.ndarray  # [run, target] the step of the look before; 0 where the start meets it, -1 if never
    by: np.ndarray  # [run, target] the step of the look at which it was met; -1 if never
    last: np.ndarray  # [run] the steps that the run took


def checked_targets(targets: object) -> np.ndarray:
    """Losses to reach, the highest first. Raises ValueError."""
    listed = values(targets, 0, "targets") if isinstance(targets, msgspec.Struct) else targets  # gd.logspace and its like
    try:
        losses = np.unique(np.ravel(np.asarray(listed, float)))[::-1]
    except (TypeError, ValueError):
        losses = np.zeros(0)
    if not len(losses) or not np.isfinite(losses).all():
        raise ValueError(f"targets must be one loss or several, such as [0.1, 0.01]; {given(targets)} was given")
    return losses


def own_targets(result: Dataset) -> np.ndarray:
    """The losses that the sweep's own `gd.Target` watches for, the highest first; none where it has none."""
    return np.atleast_1d(np.asarray(result.attrs.get("targets", ()), float))


def steps_between_looks(result: Dataset, numbers: np.ndarray) -> np.ndarray | None:
    """[cell] the steps between two looks at the sweep's targets; None where this process does not know the
    sweep any more.
    """
    try:
        sweep = sweep_behind(result)
    except ValueError:
        return None
    stop = next((s for s in sweep.stop if isinstance(s, Target)), None)
    if stop is not None and stop.every is not None:
        return np.full(len(numbers), stop.every)
    cells = cells_of(sweep)
    return np.array([epoch_of(sweep.setting(c)) if (c := cells[n]).distribution else _epoch_of(c, drop_last=sweep.drop_last) for n in numbers])


def _epoch_of(cell: Cell, *, drop_last: bool) -> int:
    """The steps of an epoch; one where every step sees all samples."""
    if cell.batch is None or cell.problem.data is None:
        return 1
    return steps_per_epoch(len(cell.problem.data.X), cell.batch, drop_last)


def times_met(result: Dataset, losses: np.ndarray) -> Met:
    """When each run of a result met `losses`, the highest first.

    A target of the sweep's own is met at a look of its stop, every step with batch=None; any other at the
    first checkpoint at or below it, or at the run's end.
    """
    cells = cells_in(result)
    runs, steps = result.sizes["run"], result.step.values.astype(np.int64)
    after, by = np.full((2, runs, len(losses)), -1, np.int32)
    last = np.zeros(runs, np.int64)
    own = np.isin(losses, own_targets(result))
    looks = steps_between_looks(result, cells.numbers) if own.any() else None
    names, watched = ["loss", "final_loss", "steps_taken", "status"], np.zeros(0)
    if own.any() and "target_step" in result and "target" in result.coords:
        names, watched = [*names, "target_step"], result.target.values

    def look(rows: slice, columns: dict[str, np.ndarray]) -> None:
        loss, taken = columns["loss"], columns["steps_taken"].astype(np.int64)
        goals = losses.astype(loss.dtype)  # as a stop compares them
        met = _first_hits(loss, steps, goals)
        met[:, own] = -1
        for place, target in enumerate(watched):
            met[:, losses == target] = columns["target_step"][:, [place]]
        at_end = (met < 0) & (columns["final_loss"][:, None] <= goals) & (columns["status"] != Status.DIVERGED)[:, None]
        met = _easier_first(np.where(at_end, taken[:, None], met))
        before = checkpoint_before(loss, steps, met)
        if looks is not None:
            every = looks[cells.place[rows]][:, None]
            before = np.where(own, np.maximum(met - 1, 0) // every * every, before)
        before = np.maximum.accumulate(before, axis=1)  # what has not met an easier one has not met a harder one
        by[rows], last[rows] = met, taken
        after[rows] = np.where(met < 0, -1, np.minimum(before, np.maximum(met - 1, 0)))

    for _ in by_block(result, names, look):
        pass
    return Met(after, by, last)


def _first_hits(losses: np.ndarray, steps: np.ndarray, targets: np.ndarray) -> np.ndarray:
    from numba import types  # and with it LLVM, which only kernels need

    kind = getattr(types, losses.dtype.name)
    array = lambda t, d: types.Array(t, d, "C")  # noqa: E731
    kernel: Any = bind(first_hits, {}, types.void(array(kind, 2), array(types.int64, 1), array(kind, 1), array(types.int32, 2)))
    hits = np.empty((len(losses), len(targets)), np.int32)
    kernel(losses, steps, np.ascontiguousarray(targets), hits)
    return hits


def _easier_first(hits: np.ndarray) -> np.ndarray:
    """The steps with none later than that of a harder target."""
    never = np.iinfo(np.int64).max
    times = np.where(hits < 0, never, hits)
    times = np.minimum.accumulate(times[:, ::-1], axis=1)[:, ::-1]
    return np.where(times == never, -1, times)


def checkpoint_before(losses: np.ndarray, steps: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """[run, target] the step of the last checkpoint before a hit at which the run was recorded; 0 where
    there is none.
    """
    place = np.searchsorted(steps, hits, side="left") - 1
    if np.isnan(losses).any():
        recorded = np.where(np.isnan(losses), 0, np.arange(losses.shape[1]))
        place = np.take_along_axis(np.maximum.accumulate(recorded, axis=1), np.maximum(place, 0), axis=1)
    return np.where(hits > 0, steps[np.maximum(place, 0)], 0)


def is_success(result: Dataset, target: object) -> np.ndarray:
    """Whether each run succeeded: "converged" without a target, the loss at most `target` with one, or as an
    array of truth values says.

    A target of the sweep's own counts as met at a look of its stop, as its times do; any other where the
    lowest loss is at most that.
    """
    if target is None:
        return result.status.values == Status.CONVERGED
    if isinstance(target, (int, float)) and not isinstance(target, bool):
        if target in own_targets(result):
            return times_met(result, np.array([float(target)])).by[:, 0] >= 0
        return result.best_loss.values <= target
    truth = np.asarray(target)
    if truth.dtype != bool or truth.shape != (result.sizes["run"],):
        raise ValueError(f"target must be a loss, or True and False for each of the {result.sizes['run']:,} runs; {given(target)} was given")
    return truth
