"""When curves first come down to each of several losses."""

import numpy as np


def first_hits(losses: np.ndarray, steps: np.ndarray, targets: np.ndarray, hits: np.ndarray) -> None:
    """Fills hits[run, target] with the step of the first checkpoint at which losses[run, checkpoint] is at
    most the target; -1 if there is none.

    The targets descend, so that one walk along the curve finds them all.
    """
    for run in range(losses.shape[0]):
        met = 0
        for place in range(losses.shape[1]):
            while met < len(targets) and losses[run, place] <= targets[met]:
                hits[run, met] = steps[place]
                met += 1
        for rest in range(met, len(targets)):
            hits[run, rest] = -1
