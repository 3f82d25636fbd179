"""The ends of a folder's runs, from which a sweep of more steps goes on."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gdsim.population import Batch, Setting, train_batch
from gdsim.population.setting import curves_of, epochs_of, validated_of
from gdsim.population.training import with_state_names
from gdsim.store.shards import Shard
from gdsim.sweep.execution.threads import Work
from gdsim.sweep.experiment.cells import identities_of
from gdsim.sweep.planning.longer import going_on
from gdsim.sweep.planning.plan import Chunk, Plan
from gdsim.sweep.results.dataset import lacking
from gdsim.sweep.results.index import StoredColumn, index_of
from gdsim.variables import WORDS


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
        return with_state_names(setting.rule, found)
