"""`gd.continue_from`: runs go on from the ends of an earlier result, bit for bit as if they had never stopped."""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gdsim.axes import checked_whole
from gdsim.kernels import BITS
from gdsim.population.columns import OF_STOPS
from gdsim.stops import Status
from gdsim.sweep.execution.continuation import Continuation, ResultEnds
from gdsim.sweep.execution.display import Wish, shown
from gdsim.sweep.experiment.bit_versions import kernel_version, other_bits
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.own_code import own_code, what_changed
from gdsim.sweep.planning.devices import checked_device
from gdsim.sweep.planning.more_steps import why_not_whole_epochs
from gdsim.sweep.planning.plan import Plan, plan_of
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Dataset, Result, check_result
from gdsim.sweep.run.inmemory import run_in_memory
from gdsim.sweep.run.options import RunOptions, check_unedited, checked_count
from gdsim.sweep.run.placing import placed

if TYPE_CHECKING:
    import xarray


def continue_from(result: Result, *, steps: int, threads: int | None = None, lanes: int | None = None, device: str = "cpu", progress: Wish = None) -> Dataset:
    """The runs of a result with `steps` more updates: an xarray.Dataset whose checkpoints begin where the
    result ended.

    The result, or the folder of one, must have been recorded with `gd.Record(state=True)`. Runs that used up
    their budget go on, optimizer state, schedule, sample orders and stops included, also from inside an
    epoch, and so do those that were ended by a look that was there only because the steps were used up; runs
    that had ended otherwise stay as they were. `threads`, `lanes`, `device` and `progress` are those of
    `Sweep.run`. Raises ValueError for a result
    without state, of kernels whose bits differ, from no sweep that this process knows, or by a rule or
    schedule of your own that has changed since, itself or in a value that it reads.

    >>> import gdsim as gd
    >>> half = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Adam(), steps=50, record=gd.Record(state=True)).run()
    >>> whole = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Adam(), steps=100).run()
    >>> bool(continue_from(half, steps=50).final_loss[0] == whole.final_loss[0])
    True
    """
    result = check_result(result, "continue_from")
    sweep = sweep_behind(result)
    check_unedited(sweep)
    made = np.atleast_1d(result.attrs.get("kernels", BITS)).tolist()  # those of the first version did not say so
    if differing := other_bits(made, [kernel_version(sweep)]):
        raise ValueError(f"the result was {differing}: run its sweep again, and go on from that")
    if changed := what_changed(np.atleast_1d(result.attrs.get("own_code", [])).tolist(), own_code(sweep)):
        raise ValueError(f"{changed}, and the runs would go on by another rule than they began with: restore it, or run the sweep again")
    more = checked_whole(steps, "steps", 1, 2**31)
    if sweep.samples is not None:
        raise ValueError("continue_from counts steps, and this sweep was given samples")
    if "state_weights" not in result:
        raise ValueError("the result has no state to go on from; record it with gd.Record(state=True)")
    if reason := why_not_whole_epochs(sweep, sweep.steps, lambda: [result]):
        raise ValueError(reason)
    longer = msgspec.structs.replace(sweep, steps=sweep.steps + more)
    train, plan = Continuation(ResultEnds(result), sweep.steps).train, _plan_from(longer, sweep.steps, lanes)
    where = placed(plan, RunOptions(checked_count(threads, "threads"), lanes, device=checked_device(device)))
    with shown(progress) as listener:
        return run_in_memory(longer, plan, result.run.values, where, listener, train)


def continue_with(result: "xarray.Dataset", sweep: Experiment, *, began: int, threads: int, progress: Wish = None) -> Dataset:
    """The runs of a result, but for those that diverged, from their states through another sweep's steps
    after `began`, on its data.

    The sweep must have the result's network and optimizer; its stops begin anew. Returns an xarray.Dataset
    whose checkpoints begin at `began`.
    """
    alive = result.run.values[result.status.values != Status.DIVERGED]
    train, plan = Continuation(ResultEnds(result.drop_vars(OF_STOPS, errors="ignore")), began).train_all, _plan_from(sweep, began)
    where = placed(plan, RunOptions(threads))
    with shown(progress) as listener:
        return run_in_memory(sweep, plan, alive, where, listener, train)


def _plan_from(sweep: Experiment, began: int, lanes: int | None = None) -> Plan:
    """The plan of a sweep whose runs have so many updates behind them."""
    plan = plan_of(sweep, lanes=lanes)
    groups = tuple(g._replace(setting=g.setting._replace(began=began)) for g in plan.groups)
    return plan._replace(groups=groups, checkpoints=tuple(groups[0].setting.checkpoints))
