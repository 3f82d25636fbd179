"""The penalty on weights, l1 sum |w| + l2/2 sum w^2, in a gradient and in a loss: rounded in one way in every
engine.
"""

from gdsim.kernels.state import StepInputs
from gdsim.lanes.operations import absolute, fma_lanes, sign
from gdsim.lanes.types import Lane


def penalized_gradient(g: Lane, w: Lane, l1: Lane, l2: Lane) -> Lane:
    """g + l2 w + l1 sign(w): the gradient by one weight, with its penalty's."""
    return fma_lanes(l1, sign(w), fma_lanes(l2, w, g))


def with_penalty(g: Lane, w: Lane, step: StepInputs) -> Lane:
    """`penalized_gradient` with the penalty of a step."""
    return penalized_gradient(g, w, step.l1, step.l2)


def without_penalty(g: Lane, w: Lane, step: StepInputs) -> Lane:
    """The gradient as it is."""
    return g


def penalized_loss(loss: Lane, magnitudes: Lane, squares: Lane, l1: Lane, l2: Lane) -> Lane:
    """The loss with the penalty of weights, given the sums of their magnitudes and squares."""
    return fma_lanes(l1, magnitudes, fma_lanes(0.5 * l2, squares, loss))


def penalty_and(sum_: Lane, w: Lane, l1: Lane, l2: Lane) -> Lane:
    """A sum with the penalty of one more weight, which is 0 without a penalty, however large the weight."""
    return fma_lanes(l1, absolute(w), fma_lanes(0.5 * l2 * w, w, sum_))
