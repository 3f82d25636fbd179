"""How high losses rise on the way between two points."""

import numpy as np


def barrier_and_height(alpha: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(barrier[run], height[run]) of loss[run, alpha] from alpha 0 to 1.

    The barrier is the highest rise above the straight line between both losses, at least 0 (Entezari et al.
    2022), the height the highest loss less the higher of both ends.

    >>> barrier_and_height(np.array([0.0, 0.5, 1.0]), np.array([[0.0, 2.0, 1.0]]))
    (array([1.5]), array([1.]))
    """
    with np.errstate(invalid="ignore"):  # NaN where a loss is infinite at an end
        ends = (1.0 - alpha) * loss[:, :1] + alpha * loss[:, -1:]
        return np.maximum((loss - ends).max(1), 0.0), loss.max(1) - np.maximum(loss[:, 0], loss[:, -1])
