"""All or some runs of a sweep, trained by threads of this process or a device, and kept nowhere."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.sweep.execution.display import Listener
from gdsim.sweep.execution.executor import Outcome, running
from gdsim.sweep.execution.places import Placed, Trainer, in_order, train_from_start
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.execution.threads import Threads
from gdsim.sweep.execution.time_left import remaining_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.plan import Chunk, Plan
from gdsim.sweep.results.costs import costs_in_memory
from gdsim.sweep.results.dataset import concatenated, registered, runs_dataset
from gdsim.sweep.results.summaries import merged, summary_dataset

if TYPE_CHECKING:
    import xarray


def run_in_memory(
    sweep: Experiment, plan: Plan, chosen: np.ndarray | None, where: Placed, listener: Listener, trainer: Trainer = train_from_start
) -> "xarray.Dataset":
    """Trains all or some runs, and keeps them nowhere."""
    todo = plan.chunks if chosen is None else [c for c in plan.chunks if np.isin(plan.numbers_of(c), chosen).any()]
    todo = in_order(plan, todo, where.place, chosen)
    progress = Progress(plan.runs if chosen is None else len(chosen), listener, remaining_of(plan, todo, where.place.threads, chosen))
    progress.add(Tally())
    if where.reason:
        progress.say(where.reason)
    numbers, parts = [], []
    if plan.keep == "summary":
        return _summarised(sweep, plan, todo, where, progress)
    threads = Threads(plan, where.place, progress, todo, chosen=chosen, trainer=trainer)
    with contextlib.closing(where.place), running(threads, todo, progress, 1) as outcomes:
        for outcome in outcomes:
            finished, columns = runs_in(plan, outcome, chosen)
            numbers.append(finished)
            parts.append(columns)
    every, columns = np.concatenate(numbers), concatenated(parts)
    costs = costs_in_memory(plan, every, columns["steps_taken"])
    return registered(sweep, runs_dataset(plan, every, columns | costs))


def _summarised(sweep: Experiment, plan: Plan, todo: Sequence[Chunk], where: Placed, progress: Progress) -> "xarray.Dataset":
    """The summary of all runs, which are kept nowhere."""
    parts = []
    with contextlib.closing(where.place), running(Threads(plan, where.place, progress, todo), todo, progress, 1) as outcomes:
        for outcome in outcomes:
            cells = [plan.identities[c] for c in outcome.chunk.cells]
            parts.append({k._replace(cell=cells[k.cell]): e for k, e in result_of(outcome).items()})
    return registered(sweep, summary_dataset(plan, merged(plan, parts)))


def result_of(outcome: Outcome) -> Any:
    """What a finished chunk has left. Raises what its training has raised."""
    if outcome.failure is not None and outcome.failure.error is not None:
        raise outcome.failure.error
    return outcome.result


def runs_in(plan: Plan, outcome: Outcome, chosen: np.ndarray | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The numbers and the columns of a finished chunk's runs. Raises what its training has raised."""
    columns = result_of(outcome)
    numbers = plan.numbers_of(outcome.chunk)
    return numbers if chosen is None else numbers[np.isin(numbers, chosen)], plan.aligned(outcome.chunk, columns)
