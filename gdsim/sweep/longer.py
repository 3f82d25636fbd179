"""A folder's runs with more steps: those that were kept with their state go on from where they stood, bit for bit."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from gdsim.population import Batch, Setting, train_batch
from gdsim.population.setting import curves_of, epoch_of, epochs_of, has_own_look, is_of_batches, validated_of
from gdsim.stops import REASONS
from gdsim.sweep.cells import cells_of, identities_of
from gdsim.sweep.opening import StoredColumn, index_of
from gdsim.sweep.plan import Chunk, Plan
from gdsim.sweep.result import WORDS, lacking
from gdsim.sweep.shards import Shard
from gdsim.sweep.threads import Work


def why_not_longer(sweep: Any, steps: int) -> str:
    """Why the runs of a sweep cannot go on from those of `steps` steps; nothing if they can."""
    if sweep.steps is None or steps >= sweep.steps:
        return f"the folder's runs have {steps} steps" + (": give more" if sweep.record.state else "")
    if not sweep.record.state:
        return "runs go on where their state was kept, by gd.Record(state=True), in a file record.state=true"
    for cell in cells_of(sweep):
        checkpoints = sweep.setting(cell).checkpoints
        had = set(sweep.setting(cell)._replace(steps=steps).checkpoints)
        lacking = [c for c in checkpoints if c <= steps and c not in had]
        if lacking:
            return f"step {lacking[0]} would be a checkpoint and was none: give record.every as a number that divides {steps}"
    return ""


def why_not_whole_epochs(sweep: Any, steps: int) -> str:
    """Why the losses of epochs cannot go on after `steps` steps where a begun epoch's losses so far were not kept, as older versions have it. Nothing if they can."""
    for cell in cells_of(sweep):
        setting = sweep.setting(cell)
        epoch = epoch_of(setting)
        if any(map(is_of_batches, setting.stops)) and steps % epoch:
            return (
                f"this state, of an older version, goes on with gd.Plateau(batches=True) after whole epochs, of {epoch} steps here, and the runs have {steps}"
            )
    return ""


def has_sums(names: Iterable[Hashable]) -> bool:
    """Whether a state has the losses of a begun epoch so far, by the names of its variables."""
    return "state_epoch_total" in names


def going_on(
    steps: int, taken: np.ndarray, cells: np.ndarray, reasons: np.ndarray, of_cell: Callable[[int], tuple[Setting, Mapping[str, float]]]
) -> np.ndarray:
    """[run] whether runs of `steps` steps go on with more; `reasons` as places in `REASONS`, `of_cell(cell)` its setting and hyperparameters."""
    going = taken == steps
    pairs, place = np.unique(np.stack([cells, reasons], 1)[going], axis=0, return_inverse=True)
    going[going] = np.array([_goes_on(steps, REASONS[reason], *of_cell(int(cell))) for cell, reason in pairs], bool)[place.ravel()]
    return going


def _goes_on(steps: int, reason: str, setting: Setting, numbers: Mapping[str, float]) -> bool:
    """Whether nothing has ended a run but its budget, or a stop that would not have looked after `steps` steps had there been more."""
    stops = [s for s in setting.stops if type(s).__name__ == reason]
    return reason == "budget" or (reason != "Diverged" and not any(has_own_look(setting, s, steps, numbers) for s in stops))


class Earlier:
    """The ends of a folder's runs after fewer steps, by the numbers that runs have in a plan of more."""

    def __init__(self, sweep: Any, plan: Plan, shards: Sequence[Shard], steps: int) -> None:
        self.plan, self.steps = plan, steps
        shorter = plan._replace(identities=tuple(identities_of(msgspec.structs.replace(sweep, steps=steps))))
        self.index = index_of(shorter, shards)

    def split(self, chunks: Sequence[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
        """(chunks whose runs can go on, chunks whose runs begin), of which each run is in one."""
        on, begin = [], []
        for chunk in chunks:
            known = np.isin(self.plan.numbers_of(chunk), self.index.numbers).reshape(-1, len(chunk.cells))
            if known.all():
                on.append(chunk)
            elif not known.any():
                begin.append(chunk)
            else:
                on += self.plan.rest_of(chunk, known)
                begin += self.plan.rest_of(chunk, ~known)
        return on, begin

    def train(self, work: Work, batch: Batch, workspaces: dict[Any, Any], stopping: Any = None) -> dict[str, np.ndarray]:
        """The columns of a batch's runs: those that had used up their steps go on, the others stay as they were."""
        held = self._columns(batch.number, work.setting)
        going = going_on(self.steps, held["steps_taken"], batch.cell, held["reason"], lambda c: (work.setting, batch.values[c]))
        if not going.any():
            return held
        setting = work.setting._replace(began=self.steps)
        ends = {name: values[going] for name, values in held.items()}
        more = train_batch(setting, batch.part(going), work.width, workspaces, stopping, ends).columns
        first = 0 if self.steps in work.setting.checkpoints else 1  # which a stop may have left out where it ended a run after the last step
        own = np.searchsorted(work.setting.checkpoints, setting.checkpoints[first:])
        for name, values in more.items():
            if name in (*curves_of(setting), "trajectory"):
                held[name][np.flatnonzero(going)[:, None], own] = values[:, first:]
            elif name == "epoch_loss":
                whole, had = lacking((len(going), epochs_of(work.setting)), values.dtype), held[name]  # as wide as the widest in the folder
                whole[:, : had.shape[1]] = had[:, : whole.shape[1]]
                whole[going, whole.shape[1] - values.shape[1] :] = values
                held[name] = whole
            else:
                held[name][going] = values
        return held

    def _columns(self, numbers: np.ndarray, setting: Setting) -> dict[str, np.ndarray]:
        """The columns of runs at their earlier ends, curves at the checkpoints that they will have."""
        rows: Any = np.searchsorted(self.index.numbers, numbers)
        count = setting.problem.parameter_count
        shards = [self.index.shards[k] for k in np.unique(self.index.owner[rows])]
        found = {name: lacking((len(rows),), kind) for name, kind in validated_of(setting).items()}  # as shards of versions that did not keep them have it
        for name in dict.fromkeys(n for s in shards for n in s.footer.columns):  # the runs of a batch are of one structure
            values = StoredColumn(self.index, name, setting.checkpoints)[rows]
            if name in WORDS:
                found[name] = np.array([WORDS[name].index(w) for w in values], np.int8)
            else:
                is_vector = (name.startswith("state_") and name != "state_stops") or name in ("parameters", "best_parameters", "trajectory")
                found[name] = np.ascontiguousarray(values[..., :count]) if is_vector and values.ndim > 1 else values
        return found
