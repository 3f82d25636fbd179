"""Runs that go on from earlier ends, those of a folder or of a result, bit for bit as if they had never
stopped.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from gdsim.kernels.team_memory import NOTED
from gdsim.population import Batch, Setting
from gdsim.population.columns import columns_of, validated_of, with_state_names
from gdsim.population.looks import epochs_of, has_own_look
from gdsim.stops import BUDGET, REASONS, Diverged
from gdsim.store.shards import Shard
from gdsim.sweep.execution.places import Columns, Train, Work
from gdsim.sweep.experiment.cells import identities_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.plan import Chunk, Plan
from gdsim.sweep.results.dataset import lacking
from gdsim.sweep.results.index import StoredColumn, index_of
from gdsim.variables import STATES_OF_TEAMS, WORDS, variable

if TYPE_CHECKING:
    import xarray


class Ends(Protocol):
    """The ends of runs: their numbers, ascending, and what is known of them."""

    numbers: np.ndarray

    def columns(self, numbers: np.ndarray, setting: Setting) -> Columns:
        """The columns of runs of one structure at their ends, curves at the checkpoints that they will
        have.
        """
        ...


class StoredEnds:
    """The ends of a folder's runs after `steps` steps, by the numbers that they have in a plan of more."""

    def __init__(self, sweep: Experiment, plan: Plan, shards: Sequence[Shard], steps: int) -> None:
        shorter = plan._replace(identities=tuple(identities_of(msgspec.structs.replace(sweep, steps=steps))))
        self.index = index_of(shorter, shards)
        self.numbers = self.index.numbers

    def columns(self, numbers: np.ndarray, setting: Setting) -> Columns:
        """As of `Ends`."""
        rows: Any = np.searchsorted(self.numbers, numbers)
        count = setting.problem.parameter_count
        shards = [self.index.shards[k] for k in np.unique(self.index.owner[rows])]
        found = {name: lacking((len(rows),), kind) for name, kind in validated_of(setting).items()}  # as shards of versions that did not keep them have it
        for name in dict.fromkeys(n for s in shards for n in s.footer.columns):
            values = StoredColumn(self.index, name, setting.checkpoints)[rows]
            if name in WORDS:
                found[name] = _places(name, values)
            else:
                found[name] = np.ascontiguousarray(values[..., :count]) if "parameter" in variable(name, values).dims else values
        return with_state_names(setting.rule, found)


class ResultEnds:
    """The ends of a result's runs, of whose curves nothing is kept but what is noted of teams at the end."""

    def __init__(self, result: "xarray.Dataset") -> None:
        self.result, self.values = result, result.drop_dims("checkpoint", errors="ignore").compute()
        self.numbers = self.values.run.values

    def columns(self, numbers: np.ndarray, setting: Setting) -> Columns:
        """As of `Ends`."""
        rows, count, found = np.searchsorted(self.numbers, numbers), setting.problem.parameter_count, {}
        for key, values in self.result.data_vars.items():
            name, dims = str(key), values.dims
            if "run" not in dims or name == "parameter_count":
                continue
            if "epoch" in dims:
                found[name] = np.empty((len(rows), 0), values.dtype)
                continue
            if "checkpoint" in dims:
                shape = (len(rows), len(setting.checkpoints), *values.shape[2:])
                taken = np.full(shape, np.nan, values.dtype)
                if name in NOTED and self.result.step.values[-1] == setting.checkpoints[0]:
                    taken[:, 0] = values[:, -1].values[rows]
            else:
                own = self.values[name].values[rows]
                taken = _places(name, own) if name in WORDS else own
            found[name] = np.ascontiguousarray(taken[..., :count]) if "parameter" in dims else taken
        return with_state_names(setting.rule, found)


def _places(name: str, words: np.ndarray) -> np.ndarray:
    """Words of a column as places in their list."""
    return np.array([WORDS[name].index(w) for w in words], np.int8)


