"""Learning-rate schedules: the rate of each step, from parameters that are numbers of the run.

`rate(base, t, p)` gives the rate of update t = 1, 2, ... from the optimizer's `lr` and the schedule's own
parameters. Schedules with a length or a cycle count from 0, so that update 1 has the first rate. A new
schedule is one class, its name here and in `gdsim/__init__.py`, and a row in the tests' table.
"""

from gdsim.schedules.base import Schedule
from gdsim.schedules.cycles import SGDR, Cosine, ExpRange, OneCycle, Snapshot, Triangular, Triangular2
from gdsim.schedules.decays import Constant, CosineDecay, Exponential, InverseTime, MultiStep, Piecewise, Polynomial, Power, Step, Warmup

SCHEDULES = (
    Constant, InverseTime, Power, Step, MultiStep, Exponential, Polynomial, Cosine, CosineDecay, SGDR, Triangular, Triangular2, ExpRange,
    OneCycle, Snapshot, Piecewise, Warmup,
)  # fmt: skip

__all__ = [
    "SCHEDULES",
    "SGDR",
    "Constant",
    "Cosine",
    "CosineDecay",
    "ExpRange",
    "Exponential",
    "InverseTime",
    "MultiStep",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Power",
    "Schedule",
    "Snapshot",
    "Step",
    "Triangular",
    "Triangular2",
    "Warmup",
]
