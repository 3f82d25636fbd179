"""Runs that go on from the ends of an earlier result, bit for bit as if they had never stopped."""

from typing import Any

import msgspec
import numpy as np

from gdsim.axes import checked_whole
from gdsim.population import Batch, train_batch
from gdsim.population.training import OF_STOPS, with_state_names
from gdsim.sweep.execution.display import Wish, shown
from gdsim.sweep.execution.outcomes import running
from gdsim.sweep.execution.progress import Progress
from gdsim.sweep.execution.remaining import remaining_of
from gdsim.sweep.execution.threads import Threads, Work
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.planning.longer import going_on, has_sums, why_not_whole_epochs
from gdsim.sweep.planning.plan import Plan, plan_of
from gdsim.sweep.results.dataset import dataset, joined, remembered, sweep_behind
from gdsim.sweep.results.reading import Dataset, Result, check_result
from gdsim.sweep.run import Ways, check_unedited, runs_in
from gdsim.variables import WORDS


def continue_from(result: Result, *, steps: int, threads: int | None = None, lanes: int | None = None, progress: Wish = None) -> Dataset:
    """The runs of a result with `steps` more updates: an xarray.Dataset whose checkpoints begin where the result ended.

    The result, or the folder of one, must have been recorded with `gd.Record(state=True)`. Runs that used up their budget go on, optimizer state,
    schedule, sample orders and stops included, also from inside an epoch, and so do those that were ended by a look that was there only because the
    steps were used up; runs that had ended otherwise stay as they were. `progress` as of `Sweep.run`. Raises ValueError for a result without state, or
    from no sweep that this process knows.

    >>> import gdsim as gd
    >>> half = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Adam(), steps=50, record=gd.Record(state=True)).run()
    >>> whole = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Adam(), steps=100).run()
    >>> bool(continue_from(half, steps=50).final_loss[0] == whole.final_loss[0])
    True
    """
    result = check_result(result, "continue_from")
    sweep = sweep_behind(result)
    check_unedited(sweep)
    more = checked_whole(steps, "steps", 1, 2**31)
    if sweep.samples is not None:
        raise ValueError("continue_from counts steps, and this sweep was given samples")
    if "state_weights" not in result:
        raise ValueError("the result has no state to go on from; record it with gd.Record(state=True)")
    if not has_sums(result) and (reason := why_not_whole_epochs(sweep, sweep.steps)):
        raise ValueError(reason)
    longer = msgspec.structs.replace(sweep, steps=sweep.steps + more)
    numbers = result.run.values
    result = result.load()
    cells = cells_of(sweep)
    reasons = np.array([WORDS["reason"].index(r) for r in result.reason.values])
    going = going_on(sweep.steps, result.steps_taken.values, result.cell.values, reasons, lambda c: (sweep.setting(cells[c]), cells[c].numbers()))
    plan = _plan_from(longer, sweep.steps, lanes)
    found, parts = _gone_on(plan, result, numbers[going], Ways(threads, lanes, None, 1, 10.0), progress)
    if (~going).any():
        found.insert(0, numbers[~going])
        parts.insert(0, _kept(result.isel(run=~going), len(plan.checkpoints)))
    return remembered(longer, dataset(plan, np.concatenate(found), joined(parts)))


def continue_with(result: Any, sweep: Any, *, began: int, threads: int, progress: Any = None) -> Any:
    """The runs of a result, but for those that diverged, from their states through another sweep's steps after `began`, on its data.

    The sweep must have the result's network and optimizer; its stops begin anew. Returns an xarray.Dataset whose checkpoints begin at `began`.
    """
    plan = _plan_from(sweep, began, None)
    alive = result.run.values[result.status.values != "diverged"]
    found, parts = _gone_on(plan, result.drop_vars(OF_STOPS, errors="ignore"), alive, Ways(threads, None, None, 1, 10.0), progress)
    return remembered(sweep, dataset(plan, np.concatenate(found), joined(parts)))


def _plan_from(sweep: Any, began: int, lanes: int | None) -> Plan:
    """The plan of a sweep whose runs have so many updates behind them."""
    plan = plan_of(sweep, lanes=lanes)
    groups = tuple(g._replace(setting=g.setting._replace(began=began)) for g in plan.groups)
    return plan._replace(groups=groups, checkpoints=tuple(groups[0].setting.checkpoints))


def _gone_on(plan: Plan, result: Any, chosen: np.ndarray, ways: Ways, progress: Any) -> tuple[list[np.ndarray], list[dict[str, np.ndarray]]]:
    """(numbers, columns) of the chosen runs of a result, after the plan's steps from where they ended."""
    numbers = result.run.values

    def train(work: Work, batch: Batch, workspaces: dict[Any, Any], stopping: Any = None) -> dict[str, np.ndarray]:
        ends = _rows(result, np.searchsorted(numbers, batch.number), work.setting)
        return train_batch(work.setting, batch, work.width, workspaces, stopping, ends).columns

    chunks = [c for c in plan.chunks if np.isin(plan.numbers_of(c), chosen).any()]
    found, parts = [], []
    with shown(progress) as listener:
        state = Progress(len(chosen), listener, remaining_of(plan, chunks, ways.thread_count, chosen))
        executor = Threads(plan, ways.thread_count, ways.lanes, state, chosen=chosen, trainer=train)
        with running(executor, chunks, state, 1) as outcomes:
            for outcome in outcomes:
                done, columns = runs_in(plan, outcome, chosen)
                found.append(done)
                parts.append(columns)
    return found, parts


def _rows(result: Any, places: np.ndarray, setting: Any) -> dict[str, np.ndarray]:
    """The columns of some runs, vectors of parameters as long as their own problem's."""
    count = setting.problem.parameter_count
    found = {}
    for name in result.data_vars:
        values = result[name]
        if "run" in values.dims and "checkpoint" not in values.dims:
            rows = values.values[places]
            found[str(name)] = rows[:, :count] if "parameter" in values.dims else rows
    return with_state_names(setting.rule, found)


def _kept(result: Any, checkpoints: int) -> dict[str, np.ndarray]:
    """The columns of runs that stay as they were; their curves have ended."""
    found = {}
    for name in result.data_vars:
        values = result[name]
        if "run" not in values.dims or name == "parameter_count":
            continue
        if "checkpoint" in values.dims:
            shape = (values.shape[0], checkpoints, *values.shape[2:])
            found[str(name)] = np.full(shape, np.nan, values.dtype)
        elif name == "epoch_loss":
            found[name] = np.empty((values.shape[0], 0), values.dtype)
        elif name in WORDS:
            found[str(name)] = np.array([WORDS[str(name)].index(s) for s in values.values], np.int8)
        else:
            found[str(name)] = values.values
    return found
