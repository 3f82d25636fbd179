"""The one way in: whether runs are kept in a folder or in memory alone is decided here."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gdsim.lanes.compiler import check_compiler
from gdsim.sweep.execution.display import Wish, shown
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.memory import fitting_threads
from gdsim.sweep.planning.plan import plan_of
from gdsim.sweep.run.inmemory import run_in_memory
from gdsim.sweep.run.ways import Ways, check_stored, check_unedited, check_ways, checked_runs

if TYPE_CHECKING:
    import xarray


def run_sweep(sweep: Experiment, ways: Ways, *, out: str | os.PathLike[str] | None, runs: object, progress: Wish, mix: bool) -> "xarray.Dataset":
    """Trains what is not in the folder yet and returns the Dataset of everything."""
    check_compiler()
    check_unedited(sweep)
    if out is not None:
        return _stored(sweep, ways, out, runs, progress, mix)
    plan = plan_of(sweep, ways.chunk_seconds, ways.lanes)
    chosen = checked_runs(runs, plan)
    check_ways(ways, plan, chosen, stores=False)
    beside = plan.held if chosen is None else plan.held * len(chosen) // plan.runs
    ways = ways._replace(threads=fitting_threads(plan, ways.threads, beside))
    with shown(progress) as listener:
        return run_in_memory(sweep, plan, chosen, ways, listener)


def _stored(sweep: Experiment, ways: Ways, out: str | os.PathLike[str], runs: object, progress: Wish, mix: bool) -> "xarray.Dataset":
    """As `run_sweep`, into a folder."""
    from gdsim.store.folder import Store  # and with it pyarrow, which runs without a folder do not need
    from gdsim.sweep.run.infolder import as_kept, run_in_folder

    store = Store(out)
    sweep = as_kept(store, sweep)
    plan = plan_of(sweep, ways.chunk_seconds, ways.lanes)
    check_ways(ways, plan, checked_runs(runs, plan), stores=True)
    check_stored(sweep, ways.client is not None)
    with shown(progress) as listener, _reached(ways.client) as client:
        return run_in_folder(sweep, plan, store, ways._replace(client=client), listener, mix)


@contextlib.contextmanager
def _reached(client: object) -> Iterator[Any]:
    """The client of a cluster, None where none was given."""
    if client is None:
        yield None
        return
    from gdsim.sweep.cluster.client import client_of  # which a cluster alone needs

    with client_of(client) as found:
        yield found
