"""Where a plan is trained."""

from gdsim.sweep.execution.places import Placed, Processors
from gdsim.sweep.planning.memory import fitting_threads
from gdsim.sweep.planning.plan import Plan
from gdsim.sweep.run.options import RunOptions


def placed(plan: Plan, options: RunOptions, beside: int = 0) -> Placed:
    """Where the options let a plan be trained, `beside` so many bytes of results. Raises ValueError where that cannot be."""
    return Placed(Processors(fitting_threads(plan, options.threads, beside), options.lanes))
