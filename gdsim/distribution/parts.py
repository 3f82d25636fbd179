"""The parts that a declaration of workers gives a kernel."""

from gdsim.lanes.parts import part
from gdsim.lanes.types import Lane, Lanes


@part
def time_of_mean_one(words: Lanes, shape: Lane) -> Lane:
    """The time of a step, of a law of mean 1, from four random words: a float64 lane."""
    ...
