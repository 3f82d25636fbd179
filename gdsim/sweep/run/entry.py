"""The one way in: whether runs are kept in a folder or in memory alone is decided here."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

from gdsim.lanes.compiler import check_compiler
from gdsim.sweep.execution.display import Wish, shown
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.plan import plan_of
from gdsim.sweep.run.inmemory import run_in_memory
from gdsim.sweep.run.options import RunOptions, check_options, check_stored, check_unedited, checked_runs
from gdsim.sweep.run.placing import placed

if TYPE_CHECKING:
    import xarray


def run_sweep(sweep: Experiment, options: RunOptions, *, out: str | os.PathLike[str] | None, runs: object, progress: Wish, mix: bool) -> "xarray.Dataset":
    """Trains what is not in the folder yet and returns the Dataset of everything."""
    check_compiler()
    check_unedited(sweep)
    if out is not None:
        return _stored(sweep, options, out, runs, progress, mix)
    plan = plan_of(sweep, options.chunk_seconds, options.lanes)
    chosen = checked_runs(runs, plan)
    check_options(options, plan, chosen, stores=False)
    beside = plan.result_bytes if chosen is None else plan.result_bytes * len(chosen) // plan.runs
    where = placed(plan, options, beside, None if chosen is None else len(chosen))
    with shown(progress) as listener:
        return run_in_memory(sweep, plan, chosen, where, listener)


def _stored(sweep: Experiment, options: RunOptions, out: str | os.PathLike[str], runs: object, progress: Wish, mix: bool) -> "xarray.Dataset":
    """As `run_sweep`, into a folder."""
    from gdsim.store.folder import Store  # and with it pyarrow, which runs without a folder do not need
    from gdsim.sweep.run.infolder import as_in_folder, run_in_folder

    store = Store(out)
    sweep = as_in_folder(store, sweep)
    plan = plan_of(sweep, options.chunk_seconds, options.lanes)
    check_options(options, plan, checked_runs(runs, plan), stores=True)
    check_stored(sweep, options.client is not None)
    with shown(progress) as listener, reached(options.client) as client:
        return run_in_folder(sweep, plan, store, options._replace(client=client), listener, mix)


def reached(client: object) -> contextlib.AbstractContextManager[Any]:
    """The client of a cluster, None where none was given."""
    if client is None:
        return contextlib.nullcontext()
    from gdsim.sweep.cluster.client import client_of  # which a cluster alone needs

    return client_of(client)
