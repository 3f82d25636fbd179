"""The version of the bits of a sweep's runs: the highest of the versions of the parts of kernels that they
use.
"""

from collections.abc import Sequence

from gdsim.axes import Grid
from gdsim.kernels import BITS, LANE_STOP_BITS, ORDER_BITS, PENALTY_BITS, TEAM_BITS, UPHILL_BITS
from gdsim.stops import Cycling, Plateau, SmallStep
from gdsim.sweep.experiment.declaration import Experiment


def kernel_version(sweep: Experiment) -> int:
    """The version of the bits of a sweep's runs: where all agree on it, runs may stand in one folder.

    >>> import gdsim as gd
    >>> kernel_version(gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD()))
    1
    """
    batches = sweep.batch.values if isinstance(sweep.batch, Grid) else (sweep.batch,)
    has_orders = sweep.shuffle != "replacement" and any(batch is not None for batch in batches)
    has_penalty = any(problem.l1 != 0.0 or problem.l2 != 0.0 for problem in sweep.problem)
    is_uphill = any(rule.perturbs and (rule.needs_whole_gradient or has_penalty) for rule in sweep.optimizer)
    has_lane_stop = any(isinstance(stop, SmallStep | Cycling) or (isinstance(stop, Plateau) and stop.batches) for stop in sweep.stop)
    has_workers = any(one is not None for one in sweep.distribution)
    used = [(ORDER_BITS, has_orders), (PENALTY_BITS, has_penalty), (UPHILL_BITS, is_uphill), (LANE_STOP_BITS, has_lane_stop), (TEAM_BITS, has_workers)]
    return max([BITS, *(version for version, is_used in used if is_used)])


def other_bits(made: Sequence[int], own: Sequence[int], note: str = "") -> str:
    """What to say of runs that kernels of these versions have made, and kernels of others would add to;
    nothing where they are the same.

    >>> other_bits([1], [2])
    'made by kernels of version 1, and these are version 2, whose bits differ'
    """
    first, second = (" and ".join(map(str, versions)) for versions in (made, own))
    return "" if list(made) == list(own) else f"made by kernels of version {first}{note}, and these are version {second}, whose bits differ"
