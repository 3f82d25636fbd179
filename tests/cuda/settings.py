"""Settings that kernels are compiled for."""

from typing import Any

import numpy as np

import gdsim as gd
from gdsim.population.setting import Setting

RATES = tuple(float(np.float32(rate)) for rate in (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0))


def setting(problem: Any, rule: Any, **others: Any) -> Setting:
    """A setting of a problem and a rule, float32 if not said."""
    init = "glorot" if problem.family == "network" else gd.Uniform(low=-2.0, high=2.0)
    usual = {
        "schedule": gd.Constant(),
        "batch": None,
        "shuffle": "epoch",
        "drop_last": True,
        "stops": (),
        "record": gd.Record(parameters=True),
        "seed": 0,
        "dtype": "float32",
    }
    return Setting(problem=problem, rule=rule, init=init, **{"steps": 100, **usual, **others})