def going_on(setting: Setting, batch: Batch, steps: int, ends: Columns) -> np.ndarray:
    """[run] whether runs with these ends go on beyond `steps` steps.

    They do where nothing has ended them but their budget, or a stop that would not have looked then had there
    been more.
    """
    going = ends["steps_taken"] == steps
    pairs, place = np.unique(np.stack([batch.cell, ends["reason"]], 1)[going], axis=0, return_inverse=True)
    going[going] = np.array([_goes_on(setting, batch.values[cell], steps, REASONS[reason]) for cell, reason in pairs], bool)[place.ravel()]
    return going


def _goes_on(setting: Setting, numbers: Mapping[str, float], steps: int, reason: str) -> bool:
    stops = [s for s in setting.stops if type(s).__name__ == reason]
    return reason == BUDGET or (reason != Diverged.__name__ and not any(has_own_look(setting, s, steps, numbers) for s in stops))


class Continuation:
    """How runs are trained that have `steps` steps behind them."""

    def __init__(self, ends: Ends, steps: int) -> None:
        self.ends, self.steps = ends, steps

    def split(self, plan: Plan, chunks: Sequence[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
        """(chunks whose runs can go on, chunks whose runs begin), of which each run is in one."""
        on, begin = [], []
        for chunk in chunks:
            known = np.isin(plan.numbers_of(chunk), self.ends.numbers).reshape(-1, len(chunk.cells))
            if known.all():
                on.append(chunk)
            elif not known.any():
                begin.append(chunk)
            else:
                on += plan.rest_of(chunk, known)
                begin += plan.rest_of(chunk, ~known)
        return on, begin

    def ends_of(self, batch: Batch, setting: Setting) -> Columns:
        """The ends of a batch's runs in the setting's own precision and sizes of teams: a result of several has
        the widest for all.
        """
        kinds, ends = columns_of(setting), self.ends.columns(batch.number, setting)
        ends |= {n: ends[n][:, *map(slice, kinds[n].shape)] for n in STATES_OF_TEAMS if n in kinds and n in ends}
        return {n: v.astype(kinds[n].dtype, copy=False) if n in kinds and v.dtype.kind == "f" else v for n, v in ends.items()}

    def train(self, train: Train, work: Work, batch: Batch) -> Columns:
        """The columns of a batch's runs: those that had used up their steps go on, the others stay as they
        were.
        """
        held = self.ends_of(batch, work.setting)
        going = going_on(work.setting, batch, self.steps, held)
        for name in [n for n, v in held.items() if "epoch" in variable(n, v).dims]:  # as wide as those of runs that go on
            had = held[name]
            held[name] = lacking((len(going), epochs_of(work.setting)), had.dtype)
            held[name][:, : had.shape[1]] = had[:, : held[name].shape[1]]
        if not going.any():
            return held
        setting = work.setting._replace(began=self.steps)
        ends = {name: values[going] for name, values in held.items()}
        more = train(setting, batch.part(going), ends)
        first = 0 if self.steps in work.setting.checkpoints else 1  # which a stop may have left out where it ended a run after the last step
        own = np.searchsorted(work.setting.checkpoints, setting.checkpoints[first:])
        for name, values in more.items():
            if name in NOTED:  # what is noted of a team belongs to the steps before
                held[name][np.flatnonzero(going)[:, None], own[1 - first :]] = values[:, 1:]
            elif "checkpoint" in variable(name, values).dims:
                held[name][np.flatnonzero(going)[:, None], own] = values[:, first:]
            elif "epoch" in variable(name, values).dims:
                held[name][going, held[name].shape[1] - values.shape[1] :] = values
            else:
                held[name][going] = values
        return held

    def train_all(self, train: Train, work: Work, batch: Batch) -> Columns:
        """The columns of a batch's runs, which go on whatever has ended them, and of which nothing else is
        kept.
        """
        return train(work.setting, batch, self.ends_of(batch, work.setting))
